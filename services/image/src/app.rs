//! What all parts of an instance share.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock, atomic::AtomicUsize},
};

use tokio::sync::{Mutex, watch};
use watari_chassis::{Context, Entry, Leadership, Lease, Mirror, Wake};
use watari_contracts::Service;
use watari_model::{SiteName, image::Image, node::Node, vm::Vm};

use crate::{
    ServiceError,
    checking::{Checker, Sandbox},
    downloads::Downloads,
    imports::Waiting,
    metrics::Metrics,
    objects::Objects,
    pace::Pace,
    plan::{Used, imports::Upload},
    saves::Saves,
    settings::ImageSection,
    store::{Shelf, Store, StoreError, UploadId},
    uploads::Uploads,
};

/// One instance.
pub struct App {
    /// The process.
    pub ctx: Context,
    /// This front end's site.
    pub site: SiteName,
    /// The settings.
    pub settings: ImageSection,
    /// All images.
    pub images: Mirror<Image>,
    /// All servers, once the scheduler has made their bucket. Until then nobody knows what is in
    /// use, and nothing is deleted.
    vms: OnceLock<Mirror<Vm>>,
    /// All nodes, once the monitor has made their bucket: they tell which images they keep, and which disks. Until
    /// then nobody knows what is in use either.
    nodes: OnceLock<Mirror<Node>>,
    /// The data folder.
    pub store: Store,
    /// What is in it.
    pub shelf: Shelf,
    /// What copies that come from other front ends share.
    pub pace: Pace,
    /// Where ready images are kept for good beside the folder, if anywhere.
    pub objects: Option<Objects>,
    /// Sound images that are not there yet.
    pub(crate) waiting: Waiting,
    /// Uploads in hand.
    pub uploads: Uploads,
    /// Files being fetched from URLs.
    pub downloads: Downloads,
    /// What agents said of the servers' disks that they copy.
    pub saves: Saves,
    /// Held from counting what is under way until one more of it is: of many that ask at once each counts the others.
    pub(crate) admitting: Mutex<()>,
    /// Whether this instance leads.
    pub leadership: watch::Receiver<Leadership>,
    /// What judges files.
    pub checker: Checker,
    /// What is counted.
    pub metrics: Metrics,
    /// How many images were last said to be missing at a site for long.
    pub(crate) overdue: AtomicUsize,
    /// Wakes the loop of imports.
    pub wake_imports: Wake,
    /// Wakes the loop of copies.
    pub wake_copies: Wake,
    /// Wakes the loop of saves.
    pub wake_saves: Wake,
    /// Wakes the loop that looks at the object store.
    pub wake_objects: Wake,
}

impl App {
    /// Opens the folder and the buckets, and competes for the lease.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn open(ctx: Context, settings: ImageSection) -> Result<Arc<Self>, ServiceError> {
        let site = settings.site().map_err(ServiceError::Settings)?;
        let store = Store::open(&settings.data_dir)?;
        let shelf = Shelf::open(store.clone())?;
        let metrics = Metrics::register(&ctx.metrics)?;
        let objects = Objects::open(&settings, &store, &metrics.store_sent).map_err(ServiceError::Settings)?;
        let checker = Checker::new(Sandbox::prepare(&settings.qemu).await, &settings.limits, &store);
        let images = Mirror::<Image>::open(&ctx).await.map_err(|_| ServiceError::Stopped)?;
        let leadership =
            Lease::campaign(&ctx, Service::Image, ctx.lease_ttl()).await.map_err(|_| ServiceError::Stopped)?;
        let stored = images.clone();
        let leadership = Lease::beginning_with(&ctx, leadership, move || {
            let stored = stored.clone();
            async move { stored.catch_up().await }
        });
        let (wake_imports, wake_copies, wake_saves) = (Wake::new(), Wake::new(), Wake::new());
        for wake in [&wake_imports, &wake_copies, &wake_saves] {
            images.wakes(wake);
        }
        let uploads = Uploads::new(settings.limits.max_uploads);
        let downloads = Downloads::new(&settings.urls);
        let pace = Pace::new(settings.limits.copy_bytes_per_second());
        let app = Arc::new(Self {
            ctx,
            site,
            settings,
            images,
            vms: OnceLock::new(),
            nodes: OnceLock::new(),
            store,
            shelf,
            pace,
            objects,
            waiting: Waiting::default(),
            uploads,
            downloads,
            saves: Saves::default(),
            admitting: Mutex::default(),
            leadership,
            checker,
            metrics,
            overdue: AtomicUsize::new(0),
            wake_imports,
            wake_copies,
            wake_saves,
            wake_objects: Wake::new(),
        });
        let waiting = Arc::clone(&app);
        app.ctx.spawn("servers", async move {
            if let Ok(vms) = Mirror::<Vm>::of_another(&waiting.ctx).await {
                let wakes = [&waiting.wake_imports, &waiting.wake_copies, &waiting.wake_saves];
                wakes.iter().for_each(|wake| vms.wakes(wake));
                let _ = waiting.vms.set(vms);
                wakes.iter().for_each(|wake| wake.wake());
            }
        });
        let waiting = Arc::clone(&app);
        app.ctx.spawn("nodes", async move {
            if let Ok(nodes) = Mirror::<Node>::of_another(&waiting.ctx).await {
                let _ = waiting.nodes.set(nodes);
                waiting.wake_imports.wake();
                waiting.wake_copies.wake();
            }
        });
        Ok(app)
    }

    /// Whether this instance leads just now, by what it was told and by the clock: it may have stood still. Who does not
    /// takes no upload, and removes nothing that all sites share.
    #[must_use]
    pub fn is_primary(&self) -> bool {
        self.leadership.borrow().epoch().is_some() && self.ctx.may_act()
    }

    /// All servers, or none if they are not known yet.
    #[must_use]
    pub fn servers(&self) -> Option<Vec<Arc<Entry<Vm>>>> {
        self.vms.get().map(|vms| vms.snapshot().values().cloned().collect())
    }

    /// All nodes, or none if they are not known yet.
    #[must_use]
    pub fn nodes(&self) -> Option<Vec<Arc<Entry<Node>>>> {
        self.nodes.get().map(|nodes| nodes.snapshot().values().cloned().collect())
    }

    /// Where an upload's bytes are to be sent.
    #[must_use]
    pub fn upload_url(&self, id: &UploadId) -> String {
        format!("{}/v1/uploads/{id}", self.settings.advertise.trim_end_matches('/'))
    }

    /// The stored files that servers stand on, or kept disks of servers that are no more.
    #[must_use]
    pub fn used(&self) -> Used {
        let (servers, nodes) = (self.servers()?, self.nodes()?);
        let of_servers = servers.iter().map(|vm| &vm.value.spec.base);
        let of_disks = nodes.iter().flat_map(|node| node.value.inventory.disks.values().map(|disk| &disk.base));
        Some(of_servers.chain(of_disks).filter_map(|base| base.sha256.parse().ok()).collect::<BTreeSet<_>>())
    }

    /// The uploads that have a file here.
    ///
    /// # Errors
    /// [`StoreError`] if the folder cannot be read.
    pub fn upload_files(&self) -> Result<BTreeMap<UploadId, Upload>, StoreError> {
        let mut found = BTreeMap::new();
        for (id, path) in self.store.uploads()? {
            // One that is removed meanwhile is no error.
            let Ok(meta) = std::fs::metadata(&path) else { continue };
            let touched = meta.modified().map_or_else(|_| watari_chassis::clock::now(), timestamp);
            found.insert(id, Upload { length: meta.len(), touched });
        }
        Ok(found)
    }
}

fn timestamp(time: std::time::SystemTime) -> watari_model::Timestamp {
    watari_model::Timestamp(time.into())
}
