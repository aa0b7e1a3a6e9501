//! The lease, checked state by state: two processes that compete, each at a front end of its own, and a store that
//! compares and sets. Where the test beside this tries long stories by chance, this tries all short ones.
//!
//! Both processes are real ([`Core`]). The store is what the majority of both front ends and the witness agrees on: a
//! write is made there or not, whoever is cut off from whom. So a cut link, a campus that goes dark and a message that
//! is lost are one thing here: a question that is not answered. What is made small:
//!
//! * Time goes in ticks, at which processes do what is due. A lease lasts three of them, and each clock may be wrong.
//! * An answer comes, does not come, or comes late; what its sender has given up may still be stored later.
//! * Reading may be answered by a replica that lags behind.
//! * A process may die and begin anew, and a lease may be given up for the other.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model, Property};

use super::{Core, Millis, Outcome, Record, Revision, Step};

const TTL: Millis = 120;
const TICK_MS: Millis = 40;
/// When the clocks begin.
const ORIGIN: Millis = 1_000;
const NAMES: [&str; 2] = ["m", "y"];
/// How many records a replica may lag behind, one more.
const RECORDS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Nothing,
    /// Who leads takes what it reads for a renewal.
    CountsReads,
    /// Who stands by does not wait until the lease has run out.
    ClaimsAtOnce,
    /// The store takes every write.
    NeverCompares,
}

#[derive(Clone, Copy, Debug)]
struct Competition {
    broken: Broken,
    /// How fast each clock goes, in percent.
    percent: [Millis; 2],
    ticks: u64,
    /// How many writes may be on their way whose senders do not wait for them any more.
    late: usize,
    hand_overs: u8,
    deaths: u8,
}

/// A write on its way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Put {
    expected: Revision,
    holder: Option<String>,
    epoch: Option<u64>,
    successor: Option<String>,
}

/// What a process waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Asked {
    step: Step,
    sent: Millis,
    gives_up: Millis,
    /// How a write ended that was not answered yet.
    outcome: Option<Outcome>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Side {
    core: Core,
    asked: Option<Asked>,
    /// The epoch under which it led last.
    epoch: u64,
}

/// A moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Scene {
    ticks: u64,
    /// The newest last.
    store: Vec<Record>,
    sides: [Side; 2],
    late: BTreeSet<Put>,
    hand_overs: u8,
    deaths: u8,
    /// The highest epoch under which anybody led.
    highest: u64,
    /// Whether a tenure had no newer epoch than one before it.
    repeated: bool,
    /// Whether the store took a renewal of another tenure than its newest.
    mixed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Tick,
    /// The question arrives and is answered, or the answer to what was stored before comes.
    Answer(usize),
    /// A replica that lags behind answers.
    AnswerOld(usize),
    /// A write is stored, and its answer is late.
    Store(usize),
    /// There is no answer.
    Fail(usize),
    /// There is none, and the write is stored later.
    FailLate(usize),
    Arrive(usize),
    Hear(usize),
    GiveWay(usize),
    Die(usize),
}

const ONE_LEADS: &str = "at most one leads";
const EPOCHS_GROW: &str = "each tenure has a newer epoch than all before it";
const ONE_WRITES: &str = "the store takes renewals of its newest tenure alone";
const TAKEN_OVER: &str = "the other leads";

impl Competition {
    fn new(broken: Broken) -> Self {
        let ticks = u64::try_from(bound("WATARI_MODEL_TICKS", 6)).unwrap();
        Self { broken, percent: [100, 100], ticks, late: 0, hand_overs: 0, deaths: 0 }
    }

    fn clock(self, side: usize, ticks: u64) -> Millis {
        ORIGIN + ticks * TICK_MS * self.percent[side] / 100
    }

    fn leads(self, scene: &Scene, side: usize) -> bool {
        scene.sides[side].core.deadline().is_some_and(|deadline| self.clock(side, scene.ticks) < deadline)
    }

    fn put(self, scene: &mut Scene, put: Put) -> Outcome {
        let newest = scene.store.last();
        let revision = newest.map_or(0, |record| record.revision);
        if put.expected != revision && self.broken != Broken::NeverCompares {
            return Outcome::Conflict;
        }
        let tenure = newest.map(|record| record.epoch.unwrap_or(record.revision));
        scene.mixed |= put.epoch.is_some() && put.epoch != tenure;
        let Put { holder, epoch, successor, .. } = put;
        scene.store.push(Record { revision: revision + 1, holder, epoch, successor });
        if scene.store.len() > RECORDS {
            scene.store.remove(0);
        }
        Outcome::Acknowledged(revision + 1)
    }

    /// A reading is answered.
    fn read(self, scene: &mut Scene, side: usize, record: Option<Record>, sent: Millis) {
        let now = self.clock(side, scene.ticks);
        let core = &mut scene.sides[side].core;
        let mine = record.as_ref().filter(|record| record.holder.as_deref() == Some(NAMES[side]));
        let mine = mine.map(|record| record.revision);
        match (self.broken, mine) {
            (Broken::CountsReads, Some(revision)) if core.deadline().is_some() => {
                core.on_written(Outcome::Acknowledged(revision), sent, now);
            }
            (Broken::ClaimsAtOnce, _) => {
                let free = record.map(|record| Record { holder: None, successor: None, ..record });
                core.on_read(free, sent, now);
            }
            _ => core.on_read(record, sent, now),
        }
    }

    /// No answer comes.
    fn fail(self, scene: &mut Scene, side: usize, asked: &Asked) {
        let now = self.clock(side, scene.ticks);
        let core = &mut scene.sides[side].core;
        match asked.step {
            Step::Write { .. } => core.on_written(Outcome::Unknown, asked.sent, now),
            Step::Read | Step::Wait { .. } => core.on_read_failed(now),
        }
    }

    /// What `side` waits for is over, and is handed out.
    fn taken(scene: &mut Scene, side: usize) -> Option<Asked> {
        scene.sides[side].asked.take()
    }

    fn happen(self, scene: &mut Scene, event: Event) -> Option<()> {
        match event {
            Event::Tick => scene.ticks += 1,
            Event::Answer(side) => {
                let asked = Self::taken(scene, side)?;
                let now = self.clock(side, scene.ticks);
                match written(side, &asked) {
                    Some(put) => {
                        let outcome = match asked.outcome {
                            Some(outcome) => outcome,
                            None => self.put(scene, put),
                        };
                        scene.sides[side].core.on_written(outcome, asked.sent, now);
                    }
                    None => {
                        let record = scene.store.last().cloned();
                        self.read(scene, side, record, asked.sent);
                    }
                }
            }
            Event::AnswerOld(side) => {
                let asked = Self::taken(scene, side).filter(|asked| asked.step == Step::Read)?;
                let record = scene.store.first().cloned();
                self.read(scene, side, record, asked.sent);
            }
            Event::Store(side) => {
                let asked = Self::taken(scene, side).filter(|asked| asked.outcome.is_none())?;
                let outcome = Some(self.put(scene, written(side, &asked)?));
                scene.sides[side].asked = Some(Asked { outcome, ..asked });
            }
            Event::Fail(side) => {
                let asked = Self::taken(scene, side)?;
                self.fail(scene, side, &asked);
            }
            Event::FailLate(side) => {
                let asked = Self::taken(scene, side).filter(|asked| asked.outcome.is_none())?;
                scene.late.insert(written(side, &asked)?);
                self.fail(scene, side, &asked);
            }
            Event::Arrive(which) => {
                let put = scene.late.iter().nth(which).cloned()?;
                scene.late.remove(&put);
                let _ = self.put(scene, put);
            }
            Event::Hear(side) => {
                let record = scene.store.last().cloned()?;
                let now = self.clock(side, scene.ticks);
                scene.sides[side].core.on_heard(record, now);
            }
            Event::GiveWay(side) => {
                scene.hand_overs = scene.hand_overs.checked_sub(1)?;
                let (expected, epoch) = scene.sides[side].core.release()?;
                let successor = Some(NAMES[1 - side].to_owned());
                scene.late.insert(Put { expected, holder: None, epoch: Some(epoch), successor });
                let now = self.clock(side, scene.ticks);
                scene.sides[side].core.gave_way(now);
            }
            Event::Die(side) => {
                scene.deaths = scene.deaths.checked_sub(1)?;
                let asked = Self::taken(scene, side).filter(|asked| asked.outcome.is_none());
                // What it has sent may still be stored.
                scene.late.extend(asked.and_then(|asked| written(side, &asked)));
                scene.sides[side].core = Core::new(NAMES[side].to_owned(), TTL, self.clock(side, scene.ticks));
            }
        }
        Some(())
    }

    /// Processes do what is due, and whoever begins to lead is noticed.
    fn follow(self, scene: &mut Scene) {
        for side in [0_usize, 1] {
            let now = self.clock(side, scene.ticks);
            let process = &mut scene.sides[side];
            if process.asked.is_none() {
                let step = process.core.step(now);
                if !matches!(step, Step::Wait { .. }) {
                    let gives_up = now + process.core.patience(now);
                    process.asked = Some(Asked { step, sent: now, gives_up, outcome: None });
                }
            }
            let epoch = process.core.leadership().epoch().unwrap_or(process.epoch);
            if epoch != process.epoch {
                process.epoch = epoch;
                scene.repeated |= epoch <= scene.highest;
                scene.highest = scene.highest.max(epoch);
            }
        }
    }
}

/// What a process writes, if that is what it waits for.
fn written(side: usize, asked: &Asked) -> Option<Put> {
    match asked.step {
        Step::Write { expected, epoch } => {
            Some(Put { expected, holder: Some(NAMES[side].to_owned()), epoch, successor: None })
        }
        Step::Read | Step::Wait { .. } => None,
    }
}

impl Model for Competition {
    type State = Scene;
    type Action = Event;

    /// The first leads, and the other has just read so.
    fn init_states(&self) -> Vec<Scene> {
        let fresh = |side: usize| Core::new(NAMES[side].to_owned(), TTL, ORIGIN);
        let (mut holder, mut standby) = (fresh(0), fresh(1));
        holder.on_read(None, ORIGIN, ORIGIN);
        holder.on_written(Outcome::Acknowledged(1), ORIGIN, ORIGIN);
        let record = Record { revision: 1, holder: Some(NAMES[0].to_owned()), epoch: None, successor: None };
        standby.on_read(Some(record.clone()), ORIGIN, ORIGIN);
        let sides = [Side { core: holder, asked: None, epoch: 1 }, Side { core: standby, asked: None, epoch: 0 }];
        vec![Scene {
            ticks: 0,
            store: vec![record],
            sides,
            late: BTreeSet::new(),
            hand_overs: self.hand_overs,
            deaths: self.deaths,
            highest: 1,
            repeated: false,
            mixed: false,
        }]
    }

    fn actions(&self, scene: &Scene, events: &mut Vec<Event>) {
        let room = scene.late.len() < self.late;
        let mut patient = true;
        for side in [0_usize, 1] {
            let Some(asked) = &scene.sides[side].asked else {
                if scene.hand_overs > 0 && room && self.leads(scene, side) {
                    events.push(Event::GiveWay(side));
                }
                continue;
            };
            patient &= self.clock(side, scene.ticks) < asked.gives_up;
            events.extend([Event::Answer(side), Event::Fail(side)]);
            match asked.step {
                Step::Write { .. } if asked.outcome.is_none() => {
                    events.push(Event::Store(side));
                    if room {
                        events.push(Event::FailLate(side));
                    }
                }
                Step::Write { .. } | Step::Wait { .. } => {}
                Step::Read if scene.store.len() > 1 => events.push(Event::AnswerOld(side)),
                Step::Read => {}
            }
        }
        // Nobody waits for longer than it has patience.
        if patient && scene.ticks < self.ticks {
            events.push(Event::Tick);
        }
        events.extend((0..scene.late.len()).map(Event::Arrive));
        for side in [0_usize, 1] {
            // Who waits for an answer listens to nothing else.
            if scene.sides[side].asked.is_none() {
                events.push(Event::Hear(side));
            }
            if scene.deaths > 0 && room {
                events.push(Event::Die(side));
            }
        }
    }

    fn next_state(&self, before: &Scene, event: Event) -> Option<Scene> {
        let mut scene = before.clone();
        self.happen(&mut scene, event)?;
        self.follow(&mut scene);
        (scene != *before).then_some(scene)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::<Self>::always(ONE_LEADS, |model, scene| !(model.leads(scene, 0) && model.leads(scene, 1))),
            Property::<Self>::always(EPOCHS_GROW, |_, scene| !scene.repeated),
            Property::<Self>::always(ONE_WRITES, |_, scene| !scene.mixed),
            Property::<Self>::sometimes(TAKEN_OVER, |model, scene| model.leads(scene, 1)),
        ]
    }
}

/// A bound, which the environment may move.
fn bound(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

/// Tries everything within the bounds, or until enough is found; which properties were decided, and by which events.
fn explore(model: Competition, enough: HasDiscoveries, most: usize) -> Vec<(&'static str, Vec<Event>)> {
    let checker = model.checker().finish_when(enough).target_state_count(most).spawn_bfs().join();
    let (distinct, tried, depth) = (checker.unique_state_count(), checker.state_count(), checker.max_depth());
    let all = if tried < most { "all of them" } else { "and no more" };
    println!("{model:?}: {distinct} moments by {tried} steps, {depth} deep, {all}");
    checker.discoveries().into_iter().map(|(name, path)| (name, path.into_actions())).collect()
}

/// More than it takes to find what is there to be found.
const ENOUGH_STEPS: usize = 400_000;

#[test]
fn at_most_one_leads_and_writes_whatever_is_cut_lost_or_late() {
    let usual = Competition::new(Broken::Nothing);
    let cases = [
        usual,
        Competition { percent: [95, 105], ..usual },
        Competition { late: 1, ..usual },
        Competition { late: 1, hand_overs: 1, ..usual },
        Competition { late: 1, deaths: 1, ..usual },
    ];
    for model in cases {
        let found = explore(model, HasDiscoveries::AnyFailures, bound("WATARI_MODEL_STEPS", 50_000));
        let broken: Vec<_> = found.iter().filter(|(name, _)| *name != TAKEN_OVER).collect();
        assert!(broken.is_empty(), "{model:?}: {broken:#?}");
    }
}

#[test]
fn the_other_comes_to_lead_when_the_first_is_not_heard_and_when_it_gives_way() {
    let usual = Competition::new(Broken::Nothing);
    for model in [usual, Competition { late: 1, hand_overs: 1, ..usual }] {
        let found = explore(model, HasDiscoveries::AnyOf([TAKEN_OVER].into()), ENOUGH_STEPS);
        assert!(found.iter().any(|(name, _)| *name == TAKEN_OVER), "{model:?} does less than it is to show");
    }
}

#[test]
fn each_rule_of_leading_that_is_switched_off_is_missed() {
    for broken in [Broken::CountsReads, Broken::ClaimsAtOnce, Broken::NeverCompares] {
        let enough = HasDiscoveries::AnyOf([ONE_LEADS].into());
        let found = explore(Competition::new(broken), enough, ENOUGH_STEPS);
        let story = found.iter().find(|(name, _)| *name == ONE_LEADS);
        assert!(story.is_some(), "{broken:?} breaks nothing: the model proves nothing");
    }
}
