//! Which ports public addresses lead to. Pure.

use std::{collections::HashMap, net::Ipv4Addr};

use watari_contracts::plan::PublicPort;
use watari_model::NetworkName;

use super::Documents;

/// What leads to a port, by the server's UUID, the port's network and its address.
pub(super) type Leading<'a> = HashMap<(&'a str, &'a NetworkName, Ipv4Addr), PublicPort>;

/// Every public address that leads somewhere, by where it leads. A server of another life has another UUID.
pub(super) fn leading(documents: &impl Documents) -> Leading<'_> {
    let each = documents.addresses().filter_map(|public| {
        let (target, of) = (public.leads_to.as_ref()?, documents.network(&public.network)?);
        let port = PublicPort {
            address: public.address,
            segment: of.segment.clone(),
            subnet: of.cidr.to_string(),
            gateway: of.gateway,
        };
        Some(((target.vm_uuid.as_str(), &target.network, target.address), port))
    });
    each.collect()
}
