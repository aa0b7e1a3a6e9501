//! The requests that the monitor answers, one handler each.

mod gone;
mod past;
mod power;
mod view;

use std::{ops::Bound, sync::Arc};

use watari_chassis::{Entry, Server};
use watari_contracts::{
    Service,
    monitor::{
        ConfirmNodeOff, CordonNode, EventPage, GetNode, HealthPage, ListEvents, ListHealth, ListHistory, ListNodes,
        ListUpses, NodePage, NodeView, PowerNode, RemoveNode, ReportUsage, UncordonNode, UpsPage,
    },
    permissions::BUCKETS,
};
use watari_model::{NodeName, Refusal, Said, node::Node, said};

use crate::{
    documents,
    fencing::Desk,
    history::{Filter, History},
    ups::Roll,
    watch::Watch,
};
use view::{health, view};

/// The most nodes or events in one page: what fits well into one message.
const PAGE: u32 = 1_000;
/// The same for nodes with all that they find, of which each is some kilobytes.
const HEALTH_PAGE: u32 = 100;
/// So many events are shown if nobody says how many.
const USUAL_EVENTS: u32 = 50;
/// The longest key of a document: two names and a dot.
const LONGEST_KEY: usize = 127;

/// All endpoints, not yet serving.
pub(crate) fn server(watch: &Arc<Watch>, history: &Arc<History>, roll: &Roll, desk: &Arc<Desk>) -> Server {
    let with = || Arc::clone(watch);
    let (list, get, cordon, uncordon, examine) = (with(), with(), with(), with(), with());
    let (events, told, used) = (Arc::clone(history), Arc::clone(history), Arc::clone(history));
    let (confirm, remove) = (with(), with());
    let (roll, switching, desk) = (roll.clone(), with(), Arc::clone(desk));
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
        .endpoint::<ListHealth, _, _, _>(move |_, request| {
            let page = list_health(&examine, &request);
            async move { page }
        })
        .endpoint::<ListUpses, _, _, _>(move |_, _| {
            let upses = roll.all();
            async move { Ok(UpsPage { upses }) }
        })
        .endpoint::<ConfirmNodeOff, _, _, _>(move |_, request| {
            let watch = Arc::clone(&confirm);
            async move { gone::confirm_off(&watch, &request).await }
        })
        .endpoint::<PowerNode, _, _, _>(move |_, request| {
            let (watch, desk) = (Arc::clone(&switching), Arc::clone(&desk));
            async move { power::power(&watch, &desk, &request).await }
        })
        .endpoint::<RemoveNode, _, _, _>(move |_, request| {
            let watch = Arc::clone(&remove);
            async move { gone::remove(&watch, &request).await }
        })
        .endpoint::<ListEvents, _, _, _>(move |_, request| {
            let history = Arc::clone(&events);
            async move { history.events(&filter(request)?).await.map(|events| EventPage { events }) }
        })
        .endpoint::<ListHistory, _, _, _>(move |_, request| {
            let history = Arc::clone(&told);
            async move { past::list(&history, request).await }
        })
        .endpoint::<ReportUsage, _, _, _>(move |_, request| {
            let history = Arc::clone(&used);
            async move { past::usage(&history, request).await }
        })
}

fn list_nodes(watch: &Watch, request: &ListNodes) -> Result<NodePage, Refusal> {
    let limit = limit(request.limit, PAGE, PAGE)?;
    let here = |node: &Node| request.site.as_ref().is_none_or(|wanted| *wanted == node.site);
    let (found, next) = page(watch, request.after.as_ref(), limit, here);
    Ok(NodePage { nodes: found.iter().map(|entry| view(watch, &entry.value)).collect(), next })
}

fn list_health(watch: &Watch, request: &ListHealth) -> Result<HealthPage, Refusal> {
    let limit = limit(request.limit, HEALTH_PAGE, HEALTH_PAGE)?;
    let (found, next) = page(watch, request.after.as_ref(), limit, |_| true);
    Ok(HealthPage { nodes: found.iter().map(|entry| health(watch, &entry.value)).collect(), next })
}

/// The nodes that are wanted, after a name, at most so many; and where to go on, if there are more.
fn page(
    watch: &Watch,
    after: Option<&NodeName>,
    limit: u32,
    wanted: impl Fn(&Node) -> bool,
) -> (Vec<Arc<Entry<Node>>>, Option<NodeName>) {
    let nodes = watch.nodes.snapshot();
    let from = (after.map_or(Bound::Unbounded, |name| Bound::Excluded(name.as_str())), Bound::Unbounded);
    let mut found = nodes.range::<str, _>(from).map(|(_, entry)| entry).filter(|entry| wanted(&entry.value));
    let page: Vec<Arc<Entry<Node>>> = found.by_ref().take(limit as usize).cloned().collect();
    let next = found.next().and(page.last()).map(|entry| entry.value.name.clone());
    (page, next)
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
    known_bucket(bucket.as_deref())?;
    short("key", key.as_deref())?;
    Ok(Filter { bucket, key, limit: limit(wanted, USUAL_EVENTS, PAGE)? })
}

fn known_bucket(bucket: Option<&str>) -> Result<(), Refusal> {
    match bucket.filter(|bucket| !BUCKETS.iter().any(|(known, _)| known == bucket)) {
        Some(bucket) => {
            let names: Vec<_> = BUCKETS.iter().map(|(name, _)| *name).collect();
            Err(out_of_range("bucket", shown(bucket), Said::both(names.join(", "))))
        }
        None => Ok(()),
    }
}

fn short(field: &str, text: Option<&str>) -> Result<(), Refusal> {
    match text.filter(|text| text.is_empty() || text.len() > LONGEST_KEY) {
        Some(text) => {
            let allowed = said!("1 to {LONGEST_KEY} characters", "1～{LONGEST_KEY} 文字");
            Err(out_of_range(field, shown(text), allowed))
        }
        None => Ok(()),
    }
}

fn limit(wanted: Option<u32>, usual: u32, most: u32) -> Result<u32, Refusal> {
    match wanted {
        None => Ok(usual),
        Some(limit) if (1..=most).contains(&limit) => Ok(limit),
        Some(other) => Err(out_of_range("limit", other.to_string(), Said::between(1, most))),
    }
}

fn out_of_range(field: &str, value: String, allowed: Said) -> Refusal {
    Refusal::OutOfRange { field: field.to_owned(), value, allowed }
}

/// Text from outside, cut to what is safe and sensible to show.
fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(60).collect::<String>())
}
