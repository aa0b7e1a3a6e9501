//! Names in questions: of one that nobody knows a list of nothing would be no answer.

use watari_contracts::{
    firewall::GetFirewall,
    image::GetImage,
    monitor::GetNode,
    network::GetNetwork,
    scheduler::{GetKey, GetMigration, GetOutage, GetProject, GetVm, ListSites},
};
use watari_model::Refusal;

use crate::{failure::Failure, input, session::Session};

/// That something of this kind and name is there, as far as somebody says so soon. Kinds that cannot be asked about
/// one by one are taken for known.
///
/// # Errors
/// [`Failure::Refused`] if a service knows nothing of that name.
pub async fn check(session: &Session, kind: &str, name: &str) -> Result<(), Failure> {
    match kind {
        "vms" => session.must_know(&GetVm { name: input::name(name)? }).await,
        "nodes" => session.must_know(&GetNode { name: input::name(name)? }).await,
        "images" => session.must_know(&GetImage { name: input::name(name)? }).await,
        "networks" => session.must_know(&GetNetwork { name: input::name(name)? }).await,
        "keys" => session.must_know(&GetKey { name: input::name(name)? }).await,
        "projects" => session.must_know(&GetProject { name: input::name(name)? }).await,
        "firewalls" => session.must_know(&GetFirewall { name: input::name(name)? }).await,
        "migrations" => session.must_know(&GetMigration { id: input::name(name)? }).await,
        "outages" => session.must_know(&GetOutage { id: input::name(name)? }).await,
        "sites" => match session.glance(&ListSites {}).await {
            Some(page) if page.sites.iter().all(|site| site.name.as_str() != name) => {
                Err(Failure::Refused(Box::new(Refusal::SiteUnknown { site: name.to_owned() }.into())))
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// The same of a name that may have been left out, where `found` says whether there was anything.
///
/// # Errors
/// As [`check`].
pub async fn check_if(session: &Session, found: bool, kind: &str, name: Option<&str>) -> Result<(), Failure> {
    match name.filter(|_| !found) {
        Some(name) => check(session, kind, name).await,
        None => Ok(()),
    }
}
