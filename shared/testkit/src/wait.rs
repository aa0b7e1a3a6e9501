//! Waiting for conditions, never for time.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep};

/// How often a condition is looked at: often enough not to slow a test, rarely enough not to
/// starve what it waits for.
const LOOK: Duration = Duration::from_millis(10);

/// Waits until `condition` holds.
///
/// # Panics
/// If it does not hold within `bound`, with `what` in the message.
pub async fn eventually<F: Future<Output = bool>>(what: &str, bound: Duration, mut condition: impl FnMut() -> F) {
    eventually_some(what, bound, || {
        let held = condition();
        async { held.await.then_some(()) }
    })
    .await;
}

/// Waits until `look` brings something.
///
/// # Panics
/// If it brings nothing within `bound`, with `what` in the message.
pub async fn eventually_some<T, F: Future<Output = Option<T>>>(
    what: &str,
    bound: Duration,
    mut look: impl FnMut() -> F,
) -> T {
    let until = Instant::now() + bound;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < until, "not within {bound:?}: {what}");
        sleep(LOOK).await;
    }
}
