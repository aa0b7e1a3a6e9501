//! `watari vm migrate` beside `virsh migrate` of a twin of the same guest, in turn.

use std::time::Instant;

use anyhow::Context;
use serde::Serialize;

use super::{Bound, Spread, plain::Twin};
use crate::scenarios::Stage;

/// What the paused protocol may add to QEMU's downtime at the median.
pub const MOST_PAUSE_MS: f64 = 50.0;

/// The comparison. Times in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// How many pairs.
    pub runs: usize,
    /// `watari vm migrate --wait`, as the operator waits.
    pub watari_ms: Spread,
    /// `virsh migrate`, likewise.
    pub virsh_ms: Spread,
    /// What Watari adds, pair by pair.
    pub added_ms: Spread,
    /// QEMU's downtime under Watari, the protocol's pause not included.
    pub watari_qemu_downtime_ms: Spread,
    /// QEMU's downtime under virsh.
    pub virsh_qemu_downtime_ms: Spread,
    /// The paused protocol's price.
    pub pause_ms: Spread,
}

impl Comparison {
    /// At most a tenth or 100 ms more than virsh, whichever is larger; no more of QEMU's downtime than
    /// its own; and the protocol's pause.
    #[must_use]
    pub fn bounds(&self) -> Vec<Bound> {
        let (downtime, plain) = (self.watari_qemu_downtime_ms.median, self.virsh_qemu_downtime_ms.median);
        vec![
            Bound::most("added_ms.median", self.added_ms.median, (self.virsh_ms.median / 10.0).max(100.0)),
            Bound::most("watari_qemu_downtime_ms.median", downtime, plain),
            Bound::most("pause_ms.median", self.pause_ms.median, MOST_PAUSE_MS),
        ]
    }
}

/// Runs `runs` pairs of `mail` and its twin to and fro between m1 and y1.
///
/// # Errors
/// When a migration fails.
pub fn run(stage: &Stage, runs: usize) -> anyhow::Result<Comparison> {
    let (lab, vm) = (&stage.lab, "mail");
    stage.ready(vm)?;
    if lab.watari(&["vm", "show", vm])?["node"] != "m1" {
        lab.watari(&["vm", "migrate", vm, "--to", "m1", "--wait"])?;
    }
    Twin::clear(lab)?;
    let twin = Twin::start(lab, vm, "m1", 1)?;
    twin.until_idle("m1")?;
    let (mut ours, mut theirs, mut added) = (Vec::new(), Vec::new(), Vec::new());
    let (mut our_downtime, mut their_downtime, mut pause) = (Vec::new(), Vec::new(), Vec::new());
    // One uncounted pair: a guest's first migration takes two to three times as long as its next.
    for run in 0..=runs {
        let (from, to) = if run.is_multiple_of(2) { ("m1", "y1") } else { ("y1", "m1") };
        let began = Instant::now();
        let moved = lab.watari(&["vm", "migrate", vm, "--to", to, "--wait"])?;
        let our_ms = began.elapsed().as_secs_f64() * 1000.0;
        twin.prepare(to)?;
        let uri = format!("qemu+tls://{to}/system");
        let began = Instant::now();
        lab.run(&twin.migration(from, &uri))?;
        let their_ms = began.elapsed().as_secs_f64() * 1000.0;
        twin.forget(from)?;
        if run == 0 {
            continue;
        }
        let measured = |field: &str| moved["measured"][field].as_f64().with_context(|| format!("no {field}"));
        ours.push(our_ms);
        theirs.push(their_ms);
        added.push(our_ms - their_ms);
        our_downtime.push(measured("downtime_ms")?);
        their_downtime.push(twin.downtime_ms(to)?);
        pause.push(measured("pause_ms")?);
    }
    twin.end(if runs.is_multiple_of(2) { "y1" } else { "m1" })?;
    Ok(Comparison {
        runs,
        watari_ms: Spread::of(ours),
        virsh_ms: Spread::of(theirs),
        added_ms: Spread::of(added),
        watari_qemu_downtime_ms: Spread::of(our_downtime),
        virsh_qemu_downtime_ms: Spread::of(their_downtime),
        pause_ms: Spread::of(pause),
    })
}
