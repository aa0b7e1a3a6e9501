//! The loop: woken by any change and by a tick, it takes no input, looks, and makes it so.
//!
//! Since a step is told nothing, a lost wake costs a tick and nothing else, and recovery is the
//! ordinary path. Wakes that come while a step runs become one further step.

use std::{fmt::Display, future::Future, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::{
    Context,
    lease::Leadership,
    pulse::{Pulse, TURNING},
};

/// The longest pause after errors.
const MOST_BACKOFF: Duration = Duration::from_secs(30);
/// A turn that took less is not rested after: that there is something to go through is not felt yet.
const WORTH_A_REST: Duration = Duration::from_millis(5);
/// The longest rest.
const MOST_REST: Duration = Duration::from_millis(250);

/// Wakes a loop. Cloning shares it: give one to every source of change.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// A wake that nobody has called yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for a step, soon. Many calls before it begins make one step.
    pub fn wake(&self) {
        self.0.notify_one();
    }

    async fn called(&self) {
        self.0.notified().await;
    }
}

/// Runs `step` whenever `wake` is called and at least every `tick`, until the process shuts down.
/// A step in progress is finished, within the process's bound on draining. An error is logged when
/// it changes, and makes the next tries rarer up to half a minute; a wake does not hurry them.
pub async fn run<E, F, W>(ctx: &Context, name: &'static str, wake: Wake, tick: Duration, mut step: F)
where
    E: Display,
    F: FnMut() -> W,
    W: Future<Output = Result<(), E>>,
{
    let mut turns = Turns::new(ctx, name, tick);
    while !ctx.shutdown.is_cancelled() {
        turns.take(step()).await;
        tokio::select! {
            () = ctx.shutdown.cancelled() => {}
            () = turns.pause(&wake) => {}
        }
    }
}

/// The same while this process leads; `step` is given the epoch. A step in progress when
/// leadership ends is *not* cut off: what it sends carries its epoch and is refused if overtaken.
pub async fn run_as_primary<E, F, W>(
    ctx: &Context,
    name: &'static str,
    mut leadership: watch::Receiver<Leadership>,
    wake: Wake,
    tick: Duration,
    mut step: F,
) where
    E: Display,
    F: FnMut(u64) -> W,
    W: Future<Output = Result<(), E>>,
{
    let mut turns = Turns::new(ctx, name, tick);
    while !ctx.shutdown.is_cancelled() {
        let epoch = leadership.borrow_and_update().epoch();
        let Some(epoch) = epoch else {
            tokio::select! {
                () = ctx.shutdown.cancelled() => return,
                changed = leadership.changed() => if changed.is_err() { return },
            }
            continue;
        };
        turns.take(step(epoch)).await;
        tokio::select! {
            () = ctx.shutdown.cancelled() => {}
            changed = leadership.changed() => if changed.is_err() { return },
            () = turns.pause(&wake) => {}
        }
    }
}

/// Says that the present step goes on, for one that takes many bounded parts: the watchdog of whoever
/// supervises the process takes a step in which nothing more happens for stuck. Elsewhere it does nothing.
pub fn goes_on() {
    let _ = TURNING.try_with(Pulse::begins);
}

/// Runs a part of a step that may take long, or as long as something outside does: the watchdog does
/// not count it. What ends it is the caller's to see to.
pub async fn patiently<T>(part: impl Future<Output = T>) -> T {
    let waiting = TURNING.try_with(Pulse::waits).ok();
    let done = part.await;
    drop(waiting);
    done
}

/// For a loop that goes through everything at each wake: rests `times` as long as the turn took that began at `begun`,
/// within a quarter of a second. While very much changes its wakes become fewer turns, which take that part of a
/// processor and no more; where there is little to go through it does nothing. The rest counts as part of the turn.
pub async fn rest(begun: Instant, times: u32) {
    let took = begun.elapsed();
    if took >= WORTH_A_REST {
        tokio::time::sleep((took * times).min(MOST_REST)).await;
    }
}

/// For a loop that is woken by very many changes and looks at all of them at once: its turn begins when this is over,
/// `least` after the one before. `next` is when it may. A turn that nothing hurries waits for nothing, nor does what
/// comes after it.
pub fn apart(next: &mut Instant, least: Duration) -> impl Future<Output = ()> + use<> {
    let due = *next;
    *next = due.max(Instant::now()) + least;
    async move {
        if due > Instant::now() {
            tokio::time::sleep_until(due).await;
        }
    }
}

/// What the turns of one loop have in common.
struct Turns<'a> {
    ctx: &'a Context,
    name: &'static str,
    tick: Duration,
    pulse: Pulse,
    backoff: Duration,
    last_error: Option<String>,
}

impl<'a> Turns<'a> {
    fn new(ctx: &'a Context, name: &'static str, tick: Duration) -> Self {
        // Whoever looks for a rise must find where it rose from.
        ctx.counts().loop_errors.with_label_values(&[name]).inc_by(0);
        Self { ctx, name, tick, pulse: ctx.pulse(name), backoff: Duration::ZERO, last_error: None }
    }

    async fn take<E: Display>(&mut self, step: impl Future<Output = Result<(), E>>) {
        let begun = Instant::now();
        self.pulse.begins();
        let done = TURNING.scope(self.pulse.clone(), step).await;
        self.pulse.rests();
        // A step that wakes itself must not keep everything else from running.
        tokio::task::yield_now().await;
        self.ctx.counts().loop_seconds.with_label_values(&[self.name]).observe(begun.elapsed().as_secs_f64());
        match done {
            Ok(()) => {
                if self.last_error.take().is_some() {
                    tracing::info!(name = self.name, "the loop works again");
                }
                self.backoff = Duration::ZERO;
            }
            Err(error) => {
                self.ctx.counts().loop_errors.with_label_values(&[self.name]).inc();
                let text = error.to_string();
                if self.last_error.as_ref() != Some(&text) {
                    tracing::warn!(name = self.name, error = text, "a turn of the loop failed; it is tried again");
                    self.last_error = Some(text);
                }
                self.backoff = (self.backoff * 2).clamp(Duration::from_millis(100), MOST_BACKOFF);
            }
        }
    }

    /// Until the next step is due: after a success the tick or a wake, after an error the backoff.
    async fn pause(&self, wake: &Wake) {
        if self.backoff.is_zero() {
            let _ = tokio::time::timeout(self.tick, wake.called()).await;
        } else {
            tokio::time::sleep(self.backoff).await;
        }
    }
}
