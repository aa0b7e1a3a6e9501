//! The lab's fault campaign: for a set time, at random, links are cut, hosts lose their power, processes are killed or
//! stand still, disks are full, NATS is away or damaged, several at once, under steady requests and mails and now and
//! then a migration. After each healing it is looked from outside at what must hold:
//!
//! * every request that was acknowledged is there, and every mail that was accepted, but for what a server had not
//!   written when its own node lost its power;
//! * the dnsmasq of each server's node runs, and is told to hand it out the address that the books have;
//! * each server runs exactly once, where the books say; no two copies ever computed, no beacon was told twice, none
//!   missed what was on its disk; who did not lose its power is heard in the same boot; the disk is locked there alone;
//! * NATS has hardly more consumers than before the first fault: who had lost it came back once, not again and again;
//! * the books of capacity and addresses balance, every node is ready, one site leads, and NATS is whole.

mod blow;
mod books;
mod full_store;
mod judge;
mod post;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;

pub use self::blow::Kind;
use self::{blow::Blow, judge::Judge, post::Post};
use super::{healing, load::Load, millis};
use crate::{chance::Chance, lab::NODES, scenarios::Stage, users::Mails};

/// The servers that are looked at; the first one gets mail.
const VMS: [&str; 2] = ["mail", "web"];
/// How long everything may take where guests have to boot again, on a machine that is busy.
const BOOTING: Duration = Duration::from_secs(240);
/// How often a fault is drawn anew that would touch what another one does.
const DRAWS: usize = 20;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Order {
    /// `deploy/lab`.
    pub lab: PathBuf,
    /// For how long.
    pub minutes: u64,
    /// Chooses what strikes, where and when.
    pub seed: u64,
    /// What may strike; everything if it is empty.
    pub kinds: Vec<Kind>,
    /// At most so many faults strike at once.
    pub at_once: usize,
    /// How long it may take after the last fault of a round until everything holds again, where no guest has to boot.
    pub healing: Duration,
}

/// One fault as it is told.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// Its kind.
    pub kind: Kind,
    /// What befell whom.
    pub what: String,
    /// From its beginning until it was healed, in milliseconds; none of what is over at once.
    pub lasting_ms: Option<u64>,
    /// From an acknowledged request until it had fallen on everybody, in milliseconds, if one was waited for.
    pub after_answer_ms: Option<u64>,
}

/// Some faults at once, and what became of them. The field names are stable.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Round {
    /// The faults.
    pub faults: Vec<Told>,
    /// From where all services led just before the first one, if they did from one site.
    pub led_from: Option<String>,
    /// Where a server was sent meanwhile.
    pub migration: Option<String>,
    /// From the last one's end until everything held again, in milliseconds.
    pub healed_ms: u64,
    /// Requests that were acknowledged.
    pub acknowledged: usize,
    /// The longest that one waited, in milliseconds; who waited for half a minute gave up.
    pub longest_ms: u64,
    /// What was acknowledged and is not there.
    pub lost: Vec<String>,
    /// Mails that were accepted.
    pub mails: u64,
    /// Accepted and not found; none is counted where the server lost its power.
    pub mails_lost: u64,
    /// For how long two copies of a server computed, in milliseconds.
    pub overlap_ms: u64,
    /// How many beacons came from a second copy.
    pub told_twice: u64,
    /// How many beacons missed on their server's disk what had been written there.
    pub unwritten: u64,
    /// What went wrong, or was still wrong at the end of the time to heal.
    pub complaint: Option<String>,
}

impl Round {
    /// Whether every claim held.
    #[must_use]
    pub fn sound(&self) -> bool {
        let never = self.overlap_ms == 0 && self.told_twice == 0 && self.unwritten == 0;
        never && self.lost.is_empty() && self.mails_lost == 0 && self.complaint.is_none()
    }
}

/// The whole campaign. The field names are stable.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What chose.
    pub seed: u64,
    /// For how long it was to last.
    pub minutes: u64,
    /// How many faults there were.
    pub faults: usize,
    /// Of each kind.
    pub by_kind: BTreeMap<Kind, usize>,
    /// All rounds.
    pub rounds: Vec<Round>,
    /// Why it ended before its time, or that it has not ended.
    pub ended_early: Option<String>,
}

/// What stands in the report until the time is over.
const UNDER_WAY: &str = "it is under way";

impl Report {
    fn take(&mut self, round: Round) {
        self.faults += round.faults.len();
        for told in &round.faults {
            *self.by_kind.entry(told.kind).or_default() += 1;
        }
        self.rounds.push(round);
    }

    /// Whether there were faults, and every claim held after each.
    #[must_use]
    pub fn sound(&self) -> bool {
        self.faults > 0 && self.ended_early.is_none() && self.rounds.iter().all(Round::sound)
    }

    /// A table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::from(
            "| fault | how often | longest healing ms | rounds that were wrong |\n| --- | --- | --- | --- |\n",
        );
        for (kind, count) in &self.by_kind {
            let of = || self.rounds.iter().filter(|round| round.faults.iter().any(|told| told.kind == *kind));
            let longest = of().map(|round| round.healed_ms).max().unwrap_or_default();
            let wrong = of().filter(|round| !round.sound()).count();
            text += &format!("| {kind:?} | {count} | {longest} | {wrong} |\n");
        }
        let sum = |field: fn(&Round) -> u64| self.rounds.iter().map(field).sum::<u64>();
        text + &format!(
            "\n{} faults in {} rounds; {} requests acknowledged, {} lost; {} mails accepted, {} lost; two copies for {} ms.\n",
            self.faults,
            self.rounds.len(),
            sum(|round| round.acknowledged as u64),
            sum(|round| round.lost.len() as u64),
            sum(|round| round.mails),
            sum(|round| round.mails_lost),
            sum(|round| round.overlap_ms),
        )
    }
}

/// Strikes until the time is over: each kind once before any comes by chance alone. A violated claim is in the report, not
/// an error. After each round `keep` is given what there is of the report.
///
/// # Errors
/// When the lab or its servers are not there, or not well to begin with.
pub fn run(order: &Order, mut keep: impl FnMut(&Report)) -> anyhow::Result<Report> {
    let stage = Stage::set(order.lab.clone())?;
    for vm in VMS {
        stage.ready(vm)?;
    }
    let mut judge = Judge::new(&stage, &VMS)?;
    judge.until_sound(BOOTING)?;
    // What was noticed of the servers' own boots is no fault's.
    judge.doubles();
    judge.count_consumers()?;
    let kinds = weighed(&order.kinds);
    let waiting = kinds.iter().copied().collect();
    let chance = Chance::new(order.seed);
    let mut chaos = Chaos { stage: &stage, judge, chance, kinds, waiting, order };
    let ended_early = Some(UNDER_WAY.to_owned());
    let mut report = Report { seed: order.seed, minutes: order.minutes, ended_early, ..Report::default() };
    let until = Instant::now() + Duration::from_secs(order.minutes * 60);
    while Instant::now() < until {
        let round = chaos.round(report.rounds.len());
        let told: Vec<&str> = round.faults.iter().map(|told| told.what.as_str()).collect();
        eprintln!("{}: {}; whole after {} ms", report.rounds.len() + 1, told.join(", "), round.healed_ms);
        let sound = round.sound();
        if !sound {
            eprintln!("WRONG: {round:?}\n{}", stage.look());
        }
        report.take(round);
        keep(&report);
        if !sound && let Err(error) = chaos.mend() {
            report.ended_early = Some(format!("{error:#}"));
            return Ok(report);
        }
    }
    report.ended_early = None;
    Ok(report)
}

/// The kinds that may strike, each as often as it is to be drawn.
fn weighed(kinds: &[Kind]) -> Vec<Kind> {
    let wanted = |kind: &Kind| kinds.is_empty() || kinds.contains(kind);
    let weighed = Kind::WEIGHED.into_iter().filter(|(kind, _)| wanted(kind));
    weighed.flat_map(|(kind, weight)| std::iter::repeat_n(kind, weight)).collect()
}

/// Draws at least one fault and at most `most` that do not touch one another's hosts, of those that are `waiting` first.
/// What is to fall right after an answer falls first.
fn drawn(kinds: &[Kind], waiting: &BTreeSet<Kind>, most: usize, chance: &mut Chance) -> Vec<(Kind, Blow)> {
    let (mut blows, mut touched): (Vec<(Kind, Blow)>, _) = (Vec::new(), BTreeSet::new());
    let wanted = 1 + chance.below(most.max(1));
    for _ in 0..DRAWS {
        // Who waits in vain, since nothing is there to be struck, must not keep others away.
        let first: Vec<Kind> =
            waiting.iter().copied().filter(|kind| blows.iter().all(|(drawn, _)| drawn != kind)).collect();
        let from: &[Kind] = if first.is_empty() { kinds } else { &first };
        let Some(&kind) = from.get(chance.below(from.len())) else { break };
        let blow = Blow::draw(kind, chance);
        if blow.touches().iter().all(|place| !touched.contains(place)) {
            touched.extend(blow.touches());
            blows.push((kind, blow));
        }
        if blows.len() == wanted {
            break;
        }
    }
    blows.sort_by_key(|(kind, _)| *kind != Kind::Fronts);
    blows
}

/// Waits for an answer if a fault is to fall right after one; when it was there.
fn answered_before(kind: Kind, load: &Load) -> anyhow::Result<Option<Instant>> {
    if kind != Kind::Fronts {
        return Ok(None);
    }
    load.until_answered(1)?;
    Ok(Some(Instant::now()))
}

/// The faults of a round, once they have fallen.
#[derive(Default)]
struct Struck {
    /// In the order in which they fell: what is told of each that struck anybody, and when it began.
    told: Vec<Option<(Told, Instant)>>,
    /// How long the longest is to last.
    lasting: Duration,
    /// The servers that lost their power.
    dark: BTreeSet<&'static str>,
}

struct Chaos<'a> {
    stage: &'a Stage,
    judge: Judge<'a>,
    chance: Chance,
    kinds: Vec<Kind>,
    /// Those that have not struck yet.
    waiting: BTreeSet<Kind>,
    order: &'a Order,
}

impl Chaos<'_> {
    /// Some faults at once; then everything is healed and looked at.
    fn round(&mut self, number: usize) -> Round {
        let mut round = Round::default();
        let (name, lab) = (format!("c{:x}-{number}", std::process::id()), self.stage.lab.clone());
        let load = Load::start(&lab, &name, None);
        let post = self.stage.address(VMS[0]).and_then(|address| Ok(Post::start(&lab, address.parse()?, &name)));
        let mut wrong: Vec<String> =
            load.until_answered(1).err().map(|error| format!("{error:#}")).into_iter().collect();
        round.migration = self.send_away();
        thread::sleep(self.chance.millis(0, 3_000));

        let blows = drawn(&self.kinds, &self.waiting, self.order.at_once, &mut self.chance);
        round.led_from = lab.led_from().ok().flatten();
        let Struck { told, lasting, dark } = self.strike(&blows, &load, round.led_from.as_deref(), &mut wrong);
        thread::sleep(lasting);
        for ((_, blow), told) in blows.iter().zip(told) {
            wrong.extend(blow.heal(&lab).err().map(|error| format!("{blow} was not healed: {error:#}")));
            if let Some((told, began)) = told {
                let lasting_ms = blow.lasts().then(|| millis(began.elapsed()));
                round.faults.push(Told { lasting_ms, ..told });
            }
        }

        let ended = Instant::now();
        let patience = if dark.is_empty() { self.order.healing } else { self.order.healing.max(BOOTING) };
        wrong.extend(self.judge.until_sound(patience).err().map(|error| format!("{error:#}")));
        round.healed_ms = millis(ended.elapsed());
        match load.end() {
            Ok(wrote) => {
                (round.acknowledged, round.longest_ms, round.lost) =
                    (wrote.acknowledged, wrote.waits.longest_ms, wrote.lost);
            }
            Err(error) => wrong.push(format!("the requests: {error:#}")),
        }
        match post.and_then(Post::end) {
            Ok(Mails { sent, lost, .. }) => {
                round.mails = sent;
                round.mails_lost = if dark.contains(VMS[0]) { 0 } else { lost };
            }
            Err(error) => wrong.push(format!("the mails: {error:#}")),
        }
        let doubles = self.judge.doubles();
        (round.overlap_ms, round.told_twice, round.unwritten) =
            (doubles.overlap_ms, doubles.told_twice, doubles.unwritten);
        round.complaint = (!wrong.is_empty()).then(|| wrong.join("; "));
        round
    }

    /// Lets the faults of a round fall, one after another.
    fn strike(
        &mut self,
        blows: &[(Kind, Blow)],
        load: &Load,
        led_from: Option<&str>,
        wrong: &mut Vec<String>,
    ) -> Struck {
        let (lab, mut struck) = (&self.stage.lab, Struck::default());
        for (kind, blow) in blows {
            let darkened = blow.darkens();
            let there: Vec<&str> = VMS
                .into_iter()
                .filter(|vm| lab.copies(vm).iter().any(|(host, _)| darkened.contains(&host.as_str())))
                .collect();
            let answered = answered_before(*kind, load).unwrap_or_else(|error| {
                wrong.push(format!("before {blow}: {error:#}"));
                None
            });
            let began = Instant::now();
            let told = match blow.strike(lab, led_from) {
                Ok(true) => {
                    self.waiting.remove(kind);
                    let after_answer_ms = answered.map(|at| millis(at.elapsed()));
                    let told = Told { kind: *kind, what: blow.to_string(), lasting_ms: None, after_answer_ms };
                    Some((told, began))
                }
                Ok(false) => None,
                Err(error) => {
                    wrong.push(format!("{blow}: {error:#}"));
                    None
                }
            };
            struck.told.push(told);
            there.iter().for_each(|vm| self.judge.boots_again(vm));
            struck.dark.extend(there);
            struck.lasting = struck.lasting.max(blow.lasting(&mut self.chance, self.order.minutes));
        }
        struck
    }

    /// Sends a server to another node now and then. That it is refused is no fault of this campaign's.
    fn send_away(&mut self) -> Option<String> {
        let (vm, node, now) = (self.chance.pick(VMS), self.chance.pick(NODES), self.chance.below(2) == 0);
        let asked = now && self.stage.lab.watari(&["vm", "migrate", vm, "--to", node]).is_ok();
        asked.then(|| format!("{vm} to {node}"))
    }

    /// After a round that was wrong: everything again as it should be, or nothing that follows could be judged.
    fn mend(&mut self) -> anyhow::Result<()> {
        healing::everything(&self.stage.lab)?;
        for vm in VMS {
            self.judge.boots_again(vm);
        }
        self.judge.until_sound(BOOTING)?;
        self.judge.doubles();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// It takes more than an hour, and is therefore recorded.
    #[test]
    fn the_recorded_chaos_has_at_least_300_faults_of_all_kinds_and_every_claim_held() {
        let report: Value = serde_json::from_str(include_str!("../../reports/chaos.json")).unwrap();
        let rounds = report["rounds"].as_array().unwrap();
        let faults: usize = rounds.iter().map(|round| round["faults"].as_array().unwrap().len()).sum();
        assert!(faults >= 300 && report["faults"] == faults, "{faults} faults");
        // Older than the kind that freezes leaders is a report whose faults do not tell how long they lasted.
        let mut told = rounds.iter().flat_map(|round| round["faults"].as_array().unwrap());
        let is_older = !told.any(|fault| fault["lasting_ms"].is_u64());
        for (kind, _) in Kind::WEIGHED.into_iter().filter(|(kind, _)| !is_older || *kind != Kind::FreezeLeaders) {
            let kind = serde_json::to_value(kind).unwrap();
            assert!(report["by_kind"][kind.as_str().unwrap()].as_u64() > Some(0), "{kind} never came");
        }
        let sound = |round: &&Value| {
            let none = |field: &str| round[field].as_u64() == Some(0);
            let never = none("overlap_ms") && none("told_twice") && none("unwritten") && none("mails_lost");
            never && round["lost"].as_array().is_some_and(Vec::is_empty) && round["complaint"].is_null()
        };
        assert_eq!(rounds.iter().find(|round| !sound(round)), None);
        assert!(report["sound"] == true && report["ended_early"].is_null());
        assert!(report["command"].as_str().is_some_and(|command| command.starts_with("watari-campaign --chaos ")));
    }

    #[test]
    fn faults_of_one_round_do_not_touch_one_another_and_all_kinds_come() {
        let mut chance = Chance::new(11);
        let kinds = weighed(&[]);
        let mut seen = BTreeMap::<Kind, usize>::new();
        for _ in 0..500 {
            let blows = drawn(&kinds, &BTreeSet::new(), 3, &mut chance);
            assert!((1..=3).contains(&blows.len()));
            let touched: Vec<&str> = blows.iter().flat_map(|(_, blow)| blow.touches()).collect();
            assert_eq!(touched.iter().collect::<BTreeSet<_>>().len(), touched.len(), "{blows:?}");
            let after_an_answer = blows.iter().rposition(|(kind, _)| *kind == Kind::Fronts);
            assert!(after_an_answer.is_none_or(|place| place == 0), "{blows:?}");
            blows.iter().for_each(|(kind, _)| *seen.entry(*kind).or_default() += 1);
        }
        assert_eq!(seen.len(), Kind::WEIGHED.len(), "{seen:?}");
        assert!(seen[&Kind::Kill] > seen[&Kind::Bus]);
    }

    #[test]
    fn only_what_is_asked_for_strikes() {
        let mut chance = Chance::new(1);
        let kinds = weighed(&[Kind::Cut, Kind::Fill]);
        let of = |kind| matches!(kind, Kind::Cut | Kind::Fill);
        let nobody = BTreeSet::new();
        assert!((0..100).flat_map(|_| drawn(&kinds, &nobody, 3, &mut chance)).all(|(kind, _)| of(kind)));
    }

    #[test]
    fn every_kind_comes_within_a_few_rounds_and_one_that_finds_nothing_keeps_no_other_away() {
        let mut chance = Chance::new(5);
        let kinds = weighed(&[]);
        let mut waiting: BTreeSet<Kind> = kinds.iter().copied().collect();
        for _ in 0..Kind::WEIGHED.len() {
            for (kind, _) in drawn(&kinds, &waiting, 3, &mut chance) {
                waiting.remove(&kind);
            }
        }
        assert_eq!(waiting, BTreeSet::new());
        let waiting = BTreeSet::from([Kind::Fill]);
        let kinds: BTreeSet<Kind> =
            (0..100).flat_map(|_| drawn(&kinds, &waiting, 3, &mut chance)).map(|(kind, _)| kind).collect();
        assert!(kinds.contains(&Kind::Fill) && kinds.len() > 5, "{kinds:?}");
    }

    #[test]
    fn a_report_is_sound_when_every_round_is_and_counts_by_kind() {
        let told = |kind| Told { kind, what: String::new(), lasting_ms: None, after_answer_ms: None };
        let mut report = Report::default();
        assert!(!report.sound(), "nothing was tried");
        report.take(Round { faults: vec![told(Kind::Cut), told(Kind::Kill)], ..Round::default() });
        report.take(Round { faults: vec![told(Kind::Kill)], healed_ms: 7, ..Round::default() });
        assert!(report.sound());
        assert_eq!((report.faults, report.by_kind[&Kind::Kill]), (3, 2));
        assert!(report.table().contains("| Kill | 2 | 7 | 0 |"), "{}", report.table());
        report.take(Round { mails_lost: 1, ..Round::default() });
        assert!(!report.sound());
    }
}
