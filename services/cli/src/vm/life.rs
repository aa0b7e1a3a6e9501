//! `watari vm start`, `stop`, `reboot` and `delete`.

use clap::Args;
use watari_contracts::scheduler::{DeleteVm, GetVm, RebootVm, StartVm, StopVm, VmView};
use watari_model::{DiskName, Refusal, VmName, vm::State};

use super::{public, wait};
use crate::{
    Context,
    confirm::confirm_seen,
    failure::Failure,
    input,
    options::{Consent, Waiting},
    out,
    texts::leaving,
};

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
        let found = if self.consent.yes { Vec::new() } else { public::leading(ctx, Some(name.clone())).await };
        let question = |vm: &VmView| {
            may_stay(vm, keep_disk).map(|()| leaving::question(lang, vm, keep_disk, &public::of(&found, vm)))
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
