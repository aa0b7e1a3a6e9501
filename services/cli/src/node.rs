//! `watari node`.

mod power;

use clap::{Args, Subcommand};
use watari_contracts::{
    monitor::{ConfirmNodeOff, CordonNode, GetNode, ListNodes, NodeView, RemoveNode, UncordonNode},
    scheduler::{CancelOutage, DrainNode, ListOutages, ListVms, OutageView},
};
use watari_model::{
    NodeName, Refusal, VmName,
    node::{self, Enforcement},
    outage::{Scope, State},
    vm::{self, Size},
};

use crate::{
    Context,
    confirm::{confirm_seen, some},
    failure::Failure,
    format, input, known,
    lang::Lang,
    options::{Consent, Waiting},
    out::{Column, Row, Tone, joined},
    outage,
    session::login,
    texts::{
        losses, states,
        words::{self, Word},
    },
    wait,
};

/// The machines that run servers
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the nodes
    List(List),
    /// Show one node
    #[command(after_help = "Example:\n  watari node show m1 -o json")]
    Show(Which),
    /// Keep new servers away from a node; those on it run on
    #[command(after_help = "Example:\n  watari node cordon m1")]
    Cordon(Which),
    /// Let a node receive servers again, also one that was drained
    #[command(after_help = "Example:\n  watari node uncordon m1")]
    Uncordon(Which),
    /// Empty one node, live
    #[command(after_help = "\
Examples:
  watari node drain m1 --wait
  # It is an outage of one node, which can be called off:
  watari outage list
  watari outage cancel m1-1")]
    Drain(Drain),
    /// Say that a lost node is off: you have looked, or cut its power
    #[command(after_help = "\
Example:
  watari node confirm-off m1

Nothing is started elsewhere because a node is silent: it may be running. On your word what waits for it goes on:
a server whose whole copy stands paused on another node runs there; one whose only disk is on the node is shown as
stopped, and starts there again when the node is back; the addresses of deleted ones are free. If the node is NOT
off, a server may then run twice. The word ends by itself when the node is heard again.")]
    ConfirmOff(Gone),
    /// Have a node's power controller switch it, or say whether it is on
    #[command(after_help = "\
Examples:
  watari node power m1 --status
  watari node power m1 --off --dry-run
  watari node power m1 --off --yes

The monitor that leads runs the programs that [[fencing]] in its configuration names for the node. By them it cuts
off lost nodes by itself. That a node was switched off by hand makes nothing start elsewhere until it is lost, too.")]
    Power(power::Power),
    /// Forget a node that is off and will not come back, and all that is on its disks
    #[command(after_help = "\
Example:
  watari node confirm-off m1
  watari node remove m1

Servers whose only disk is there are deleted first: watari vm delete.")]
    Remove(Gone),
}

/// Which node is off.
#[derive(Debug, Args)]
pub struct Gone {
    /// The node
    name: String,
    #[command(flatten)]
    consent: Consent,
}

/// Which node.
#[derive(Debug, Args)]
pub struct Which {
    /// The node
    name: String,
}

/// Which nodes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  watari node list\n  watari node list --site myodaiji -o json")]
pub struct List {
    /// Only those of this site
    #[arg(long)]
    site: Option<String>,
}

/// Which node to empty.
#[derive(Debug, Args)]
pub struct Drain {
    /// The node
    name: String,
    #[command(flatten)]
    waiting: Waiting,
}

impl Verb {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let session = &ctx.session;
        match self {
            Self::List(list) => list.run(ctx).await,
            Self::Show(Which { name }) => show(ctx, &session.ask(&GetNode { name: input::name(&name)? }).await?).await,
            Self::Cordon(Which { name }) => ctx.out.row(&session.ask(&CordonNode { name: input::name(&name)? }).await?),
            Self::Uncordon(Which { name }) => {
                let name = input::name(&name)?;
                let node = session.ask(&UncordonNode { name }).await?;
                end_drain(ctx, &node.name).await?;
                ctx.out.row(&node)
            }
            Self::Drain(Drain { name, waiting }) => {
                let request = DrainNode { request_id: Some(session.request_id()), node: input::name(&name)? };
                outage::begun(ctx, waiting, session.ask(&request).await?).await
            }
            Self::ConfirmOff(Gone { name, consent }) => {
                let request = ConfirmNodeOff { name: input::name(&name)?, by: login() };
                let there = GetNode { name: request.name.clone() };
                let question = |node: &NodeView| lost(node).map(|()| losses::node_is_off(ctx.out.lang, &name));
                confirm_seen(ctx, consent, &there, question).await?;
                ctx.out.row(&session.ask(&request).await?)
            }
            Self::Power(power) => power.run(ctx).await,
            Self::Remove(gone) => gone.remove(ctx).await,
        }
    }
}

impl Gone {
    /// Servers that are being deleted there come to an end within a moment once the node is given up.
    async fn remove(self, ctx: &Context) -> Result<(), Failure> {
        let Self { name, consent } = self;
        let request = RemoveNode { name: input::name(&name)?, by: login() };
        let there = GetNode { name: request.name.clone() };
        let vms = if consent.yes { Vec::new() } else { staying(ctx, &request.name).await };
        let question = |node: &NodeView| match (lost(node), &node.off) {
            (Err(refusal), _) => Err(refusal),
            (Ok(()), None) => Err(Refusal::NodeNotOff { node: name.clone() }),
            (Ok(()), Some(_)) if !vms.is_empty() => {
                Err(Refusal::NodeHasServers { node: name.clone(), vms: some(&vms) })
            }
            (Ok(()), Some(_)) => Ok(losses::remove_node(ctx.out.lang, &name)),
        };
        confirm_seen(ctx, consent, &there, question).await?;
        let until = Waiting::at_most(ctx.session.patience());
        let done = wait::until(until, async || {
            let told = ctx.session.ask(&request).await?;
            Ok(told.removed.then_some(told))
        })
        .await?;
        ctx.out.gone(&done, &name)
    }
}

/// The servers of a node that are not being deleted, as far as somebody says so soon: with them it is not forgotten.
async fn staying(ctx: &Context, node: &NodeName) -> Vec<VmName> {
    let on_it = ListVms { node: Some(node.clone()), ..ListVms::default() };
    let vms = ctx.session.glance(&on_it).await.map(|page| page.vms).unwrap_or_default();
    vms.into_iter().filter(|vm| vm.state != vm::State::Deleting).map(|vm| vm.name).collect()
}

/// Of a node that is heard nobody can say that it is off.
fn lost(node: &NodeView) -> Result<(), Refusal> {
    match node.state {
        node::State::Lost => Ok(()),
        state => Err(Refusal::NodeNotLost { node: node.name.to_string(), state: state.word().to_owned() }),
    }
}

/// A node that was drained receives nothing until that is called off: whoever says *uncordon*
/// means this too.
async fn end_drain(ctx: &Context, node: &NodeName) -> Result<(), Failure> {
    let drained = |outage: &OutageView| outage.state.drains() && outage.scope == Scope::Node(node.clone());
    let page = ctx.session.ask(&ListOutages {}).await?;
    for outage in page.outages.into_iter().filter(drained) {
        ctx.session.ask(&CancelOutage { id: outage.id }).await?;
    }
    Ok(())
}

impl List {
    async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let request = ListNodes { site: input::name_if(self.site.as_deref())?, ..ListNodes::default() };
        let nodes = ctx.session.pages(request, |page| (page.nodes, page.next), |r, after| r.after = after).await?;
        known::check_if(&ctx.session, !nodes.is_empty(), "sites", self.site.as_deref()).await?;
        if !ctx.out.format.is_for_people() || nodes.is_empty() {
            return ctx.out.list(&nodes);
        }
        let drains = drains(ctx).await;
        ctx.out.text(&ctx.out.lines(&nodes, |node| cells(node, drain(&drains, node), ctx.out.lang)))
    }
}

/// A node, with what the scheduler knows of it.
async fn show(ctx: &Context, node: &NodeView) -> Result<(), Failure> {
    if !ctx.out.format.is_for_people() {
        return ctx.out.show(node);
    }
    let (drains, lang) = (drains(ctx).await, ctx.out.lang);
    let mut details = details(node, drain(&drains, node), lang);
    if let Some(size) = growth(ctx, &node.name).await {
        let after_memory = details.iter().position(|(word, _)| *word == Word::Disk).unwrap_or(details.len());
        details.insert(after_memory, (Word::Reserved, format::size(size)));
    }
    ctx.out.text(&ctx.out.pairs(&details))
}

/// The outages that empty nodes; none if the scheduler does not answer, without which nodes are shown as well.
async fn drains(ctx: &Context) -> Vec<OutageView> {
    let page = ctx.session.glance(&ListOutages {}).await;
    page.into_iter().flat_map(|page| page.outages).filter(|outage| outage.state.drains()).collect()
}

/// How far a node is emptied, by itself or with its site.
fn drain(drains: &[OutageView], node: &NodeView) -> Option<State> {
    let of_node = |outage: &&OutageView| match &outage.scope {
        Scope::Node(name) => *name == node.name,
        Scope::Site(site) => *site == node.site,
    };
    drains.iter().find(of_node).map(|outage| outage.state)
}

/// What servers of a node will take more from their next start on.
async fn growth(ctx: &Context, node: &NodeName) -> Option<Size> {
    let mut request = ListVms { node: Some(node.clone()), ..ListVms::default() };
    let mut more = Size { vcpus: 0, memory_mib: 0, disk_gib: 0 };
    loop {
        let page = ctx.session.glance(&request).await?;
        for (vm, then) in page.vms.iter().filter_map(|vm| Some((vm, vm.pending?))) {
            more.vcpus += then.vcpus.saturating_sub(vm.vcpus);
            more.memory_mib += then.memory_mib.saturating_sub(vm.memory_mib);
            more.disk_gib += then.disk_gib.saturating_sub(vm.disk_gib);
        }
        request.after = page.next;
        if request.after.is_none() {
            return (more.vcpus > 0 || more.memory_mib > 0 || more.disk_gib > 0).then_some(more);
        }
    }
}

/// What is heard of it, and what an operator has said: `ready (drained)`.
fn state(node: &NodeView, drain: Option<State>, lang: Lang) -> String {
    let state = states::shown(lang, node.state.word());
    if let Some(off) = &node.off {
        return losses::said_off(lang, &state, &off.by, &format::moment(off.at));
    }
    match drain {
        Some(State::Evacuating) => words::because(&state, &states::shown(lang, "draining")),
        Some(_) => words::because(&state, &states::shown(lang, "drained")),
        // Of one that is not heard it is from before.
        None if node.strains.is_empty() || node.state != node::State::Ready => state,
        None => {
            let strains: Vec<String> = node.strains.iter().map(|one| states::shown(lang, one.word())).collect();
            words::because(&state, &strains.join(", "))
        }
    }
}

impl Row for NodeView {
    fn columns() -> Vec<Column> {
        use Column::{Number, Text};
        vec![
            Text(Word::Name),
            Text(Word::Site),
            Text(Word::State),
            Text(Word::Cordoned),
            Number(Word::Vcpus),
            Number(Word::Memory),
            Number(Word::DiskFree),
            Number(Word::Vms),
            Text(Word::Virtualisation),
        ]
    }

    fn cells(&self, lang: Lang) -> Vec<String> {
        cells(self, None, lang)
    }

    fn wide_columns() -> Vec<Column> {
        [Word::Cpu, Word::Segments, Word::Libvirt, Word::Qemu, Word::Agent].map(Column::Text).to_vec()
    }

    fn wide_cells(&self, _: Lang) -> Vec<String> {
        let (libvirt, qemu, agent) = (self.libvirt.clone(), self.qemu.clone(), self.agent.clone());
        vec![self.cpu_model.clone(), segments(self), libvirt, qemu, agent]
    }

    fn tone(&self) -> Tone {
        match self.state {
            node::State::Ready if self.cordoned => Tone::Unusual,
            node::State::Ready => Tone::Usual,
            node::State::Suspect => Tone::Unusual,
            node::State::Lost => Tone::Bad,
        }
    }

    fn none() -> Word {
        Word::NoNodes
    }
}

fn cells(node: &NodeView, drain: Option<State>, lang: Lang) -> Vec<String> {
    vec![
        node.name.to_string(),
        node.site.to_string(),
        state(node, drain, lang),
        if node.cordoned { Word::Yes.text(lang).to_owned() } else { "-".to_owned() },
        format!("{}/{}", node.vcpus_used, node.vcpus_total),
        format!("{}/{} MiB", node.memory_mib_used, node.memory_mib_total),
        format!("{} GiB", node.disk_gib_free),
        node.vms.to_string(),
        states::shown(lang, node.virtualisation.word()),
    ]
}

fn details(node: &NodeView, drain: Option<State>, lang: Lang) -> Vec<(Word, String)> {
    vec![
        (Word::Name, node.name.to_string()),
        (Word::Site, node.site.to_string()),
        (Word::State, state(node, drain, lang)),
        (Word::Cordoned, if node.cordoned { Word::Yes } else { Word::No }.text(lang).to_owned()),
        (Word::Silent, words::ago(lang, node.silent_ms)),
        (Word::Vcpus, format!("{}/{}", node.vcpus_used, node.vcpus_total)),
        (Word::Memory, format!("{}/{} MiB", node.memory_mib_used, node.memory_mib_total)),
        (Word::Disk, format!("{} GiB", node.disk_gib_total)),
        (Word::DiskFree, format!("{} GiB", node.disk_gib_free)),
        (Word::Vms, node.vms.to_string()),
        (Word::Virtualisation, states::shown(lang, node.virtualisation.word())),
        (Word::Cpu, node.cpu_model.clone()),
        (Word::Firmware, if node.uefi { "bios, uefi" } else { "bios" }.to_owned()),
        (Word::Segments, segments(node)),
        (Word::Vlans, vlans(node, lang)),
        (Word::Identity, enforcement(&node.protection.identity, lang)),
        (Word::Firewalls, enforcement(&node.protection.firewall, lang)),
        (Word::Fencing, power::shown(&node.fencing, lang)),
        (Word::Labels, joined(node.labels.iter().map(|(key, value)| format!("{key}={value}")))),
        (Word::Libvirt, node.libvirt.clone()),
        (Word::Qemu, node.qemu.clone()),
        (Word::Agent, node.agent.clone()),
        (Word::Changed, format::moment(node.changed_at)),
    ]
}

fn segments(node: &NodeView) -> String {
    joined(node.segments.iter().map(|(segment, bridge)| match node.segment_mtus.get(segment) {
        Some(mtu) => format!("{segment}={bridge} (MTU {mtu})"),
        None => format!("{segment}={bridge}"),
    }))
}

/// The bridges that the node has made for VLANs, or whether it could make some.
fn vlans(node: &NodeView, lang: Lang) -> String {
    match &node.vlans {
        None => Word::No.text(lang).to_owned(),
        Some(made) if made.is_empty() => Word::Yes.text(lang).to_owned(),
        Some(made) => joined(made.iter().map(|(network, bridge)| format!("{network}={bridge}"))),
    }
}

/// Whether something is enforced, and why not.
fn enforcement(of: &Enforcement, lang: Lang) -> String {
    match of {
        Enforcement::Enforced => Word::Enforced.text(lang).to_owned(),
        Enforcement::Missing { reason } => format!("{}: {reason}", Word::NotEnforced.text(lang)),
    }
}
