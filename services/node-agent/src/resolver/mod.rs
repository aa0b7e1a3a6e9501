//! Answers servers of provider networks that ask the node for names, at the metadata address.
//!
//! ```text
//! NAME.NETWORK.watari.internal, or NAME ── of the asker's own network ─▶ from the node's network plan
//! another name below watari.internal    ── nobody else is asked       ─▶ there is no such name
//! any other name                        ─▶ the network's other name servers, or the machine's ─▶ what they say
//! ```
//!
//! On overlay networks dnsmasq does the same at the gateway's address. On the campus's own wire the node has no address
//! that is the same everywhere, and several networks may share one bridge: there it is known by who asks what is answered.
//! Nothing is kept: a server that moves is answered by the next node as by the last.

mod message;
mod upstream;

use std::{
    collections::BTreeMap,
    io,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Semaphore;
use watari_contracts::{
    agent::Wire,
    plan::{NetworkPlan, PlannedNetwork},
};
use watari_model::{
    NetworkName,
    network::{Kind, NODE_ADDRESS},
};

use message::{Failure, Question};
pub(crate) use upstream::{RESOLV, Way, read, write};

/// What all our names end in.
pub(crate) const DOMAIN: &str = "watari.internal";
/// The UDP and TCP port that is asked.
pub(crate) const PORT: u16 = 53;
/// Questions of all servers that are passed on at the same time. Each has a socket of the agent's until it is answered, and many
/// servers together must not use up what the agent needs for everything else.
const PASSED_ON: usize = 1_024;

/// A card whose server asks the node for names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    network: NetworkName,
    /// Who is asked what the node does not know; whoever the machine itself asks, if empty.
    upstream: Vec<IpAddr>,
}

impl Asker {
    /// None if its network's name servers are others alone.
    pub(crate) fn of(wire: &Wire) -> Option<Self> {
        if wire.kind != Kind::Provider || !wire.dns.contains(&NODE_ADDRESS) {
            return None;
        }
        let others = wire.dns.iter().filter(|server| **server != NODE_ADDRESS).copied().map(IpAddr::V4);
        let ipv6 = wire.ipv6.iter().flat_map(|ipv6| ipv6.network.dns.iter().copied().map(IpAddr::V6));
        Some(Self { network: wire.network.clone(), upstream: others.chain(ipv6).collect() })
    }
}

/// A network's servers and their addresses.
type Servers = BTreeMap<String, Vec<IpAddr>>;

/// The names of all servers on provider networks of this node, and who passes other questions on.
pub(crate) struct Names {
    servers: Mutex<BTreeMap<NetworkName, Servers>>,
    /// Places for questions that are passed on.
    passed_on: Semaphore,
}

impl Default for Names {
    fn default() -> Self {
        Self { servers: Mutex::default(), passed_on: Semaphore::new(PASSED_ON) }
    }
}

impl Names {
    fn all(&self) -> MutexGuard<'_, BTreeMap<NetworkName, Servers>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on knows exactly those that a plan names.
    pub(crate) fn learn(&self, plan: &NetworkPlan) {
        let provider = plan.networks.iter().filter(|planned| planned.kind == Kind::Provider);
        let now = provider.map(|planned| (planned.network.clone(), servers(planned))).collect();
        *self.all() = now;
    }

    /// A server's addresses.
    fn find(&self, network: &NetworkName, server: &str) -> Result<Vec<IpAddr>, Failure> {
        let all = self.all();
        // As long as no plan has come, nobody knows who is there.
        let servers = all.get(network).ok_or(Failure::Broken)?;
        servers.get(server).cloned().ok_or(Failure::NoSuchName)
    }

    /// The answer to a message, or none to what is no question.
    pub(crate) async fn answer(&self, message: &[u8], asker: &Asker, way: Way) -> Option<Vec<u8>> {
        let question = Question::read(message)?;
        if let Some(answer) = self.own(&question, &asker.network) {
            return Some(answer);
        }
        Some(self.others(&question, asker, way).await.unwrap_or_else(|error| {
            tracing::debug!(network = %asker.network, %error, "a server's question for a name was passed on in vain");
            question.fails(Failure::Broken)
        }))
    }

    /// What others say.
    async fn others(&self, question: &Question<'_>, asker: &Asker, way: Way) -> io::Result<Vec<u8>> {
        let _place = self.passed_on.try_acquire().map_err(io::Error::other)?;
        let machines;
        let servers = if asker.upstream.is_empty() {
            machines = upstream::of_this_machine().await;
            &machines
        } else {
            &asker.upstream
        };
        upstream::ask(servers, question, way).await
    }

    /// The answer to a question for a name of ours; none if it is for others to answer.
    fn own(&self, question: &Question<'_>, network: &NetworkName) -> Option<Vec<u8>> {
        let name = question.name();
        let Some(below) = below_ours(name) else {
            // By its first name alone a server is found by its neighbours.
            return self.find(network, name).ok().map(|addresses| question.finds(&addresses));
        };
        let found = match below.rsplit_once('.') {
            Some((server, of)) if of == network.as_str() => self.find(network, server),
            None if below.is_empty() || below == network.as_str() => Ok(Vec::new()),
            _ => Err(Failure::NoSuchName),
        };
        Some(found.map_or_else(|failure| question.fails(failure), |addresses| question.finds(&addresses)))
    }
}

/// What stands before our domain; none if that is not the name's end.
fn below_ours(name: &str) -> Option<&str> {
    let before = name.strip_suffix(DOMAIN)?;
    if before.is_empty() { Some(before) } else { before.strip_suffix('.') }
}

fn servers(planned: &PlannedNetwork) -> Servers {
    let here = planned.here.iter().map(|port| (&port.vm, port.address, port.address6));
    let elsewhere = planned.elsewhere.iter().map(|port| (&port.vm, port.address, port.address6));
    let mut servers = Servers::new();
    for (vm, address, address6) in here.chain(elsewhere) {
        let addresses = servers.entry(vm.to_string()).or_default();
        addresses.push(address.into());
        addresses.extend(address6.map(IpAddr::V6));
    }
    servers
}

#[cfg(test)]
mod tests {
    use watari_contracts::plan::RemotePort;
    use watari_testkit::orders;

    use super::{message::tests::asked, *};

    fn plan(kind: Kind, address6: Option<&str>) -> NetworkPlan {
        let remote = RemotePort {
            vm: "web".parse().unwrap(),
            mac: String::new(),
            address: [203, 0, 113, 101].into(),
            address6: address6.map(|text| text.parse().unwrap()),
            via: None,
        };
        let network = "campus".parse().unwrap();
        let planned = PlannedNetwork { network, kind, overlay: None, here: Vec::new(), elsewhere: vec![remote] };
        NetworkPlan { networks: vec![planned], ..NetworkPlan::default() }
    }

    /// The code of what is answered to a server of `campus`, and how many addresses; none if others are to answer.
    fn answered(names: &Names, name: &str, kind: u16) -> Option<(u8, u8)> {
        let message = asked(name, kind);
        let answer = names.own(&Question::read(&message).unwrap(), &"campus".parse().unwrap())?;
        Some((answer[3] & 0x0f, answer[7]))
    }

    #[test]
    fn names_of_its_own_network_are_answered_and_others_of_ours_asked_of_nobody() {
        let names = Names::default();
        assert_eq!(answered(&names, "web.campus.watari.internal", 1), Some((2, 0)), "no plan has come");
        names.learn(&plan(Kind::Provider, None));
        for (name, kind, answer) in [
            ("web.campus.watari.internal", 1, Some((0, 1))),
            ("WEB.Campus.Watari.Internal", 1, Some((0, 1))),
            ("web", 1, Some((0, 1))),
            ("web.campus.watari.internal", 28, Some((0, 0))),
            ("mail.campus.watari.internal", 1, Some((3, 0))),
            ("web.lab.watari.internal", 1, Some((3, 0))),
            ("a.web.campus.watari.internal", 1, Some((3, 0))),
            ("campus.watari.internal", 1, Some((0, 0))),
            ("watari.internal", 1, Some((0, 0))),
            ("mail", 1, None),
            ("www.example.jp", 1, None),
            ("web.campus.xwatari.internal", 1, None),
        ] {
            assert_eq!(answered(&names, name, kind), answer, "{name} {kind}");
        }
        names.learn(&plan(Kind::Provider, Some("2001:db8::65")));
        assert_eq!(answered(&names, "web", 28), Some((0, 1)));
        assert_eq!(answered(&names, "web", 255), Some((0, 2)));
    }

    #[tokio::test]
    async fn who_finds_all_places_taken_is_told_so_at_once_and_told_our_names_nevertheless() {
        let names = Names { passed_on: Semaphore::new(0), ..Names::default() };
        names.learn(&plan(Kind::Provider, None));
        let asker = Asker { network: "campus".parse().unwrap(), upstream: vec![[192, 0, 2, 53].into()] };
        for (name, code) in [("www.example.jp", 2), ("web.campus.watari.internal", 0)] {
            let answer = names.answer(&asked(name, 1), &asker, Way::Udp).await.unwrap();
            assert_eq!(answer[3] & 0x0f, code, "{name}");
        }
    }

    #[test]
    fn an_overlay_networks_names_are_dnsmasqs_to_tell() {
        let names = Names::default();
        names.learn(&plan(Kind::Overlay, None));
        assert_eq!(answered(&names, "web", 1), None);
    }

    #[test]
    fn whoever_has_the_node_among_its_name_servers_asks_it_and_it_asks_the_others() {
        let wire = |dns: &[[u8; 4]]| Wire {
            dns: dns.iter().map(|octets| (*octets).into()).collect(),
            ..orders::card([203, 0, 113, 100].into())
        };
        let node = NODE_ADDRESS.octets();
        assert_eq!(Asker::of(&wire(&[[192, 0, 2, 53]])), None);
        assert_eq!(Asker::of(&wire(&[node])).unwrap().upstream, [] as [IpAddr; 0]);
        let both = Asker::of(&wire(&[node, [192, 0, 2, 53]])).unwrap();
        assert_eq!(both.upstream, [IpAddr::from([192, 0, 2, 53])]);
        assert_eq!(Asker::of(&Wire { kind: Kind::Overlay, ..wire(&[node]) }), None);
    }
}
