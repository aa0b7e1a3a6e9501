//! The requests that the monitor answers, one handler each.

mod gone;
mod view;

use std::{ops::Bound, sync::Arc};

use watari_chassis::Server;
use watari_contracts::{
    Service,
    monitor::{
        ConfirmNodeOff, CordonNode, EventPage, GetNode, ListEvents, ListNodes, NodePage, NodeView, RemoveNode,
        UncordonNode,
    },
    permissions::BUCKETS,
};
use watari_model::{NodeName, Refusal, Said, said};

use crate::{
    documents,
    history::{Filter, History},
    watch::Watch,
};
use view::view;

/// The most nodes or events in one page: what fits well into one message.
const PAGE: u32 = 1_000;
/// So many events are shown if nobody says how many.
const USUAL_EVENTS: u32 = 50;
/// The longest key of a document: two names and a dot.
const LONGEST_KEY: usize = 127;

/// All endpoints, not yet serving.
pub(crate) fn server(watch: &Arc<Watch>, history: &Arc<History>) -> Server {
    let with = || Arc::clone(watch);
    let (list, get, cordon, uncordon) = (with(), with(), with(), with());
    let (confirm, remove) = (with(), with());
    let history = Arc::clone(history);
    Server::new(&watch.ctx, Service::Monitor)
        .endpoint::<ListNodes, _, _, _>(move |_, request| {
            let page = list_nodes(&list, &request);
            async move { page }
        })
        .endpoint::<GetNode, _, _, _>(move |_, request| {
            let found = get_node(&get, &request.name);
            async move { found }
        })
        .endpoint::<CordonNode, _, _, _>(move |_, request| {
            let watch = Arc::clone(&cordon);
            async move { set_cordon(&watch, &request.name, true).await }
        })
        .endpoint::<UncordonNode, _, _, _>(move |_, request| {
            let watch = Arc::clone(&uncordon);
            async move { set_cordon(&watch, &request.name, false).await }
        })
        .endpoint::<ConfirmNodeOff, _, _, _>(move |_, request| {
            let watch = Arc::clone(&confirm);
            async move { gone::confirm_off(&watch, &request).await }
        })
        .endpoint::<RemoveNode, _, _, _>(move |_, request| {
            let watch = Arc::clone(&remove);
            async move { gone::remove(&watch, &request).await }
        })
        .endpoint::<ListEvents, _, _, _>(move |_, request| {
            let history = Arc::clone(&history);
            async move { history.events(&filter(request)?).await.map(|events| EventPage { events }) }
        })
}

fn list_nodes(watch: &Watch, request: &ListNodes) -> Result<NodePage, Refusal> {
    let limit = limit(request.limit, PAGE)?;
    let nodes = watch.nodes.snapshot();
    let from =
        (request.after.as_ref().map_or(Bound::Unbounded, |name| Bound::Excluded(name.as_str())), Bound::Unbounded);
    let here = |site: &watari_model::SiteName| request.site.as_ref().is_none_or(|wanted| wanted == site);
    let mut found = nodes.range::<str, _>(from).map(|(_, entry)| &entry.value).filter(|node| here(&node.site));
    let page: Vec<NodeView> = found.by_ref().take(limit as usize).map(|node| view(watch, node)).collect();
    let next = found.next().and(page.last()).map(|node| node.name.clone());
    Ok(NodePage { nodes: page, next })
}

fn get_node(watch: &Watch, name: &NodeName) -> Result<NodeView, Refusal> {
    let entry = watch.nodes.get(name.as_str());
    entry.map(|entry| view(watch, &entry.value)).ok_or_else(|| Refusal::NodeUnknown { node: name.to_string() })
}

async fn set_cordon(watch: &Watch, name: &NodeName, cordoned: bool) -> Result<NodeView, Refusal> {
    let node = documents::cordon(watch, name, cordoned).await?;
    Ok(view(watch, &node))
}

fn filter(request: ListEvents) -> Result<Filter, Refusal> {
    let ListEvents { bucket, key, limit: wanted } = request;
    if let Some(bucket) = bucket.as_ref().filter(|b| !BUCKETS.iter().any(|(known, _)| known == b)) {
        let names: Vec<_> = BUCKETS.iter().map(|(name, _)| *name).collect();
        return Err(out_of_range("bucket", shown(bucket), Said::both(names.join(", "))));
    }
    if let Some(key) = key.as_ref().filter(|key| key.is_empty() || key.len() > LONGEST_KEY) {
        return Err(out_of_range("key", shown(key), said!("1 to {LONGEST_KEY} characters", "1～{LONGEST_KEY} 文字")));
    }
    Ok(Filter { bucket, key, limit: limit(wanted, USUAL_EVENTS)? })
}

fn limit(wanted: Option<u32>, usual: u32) -> Result<u32, Refusal> {
    match wanted {
        None => Ok(usual),
        Some(limit @ 1..=PAGE) => Ok(limit),
        Some(other) => Err(out_of_range("limit", other.to_string(), Said::between(1, PAGE))),
    }
}

fn out_of_range(field: &str, value: String, allowed: Said) -> Refusal {
    Refusal::OutOfRange { field: field.to_owned(), value, allowed }
}

/// Text from outside, cut to what is safe and sensible to show.
fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(60).collect::<String>())
}
