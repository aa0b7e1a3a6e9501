//! Letting further hosts into a cluster: tokens, and the service that hosts come to with them.
//!
//! ```text
//!  watari token create ──▶ a token ── carried by a person ──▶ watari join on the new host
//!                             │                                   │ HTTPS; the server is known by the token
//!                             ▼ its digest                        ▼
//!                     DIR/tokens.json ◀── admit (pure) ── watari enrol (this), on the first front end
//!                                                                 │
//!          cluster.toml, certificate, everybody's files ◀── what `watari setup` does
//! ```
//!
//! The service is the one process of a running cluster that can sign certificates: it is apart from all others,
//! and speaks to nobody but who comes. Where the folder is not, it fetches what the host's own NATS server is to know.

pub mod book;
mod certificate;
pub mod desk;
mod expel;
mod follow;
mod serve;
pub mod token;
pub(crate) mod wanted;

use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc};

use clap::Args;
use watari_contracts::enrol::PORT;
use watari_model::NodeName;

use crate::{
    failure::Failure,
    input, out,
    setup::{
        cluster::{Role, at},
        files::Overlay,
    },
    texts::faults::Fault,
};
use desk::Desk;
use serve::Service;

/// Let hosts in that come with a token, or follow the front end that does; systemd starts this on every host
#[derive(Debug, Args)]
pub struct Enrol {
    #[command(flatten)]
    folder: Folder,
    /// This host's name [default: what it calls itself]
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Where to listen [default: port 8445 of this host's address]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// The front end to follow, if the folder is not here [default: the one that has it]
    #[arg(long, value_name = "ADDRESS:PORT")]
    front: Option<String>,
    /// The folder that is this host's root
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,
}

/// Where a cluster is kept.
#[derive(Clone, Debug, Args)]
pub struct Folder {
    /// The cluster's folder
    #[arg(long, value_name = "DIR", default_value = desk::DIR)]
    dir: PathBuf,
}

impl Folder {
    /// The desk there.
    #[must_use]
    pub fn desk(&self) -> Desk {
        Desk::at(self.dir.clone())
    }
}

impl Enrol {
    /// Serves until it is told to stop, or follows the one that does.
    ///
    /// # Errors
    /// [`Failure`] if there is no cluster, or no listener to be had.
    pub async fn run(&self) -> Result<(), Failure> {
        let desk = self.folder.desk();
        if desk.description()?.is_none() {
            return follow::run(&desk, &self.root, self.front.as_deref()).await;
        }
        let here = host_name(self.host.as_deref())?;
        let (address, tls, certificate) = {
            let held = desk.hold()?;
            let cluster = held.cluster()?;
            let front = cluster.host(&here).filter(|host| host.role == Role::Front);
            let own = at(front.ok_or_else(|| Fault::NotAFront { host: here.to_string() })?.address, PORT);
            held.make(&cluster, &here, &self.root)?;
            let tls = serve::tls(&held, &here, &Overlay::at(self.root.clone()))?;
            let certificate = held.text(&serve::own_certificate(&here))?;
            (self.listen.map_or(own, |given| given.to_string()), tls, certificate)
        };
        let service = Arc::new(Service { desk, here, root: self.root.clone(), certificate });
        tokio::select! {
            served = serve::run(Arc::clone(&service), &address, tls) => Ok(served?),
            // systemd starts it again, with that.
            () = serve::renewing(service) => {
                out::say("this front end has another certificate");
                Ok(())
            }
        }
    }
}

/// A host's name: as it is given, or as this one calls itself.
///
/// # Errors
/// [`Failure`] if it is no name.
pub(crate) fn host_name(given: Option<&str>) -> Result<NodeName, Failure> {
    const OWN: &str = "/proc/sys/kernel/hostname";
    if let Some(given) = given {
        return input::name(given);
    }
    let own = fs::read_to_string(OWN).map_err(|e| Fault::File { path: OWN.to_owned(), detail: e.to_string() })?;
    input::name(own.trim().split('.').next().unwrap_or_default())
}
