//! The scheduler's side: the document, which orders it warrants, and what follows from what is known.
//!
//! What a document allows is the model's own (`Vm::apply`), what two words mean the crossing's ([`verdict`],
//! [`may_switch`]). When they are asked is told again here, from `crossing/mod.rs` and `crossing/ending.rs`, and more
//! freely: a migration may be given up at any time before its switch-over, and words may be as old as they like.

use watari_model::vm::{Change, State};

use super::{
    Broken, Protocol,
    world::{Ahead, Disk, Doc, Guest, HOME, Hand, Order, Place, Process, Stage, Verb, Way, Word, World, id, name},
};
use crate::core::{
    Both, Off,
    crossing::{Copy, Verdict, may_switch, verdict},
};

/// Bounds how often a grant is renewed. More than the bounds on faults and migrations let come.
const MOST_GENERATIONS: u64 = 9;

/// The orders that a document warrants.
fn warranted(doc: &Doc) -> Vec<Order> {
    let order = |verb: Verb, at: Place, migration: u64| Order { verb, at, migration, generation: doc.generation };
    match doc.crossing {
        None if doc.copy == Some(true) => vec![order(Verb::Remove, doc.at, 0)],
        None if doc.state == State::Starting => vec![order(Verb::Start, doc.at, 0)],
        None => {
            let mut orders = Vec::new();
            for (at, generation) in doc.left.iter().copied() {
                let clear = [Verb::Release, Verb::Remove];
                orders.extend(clear.map(|verb| Order { verb, at, migration: 0, generation }));
            }
            orders
        }
        Some(way) if way.switched => vec![order(Verb::Resume, way.to, 0)],
        Some(way) if way.abandoned => {
            vec![order(Verb::Discard, way.to, way.id), order(Verb::Abort, doc.at, way.id)]
        }
        Some(way) => vec![
            order(Verb::Receive, way.to, way.id),
            order(Verb::Send, doc.at, way.id),
            order(Verb::Abort, doc.at, way.id),
        ],
    }
}

impl World {
    /// The document is written. What was known of both sides was for what it said before.
    fn write(&mut self, doc: Doc) {
        self.orders.extend(warranted(&doc));
        self.hand = Hand::default();
        self.doc = doc;
    }

    /// The crossing that may still end either way.
    pub(super) fn undecided(&self) -> Option<Way> {
        self.doc.crossing.filter(|way| !way.switched && !way.abandoned)
    }

    fn holder(&self) -> &Guest {
        &self.guests[self.doc.at]
    }
}

impl Protocol {
    /// An operator has it moved to the other node.
    pub(super) fn begin(&self, world: &mut World) -> Option<()> {
        let doc = &world.doc;
        let to = 1 - doc.at;
        let ready = doc.crossing.is_none()
            && world.migrations < self.migrations
            && world.holder().process == Process::Running
            && world.holder().is_granted(doc.generation)
            && doc.left.iter().all(|(at, _)| *at != to);
        if !ready {
            return None;
        }
        let changed = doc.changed([Change::MigrationBegan { id: id(world.migrations + 1), to: name(to) }])?;
        world.migrations += 1;
        world.write(changed);
        Some(())
    }

    /// One side is asked, and its answer comes.
    pub(super) fn look(&self, world: &mut World, at: Place) -> Option<()> {
        let way = world.undecided()?;
        let source = world.holder();
        let took_part = source.passage.is_some_and(|(of, _)| of == way.id) || source.closed.contains(&way.id);
        let copying = world.flow.is_some_and(|flow| flow.stage == Stage::Copying && !flow.dead);
        // Nobody asks before there is a sign that the copy is over.
        if copying || !(took_part || source.process == Process::None) {
            return None;
        }
        let over = source.has_done(Verb::Send, way.id) || source.closed.contains(&way.id);
        if at == world.doc.at {
            world.hand.over = over && source.up && world.flow.is_none();
        }
        let there = &world.guests[at];
        world.hand.words[at] = if there.up { Word::Said(there.says()) } else { Word::Off };
        Some(())
    }

    /// What follows from both words.
    pub(super) fn judge(&self, world: &mut World) -> Option<()> {
        let way = world.undecided()?;
        let id = id(way.id);
        let (source, target) = (world.hand.words[world.doc.at], world.hand.words[way.to]);
        let both = Both {
            copy: if world.hand.over { Copy::Over } else { Copy::Unknown },
            source: source.fact(),
            target: target.fact(),
            off: Off { source: source == Word::Off, target: target == Word::Off },
        };
        let said = match (self.broken, source, target) {
            (Broken::AsksOnlyTarget, _, Word::Said(fact)) if fact.is_paused() => Verdict::Switch,
            (Broken::TakesAnyCopy, Word::Off, _) => Verdict::Switch,
            (Broken::TakesAnyCopy, Word::Said(fact), _) if fact.is_off() => Verdict::Switch,
            _ => verdict(&id, &both),
        };
        match said {
            Verdict::Switch if may_switch(&world.doc.vm(), &id) => {
                let changed = world.doc.changed([Change::Switched])?;
                // From here on the copy counts, whatever its source did after it was whole: where that was not
                // heard, it is lost.
                world.newest[way.to] |= world.whole == way.id;
                world.write(changed);
                Some(())
            }
            Verdict::GiveUp => self.abandon(world),
            Verdict::Switch | Verdict::Wait | Verdict::Double => None,
        }
    }

    /// A migration is given up: by an operator, for want of time, or by whoever leads with old copies.
    pub(super) fn abandon(&self, world: &mut World) -> Option<()> {
        world.undecided()?;
        let changed = world.doc.changed([Change::Abandoned])?;
        world.write(changed);
        Some(())
    }

    /// The source was left standing, and is to go on now that the copy is gone.
    pub(super) fn wake(&self, world: &mut World) -> Option<()> {
        let way = world.doc.crossing.filter(|way| way.abandoned)?;
        let (source, target) = (world.holder(), &world.guests[way.to]);
        let undone = source.has_done(Verb::Abort, way.id) && (target.has_done(Verb::Discard, way.id) || !target.up);
        let stands = source.up && source.process == Process::Paused && source.seen.generation >= world.doc.generation;
        if !undone || !stands || world.doc.generation >= MOST_GENERATIONS {
            return None;
        }
        let changed = world.doc.changed([Change::Regranted])?;
        world.write(changed);
        let (at, generation) = (world.doc.at, world.doc.generation);
        world.orders.insert(Order { verb: Verb::Resume, at, migration: 0, generation });
        Some(())
    }

    /// A migration is over.
    pub(super) fn end(&self, world: &mut World) -> Option<()> {
        let way = world.doc.crossing?;
        let (holder, target) = (world.holder(), &world.guests[way.to]);
        let changes = match holder.process {
            _ if !holder.up => return None,
            Process::Running if way.switched && holder.is_granted(world.doc.generation) => {
                vec![Change::MigrationEnded, Change::SeenRunning]
            }
            // The copy died before it ran; its agent knows that the disk is the server's now.
            Process::None if way.switched && holder.is_granted(world.doc.generation) => vec![Change::MigrationEnded],
            Process::Running | Process::None
                if way.abandoned && holder.has_done(Verb::Abort, way.id) && target.has_done(Verb::Discard, way.id) =>
            {
                vec![Change::MigrationEnded]
            }
            _ => return None,
        };
        let changed = world.doc.changed(changes)?;
        world.write(changed);
        Some(())
    }

    /// It is off, and started again where its disk is.
    pub(super) fn restart(&self, world: &mut World) -> Option<()> {
        let (doc, holder) = (&world.doc, world.holder());
        let tried = doc.state == State::Running || holder.is_granted(doc.generation);
        let off = holder.up && holder.process == Process::None;
        if doc.crossing.is_some() || !tried || !off || doc.generation >= MOST_GENERATIONS {
            return None;
        }
        let changed = doc.changed([Change::SeenOff, Change::Granted(name(doc.at))])?;
        world.write(changed);
        Some(())
    }

    /// Its node is off, and it is started from the copy at the other, whose disk counts from here on.
    pub(super) fn take_copy(&self, world: &mut World) -> Option<()> {
        let (doc, holder) = (&world.doc, world.holder());
        let proven = !holder.up || self.broken == Broken::TakesSilence;
        let lies_elsewhere = world.ahead == Ahead::Lies && doc.at == HOME;
        let empty = world.guests[1 - HOME].disk == Disk::None && doc.left.is_empty();
        if !lies_elsewhere || !proven || !empty || doc.crossing.is_some() || doc.state != State::Running {
            return None;
        }
        let changed = doc.with_copy([Change::SeenOff, Change::GrantedCopy])?;
        (world.newest, world.ahead) = ([false, true], Ahead::Granted);
        world.write(changed);
        Some(())
    }

    /// An operator gives the copy up, on which it was not seen running.
    pub(super) fn discard_copy(&self, world: &mut World) -> Option<()> {
        let changed = world.doc.changed([Change::CopyDiscarded])?;
        world.write(changed);
        Some(())
    }

    /// What there is of that copy is cleared away, as its agent has answered: it is started from the disk that it had.
    pub(super) fn go_back(&self, world: &mut World) -> Option<()> {
        let doc = &world.doc;
        let clear = Order { verb: Verb::Remove, at: doc.at, migration: 0, generation: doc.generation };
        if !world.holder().done.contains(&clear) && self.broken != Broken::GoesBackAtOnce {
            return None;
        }
        let changed = doc.changed([Change::GrantedBack, Change::Granted(name(HOME))])?;
        // The layers of the copy stay where they are.
        world.newest = [true, false];
        world.write(changed);
        Some(())
    }

    /// What was started is seen.
    pub(super) fn seen_running(&self, world: &mut World) -> Option<()> {
        let (doc, holder) = (&world.doc, world.holder());
        let runs = holder.up && holder.process == Process::Running && holder.is_granted(doc.generation);
        if doc.state != State::Starting || !runs {
            return None;
        }
        let changed = doc.changed([Change::SeenRunning])?;
        world.write(changed);
        Some(())
    }

    /// An old copy is gone, as its agent has answered.
    pub(super) fn forget(&self, world: &mut World) -> Option<()> {
        let gone = |(at, generation): &(Place, u64)| {
            let order = Order { verb: Verb::Remove, at: *at, migration: 0, generation: *generation };
            world.guests[*at].done.contains(&order)
        };
        let left: Vec<_> = world.doc.left.iter().copied().filter(|left| !gone(left)).collect();
        if world.doc.crossing.is_some() || left.len() == world.doc.left.len() {
            return None;
        }
        let changed = Doc { left, ..world.doc.clone() };
        world.write(changed);
        Some(())
    }
}
