//! This node: the doors to everything outside the agent, in one place.

use std::sync::Arc;

use watari_contracts::agent::{Domain, Order};
use watari_model::{NodeName, Refusal, SiteName, VmName, size::GIB};

use crate::{
    consoles::Consoles,
    counts::Counts,
    facts::Facts,
    health::Examiner,
    hypervisor::{self, CacheMode, Hypervisor, Kind, VirtType},
    images::Images,
    isolation::Lessee,
    kept::KeptDisks,
    layers::Couriers,
    layout::Layout,
    plans::Plans,
    plumbing::Plumbing,
    room::{Need, Room},
    saving::Saves,
    settings::Settings,
    store::Journal,
    weights::Weights,
};

/// Everything that an operation needs.
pub struct Node {
    /// Its name.
    pub name: NodeName,
    /// Its site.
    pub site: SiteName,
    /// The configuration.
    pub settings: Settings,
    /// Where things are.
    pub layout: Layout,
    /// libvirt, QEMU and qemu-img.
    pub hypervisor: Hypervisor,
    /// How guests are run.
    pub virt: VirtType,
    /// How their disks are cached.
    pub cache: CacheMode,
    /// What must not be forgotten.
    pub journal: Journal,
    /// Until when servers run that stop when the node is cut off.
    pub lease: Lessee,
    /// What is told.
    pub facts: Arc<Facts>,
    /// Base images.
    pub images: Images,
    /// DHCP.
    pub plumbing: Plumbing,
    /// What belongs on its links.
    pub plans: Plans,
    /// Copies of servers' disks, for images.
    pub saves: Saves,
    /// Disks of deleted servers.
    pub kept: KeptDisks,
    /// Frozen layers of servers' disks, on their way to other nodes.
    pub couriers: Couriers,
    /// Servers' consoles that somebody has open.
    pub consoles: Consoles,
    /// Memory and disk that are spoken for.
    pub room: Room,
    /// What would travel of the servers here.
    pub weights: Weights,
    /// Who looks at the host.
    pub health: Examiner,
    /// What is counted.
    pub counts: Counts,
}

impl Node {
    /// Heeds an order unless its sender has been succeeded, and tells the epoch from then on.
    ///
    /// # Errors
    /// [`Refusal::Stale`] if a later epoch has been seen; the epoch is absurd, or cannot be written down.
    pub async fn heed(&self, order: &Order) -> Result<(), Refusal> {
        self.journal.heed_epoch(order.epoch).await?;
        self.facts.set_epoch(order.epoch);
        Ok(())
    }

    /// Claims room for a server, after dropping base images that nobody needs if that is what it takes.
    ///
    /// # Errors
    /// As [`Room::claim`].
    pub async fn claim(&self, vm: &VmName, uuid: &str, need: Need) -> Result<(), Refusal> {
        match self.room.claim(vm, uuid, need).await {
            Err(Refusal::DiskFull { .. }) => {
                self.clear(uuid, need.disk_gib).await;
                self.room.claim(vm, uuid, need).await
            }
            claimed => claimed,
        }
    }

    /// The same for a file beside a server's disk.
    ///
    /// # Errors
    /// As [`Room::claim_copy`].
    pub async fn claim_copy(&self, vm: &VmName, key: &str, disk_gib: u64) -> Result<(), Refusal> {
        match self.room.claim_copy(vm, key, disk_gib).await {
            Err(Refusal::DiskFull { .. }) => {
                self.clear(key, disk_gib).await;
                self.room.claim_copy(vm, key, disk_gib).await
            }
            claimed => claimed,
        }
    }

    async fn clear(&self, key: &str, disk_gib: u64) {
        self.images.make_room(self.room.promised_gib(key).saturating_add(disk_gib).saturating_mul(GIB)).await;
    }

    /// What the sender of an order is told when libvirt fails.
    #[must_use]
    pub fn refuse(&self, error: &hypervisor::Error) -> Refusal {
        if let hypervisor::Error::Untrusted { path, finding } = error {
            let (node, file) = (self.name.to_string(), path.display().to_string());
            return Refusal::DiskUntrusted { node, file, detail: finding.clone() };
        }
        let mut detail = error.to_string();
        // libvirt's own message is in the text already.
        let libvirt = matches!(error, hypervisor::Error::Libvirt { .. } | hypervisor::Error::ConnectionLost { .. });
        let mut cause = std::error::Error::source(error).filter(|_| !libvirt);
        while let Some(inner) = cause {
            let text = inner.to_string();
            if !detail.contains(&text) {
                detail = format!("{detail}: {text}");
            }
            cause = inner.source();
        }
        if error.kind() == Kind::Failed && detail.contains("No space left on device") {
            return Refusal::DiskFull { node: self.name.to_string(), detail };
        }
        Refusal::Hypervisor { node: self.name.to_string(), detail }
    }

    /// What the sender is told when the domain's state does not allow it.
    #[must_use]
    pub fn not_now(&self, vm: &VmName, state: &str, wanted: &str) -> Refusal {
        Refusal::AgentState {
            vm: vm.to_string(),
            node: self.name.to_string(),
            state: state.to_owned(),
            wanted: wanted.to_owned(),
        }
    }
}

/// The word for a domain's state in refusals.
#[must_use]
pub fn word(domain: Domain) -> &'static str {
    match domain {
        Domain::Absent => "absent",
        Domain::Running => "running",
        Domain::Paused => "paused",
        Domain::Incoming => "arriving",
        Domain::Off(_) => "off",
        Domain::Unknown => "unknown, since libvirt does not answer,",
    }
}
