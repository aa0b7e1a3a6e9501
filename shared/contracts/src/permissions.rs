//! Who may say and hear what on the bus: the one table from which NATS is configured.
//!
//! ```text
//!   account PEOPLE                          account CLOUD (JetStream)
//!   administrators,    ──── SHARED ────▶    services ◀── facts, beats ── agents
//!   operators, viewers ◀─── events ─────    services ──── commands ────▶ agents
//! ```
//!
//! NATS checks the subject of a message, never its *reply* subject: whoever may ask anything can
//! have the answer sent anywhere that the one who answers may publish, such as into a bucket.
//! Hence two accounts. A question crosses the border by [`SHARED`] and its answer returns under
//! the asker's own account, where no bucket, no agent and no service listens. Within CLOUD only
//! services ask; agents ask nothing at all.
//!
//! What this table cannot stop: a *service* that turned hostile may have JetStream deliver one
//! bucket's documents to any subject, since NATS does not check a consumer's delivery subject
//! either. Services are therefore trusted with what they read; agents and people need no such trust.

mod people;

use watari_model::{
    Document, NodeName, ProjectName, SiteName, address::PublicAddress, firewall::Firewall, frontend::Primacy,
    image::Image, key::Key, migration::Migration, network::Network, network::Port, node::Node, outage::Outage,
    project::Project, site::Site, userdata::UserData, vm::Vm,
};

use crate::{
    Command, Request, Service, address, agent, firewall, frontend, image, monitor, network, plan, probe, saving,
    scheduler, subjects,
};

pub use people::{ADMINISTERING, LOOKING, OF_A_PROJECT};
use people::{PRESENCE, WORKING};

/// The bucket in which services compete for leadership.
pub const LEASES: &str = "leases";

/// Every bucket with the one service that writes it; each service writes its own key of [`LEASES`].
pub const BUCKETS: &[(&str, Service)] = &[
    (Vm::BUCKET, Service::Scheduler),
    (Migration::BUCKET, Service::Scheduler),
    (Outage::BUCKET, Service::Scheduler),
    (Site::BUCKET, Service::Scheduler),
    (Key::BUCKET, Service::Scheduler),
    (Project::BUCKET, Service::Scheduler),
    (Primacy::BUCKET, Service::Scheduler),
    (Image::BUCKET, Service::Image),
    (Network::BUCKET, Service::Network),
    (Port::BUCKET, Service::Network),
    (PublicAddress::BUCKET, Service::Network),
    (Firewall::BUCKET, Service::Network),
    (Node::BUCKET, Service::Monitor),
];

/// Buckets of which nothing is told: only the owner reads them, they publish no events, and what
/// they hold is in no history.
pub const PRIVATE: &[(&str, Service)] = &[(UserData::BUCKET, Service::Scheduler)];

/// What an identity on the bus is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// A service of a front end.
    Service(Service),
    /// The agent of one node.
    Agent {
        /// Where the node stands.
        site: SiteName,
        /// The node.
        node: NodeName,
    },
    /// A scheduler's second connection, with which it looks after the streams. It answers nobody.
    Keeper,
    /// A scheduler's third connection, with which it looks after the NATS servers. It answers nobody.
    KeeperOfServers,
    /// What starts the NATS server of one host.
    Launcher {
        /// The host.
        host: NodeName,
    },
    /// Root on a front end, while it makes a backup of the buckets or fills empty ones from it. It answers
    /// nobody, and of all but services only it writes documents: root there holds the services' keys as well.
    Backup,
    /// A person or program that may ask for anything.
    Administrator,
    /// A person or program at everyday work: anything but what changes the cloud itself ([`ADMINISTERING`]).
    Operator,
    /// A person or program that may look at everything, and change the servers and kept disks of one project alone
    /// ([`OF_A_PROJECT`]).
    OperatorOf {
        /// The project.
        project: ProjectName,
    },
    /// A person or program that may only look.
    Viewer,
}

/// The parts of the bus.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    /// Services and agents, with JetStream.
    Cloud,
    /// Administrators, operators and viewers.
    People,
    /// Operators of one project. NATS tells services with each request from which account it comes: so they know of which
    /// project somebody is, and nobody can claim another.
    Project(ProjectName),
    /// NATS' own administration.
    System,
}

/// How the accounts of projects begin.
const OF_PROJECT: &str = "PROJECT_";

impl Account {
    /// What NATS calls it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Cloud => "CLOUD".to_owned(),
            Self::People => "PEOPLE".to_owned(),
            Self::Project(project) => format!("{OF_PROJECT}{project}"),
            Self::System => "SYS".to_owned(),
        }
    }
}

/// The project to whose servers whoever asks from this account is bound; none if to no project's.
#[must_use]
pub fn project_of(account: &str) -> Option<&str> {
    account.strip_prefix(OF_PROJECT)
}

/// Whether an identity may answer on the reply subjects of what it receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// Once each, within a bound that the NATS server keeps.
    Once,
    /// It receives no questions.
    Never,
}

/// What one identity may do. Subjects may hold wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// What it may publish.
    pub publish: Vec<String>,
    /// What it may not publish, though a wildcard above allows it.
    pub publish_not: Vec<String>,
    /// What it may subscribe to.
    pub subscribe: Vec<String>,
    /// Whether it answers questions.
    pub answers: Answers,
}

/// How a subject of CLOUD is offered to PEOPLE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crossing {
    /// A question with one answer.
    Ask,
    /// A question that every process answers.
    AskAll,
    /// Told to whoever listens.
    Listen,
}

/// Everything that crosses the border between the accounts.
pub const SHARED: &[(&str, Crossing)] = &[
    (subjects::REQUESTS, Crossing::Ask),
    // `nats kv get vms mail` is a supported tool: the stream's description and one document at a
    // time. Lists and watches need a consumer, which could be told to deliver into a bucket.
    ("$JS.API.STREAM.INFO.*", Crossing::Ask),
    ("$JS.API.STREAM.MSG.GET.*", Crossing::Ask),
    ("$JS.API.DIRECT.GET.*", Crossing::Ask),
    ("$JS.API.DIRECT.GET.*.>", Crossing::Ask),
    ("$SRV.>", Crossing::AskAll),
    (frontend::STANDING, Crossing::AskAll),
    (probe::SEEN, Crossing::AskAll),
    (subjects::EVENTS, Crossing::Listen),
    (subjects::FACTS, Crossing::Listen),
    (subjects::CAPACITIES, Crossing::Listen),
];

/// How a subject of CLOUD is called in PEOPLE, if not as it is. NATS gives every account a JetStream
/// API of its own, which in PEOPLE would answer first that there is no JetStream; so questions to
/// CLOUD's are mapped to another subject, which the asker need not know.
#[must_use]
pub fn detour(subject: &str) -> Option<String> {
    subject.strip_prefix("$JS.API.").map(|rest| format!("watari.js.{rest}"))
}

impl Role {
    /// The part of the bus it lives in.
    #[must_use]
    pub fn account(&self) -> Account {
        match self {
            Self::Service(_) | Self::Agent { .. } | Self::Keeper | Self::Backup => Account::Cloud,
            Self::KeeperOfServers | Self::Launcher { .. } => Account::System,
            Self::Administrator | Self::Operator | Self::Viewer => Account::People,
            Self::OperatorOf { project } => Account::Project(project.clone()),
        }
    }

    /// Whether it is one for people, and programs that act for them.
    #[must_use]
    pub fn is_persons(&self) -> bool {
        matches!(self.account(), Account::People | Account::Project(_))
    }

    /// What an identity of this role and name may do. The name decides its inbox only.
    #[must_use]
    pub fn permissions(&self, identity: &str) -> Permissions {
        let mut may = match self {
            Self::Service(service) => of_service(*service),
            Self::Agent { site, node } => of_agent(site, node),
            Self::Keeper => asking(&KEEPING_STREAMS),
            Self::Backup => of_backup(),
            Self::KeeperOfServers => asking(&KEEPING_SERVERS),
            Self::Launcher { host } => Permissions {
                publish: vec![SERVERS.to_owned()],
                publish_not: vec![],
                subscribe: vec![frontend::nats_orders(host.as_str())],
                answers: Answers::Never,
            },
            Self::Administrator => of_person(WORKING, &[]),
            Self::Operator => of_person(WORKING, ADMINISTERING),
            Self::OperatorOf { .. } => of_person(&[LOOKING, OF_A_PROJECT, PRESENCE].concat(), &[]),
            Self::Viewer => of_person(&[LOOKING, PRESENCE].concat(), &[]),
        };
        may.subscribe.insert(0, inbox(identity));
        may
    }
}

/// Where the answers to an identity's questions arrive: `_INBOX_<name, dots as dashes>.>`.
#[must_use]
pub fn inbox(identity: &str) -> String {
    format!("_INBOX_{}.>", identity.replace('.', "-"))
}

/// How NATS servers are asked what they know of their cluster.
pub const SERVERS: &str = "$SYS.REQ.SERVER.PING.JSZ";

/// Copies of streams, and who leads them.
const KEEPING_STREAMS: [&str; 3] =
    ["$JS.API.STREAM.INFO.*", "$JS.API.STREAM.UPDATE.*", "$JS.API.STREAM.LEADER.STEPDOWN.*"];

/// Votes, who leads the voters, what each server's host is to do, and, by an operator's word, a majority for one that is left
/// (`watari frontend recover`).
const KEEPING_SERVERS: [&str; 5] =
    [SERVERS, "$JS.API.SERVER.REMOVE", "$JS.API.META.LEADER.STEPDOWN", "$JS.API.META.RESCUE", "watari.nats.*"];

/// Whoever asks, hears its answers, and is never asked: nobody can make it answer elsewhere.
fn asking(subjects: &[&str]) -> Permissions {
    let publish = subjects.iter().map(|subject| (*subject).to_owned()).collect();
    Permissions { publish, publish_not: Vec::new(), subscribe: Vec::new(), answers: Answers::Never }
}

/// Everything that is stored, secrets too, and what agents say. It makes and shapes no bucket.
fn of_backup() -> Permissions {
    let buckets = || BUCKETS.iter().chain(PRIVATE).map(|(bucket, _)| *bucket);
    let mut publish = vec!["$JS.API.INFO".to_owned(), frontend::STANDING.to_owned()];
    publish.extend(buckets().chain([LEASES]).flat_map(reading));
    publish.extend(buckets().map(|bucket| format!("$KV.{bucket}.>")));
    Permissions { publish, publish_not: vec![], subscribe: vec![subjects::FACTS.to_owned()], answers: Answers::Never }
}

/// An agent reports as itself, hears its own orders and answers them. It asks nothing and has no
/// business with JetStream.
fn of_agent(site: &SiteName, node: &NodeName) -> Permissions {
    Permissions {
        publish: vec![subjects::beat(site, node), subjects::fact(site, node), subjects::inventory(site, node)],
        publish_not: vec![],
        subscribe: vec![subjects::commands(node), "$SRV.>".to_owned()],
        answers: Answers::Once,
    }
}

/// People hear events and, since outside clients such as `nats` know no other, the usual inbox.
fn of_person(ask: &[&str], not: &[&str]) -> Permissions {
    // NATS checks the subject as it is after the mapping.
    let reading = SHARED.iter().filter_map(|(subject, _)| detour(subject));
    let private = PRIVATE.iter().flat_map(|(bucket, _)| {
        let forms = ["STREAM.INFO.KV_", "STREAM.MSG.GET.KV_", "DIRECT.GET.KV_"];
        let subjects = forms.into_iter().flat_map(move |form| [format!("{form}{bucket}"), format!("{form}{bucket}.>")]);
        subjects.flat_map(|subject| [format!("$JS.API.{subject}"), format!("watari.js.{subject}")])
    });
    Permissions {
        publish: ask.iter().map(|s| (*s).to_owned()).chain(reading).collect(),
        publish_not: not.iter().map(|s| (*s).to_owned()).chain(private).collect(),
        subscribe: ["_INBOX.>", subjects::EVENTS, subjects::FACTS, subjects::CAPACITIES].map(str::to_owned).to_vec(),
        answers: Answers::Never,
    }
}

fn of_service(service: Service) -> Permissions {
    let mut publish = vec![format!("$KV.{LEASES}.{}", service.name()), "$JS.API.INFO".to_owned()];
    publish.extend(opening(LEASES));
    publish.extend(reading(LEASES));
    for (bucket, _) in BUCKETS.iter().chain(PRIVATE).filter(|(_, owner)| *owner == service) {
        publish.push(format!("$KV.{bucket}.>"));
        publish.extend(opening(bucket));
    }
    publish.extend(read_by(service).flat_map(reading));
    publish.extend(PRIVATE.iter().filter(|(_, owner)| *owner == service).flat_map(|(bucket, _)| reading(bucket)));
    publish.extend(asked_by(service).into_iter().map(str::to_owned));
    publish.extend(ordered_by(service).iter().map(|verb| format!("watari.agent.*.{verb}")));
    if service == Service::Monitor {
        publish.push(subjects::CAPACITIES.to_owned());
    }
    publish.push(frontend::candidates(service));
    let mut subscribe: Vec<String> = served_by(service).iter().map(|s| (*s).to_owned()).collect();
    subscribe.extend(["$SRV.>", subjects::EVENTS, frontend::STANDING].map(str::to_owned));
    subscribe.push(frontend::candidates(service));
    subscribe.extend(heard_by(service).iter().map(|s| (*s).to_owned()));
    Permissions { publish, publish_not: vec![], subscribe, answers: Answers::Once }
}

fn served_by(service: Service) -> Vec<&'static str> {
    match service {
        Service::Scheduler => scheduler::SUBJECTS.to_vec(),
        Service::Image => image::SUBJECTS.to_vec(),
        Service::Network => [network::SUBJECTS, address::SUBJECTS, firewall::SUBJECTS].concat(),
        Service::Monitor => monitor::SUBJECTS.to_vec(),
        Service::NodeAgent => vec![],
    }
}

/// What a service asks of others, and of its own primary.
fn asked_by(service: Service) -> Vec<&'static str> {
    match service {
        Service::Scheduler => {
            // The monitor has the power controllers of nodes that are to be shut down, and come back.
            let power = monitor::PowerNode::SUBJECT;
            vec![
                network::AllocatePort::SUBJECT,
                network::ReplacePort::SUBJECT,
                network::ReleasePorts::SUBJECT,
                power,
                frontend::STANDING,
            ]
        }
        Service::Image => vec![image::ReportCopy::SUBJECT],
        // It watches the UPSes, and hears alerts.
        Service::Monitor => {
            vec![scheduler::TellPower::SUBJECT, scheduler::EvacuateSite::SUBJECT, scheduler::WithdrawOutage::SUBJECT]
        }
        Service::Network | Service::NodeAgent => vec![],
    }
}

/// Only the scheduler orders servers about; the network service lays their networks; the image service has
/// their disks copied; the monitor looks.
const fn ordered_by(service: Service) -> &'static [&'static str] {
    match service {
        Service::Scheduler => agent::VERBS,
        Service::Monitor => &[agent::ObserveAll::VERB, agent::TakeInventory::VERB],
        Service::Network => plan::VERBS,
        Service::Image => saving::VERBS,
        Service::NodeAgent => &[],
    }
}

/// What agents and the monitor tell.
const fn heard_by(service: Service) -> &'static [&'static str] {
    match service {
        Service::Scheduler => &[subjects::FACTS, subjects::INVENTORIES, subjects::CAPACITIES],
        Service::Monitor => &[subjects::BEATS, subjects::FACTS, subjects::INVENTORIES, probe::SEEN],
        Service::Image | Service::Network | Service::NodeAgent => &[],
    }
}

/// The buckets whose documents a service looks at, its own among them.
fn read_by(service: Service) -> impl Iterator<Item = &'static str> {
    BUCKETS.iter().map(|(bucket, _)| *bucket).filter(move |bucket| match service {
        Service::Scheduler | Service::Monitor => true,
        Service::Image => [Image::BUCKET, Vm::BUCKET, Node::BUCKET, Primacy::BUCKET].contains(bucket),
        Service::Network => {
            let own = [Network::BUCKET, Port::BUCKET, PublicAddress::BUCKET, Firewall::BUCKET];
            own.contains(bucket) || [Vm::BUCKET, Node::BUCKET, Primacy::BUCKET].contains(bucket)
        }
        Service::NodeAgent => false,
    })
}

/// Making a bucket, and bringing its settings up to date.
fn opening(bucket: &str) -> [String; 2] {
    ["CREATE", "UPDATE"].map(|verb| format!("$JS.API.STREAM.{verb}.KV_{bucket}"))
}

/// Reading and watching a bucket (NATS ADR-8, ADR-31, ADR-37).
fn reading(bucket: &str) -> Vec<String> {
    [
        "$JS.API.STREAM.INFO.KV_",
        "$JS.API.STREAM.MSG.GET.KV_",
        "$JS.API.DIRECT.GET.KV_",
        "$JS.API.DIRECT.GET.KV_|.>",
        "$JS.API.CONSUMER.CREATE.KV_",
        "$JS.API.CONSUMER.CREATE.KV_|.>",
        "$JS.API.CONSUMER.INFO.KV_|.*",
        "$JS.API.CONSUMER.DELETE.KV_|.*",
        "$JS.API.CONSUMER.MSG.NEXT.KV_|.*",
        "$JS.ACK.KV_|.>",
        "$JS.FC.KV_|.>",
    ]
    .map(|form| match form.split_once('|') {
        Some((head, tail)) => format!("{head}{bucket}{tail}"),
        None => format!("{form}{bucket}"),
    })
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_speaks_as_itself_only_and_touches_no_stream() {
        let role = Role::Agent { site: "myodaiji".parse().unwrap(), node: "m1".parse().unwrap() };
        let may = role.permissions("node-agent.m1");
        assert!(may.publish.iter().all(|s| s.ends_with(".myodaiji.m1") && !s.contains(['*', '>', '$'])), "{may:?}");
        assert_eq!(may.subscribe, ["_INBOX_node-agent-m1.>", "watari.agent.m1.>", "$SRV.>"]);
    }

    #[test]
    fn each_bucket_is_written_by_its_owner_and_by_nobody_else() {
        for (bucket, owner) in BUCKETS.iter().chain(PRIVATE) {
            for service in Service::OF_FRONT {
                let may = Role::Service(service).permissions("x.y");
                let writes = may.publish.iter().any(|s| s.starts_with(&format!("$KV.{bucket}.")));
                let shapes = may.publish.contains(&format!("$JS.API.STREAM.UPDATE.KV_{bucket}"));
                assert_eq!((writes, shapes), (service == *owner, service == *owner), "{service:?} {bucket}");
            }
        }
    }

    #[test]
    fn a_node_is_ordered_by_the_service_whose_verb_it_is_and_by_nobody_else() {
        let orders = |service| {
            let may = Role::Service(service).permissions("x.y");
            may.publish.into_iter().filter_map(|s| s.strip_prefix("watari.agent.*.").map(str::to_owned)).collect()
        };
        let of: [Vec<String>; 4] = Service::OF_FRONT.map(orders);
        let looking = vec!["observe-all", "inventory"];
        assert_eq!(of, [agent::VERBS.to_vec(), saving::VERBS.to_vec(), plan::VERBS.to_vec(), looking]);
    }

    #[test]
    fn of_what_people_ask_services_ask_only_for_nodes_power_and_tell_of_a_sites_power_and_peril() {
        let asks = |service| {
            let may = Role::Service(service).permissions("x.y");
            may.publish.into_iter().filter(|s| s.starts_with("watari.v1.")).collect()
        };
        let of: [Vec<String>; 4] = Service::OF_FRONT.map(asks);
        let tells = vec!["watari.v1.site.power", "watari.v1.site.evacuate", "watari.v1.outage.withdraw"];
        assert_eq!(of, [vec!["watari.v1.node.power"], vec![], vec![], tells]);
    }

    #[test]
    fn a_sites_power_is_told_without_waiting_for_an_answer_and_nothing_is_asked_for_that_way() {
        let told = [scheduler::TellPower::TOLD, scheduler::EvacuateSite::TOLD, scheduler::StopVm::TOLD];
        assert_eq!(told, [true, false, false]);
    }

    #[test]
    fn a_private_bucket_is_read_by_its_owner_and_by_nobody_else() {
        for (bucket, owner) in PRIVATE {
            assert!(!BUCKETS.iter().any(|(public, _)| public == bucket), "{bucket} would be told");
            let get = format!("$JS.API.DIRECT.GET.KV_{bucket}.>");
            for service in Service::OF_FRONT {
                let may = Role::Service(service).permissions("x.y");
                assert_eq!(may.publish.contains(&get), service == *owner, "{service:?} {bucket}");
            }
            for role in [Role::Administrator, Role::Operator, Role::Viewer] {
                let may = role.permissions("x");
                assert!(may.publish_not.contains(&get) && may.publish_not.contains(&detour(&get).unwrap()), "{role:?}");
            }
        }
    }

    #[test]
    fn who_makes_backups_answers_nobody_leads_nothing_and_orders_nobody() {
        let may = Role::Backup.permissions("x");
        assert_eq!((may.answers, may.subscribe), (Answers::Never, vec![inbox("x"), subjects::FACTS.to_owned()]));
        let beyond =
            |s: &&String| s.starts_with("watari.agent") || s.starts_with("$KV.leases") || s.contains("STREAM.UPDATE");
        assert_eq!(may.publish.iter().find(beyond), None);
        for (bucket, _) in BUCKETS.iter().chain(PRIVATE) {
            assert!(may.publish.contains(&format!("$JS.API.DIRECT.GET.KV_{bucket}.>")), "{bucket}");
        }
    }

    #[test]
    fn nobody_but_the_owner_holds_a_wildcard_that_reaches_a_bucket_or_an_agent() {
        for role in [Role::Administrator, Role::Operator, Role::Viewer] {
            let may = role.permissions("x");
            assert!(!may.publish.iter().any(|s| s.starts_with("$KV") || s.starts_with("watari.agent") || s == ">"));
            assert_eq!(role.account(), Account::People);
        }
        for service in Service::OF_FRONT {
            let may = Role::Service(service).permissions("x.y");
            assert!(!may.publish.iter().any(|s| s.starts_with('>') || s.starts_with('*') || s.starts_with("$KV.>")));
        }
    }

    #[test]
    fn who_may_touch_streams_and_servers_is_asked_nothing() {
        for role in [Role::Keeper, Role::KeeperOfServers] {
            let may = role.permissions("keeper.m-front");
            assert_eq!((may.subscribe.as_slice(), may.answers), (&[inbox("keeper.m-front")][..], Answers::Never));
        }
        for service in Service::OF_FRONT {
            let may = Role::Service(service).permissions("x.y");
            let touches = |s: &String| s.starts_with("$SYS") || s.contains("LEADER") || s.contains("SERVER");
            assert!(!may.publish.iter().any(touches), "{service:?}");
        }
    }

    #[test]
    fn an_administrator_may_ask_for_everything_and_an_operator_for_all_but_what_changes_the_cloud_itself() {
        let served: Vec<&str> = Service::OF_FRONT.iter().flat_map(|s| served_by(*s)).collect();
        let [administrator, operator] = [Role::Administrator, Role::Operator].map(|role| role.permissions("x"));
        assert_eq!(administrator.publish, operator.publish);
        for subject in ADMINISTERING {
            assert!(served.contains(subject) && !LOOKING.contains(subject), "{subject}");
        }
        for subject in served.iter().filter(|s| s.starts_with("watari.v1.")) {
            assert!(!administrator.publish_not.iter().any(|s| s == subject), "{subject}");
            let denied = operator.publish_not.iter().any(|s| s == subject);
            assert_eq!(denied, ADMINISTERING.contains(subject), "{subject}");
        }
    }

    #[test]
    fn an_operator_of_one_project_is_in_an_account_of_its_own_and_asks_for_servers_and_their_disks_alone() {
        let role = Role::OperatorOf { project: "research".parse().unwrap() };
        let account = role.account();
        assert_eq!(project_of(&account.name()), Some("research"));
        for other in [Account::Cloud, Account::People, Account::System] {
            assert_eq!(project_of(&other.name()), None, "{other:?}");
        }
        let may = role.permissions("x");
        assert!(!may.publish.iter().any(|s| s == subjects::REQUESTS || s.starts_with("$KV") || s.starts_with("$SRV")));
        for subject in OF_A_PROJECT {
            assert!(scheduler::SUBJECTS.contains(subject) && !LOOKING.contains(subject), "{subject}");
            assert!(may.publish.iter().any(|s| s == subject), "{subject}");
        }
        assert_eq!(may.publish_not, Role::Viewer.permissions("x").publish_not);
    }

    #[test]
    fn whatever_a_viewer_may_ask_exists_and_changes_nothing() {
        let served: Vec<&str> = Service::OF_FRONT.iter().flat_map(|s| served_by(*s)).collect();
        for subject in LOOKING {
            assert!(served.contains(subject), "{subject}");
            let verb = subject.rsplit('.').next().unwrap();
            assert!(["get", "list", "console-log", "screenshot", "rehearse"].contains(&verb), "{subject}");
        }
        for subject in served.iter().filter(|s| s.ends_with(".get") || s.ends_with(".list")) {
            assert!(LOOKING.contains(subject), "a viewer cannot look at {subject}");
        }
    }
}
