//! Where this node keeps what. Paths of images and disks are the same on every node, since a disk
//! names its base by path and a migration finds its disk by path.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use watari_model::{NetworkName, image::Format};

/// The two folders, and what lies in them.
#[derive(Clone, Debug)]
pub struct Layout {
    data: PathBuf,
    run: PathBuf,
}

impl Layout {
    /// Names the two folders; makes nothing.
    #[must_use]
    pub fn new(data: &Path, run: &Path) -> Self {
        Self { data: data.to_owned(), run: run.to_owned() }
    }

    /// Makes the folders. QEMU must be able to pass through them, nobody to list them.
    ///
    /// # Errors
    /// The folder that cannot be made.
    pub fn make(&self) -> io::Result<()> {
        let below = [
            self.images(),
            self.disks(),
            self.consoles(),
            self.seeds(),
            self.variables_of_all(),
            self.saves(),
            self.layers(),
            self.arriving(),
        ];
        for folder in [&self.data, &self.run].into_iter().chain(&below) {
            let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", folder.display()));
            fs::DirBuilder::new().recursive(true).mode(0o711).create(folder).map_err(named)?;
        }
        // dnsmasq reads its hosts as a user of its own.
        let dhcp = self.run.join("dhcp");
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&dhcp)?;
        fs::set_permissions(&dhcp, fs::Permissions::from_mode(0o755))
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.data.join("agent.db")
    }

    /// Base images.
    #[must_use]
    pub fn images(&self) -> PathBuf {
        self.data.join("images")
    }

    /// One base image; its presence under this name says that it was verified.
    #[must_use]
    pub fn image(&self, sha256: &str, format: Format) -> PathBuf {
        self.images().join(format!("{sha256}.{}", format.word()))
    }

    /// Servers' disks.
    #[must_use]
    pub fn disks(&self) -> PathBuf {
        self.data.join("disks")
    }

    /// One server's disk.
    #[must_use]
    pub fn disk(&self, uuid: &str) -> PathBuf {
        self.disks().join(format!("{uuid}.qcow2"))
    }

    /// One layer of a server's disk. The first is named as a disk that was never frozen.
    #[must_use]
    pub fn layer(&self, uuid: &str, index: u32) -> PathBuf {
        if index == 0 { self.disk(uuid) } else { self.disks().join(format!("{uuid}.{index}.qcow2")) }
    }

    /// Which layer of a server's disk a path is.
    #[must_use]
    pub fn layer_index(&self, uuid: &str, path: &Path) -> Option<u32> {
        if path == self.disk(uuid) {
            return Some(0);
        }
        let name = path.file_name()?.to_str()?;
        let index = name.strip_prefix(uuid)?.strip_prefix('.')?.strip_suffix(".qcow2")?.parse().ok()?;
        (path == self.layer(uuid, index)).then_some(index)
    }

    /// What is written down of one server's disk that is kept though the server is not.
    pub(crate) fn disk_note(&self, uuid: &str, ending: &str) -> PathBuf {
        self.disks().join(format!("{uuid}.{ending}"))
    }

    /// Frozen layers of servers that are not here.
    #[must_use]
    pub fn layers(&self) -> PathBuf {
        self.data.join("layers")
    }

    /// Where such layers arrive, and what says that they are here.
    #[must_use]
    pub fn arriving(&self) -> PathBuf {
        self.layers().join("arriving")
    }

    fn seeds(&self) -> PathBuf {
        self.data.join("seeds")
    }

    /// One server's seed volume.
    #[must_use]
    pub fn seed(&self, uuid: &str) -> PathBuf {
        self.seeds().join(format!("{uuid}.img"))
    }

    fn variables_of_all(&self) -> PathBuf {
        self.data.join("nvram")
    }

    /// The UEFI variables of one server.
    #[must_use]
    pub fn variables(&self, uuid: &str) -> PathBuf {
        self.variables_of_all().join(format!("{uuid}.fd"))
    }

    /// Copies of servers' disks on their way to a front end.
    #[must_use]
    pub fn saves(&self) -> PathBuf {
        self.data.join("saves")
    }

    /// The copy of one server's disk.
    #[must_use]
    pub fn save(&self, uuid: &str) -> PathBuf {
        self.saves().join(format!("{uuid}.qcow2"))
    }

    /// What says that a copy of one server's disk is being made; it holds the server's name.
    #[must_use]
    pub fn save_marker(&self, uuid: &str) -> PathBuf {
        self.saves().join(format!("{uuid}.saving"))
    }

    /// The file with which the disk is measured; it is there only meanwhile.
    #[must_use]
    pub fn disk_probe(&self) -> PathBuf {
        self.data.join("disk-probe")
    }

    fn consoles(&self) -> PathBuf {
        self.data.join("console")
    }

    /// One server's console log on this node.
    #[must_use]
    pub fn console(&self, uuid: &str) -> PathBuf {
        self.consoles().join(format!("{uuid}.log"))
    }

    /// What that server wrote to its console where it ran before, as far as it is kept.
    pub(crate) fn console_before(&self, uuid: &str) -> PathBuf {
        self.consoles().join(format!("{uuid}.before"))
    }

    /// The folders of the networks' DHCP.
    #[must_use]
    pub fn dhcp(&self) -> PathBuf {
        self.run.join("dhcp")
    }

    /// One network's DHCP: the folder that its dnsmasq watches.
    #[must_use]
    pub fn dhcp_hosts(&self, network: &NetworkName) -> PathBuf {
        self.dhcp().join(format!("{network}.hosts"))
    }

    /// One network's DHCP: its dnsmasq's process id.
    #[must_use]
    pub fn dhcp_pid(&self, network: &NetworkName) -> PathBuf {
        self.dhcp().join(format!("{network}.pid"))
    }

    /// One network's DNS: the folder of its servers' names.
    #[must_use]
    pub fn dns_names(&self, network: &NetworkName) -> PathBuf {
        self.dhcp().join(format!("{network}.names"))
    }

    /// Scratch files.
    #[must_use]
    pub fn run(&self) -> &Path {
        &self.run
    }
}
