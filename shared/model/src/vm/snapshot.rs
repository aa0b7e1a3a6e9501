//! Moments of a server's disk that have a name, to go back to.
//!
//! ```text
//!  asked ─▶ its node has frozen the disk: taken, up to a layer ─▶ forgotten
//!                                           │ revert asked, while it is off
//!                                           └─▶ what was written since, and the later names, are gone
//! ```
//!
//! The layers themselves are known by what agents report. What is here is which of them must stay apart: what a name
//! reaches to is merged with nothing that was written after it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Vm;
use crate::{Refusal, SnapshotName, Timestamp, image::Consistency, size::GIB};

/// Names that a server's disk has at most. Each keeps a layer to itself, and a disk stands on few.
pub const MOST_SNAPSHOTS: usize = 3;

/// All that are asked for or taken, and the last going back to one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Snapshots {
    /// Counts what was asked for, and names what is done for it.
    pub asked: u64,
    /// The oldest first, at most [`MOST_SNAPSHOTS`].
    pub list: Vec<Snapshot>,
    /// The last going back, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert: Option<Revert>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Differs from every other that this server ever had.
    pub number: u64,
    /// Its name.
    pub name: SnapshotName,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// What it is; none before it is taken.
    pub taken: Option<Taken>,
    /// Why it is not taken yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Refusal>,
}

/// A moment that the disk can be put back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Taken {
    /// The moment.
    pub at: Timestamp,
    /// The highest layer that belongs to it.
    pub layer: u32,
    /// What it is sure to hold.
    pub consistency: Consistency,
    /// What lies on the disk for it, with all below, in bytes.
    pub bytes: u64,
}

/// A disk that goes, or went, back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revert {
    /// Which of what was asked for this is.
    pub number: u64,
    /// To which name.
    pub to: SnapshotName,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a going back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is not over. Until then nobody starts the server.
    UnderWay,
    /// The disk is as it was then.
    Done,
    /// The disk is as it was before.
    Failed(Refusal),
}

impl Snapshots {
    /// Whether there never was anything.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        *self == Self::default()
    }

    /// The one of that name.
    #[must_use]
    pub fn get(&self, name: &SnapshotName) -> Option<&Snapshot> {
        self.list.iter().find(|snapshot| snapshot.name == *name)
    }

    /// The one that is to be taken next.
    #[must_use]
    pub fn due(&self) -> Option<&Snapshot> {
        self.list.iter().find(|snapshot| snapshot.taken.is_none())
    }

    /// The going back that is not over.
    #[must_use]
    pub fn reverting(&self) -> Option<&Revert> {
        self.revert.as_ref().filter(|revert| revert.outcome == Outcome::UnderWay)
    }

    /// What stays on the disk for all of them besides what the server writes, in GiB, rounded up.
    #[must_use]
    pub fn kept_gib(&self) -> u64 {
        let kept = self.list.iter().filter_map(|snapshot| snapshot.taken).map(|taken| taken.bytes);
        kept.max().unwrap_or(0).div_ceil(GIB)
    }

    /// The names that going back to this one takes away: those that were taken later.
    pub fn later_than(&self, number: u64) -> impl Iterator<Item = &Snapshot> {
        self.list.iter().filter(move |snapshot| snapshot.number > number)
    }

    fn numbered(&mut self) -> u64 {
        self.asked = self.asked.saturating_add(1);
        self.asked
    }

    /// It was taken, or why it is not.
    pub fn note(&mut self, number: u64, noted: Result<Taken, Refusal>) {
        let Some(snapshot) = self.list.iter_mut().find(|snapshot| snapshot.number == number) else { return };
        match noted {
            Ok(taken) => (snapshot.taken, snapshot.fault) = (Some(taken), None),
            Err(why) => snapshot.fault = Some(why),
        }
    }

    /// The going back is over. If it is done, the later names are gone.
    pub fn end_revert(&mut self, outcome: Outcome) {
        let Some(revert) = &mut self.revert else { return };
        if outcome == Outcome::Done
            && let Some(number) = self.list.iter().find(|snapshot| snapshot.name == revert.to).map(|to| to.number)
        {
            self.list.retain(|snapshot| snapshot.number <= number);
        }
        revert.outcome = outcome;
    }
}

impl Vm {
    /// Refuses what cannot be while its disk goes back.
    ///
    /// # Errors
    /// [`Refusal::DiskReverting`].
    pub fn keeps_its_disk(&self) -> Result<(), Refusal> {
        match self.snapshots.reverting() {
            Some(revert) => Err(Refusal::DiskReverting { vm: self.name.to_string(), snapshot: revert.to.to_string() }),
            None => Ok(()),
        }
    }

    /// How much its snapshots are counted with, in GiB: all that is kept for those that are taken, which grows no more.
    /// What one that is only asked for will keep nobody knows yet, but that it is no more than the disk.
    #[must_use]
    pub fn snapshots_gib(&self) -> u64 {
        let due = self.snapshots.list.iter().filter(|snapshot| snapshot.taken.is_none());
        due.fold(self.snapshots.kept_gib(), |all, _| all.saturating_add(self.most_disk_gib()))
    }

    /// The one of that name.
    ///
    /// # Errors
    /// [`Refusal::SnapshotUnknown`].
    pub fn snapshot(&self, name: &SnapshotName) -> Result<&Snapshot, Refusal> {
        let unknown = || Refusal::SnapshotUnknown { vm: self.name.to_string(), snapshot: name.to_string() };
        self.snapshots.get(name).ok_or_else(unknown)
    }

    /// Asks for its disk as it is to get a name.
    ///
    /// # Errors
    /// The name is taken, there are as many as there may be, or its disk goes back.
    pub fn ask_snapshot(&mut self, name: SnapshotName, now: Timestamp) -> Result<(), Refusal> {
        self.keeps_its_disk()?;
        let vm = self.name.to_string();
        if self.snapshots.get(&name).is_some() {
            return Err(Refusal::SnapshotExists { vm, snapshot: name.to_string() });
        }
        if self.snapshots.list.len() >= MOST_SNAPSHOTS {
            return Err(Refusal::SnapshotLimit { vm, most: MOST_SNAPSHOTS.to_string() });
        }
        let number = self.snapshots.numbered();
        self.snapshots.list.push(Snapshot { number, name, asked_at: now, taken: None, fault: None });
        Ok(())
    }

    /// Forgets a name. What is on the disk stays as it is.
    ///
    /// # Errors
    /// There is no such name, or its disk goes back.
    pub fn forget_snapshot(&mut self, name: &SnapshotName) -> Result<(), Refusal> {
        // Whoever mistypes a name is told that before anything else.
        let number = self.snapshot(name)?.number;
        self.keeps_its_disk()?;
        self.snapshots.list.retain(|snapshot| snapshot.number != number);
        Ok(())
    }

    /// Asks for its disk to go back to a name. That it is off is the caller's to know.
    ///
    /// # Errors
    /// There is no such name, one is not taken yet, or its disk goes back already.
    pub fn ask_revert(&mut self, name: &SnapshotName, now: Timestamp) -> Result<(), Refusal> {
        self.snapshot(name)?;
        self.keeps_its_disk()?;
        if let Some(due) = self.snapshots.due() {
            return Err(Refusal::SnapshotNotTaken { vm: self.name.to_string(), snapshot: due.name.to_string() });
        }
        let number = self.snapshots.numbered();
        let (to, asked_at, outcome) = (name.clone(), now, Outcome::UnderWay);
        self.snapshots.revert = Some(Revert { number, to, asked_at, outcome });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail() -> Vm {
        super::super::tests::vm()
    }

    fn name(name: &str) -> SnapshotName {
        name.parse().unwrap()
    }

    fn now() -> Timestamp {
        mail().created_at
    }

    fn take(vm: &mut Vm, called: &str, layer: u32) {
        vm.ask_snapshot(name(called), now()).unwrap();
        let number = vm.snapshots.due().unwrap().number;
        let bytes = (u64::from(layer) + 1) * GIB;
        vm.snapshots.note(number, Ok(Taken { at: now(), layer, consistency: Consistency::Crash, bytes }));
    }

    fn names(vm: &Vm) -> Vec<&str> {
        vm.snapshots.list.iter().map(|snapshot| snapshot.name.as_str()).collect()
    }

    #[test]
    fn a_name_is_taken_once_there_are_few_and_no_number_comes_again() {
        let mut vm = mail();
        assert!(vm.snapshots.is_blank());
        for (layer, called) in (0..).zip(["one", "two", "three"]) {
            take(&mut vm, called, layer);
        }
        assert_eq!(vm.claims().disk_gib, vm.spec.disk_gib + 3, "each has what is below it");
        assert_eq!(vm.most_disk_gib(), vm.spec.disk_gib, "its disk is no larger by that");
        assert_eq!(vm.snapshots_gib(), 3);
        assert!(matches!(vm.ask_snapshot(name("two"), now()), Err(Refusal::SnapshotExists { .. })));
        assert!(matches!(vm.ask_snapshot(name("four"), now()), Err(Refusal::SnapshotLimit { .. })));
        assert!(matches!(vm.forget_snapshot(&name("four")), Err(Refusal::SnapshotUnknown { .. })));
        vm.forget_snapshot(&name("three")).unwrap();
        assert_eq!(vm.snapshots_gib(), 2, "what the last one alone had is free");
        take(&mut vm, "three", 2);
        assert_eq!(vm.snapshots.get(&name("three")).unwrap().number, 4);
    }

    #[test]
    fn going_back_takes_the_later_names_along_and_only_once_it_is_done() {
        let mut vm = mail();
        for (layer, called) in (0..).zip(["one", "two", "three"]) {
            take(&mut vm, called, layer);
        }
        vm.ask_revert(&name("one"), now()).unwrap();
        assert_eq!(vm.snapshots.later_than(1).count(), 2);
        for refused in [
            vm.clone().ask_revert(&name("two"), now()),
            vm.clone().ask_snapshot(name("four"), now()),
            vm.clone().forget_snapshot(&name("one")),
        ] {
            assert!(matches!(refused, Err(Refusal::DiskReverting { .. })), "{refused:?}");
        }
        for mistyped in [vm.clone().forget_snapshot(&name("won")), vm.clone().ask_revert(&name("won"), now())] {
            assert!(matches!(mistyped, Err(Refusal::SnapshotUnknown { .. })), "{mistyped:?}");
        }
        let mut failed = vm.clone();
        failed.snapshots.end_revert(Outcome::Failed(Refusal::Internal { detail: "no disk".to_owned() }));
        assert_eq!((names(&failed).len(), failed.snapshots.reverting()), (3, None));
        vm.snapshots.end_revert(Outcome::Done);
        assert_eq!((names(&vm), vm.snapshots.reverting()), (vec!["one"], None));
        assert_eq!(vm.keeps_its_disk(), Ok(()));
    }

    #[test]
    fn nothing_goes_back_while_a_name_is_not_taken() {
        let mut vm = mail();
        take(&mut vm, "one", 0);
        vm.ask_snapshot(name("two"), now()).unwrap();
        assert_eq!(vm.snapshots_gib(), 1 + vm.most_disk_gib(), "it may be all of the disk");
        let why = Refusal::Internal { detail: "no disk".to_owned() };
        vm.snapshots.note(2, Err(why.clone()));
        assert_eq!(vm.snapshots.due().and_then(|due| due.fault.clone()), Some(why));
        assert!(matches!(vm.ask_revert(&name("one"), now()), Err(Refusal::SnapshotNotTaken { .. })));
        vm.forget_snapshot(&name("two")).unwrap();
        assert_eq!(vm.ask_revert(&name("one"), now()), Ok(()));
    }
}
