//! The requests that the network service answers, one handler each.

mod addresses;

use std::{ops::Bound, sync::Arc};

use watari_chassis::{Context, Server};
use watari_contracts::{
    Service,
    network::{
        AllocatePort, ClearAddress, CreateNetwork, DeleteNetwork, EditNetwork, GetNetwork, ListNetworks, ListPorts,
        NetworkPage, PortPage, ReleasePorts, Released, ReplacePort,
    },
};
use watari_model::{NetworkName, Refusal, Said, network::Port};

use crate::{book::Book, wanted};

/// The most ports in one page: what fits well into one message.
const PAGE: u32 = 1_000;

/// All endpoints, not yet serving.
pub(crate) fn server(ctx: &Context, book: &Arc<Book>) -> Server {
    let with = || Arc::clone(book);
    let (create, get, list, edit, clear, delete) = (with(), with(), with(), with(), with(), with());
    let (ports, allocate, replace, release) = (with(), with(), with(), with());
    let server = Server::new(ctx, Service::Network)
        .endpoint::<CreateNetwork, _, _, _>(move |call, request| {
            let book = Arc::clone(&create);
            async move { book.create(call.epoch, &request).await }
        })
        .endpoint::<GetNetwork, _, _, _>(move |call, request| {
            let found = get.get(call.epoch, &request.name);
            async move { found }
        })
        .endpoint::<ListNetworks, _, _, _>(move |call, _| {
            let networks = list.list(call.epoch);
            async move { Ok(NetworkPage { networks }) }
        })
        .endpoint::<EditNetwork, _, _, _>(move |call, request| {
            let book = Arc::clone(&edit);
            async move { book.edit(call.epoch, &request).await }
        })
        .endpoint::<ClearAddress, _, _, _>(move |call, request| {
            let book = Arc::clone(&clear);
            async move { book.clear(call.epoch, &request).await }
        })
        .endpoint::<DeleteNetwork, _, _, _>(move |call, request| {
            let book = Arc::clone(&delete);
            async move { book.delete(call.epoch, &request.name).await }
        })
        .endpoint::<ListPorts, _, _, _>(move |_, request| {
            let page = list_ports(&ports, &request);
            async move { page }
        })
        .endpoint::<AllocatePort, _, _, _>(move |call, request| {
            let book = Arc::clone(&allocate);
            async move { book.allocate(call.epoch, &request).await }
        })
        .endpoint::<ReplacePort, _, _, _>(move |call, request| {
            let book = Arc::clone(&replace);
            async move { book.replace(call.epoch, &request).await }
        })
        .endpoint::<ReleasePorts, _, _, _>(move |call, request| {
            let book = Arc::clone(&release);
            async move { book.release(call.epoch, &request).await.map(|ports| Released { ports }) }
        });
    addresses::server(server, book)
}

/// One page of ports, in the order of their keys.
fn list_ports(book: &Book, request: &ListPorts) -> Result<PortPage, Refusal> {
    let limit = match request.limit {
        None => PAGE,
        Some(limit @ 1..=PAGE) => limit,
        Some(other) => {
            let (field, allowed) = ("limit".to_owned(), Said::between(1, PAGE));
            return Err(Refusal::OutOfRange { field, value: other.to_string(), allowed });
        }
    };
    if let Some(name) = &request.network
        && book.networks().get(name.as_str()).is_none()
    {
        return Err(wanted::unknown(name));
    }
    let snapshot = book.ports().snapshot();
    let from = (request.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
    let mut found = snapshot.range::<str, _>(from).filter(|(_, port)| on(request.network.as_ref(), &port.value));
    let page: Vec<_> = found.by_ref().take(limit as usize).collect();
    let next = found.next().and(page.last()).map(|(key, _)| (*key).clone());
    Ok(PortPage { ports: page.into_iter().map(|(_, port)| port.value.clone()).collect(), next })
}

fn on(wanted: Option<&NetworkName>, port: &Port) -> bool {
    wanted.is_none_or(|name| port.network == *name)
}
