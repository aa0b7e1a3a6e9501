//! Following a migration to its end.

use watari_contracts::scheduler::{GetMigration, MigrationView};
use watari_model::migration::State;

use crate::{Context, failure::Failure, format, lang::Lang, options::Waiting, progress::Progress, texts::words, wait};

/// Shows how far it is until it is over, then what became of it.
///
/// # Errors
/// [`Failure::Fault`] if it did not happen.
pub(crate) async fn follow(ctx: &Context, waiting: Waiting, begun: MigrationView) -> Result<(), Failure> {
    let mut progress = Progress::new();
    let id = begun.id.clone();
    let mut first = Some(begun);
    let ended = wait::until(waiting, async || {
        let view = match first.take() {
            Some(view) => view,
            None => ctx.session.ask(&GetMigration { id: id.clone() }).await?,
        };
        if view.state.over() {
            return Ok(Some(view));
        }
        draw(&mut progress, &view, ctx.out.lang);
        Ok(None)
    })
    .await;
    drop(progress);
    let view = ended?;
    ctx.out.row(&view)?;
    match (view.state, view.fault) {
        (State::Completed, _) => Ok(()),
        (_, Some(fault)) => Err(fault.into()),
        (_, None) => Err(Failure::Silent(crate::failure::FAILED)),
    }
}

/// One migration's line or bar.
pub(crate) fn draw(progress: &mut Progress, view: &MigrationView, lang: Lang) {
    let name = view.vm.as_str();
    let way = format!("{} {} -> {}", view.state.word(), view.from, view.to);
    match view.transfer.filter(|_| view.state == State::Copying) {
        Some(t) => {
            let (sent, left) = (t.memory_sent + t.disk_sent, t.memory_left + t.disk_left);
            let left_ms = left.saturating_mul(1000).checked_div(t.rate);
            // What a guest writes again is sent again, so the whole is what is sent and what is left.
            progress.moving(name, sent, sent + left, &format!("{way}  {}", words::pace(lang, t.rate, left_ms)));
        }
        None => progress.doing(name, &way),
    }
}

/// What travelled, as one size.
pub(super) fn transferred(view: &MigrationView) -> Option<String> {
    let measured = view.measured.map(|m| m.memory_bytes + m.disk_bytes);
    let so_far = view.transfer.map(|t| t.memory_sent + t.disk_sent);
    measured.or(so_far).map(format::bytes)
}
