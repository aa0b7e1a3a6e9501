//! Whether one server fits on one node, and the words for why not.

use std::collections::{BTreeMap, BTreeSet};

use watari_model::{
    GroupName, NodeName, Said, SegmentName, SiteName, VmName, filled,
    image::Firmware,
    network,
    node::{Enforcement, Node, Unlike},
    outage::Scope,
    said,
    vm::Company,
};

use super::{Need, Rooms, Supply, room::Room};

/// Why a server does not fit on a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unfit {
    Draining,
    Cordoned,
    Suspect,
    Lost,
    Here,
    OldDisk,
    Memory { free: u64, need: u64 },
    Vcpus { free: u64, need: u64 },
    Disk { free: u64, need: u64 },
    Segment(String),
    SegmentMtu { segment: String, mtu: u32 },
    Vlan,
    Tunnel(u32),
    Identity,
    Firewall,
    Uefi,
    Base,
    Label(String),
    Virtualisation,
    Processor,
    Apart(GroupName),
    Together(GroupName),
}

/// A node that would take a server, were some of those gone that stand there.
#[derive(Debug)]
pub(crate) struct Crowd {
    pub(crate) node: NodeName,
    /// What it has free for the server.
    pub(crate) free: super::Amount,
    /// Those there from whom the server keeps apart.
    pub(crate) apart: BTreeSet<VmName>,
}

impl Unfit {
    /// Reasons that differ only in numbers are told together.
    fn class(&self) -> Self {
        match self {
            Self::Memory { need, .. } => Self::Memory { free: 0, need: *need },
            Self::Vcpus { need, .. } => Self::Vcpus { free: 0, need: *need },
            Self::Disk { need, .. } => Self::Disk { free: 0, need: *need },
            other => other.clone(),
        }
    }

    const fn free(&self) -> u64 {
        match self {
            Self::Memory { free, .. } | Self::Vcpus { free, .. } | Self::Disk { free, .. } => *free,
            _ => 0,
        }
    }

    /// "it …" for a single node.
    pub(crate) fn of_one(&self) -> Said {
        let text = self.text(1, self.free());
        let en = if self.is_verb() { format!("it {text}") } else { format!("it is {text}") };
        Said::new(en, self.japanese(self.free()))
    }

    /// Whether the node is out of the question whatever the server needs.
    pub(super) const fn is_closed(&self) -> bool {
        matches!(self, Self::Draining | Self::Cordoned | Self::Suspect | Self::Lost | Self::Here)
    }

    /// Whether it would fit if it were smaller: a disk never becomes that.
    pub(super) const fn is_size(&self) -> bool {
        matches!(self, Self::Memory { .. } | Self::Vcpus { .. })
    }

    pub(super) const fn is_network(&self) -> bool {
        matches!(self, Self::Segment(_) | Self::SegmentMtu { .. } | Self::Vlan | Self::Tunnel(_))
    }

    const fn is_verb(&self) -> bool {
        matches!(self, Self::Here | Self::OldDisk | Self::Memory { .. } | Self::Vcpus { .. } | Self::Disk { .. })
    }

    fn text(&self, nodes: usize, most: u64) -> String {
        let (has, runs, keeps) = if nodes == 1 { ("has", "runs", "keeps") } else { ("have at most", "run", "keep") };
        match self {
            Self::Draining => "draining".to_owned(),
            Self::Cordoned => "cordoned".to_owned(),
            Self::Suspect => "suspect".to_owned(),
            Self::Lost => "lost".to_owned(),
            Self::Here => format!("{runs} it already"),
            Self::OldDisk => format!("{keeps} the disk that it had there when the node was lost"),
            Self::Memory { need, .. } => format!("{has} {most} MiB free of the {need} MiB needed"),
            Self::Vcpus { need, .. } => {
                let cpus = if most == 1 { "CPU" } else { "CPUs" };
                format!("{has} {most} virtual {cpus} free of the {need} needed")
            }
            Self::Disk { need, .. } => format!("{has} {most} GiB of disk free of the {need} GiB needed"),
            Self::Segment(segment) => format!("without a bridge for segment {segment}"),
            Self::SegmentMtu { segment, mtu } => {
                format!("without a bridge for segment {segment} that carries packets of {mtu} bytes")
            }
            Self::Vlan => "without VLANs in its kernel (module 8021q)".to_owned(),
            Self::Tunnel(mtu) => format!("without a tunnel for overlay packets of {mtu} bytes"),
            Self::Identity => "without rules that hold servers to their own addresses (nftables)".to_owned(),
            Self::Firewall => "without the means to enforce its firewall groups".to_owned(),
            Self::Uefi => "without UEFI firmware".to_owned(),
            Self::Base => "without its base image, which no front end has".to_owned(),
            Self::Label(label) => format!("without the label {label}"),
            Self::Virtualisation => "with another kind of virtualisation".to_owned(),
            Self::Processor => "with a processor that lacks what the present one has".to_owned(),
            Self::Apart(group) => format!("with another member of group {group}, which keeps apart"),
            Self::Together(group) => format!("without the other members of group {group}, which keeps together"),
        }
    }

    fn japanese(&self, most: u64) -> String {
        match self {
            Self::Draining => "退避中".to_owned(),
            Self::Cordoned => "受入停止中".to_owned(),
            Self::Suspect => "応答遅延".to_owned(),
            Self::Lost => "応答なし".to_owned(),
            Self::Here => "すでに実行中".to_owned(),
            Self::OldDisk => "ノード喪失時のディスクあり".to_owned(),
            Self::Memory { need, .. } => format!("メモリ不足 (空き {most} MiB、必要 {need} MiB)"),
            Self::Vcpus { need, .. } => format!("仮想 CPU 不足 (空き {most}、必要 {need})"),
            Self::Disk { need, .. } => format!("ディスク不足 (空き {most} GiB、必要 {need} GiB)"),
            Self::Segment(segment) => format!("セグメント {segment} 用のブリッジなし"),
            Self::SegmentMtu { segment, mtu } => {
                format!("{mtu} バイトのパケットを運べるセグメント {segment} 用のブリッジなし")
            }
            Self::Vlan => "カーネルに VLAN 機能 (モジュール 8021q) なし".to_owned(),
            Self::Tunnel(mtu) => format!("オーバーレイネットワークの {mtu} バイトのパケットを運べるトンネルなし"),
            Self::Identity => "サーバのなりすましを防ぐ規則 (nftables) なし".to_owned(),
            Self::Firewall => "ファイアウォールグループを適用する手段なし".to_owned(),
            Self::Uefi => "UEFI ファームウェアなし".to_owned(),
            Self::Base => "ベースイメージなし (どのフロントエンドにもなし)".to_owned(),
            Self::Label(label) => format!("ラベル {label} なし"),
            Self::Virtualisation => "仮想化の種類が異なる".to_owned(),
            Self::Processor => "現在のノードの CPU にある機能が不足".to_owned(),
            Self::Apart(group) => format!("別のノードに置くグループ {group} のサーバあり"),
            Self::Together(group) => format!("同じノードに置くグループ {group} のサーバなし"),
        }
    }
}

/// Of which site the nodes are that come into question, and why of no other if the server could run there as well.
fn those(need: &Need<'_>, site: &SiteName) -> Said {
    if need.source.is_none() && *site == need.vm.home_site {
        return said!(
            "those of site {site}, its home and the only one where it starts",
            "サイト {site} (本来の場所で、起動できるのはここだけです)"
        );
    }
    said!("those of site {site}", "サイト {site}")
}

/// One line: how many nodes come into question, of all if these are not all, of which site if they are of one, and what
/// is the matter with them.
pub(crate) fn explain(need: &Need<'_>, unfit: &[Unfit], all: usize, site: Option<&SiteName>) -> Said {
    if unfit.is_empty() {
        return Said::new("there is no node to choose from", "選べるノードがありません");
    }
    let mut classes: BTreeMap<Unfit, (usize, u64)> = BTreeMap::new();
    for why in unfit {
        let (count, most) = classes.entry(why.class()).or_default();
        *count += 1;
        *most = (*most).max(why.free());
    }
    let parts: Vec<String> = classes.iter().map(|(why, (n, most))| format!("{n} {}", why.text(*n, *most))).collect();
    let ja: Vec<String> = classes.iter().map(|(why, (n, most))| counted(*n, &why.japanese(*most))).collect();
    let (asked, parts, ja) = (unfit.len(), parts.join(", "), ja.join("、"));
    if let Some(site) = site.filter(|_| asked < all) {
        let Said { en: those, ja: those_ja } = those(need, site);
        return said!(
            "{asked} of {all} nodes in question, {those}: {parts}",
            "全 {all} 台のうち対象となる{those_ja} の {asked} 台について、{ja}"
        );
    }
    if asked < all {
        return said!(
            "{asked} of {all} nodes in question: {parts}",
            "全 {all} 台のうち対象となる {asked} 台について、{ja}"
        );
    }
    let nodes = if asked == 1 { "node" } else { "nodes" };
    said!("{asked} {nodes}: {parts}", "{asked} 台中 {ja}")
}

/// So many nodes, and what is the matter with them, in Japanese.
fn counted(nodes: usize, why: &str) -> String {
    filled("{nodes} 台は {why}", &[("nodes", nodes.to_string().as_str()), ("why", why)])
}

impl Rooms {
    /// Whether the server fits, everything considered.
    pub(crate) fn fit(&self, need: &Need<'_>, room: &Room) -> Result<(), Unfit> {
        allowed(need, room)?;
        self.has_base(need, room)?;
        self.company(need, room, &|_| false)?;
        enough(need, room)
    }

    /// Who and what keeps a server off a node that suits it otherwise; none if it is something else as well, or nothing.
    pub(super) fn crowd(&self, need: &Need<'_>, room: &Room) -> Option<Crowd> {
        allowed(need, room).ok()?;
        self.has_base(need, room).ok()?;
        let apart = need.vm.spec.groups.iter().filter(|membership| membership.company == Company::Apart);
        let members = apart.filter_map(|membership| room.members(&membership.group)).flatten();
        let apart: BTreeSet<VmName> = members.filter(|vm| *vm != need.name()).cloned().collect();
        self.company(need, room, &|vm| apart.contains(vm)).ok()?;
        if apart.is_empty() && enough(need, room).is_ok() {
            return None;
        }
        let kept = super::Amount { disk_gib: room.ahead_gib(need.name()), ..super::Amount::default() };
        Some(Crowd { node: room.node().name.clone(), free: room.free().plus(kept), apart })
    }

    /// Whether the node has, or can fetch, what the server's disk stands on.
    pub(super) fn has_base(&self, need: &Need<'_>, room: &Room) -> Result<(), Unfit> {
        match self.bases.supply(&need.vm.spec.base, room.node()) {
            Supply::Near | Supply::Far(_) => Ok(()),
            Supply::Nowhere => Err(Unfit::Base),
        }
    }

    /// Groups: apart from all others, together with those that are not leaving themselves. Who comes home does not wait
    /// elsewhere for its company, which may have to come after it.
    pub(super) fn company(&self, need: &Need<'_>, room: &Room, leaving: &dyn Fn(&VmName) -> bool) -> Result<(), Unfit> {
        let home = &need.vm.home_site;
        let comes_home = room.node().site == *home && need.vm.node().is_some();
        let holds = |other: &Room| !other.is_draining() && (!comes_home || other.node().site == *home);
        for membership in &need.vm.spec.groups {
            let group = &membership.group;
            let others = |room: &Room| {
                let members = room.members(group).into_iter().flatten();
                members.filter(|vm| *vm != need.name() && !leaving(vm)).count()
            };
            match membership.company {
                Company::Apart if others(room) > 0 => return Err(Unfit::Apart(group.clone())),
                Company::Together if others(room) == 0 && self.holders(group).any(|r| holds(r) && others(r) > 0) => {
                    return Err(Unfit::Together(group.clone()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What does not depend on how full the node is.
fn allowed(need: &Need<'_>, room: &Room) -> Result<(), Unfit> {
    suits(need, room)?;
    need.source.map_or(Ok(()), |source| compatible(source, room.node()))
}

/// The same but for the processor.
pub(super) fn suits(need: &Need<'_>, room: &Room) -> Result<(), Unfit> {
    let node = room.node();
    room.open()?;
    if need.source.is_some_and(|source| source.name == node.name) {
        return Err(Unfit::Here);
    }
    // Its files would have the same names.
    if need.vm.leftovers.iter().any(|leftover| leftover.newest && leftover.node == node.name)
        || node.inventory.disks.contains_key(&need.vm.uuid)
    {
        return Err(Unfit::OldDisk);
    }
    if let Some(segment) = need.segments.iter().find(|s| !node.inventory.segments.contains_key(**s)) {
        return Err(Unfit::Segment(segment.to_string()));
    }
    let carries = |segment: &SegmentName, mtu: u32| {
        node.inventory.segment_mtus.get(segment).is_some_and(|carried| *carried >= mtu)
    };
    if let Some((segment, mtu)) = need.segment_mtus.iter().find(|(segment, mtu)| !carries(segment, *mtu)) {
        return Err(Unfit::SegmentMtu { segment: segment.to_string(), mtu: *mtu });
    }
    if need.tagged && node.inventory.vlans.is_none() {
        return Err(Unfit::Vlan);
    }
    let carried = node.inventory.tunnel.map_or(0, |tunnel| tunnel.mtu.saturating_sub(network::ENCAPSULATION));
    if let Some(mtu) = need.tunnel_mtu.filter(|mtu| *mtu > carried) {
        return Err(Unfit::Tunnel(mtu));
    }
    if node.inventory.protection.lets_guests_lie() {
        return Err(Unfit::Identity);
    }
    if !need.vm.spec.firewalls.is_empty() && node.inventory.protection.firewall != Enforcement::Enforced {
        return Err(Unfit::Firewall);
    }
    if need.vm.spec.base.firmware == Firmware::Uefi && !node.inventory.host.uefi {
        return Err(Unfit::Uefi);
    }
    if let Some((key, value)) = need.vm.spec.node_labels.iter().find(|(k, v)| node.inventory.labels.get(*k) != Some(v))
    {
        return Err(Unfit::Label(format!("{key}={value}")));
    }
    Ok(())
}

/// Whether a guest that was started on `source` can go on living on `target`.
pub(super) fn compatible(source: &Node, target: &Node) -> Result<(), Unfit> {
    target.inventory.processor().takes_over(source.inventory.processor()).map_err(|unlike| match unlike {
        Unlike::Virtualisation => Unfit::Virtualisation,
        Unlike::Processor => Unfit::Processor,
    })
}

/// Whether there is room; a server that is reckoned on the node already needs no more.
fn enough(need: &Need<'_>, room: &Room) -> Result<(), Unfit> {
    if room.holds(need.name()) {
        return Ok(());
    }
    // What was kept free for its disk is not asked for twice.
    let disk_gib = need.amount.disk_gib.saturating_sub(room.ahead_gib(need.name()));
    room.has(super::Amount { disk_gib, ..need.amount })
}

impl Room {
    /// Whether there is room for so much.
    pub(crate) fn has(&self, amount: super::Amount) -> Result<(), Unfit> {
        let free = self.free();
        if free.memory_mib < amount.memory_mib {
            return Err(Unfit::Memory { free: free.memory_mib, need: amount.memory_mib });
        }
        if free.vcpus < amount.vcpus {
            return Err(Unfit::Vcpus { free: free.vcpus, need: amount.vcpus });
        }
        if free.disk_gib < amount.disk_gib {
            return Err(Unfit::Disk { free: free.disk_gib, need: amount.disk_gib });
        }
        Ok(())
    }
}

impl Rooms {
    /// The site's free memory in MiB over all nodes that may receive; `None` if none may.
    pub(crate) fn free_memory(&self, site: &str) -> Option<u64> {
        let open = self.iter().filter(|room| room.node().site.as_str() == site && room.open().is_ok());
        open.map(|room| room.free().memory_mib).reduce(u64::saturating_add)
    }

    /// Whether any node beyond what goes dark may receive something.
    pub(crate) fn have_refuge(&self, dark: &Scope) -> bool {
        self.iter().any(|room| !dark.covers(room.node()) && room.open().is_ok())
    }
}
