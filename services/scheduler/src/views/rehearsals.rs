//! How a rehearsal went.

use watari_contracts::scheduler::{self as contract, Fault, Leaving, RehearsedFall, RehearsedLink, RehearsedServer};
use watari_model::vm::Way;

use super::outages::not_moved;
use crate::rehearsal::{Account, Fall, Fate, Known, Server};

/// The whole of it.
pub(crate) fn rehearsal(account: Account) -> contract::Rehearsal {
    let known = match account.known {
        Known::Measured => contract::Known::Measured,
        Known::SentAhead => contract::Known::SentAhead,
        Known::Given => contract::Known::Given,
        Known::Assumed => contract::Known::Assumed,
    };
    contract::Rehearsal {
        site: account.site,
        outage: account.outage,
        began_at: account.began,
        begins_at: account.begins,
        power_off_at: account.power_off,
        empty_at: account.empty,
        evacuated_at: account.evacuated,
        in_time: account.in_time,
        returns_at: account.returns,
        home_at: account.home,
        servers: account.servers.into_iter().map(server).collect(),
        not_listed: 0,
        at_risk: account.at_risk,
        went_down: account.went_down.into_iter().map(fall).collect(),
        stays_away: account.stays_away.iter().map(not_moved).collect(),
        link: RehearsedLink { bytes_per_second: account.rate, known },
        step_ms: account.step_ms,
        at: account.at,
    }
}

fn fall(Fall { vm, node, at }: Fall) -> RehearsedFall {
    RehearsedFall { vm, node, at }
}

fn server(server: Server) -> RehearsedServer {
    let way = match server.fate {
        Fate::Live => Leaving::Live,
        Fate::Halted(Way::Suspend) => Leaving::Suspended,
        Fate::Halted(Way::ShutDown) => Leaving::ShutDown,
        Fate::Off => Leaving::Off,
        Fate::Left => Leaving::Left,
    };
    RehearsedServer {
        vm: server.vm,
        way,
        from: server.from,
        to: server.to,
        begins_at: server.begins,
        ends_at: server.ends,
        home_at: server.home,
        bytes: server.bytes,
        measured: server.measured,
        why: server.why.as_ref().map(Fault::from),
    }
}
