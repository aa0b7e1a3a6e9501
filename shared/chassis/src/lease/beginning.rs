//! A tenure that begins later than the lease: who decides and answers by copies looks first whether they are whole.

use std::future::Future;

use tokio::sync::watch;

use super::{Leadership, Lease};
use crate::Context;

impl Lease {
    /// Leadership as those see it who decide and answer: each tenure begins for them once `first` is over, and ends for them
    /// when it ends. However long `first` takes, nothing is decided or answered before; one that is overtaken is given up.
    /// A standby's copies may be old, each to another degree, where a link was cut: `first` is where they catch up.
    #[must_use]
    pub fn beginning_with<F, W>(
        ctx: &Context,
        mut leadership: watch::Receiver<Leadership>,
        first: F,
    ) -> watch::Receiver<Leadership>
    where
        F: Fn() -> W + Send + 'static,
        W: Future<Output = ()> + Send,
    {
        let (told, telling) = watch::channel(Leadership::Standby { leader: None });
        ctx.spawn_closer("tenure", async move {
            loop {
                let now = leadership.borrow_and_update().clone();
                if now.epoch().is_some() && now != *told.borrow() {
                    // One may have followed another unseen: they are told apart.
                    told.send_replace(Leadership::Standby { leader: None });
                    tokio::select! {
                        () = first() => {}
                        changed = leadership.changed() => if changed.is_err() { return } else { continue },
                    }
                }
                told.send_if_modified(|told| {
                    let differs = *told != now;
                    *told = now;
                    differs
                });
                if leadership.changed().await.is_err() {
                    return;
                }
            }
        });
        telling
    }
}
