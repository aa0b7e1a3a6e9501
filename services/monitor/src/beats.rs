//! Hearing beats: decode, fold, next. No JSON, no document, and no lock held beyond one fold.

use std::sync::{Arc, atomic::Ordering};

use futures_util::StreamExt;
use watari_chassis::{Message, Messages, clock, codec};
use watari_contracts::beat::{Beat, VERSION};

use crate::{
    fleet::{Doubtful, Folded},
    metrics::{MALFORMED, NO_SUBJECT},
    watch::Watch,
};

/// One complaint about beats in so many milliseconds.
const COMPLAIN_EVERY_MS: u64 = 10_000;

/// Takes beats until the process shuts down.
pub(crate) async fn hear(watch: Arc<Watch>, mut beats: Messages) {
    let shutdown = watch.ctx.shutdown.clone();
    loop {
        let next = tokio::select! {
            next = beats.next() => next,
            () = shutdown.cancelled() => return,
        };
        match next {
            Some(message) => take(&watch, &message),
            None => return,
        }
    }
}

fn take(watch: &Watch, message: &Message) {
    let metrics = &watch.metrics;
    metrics.beats.inc();
    let refused = |why: &str| metrics.beats_refused.with_label_values(&[why]).inc();
    let Some((site, node)) = place(&message.subject) else { return refused(NO_SUBJECT) };
    let Ok(mut beat) = codec::decode::<Beat>(VERSION, &message.payload) else { return refused(MALFORMED) };
    let now_ms = u64::try_from(clock::now().0.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
    metrics.lag(beat.at_ms, now_ms);
    let mut fleet = watch.fleet();
    let folded = fleet.fold(site, node, &beat, clock::boot_millis());
    if !matches!(folded, Folded::Refused(_)) {
        fleet.clock(node, beat.at_ms, now_ms);
        fleet.sampled(node, std::mem::take(&mut beat.servers), beat.at_ms);
    }
    drop(fleet);
    match folded {
        Folded::Known => {}
        Folded::News(news) => {
            if news.state {
                watch.judge.wake();
            }
            if news.inventory {
                watch.ask.wake();
            }
        }
        Folded::Refused(doubtful) => {
            refused(doubtful.word());
            complain(watch, message, doubtful);
        }
    }
}

/// Says why a beat is not believed, for an operator has to mend it, but not with each beat.
fn complain(watch: &Watch, message: &Message, doubtful: Doubtful) {
    let now = clock::boot_millis();
    let last = watch.complained_at.load(Ordering::Relaxed);
    // An old beat is the network's doing and mends itself.
    if doubtful == Doubtful::Old || now.saturating_sub(last) < COMPLAIN_EVERY_MS {
        return;
    }
    watch.complained_at.store(now, Ordering::Relaxed);
    let why = match doubtful {
        Doubtful::TwoSites => "another node of this name speaks from another site: give one of them another name",
        Doubtful::Names => "it names another node or site than its subject",
        Doubtful::NotAName => "its node or site is no name",
        Doubtful::TooMany => "there are more nodes than nodes.most_nodes allows",
        Doubtful::Old => "it is older than the last one",
    };
    tracing::warn!(subject = message.subject, why, "a beat is not believed");
}

/// Site and node of `watari.<kind>.<site>.<node>`.
pub(crate) fn place(subject: &str) -> Option<(&str, &str)> {
    let mut tokens = subject.split('.').skip(2);
    let place = (tokens.next()?, tokens.next()?);
    tokens.next().is_none().then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_the_last_two_of_four_tokens() {
        assert_eq!(place("watari.beat.myodaiji.m1"), Some(("myodaiji", "m1")));
        for bad in ["watari.beat.myodaiji", "watari.beat.a.b.c", ""] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }

    /// The bytes that the contracts fix are the bytes that the chassis reads and writes.
    #[test]
    fn the_golden_beats_are_what_the_codec_reads_and_writes() {
        let golden: [&[u8]; 2] = [
            include_bytes!("../../../shared/contracts/tests/golden/beat.v1.0.bin"),
            include_bytes!("../../../shared/contracts/tests/golden/beat.v1.1.bin"),
        ];
        for bytes in golden {
            let beat: Beat = codec::decode(VERSION, bytes).unwrap();
            assert_eq!(codec::encode(VERSION, &beat).unwrap(), bytes);
        }
    }
}
