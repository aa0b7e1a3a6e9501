//! The buckets: compare-and-set on revisions, and small documents to put in.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use watari_contracts::agent::{Domain, NodeFacts, Stack, VmFact};
use watari_model::{
    NodeName, ProjectName, Timestamp,
    image::{About, Format, Image, State as Stocked, Stored},
    migration::{Migration, Reason, State as Moved},
    network::{Kind, Network, Range, mac_of},
    node::{self, Inventory, Node, Protection, Virtualisation},
    outage::Outage,
    site::Site,
    vm::{Base, Desired, Evacuate, Nic, Reboots, Spec, State, Vm},
};

pub(crate) use crate::rehearsal::buckets::{Docs, delete, put};

/// All buckets, with one counter of revisions.
#[derive(Clone, Default)]
pub(crate) struct Documents {
    pub(crate) vms: Docs<Vm>,
    pub(crate) migrations: Docs<Migration>,
    pub(crate) outages: Docs<Outage>,
    pub(crate) sites: Docs<Site>,
    pub(crate) nodes: Docs<Node>,
    pub(crate) images: Docs<Image>,
    pub(crate) revision: u64,
}

pub(crate) fn at(ms: u64) -> Timestamp {
    Timestamp(OffsetDateTime::UNIX_EPOCH).plus_millis(ms)
}

pub(crate) fn vm(name: &str, memory_mib: u64) -> Vm {
    let number = name.bytes().fold(7_u64, |sum, b| sum.wrapping_mul(31).wrapping_add(u64::from(b)));
    Vm {
        v: 1,
        name: name.parse().unwrap(),
        uuid: format!("{:08x}-0000-4000-8000-000000000000", number & 0xffff_ffff),
        project: ProjectName::default(),
        spec: Spec {
            vcpus: 1,
            memory_mib,
            disk_gib: 2,
            base: Base {
                image: "mini".parse().unwrap(),
                sha256: "0".repeat(64),
                format: Format::Qcow2,
                firmware: Default::default(),
            },
            nics: Vec::new(),
            node_labels: BTreeMap::new(),
            groups: Vec::new(),
            firewalls: Vec::new(),
            probes: Vec::new(),
            after: Vec::new(),
            evacuate: Evacuate::Live,
            priority: 0,
            restart: watari_model::vm::Restart::Always,
            on_isolation: watari_model::isolation::OnIsolation::Keep,
            restart_from_copy_seconds: None,
            max_downtime_seconds: None,
            display: false,
            first_boot: watari_model::vm::FirstBoot::default(),
        },
        desired: Desired::Running,
        force_off: false,
        keep_disk: false,
        booted: false,
        home_site: "myodaiji".parse().unwrap(),
        state: State::Pending,
        grant: None,
        crossing: None,
        leftovers: Vec::new(),
        fault: None,
        pending: None,
        reboots: Reboots::default(),
        preseed: None,
        snapshots: watari_model::vm::Snapshots::default(),
        halt: None,
        guarded: None,
        unseen: None,
        restored: None,
        migrations: 0,
        requests: Vec::new(),
        created_at: at(0),
        changed_at: at(0),
    }
}

pub(crate) fn site(name: &str) -> Site {
    Site::new(name.parse().unwrap(), name.to_owned())
}

pub(crate) fn node(name: &str, site: &str, memory_mib: u64) -> Node {
    Node {
        v: 1,
        name: name.parse().unwrap(),
        site: site.parse().unwrap(),
        state: node::State::Ready,
        cordoned: false,
        off: None,
        fencing: None,
        strains: Default::default(),
        inventory: Inventory {
            vcpus: 8,
            memory_mib,
            disk_gib: 100,
            cpu_model: "qemu64".to_owned(),
            cpu_features: Vec::new(),
            libvirt: "11.3.0".to_owned(),
            qemu: "10.0.2".to_owned(),
            agent: "0.1.0".to_owned(),
            virtualisation: Virtualisation::Qemu,
            migration_address: format!("{name}.test"),
            segments: BTreeMap::from([("campus".parse().unwrap(), "br0".to_owned())]),
            segment_mtus: BTreeMap::from([("campus".parse().unwrap(), 1_500)]),
            vlans: None,
            protection: Protection::default(),
            labels: BTreeMap::new(),
            tunnel: None,
            health: None,
            host: node::Host::default(),
            images: Default::default(),
            disks: Default::default(),
            weights: Default::default(),
            carried: Default::default(),
        },
        first_seen_at: at(0),
        changed_at: at(0),
    }
}

/// A server's first migration, from m1 to y1, that an operator asked for and that has not begun.
pub(crate) fn migration(vm: &str) -> Migration {
    Migration {
        v: 1,
        id: format!("{vm}-1").parse().unwrap(),
        vm: vm.parse().unwrap(),
        from: name("m1"),
        to: name("y1"),
        reason: Reason::Operator,
        outage: None,
        state: Moved::Queued,
        request_id: None,
        trace: None,
        cancel_asked: false,
        measured: None,
        fault: None,
        created_at: at(0),
        copying_at: None,
        changed_at: at(0),
    }
}

/// What an agent says of a server that runs as it was granted.
pub(crate) fn runs(vm: &Vm) -> VmFact {
    VmFact {
        vm: vm.name.clone(),
        uuid: Some(vm.uuid.clone()),
        domain: Domain::Running,
        generation: vm.generation(),
        granted: true,
        disk: true,
        passage: None,
        stack: Stack::default(),
        still: None,
    }
}

/// What an agent says that has nothing.
pub(crate) fn facts(node: &str, site: &str) -> NodeFacts {
    NodeFacts {
        node: node.parse().unwrap(),
        site: site.parse().unwrap(),
        instance: "one".to_owned(),
        seq: 1,
        epoch: 1,
        hypervisor_answers: true,
        at: at(0),
        vms: BTreeMap::new(),
        layers: BTreeMap::new(),
        guard: None,
    }
}

pub(crate) fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

/// The image that every server of [`vm`] stands on, of 64 MiB, with copies at these sites.
pub(crate) fn image(sites: &[&str]) -> Image {
    let (sha256, bytes) = ("0".repeat(64), 64 << 20);
    Image {
        v: 1,
        name: "mini".parse().unwrap(),
        state: Stocked::Ready,
        about: About::default(),
        announced: None,
        asked_by: None,
        saved_from: None,
        stored: Some(Stored { sha256, format: Format::Qcow2, size_bytes: bytes, virtual_size_bytes: bytes }),
        copies: sites.iter().map(|site| (site.parse().unwrap(), at(0))).collect(),
        kept: BTreeMap::new(),
        fault: None,
        request_id: String::new(),
        created_at: at(0),
        changed_at: at(0),
    }
}

/// A network on the campus's own segment.
pub(crate) fn network(name: &str) -> Network {
    Network {
        v: 1,
        name: name.parse().unwrap(),
        kind: Kind::Provider,
        segment: "campus".parse().unwrap(),
        vlan: None,
        mtu: None,
        public: false,
        overlay: None,
        cidr: "203.0.113.0/24".parse().unwrap(),
        range: Range { first: [203, 0, 113, 100].into(), last: [203, 0, 113, 199].into() },
        excluded: Vec::new(),
        gateway: None,
        dns: Vec::new(),
        routes: Vec::new(),
        strangers: Vec::new(),
        ipv6: None,
        request_id: String::new(),
        created_at: at(0),
    }
}

/// A card on it, with an address that was drawn.
pub(crate) fn nic(network: &Network, number: u8) -> Nic {
    let address = [203, 0, 113, number].into();
    let (segment, mac) = (network.segment.clone(), mac_of(address));
    Nic { network: network.name.clone(), segment, mac, address, fixed: false, address6: None }
}
