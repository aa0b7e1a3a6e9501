//! Where hosts are enrolled: the cluster's folder, which `watari setup` knows as well, with the tokens in it.
//!
//! ```text
//!  DIR/cluster.toml   the description, to which a host that joins is added
//!  DIR/tokens.json    digests of tokens
//!  DIR/ca, DIR/nkeys, DIR/hosts   as `watari setup --cluster DIR/cluster.toml --out DIR` makes them
//! ```
//!
//! What a host sends is kept first and its consequences are made of it afterwards, always all of them: so a
//! crash in between is mended when the host comes again, or when this begins again.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    net::IpAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use watari_contracts::enrol::{EnrolHost, Enrolled, Greeting, HostFile, Part};
use watari_model::{NodeName, Timestamp};

use super::{
    book::{Book, Comer},
    certificate,
    token::{Mark, Token},
    wanted::Wanted,
};
use crate::{
    out,
    setup::{
        self, NATS, REVOKED,
        authority::{self, Renewal},
        cluster::{Cluster, Host},
        files::{Overlay, Readers},
        founding, identity,
        kit::{self, CERTIFICATE, Kit},
        settings,
    },
    texts::faults::Fault,
};

/// Where the cluster's folder is.
pub const DIR: &str = "/etc/watari/cluster";
pub(super) const DESCRIPTION: &str = "cluster.toml";
const TOKENS: &str = "tokens.json";
/// Where the authority is, below it.
pub(super) const CA: &str = "ca";
/// What root types `watari` with here; no other host has it from the folder.
const COMMAND: &str = "etc/watari/cli.toml";
/// The key that it names there.
pub const KEY_IN_FOLDER: &str = "nkeys/administrator.nk";

/// A cluster's folder.
#[derive(Clone, Debug)]
pub struct Desk {
    dir: PathBuf,
}

/// The folder while nobody else changes it: `watari token` and the service are processes of their own.
pub struct Held<'a> {
    desk: &'a Desk,
    pub(super) store: Overlay,
    _lock: File,
}

impl Desk {
    /// The folder at `dir`.
    #[must_use]
    pub fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The text of the description; none if there is no cluster yet.
    ///
    /// # Errors
    /// [`Fault::File`].
    pub fn description(&self) -> Result<Option<String>, Fault> {
        Overlay::at(self.dir.clone()).read(DESCRIPTION)
    }

    /// Makes the folder, for its owner alone, with the description.
    ///
    /// # Errors
    /// [`Fault::File`].
    pub fn make(&self, description: &str) -> Result<(), Fault> {
        let fault = |e: std::io::Error| Fault::File { path: self.dir.display().to_string(), detail: e.to_string() };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).map_err(fault)?;
        Overlay::at(self.dir.clone()).put(DESCRIPTION, Readers::All, description)
    }

    /// Waits until nobody else changes it.
    ///
    /// # Errors
    /// [`Fault::NoCluster`] if it is not there, [`Fault::File`] if it cannot be used.
    pub fn hold(&self) -> Result<Held<'_>, Fault> {
        if self.description()?.is_none() {
            return Err(Fault::NoCluster { path: self.dir.display().to_string() });
        }
        let path = self.dir.join("lock");
        let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let locked = opened.and_then(|file| file.lock().map(|()| file));
        let lock = locked.map_err(|e| Fault::File { path: path.display().to_string(), detail: e.to_string() })?;
        Ok(Held { desk: self, store: Overlay::at(self.dir.clone()), _lock: lock })
    }
}

impl Held<'_> {
    fn missing(&self, path: &str) -> Fault {
        Fault::File { path: self.store.path(path).display().to_string(), detail: "is missing".to_owned() }
    }

    /// A file below the folder.
    ///
    /// # Errors
    /// [`Fault::File`] if it is not there or cannot be read.
    pub fn text(&self, path: &str) -> Result<String, Fault> {
        self.store.read(path)?.ok_or_else(|| self.missing(path))
    }

    /// The cluster as it is described.
    ///
    /// # Errors
    /// [`Fault`] if it is not described well.
    pub fn cluster(&self) -> Result<Cluster, Fault> {
        Cluster::read(&self.store.path(DESCRIPTION))
    }

    /// By what the cluster's authority is known.
    ///
    /// # Errors
    /// [`Fault`] if there is none.
    pub fn authority(&self) -> Result<Mark, Fault> {
        Mark::of_pem(&self.text("ca/ca.crt")?).ok_or_else(|| self.missing("ca/ca.crt"))
    }

    /// The tokens.
    ///
    /// # Errors
    /// [`Fault::File`] if they cannot be read.
    pub fn book(&self) -> Result<Book, Fault> {
        let fault = |detail: String| Fault::File { path: self.store.path(TOKENS).display().to_string(), detail };
        match self.store.read(TOKENS)? {
            Some(text) => serde_json::from_str(&text).map_err(|e| fault(e.to_string())),
            None => Ok(Book::default()),
        }
    }

    /// Keeps the tokens.
    ///
    /// # Errors
    /// [`Fault::File`].
    pub fn keep(&mut self, book: &Book) -> Result<(), Fault> {
        let text = serde_json::to_string_pretty(book)
            .map_err(|e| Fault::File { path: TOKENS.to_owned(), detail: e.to_string() })?;
        self.store.put(TOKENS, Readers::Owner, &text)
    }

    /// Makes every host's files of what the folder holds, and gives this host what is another one for it: its NATS
    /// server's configuration, which `watari-nats` has it read, and its settings, as long as nobody has changed them.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn make(&self, cluster: &Cluster, here: &NodeName, root: &Path) -> Result<(), Fault> {
        setup::make(cluster, &self.desk.dir, Renewal::WhenNeeded)?;
        let mut root = Overlay::at(root.to_owned());
        for file in self.settings(here, Part::Frontend)? {
            out::say(&setup::renewed(&mut root, &file.path, &file.text)?.unwrap_or_default());
        }
        if let Some(host) = cluster.host(here) {
            let text = self.text(&format!("hosts/{here}/{CERTIFICATE}"))?;
            let said = certificate::renewed(&mut root, Kit::of(Part::Frontend), host.address, &text)?;
            out::say(&said.unwrap_or_default());
            // An earlier version's named another file.
            if root.read(COMMAND)?.is_some() {
                root.put(settings::KEY_OF_COMMAND, Readers::Owner, &self.text(KEY_IN_FOLDER)?)?;
            }
            out::say(&setup::renewed(&mut root, COMMAND, &settings::of_command(cluster, host))?.unwrap_or_default());
        }
        if let Some(file) = self.company(here)? {
            root.put(&file.path, Readers::All, &file.text)?;
        }
        // As all other hosts take it: the one here is newer where the folder was put back from a copy.
        if let Some(list) = self.revoked()? {
            out::say(&certificate::revoked(&mut root, Kit::of(Part::Frontend), &list.text)?.unwrap_or_default());
        }
        root.put(NATS, Readers::All, &self.text(&format!("hosts/{here}/{NATS}"))?)
    }

    /// The settings of a host's processes.
    fn settings(&self, host: &NodeName, part: Part) -> Result<Vec<HostFile>, Fault> {
        Kit::of(part).settings().map(|path| self.file(host, path)).collect()
    }

    /// The configuration of a server that keeps the host's company; none where nobody may be left alone.
    fn company(&self, host: &NodeName) -> Result<Option<HostFile>, Fault> {
        let text = self.store.read(&format!("hosts/{host}/{}", founding::COMPANY))?;
        Ok(text.map(|text| HostFile { path: founding::COMPANY.to_owned(), text }))
    }

    /// Which certificates count no more; none as long as no host was expelled.
    fn revoked(&self) -> Result<Option<HostFile>, Fault> {
        let text = self.store.read(&format!("{CA}/{}", authority::REVOKED))?;
        Ok(text.map(|text| HostFile { path: REVOKED.to_owned(), text }))
    }

    fn file(&self, host: &NodeName, path: &str) -> Result<HostFile, Fault> {
        Ok(HostFile { path: path.to_owned(), text: self.text(&format!("hosts/{host}/{path}"))? })
    }

    /// Who this is.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn greeting(&self, now: Timestamp) -> Result<Greeting, Fault> {
        Ok(Greeting { cluster: self.cluster()?.name, now })
    }

    /// The configuration of the NATS server whose host is at `from`. It holds no secret.
    ///
    /// # Errors
    /// [`Fault::NotAServer`] if there is none.
    pub fn nats(&self, from: IpAddr) -> Result<HostFile, Fault> {
        self.file(&self.server_at(from)?.name, NATS)
    }

    /// The certificate of the host at `from`, the settings of its processes, and what they name beside them. None of it
    /// holds a secret either.
    ///
    /// # Errors
    /// [`Fault::NotAServer`] if there is none.
    pub fn settings_of(&self, from: IpAddr) -> Result<Vec<HostFile>, Fault> {
        let cluster = self.cluster()?;
        let found = cluster.hosts.iter().find(|host| host.address == from);
        let found = found.and_then(|host| Some((host, kit::part(host.role)?)));
        let (host, part) = found.ok_or_else(|| Fault::NotAServer { seen: from.to_string() })?;
        let mut files = self.settings(&host.name, part)?;
        files.push(self.file(&host.name, CERTIFICATE)?);
        // Last: an earlier version does not take them, and has everything else by then.
        files.extend(self.company(&host.name)?);
        files.extend(self.revoked()?);
        Ok(files)
    }

    fn server_at(&self, address: IpAddr) -> Result<Host, Fault> {
        let cluster = self.cluster()?;
        let host = cluster.nats_servers().find(|host| host.address == address).cloned();
        host.ok_or_else(|| Fault::NotAServer { seen: address.to_string() })
    }

    /// Lets a host in that comes from `from`, and gives what it needs. `here` is this host, whose root is `root`.
    ///
    /// # Errors
    /// [`Fault`]: the token does not permit it, it does not go together with the cluster, or something broke.
    pub fn enrol(
        &mut self,
        asked: &EnrolHost,
        from: IpAddr,
        here: &NodeName,
        root: &Path,
        now: Timestamp,
    ) -> Result<Enrolled, Fault> {
        let token = asked.token.parse::<Token>().map_err(|_| Fault::TokenUnknown {})?;
        let mut book = self.book()?;
        let comer = Comer { part: asked.part, name: &asked.name, site: asked.site.as_ref(), nkey: &asked.nkey };
        let record = book.admit(&token.digest(), &comer, now)?;
        let (site, was_in) = (record.site.clone(), record.claim.as_ref().is_some_and(|claim| claim.done));
        let cluster = self.cluster()?;
        // It has been thrown out since.
        if was_in && cluster.host(&asked.name).is_none() {
            return Err(Fault::TokenUsed { host: asked.name.to_string() });
        }
        if asked.address != from {
            return Err(Fault::HostAddress { address: asked.address.to_string(), seen: from.to_string() });
        }
        let wanted = Wanted::of(asked, site)?;
        if let Some(name) = authority::revoked_from(&Overlay::at(self.store.path(CA)), &wanted.request)? {
            return Err(Fault::KeyRevoked { name: name.to_string() });
        }
        if wanted.role().has_nats() && !cluster.grows {
            return Err(Fault::NatsAlone { name: asked.name.to_string() });
        }
        let description = self.description_with(&cluster, &wanted)?;
        // From here on the token is this host's, whatever breaks.
        self.keep(&book)?;
        for (name, public) in &wanted.keys {
            self.store.put(&public_file(name), Readers::All, public)?;
        }
        self.store.put(&format!("ca/issued/{}.csr", wanted.name), Readers::All, &wanted.request)?;
        self.store.put(DESCRIPTION, Readers::All, &description)?;
        let cluster = self.cluster()?;
        self.make(&cluster, here, root)?;
        book.done(&token.digest());
        self.keep(&book)?;
        let files = Kit::of(asked.part).files.iter().map(|path| self.file(&wanted.name, path));
        let others =
            cluster.nats_servers().map(|host| &host.name).filter(|name| *name != here && **name != wanted.name);
        Ok(Enrolled {
            site: cluster.host(&wanted.name).and_then(|host| host.site.clone()),
            files: files.collect::<Result<_, Fault>>()?,
            elsewhere: others.cloned().collect(),
            cluster: cluster.name.clone(),
        })
    }

    /// The description with the host in it.
    fn description_with(&self, cluster: &Cluster, wanted: &Wanted) -> Result<String, Fault> {
        let text = self.text(DESCRIPTION)?;
        if let Some(host) = cluster.host(&wanted.name) {
            // It has been here: whoever has its key may come again.
            let mut same = wanted.is(host);
            for (name, public) in &wanted.keys {
                same &= self.store.read(&public_file(name))?.is_some_and(|kept| kept.trim() == public);
            }
            return if same { Ok(text) } else { Err(Fault::HostTaken { name: wanted.name.to_string() }) };
        }
        let mut seeds = Overlay::at(self.desk.dir.join("nkeys"));
        let taken = |one: &&identity::Identity| wanted.keys.iter().any(|(_, public)| *public == one.public);
        if let Some(other) = identity::of_cluster(&mut seeds, cluster)?.iter().find(taken) {
            return Err(Fault::KeyTaken { name: other.name.clone() });
        }
        let more = format!("{}\n\n{}", text.trim_end(), wanted.entry(cluster)?);
        match Cluster::parse(&more, DESCRIPTION) {
            Ok(_) => Ok(more),
            Err(Fault::ClusterUnsound { detail, .. } | Fault::ClusterSyntax { detail, .. }) => {
                Err(Fault::HostUnfit { name: wanted.name.to_string(), detail })
            }
            Err(other) => Err(other),
        }
    }
}

/// Where the public half of an identity's key is kept.
fn public_file(identity: &str) -> String {
    format!("nkeys/{}", identity::public_file(identity))
}
