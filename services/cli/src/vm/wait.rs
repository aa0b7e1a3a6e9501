//! Waiting for a server.

use watari_contracts::scheduler::{GetVm, VmView};
use watari_model::{
    NodeName, Refusal,
    vm::{Desired, Preseed, State},
};

use crate::{
    Context,
    failure::Failure,
    lang::Lang,
    options::Waiting,
    progress::Progress,
    texts::{
        ahead, states,
        words::{self, Word},
    },
    wait,
};

/// How the waiting ends.
enum Reached {
    There,
    Broken,
    Refused(Refusal),
}

/// Until it runs; a fault ends the waiting.
///
/// # Errors
/// [`Failure::Fault`] with the server's own, if it cannot run.
pub(crate) async fn running(ctx: &Context, waiting: Waiting, asked: VmView) -> Result<VmView, Failure> {
    // A server that had failed before is shown as such until the scheduler has looked at it again.
    let stale = (asked.state == State::Failed).then_some(asked.changed_at);
    reach(ctx, waiting, asked, |view| match view.state {
        State::Running | State::Migrating => Some(Reached::There),
        State::Failed if stale != Some(view.changed_at) => Some(Reached::Broken),
        _ => None,
    })
    .await
}

/// Until it has begun anew.
///
/// # Errors
/// [`Failure::Fault`] with the server's own, if it cannot go on; a server that was stopped
/// meanwhile reboots no more.
pub(super) async fn rebooted(ctx: &Context, waiting: Waiting, asked: VmView) -> Result<VmView, Failure> {
    let before = asked.fault.clone();
    reach(ctx, waiting, asked, |view| match view.state {
        State::Running | State::Migrating if view.rebooting => None,
        // A reboot that cannot be is told as a fault, and the server runs on.
        State::Running | State::Migrating if view.fault.is_some() && view.fault != before => Some(Reached::Broken),
        State::Running | State::Migrating => Some(Reached::There),
        // One that gets another size is off for a moment.
        State::Stopped if view.rebooting && view.desired == Desired::Running => None,
        State::Failed | State::Stopped | State::Suspended | State::Deleting => Some(Reached::Broken),
        _ => None,
    })
    .await
}

/// Until its disk lies at the other node.
///
/// # Errors
/// [`Failure::Refused`] if it is not sent before somebody does something else first, or not any more;
/// [`Failure::Fault`] with the server's own, if it does not run any more.
pub(super) async fn preseeded(ctx: &Context, waiting: Waiting, asked: VmView) -> Result<VmView, Failure> {
    reach_telling(ctx, waiting, asked, draw_ahead, |view| match view.state {
        State::Running | State::Migrating | State::Starting => arrived(view),
        _ if view.fault.is_some() => Some(Reached::Broken),
        state => {
            let (vm, state) = (view.name.to_string(), state.word().to_owned());
            Some(Reached::Refused(Refusal::PreseedNotRunning { vm, state }))
        }
    })
    .await
}

/// How the waiting for a running server's disk ends. What stands in its way until an operator acts is not waited out.
fn arrived(view: &VmView) -> Option<Reached> {
    match &view.preseed {
        Some(preseed) if preseed.cancelled => {
            Some(Reached::Refused(Refusal::PreseedCancelled { vm: view.name.to_string() }))
        }
        Some(preseed) if preseed.is_due() => {
            let why = preseed.fault.clone().filter(|why| matches!(why, Refusal::SiteDraining { .. }));
            why.map(Reached::Refused)
        }
        _ => Some(Reached::There),
    }
}

/// Until it is off.
///
/// # Errors
/// [`Failure::Fault`] with the server's own, if it cannot be stopped.
pub(crate) async fn stopped(ctx: &Context, waiting: Waiting, forced: bool, asked: VmView) -> Result<VmView, Failure> {
    reach(ctx, waiting, asked, |view| match view.state {
        State::Stopped => Some(Reached::There),
        // What is suspended is off; forced off, it is to lose what was saved of it as well.
        State::Suspended if !forced => Some(Reached::There),
        State::Failed => Some(Reached::Broken),
        _ => None,
    })
    .await
}

async fn reach(
    ctx: &Context,
    waiting: Waiting,
    asked: VmView,
    reached: impl Fn(&VmView) -> Option<Reached>,
) -> Result<VmView, Failure> {
    reach_telling(ctx, waiting, asked, draw, reached).await
}

/// The same, with something else to be shown of it meanwhile.
async fn reach_telling(
    ctx: &Context,
    waiting: Waiting,
    asked: VmView,
    tell: fn(&mut Progress, &VmView, Lang),
    reached: impl Fn(&VmView) -> Option<Reached>,
) -> Result<VmView, Failure> {
    let mut progress = Progress::new();
    let name = asked.name.clone();
    let look = |view: VmView| match reached(&view) {
        Some(Reached::There) => Ok(Some(view)),
        Some(Reached::Broken) => Err(broken(view)),
        Some(Reached::Refused(refusal)) => Err(Failure::from(refusal)),
        None => {
            tell(&mut progress, &view, ctx.out.lang);
            Ok(None)
        }
    };
    wait::following(waiting, asked, async || ctx.session.ask(&GetVm { name: name.clone() }).await, look).await
}

/// Until nothing of it is left.
///
/// # Errors
/// [`Failure`] if it cannot be asked.
pub(super) async fn gone(ctx: &Context, waiting: Waiting, asked: &VmView) -> Result<(), Failure> {
    let mut progress = Progress::new();
    wait::until(waiting, async || match ctx.session.ask(&GetVm { name: asked.name.clone() }).await {
        // Another one of the same name is not the one that was deleted.
        Ok(view) if view.uuid == asked.uuid => {
            progress.doing(asked.name.as_str(), &doing(&view, ctx.out.lang));
            Ok(None)
        }
        Ok(_) => Ok(Some(())),
        Err(Failure::Refused(body)) if matches!(body.refusal, Refusal::VmUnknown { .. }) => Ok(Some(())),
        Err(failure) => Err(failure),
    })
    .await
}

fn broken(view: VmView) -> Failure {
    match view.fault {
        Some(fault) => fault.into(),
        None => Failure::Refused(Box::new(
            Refusal::VmState {
                vm: view.name.to_string(),
                state: view.state.word().to_owned(),
                wanted: "go on".to_owned(),
            }
            .into(),
        )),
    }
}

fn draw(progress: &mut Progress, view: &VmView, lang: Lang) {
    progress.doing(view.name.as_str(), &doing(view, lang));
}

/// Where its disk goes, and how much of it is there.
fn draw_ahead(progress: &mut Progress, view: &VmView, lang: Lang) {
    let (name, text) = (view.name.as_str(), sending_ahead(view, lang));
    match view.sending.filter(|_| view.preseed.as_ref().is_some_and(Preseed::is_due)) {
        Some(sending) => progress.arriving(lang, name, sending.brought_bytes, Some(sending.total_bytes), &text),
        None => progress.doing(name, &text),
    }
}

fn doing(view: &VmView, lang: Lang) -> String {
    let word = states::shown(lang, if view.rebooting { "rebooting" } else { view.state.word() });
    // Where it could not be put is of no matter any more to one that goes.
    let fault = view.fault.as_ref().filter(|f| view.state != State::Deleting || !f.code.starts_with("placement."));
    match fault {
        None if !view.reachable => words::because(&word, Word::NodeSilent.text(lang)),
        Some(fault) => {
            let cause = if lang == Lang::Ja { &fault.ja.cause } else { &fault.cause };
            words::because(&word, cause)
        }
        None => word,
    }
}

/// Where its disk goes, and why it is not there yet.
fn sending_ahead(view: &VmView, lang: Lang) -> String {
    let Some(preseed) = view.preseed.as_ref().filter(|preseed| preseed.is_due()) else { return doing(view, lang) };
    let text = ahead::sending(lang, preseed.to.as_ref().map(NodeName::as_str));
    let cause = preseed.fault.as_ref().map(|fault| match lang {
        Lang::En => fault.english().cause,
        Lang::Ja => fault.japanese().cause,
    });
    cause.map_or_else(|| text.clone(), |cause| words::because(&text, &cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_learns_that_the_node_is_silent_and_nothing_that_is_over() {
        let sample = include_str!("../../../../shared/contracts/tests/golden/reply.VmView.json");
        let mut view: VmView = serde_json::from_str::<Vec<_>>(sample).unwrap().swap_remove(0);
        (view.state, view.fault, view.rebooting, view.reachable) = (State::Stopping, None, false, false);
        assert_eq!(doing(&view, Lang::En), "stopping (its node does not answer)");
        let detail = watari_model::Said::both("full");
        let fault =
            watari_contracts::scheduler::Fault::from(&Refusal::NoRoom { vm: "mail".to_owned(), detail, help: None });
        (view.state, view.fault, view.reachable) = (State::Deleting, Some(fault), true);
        assert_eq!(doing(&view, Lang::En), "deleting");
    }

    #[test]
    fn who_waits_for_a_disk_learns_where_it_goes_and_why_it_does_not() {
        let sample = include_str!("../../../../shared/contracts/tests/golden/reply.VmView.json");
        let mut view: VmView = serde_json::from_str::<Vec<_>>(sample).unwrap().swap_remove(0);
        assert_eq!(sending_ahead(&view, Lang::En), "its disk is being sent ahead to y1");
        let preseed = view.preseed.as_mut().unwrap();
        let detail = watari_model::Said::both("full");
        (preseed.to, preseed.fault) = (None, Some(Refusal::NoRoom { vm: "mail".to_owned(), detail, help: None }));
        let told = sending_ahead(&view, Lang::En);
        assert!(told.starts_with("a node is being chosen") && told.contains("no node can take server mail"), "{told}");
    }
}
