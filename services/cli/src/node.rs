//! `watari node`.

use clap::{Args, Subcommand};
use watari_contracts::{
    monitor::{ConfirmNodeOff, CordonNode, GetNode, ListNodes, NodeView, RemoveNode, UncordonNode},
    scheduler::{CancelOutage, DrainNode, ListOutages, OutageView},
};
use watari_model::{NodeName, node::Enforcement, outage::Scope};

use crate::{
    Context,
    confirm::confirm,
    failure::Failure,
    format, input,
    lang::Lang,
    options::{Consent, Waiting},
    out::{Column, Format, Row, joined},
    outage,
    texts::{
        losses,
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
  watari outage list          # it is an outage of one node, which can be called off:
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
            Self::Show(Which { name }) => ctx.out.show(&session.ask(&GetNode { name: input::name(&name)? }).await?),
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
                let request = ConfirmNodeOff { name: input::name(&name)?, by: person() };
                confirm(ctx, consent, &losses::node_is_off(ctx.out.lang, &name))?;
                ctx.out.row(&session.ask(&request).await?)
            }
            Self::Remove(gone) => gone.remove(ctx).await,
        }
    }
}

/// Who is at the keyboard, as the machine calls them.
fn person() -> Option<String> {
    let named = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    named.filter(|name| (1..=64).contains(&name.chars().count()) && !name.chars().any(char::is_control))
}

impl Gone {
    /// Servers that are being deleted there come to an end within a moment once the node is given up.
    async fn remove(self, ctx: &Context) -> Result<(), Failure> {
        let Self { name, consent } = self;
        let request = RemoveNode { name: input::name(&name)?, by: person() };
        confirm(ctx, consent, &losses::remove_node(ctx.out.lang, &name))?;
        let until = Waiting { wait: true, wait_timeout: Some(ctx.session.patience()) };
        let done = wait::until(until, async || {
            let told = ctx.session.ask(&request).await?;
            Ok(told.removed.then_some(told))
        })
        .await?;
        match ctx.out.format {
            Format::Json => ctx.out.json(&done),
            Format::Table => ctx.out.text(&words::gone(ctx.out.lang, &name)),
        }
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
        let mut request = ListNodes { site: input::name_if(self.site.as_deref())?, ..ListNodes::default() };
        let mut nodes: Vec<NodeView> = Vec::new();
        loop {
            let page = ctx.session.ask(&request).await?;
            nodes.extend(page.nodes);
            request.after = page.next;
            if request.after.is_none() {
                return ctx.out.list(&nodes);
            }
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
        vec![
            self.name.to_string(),
            self.site.to_string(),
            state(self, lang),
            if self.cordoned { Word::Yes.text(lang).to_owned() } else { "-".to_owned() },
            format!("{}/{}", self.vcpus_used, self.vcpus_total),
            format!("{}/{} MiB", self.memory_mib_used, self.memory_mib_total),
            format!("{} GiB", self.disk_gib_free),
            self.vms.to_string(),
            self.virtualisation.word().to_owned(),
        ]
    }

    fn details(&self, lang: Lang) -> Vec<(Word, String)> {
        vec![
            (Word::Name, self.name.to_string()),
            (Word::Site, self.site.to_string()),
            (Word::State, state(self, lang)),
            (Word::Cordoned, if self.cordoned { Word::Yes } else { Word::No }.text(lang).to_owned()),
            (Word::Silent, format::millis(self.silent_ms)),
            (Word::Vcpus, format!("{}/{}", self.vcpus_used, self.vcpus_total)),
            (Word::Memory, format!("{}/{} MiB", self.memory_mib_used, self.memory_mib_total)),
            (Word::Disk, format!("{} GiB", self.disk_gib_total)),
            (Word::DiskFree, format!("{} GiB", self.disk_gib_free)),
            (Word::Vms, self.vms.to_string()),
            (Word::Virtualisation, self.virtualisation.word().to_owned()),
            (Word::Cpu, self.cpu_model.clone()),
            (Word::Segments, joined(self.segments.iter().map(|(segment, bridge)| format!("{segment}={bridge}")))),
            (Word::Identity, enforcement(&self.protection.identity, lang)),
            (Word::Firewalls, enforcement(&self.protection.firewall, lang)),
            (Word::Labels, joined(self.labels.iter().map(|(key, value)| format!("{key}={value}")))),
            (Word::Libvirt, self.libvirt.clone()),
            (Word::Qemu, self.qemu.clone()),
            (Word::Agent, self.agent.clone()),
            (Word::Changed, format::moment(self.changed_at)),
        ]
    }

    fn none() -> Word {
        Word::NoNodes
    }
}

/// What is heard of it, and what an operator has said.
fn state(node: &NodeView, lang: Lang) -> String {
    match &node.off {
        Some(off) => losses::said_off(lang, node.state.word(), &off.by, &format::moment(off.at)),
        None => node.state.word().to_owned(),
    }
}

/// Whether something is enforced, and why not.
fn enforcement(of: &Enforcement, lang: Lang) -> String {
    match of {
        Enforcement::Enforced => Word::Enforced.text(lang).to_owned(),
        Enforcement::Missing { reason } => format!("{}: {reason}", Word::NotEnforced.text(lang)),
    }
}
