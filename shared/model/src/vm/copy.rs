//! A server whose node is lost, started from the copy of its disk at another node. What was written since the copy
//! is lost to it; whether it accepts that is its own policy, in seconds.
//!
//! ```text
//!  its node is off ─▶ Stopped ─▶ granted the copy: the lost node's disk is left behind, and is the newest
//!                                   ├▶ Starting, made of the copy's layers ─▶ Running ─▶ its disk as any other
//!                                   └▶ discarded, if it never ran: Stopped ─▶ granted back, once nothing of it is here
//! ```
//!
//! The copy is used once: what is asked for afterwards is a copy of what it has become. Discarding it counts the
//! generation up, so that a start that is still on its way comes too late once the copy's node was told to clear it away.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Desired, Grant, Leftover, Stack, State, Vm};
use crate::{NodeName, Timestamp};

/// What of a disk lies at another node, so that a server can stand on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Copied {
    /// Everything that was written before that moment is in it.
    pub as_of: Timestamp,
    /// Its frozen layers; what would be written to on top of them is not made yet.
    pub stack: Stack,
}

/// That a server was started from a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Restored {
    /// The node that was lost.
    pub from: NodeName,
    /// The generation under which it was first granted the copy.
    pub generation: u64,
    /// When.
    pub at: Timestamp,
    /// At most what was written in so many seconds was lost.
    pub lost_seconds: u64,
    /// What its disk is to be made of; none once it was seen running on that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<Stack>,
    /// Whether an operator has given that up for the disk of the node that was lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub discarded: bool,
}

impl Vm {
    /// The copy of its disk that lies at a node other than its own, and where. One from before its disk went back to
    /// a snapshot is of what nobody wants any more; and nothing is to run elsewhere while a start may come late.
    #[must_use]
    pub fn copy_elsewhere(&self) -> Option<(&NodeName, &Copied)> {
        let done = self.preseed.as_ref()?.done.as_ref().filter(|done| self.node() != Some(&done.node))?;
        let copy = done.copy.as_ref()?;
        let stands = self.snapshots.revert.as_ref().is_none_or(|revert| revert.asked_at < copy.as_of);
        let late = self.unseen.is_some_and(|generation| generation == self.generation());
        (stands && !late).then_some((&done.node, copy))
    }

    /// How much a start from that copy would lose, in whole seconds, rounded up: what was written since, up to the
    /// moment from which on the server is known to be off.
    #[must_use]
    pub fn copy_loss_seconds(&self, now: Timestamp) -> Option<u64> {
        let (_, copy) = self.copy_elsewhere()?;
        let until = if self.state == State::Stopped { self.changed_at } else { now };
        Some(until.millis_since(copy.as_of).div_ceil(1_000))
    }

    /// Whether it wants to run, and accepts losing what a start from that copy would lose.
    #[must_use]
    pub fn accepts_copy(&self, now: Timestamp) -> bool {
        let most = self.spec.restart_from_copy_seconds.map(|seconds| u64::from(seconds.get()));
        let loss = self.copy_loss_seconds(now);
        self.desired == Desired::Running && most.zip(loss).is_some_and(|(most, loss)| loss <= most)
    }

    /// Gives the grant to where the copy lies. What the lost node has stays written down as the newest.
    pub(super) fn take_copy(&mut self, now: Timestamp) -> bool {
        let (Some(lost_seconds), Some(old)) = (self.copy_loss_seconds(now), self.grant.clone()) else { return false };
        let done = self.preseed.as_mut().and_then(|preseed| preseed.done.as_mut());
        let Some((node, copy)) = done.and_then(|done| Some((done.node.clone(), done.copy.take()?))) else {
            return false;
        };
        let generation = old.generation + 1;
        self.grant = Some(Grant { node, generation });
        self.leftovers.retain(|leftover| leftover.node != old.node);
        self.leftovers.push(Leftover {
            node: old.node.clone(),
            generation: old.generation,
            since: now,
            migration: None,
            newest: true,
        });
        let (from, stack) = (old.node, Some(copy.stack));
        self.restored = Some(Restored { from, generation, at: now, lost_seconds, stack, discarded: false });
        self.fault = None;
        true
    }

    /// It runs: what its disk is made of is no more to be said.
    pub(super) fn stands_on_copy(&mut self) {
        if let Some(restored) = &mut self.restored {
            (restored.stack, restored.discarded) = (None, false);
        }
    }

    /// Where the disk lies that it had before it was granted a copy, if it was never seen running on that.
    #[must_use]
    pub fn disk_before_copy(&self) -> Option<&NodeName> {
        let restored = self.restored.as_ref().filter(|restored| restored.stack.is_some())?;
        let lies = |leftover: &Leftover| leftover.newest && leftover.node == restored.from;
        self.leftovers.iter().any(lies).then_some(&restored.from)
    }

    /// Whether it is off only until what there is of the copy is cleared away: nobody starts it meanwhile.
    #[must_use]
    pub fn is_going_back(&self) -> bool {
        let discarded = self.restored.as_ref().is_some_and(|restored| restored.discarded);
        self.state == State::Stopped && discarded && self.disk_before_copy().is_some()
    }

    /// Gives the copy up. Whatever was ordered of its node so far is of an older generation from now on.
    pub(super) fn discard_copy(&mut self) -> bool {
        if self.disk_before_copy().is_none() || self.is_going_back() {
            return false;
        }
        let (Some(restored), Some(grant)) = (&mut self.restored, &mut self.grant) else { return false };
        restored.discarded = true;
        grant.generation += 1;
        self.fault = None;
        self.take_size();
        true
    }

    /// Gives the grant back to the node that was lost, whose disk is the newest.
    pub(super) fn take_back(&mut self) -> bool {
        let Some(node) = self.disk_before_copy().filter(|_| self.is_going_back()).cloned() else { return false };
        self.leftovers.retain(|leftover| leftover.node != node);
        self.grant = Some(Grant { node, generation: self.generation() + 1 });
        (self.restored, self.fault) = (None, None);
        true
    }

    /// What its disk is to be made of, if it was granted a copy and has not been seen running on it.
    #[must_use]
    pub fn copy_to_start_from(&self) -> Option<&Stack> {
        self.restored.as_ref()?.stack.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::vm::{Change, Layer, Preseed, Restart, Seeded, tests::vm};

    /// It runs at `m1`, and a copy of its disk lies at `y1`, of ten seconds after it was made.
    fn copied() -> Vm {
        let mut mail = vm();
        let at = mail.created_at;
        mail.apply(Change::Granted("m1".parse().unwrap()), at).unwrap();
        mail.apply(Change::SeenRunning, at).unwrap();
        let layer = Layer { index: 0, sha256: Some("0a".repeat(32)), size_bytes: 4 };
        let copy =
            Copied { as_of: at.plus_millis(10_000), stack: Stack { layers: vec![layer], top: 1, marks: vec![] } };
        let to: NodeName = "y1".parse().unwrap();
        let done = Seeded { number: 1, node: to.clone(), at, bytes: 4, copy: Some(copy) };
        let (to, done) = (Some(to), Some(done));
        mail.preseed = Some(Preseed { number: 1, to, asked_at: at, done, fault: None, cancelled: false });
        mail
    }

    #[test]
    fn a_copy_is_accepted_up_to_the_second_that_the_policy_names_and_by_no_policy_never() {
        let mut mail = copied();
        let off = mail.created_at.plus_millis(70_001);
        mail.apply(Change::SeenOff, off).unwrap();
        let later = off.plus_millis(500_000);
        assert_eq!(
            mail.copy_loss_seconds(later),
            Some(61),
            "waiting loses nothing more, and a part counts as a second"
        );
        assert!(!mail.accepts_copy(later), "nobody has said so");
        mail.spec.restart_from_copy_seconds = NonZeroU32::new(60);
        assert!(!mail.accepts_copy(later));
        mail.spec.restart_from_copy_seconds = NonZeroU32::new(61);
        assert!(mail.accepts_copy(later));
        assert_eq!(mail.spec.restart, Restart::Always);
        mail.unseen = Some(1);
        assert!(!mail.accepts_copy(later), "its start may still come");
        mail.unseen = Some(0);
        assert!(mail.accepts_copy(later));
        mail.desired = Desired::Stopped;
        assert!(!mail.accepts_copy(later));
    }

    #[test]
    fn a_start_that_was_called_off_may_still_come_and_nothing_is_started_beside_it() {
        let mut mail = copied();
        let at = mail.created_at.plus_millis(20_000);
        mail.spec.restart_from_copy_seconds = NonZeroU32::new(60);
        mail.apply(Change::SeenOff, at).unwrap();
        assert!(mail.accepts_copy(at));
        for change in [Change::Granted("m1".parse().unwrap()), Change::StopAsked, Change::SeenOff] {
            mail.apply(change, at).unwrap();
        }
        assert!(!mail.accepts_copy(at));
        for change in [Change::Granted("m1".parse().unwrap()), Change::SeenRunning, Change::StopAsked, Change::SeenOff]
        {
            mail.apply(change, at).unwrap();
        }
        assert!(mail.accepts_copy(at), "that one has come");
    }

    #[test]
    fn a_copy_that_never_ran_is_given_up_for_what_the_lost_node_has_and_one_that_ran_is_not() {
        let granted = || {
            let mut mail = copied();
            let at = mail.created_at.plus_millis(60_000);
            assert!(mail.apply(Change::CopyDiscarded, at).is_err(), "it has none");
            mail.apply(Change::SeenOff, at).unwrap();
            mail.apply(Change::GrantedCopy, at).unwrap();
            (mail, at)
        };
        let (mut mail, at) = granted();
        assert!(mail.apply(Change::GrantedBack, at).is_err(), "nobody has given it up");
        mail.apply(Change::CopyDiscarded, at).unwrap();
        assert!(mail.apply(Change::CopyDiscarded, at).is_err(), "it is given up once");
        assert_eq!((mail.state, mail.node().map(NodeName::as_str), mail.generation()), (State::Stopped, Some("y1"), 3));
        for change in [Change::Granted("y1".parse().unwrap()), Change::GrantedCopy, Change::SeenRunning] {
            assert!(mail.apply(change, at).is_err(), "nothing runs meanwhile");
        }
        mail.apply(Change::GrantedBack, at).unwrap();
        assert_eq!((mail.state, mail.node().map(NodeName::as_str), mail.generation()), (State::Stopped, Some("m1"), 4));
        assert_eq!((&mail.restored, mail.leftovers.len(), mail.copy_to_start_from()), (&None, 0, None));
        assert!(mail.apply(Change::GrantedBack, at).is_err(), "it is back");
        mail.apply(Change::Granted("m1".parse().unwrap()), at).unwrap();

        let (mut ran, at) = granted();
        ran.apply(Change::SeenRunning, at).unwrap();
        ran.apply(Change::SeenOff, at).unwrap();
        assert_eq!(ran.disk_before_copy(), None);
        assert!(ran.apply(Change::CopyDiscarded, at).is_err(), "what it wrote since is there");

        let (mut gone, at) = granted();
        gone.leftovers.clear();
        assert!(gone.apply(Change::CopyDiscarded, at).is_err(), "there is nothing to go back to");

        let (mut lost, at) = granted();
        lost.apply(Change::CopyDiscarded, at).unwrap();
        lost.leftovers.clear();
        assert!(!lost.is_going_back() && lost.apply(Change::GrantedBack, at).is_err(), "that is lost for good by now");
        lost.apply(Change::Granted("y1".parse().unwrap()), at).unwrap();
        assert!(lost.copy_to_start_from().is_some(), "the copy is all that there is");
        lost.apply(Change::SeenRunning, at).unwrap();
        assert!(lost.restored.is_some_and(|restored| !restored.discarded), "it runs on it after all");
    }

    #[test]
    fn a_copy_is_used_once_and_what_the_lost_node_has_stays_the_newest() {
        let mut mail = copied();
        let at = mail.created_at.plus_millis(60_000);
        assert!(mail.apply(Change::GrantedCopy, at).is_err(), "it runs");
        mail.apply(Change::SeenOff, at).unwrap();
        mail.apply(Change::GrantedCopy, at).unwrap();
        assert_eq!(
            (mail.state, mail.node().map(NodeName::as_str), mail.generation()),
            (State::Starting, Some("y1"), 2)
        );
        let left = &mail.leftovers[0];
        assert_eq!((left.node.as_str(), left.generation, left.newest), ("m1", 1, true));
        let restored = mail.restored.clone().unwrap();
        assert_eq!((restored.from.as_str(), restored.generation, restored.lost_seconds), ("m1", 2, 50));
        assert!(mail.copy_to_start_from().is_some_and(|stack| stack.top == 1));
        // It did not come up at once: it is still to be made of that.
        mail.apply(Change::SeenOff, at).unwrap();
        assert!(mail.apply(Change::GrantedCopy, at).is_err(), "there is no other copy");
        mail.apply(Change::Granted("y1".parse().unwrap()), at).unwrap();
        assert!(mail.copy_to_start_from().is_some());
        mail.apply(Change::SeenRunning, at).unwrap();
        assert_eq!(
            (mail.copy_to_start_from(), mail.restored.as_ref().map(|restored| restored.lost_seconds)),
            (None, Some(50))
        );
    }
}
