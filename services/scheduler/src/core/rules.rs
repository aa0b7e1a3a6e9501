//! The bounds within which is decided; all are configuration keys.

use watari_model::{NodeName, SiteName, vm::Size};

/// What one server takes, or one node has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Virtual CPUs.
    pub vcpus: u64,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Disk in GiB.
    pub disk_gib: u64,
}

impl Amount {
    /// What a server of this size takes.
    #[must_use]
    pub fn of(size: Size) -> Self {
        Self { vcpus: u64::from(size.vcpus), memory_mib: size.memory_mib, disk_gib: size.disk_gib }
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            vcpus: self.vcpus.saturating_add(other.vcpus),
            memory_mib: self.memory_mib.saturating_add(other.memory_mib),
            disk_gib: self.disk_gib.saturating_add(other.disk_gib),
        }
    }

    /// What is left; nothing rather than less than nothing.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self {
            vcpus: self.vcpus.saturating_sub(other.vcpus),
            memory_mib: self.memory_mib.saturating_sub(other.memory_mib),
            disk_gib: self.disk_gib.saturating_sub(other.disk_gib),
        }
    }
}

/// How many times more may be promised than there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overcommit {
    /// Of processors.
    pub cpu: f64,
    /// Of memory.
    pub memory: f64,
    /// Of disk.
    pub disk: f64,
}

/// What is done when something says that a site should be emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// It is shown.
    Tell,
    /// An outage is proposed, which an operator begins.
    Ask,
    /// An outage begins.
    Act,
}

/// What is done when a site's power changes. Times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerRules {
    /// Whether a site on battery is emptied.
    pub on_battery: Trigger,
    /// For how long it must have been on battery.
    pub battery_ms: u64,
    /// A battery that lasts no longer than this is not waited for.
    pub low_ms: u64,
    /// Whether what left because of it comes home.
    pub returns: bool,
    /// For how long the mains must have been back.
    pub mains_ms: u64,
}

impl Default for PowerRules {
    fn default() -> Self {
        Self { on_battery: Trigger::Tell, battery_ms: 60_000, low_ms: 300_000, returns: false, mains_ms: 300_000 }
    }
}

/// What is done about outages that are scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CalendarRules {
    /// How long before the power goes an outage begins at the latest, in milliseconds.
    pub lead_ms: u64,
    /// Whether one that is due begins; else an operator is told that it is.
    pub begins: bool,
    /// Whether what left comes home at the end.
    pub returns: bool,
}

impl Default for CalendarRules {
    fn default() -> Self {
        Self { lead_ms: 3_600_000, begins: true, returns: true }
    }
}

/// What is done when the power goes before everybody could have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadlineRules {
    /// Whether those that cannot leave before a battery is empty are suspended or shut down.
    pub stops: bool,
    /// Whether those are that cannot leave before a scheduled outage's power goes.
    pub stops_scheduled: bool,
    /// How long before the power goes they are, in milliseconds.
    pub stop_ms: u64,
    /// How many MiB of memory a node's disk takes each second; 0 suspends nobody.
    pub save_mib: u64,
}

impl Default for DeadlineRules {
    fn default() -> Self {
        Self { stops: true, stops_scheduled: false, stop_ms: 30_000, save_mib: 100 }
    }
}

/// What is done about disks that are sent ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreseedRules {
    /// How long before a scheduled outage a site's servers are sent ahead, in milliseconds; 0 leaves it to operators.
    pub lead_ms: u64,
    /// How long before it they are sent ahead once more.
    pub again_ms: u64,
    /// At most so many MiB a second for each; 0 is without bound.
    pub bandwidth_mib: u64,
    /// What holds less than so many MiB is not frozen.
    pub least_mib: u64,
}

impl Default for PreseedRules {
    fn default() -> Self {
        Self { lead_ms: 0, again_ms: 1_800_000, bandwidth_mib: 20, least_mib: 16 }
    }
}

/// What is done about the nodes of a site that goes dark on purpose. Times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DarkRules {
    /// Whether nodes are shut down in every outage of a site, unless somebody says otherwise of it.
    pub always: bool,
    /// How long a node may take from its order to shut down until it is seen to be off.
    pub off_ms: u64,
    /// How long it may take from its being switched on until it is heard and well.
    pub on_ms: u64,
}

impl Default for DarkRules {
    fn default() -> Self {
        Self { always: false, off_ms: 300_000, on_ms: 600_000 }
    }
}

/// What is done about overloaded nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReliefRules {
    /// The sites whose nodes are relieved.
    pub sites: Vec<SiteName>,
    /// By how much less busy than the node that is relieved a target must stay, in percent of what each has.
    pub margin_percent: u64,
    /// How long a server stays after it has moved, in milliseconds.
    pub rest_ms: u64,
    /// How long a site waits after a move, in milliseconds.
    pub pause_ms: u64,
}

impl Default for ReliefRules {
    fn default() -> Self {
        Self { sites: Vec::new(), margin_percent: 10, rest_ms: 3_600_000, pause_ms: 180_000 }
    }
}

/// Who is trusted to stop servers on a node that is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Only a hardware watchdog, which does so even if the node's agent is dead.
    Watchdog,
    /// The agent alone: a node whose agent is dead and that is not cordoned is taken for one that has stopped them.
    Agent,
}

/// All bounds. Times in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// How much more may be promised than there is.
    pub overcommit: Overcommit,
    /// Copies at the same time from one site to another.
    pub in_flight: usize,
    /// Migrations prepared ahead of those.
    pub ahead: usize,
    /// The next copy begins when the one before has so long left to send.
    pub overlap_ms: u64,
    /// At most so many MiB a second for each copy; 0 is without bound.
    pub bandwidth_mib: u64,
    /// The pause that QEMU may plan for; 0 is its own.
    pub downtime_ms: u64,
    /// A target that takes longer to prepare is given up.
    pub prepare_ms: u64,
    /// A copy that takes longer is given up.
    pub copy_ms: u64,
    /// How long a server that answered before its migration may take to answer after it.
    pub answer_ms: u64,
    /// How often a failed move is tried again within an evacuation.
    pub retries: u32,
    /// How long a return waits for nodes at home that are not there yet.
    pub return_wait_ms: u64,
    /// How long a server must have run elsewhere before its old disk is removed.
    pub leftover_ms: u64,
    /// How long after an unfinished answer an order is repeated.
    pub repeat_ms: u64,
    /// A node that said nothing for so long is silent.
    pub silent_ms: u64,
    /// How often a silent node is asked.
    pub poll_ms: u64,
    /// The longest pause between starts of a server that does not stay up.
    pub restart_ms: u64,
    /// How many finished migrations of a server are remembered.
    pub keep_migrations: usize,
    /// How many finished outages are remembered.
    pub keep_outages: usize,
    /// What is done about a site's power.
    pub power: PowerRules,
    /// What is done about outages that are scheduled.
    pub calendar: CalendarRules,
    /// What is done when the time is short.
    pub deadline: DeadlineRules,
    /// What is done about disks that are sent ahead.
    pub preseed: PreseedRules,
    /// What is done about the nodes of a site that goes dark.
    pub dark: DarkRules,
    /// What is done about overloaded nodes.
    pub relief: ReliefRules,
    /// The hosts of NATS servers, as front ends are and witnesses. They are not shut down from here.
    pub fronts: Vec<NodeName>,
    /// How long the control plane may take to move with an outage.
    pub handover_ms: u64,
    /// Whether it comes home with the servers.
    pub control_returns: bool,
    /// Who is trusted to stop servers on a node that is cut off.
    pub trust: Trust,
}

impl Rules {
    /// How many copies share a link, one at the least.
    pub(crate) fn flows(&self) -> u64 {
        u64::try_from(self.in_flight).unwrap_or(u64::MAX).max(1)
    }

    /// Bytes a second that each copy may send at the most; none if that has no bound.
    pub(crate) fn copy_bound(&self) -> Option<u64> {
        (self.bandwidth_mib > 0).then_some(self.bandwidth_mib << 20)
    }

    /// The same of all that share a link.
    pub(crate) fn bound(&self) -> Option<u64> {
        Some(self.copy_bound()?.saturating_mul(self.flows()))
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            overcommit: Overcommit { cpu: 8.0, memory: 1.0, disk: 2.0 },
            in_flight: 1,
            ahead: 1,
            overlap_ms: 4_000,
            bandwidth_mib: 0,
            downtime_ms: 100,
            prepare_ms: 600_000,
            copy_ms: 3_600_000,
            answer_ms: 15_000,
            retries: 3,
            return_wait_ms: 120_000,
            leftover_ms: 10_000,
            repeat_ms: 1_000,
            silent_ms: 15_000,
            poll_ms: 5_000,
            restart_ms: 60_000,
            keep_migrations: 20,
            keep_outages: 20,
            power: PowerRules::default(),
            calendar: CalendarRules::default(),
            deadline: DeadlineRules::default(),
            preseed: PreseedRules::default(),
            dark: DarkRules::default(),
            relief: ReliefRules::default(),
            fronts: Vec::new(),
            handover_ms: 60_000,
            control_returns: true,
            trust: Trust::Watchdog,
        }
    }
}
