//! `watari join`: this host becomes one of a cluster.
//!
//! ```text
//!  greet the front end ──▶ look at the host ──▶ show files, ask ──▶ make keys ──▶ ask to be let in ──▶ check ──▶ write
//!        │ not ours              │ unfit              │ no       (kept: a second run has the same)       │ not ours
//!        ▼                       ▼                    ▼                                                  ▼
//!   nothing is done         nothing is done     nothing is done                                nothing is written
//! ```
//!
//! Private keys are made here and stay here. Whatever breaks off is run again with the same token: who comes again
//! with the same keys is let in again. No interface is changed, and nothing is started.

mod host;
mod pinned;
pub(crate) mod talk;

use std::{
    collections::BTreeMap,
    io::{BufRead, IsTerminal, Read, Write},
    net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket},
    path::PathBuf,
};

use clap::Args;
use watari_chassis::clock;
use watari_contracts::enrol::{EnrolHost, PORT, Part};
use watari_model::{NodeName, SiteName};

use crate::{
    confirm::asked,
    doctor,
    enrol::{
        host_name,
        token::{Mark, Token},
        wanted::is_interface,
    },
    failure::Failure,
    input,
    lang::Lang,
    options::Consent,
    out::{self, Out},
    setup::{
        self, AUTHORITY, LAUNCHER, authority,
        cluster::{CAMPUS, at},
        files::{Overlay, Readers},
        identity,
        kit::Kit,
    },
    texts::{
        self,
        faults::Fault,
        joining,
        troubles::{Severity, Trouble},
    },
    token::Role,
};
use host::Found;
use talk::Front;

/// More than a token has, in bytes.
const MOST_TOKEN: u64 = 1024;
/// The folder of a cluster whose first front end this is.
const FOLDER: &str = "etc/watari/cluster/cluster.toml";

/// Make this host one of a cluster, with a token from its first front end
#[derive(Debug, Args)]
#[command(after_help = "\
Example, as root on a new node, once its packages are installed and its bridge is there:
  watari join --token - --site myodaiji 203.0.113.2
  systemctl daemon-reload
  systemctl restart libvirtd.service
  systemctl enable --now watari-node.target

On a new front end, and on the witness:
  watari join --as frontend --token - --site yamate 203.0.113.2
  watari join --as witness --token - 203.0.113.2
  systemctl enable --now watari-front.target

The token is asked for: on the command line everybody who is logged in could read it. A script pipes it, with --yes.
The host is looked at first, and what will be written is shown. No interface is changed and nothing is started.
What breaks off is run again with the same token. Configuration (.toml) that somebody has changed stays as it is.")]
pub struct Join {
    /// The token that `watari token create` has printed; - for standard input
    #[arg(long)]
    token: String,
    /// As what this host joins
    #[arg(long = "as", value_enum, default_value_t = Role::Node, value_name = "ROLE")]
    role: Role,
    /// The first front end's address or name
    #[arg(value_name = "FRONT-END")]
    front: String,
    /// This host's name [default: what it calls itself]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where this host stands [default: what the token says, or the only site]
    #[arg(long)]
    site: Option<String>,
    /// This host's address for management and migration [default: that from which it reaches the front end]
    #[arg(long)]
    address: Option<IpAddr>,
    /// Its bridge into the campus's network [default: br-campus]
    #[arg(long)]
    bridge: Option<String>,
    /// The folder that is this host's root
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,
    #[command(flatten)]
    consent: Consent,
}

/// What was typed, understood.
struct Plan {
    token: Token,
    name: NodeName,
    site: Option<SiteName>,
    address: IpAddr,
    bridge: Option<String>,
}

impl Join {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`]: the host is unfit or not wanted, the front end cannot be trusted or reached, or files cannot be
    /// written.
    pub async fn run(&self, out: Out) -> Result<(), Failure> {
        let (lang, part, kit) = (out.lang, self.role.part(), Kit::of(self.role.part()));
        let (front, reached) = self.front()?;
        let plan = self.plan(reached, lang)?;
        let mut root = Overlay::at(self.root.clone());
        self.stranger(&root, plan.token.authority)?;
        let front = Front::new(front, plan.address, plan.token.authority)?;
        let greeting = front.greeting().await?;
        let now = clock::now();
        let skew_ms = now.millis_since(greeting.now).max(greeting.now.millis_since(now));
        self.fit(&plan, skew_ms, lang).await?;
        let (name, address) = (plan.name.clone(), plan.address);
        out::say(&joining::will_join(lang, part, name.as_str(), &address.to_string(), greeting.cluster.as_str()));
        for path in kit.all() {
            let path = self.root.join(path);
            out::say(&joining::will_write(lang, &path.display().to_string(), path.exists()));
        }
        asked(lang, self.consent, joining::go_on(lang))?;

        let authority = plan.token.authority;
        let (request, key) = self.keyed(plan, kit, &mut root)?;
        let enrolled = front.enrol(&request).await?;
        talk::check(&enrolled, kit.files, authority, address, &key)?;
        for file in &enrolled.files {
            setup::placed(&mut root, &file.path, Readers::All, &file.text, lang)?;
        }
        for path in kit.keys.iter().skip(1) {
            root.put(path, Readers::Owner, &key)?;
        }
        let others = &enrolled.elsewhere;
        if !others.is_empty() {
            out::say(&joining::elsewhere(lang, &out::joined(others)));
        }
        // Beside those there are the first front end's and its own.
        if part != Part::Node && others.len() % 2 == 0 {
            out::say(joining::even(lang));
        }
        let site = enrolled.site.as_ref().map(SiteName::as_str);
        out.text(&joining::joined(lang, part, name.as_str(), site, enrolled.cluster.as_str()))
    }

    /// What is sent, and the key of the certificate: all keys are kept before anything is asked for, so that a second
    /// run is known by them.
    fn keyed(&self, plan: Plan, kit: Kit, root: &mut Overlay) -> Result<(EnrolHost, String), Fault> {
        let broken = || Fault::JoinBroken { detail: "a host of this kind has no keys".to_owned() };
        let first = kit.keys.first().ok_or_else(broken)?;
        let key = root.keep_or(first, Readers::Owner, authority::fresh_key)?;
        let mut publics = Vec::new();
        for (called, path) in kit.seeds {
            publics.push(((*called).to_owned(), identity::seed_at(root, path)?.1));
        }
        let mut publics = publics.into_iter();
        let (_, nkey) = publics.next().ok_or_else(broken)?;
        let keys: BTreeMap<String, String> = publics.collect();
        let request = authority::request(plan.name.as_str(), &key)?;
        let Plan { token, name, site, address, bridge } = plan;
        let (token, part) = (token.to_string(), self.role.part());
        Ok((EnrolHost { token, part, name, site, address, bridge, nkey, keys, request }, key))
    }

    /// Where the front end is: as it is named, with its port, and as the network knows it.
    fn front(&self) -> Result<(String, SocketAddr), Fault> {
        let with_port = match self.front.parse::<IpAddr>() {
            Ok(address) => at(address, PORT),
            // IPv6 in brackets, or a name, each with a port or without.
            Err(_) if self.front.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) => {
                self.front.clone()
            }
            Err(_) => format!("{}:{PORT}", self.front),
        };
        let fault = |detail: String| Fault::FrontUnreachable { front: with_port.clone(), detail };
        let found = with_port.to_socket_addrs().map_err(|e| fault(e.to_string()))?.next();
        let found = found.ok_or_else(|| fault("it has no address".to_owned()))?;
        Ok((with_port, found))
    }

    /// What was typed, or else one line of standard input, so that it stands in no list of processes.
    fn token(&self, lang: Lang) -> Result<String, Fault> {
        if self.token != "-" {
            return Ok(self.token.clone());
        }
        if std::io::stdin().is_terminal() {
            let _ = write!(std::io::stderr(), "{} ", joining::which_token(lang));
        }
        let mut line = String::new();
        let read = std::io::stdin().lock().take(MOST_TOKEN).read_line(&mut line);
        read.map_err(|error| Fault::unread("-", &error))?;
        Ok(line)
    }

    fn plan(&self, front: SocketAddr, lang: Lang) -> Result<Plan, Failure> {
        let address = match self.address {
            Some(address) => address,
            None => own_address(front)
                .map_err(|e| Fault::FrontUnreachable { front: front.to_string(), detail: e.to_string() })?,
        };
        if let Some(bridge) = self.bridge.as_ref().filter(|bridge| !is_interface(bridge)) {
            let allowed = watari_model::Said::new("the name of an interface", "インターフェースの名前");
            return Err(input::out_of_range("--bridge", allowed, bridge));
        }
        Ok(Plan {
            token: self.token(lang)?.parse::<Token>()?,
            name: host_name(self.name.as_deref())?,
            site: input::name_if(self.site.as_deref())?,
            address,
            bridge: self.bridge.clone(),
        })
    }

    /// Whether this host is in no other cluster, and is nothing else in this one.
    fn stranger(&self, root: &Overlay, authority: Mark) -> Result<(), Fault> {
        const NODE: &str = "etc/watari/node-agent.toml";
        let shown = |path: &str| root.path(path).display().to_string();
        let there = |path: &str| root.path(path).exists();
        match self.role.part() {
            Part::Node if there(LAUNCHER) => return Err(Fault::JoinFront { path: shown(LAUNCHER) }),
            Part::Frontend | Part::Witness if there(NODE) => return Err(Fault::JoinNode { path: shown(NODE) }),
            Part::Frontend | Part::Witness if there(FOLDER) => return Err(Fault::JoinFront { path: shown(FOLDER) }),
            _ => {}
        }
        match root.read(AUTHORITY)? {
            Some(pem) if Mark::of_pem(&pem) != Some(authority) => Err(Fault::OtherCluster { path: shown(AUTHORITY) }),
            _ => Ok(()),
        }
    }

    /// Whether this host could do its part; what is less than that is told.
    async fn fit(&self, plan: &Plan, skew_ms: u64, lang: Lang) -> Result<(), Failure> {
        let (path, part) = (std::env::var_os("PATH").unwrap_or_default(), self.role.part());
        let mut troubles: Vec<Trouble> = if part == Part::Node {
            let bridge = plan.bridge.as_deref().unwrap_or(CAMPUS.1);
            Found::look(&self.root, &path, bridge, skew_ms).troubles(&plan.name, bridge)
        } else {
            let lacking = host::lacking(&self.root, &path, part);
            if !lacking.is_empty() {
                return Err(Fault::JoinPrograms { programs: out::joined(lacking) }.into());
            }
            host::skew(&plan.name, skew_ms).into_iter().collect()
        };
        // By the name that it has for itself, whatever the cluster is to call it.
        let own = host_name(None).unwrap_or_else(|_| plan.name.clone());
        troubles.extend(doctor::before(&self.root, own, part == Part::Node).await);
        for trouble in &troubles {
            let told = trouble.told(lang);
            out::say(&texts::warning(lang, trouble.code(), &told.seen, &told.mend));
        }
        let broken = troubles.iter().filter(|trouble| trouble.severity() == Severity::Failure);
        let codes = broken.map(|trouble| trouble.code()).collect::<Vec<_>>().join(", ");
        if codes.is_empty() { Ok(()) } else { Err(Fault::JoinUnfit { codes }.into()) }
    }
}

/// The address from which this host would reach another. Nothing is sent.
fn own_address(other: SocketAddr) -> std::io::Result<IpAddr> {
    let any: IpAddr = if other.is_ipv4() { [0_u8; 4].into() } else { [0_u8; 16].into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(other)?;
    Ok(socket.local_addr()?.ip())
}
