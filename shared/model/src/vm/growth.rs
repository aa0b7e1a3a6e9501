//! How large a server is to be, and what of that comes true without a start.
//!
//! ```text
//!  resized, off ───────────────────────────▶ it is so
//!  resized, runs ─▶ pending ── seen off ───▶ it is so
//!                      └────── grown, runs ▶ that part is so; the rest stays pending
//! ```
//!
//! A running server's disk, number of processors and memory can grow, as far as it was started with places for more and
//! its guest takes it. What does not come true so waits for its next start. Nothing becomes smaller while it runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Desired, State, Vm};
use crate::Refusal;

/// How large a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Disk in GiB.
    pub disk_gib: u64,
}

/// A part of a server's size that can grow while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Growth {
    /// Its disk, to so many GiB.
    DiskGib(u64),
    /// Its virtual CPUs, to so many.
    Vcpus(u32),
    /// Its memory, to so many MiB.
    MemoryMib(u64),
}

impl Vm {
    /// What is kept free for it: enough for what it is and its snapshots, and for what it will be after its next start.
    #[must_use]
    pub fn claims(&self) -> Size {
        let now = self.spec.size();
        let then = self.pending.unwrap_or(now);
        Size {
            vcpus: now.vcpus.max(then.vcpus),
            memory_mib: now.memory_mib.max(then.memory_mib),
            disk_gib: self.most_disk_gib().saturating_add(self.snapshots.kept_gib()),
        }
    }

    /// How large its disk may be, in GiB: what is to grow while it runs may have grown before anybody has heard of it.
    #[must_use]
    pub fn most_disk_gib(&self) -> u64 {
        self.pending.map_or(0, |then| then.disk_gib).max(self.spec.disk_gib)
    }

    /// What of its pending size can come true while it runs, one after another.
    pub fn growing(&self) -> impl Iterator<Item = Growth> + use<> {
        let now = self.spec.size();
        let then = self.pending.unwrap_or(now);
        let disk = (then.disk_gib > now.disk_gib).then_some(Growth::DiskGib(then.disk_gib));
        let vcpus = (then.vcpus > now.vcpus).then_some(Growth::Vcpus(then.vcpus));
        let memory = (then.memory_mib > now.memory_mib).then_some(Growth::MemoryMib(then.memory_mib));
        [disk, vcpus, memory].into_iter().flatten()
    }

    /// Whether a part of its pending size is about to come true while it runs: it is wanted, nothing makes it start
    /// anew anyway, and nothing has been found in the way.
    #[must_use]
    pub fn grows_now(&self) -> bool {
        self.state == State::Running
            && self.desired == Desired::Running
            && self.reboots.asked == self.reboots.done
            && !self.growth_waits()
            && self.growing().next().is_some()
    }

    /// Whether it was found that a part of its pending size has to wait.
    #[must_use]
    pub fn growth_waits(&self) -> bool {
        matches!(self.fault, Some(Refusal::GrowthWaits { .. }))
    }

    /// Another size is another try.
    pub(super) fn want_size(&mut self, size: Size) {
        self.pending = (size != self.spec.size()).then_some(size);
        if self.growth_waits() {
            self.fault = None;
        }
    }

    /// It is off: what was to come true at its next start is so from now on.
    pub(super) fn take_size(&mut self) {
        if let Some(Size { vcpus, memory_mib, disk_gib }) = self.pending.take() {
            (self.spec.vcpus, self.spec.memory_mib, self.spec.disk_gib) = (vcpus, memory_mib, disk_gib);
        }
    }

    /// A part of what was to come is so already.
    pub(super) fn take_growth(&mut self, growth: Growth) {
        match growth {
            Growth::DiskGib(gib) => self.spec.disk_gib = self.spec.disk_gib.max(gib),
            Growth::Vcpus(vcpus) => self.spec.vcpus = self.spec.vcpus.max(vcpus),
            Growth::MemoryMib(mib) => self.spec.memory_mib = self.spec.memory_mib.max(mib),
        }
        let is = self.spec.size();
        self.pending = self.pending.filter(|then| *then != is);
        if self.growth_waits() {
            self.fault = None;
        }
    }
}
