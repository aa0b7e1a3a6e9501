//! Following a migration to its end.

use watari_contracts::{
    agent::Transfer,
    scheduler::{GetMigration, MigrationView},
};
use watari_model::migration::State;

use crate::{
    Context,
    failure::Failure,
    format,
    lang::Lang,
    options::Waiting,
    progress::Progress,
    texts::{states, words},
    wait,
};

/// Shows how far it is until it is over, then what became of it.
///
/// # Errors
/// [`Failure::Fault`] if it did not happen.
pub(crate) async fn follow(ctx: &Context, waiting: Waiting, begun: MigrationView) -> Result<(), Failure> {
    let mut progress = Progress::new();
    let id = begun.id.clone();
    let look = |view: MigrationView| {
        if view.state.over() {
            return Ok(Some(view));
        }
        draw(&mut progress, &view, ctx.out.lang);
        Ok(None)
    };
    let ask = async || ctx.session.ask(&GetMigration { id: id.clone() }).await;
    let ended = wait::following(waiting, begun, ask, look).await;
    drop(progress);
    let view = ended?;
    ctx.out.row(&view)?;
    match (view.state, view.fault) {
        (State::Completed, _) => Ok(()),
        (_, Some(fault)) => Err(fault.into()),
        (_, None) => Err(Failure::Silent(crate::failure::FAILED)),
    }
}

/// One migration's line or bar: first for the disk, and then for the memory, whose size is known once its turn
/// has come.
pub(crate) fn draw(progress: &mut Progress, view: &MigrationView, lang: Lang) {
    let name = view.vm.as_str();
    let (state, ends) = (states::shown(lang, view.state.word()), words::way(lang, &view.from, &view.to));
    match view.transfer.filter(|_| view.state == State::Copying) {
        Some(t) => {
            let (part, sent, left) = part(&t);
            let left_ms = (t.memory_left + t.disk_left).saturating_mul(1000).checked_div(t.rate);
            let pace = words::pace(lang, t.rate, left_ms);
            let text = format!("{state} {ends}  {pace}");
            // What a guest writes again is sent again, so the whole is what is sent and what is left.
            progress.climbing(name, &states::shown(lang, part), sent, sent + left, text.trim_end());
        }
        None => progress.doing(name, &format!("{state} {ends}")),
    }
}

/// What travels now, how much of it is sent, and how much is left.
pub(crate) const fn part(transfer: &Transfer) -> (&'static str, u64, u64) {
    match transfer.memory_total {
        0 => ("disk", transfer.disk_sent, transfer.disk_left),
        _ => ("memory", transfer.memory_sent, transfer.memory_left),
    }
}

/// What travelled, as one size.
pub(super) fn transferred(view: &MigrationView) -> Option<String> {
    let measured = view.measured.map(|m| m.memory_bytes + m.disk_bytes);
    let so_far = view.transfer.map(|t| t.memory_sent + t.disk_sent);
    measured.or(so_far).map(format::bytes)
}
