//! What an operation is handed: its server's book, and a way to learn that it is overtaken.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use watari_contracts::agent::{Domain, Progress, Server};
use watari_model::{Refusal, image::Firmware};

use super::book::Book;
use crate::{
    hypervisor,
    node::{Node, word},
    record::Record,
    saving::Way,
    seed, uefi,
    work::Work,
};

/// How long a QEMU process may take to end after it was told to.
pub(super) const ENDS: Duration = Duration::from_secs(20);

/// One operation's surroundings.
pub(super) struct Cx {
    pub(super) node: Arc<Node>,
    pub(super) book: Arc<Book>,
    /// The server, if one of that name is known.
    pub(super) uuid: Option<String>,
    /// Cancelled when another order has overtaken this one.
    pub(super) superseded: CancellationToken,
    /// The sending that is under way, for the order that breaks it off.
    pub(super) sending: Option<watch::Receiver<Progress>>,
}

impl Cx {
    pub(super) fn name(&self) -> &str {
        self.book.vm.as_str()
    }

    /// The server's UUID, for orders that make no sense without a server.
    pub(super) fn uuid(&self, wanted: &str) -> Result<&str, Refusal> {
        self.uuid.as_deref().ok_or_else(|| self.not_now(Domain::Absent, wanted))
    }

    pub(super) async fn record(&self) -> Result<Record, Refusal> {
        let record = match &self.uuid {
            Some(uuid) => self.book.record(uuid).await,
            None => None,
        };
        record.ok_or_else(|| Refusal::Internal { detail: format!("server {} has no record", self.book.vm) })
    }

    pub(super) fn not_now(&self, domain: Domain, wanted: &str) -> Refusal {
        self.node.not_now(&self.book.vm, word(domain), wanted)
    }

    /// What the sender of an order is told that a later one has overtaken.
    pub(super) fn overtaken(&self, wanted: &str) -> Refusal {
        self.node.not_now(&self.book.vm, "wanted otherwise since", wanted)
    }

    pub(super) fn refuse(&self, error: &hypervisor::Error) -> Refusal {
        self.node.refuse(error)
    }

    /// Looks, and gives what our domain does.
    ///
    /// # Errors
    /// libvirt does not answer; another's domain has the name.
    pub(super) async fn look(&self, wanted: &str) -> Result<Domain, Refusal> {
        let sight = self.book.look().await;
        if sight.foreign {
            return Err(Refusal::NameTaken {
                vm: self.book.vm.to_string(),
                node: self.node.name.to_string(),
                uuid: sight.uuid.unwrap_or_default(),
            });
        }
        match sight.domain {
            Domain::Unknown => Err(self.not_now(Domain::Unknown, wanted)),
            domain => Ok(domain),
        }
    }

    /// Whether this operation may go on.
    ///
    /// # Errors
    /// A later order has overtaken it.
    pub(super) fn checkpoint(&self, wanted: &str) -> Result<(), Refusal> {
        if self.superseded.is_cancelled() {
            return Err(self.overtaken(wanted));
        }
        Ok(())
    }

    /// Whether the server may begin to run, as far as that depends on the node's being heard. A lease that is about to
    /// come is waited for: the node asks only while it has such servers.
    ///
    /// # Errors
    /// It is one that is to stop while the node is cut off, and the node is.
    pub(super) async fn may_run(&self, server: &Server, wanted: &str) -> Result<(), Refusal> {
        if self.node.lease.comes(server.on_isolation).await {
            return Ok(());
        }
        Err(self.node.not_now(&self.book.vm, "kept off without a lease", wanted))
    }

    /// Has the segments' switches told that the server is here.
    pub(super) fn announce(&self, record: &Record) {
        if let Some(server) = &record.server {
            self.node.plumbing.announce(server);
            self.node.counts.announcements.inc();
        }
    }

    /// Waits for `work` unless this operation is overtaken.
    pub(super) async fn unless_superseded<T>(
        &self,
        wanted: &str,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        tokio::select! {
            done = work => done,
            () = self.superseded.cancelled() => Err(self.overtaken(wanted)),
        }
    }

    /// Has a copy of the server's disk that is being made for an image make way for what needs the disk or the
    /// domain's one job; as long as what is returned is held, none begins.
    pub(super) async fn make_way(&self, work: &Work) -> Result<Option<Way>, Refusal> {
        let needs =
            matches!(work, Work::Start(_) | Work::Suspend(_) | Work::Send(_) | Work::Remove(_) | Work::RevertDisk(_));
        let Some(uuid) = self.uuid.as_deref().filter(|_| needs) else { return Ok(None) };
        // What it would send ahead travels with it now, or is wanted no more.
        self.node.couriers.end(uuid);
        match self.node.saves.make_way(uuid).await {
            Some(way) => Ok(Some(way)),
            None => Err(self.node.not_now(&self.book.vm, "still being copied for an image", work.verb())),
        }
    }

    /// Puts the server's seed volume where its domain looks for it.
    pub(super) async fn write_seed(&self, server: &Server) -> Result<(), Refusal> {
        let written = seed::write(&self.node.layout.seed(&server.uuid), server).await;
        written.map_err(|error| match error.kind() {
            std::io::ErrorKind::StorageFull => {
                Refusal::DiskFull { node: self.node.name.to_string(), detail: error.to_string() }
            }
            _ => Refusal::Internal { detail: format!("the seed volume cannot be written: {error}") },
        })
    }

    /// Sees to the variables of a server that boots by UEFI, and whose image is here.
    pub(super) async fn provide_variables(&self, server: &Server) -> Result<(), Refusal> {
        if server.base.firmware != Firmware::Uefi {
            return Ok(());
        }
        let (files, node) = (&self.node.settings.uefi, self.node.name.to_string());
        if !uefi::is_here(files).await {
            return Err(Refusal::NoUefi { vm: server.name.to_string(), nodes: node });
        }
        let layout = &self.node.layout;
        let image = layout.image(&server.base.sha256, server.base.format);
        let made = uefi::provide(&files.variables, &image, &layout.variables(&server.uuid)).await;
        made.map_err(|error| uefi::refusal(&node, &error))
    }

    /// Whether the server, if it has a display, can have it here.
    pub(super) async fn check_display(&self, server: &Server) -> Result<(), Refusal> {
        if !server.display {
            return Ok(());
        }
        match self.node.hypervisor.has_video(self.node.virt).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::NoVideo { vm: server.name.to_string(), node: self.node.name.to_string() }),
            Err(error) => Err(self.refuse(&error)),
        }
    }

    /// Forces our domain off, whatever it does, and waits until its process is gone.
    ///
    /// # Errors
    /// libvirt's, or the process does not end.
    pub(super) async fn force_off(&self, uuid: &str) -> Result<(), Refusal> {
        self.node.hypervisor.destroy(self.name()).await.map_err(|error| self.refuse(&error))?;
        let gone = self.node.hypervisor.wait_source_gone(self.name(), uuid, ENDS).await;
        gone.map_err(|error| self.refuse(&error))
    }

    /// Lets DHCP answer it no more.
    pub(super) async fn unwire(&self, record: &Record) -> Result<(), Refusal> {
        if let Some(server) = &record.server {
            self.node.plumbing.disconnect(server).await?;
        }
        Ok(())
    }
}
