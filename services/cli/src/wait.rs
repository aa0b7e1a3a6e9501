//! Waiting until what was asked for is so.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{failure::Failure, options::Waiting, texts::faults::Fault};

/// How soon it is looked again whether it is so.
const FIRST_LOOK: Duration = Duration::from_millis(10);
/// How often it is looked at least.
const LOOK: Duration = Duration::from_millis(100);

/// Looks at what there is `first`, and then at what `ask` brings, until `look` finds what is waited for.
///
/// # Errors
/// As [`until`], and what `ask` says.
pub async fn following<V, T>(
    waiting: Waiting,
    first: V,
    mut ask: impl AsyncFnMut() -> Result<V, Failure>,
    mut look: impl FnMut(V) -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let mut first = Some(first);
    until(waiting, async || {
        let view = match first.take() {
            Some(view) => view,
            None => ask().await?,
        };
        look(view)
    })
    .await
}

/// Looks until `look` brings something.
///
/// # Errors
/// What `look` says, or [`Fault::WaitedInVain`] when the person's patience is at its end.
pub async fn until<T>(
    waiting: Waiting,
    mut look: impl AsyncFnMut() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        // What is soon so is soon seen, and what takes longer is not asked for more often than it is worth.
        let pause = (began.elapsed() / 4).clamp(FIRST_LOOK, LOOK);
        if let Some(bound) = waiting.wait_timeout
            && began.elapsed() + pause > bound
        {
            return Err(Fault::waited(u64::try_from(bound.as_millis()).unwrap_or(u64::MAX)).into());
        }
        sleep(pause).await;
    }
}
