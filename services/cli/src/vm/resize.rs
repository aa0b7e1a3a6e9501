//! `watari vm resize`.

use std::time::Duration;

use clap::{ArgGroup, Args};
use tokio::time::{Instant, sleep};
use watari_contracts::scheduler::{GetVm, ResizeVm, VmView};
use watari_model::{Refusal, size, vm::Size};

use super::create::{OPTIONS, warned};
use crate::{Context, failure::Failure, format, input, lang::Lang, out, texts::growth};

/// How long it is looked what grows at once. It takes a fraction of a second; a server that is about to move may not
/// grow before it is there.
const AT_ONCE: Duration = Duration::from_secs(15);
/// What is told of a server that could not grow.
const WAITS: &str = "vm.growth-waits";
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(100);

/// What to change.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watari vm resize mail --vcpus 2 --memory 4GiB --disk 20GiB
  watari vm resize mail --memory 512MiB && watari vm reboot mail --wait")]
#[command(group(ArgGroup::new("size").required(true).multiple(true).args(["vcpus", "memory", "disk"])))]
pub struct Resize {
    /// The server
    name: String,
    /// Virtual CPUs
    #[arg(long)]
    vcpus: Option<String>,
    /// Memory
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// Disk; it never becomes smaller
    #[arg(long, value_name = "SIZE")]
    disk: Option<String>,
}

impl Resize {
    /// Asks for the size, and says what of it is so now and what will be.
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let request = ResizeVm {
            request_id: Some(ctx.session.request_id()),
            name: input::name(&self.name)?,
            vcpus: given(self.vcpus, size::parse_vcpus, "--vcpus")?,
            memory_mib: given(self.memory, size::parse_memory, "--memory")?,
            disk_gib: given(self.disk, size::parse_disk, "--disk")?,
        };
        let asked = ctx.session.ask(&request).await.map_err(|failure| failure.of_options(OPTIONS))?;
        let view = grown(ctx, asked).await;
        if !ctx.out.format.is_for_people() {
            return ctx.out.row(&view);
        }
        if let Some(more) = more(ctx.out.lang, &view) {
            out::say(&more);
        }
        ctx.out.text(&told(ctx.out.lang, &view))
    }
}

fn given<N>(
    text: Option<String>,
    parse: fn(&str, &str) -> Result<N, Refusal>,
    option: &str,
) -> Result<Option<N>, Failure> {
    text.map(|text| parse(option, &text)).transpose().map_err(Failure::mistyped)
}

/// The server once as much of its new size is so as can be at once, or as it was last seen until then.
pub(crate) async fn grown(ctx: &Context, mut view: VmView) -> VmView {
    let until = Instant::now() + AT_ONCE;
    while view.growing && view.reachable && Instant::now() < until {
        sleep(LOOK).await;
        let Some(next) = ctx.session.glance(&GetVm { name: view.name.clone() }).await else { break };
        view = next;
    }
    view
}

/// In one line how large it is, and will be.
pub(crate) fn told(lang: Lang, view: &VmView) -> String {
    let now = Size { vcpus: view.vcpus, memory_mib: view.memory_mib, disk_gib: view.disk_gib };
    let then = view.pending.map(format::size);
    growth::sized(lang, view.name.as_str(), &format::size(now), then.as_deref())
}

/// Why not more of it is so now.
fn more(lang: Lang, view: &VmView) -> Option<String> {
    if view.growing {
        return Some(growth::still_growing(lang, view.name.as_str()));
    }
    let fault = view.fault.as_ref().filter(|fault| view.pending.is_some() && fault.code == WAITS)?;
    Some(warned(lang, fault))
}
