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
use watari_model::{NodeName, SiteName, Timestamp};

use super::{
    book::{Book, Comer},
    token::{Mark, Token},
};
use crate::{
    setup::{
        self, NATS, OF_NODE,
        authority::{self, Renewal},
        cluster::{CAMPUS, Cluster, Host, Role},
        files::{Overlay, Readers},
        identity,
    },
    texts::faults::Fault,
};

/// Where the cluster's folder is.
pub const DIR: &str = "/etc/watari/cluster";
const DESCRIPTION: &str = "cluster.toml";
const TOKENS: &str = "tokens.json";
/// The longest name of an interface that Linux takes.
const MOST_BRIDGE: usize = 15;

/// A cluster's folder.
#[derive(Clone, Debug)]
pub struct Desk {
    dir: PathBuf,
}

/// The folder while nobody else changes it: `watari token` and the service are processes of their own.
pub struct Held<'a> {
    desk: &'a Desk,
    store: Overlay,
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

    /// Makes every host's files of what the folder holds, and gives this host's NATS server its configuration,
    /// which `watari-nats` has it read.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn make(&self, cluster: &Cluster, here: &NodeName, root: &Path) -> Result<(), Fault> {
        setup::make(cluster, &self.desk.dir, Renewal::WhenNeeded)?;
        let config = self.text(&format!("hosts/{here}/{NATS}"))?;
        Overlay::at(root.to_owned()).put(NATS, Readers::All, &config)
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
        let cluster = self.cluster()?;
        let host = cluster.nats_servers().find(|host| host.address == from);
        let host = host.ok_or_else(|| Fault::NotAServer { seen: from.to_string() })?;
        Ok(HostFile { path: NATS.to_owned(), text: self.text(&format!("hosts/{}/{NATS}", host.name))? })
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
        let description = self.description_with(&cluster, &wanted)?;
        // From here on the token is this host's, whatever breaks.
        self.keep(&book)?;
        self.store.put(&wanted.public_file(), Readers::All, &wanted.nkey)?;
        self.store.put(&format!("ca/issued/{}.csr", wanted.name), Readers::All, &wanted.request)?;
        self.store.put(DESCRIPTION, Readers::All, &description)?;
        let cluster = self.cluster()?;
        self.make(&cluster, here, root)?;
        book.done(&token.digest());
        self.keep(&book)?;
        let files = OF_NODE.iter().map(|path| {
            let text = self.text(&format!("hosts/{}/{path}", wanted.name))?;
            Ok::<_, Fault>(HostFile { path: (*path).to_owned(), text })
        });
        Ok(Enrolled {
            site: site_of(&cluster, &wanted.name)?,
            files: files.collect::<Result<_, Fault>>()?,
            elsewhere: cluster.nats_servers().map(|host| host.name.clone()).filter(|name| name != here).collect(),
            cluster: cluster.name,
        })
    }

    /// The description with the host in it.
    fn description_with(&self, cluster: &Cluster, wanted: &Wanted) -> Result<String, Fault> {
        let text = self.text(DESCRIPTION)?;
        if let Some(host) = cluster.host(&wanted.name) {
            // It has been here: whoever has its key may come again.
            let kept = self.store.read(&wanted.public_file())?;
            let same = kept.is_some_and(|kept| kept.trim() == wanted.nkey) && wanted.is(host);
            return if same { Ok(text) } else { Err(Fault::HostTaken { name: wanted.name.to_string() }) };
        }
        let mut seeds = Overlay::at(self.desk.dir.join("nkeys"));
        if let Some(other) = identity::of_cluster(&mut seeds, cluster)?.iter().find(|one| one.public == wanted.nkey) {
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

fn site_of(cluster: &Cluster, name: &NodeName) -> Result<SiteName, Fault> {
    let site = cluster.host(name).and_then(|host| host.site.clone());
    site.ok_or_else(|| Fault::HostUnfit { name: name.to_string(), detail: "it stands at no site".to_owned() })
}

/// A node that is to be in, as far as it is sound by itself.
struct Wanted {
    name: NodeName,
    site: Option<SiteName>,
    address: IpAddr,
    bridge: Option<String>,
    nkey: String,
    request: String,
}

impl Wanted {
    fn of(asked: &EnrolHost, site: Option<SiteName>) -> Result<Self, Fault> {
        let fault = |detail: &str| Fault::JoinRequest { detail: detail.to_owned() };
        if asked.part != Part::Node {
            return Err(fault("only nodes join"));
        }
        if asked.bridge.as_ref().is_some_and(|bridge| !is_interface(bridge)) {
            return Err(fault("its bridge has no name that an interface may have"));
        }
        authority::requested(&asked.request)?;
        let nkey = identity::public(&asked.nkey).map_err(|detail| fault(&detail))?;
        let EnrolHost { name, address, bridge, request, .. } = asked.clone();
        Ok(Self { name, site: site.or_else(|| asked.site.clone()), address, bridge, nkey, request })
    }

    /// Where the public half of its key is kept.
    fn public_file(&self) -> String {
        format!("nkeys/{}", identity::public_file(&format!("node-agent.{}", self.name)))
    }

    /// Whether this is that host, as it is described.
    fn is(&self, host: &Host) -> bool {
        host.role == Role::Node
            && host.address == self.address
            && self.site.as_ref().is_none_or(|site| host.site.as_ref() == Some(site))
            && self.bridge.as_ref().is_none_or(|bridge| host.segments.values().any(|known| known == bridge))
    }

    /// Its part of the description.
    fn entry(&self, cluster: &Cluster) -> Result<String, Fault> {
        let unfit = |detail: &str| Fault::HostUnfit { name: self.name.to_string(), detail: detail.to_owned() };
        let site = match (&self.site, cluster.sites.as_slice()) {
            (Some(site), _) => site,
            (None, [only]) => &only.name,
            (None, _) => return Err(unfit("there are several sites: name its own with --site")),
        };
        let segments = self.bridge.as_ref().map(|bridge| format!("segments = {{ {} = \"{bridge}\" }}\n", CAMPUS.0));
        // Names, an address and an interface need no escapes.
        Ok(format!(
            "[[host]]\nname = \"{}\"\nrole = \"{}\"\nsite = \"{site}\"\naddress = \"{}\"\n{}",
            self.name,
            Role::Node.word(),
            self.address,
            segments.unwrap_or_default(),
        ))
    }
}

/// Whether Linux takes this as the name of an interface, and every file does.
pub(crate) fn is_interface(name: &str) -> bool {
    let sound = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    (1..=MOST_BRIDGE).contains(&name.len()) && name.bytes().all(sound) && name != "." && name != ".."
}
