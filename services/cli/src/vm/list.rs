//! `watari vm list`.

use clap::Args;
use watari_contracts::scheduler::ListVms;
use watari_model::{Said, vm};

use super::public;
use crate::{Context, failure::Failure, input, known};

/// Which servers.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  watari vm list\n  watari vm list --site yamate --state running -o json")]
pub struct List {
    /// Only those now at this site
    #[arg(long)]
    site: Option<String>,
    /// Only those on this node
    #[arg(long)]
    node: Option<String>,
    /// Only those in this state, such as running
    #[arg(long)]
    state: Option<String>,
    /// Only those of this project
    #[arg(long)]
    project: Option<String>,
}

impl List {
    /// Lists them, page by page.
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let request = ListVms {
            site: input::name_if(self.site.as_deref())?,
            node: input::name_if(self.node.as_deref())?,
            state: self.state.as_deref().map(state).transpose()?,
            project: input::name_if(self.project.as_deref())?,
            fault: None,
            after: None,
            limit: None,
        };
        let vms = ctx.session.pages(request, |page| (page.vms, page.next), |r, after| r.after = after).await?;
        known::check_if(&ctx.session, !vms.is_empty(), "sites", self.site.as_deref()).await?;
        known::check_if(&ctx.session, !vms.is_empty(), "nodes", self.node.as_deref()).await?;
        known::check_if(&ctx.session, !vms.is_empty(), "projects", self.project.as_deref()).await?;
        let leading = if vms.is_empty() { Vec::new() } else { public::leading(ctx, None).await };
        public::list(ctx, vms, &leading)
    }
}

/// A state by the word that is shown.
fn state(text: &str) -> Result<vm::State, Failure> {
    let known = serde_json::from_value(serde_json::Value::String(text.to_owned()));
    known.map_err(|_| {
        let states = "pending, starting, running, migrating, stopping, stopped, suspended, deleting, failed";
        input::out_of_range("--state", Said::both(states), text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_those_that_are_shown() {
        for word in ["pending", "starting", "running", "migrating", "stopping", "stopped", "deleting", "failed"] {
            assert_eq!(state(word).unwrap().word(), word);
        }
        assert_eq!(state("suspended").unwrap(), vm::State::Suspended);
        assert_eq!(state("on").unwrap_err().exit(), crate::failure::USAGE);
    }
}
