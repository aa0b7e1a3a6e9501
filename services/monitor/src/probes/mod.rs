//! How servers are seen from outside while an outage is under way.
//!
//! ```text
//!   outages, vms, nodes, addresses ──▶ targets ──▶ rounds ──▶ ask, echo ──▶ servers
//!                                                    │
//!                                                  record ──▶ history (SQL) ──▶ watari.probes
//! ```
//!
//! Every monitor asks, whether or not it leads, and answers for itself alone. What is kept of a probe is how often it
//! was asked and when it was silent, not each question; when nobody asked is kept as well.

mod ask;
mod echo;
mod record;
mod rounds;
mod targets;
mod told;

use std::sync::Arc;

use tokio::sync::OnceCell;
use watari_chassis::{BusError, Context, Mirror};
use watari_contracts::probe::{AskSeen, SEEN, Seen, Watched};
use watari_model::{node::Node, outage::Outage};

use crate::{history::History, settings::Probes};
use record::Record;
use rounds::Rounds;
pub(crate) use told::Told;

/// The size from which on no more is put into an answer, in bytes: with the largest one more it fits into one message.
const MOST_BYTES: usize = 512 << 10;

/// Begins to watch, and to answer what was seen.
///
/// # Errors
/// [`BusError`] if nobody may ask.
pub(crate) async fn watch(
    ctx: &Context,
    history: &Arc<History>,
    settings: Probes,
    nodes: Mirror<Node>,
    outages: Arc<OnceCell<Mirror<Outage>>>,
    told: Told,
) -> Result<(), BusError> {
    let (asked, past) = (ctx.clone(), Arc::clone(history));
    let answer = move |question: AskSeen| {
        let (ctx, history) = (asked.clone(), Arc::clone(&past));
        async move { seen(&ctx, &history, question).await }
    };
    ctx.answer_all(SEEN, answer).await?;
    let (cx, history) = (ctx.clone(), Arc::clone(history));
    ctx.spawn("probes", async move {
        let Ok(outages) = outages.get_or_try_init(|| Mirror::of_another(&cx)).await.cloned() else { return };
        Rounds::new(&cx, &history, settings, nodes, outages, told).run().await;
    });
    Ok(())
}

async fn seen(ctx: &Context, history: &History, AskSeen { outage }: AskSeen) -> Seen {
    let (site, instance) = (ctx.site().cloned(), ctx.instance.to_string());
    match history.seen(&outage).await {
        Ok(texts) => {
            let (watched, left_out) = fitting(&texts);
            Seen { site, instance, watched, left_out, fault: None }
        }
        Err(refusal) => Seen { site, instance, watched: Vec::new(), left_out: 0, fault: Some(refusal.to_string()) },
    }
}

/// As many as fit, and how many do not.
fn fitting(texts: &[String]) -> (Vec<Watched>, u64) {
    let mut bytes = 0;
    let fits = |text: &&String| {
        bytes += text.len();
        bytes <= MOST_BYTES
    };
    let told: Vec<&String> = texts.iter().take_while(fits).collect();
    let left_out = (texts.len() - told.len()) as u64;
    let records = told.into_iter().filter_map(|text| serde_json::from_str::<Record>(text).ok());
    (records.map(Record::shown).collect(), left_out)
}
