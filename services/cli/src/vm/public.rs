//! Servers with the public addresses that lead to them, which are another service's to tell.

use std::net::Ipv4Addr;

use serde::Serialize;
use watari_contracts::{
    address::{AddressView, ListAddresses},
    scheduler::{GetVm, VmView},
};
use watari_model::VmName;

use crate::{
    Context,
    failure::Failure,
    lang::Lang,
    out::{Column, Row, Tone, joined},
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
    let public_addresses = of(&leading(ctx, Some(request.name)).await, &view);
    ctx.out.show(&Shown { view, public_addresses })
}

/// Lists servers.
pub(super) fn list(ctx: &Context, vms: Vec<VmView>, leading: &[AddressView]) -> Result<(), Failure> {
    let shown = |view: VmView| Shown { public_addresses: of(leading, &view), view };
    ctx.out.list(&vms.into_iter().map(shown).collect::<Vec<_>>())
}

/// What leads to servers, or to one of that name, as far as somebody says so soon.
pub(super) async fn leading(ctx: &Context, vm: Option<VmName>) -> Vec<AddressView> {
    let asked = ListAddresses { network: None, vm };
    ctx.session.glance(&asked).await.map(|page| page.addresses).unwrap_or_default()
}

/// Those of `found` that lead to this very server: one that led to an earlier server of its name is not this one's.
pub(super) fn of(found: &[AddressView], view: &VmView) -> Vec<Ipv4Addr> {
    let leads = found.iter().filter(|one| one.leads_to.as_ref().is_some_and(|target| target.vm_uuid == view.uuid));
    leads.map(|one| one.address).collect()
}

impl Row for Shown {
    fn columns() -> Vec<Column> {
        VmView::columns()
    }

    /// What leads to it stands behind its own addresses.
    fn cells(&self, lang: Lang) -> Vec<String> {
        let mut cells = self.view.cells(lang);
        if !self.public_addresses.is_empty() {
            let addresses = Self::columns().into_iter().position(|column| column.word() == Word::Addresses);
            if let Some(cell) = addresses.and_then(|at| cells.get_mut(at)) {
                *cell = format!("{cell} ({})", joined(&self.public_addresses));
            }
        }
        cells
    }

    fn wide_columns() -> Vec<Column> {
        VmView::wide_columns()
    }

    fn wide_cells(&self, lang: Lang) -> Vec<String> {
        self.view.wide_cells(lang)
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

    fn tone(&self) -> Tone {
        self.view.tone()
    }

    fn none() -> Word {
        VmView::none()
    }
}
