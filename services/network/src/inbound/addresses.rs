//! The requests about public addresses, one handler each.

use std::sync::Arc;

use watari_chassis::Server;
use watari_contracts::address::{
    AddressPage, AllocateAddress, AssociateAddress, DisassociateAddress, GetAddress, ListAddresses, ReleaseAddress,
};

use crate::book::Book;

/// Adds the endpoints to the service's own.
pub(super) fn server(server: Server, book: &Arc<Book>) -> Server {
    let with = || Arc::clone(book);
    let (allocate, get, list) = (with(), with(), with());
    let (associate, disassociate, release) = (with(), with(), with());
    server
        .endpoint::<AllocateAddress, _, _, _>(move |_, request| {
            let book = Arc::clone(&allocate);
            async move { book.allocate_public(&request).await }
        })
        .endpoint::<GetAddress, _, _, _>(move |_, request| {
            let found = get.get_public(&request);
            async move { found }
        })
        .endpoint::<ListAddresses, _, _, _>(move |_, request| {
            let found = list.list_public(&request);
            async move { found.map(|addresses| AddressPage { addresses }) }
        })
        .endpoint::<AssociateAddress, _, _, _>(move |_, request| {
            let book = Arc::clone(&associate);
            async move { book.associate(&request).await }
        })
        .endpoint::<DisassociateAddress, _, _, _>(move |_, request| {
            let book = Arc::clone(&disassociate);
            async move { book.disassociate(&request).await }
        })
        .endpoint::<ReleaseAddress, _, _, _>(move |_, request| {
            let book = Arc::clone(&release);
            async move { book.release_public(&request).await }
        })
}
