//! What befalls the lab: drawn by chance, struck, and healed.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use serde::Serialize;

use super::full_store;
use crate::{
    campaign::healing,
    chance::Chance,
    lab::{Lab, NODES, VOTERS, front_of},
    scenarios::until,
};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A site's link is cut.
    Cut,
    /// The management links of half the nodes are cut.
    Links,
    /// A front end or the witness loses its power.
    Front,
    /// Both front ends lose their power, right after a request was acknowledged.
    Fronts,
    /// A node loses its power.
    Node,
    /// A process is killed.
    Kill,
    /// A process stands still.
    Freeze,
    /// The services that lead stand still for longer than their leases, and are woken; their NATS server goes on.
    FreezeLeaders,
    /// A node's disk is full.
    Fill,
    /// A front end's NATS server has no room left on its disk.
    FillStore,
    /// All NATS servers are stopped.
    Bus,
    /// A bit of one NATS server's store is flipped, or a block of it truncated.
    Damage,
}

impl Kind {
    /// All, each as often as it is to be drawn: what takes long to get over is drawn less.
    pub(super) const WEIGHED: [(Self, usize); 12] = [
        (Self::Cut, 4),
        (Self::Links, 3),
        (Self::Front, 3),
        (Self::Fronts, 1),
        (Self::Node, 2),
        (Self::Kill, 8),
        (Self::Freeze, 6),
        (Self::FreezeLeaders, 2),
        (Self::Fill, 3),
        (Self::FillStore, 1),
        (Self::Bus, 1),
        (Self::Damage, 1),
    ];
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Blow {
    Cut(&'static str),
    Links([&'static str; 2]),
    Power(Vec<&'static str>),
    Kill(&'static str, &'static str),
    Freeze(&'static str, &'static str),
    FreezeLeaders,
    Fill(&'static str),
    FillStore(&'static str),
    Bus,
    Damage(&'static str, Harm),
}

/// What is done to a store; the number chooses where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Harm {
    Flip(usize),
    Truncate(usize),
}

const SITES: [&str; 2] = ["myodaiji", "yamate"];
const HALVES: [[&str; 2]; 6] = [["m1", "m2"], ["y1", "y2"], ["m1", "y1"], ["m2", "y2"], ["m1", "y2"], ["m2", "y1"]];
const OF_FRONT: [&str; 5] = ["watari-scheduler", "watari-image", "watari-network", "watari-monitor", "nats-server"];
const OF_NODE: [&str; 3] = ["watari-node-agent", "libvirtd", DHCP];
/// What hands addresses out: a process for each network that has servers on the node, which the agent starts anew.
pub(super) const DHCP: &str = "dnsmasq";
/// Where a node's servers have their disks, and a host's NATS server its store.
pub(super) const DISKS: &str = "/var/lib/watari/disks";
pub(super) const STORE: &str = "/var/lib/nats";
/// The front ends.
const FRONTS: [&str; 2] = [VOTERS[0], VOTERS[1]];
/// A run of so many minutes is a long one, in which NATS is away for minutes, too.
const LONG_MINUTES: u64 = 30;
/// How long the last that uses a disk may take to let it go.
pub(super) const LET_GO: u64 = 60;

impl Blow {
    /// One of this kind.
    pub(super) fn draw(kind: Kind, chance: &mut Chance) -> Self {
        match kind {
            Kind::Cut => Self::Cut(chance.pick(SITES)),
            Kind::Links => Self::Links(chance.pick(HALVES)),
            Kind::Front => Self::Power(vec![chance.pick(VOTERS)]),
            Kind::Fronts => Self::Power(FRONTS.to_vec()),
            Kind::Node => Self::Power(vec![chance.pick(NODES)]),
            Kind::Kill => process(chance, Self::Kill),
            Kind::Freeze => process(chance, Self::Freeze),
            Kind::FreezeLeaders => Self::FreezeLeaders,
            Kind::Fill => Self::Fill(chance.pick(NODES)),
            Kind::FillStore => Self::FillStore(chance.pick(FRONTS)),
            Kind::Bus => Self::Bus,
            Kind::Damage => {
                let (host, place) = (chance.pick(VOTERS), chance.below(1 << 20));
                Self::Damage(host, chance.pick([Harm::Flip(place), Harm::Truncate(place)]))
            }
        }
    }

    /// What no other fault of the same moment may touch. A store is damaged or full while both others are whole and heard:
    /// a write that one of two has is acknowledged by no more.
    pub(super) fn touches(&self) -> Vec<&'static str> {
        match self {
            &Self::Cut(site) => vec![site],
            Self::Links(nodes) => nodes.to_vec(),
            Self::Power(hosts) => hosts.clone(),
            &(Self::Kill(host, _) | Self::Freeze(host, _) | Self::Fill(host)) => vec![host],
            // Who leads is known only when it strikes.
            Self::FreezeLeaders => FRONTS.to_vec(),
            Self::Bus => VOTERS.to_vec(),
            Self::FillStore(_) | Self::Damage(..) => VOTERS.into_iter().chain(SITES).collect(),
        }
    }

    /// How long it lasts in a run of so many minutes.
    pub(super) fn lasting(&self, chance: &mut Chance, minutes: u64) -> Duration {
        match self {
            Self::Bus if minutes >= LONG_MINUTES => chance.millis(60_000, 180_000),
            Self::Bus => chance.millis(15_000, 60_000),
            // Others lead by then: a lease holds for four seconds.
            Self::FreezeLeaders => chance.millis(6_000, 20_000),
            // It is noticed by writes alone.
            Self::FillStore(_) => chance.millis(5_000, 30_000),
            _ => chance.millis(500, 12_000),
        }
    }

    /// Whether it lasts until it is healed.
    pub(super) const fn lasts(&self) -> bool {
        !matches!(self, Self::Kill(..))
    }

    /// The nodes that lose their power by it, and with it what runs there.
    pub(super) fn darkens(&self) -> Vec<&'static str> {
        match self {
            Self::Power(hosts) => hosts.iter().copied().filter(|host| NODES.contains(host)).collect(),
            _ => Vec::new(),
        }
    }

    /// Strikes while all services lead from a site, if they do from one; whether there was anything to be struck.
    pub(super) fn strike(&self, lab: &Lab, led_from: Option<&str>) -> anyhow::Result<bool> {
        match self {
            &Self::Cut(site) => drop(lab.run(&["cut", site])?),
            Self::Links(nodes) => set_links(lab, nodes, "down")?,
            Self::Power(hosts) => all(lab, hosts, |host| vec!["power-off", host])?,
            // Who was killed just before may still be on the way back.
            Self::Kill(host, program) => return Ok(healing::kill(lab, host, program).is_ok()),
            Self::Freeze(host, program) => return Ok(healing::pause(lab, host, program).is_ok()),
            Self::FreezeLeaders => {
                let Some(site) = led_from else { return Ok(false) };
                healing::freeze_services(lab, front_of(site))?;
            }
            &Self::Fill(node) => {
                // A server's disk would only be hidden by what is mounted over it: its QEMU has it open, and room to write.
                if !files(&lab.file(node, DISKS), "qcow2")?.is_empty() {
                    return Ok(false);
                }
                let mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", DISKS];
                lab.run(&[&["exec", node, "--"], &mount[..]].concat())?;
            }
            Self::FillStore(host) => full_store::fill(lab, host)?,
            Self::Bus => all(lab, &VOTERS, |host| vec!["stop", host, "nats-server"])?,
            &Self::Damage(host, harm) => {
                lab.run(&["stop", host, "nats-server"])?;
                return damage(&lab.file(host, STORE), harm);
            }
        }
        Ok(true)
    }

    /// Makes good what [`Blow::strike`] did, also if that failed half-way.
    pub(super) fn heal(&self, lab: &Lab) -> anyhow::Result<()> {
        match self {
            &Self::Cut(site) => lab.run(&["heal", site]).map(drop),
            Self::Links(nodes) => set_links(lab, nodes, "up"),
            Self::Power(hosts) => all(lab, hosts, |host| vec!["power-on", host]),
            Self::Kill(..) => Ok(()),
            Self::Freeze(host, _) => {
                healing::thaw(lab, host);
                Ok(())
            }
            Self::FreezeLeaders => {
                FRONTS.iter().for_each(|front| healing::thaw(lab, front));
                Ok(())
            }
            &Self::Fill(node) => until(LET_GO, &format!("{node}'s disk is let go"), || {
                let mounted = lab.run(&["exec", node, "--", "mountpoint", "-q", DISKS]).is_ok();
                Ok(!mounted || lab.run(&["exec", node, "--", "umount", DISKS]).is_ok())
            }),
            Self::FillStore(host) => full_store::empty(lab, host),
            Self::Bus => all(lab, &VOTERS, |host| vec!["start", host, "nats-server"]),
            &Self::Damage(host, _) => lab.run(&["start", host, "nats-server"]).map(drop),
        }
    }
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(site) => write!(f, "{site} cut off"),
            Self::Links(nodes) => write!(f, "management links of {} cut", nodes.join(" and ")),
            Self::Power(hosts) => write!(f, "{} without power", hosts.join(" and ")),
            Self::Kill(host, program) => write!(f, "{program} on {host} killed"),
            Self::Freeze(host, program) => write!(f, "{program} on {host} frozen"),
            Self::FreezeLeaders => write!(f, "the services that lead frozen"),
            Self::Fill(node) => write!(f, "{node}'s disk full"),
            Self::FillStore(host) => write!(f, "the disk of {host}'s NATS server full"),
            Self::Bus => write!(f, "all NATS servers stopped"),
            Self::Damage(host, Harm::Flip(_)) => write!(f, "a bit flipped in the store of {host}"),
            Self::Damage(host, Harm::Truncate(_)) => write!(f, "a block truncated in the store of {host}"),
        }
    }
}

/// A process of ours on one of the hosts.
fn process(chance: &mut Chance, blow: fn(&'static str, &'static str) -> Blow) -> Blow {
    match chance.below(VOTERS.len() + NODES.len()) {
        2 => blow(VOTERS[2], "nats-server"),
        front @ 0..2 => blow(VOTERS[front], chance.pick(OF_FRONT)),
        node => blow(NODES[node - VOTERS.len()], chance.pick(OF_NODE)),
    }
}

/// Does the same to all hosts.
fn all<'a>(lab: &Lab, hosts: &[&'a str], act: impl Fn(&'a str) -> Vec<&'a str>) -> anyhow::Result<()> {
    hosts.iter().copied().try_for_each(|host| lab.run(&act(host)).map(drop))
}

fn set_links(lab: &Lab, nodes: &[&str], to: &str) -> anyhow::Result<()> {
    nodes
        .iter()
        .copied()
        .try_for_each(|node| lab.run(&["exec", node, "--", "ip", "link", "set", "mgmt0", to]).map(drop))
}

/// Flips a bit of one of the blocks of a store, or takes away half of it.
fn damage(store: &Path, harm: Harm) -> anyhow::Result<bool> {
    let (Harm::Flip(place) | Harm::Truncate(place)) = harm;
    let blocks = files(store, "blk")?;
    ensure!(!blocks.is_empty(), "{} holds no blocks", store.display());
    let path = &blocks[place % blocks.len()];
    let mut bytes = fs::read(path).with_context(|| path.display().to_string())?;
    match harm {
        Harm::Flip(place) => {
            let at = place % bytes.len();
            bytes[at] ^= 1_u8 << (place % 8);
        }
        Harm::Truncate(_) => bytes.truncate(bytes.len() / 2),
    }
    fs::write(path, bytes)?;
    Ok(true)
}

/// The files with this ending that hold anything, below a folder; sorted, so that a number means the same one again.
fn files(folder: &Path, ending: &str) -> anyhow::Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())?.flatten() {
            let (path, about) = (entry.path(), entry.metadata()?);
            if about.is_dir() {
                folders.push(path);
            } else if about.len() > 0 && path.extension().is_some_and(|e| e == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use watari_testkit::TempDir;

    use super::*;

    #[test]
    fn a_seed_draws_the_same_again_and_every_host_is_struck_sooner_or_later() {
        let drawn = |seed| {
            let mut chance = Chance::new(seed);
            let kinds = Kind::WEIGHED.iter().cycle().take(2_000);
            kinds.map(|(kind, _)| Blow::draw(*kind, &mut chance)).collect::<Vec<_>>()
        };
        assert_eq!(drawn(3), drawn(3));
        assert_ne!(drawn(3), drawn(4));
        let struck: BTreeSet<_> = drawn(3).iter().flat_map(Blow::touches).collect();
        assert_eq!(struck.len(), VOTERS.len() + NODES.len() + SITES.len());
        let killed: BTreeSet<_> = drawn(3)
            .into_iter()
            .filter_map(|blow| match blow {
                Blow::Kill(_, program) => Some(program),
                _ => None,
            })
            .collect();
        assert_eq!(killed, OF_FRONT.into_iter().chain(OF_NODE).collect::<BTreeSet<_>>());
    }

    #[test]
    fn leaders_stand_still_for_longer_than_their_leases_and_the_bus_is_away_for_minutes_in_a_long_run_alone() {
        let mut chance = Chance::new(2);
        let mut lasting =
            |blow: Blow, minutes| -> Vec<Duration> { (0..100).map(|_| blow.lasting(&mut chance, minutes)).collect() };
        let within = |times: Vec<Duration>, low, high| {
            times.iter().all(|time| (Duration::from_secs(low)..=Duration::from_secs(high)).contains(time))
        };
        assert!(within(lasting(Blow::FreezeLeaders, 5), 6, 20));
        assert!(within(lasting(Blow::Bus, 5), 15, 60));
        assert!(within(lasting(Blow::Bus, 76), 60, 180));
    }

    #[test]
    fn a_store_is_damaged_in_one_place_only() {
        let dir = TempDir::new();
        let block = dir.path().join("a/msgs/1.blk");
        fs::create_dir_all(block.parent().unwrap()).unwrap();
        fs::write(dir.path().join("a/msgs/index.db"), "untouched").unwrap();
        assert!(damage(dir.path(), Harm::Flip(5)).is_err(), "there is nothing to be damaged");
        let before = [7_u8; 100];
        fs::write(&block, before).unwrap();
        damage(dir.path(), Harm::Flip(205)).unwrap();
        let after = fs::read(&block).unwrap();
        let bits: u32 = before.iter().zip(&after).map(|(a, b)| (a ^ b).count_ones()).sum();
        assert_eq!((bits, after[5]), (1, 7 ^ (1 << 5)));
        damage(dir.path(), Harm::Truncate(0)).unwrap();
        assert_eq!(fs::read(&block).unwrap().len(), 50);
        assert_eq!(fs::read_to_string(dir.path().join("a/msgs/index.db")).unwrap(), "untouched");
    }
}
