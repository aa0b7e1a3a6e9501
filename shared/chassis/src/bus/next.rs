//! Which NATS server is asked next when one was lost.
//!
//! The order of the URLs stays, but whoever was just lost comes last: its host is without power, or the way there is
//! cut, and a connection that nobody takes up is given up after seconds only.

use std::sync::{Mutex, PoisonError};

use async_nats::{ReconnectToServer, Server, ServerInfo};

/// How often it was asked since a connection was lost.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<Since>);

#[derive(Debug, Default)]
struct Since {
    /// The lost connection's server, and its number there.
    lost: (String, u64),
    asked: usize,
}

impl Turns {
    /// The next server of `pool`. `info` is what the lost one said of itself. None leaves the choice to the library: it
    /// goes through all of them when there was no connection yet.
    pub(super) fn next(&self, pool: &[Server], info: &ServerInfo) -> Option<ReconnectToServer> {
        if !pool.iter().any(|server| server.did_connect) {
            return None;
        }
        let (lost, others): (Vec<_>, Vec<_>) =
            pool.iter().partition(|server| is_there(server.addr.host(), server.addr.port(), info));
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let its = (info.server_id.clone(), info.client_id);
        if since.lost != its {
            *since = Since { lost: its, asked: 0 };
        }
        let next = others.into_iter().chain(lost).nth(since.asked % pool.len())?;
        since.asked += 1;
        Some(ReconnectToServer { addr: next.addr.clone(), delay: None })
    }
}

/// Whether a server that says `info` of itself is the one at this address. One that calls itself otherwise than its URL
/// does cannot be told.
pub(super) fn is_there(host: &str, port: u16, info: &ServerInfo) -> bool {
    info.host == host && info.port == port
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(did_connect: bool) -> Vec<Server> {
        let server = |url: &str| Server {
            addr: url.parse().unwrap(),
            failed_attempts: 0,
            did_connect,
            is_discovered: false,
            last_error: None,
        };
        ["tls://10.0.0.2:4222", "tls://[fd00::3]:4222", "tls://10.0.0.4:4222"].map(server).into()
    }

    fn at(host: &str, client_id: u64) -> ServerInfo {
        ServerInfo { server_id: host.to_owned(), host: host.to_owned(), port: 4222, client_id, ..ServerInfo::default() }
    }

    fn asked(turns: &Turns, info: &ServerInfo, times: usize) -> Vec<String> {
        (0..times).map(|_| turns.next(&pool(true), info).unwrap().addr.host().to_owned()).collect()
    }

    #[test]
    fn who_was_lost_is_asked_last_and_all_others_in_their_order() {
        let turns = Turns::default();
        assert_eq!(asked(&turns, &at("10.0.0.2", 7), 4), ["fd00::3", "10.0.0.4", "10.0.0.2", "fd00::3"]);
        // The next one that is lost begins anew, though it be the same server.
        assert_eq!(asked(&turns, &at("fd00::3", 7), 2), ["10.0.0.2", "10.0.0.4"]);
        assert_eq!(asked(&turns, &at("fd00::3", 8), 3), ["10.0.0.2", "10.0.0.4", "fd00::3"]);
    }

    #[test]
    fn one_that_calls_itself_otherwise_changes_no_order_and_the_first_connection_is_the_librarys() {
        let turns = Turns::default();
        assert_eq!(asked(&turns, &at("0.0.0.0", 7), 3), ["10.0.0.2", "fd00::3", "10.0.0.4"]);
        assert!(turns.next(&pool(false), &at("", 0)).is_none());
    }
}
