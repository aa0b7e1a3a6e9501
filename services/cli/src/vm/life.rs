//! `watari vm start`, `stop`, `reboot` and `delete`.

use std::time::Duration;

use clap::Args;
use tokio::time::timeout;
use watari_contracts::scheduler::{DeleteVm, GetVm, ListVms, RebootVm, StartVm, StopVm, VmView};
use watari_model::{
    DiskName, Refusal, VmName,
    vm::{Desired, State},
};

use super::{public, wait};
use crate::{
    Context,
    confirm::{confirm_seen, some},
    failure::Failure,
    input,
    options::{Consent, Waiting},
    out,
    texts::leaving,
};

/// So long it is looked who depends on a server that is to be deleted: the service looks again.
const LOOK: Duration = Duration::from_secs(3);

/// What to start.
#[derive(Debug, Args)]
pub struct Start {
    /// The server
    name: String,
    /// From the disk that it had before, giving up the copy that it was to be started from and never ran on
    #[arg(long)]
    discard_copy: bool,
    #[command(flatten)]
    waiting: Waiting,
}

/// What to stop.
#[derive(Debug, Args)]
pub struct Stop {
    /// The server
    name: String,
    /// Off at once, instead of asking the guest
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    waiting: Waiting,
}

/// What to reboot.
#[derive(Debug, Args)]
pub struct Reboot {
    /// The server
    name: String,
    /// Reset at once, instead of asking the guest
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    waiting: Waiting,
}

/// What to delete.
#[derive(Debug, Args)]
pub struct Delete {
    /// The server
    name: String,
    /// Keep its disk on its node, for another server to begin with (see `watari disk`); it is shut down first
    #[arg(long)]
    keep_disk: bool,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    waiting: Waiting,
}

impl Start {
    /// Starts it.
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let name: VmName = input::name(&self.name)?;
        let request_id = Some(ctx.session.request_id());
        let mut view = ctx.session.ask(&StartVm { request_id, name, discard_copy: self.discard_copy }).await?;
        if self.waiting.wait {
            view = wait::running(ctx, self.waiting, view).await?;
        }
        ctx.out.row(&view)
    }
}

impl Stop {
    /// Stops it.
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let name: VmName = input::name(&self.name)?;
        let request_id = Some(ctx.session.request_id());
        let mut view = ctx.session.ask(&StopVm { request_id, name, force: self.force }).await?;
        if self.waiting.wait {
            view = wait::stopped(ctx, self.waiting, self.force, view).await?;
        }
        ctx.out.row(&view)
    }
}

impl Delete {
    /// Deletes it, once asked.
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let name: VmName = input::name(&self.name)?;
        let there = GetVm { name: name.clone() };
        let (lang, keep_disk) = (ctx.out.lang, self.keep_disk);
        // Whoever is not asked is not told either.
        let (found, users) = if self.consent.yes {
            (Vec::new(), Vec::new())
        } else {
            tokio::join!(public::leading(ctx, Some(name.clone())), depending(ctx, &name))
        };
        let question = |vm: &VmView| {
            may_go(vm, &users)?;
            may_stay(vm, keep_disk)?;
            Ok::<_, Refusal>(leaving::question(lang, vm, keep_disk, &public::of(&found, vm)))
        };
        confirm_seen(ctx, self.consent, &there, question).await?;
        let request_id = Some(ctx.session.request_id());
        let view = ctx.session.ask(&DeleteVm { request_id, name: name.clone(), keep_disk }).await?;
        // Whoever was not asked learns it now.
        for line in leaving::unasked(lang, &view, keep_disk).into_iter().filter(|_| self.consent.yes) {
            out::say(&line);
        }
        if let Some(disk) = DiskName::of(&view.name, &view.uuid).ok().filter(|_| keep_disk) {
            out::say(&leaving::kept(lang, disk.as_str(), view.state));
        }
        if !self.waiting.wait {
            return ctx.out.row(&view);
        }
        wait::gone(ctx, self.waiting, &view).await?;
        ctx.out.gone(&view, name.as_str())
    }
}

/// The servers that depend on one and stay, as far as somebody says so soon.
async fn depending(ctx: &Context, name: &VmName) -> Vec<VmName> {
    let look = async {
        let (mut found, mut request) = (Vec::new(), ListVms::default());
        while let Some(page) = ctx.session.glance(&request).await {
            let users = page.vms.into_iter().filter(|vm| vm.desired != Desired::Deleted && vm.after.contains(name));
            found.extend(users.map(|vm| vm.name));
            request.after = page.next;
            if request.after.is_none() {
                break;
            }
        }
        found
    };
    timeout(LOOK, look).await.unwrap_or_default()
}

/// What others depend on stays, unless it is going already.
fn may_go(vm: &VmView, users: &[VmName]) -> Result<(), Refusal> {
    if users.is_empty() || vm.desired == Desired::Deleted {
        return Ok(());
    }
    Err(Refusal::DependedOn { vm: vm.name.to_string(), users: some(users) })
}

/// Nothing is kept of a server that never had a disk.
fn may_stay(vm: &VmView, keep_disk: bool) -> Result<(), Refusal> {
    if !keep_disk || vm.state != State::Pending {
        return Ok(());
    }
    let (state, wanted) = (vm.state.word().to_owned(), "keep its disk".to_owned());
    Err(Refusal::VmState { vm: vm.name.to_string(), state, wanted })
}

impl Reboot {
    /// Reboots it.
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let request_id = Some(ctx.session.request_id());
        let request = RebootVm { request_id, name: input::name(&self.name)?, force: self.force };
        let mut view = ctx.session.ask(&request).await?;
        if self.waiting.wait {
            view = wait::rebooted(ctx, self.waiting, view).await?;
        }
        ctx.out.row(&view)
    }
}
