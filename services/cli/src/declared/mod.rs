//! `watari apply`: servers as a file declares them.
//!
//! ```text
//!  file ──▶ form (read, checked) ──┐
//!                                  ├──▶ plan (pure) ──▶ shown, asked about ──▶ plain requests
//!  vm.list ────────────────────────┘
//! ```

mod after;
mod faulty;
mod form;
mod plan;
mod show;

pub(crate) use form::{File, Server};

use std::collections::BTreeSet;

use clap::Args;
use watari_contracts::{
    address::ListAddresses,
    scheduler::{ListVms, VmView},
};
use watari_model::{ProjectName, Refusal, SiteName, VmName, vm::Desired};

use crate::{
    Context,
    confirm::confirm,
    failure::{FAILED, Failure, UNREACHABLE},
    known,
    options::{Consent, Waiting},
    out, suggest,
    texts::{
        faults::Fault,
        hints,
        words::{self, Word},
    },
    vm,
};
use plan::{Action, Decided, Step};
use show::Told;

/// Make the servers that a file declares, and change those that are there already
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watari vm export >servers.yaml
  watari apply -f servers.yaml --dry-run
  watari apply -f servers.yaml --yes --wait

Example of a file:
  servers:
    - name: web
      image: mini
      networks: [campus=203.0.113.120]
      memory: 512MiB
      disk: 4GiB
      groups: [front:apart]
      firewalls: [web]

A server is declared with what `watari vm create` takes: name, image, networks, public_addresses
(NETWORK=ADDRESS, allocated before), site, project, vcpus, memory, disk, node_labels, groups,
firewalls, evacuate, priority, restart, on_isolation, restart_from_copy and max_downtime (seconds), display, probes, after, keys, hostname, user_data
(a file beside this one), and running. What is left out stays as it is; a new server has the usual. Its size, public_addresses, project, evacuate,
priority, restart, on_isolation, restart_from_copy, max_downtime, probes, after, and whether it runs, can be changed; all else only by deleting it, by which its disk is lost.
Servers that the file does not name are left alone.
--dry-run tells which names are not known and who would depend on itself, but not whether a node has room. The exit status is 1 if anything could not be done; 3 if nobody answers.")]
pub struct Apply {
    /// The file that declares servers: .yaml, .json or .toml, or - for YAML or JSON on standard input
    #[arg(short, long, value_name = "FILE")]
    file: String,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    waiting: Waiting,
}

impl Apply {
    /// Shows what differs, asks, and does it.
    ///
    /// # Errors
    /// [`Failure`]; a silent one if something could not be done and was told.
    pub async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let declared = form::read(&self.file)?;
        let vms = ctx.session.pages(ListVms::default(), |page| (page.vms, page.next), |r, after| r.after = after);
        let (there, id) = (vms.await?, ctx.session.request_id());
        let leading = if declared.iter().any(|one| one.server.public_addresses.is_some()) {
            ctx.session.ask(&ListAddresses { network: None, vm: None }).await?.addresses
        } else {
            Vec::new()
        };
        let decided = plan::decide(declared, &there, &leading, &id).map_err(|name| self.of_no_image(&name, &there))?;
        let mut told: Vec<Told> = decided.iter().map(Told::of).collect();
        let mut unmade: BTreeSet<VmName> = BTreeSet::new();
        let mut circles: BTreeSet<BTreeSet<String>> = BTreeSet::new();
        for (decided, told) in decided.iter().zip(&mut told) {
            let known = named(ctx, &decided.steps).await.and_then(|()| depends(decided, &unmade));
            if let Err(failure) = known {
                if decided.action == Action::Create {
                    unmade.insert(decided.name.clone());
                }
                // All servers of a circle are refused for it, which is one fault of the file and told once.
                if after::circle(&failure).is_none_or(|circle| circles.insert(circle)) {
                    told.refused(&failure, ctx.out.lang);
                } else {
                    told.failed(&failure);
                }
                let near = suggest::nearest(&ctx.session, &failure).await;
                if !near.is_empty() {
                    out::say(&hints::did_you_mean(ctx.out.lang, &near));
                }
            }
        }
        let count = |action: Action| told.iter().filter(|told| told.action == action).count();
        let (create, change) = (count(Action::Create), count(Action::Change));
        if ctx.out.format.is_for_people() {
            ctx.out.list(&told)?;
        }
        if count(Action::Fixed) > 0 {
            out::say(&hints::cannot_be_changed(ctx.out.lang));
        }
        if self.dry_run || create + change == 0 {
            out::say(Word::NothingDone.text(ctx.out.lang));
            return ended(ctx, &told);
        }
        confirm(ctx, self.consent, &hints::apply(ctx.out.lang, create, change))?;
        let (mut awaited, mut silence) = (Vec::new(), None);
        for (decided, told) in decided.into_iter().zip(&mut told) {
            if told.action == Action::Refused {
                continue;
            }
            if let Some(failure) = &silence {
                told.left_undone(failure);
                continue;
            }
            match carry_out(ctx, decided.steps).await {
                Ok(view) => awaited.extend(view),
                // Nobody answers: the rest would not be answered either, and may be done again.
                Err(failure) if failure.exit() == UNREACHABLE => {
                    told.left_undone(&failure);
                    silence = Some(failure);
                }
                Err(failure) => told.refused(&failure, ctx.out.lang),
            }
        }
        if let Some(failure) = silence {
            out::say(&words::resume_import(ctx.out.lang, &id));
            // What was done until then is told as well; that nobody answers goes before what else failed.
            let _ = ended(ctx, &told);
            return Err(failure);
        }
        if self.waiting.wait {
            for view in awaited {
                let name = view.name.clone();
                let reached = match view.desired {
                    Desired::Running => vm::running(ctx, self.waiting, view).await,
                    Desired::Stopped | Desired::Deleted => vm::stopped(ctx, self.waiting, false, view).await,
                };
                if let Err(failure) = reached {
                    told.iter_mut().filter(|told| told.name == name).for_each(|t| t.refused(&failure, ctx.out.lang));
                }
            }
        }
        ended(ctx, &told)
    }

    /// That a server is not there and nobody says of what to make it: its name may be a slip.
    fn of_no_image(&self, name: &VmName, there: &[VmView]) -> Fault {
        let near = suggest::near(name.as_str(), there.iter().map(|vm| vm.name.to_string()));
        let near = if near.is_empty() { String::new() } else { format!(" ({}?)", near.join(", ")) };
        Fault::ServersNoImage { path: form::shown(&self.file), server: name.to_string(), near }
    }
}

/// Whether everything is there of which a server is to be made, and the project that one goes to, as far as somebody says
/// so soon.
///
/// # Errors
/// [`Failure`] of the first thing that is not.
async fn named(ctx: &Context, steps: &[Step]) -> Result<(), Failure> {
    for step in steps {
        let wanted = match step {
            Step::Create(wanted) => wanted,
            Step::Edit(edit) => {
                let project = edit.project.as_ref().map(ProjectName::as_str);
                known::check_if(&ctx.session, false, "projects", project).await?;
                continue;
            }
            _ => continue,
        };
        known::check(&ctx.session, "images", wanted.image.as_str()).await?;
        known::check_if(&ctx.session, false, "sites", wanted.site.as_ref().map(SiteName::as_str)).await?;
        let is_default = wanted.project.is_default();
        known::check_if(&ctx.session, is_default, "projects", Some(wanted.project.as_str())).await?;
        for nic in &wanted.networks {
            known::check(&ctx.session, "networks", nic.network.as_str()).await?;
        }
        for key in &wanted.keys {
            known::check(&ctx.session, "keys", key.as_str()).await?;
        }
        for group in &wanted.firewalls {
            known::check(&ctx.session, "firewalls", group.as_str()).await?;
        }
    }
    Ok(())
}

/// Whether a server can depend on what it is to depend on. Those on which it does have been looked at before it.
fn depends(decided: &Decided, unmade: &BTreeSet<VmName>) -> Result<(), Failure> {
    let missing = || decided.after().iter().find(|other| unmade.contains(*other));
    let fault = decided.fault.clone().or_else(|| Some(Refusal::VmUnknown { vm: missing()?.to_string() }));
    fault.map_or(Ok(()), |refusal| Err(refusal.into()))
}

/// What became of all, and whether that is well.
fn ended(ctx: &Context, told: &[Told]) -> Result<(), Failure> {
    if !ctx.out.format.is_for_people() {
        ctx.out.list(told)?;
    }
    let failed = told.iter().any(|told| matches!(told.action, Action::Fixed | Action::Refused));
    if failed { Err(Failure::Silent(FAILED)) } else { Ok(()) }
}

/// Asks for one server's steps, one after another; the server, if it starts or stops by that.
async fn carry_out(ctx: &Context, steps: Vec<Step>) -> Result<Option<VmView>, Failure> {
    let (session, lang) = (&ctx.session, ctx.out.lang);
    let changed = |view: &VmView| out::say(&hints::changed(lang, view.name.as_str()));
    let warn = |view: &VmView| view.warnings.iter().for_each(|warning| out::say(&vm::warned(lang, warning)));
    let mut awaited = None;
    for step in steps {
        match step {
            Step::Create(request) => {
                let view = session.ask(&*request).await?;
                warn(&view);
                out::say(&hints::made(lang, view.name.as_str()));
                awaited = request.start.then_some(view);
            }
            Step::Resize(request) => {
                let view = vm::grown(ctx, session.ask(&request).await?).await;
                match view.pending {
                    Some(_) => out::say(&vm::told(lang, &view)),
                    None => changed(&view),
                }
            }
            Step::Edit(request) => {
                let view = session.ask(&request).await?;
                warn(&view);
                changed(&view);
            }
            Step::Start(request) => {
                let view = session.ask(&request).await?;
                changed(&view);
                awaited = Some(view);
            }
            Step::Associate(request) => {
                session.ask(&request).await?;
                out::say(&hints::changed(lang, request.vm.as_str()));
            }
            Step::Disassociate(request) => drop(session.ask(&request).await?),
            Step::Stop(request) => {
                let view = session.ask(&request).await?;
                changed(&view);
                awaited = Some(view);
            }
        }
    }
    Ok(awaited)
}
