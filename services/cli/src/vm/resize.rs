//! `watari vm resize`.

use clap::{ArgGroup, Args};
use watari_contracts::scheduler::ResizeVm;
use watari_model::{Refusal, size};

use crate::{Context, failure::Failure, format, input, texts::words};

/// What to change.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watari vm resize mail --memory 512MiB && watari vm reboot mail --wait
  watari vm resize mail --vcpus 2 --disk 20GiB")]
#[command(group(ArgGroup::new("size").required(true).multiple(true).args(["vcpus", "memory", "disk"])))]
pub struct Resize {
    /// The server
    name: String,
    /// Virtual CPUs
    #[arg(long)]
    vcpus: Option<u32>,
    /// Memory
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// Disk; it never becomes smaller
    #[arg(long, value_name = "SIZE")]
    disk: Option<String>,
}

impl Resize {
    /// Asks for the size, and says when it comes true.
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let parse = |text: Option<String>, parse: fn(&str, &str) -> Result<u64, Refusal>, option: &str| {
            text.map(|text| parse(option, &text)).transpose().map_err(Failure::mistyped)
        };
        let request = ResizeVm {
            request_id: Some(ctx.session.request_id()),
            name: input::name(&self.name)?,
            vcpus: self.vcpus,
            memory_mib: parse(self.memory, size::parse_mib, "--memory")?,
            disk_gib: parse(self.disk, size::parse_gib, "--disk")?,
        };
        let view = ctx.session.ask(&request).await?;
        match view.pending {
            Some(then) if ctx.out.format.is_for_people() => {
                let then = format::size(then);
                ctx.out.text(&words::larger_from_next_start(ctx.out.lang, view.name.as_str(), &then))
            }
            _ => ctx.out.row(&view),
        }
    }
}
