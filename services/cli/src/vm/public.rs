//! A server with the public addresses that lead to it, which are another service's to tell.

use std::net::Ipv4Addr;

use serde::Serialize;
use watari_contracts::{
    address::ListAddresses,
    scheduler::{GetVm, VmView},
};

use crate::{
    Context,
    failure::Failure,
    lang::Lang,
    out::{Column, Row, joined},
    texts::words::Word,
};

/// The server, and what leads to it as far as somebody said so soon.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    view: VmView,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    public_addresses: Vec<Ipv4Addr>,
}

/// Shows a server.
pub(super) async fn show(ctx: &Context, request: GetVm) -> Result<(), Failure> {
    let view = ctx.session.ask(&request).await?;
    let asked = ListAddresses { network: None, vm: Some(request.name) };
    let found = ctx.session.glance(&asked).await.map(|page| page.addresses).unwrap_or_default();
    // One that led to an earlier server of this name is not this one's.
    let leads = found.into_iter().filter(|one| one.leads_to.as_ref().is_some_and(|target| target.vm_uuid == view.uuid));
    let public_addresses = leads.map(|one| one.address).collect();
    ctx.out.show(&Shown { view, public_addresses })
}

impl Row for Shown {
    fn columns() -> Vec<Column> {
        VmView::columns()
    }

    fn cells(&self, lang: Lang) -> Vec<String> {
        self.view.cells(lang)
    }

    fn details(&self, lang: Lang) -> Vec<(Word, String)> {
        let mut details = self.view.details(lang);
        if !self.public_addresses.is_empty() {
            let after =
                details.iter().position(|(word, _)| *word == Word::Addresses).map_or(details.len(), |at| at + 1);
            details.insert(after, (Word::PublicAddresses, joined(&self.public_addresses)));
        }
        details
    }

    fn none() -> Word {
        VmView::none()
    }
}
