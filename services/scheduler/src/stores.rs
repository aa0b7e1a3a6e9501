//! The buckets: eight of our own, five of others that are only read.

use watari_chassis::{Context, Mirror, Wake};
use watari_model::{
    firewall::Firewall,
    frontend::Primacy,
    image::Image,
    key::Key,
    migration::Migration,
    network::{Network, Port},
    node::Node,
    outage::Outage,
    project::Project,
    site::Site,
    userdata::UserData,
    vm::Vm,
};

use crate::core::Snapshot;

/// Watched copies of all buckets. Cloning shares them.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) vms: Mirror<Vm>,
    pub(crate) migrations: Mirror<Migration>,
    pub(crate) outages: Mirror<Outage>,
    pub(crate) sites: Mirror<Site>,
    pub(crate) keys: Mirror<Key>,
    pub(crate) projects: Mirror<Project>,
    pub(crate) userdata: Mirror<UserData>,
    pub(crate) frontends: Mirror<Primacy>,
    pub(crate) nodes: Mirror<Node>,
    pub(crate) networks: Mirror<Network>,
    pub(crate) images: Mirror<Image>,
    pub(crate) ports: Mirror<Port>,
    pub(crate) firewalls: Mirror<Firewall>,
}

impl Stores {
    /// Opens our own and waits for the others' to be there.
    ///
    /// # Errors
    /// If the process is told to stop meanwhile.
    pub(crate) async fn open(ctx: &Context) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let own = async {
            tokio::try_join!(
                Mirror::open(ctx),
                Mirror::open(ctx),
                Mirror::open(ctx),
                Mirror::open(ctx),
                Mirror::open(ctx),
                Mirror::open(ctx),
                Mirror::open(ctx),
                Mirror::open(ctx)
            )
        };
        let others = async {
            tokio::try_join!(
                Mirror::of_another(ctx),
                Mirror::of_another(ctx),
                Mirror::of_another(ctx),
                Mirror::of_another(ctx),
                Mirror::of_another(ctx)
            )
        };
        let (
            (vms, migrations, outages, sites, keys, projects, userdata, frontends),
            (nodes, networks, images, ports, firewalls),
        ) = tokio::try_join!(own, others)?;
        Ok(Self {
            vms,
            migrations,
            outages,
            sites,
            keys,
            projects,
            userdata,
            frontends,
            nodes,
            networks,
            images,
            ports,
            firewalls,
        })
    }

    /// Lets every change that is decided upon wake the loop.
    pub(crate) fn wake(&self, wake: &Wake) {
        self.vms.wakes(wake);
        self.migrations.wakes(wake);
        self.outages.wakes(wake);
        self.sites.wakes(wake);
        self.userdata.wakes(wake);
        self.frontends.wakes(wake);
        self.nodes.wakes(wake);
        self.networks.wakes(wake);
        self.images.wakes(wake);
    }

    /// Waits until everything is here as it is stored now.
    pub(crate) async fn catch_up(&self) {
        tokio::join!(
            self.vms.catch_up(),
            self.migrations.catch_up(),
            self.outages.catch_up(),
            self.sites.catch_up(),
            self.keys.catch_up(),
            self.projects.catch_up(),
            self.userdata.catch_up(),
            self.frontends.catch_up(),
            self.nodes.catch_up(),
            self.networks.catch_up(),
            self.images.catch_up(),
            self.ports.catch_up(),
            self.firewalls.catch_up()
        );
    }

    /// The documents at this moment.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            vms: self.vms.snapshot(),
            migrations: self.migrations.snapshot(),
            outages: self.outages.snapshot(),
            sites: self.sites.snapshot(),
            userdata: self.userdata.snapshot(),
            frontends: self.frontends.snapshot(),
            nodes: self.nodes.snapshot(),
            networks: self.networks.snapshot(),
            images: self.images.snapshot(),
            ..Snapshot::default()
        }
    }
}
