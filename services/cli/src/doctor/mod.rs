//! `watari doctor`: what is wrong, why it matters, and what mends it.
//!
//! ```text
//!  requests ──▶ facts ──▶ checks (pure, one function each) ──▶ findings ──▶ a table or JSON
//! ```
//!
//! It changes nothing, but with `--fix` what `mending.rs` names. What a finding is called and what is said of it stands
//! in `texts/troubles.rs`.

mod checks;
mod facts;
mod finding;
mod fix;
mod host;
mod mending;
mod show;

use std::path::{Path, PathBuf};

use clap::Args;
use watari_chassis::clock;
use watari_contracts::monitor::GetNode;
use watari_model::NodeName;

use crate::{
    Context,
    failure::Failure,
    input,
    options::Consent,
    texts::troubles::{Severity, Trouble},
};
use checks::here;
use facts::Facts;
use finding::Finding;
use host::Host;

/// Exit status: nothing worse than warnings was found.
const WARNED: u8 = 4;
/// Exit status: something does not work.
const BROKEN: u8 = 5;

/// What is wrong with a host that is still to become one of the cluster's, as far as it shows without the others: whether
/// it knows its own name, who sets its clock and, of a node, what would keep servers from their networks and disks.
pub(crate) async fn before(root: &Path, name: NodeName, is_node: bool) -> Vec<Trouble> {
    let host = Host::before(root, name, is_node).await;
    here::found(&host, clock::now()).into_iter().map(|finding| finding.trouble).collect()
}

/// What is wrong in the cluster or on one node, why it matters, and what mends it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watari doctor
  watari doctor --node m1
  watari doctor -o json   # [{severity, code, nodes, seen, matters, mend, ja}]
  sudo watari doctor --here   # on a node, which has no key of a person
  sudo watari doctor --fix   # on a node or front end

Without --fix nothing is changed. With it, on the host on which it is called: what is set up there and does not run
is started, what would not come back after a loss of power is enabled, the clock is set by NTP, and keys that
everybody can read are closed. Each is shown and asked about, and it is looked again at the end. Nothing is restarted,
deleted or installed, and no interface is touched.

Exit status: 0 nothing is wrong, though there may be notes; 4 warnings; 5 something does
not work, or somebody does not answer; 1 to 3 as of every command: a refusal, a wrong command line, no connection.")]
pub struct Doctor {
    /// Only what concerns this node
    #[arg(long)]
    node: Option<String>,
    /// Only what this host itself shows; nobody else is asked, as each day on nodes
    #[arg(long, conflicts_with = "node")]
    here: bool,
    /// Mend on this host what is safely mended, each after asking
    #[arg(long)]
    fix: bool,
    #[command(flatten)]
    consent: Consent,
    /// The folder that is this host's root
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,
}

impl Doctor {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`]; a silent one when something was found and told.
    pub async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let node: Option<NodeName> = input::name_if(self.node.as_deref())?;
        if let Some(name) = &node {
            // One that does not exist is refused rather than found well.
            ctx.session.ask(&GetNode { name: name.clone() }).await?;
        }
        let mut findings = self.examine(ctx, node.as_ref()).await?;
        if self.fix {
            let mended = fix::mend(ctx.out.lang, self.consent, &findings).await?;
            if !mended.is_empty() {
                fix::settle(&self.root, &mended).await;
                findings = self.examine(ctx, node.as_ref()).await?;
            }
        }
        show::show(ctx.out, &findings)?;
        match findings.iter().map(|finding| finding.trouble.severity()).max() {
            Some(Severity::Failure) => Err(Failure::Silent(BROKEN)),
            Some(Severity::Warning) => Err(Failure::Silent(WARNED)),
            Some(Severity::Note) | None => Ok(()),
        }
    }

    async fn examine(&self, ctx: &Context, node: Option<&NodeName>) -> Result<Vec<Finding>, Failure> {
        let facts = if self.here { Facts::of_host(&self.root).await? } else { Facts::gather(ctx, &self.root).await? };
        let mut findings = checks::all(&facts);
        findings.retain(|finding| node.is_none_or(|node| finding.concerns(node)));
        Ok(findings)
    }
}
