//! `watari node`.

use clap::{Args, Subcommand};
use watari_contracts::{
    monitor::{CordonNode, GetNode, ListNodes, NodeView, UncordonNode},
    scheduler::{CancelOutage, DrainNode, ListOutages, OutageView},
};
use watari_model::{NodeName, node::Enforcement, outage::Scope};

use crate::{
    Context,
    failure::Failure,
    format, input,
    lang::Lang,
    options::Waiting,
    out::{Column, Row, joined},
    outage,
    texts::words::Word,
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
            self.state.word().to_owned(),
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
            (Word::State, self.state.word().to_owned()),
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

/// Whether something is enforced, and why not.
fn enforcement(of: &Enforcement, lang: Lang) -> String {
    match of {
        Enforcement::Enforced => Word::Enforced.text(lang).to_owned(),
        Enforcement::Missing { reason } => format!("{}: {reason}", Word::NotEnforced.text(lang)),
    }
}
