//! `watari doctor`: what is wrong, why it matters, and what mends it.
//!
//! ```text
//!  requests ──▶ facts ──▶ checks (pure, one function each) ──▶ findings ──▶ a table or JSON
//! ```
//!
//! It changes nothing. What a finding is called and what is said of it stands in `texts/troubles.rs`.

mod checks;
mod facts;
mod finding;
mod show;

use clap::Args;
use watari_contracts::monitor::GetNode;
use watari_model::NodeName;

use crate::{Context, failure::Failure, input, texts::troubles::Severity};
use facts::Facts;

/// Exit status: nothing worse than warnings was found.
const WARNED: u8 = 4;
/// Exit status: something does not work.
const BROKEN: u8 = 5;

/// What is wrong in the cluster or on one node, why it matters, and what mends it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watari doctor
  watari doctor --node m1
  watari doctor -o json   # [{severity, code, nodes, seen, matters, mend, ja}]

Nothing is changed. Exit status: 0 nothing is wrong, though there may be notes; 4 warnings; 5 something does
not work, or somebody does not answer; 1 to 3 as of every command: a refusal, a wrong command line, no connection.")]
pub struct Doctor {
    /// Only what concerns this node
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
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
        let mut findings = checks::all(&Facts::gather(ctx).await?);
        findings.retain(|finding| node.as_ref().is_none_or(|node| finding.concerns(node)));
        show::show(ctx.out, &findings)?;
        match findings.iter().map(|finding| finding.trouble.severity()).max() {
            Some(Severity::Failure) => Err(Failure::Silent(BROKEN)),
            Some(Severity::Warning) => Err(Failure::Silent(WARNED)),
            Some(Severity::Note) | None => Ok(()),
        }
    }
}
