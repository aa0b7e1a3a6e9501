//! The front ends' campaign: promotions, services killed where they lead, and the front end that leads lost, frozen or
//! cut off, under a steady load of requests that write; and nodes that are lost. How long that takes is told as a
//! distribution beside its bounds. What was acknowledged is there afterwards.
//!
//! | trial | what is measured |
//! | --- | --- |
//! | a promotion; a blow to the front end that leads | the longest that a request waited for its answer |
//! | one of the four services is killed, each in its turn | the same, of the requests to that service |
//! | the front end is lost, too | from its return until NATS has all its votes and copies again |
//! | a node is lost, alone or with the front end that leads | from the cut until a server of it begins to boot elsewhere, from the copy of its disk; by the defaults of the settings |

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;
use watari_contracts::Service;

use super::{
    healing,
    load::{Load, Wrote},
    measure::{Bounds, Measure, table},
    millis,
};
use crate::{
    chance::Chance,
    lab::front_of,
    scenarios::{
        Stage,
        copies::{self, Copied},
        off::Controller,
    },
};

/// What was in flight when the blow fell is answered, or never will be, by then.
const IN_FLIGHT: Duration = Duration::from_millis(500);
/// So many requests must be answered before it counts as over.
const ANSWERED: usize = 10;
/// The server whose node is to be lost. It waits for that one; beside it is one that has a copy elsewhere.
const VM: &str = "mail";

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Trial {
    /// The other front end is promoted.
    Promotion,
    /// One of the four services is killed where it leads, each in its turn; its NATS server lives.
    Killed,
    /// The front end that leads loses its power.
    Lost,
    /// All its processes are frozen, its NATS server among them.
    Frozen,
    /// Its campus is cut off.
    Cut,
    /// A node loses its power.
    Node,
    /// A node and its campus' front end, which leads, lose their power.
    NodeAndFront,
}

impl Trial {
    const ALL: [Self; 7] =
        [Self::Promotion, Self::Killed, Self::Lost, Self::Frozen, Self::Cut, Self::Node, Self::NodeAndFront];

    const fn name(self) -> &'static str {
        match self {
            Self::Promotion => "promotion: longest wait",
            Self::Killed => "service killed: longest wait",
            Self::Lost => "front end lost: longest wait",
            Self::Frozen => "front end frozen: longest wait",
            Self::Cut => "front end cut off: longest wait",
            Self::Node => "node lost: boots elsewhere",
            Self::NodeAndFront => "node and front end lost: boots elsewhere",
        }
    }

    fn bounds(self) -> Bounds {
        let most = |ms| Bounds { median_ms: None, p95_ms: None, most_ms: Some(ms) };
        match self {
            Self::Promotion => most(1_000),
            Self::Killed => most(5_000),
            Self::Lost | Self::Frozen | Self::Cut => {
                Bounds { median_ms: Some(12_000), p95_ms: Some(20_000), most_ms: None }
            }
            Self::Node => most(20_000),
            Self::NodeAndFront => most(35_000),
        }
    }

    const fn is_of_node(self) -> bool {
        matches!(self, Self::Node | Self::NodeAndFront)
    }
}

/// Until NATS is whole after a front end's return.
const RESTORED: Bounds = Bounds { median_ms: None, p95_ms: None, most_ms: Some(60_000) };

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Order {
    /// `deploy/lab`.
    pub lab: PathBuf,
    /// How often each is tried.
    pub runs: usize,
    /// Chooses when blows fall.
    pub seed: u64,
    /// What is tried; everything if it is empty.
    pub trials: Vec<Trial>,
}

/// One run of one trial. The field names are stable.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// What was tried.
    pub trial: Trial,
    /// From where the services were led.
    pub site: &'static str,
    /// The service that was killed, if that was what was tried.
    pub service: Option<Service>,
    /// What is judged by the trial's bounds, in milliseconds; none if it was not come to.
    pub took_ms: Option<u64>,
    /// From the front end's return until NATS was whole, in milliseconds.
    pub restored_ms: Option<u64>,
    /// Requests that were acknowledged.
    pub acknowledged: usize,
    /// Requests that nobody answered, however patiently.
    pub unanswered: u64,
    /// What was acknowledged and is not there.
    pub lost: Vec<String>,
    /// What went wrong.
    pub complaint: Option<String>,
    /// How everything stood then, before it was healed.
    pub stood: Option<String>,
}

impl Run {
    /// Whether every claim held that is not a matter of time.
    #[must_use]
    pub fn sound(&self) -> bool {
        self.complaint.is_none() && self.lost.is_empty() && self.unanswered == 0
    }
}

/// The whole campaign. The field names are stable.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    /// What chose the moments.
    pub seed: u64,
    /// How often each was to be tried.
    pub runs_wanted: usize,
    /// The distributions.
    pub measures: Vec<Measure>,
    /// All runs.
    pub runs: Vec<Run>,
    /// Why it ended before its time: the lab was not again as it was before a run.
    pub ended_early: Option<String>,
}

impl Account {
    fn of(order: &Order, trials: &[Trial], runs: Vec<Run>) -> Self {
        let taken = |trial: Trial| -> Vec<u64> {
            runs.iter().filter(|run| run.trial == trial).filter_map(|run| run.took_ms).collect()
        };
        let mut measures: Vec<Measure> =
            trials.iter().filter_map(|trial| Measure::of(trial.name(), taken(*trial), trial.bounds())).collect();
        let restored = runs.iter().filter_map(|run| run.restored_ms).collect();
        measures.extend(Measure::of("front end back: NATS whole", restored, RESTORED));
        Self { seed: order.seed, runs_wanted: order.runs * trials.len(), measures, runs, ended_early: None }
    }

    /// Whether all runs were made, every claim held in each, and every bound was kept.
    #[must_use]
    pub fn sound(&self) -> bool {
        self.ended_early.is_none()
            && self.runs.len() == self.runs_wanted
            && self.runs.iter().all(Run::sound)
            && self.measures.iter().all(|measure| measure.kept)
    }

    /// A table for people.
    #[must_use]
    pub fn table(&self) -> String {
        table(&self.measures)
    }
}

/// Tries everything in turn, so that a slow minute is one for all. A violated claim is in the account, not an error. After
/// each run `keep` is given what there is of the account.
///
/// # Errors
/// When the lab or the server is not there, or not well to begin with.
pub fn run(order: &Order, mut keep: impl FnMut(&Account)) -> anyhow::Result<Account> {
    let trials = if order.trials.is_empty() { Trial::ALL.to_vec() } else { order.trials.clone() };
    let stage = Stage::set(order.lab.clone())?;
    let node = node_of_myodaiji(&stage)?;
    let controller = Controller::configure(&stage, &node, "")?;
    controller.says("off")?;
    let mut chance = Chance::new(order.seed);
    let (mut runs, mut ended_early) = (Vec::new(), None);
    'campaign: for number in 0..order.runs {
        for trial in &trials {
            let site = site_of(*trial, number);
            let attempt = Attempt { stage: &stage, trial: *trial, site, killed: killed_in(number), node: &node };
            let copied = match attempt.prepare() {
                Ok(copied) => copied,
                Err(error) => {
                    ended_early = Some(format!("{error:#}"));
                    eprintln!("ended early: {error:#}\n{}", stage.look());
                    break 'campaign;
                }
            };
            let run = attempt.run(runs.len(), chance.millis(0, 2_000), copied.as_ref());
            let took = run.took_ms.map_or_else(|| "not come to".to_owned(), |ms| format!("{ms} ms"));
            let whom = run.service.map_or_else(String::new, |service| format!(" ({})", service.name()));
            eprintln!(
                "{}/{}: {}{whom} led from {}: {took}",
                runs.len() + 1,
                order.runs * trials.len(),
                trial.name(),
                run.site
            );
            if !run.sound() {
                eprintln!("WRONG: {:?} lost, {} unanswered, {:?}", run.lost, run.unanswered, run.complaint);
                eprintln!("{}", run.stood.clone().unwrap_or_else(|| stage.look()));
            }
            runs.push(run);
            keep(&Account::of(order, &trials, runs.clone()));
        }
    }
    if ended_early.is_none() {
        ended_early = stage.led_by("myodaiji").err().map(|error| format!("{error:#}"));
    }
    Ok(Account { ended_early, ..Account::of(order, &trials, runs) })
}

/// From where the services are led: both campuses take turns, but a front end that is lost beside a node is the node's.
const fn site_of(trial: Trial, number: usize) -> &'static str {
    if trial.is_of_node() || number.is_multiple_of(2) { "myodaiji" } else { "yamate" }
}

/// Which service is killed: each once in four runs. They begin with another each time, so that each is killed on both
/// campuses, which take turns, too.
const fn killed_in(number: usize) -> Service {
    let services = Service::OF_FRONT;
    services[(number + number / services.len()) % services.len()]
}

/// The longest wait that is judged: if a service was killed, that of the requests to it.
const fn longest_ms(killed: Option<Service>, wrote: &Wrote) -> u64 {
    if killed.is_some() { wrote.beside.longest_ms } else { wrote.waits.longest_ms }
}

/// Where the server runs, once it is at home.
fn node_of_myodaiji(stage: &Stage) -> anyhow::Result<String> {
    stage.until_nodes_ready()?;
    stage.ready(VM)?;
    stage.send_home(VM)?;
    stage.node_of(VM)
}

/// How a server went on whose node was lost.
struct Elsewhere {
    /// From the cut until it began to boot, in milliseconds.
    begun_ms: u64,
    /// Which boot that was.
    boot: String,
}

/// One run.
struct Attempt<'a> {
    stage: &'a Stage,
    trial: Trial,
    site: &'static str,
    /// The service that is to be killed if that is what is tried.
    killed: Service,
    node: &'a str,
}

impl Attempt<'_> {
    /// Everything stands as it should before the blow, whatever the run before has left. For a node that is a server
    /// there, too, whose disk was sent ahead.
    fn prepare(&self) -> anyhow::Result<Option<Copied>> {
        healing::everything(&self.stage.lab)?;
        self.stage.led_by(self.site)?;
        self.stage.until_nodes_ready()?;
        if !self.trial.is_of_node() {
            return Ok(None);
        }
        self.stage.ready(VM)?;
        copies::send_ahead(self.stage, self.node).map(Some)
    }

    fn run(&self, number: usize, before: Duration, copied: Option<&Copied>) -> Run {
        let service = (self.trial == Trial::Killed).then_some(self.killed);
        let load = Load::start(&self.stage.lab, &format!("f{number}"), service);
        thread::sleep(before);
        let struck = load.until_answered(ANSWERED).and_then(|()| self.strike(&load, copied));
        let stood = struck.is_err().then(|| self.stage.look());
        let healed = self.heal();
        let wrote = load.end();
        let stayed = match (copied, &struck) {
            (Some(copied), Ok(Some(elsewhere))) => self.stays(copied, elsewhere),
            _ => Ok(()),
        };
        let begun_ms = struck.as_ref().ok().and_then(Option::as_ref).map(|elsewhere| elsewhere.begun_ms);
        let restored_ms = healed.as_ref().ok().copied().flatten();
        let unwritten = wrote.as_ref().err().map(|error| anyhow::anyhow!("{error:#}"));
        let wrong = [struck.err(), healed.err(), stayed.err(), unwritten];
        let complaints: Vec<String> = wrong.into_iter().flatten().map(|error| format!("{error:#}")).collect();
        let (acknowledged, unanswered, waited_ms, lost) = match wrote {
            Ok(wrote) => {
                let unanswered = wrote.waits.failed + wrote.beside.failed;
                (wrote.acknowledged, unanswered, Some(longest_ms(service, &wrote)), wrote.lost)
            }
            Err(_) => (0, 0, None, Vec::new()),
        };
        Run {
            trial: self.trial,
            site: self.site,
            service,
            took_ms: if self.trial.is_of_node() { begun_ms } else { waited_ms },
            restored_ms,
            acknowledged,
            unanswered,
            lost,
            complaint: (!complaints.is_empty()).then(|| complaints.join("; ")),
            stood,
        }
    }

    /// Strikes, and waits until it is overcome; for a node, how its server with a copy went on.
    fn strike(&self, load: &Load, copied: Option<&Copied>) -> anyhow::Result<Option<Elsewhere>> {
        let (lab, front) = (&self.stage.lab, front_of(self.site));
        let cut = Instant::now();
        match self.trial {
            Trial::Promotion => {
                let other = if self.site == "myodaiji" { "yamate" } else { "myodaiji" };
                lab.watari(&["frontend", "promote", other, "--wait", "--wait-timeout", "30s"])?;
            }
            Trial::Killed => healing::kill(lab, front, &format!("watari-{}", self.killed.name()))?,
            Trial::Lost => drop(lab.run(&["power-off", front])?),
            Trial::Frozen => healing::freeze(lab, front)?,
            Trial::Cut => drop(lab.run(&["cut", self.site])?),
            Trial::Node => drop(lab.run(&["power-off", self.node])?),
            Trial::NodeAndFront => {
                lab.run(&["power-off", self.node])?;
                lab.run(&["power-off", front])?;
            }
        }
        if let Some(copied) = copied {
            copied.until_begun(self.stage)?;
            let begun_ms = millis(cut.elapsed());
            return Ok(Some(Elsewhere { begun_ms, boot: copied.came_up(self.stage, cut)? }));
        }
        thread::sleep(IN_FLIGHT);
        load.until_answered(ANSWERED)?;
        Ok(None)
    }

    /// Its node is back, and the server runs on from its copy.
    fn stays(&self, copied: &Copied, elsewhere: &Elsewhere) -> anyhow::Result<()> {
        self.stage.until_nodes_ready()?;
        copied.stayed(self.stage, &elsewhere.boot)
    }

    /// Gives everything its power and its links back; how long NATS took to be whole if a front end was lost.
    fn heal(&self) -> anyhow::Result<Option<u64>> {
        let back = Instant::now();
        healing::everything(&self.stage.lab)?;
        self.stage.until_whole()?;
        Ok((self.trial == Trial::Lost).then(|| millis(back.elapsed())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::Waits;

    fn run(trial: Trial, took_ms: u64) -> Run {
        Run {
            trial,
            site: "yamate",
            service: (trial == Trial::Killed).then_some(Service::Network),
            took_ms: Some(took_ms),
            restored_ms: (trial == Trial::Lost).then_some(9_000),
            acknowledged: 10,
            unanswered: 0,
            lost: Vec::new(),
            complaint: None,
            stood: None,
        }
    }

    #[test]
    fn an_account_is_sound_when_all_runs_were_made_and_every_bound_is_kept() {
        let order = Order { lab: PathBuf::new(), runs: 1, seed: 1, trials: Vec::new() };
        let trials = [Trial::Promotion, Trial::Lost];
        let account = |runs| Account::of(&order, &trials, runs);
        let good = account(vec![run(Trial::Promotion, 1_000), run(Trial::Lost, 12_000)]);
        assert!(good.sound(), "{}", good.table());
        assert_eq!(good.measures.len(), 3);
        assert!(!account(vec![run(Trial::Promotion, 1_000)]).sound(), "one was not made");
        assert!(!account(vec![run(Trial::Promotion, 1_001), run(Trial::Lost, 12_000)]).sound());
        let lost = Run { lost: vec!["load-f0-1".to_owned()], ..run(Trial::Promotion, 1) };
        assert!(!account(vec![lost, run(Trial::Lost, 1)]).sound());
        let unmended = Account { ended_early: Some("a node is away".to_owned()), ..good };
        assert!(!unmended.sound());
    }

    #[test]
    fn twenty_runs_kill_each_service_five_times_and_on_both_campuses() {
        for service in Service::OF_FRONT {
            let sites: Vec<&str> = (0..20)
                .filter(|number| killed_in(*number) == service)
                .map(|number| site_of(Trial::Killed, number))
                .collect();
            assert_eq!(sites.len(), 5, "{service:?}");
            assert!(sites.contains(&"myodaiji") && sites.contains(&"yamate"), "{service:?}: {sites:?}");
        }
    }

    #[test]
    fn a_killed_service_is_judged_by_the_requests_to_it() {
        let waits = |longest_ms| Waits { longest_ms, ..Waits::default() };
        let wrote =
            |written, beside| Wrote { acknowledged: 1, waits: waits(written), beside: waits(beside), lost: Vec::new() };
        assert_eq!(longest_ms(None, &wrote(7, 0)), 7);
        assert_eq!(longest_ms(Some(Service::Network), &wrote(7, 3)), 3);
        assert_eq!(longest_ms(Some(Service::Scheduler), &wrote(3, 7)), 7);
    }

    #[test]
    fn the_report_tells_which_service_was_killed() {
        let told = |trial| serde_json::to_value(run(trial, 1)).unwrap()["service"].clone();
        assert_eq!(told(Trial::Killed), "network");
        assert!(told(Trial::Lost).is_null());
    }
}
