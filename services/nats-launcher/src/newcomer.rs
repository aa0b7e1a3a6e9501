//! A server that comes into a cluster which was there before, as long as it was never seen with a vote in it: the first of a
//! host that has joined, and each life that begins anew.
//!
//! ```text
//!   new ── somebody leads: who has a vote then is noted ──▶ invited ── one of those leads or answers ──▶ runs
//!                                                              ▲                                          │
//!                                                              ├──────── nobody leads, none answers ◀─────┤
//!      begins anew ◀── somebody leads, with no vote of theirs ─│──────────────────────────────────────────┤
//!                                                              │    no newcomer ◀── has its vote there ◀──┘
//! ```
//!
//! Its store is empty. Such servers by themselves would be another cluster, and what they then agreed upon would go before
//! what the cluster holds: so none begins, nor goes on, without one of those that had a vote when it came. (From 2.12 on NATS
//! lets no servers lead that are all empty unless every server that it is configured with is.) That it has no vote yet does
//! not mean that its vote was taken away: it waits for nobody's order.

use std::{fs, io, mem, net::SocketAddr, path::PathBuf, time::Duration};

use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use watari_chassis::{Electorate, generation};

use crate::{
    Error, Settings,
    life::{self, Life},
    orders::Orders,
    say,
};

/// Is there as long as the server had no vote: its name, and the ids of those that had one when it came.
const MARK: &str = "joining";
/// How long a server that is there may take to answer.
const ANSWERED: Duration = Duration::from_secs(2);
/// How long one question to the others may take.
const ASKED: Duration = Duration::from_secs(4);
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// So many looks in a row find nobody before it stops: an answer may be late.
const LOST: u32 = 3;

/// Where a newcomer is, by what the servers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Among those to whom it came, without a vote as yet.
    Home,
    /// It has its vote there.
    Voter,
    /// Nobody leads, and none of those is there.
    Alone,
    /// Among others.
    Astray,
}

/// One that was never seen with a vote.
pub(crate) struct Newcomer {
    root: PathBuf,
    name: String,
    /// Where the first server must be reached, if the host has joined and this is its first server.
    route: Option<SocketAddr>,
    /// The ids of those that had a vote when it came; none before that.
    met: Vec<String>,
    lost: u32,
}

impl Newcomer {
    /// Whether this host's server is one. `life` is its present one, if it was ever started.
    pub(crate) fn find(settings: &Settings, life: Option<&Life>) -> Result<Option<Self>, Error> {
        let first = generation(&settings.host, 1);
        let Some(life) = life else {
            let joins = settings.joins && settings.has_others();
            return joins.then(|| Self::new(settings, first)).transpose();
        };
        let name = life.name();
        let text = match fs::read_to_string(settings.store.join(MARK)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let mut words = text.split_whitespace().map(str::to_owned);
        // An earlier version left it empty, for first servers.
        let of = words.next().unwrap_or_else(|| first.clone());
        Ok((of == name && settings.has_others()).then(|| Self { met: words.collect(), ..Self::called(settings, name) }))
    }

    /// The next life of the host's server: it is known as a newcomer before it is the present one.
    pub(crate) fn anew(settings: &Settings, life: &Life) -> Result<(Life, Option<Self>), Error> {
        let newcomer = Self::new(settings, life.next_name())?;
        Ok((life.next()?, Some(newcomer)))
    }

    fn new(settings: &Settings, name: String) -> Result<Self, Error> {
        let new = Self::called(settings, name);
        new.keep()?;
        Ok(new)
    }

    fn called(settings: &Settings, name: String) -> Self {
        let route = settings.route.filter(|_| settings.joins && name == generation(&settings.host, 1));
        Self { root: settings.store.clone(), name, route, met: Vec::new(), lost: 0 }
    }

    fn keep(&self) -> Result<(), Error> {
        life::keep(&self.root, MARK, &format!("{} {}\n", self.name, self.met.join(" ")))
    }

    /// Waits for the cluster.
    pub(crate) async fn welcome(&mut self, orders: &mut Orders) -> Result<(), Error> {
        let mut told = false;
        loop {
            let seen = orders.electorate(ASKED).await;
            match self.place(&seen) {
                Place::Home | Place::Voter => break,
                Place::Alone if self.met.is_empty() && !seen.voters.is_empty() => {
                    self.met = seen.voters;
                    self.keep()?;
                    break;
                }
                Place::Alone | Place::Astray if !mem::replace(&mut told, true) => self.say_waiting(),
                Place::Alone | Place::Astray => {}
            }
            sleep(PAUSE).await;
        }
        self.lost = 0;
        let mut told = false;
        while !reached(self.route).await {
            if let Some(route) = self.route.filter(|_| !mem::replace(&mut told, true)) {
                say(&format!("waiting until the first server of the cluster can be reached at {route}"));
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    fn say_waiting(&self) {
        let Self { name, root, .. } = self;
        if self.met.is_empty() {
            return say(&format!("{name} waits until the cluster to which it comes has a leader"));
        }
        say(&format!(
            "{name} waits for one of the servers that had a vote when it came: by itself it would be another cluster; if \
             none of them is left, remove {}",
            root.join(MARK).display()
        ));
    }

    /// Where it is. As long as it came to nobody it is alone.
    fn place(&self, seen: &Electorate) -> Place {
        let among = |ids: &[String]| ids.iter().any(|id| self.met.contains(id));
        match (among(&seen.voters), seen.voters.is_empty() || self.met.is_empty()) {
            (true, _) if seen.votes(&self.name) => Place::Voter,
            (true, _) => Place::Home,
            (false, true) if among(&seen.present) => Place::Home,
            (false, true) => Place::Alone,
            (false, false) => Place::Astray,
        }
    }

    /// The same of one that runs: it is alone only after some looks.
    pub(crate) fn looks(&mut self, seen: &Electorate) -> Place {
        let place = self.place(seen);
        self.lost = if place == Place::Alone { self.lost + 1 } else { 0 };
        if place == Place::Alone && self.lost < LOST { Place::Home } else { place }
    }

    /// It has its vote.
    pub(crate) fn voted(self) -> Result<(), Error> {
        match fs::remove_file(self.root.join(MARK)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Whether the first server takes a connection: newcomers that all reach it are no other cluster.
async fn reached(route: Option<SocketAddr>) -> bool {
    let Some(route) = route else { return true };
    matches!(timeout(ANSWERED, TcpStream::connect(route)).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use watari_testkit::TempDir;

    use super::*;

    fn settings(dir: &TempDir, joins: bool, urls: &str) -> Settings {
        let store = dir.path().join("store");
        let text = format!(
            "host = \"n2\"\nconfig = \"c\"\nstore = {store:?}\njoins = {joins}\nroute = \"127.0.0.1:1\"\n[bus]\nurls = [{urls}]\n"
        );
        fs::write(dir.path().join("toml"), text).unwrap();
        Settings::read(&dir.path().join("toml")).unwrap()
    }

    const TWO: &str = "\"nats://a:1\", \"nats://b:1\"";

    #[test]
    fn who_has_joined_is_a_newcomer_until_it_had_a_vote() {
        let dir = TempDir::new();
        let find = |settings: &Settings, life: Option<&Life>| Newcomer::find(settings, life).unwrap();
        assert!(find(&settings(&dir, false, TWO), None).is_none());
        assert!(find(&settings(&dir, true, "\"nats://a:1\""), None).is_none());
        let joins = settings(&dir, true, TWO);
        let life = Life::first(&joins).unwrap();
        assert!(find(&joins, Some(&life)).is_none(), "it was there before it was called one that joins");
        assert!(find(&joins, None).is_some_and(|new| new.route.is_some()));
        assert!(find(&joins, Some(&life)).is_some(), "a restart makes it no other");
        fs::write(dir.path().join("store").join(MARK), "").unwrap();
        let new = find(&joins, Some(&life)).expect("an earlier version left it so");
        new.voted().unwrap();
        assert!(find(&joins, Some(&life)).is_none());
    }

    #[test]
    fn each_life_that_begins_anew_is_a_newcomer_and_the_one_before_is_none() {
        let dir = TempDir::new();
        let settings = settings(&dir, false, TWO);
        let first = Life::first(&settings).unwrap();
        let (second, new) = Newcomer::anew(&settings, &first).unwrap();
        assert!(new.is_some_and(|new| new.name == "n2-g2" && new.route.is_none()));
        assert!(Newcomer::find(&settings, Some(&second)).unwrap().is_some());
        // The power went after it was noted, and before it was the present one.
        assert!(Newcomer::find(&settings, Some(&first)).unwrap().is_none());
    }

    fn electorate(voters: &[&str], present: &[&str]) -> Electorate {
        let ids = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Electorate { voters: ids(voters), present: ids(present) }
    }

    #[test]
    fn a_newcomer_is_nothing_without_one_of_those_to_whom_it_came() {
        let dir = TempDir::new();
        let mut new = Newcomer::called(&settings(&dir, false, TWO), "s1".to_owned());
        let own = "k2My6qdB";
        assert_eq!(new.place(&electorate(&["old"], &["old"])), Place::Alone, "it has come to nobody yet");
        new.met = vec!["old".to_owned(), "older".to_owned()];
        for (seen, place) in [
            (electorate(&["old"], &["old"]), Place::Home),
            (electorate(&["old", own], &["old", own]), Place::Voter),
            // The cluster may wait for this very server.
            (electorate(&[], &["older"]), Place::Home),
            (electorate(&[], &[]), Place::Alone),
            (electorate(&[], &["another", own]), Place::Alone),
            (electorate(&["another", own], &["another", own]), Place::Astray),
            (electorate(&["another", own], &["old"]), Place::Astray),
        ] {
            assert_eq!(new.place(&seen), place, "{seen:?}");
        }
    }

    #[test]
    fn one_answer_that_is_late_stops_no_newcomer() {
        let dir = TempDir::new();
        let mut new = Newcomer::called(&settings(&dir, false, TWO), "s1".to_owned());
        new.met = vec!["old".to_owned()];
        let (nobody, old) = (electorate(&[], &[]), electorate(&["old"], &["old"]));
        let looked: Vec<Place> = [&nobody, &nobody, &old, &nobody, &nobody, &nobody].map(|seen| new.looks(seen)).into();
        assert_eq!(looked[..5], [Place::Home; 5]);
        assert_eq!(looked[5], Place::Alone);
    }

    #[tokio::test]
    async fn the_first_server_must_be_reached() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        assert!(reached(None).await && reached(Some(open)).await);
        assert!(!reached(Some("127.0.0.1:1".parse().unwrap())).await);
    }
}
