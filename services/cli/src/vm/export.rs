//! `watari vm export`.

use clap::Args;
use watari_contracts::scheduler::{GetVm, ListVms, VmView};
use watari_model::vm::Desired;

use super::public;
use crate::{
    Context,
    declared::{File, Server},
    failure::Failure,
    input,
    out::{self, Format, Out},
    texts::hints,
};

/// Which servers.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watari vm export >servers.yaml
  watari vm export mail web -o json
  watari apply -f servers.yaml")]
pub struct Export {
    /// The servers; all if none is named
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

impl Export {
    /// Writes them down: as YAML, where no form is named.
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let mut vms: Vec<VmView> = Vec::new();
        for name in &self.names {
            vms.push(ctx.session.ask(&GetVm { name: input::name(name)? }).await?);
        }
        if self.names.is_empty() {
            let all = ctx.session.pages(ListVms::default(), |page| (page.vms, page.next), |r, after| r.after = after);
            vms = all.await?;
        }
        vms.retain(|vm| vm.desired != Desired::Deleted);
        let format = match ctx.out.format {
            Format::Table | Format::Wide => Format::Yaml,
            chosen => chosen,
        };
        let leading = if vms.is_empty() { Vec::new() } else { public::leading(ctx, None).await };
        let file = File { servers: vms.iter().map(|vm| Server::from(vm).led_to_by(&leading, vm)).collect() };
        let names = vms.iter().map(|vm| vm.name.to_string());
        Out { format, ..ctx.out }.told(&file, names, String::new)?;
        let secret: Vec<String> =
            vms.iter().filter(|vm| vm.user_data.is_some()).map(|vm| vm.name.to_string()).collect();
        if !secret.is_empty() && format != Format::Name {
            out::say(&hints::without_user_data(ctx.out.lang, &secret.join(", ")));
        }
        Ok(())
    }
}
