//! `watari init`: a cluster on its first front end. It describes that one host, has `watari setup` make everything,
//! and puts this host's files where they belong; further hosts come by `watari join`.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, UdpSocket},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use clap::Args;
use watari_model::{NodeName, SiteName};

use crate::{
    confirm::asked,
    enrol::{
        Folder,
        desk::{Desk, Held, KEY_IN_FOLDER},
        host_name,
    },
    failure::Failure,
    input,
    lang::Lang,
    options::Consent,
    out::{self, Out},
    setup::{
        self, AUTHORITY,
        authority::Renewal,
        cluster::{Cluster, Host, Site},
        files::{Overlay, Readers},
        settings,
    },
    texts::{faults::Fault, joining},
};

/// Its NATS is a cluster, which other servers may join.
const GROWS: &str = "grows = true\n";
/// With what root types `watari` here, and where the cluster's folder has the same.
const ADMINISTRATOR: [(&str, &str); 2] =
    [(settings::KEY_OF_COMMAND, KEY_IN_FOLDER), ("etc/watari/ca.crt", "ca/ca.crt")];
/// Who may not read a file that is secret.
const OTHERS: u32 = 0o077;

/// Make a cluster, with this host as its first front end
#[derive(Debug, Args)]
#[command(after_help = "\
Example, as root on the first front end:
  watari init campus --site myodaiji=明大寺 --other-site yamate=山手 \\
    --address 203.0.113.2
  systemctl enable --now watari-front.target
  watari token create --role frontend --site yamate
  watari token create --role witness
  watari token create --role node

The keys of the cluster are in its folder from then on, readable for root alone: keep a copy off the host. It may be
run again if it breaks off. Configuration (.toml) that somebody has changed stays as it is: what is to be made anew is
moved aside first.")]
pub struct Init {
    /// What the cluster is called
    cluster: String,
    /// Where this host stands, and what people call that place
    #[arg(long, value_name = "SITE[=TITLE]")]
    site: String,
    /// A further site; may be given several times
    #[arg(long, value_name = "SITE[=TITLE]")]
    other_site: Vec<String>,
    /// This host's address, which all other hosts reach
    #[arg(long)]
    address: IpAddr,
    /// This host's name [default: what it calls itself]
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    #[command(flatten)]
    folder: Folder,
    /// The folder that is this host's root
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,
    #[command(flatten)]
    consent: Consent,
}

/// A site as it is typed.
fn site(text: &str) -> Result<Site, Failure> {
    let (name, title) = text.split_once('=').map_or((text, None), |(name, title)| (name, Some(title.to_owned())));
    Ok(Site { name: input::name(name)?, title })
}

/// Its part of the description.
fn described(site: &Site) -> String {
    let title = site.title.as_ref().map(|title| format!("title = {}\n", toml::Value::String(title.clone())));
    format!("[[site]]\nname = \"{}\"\n{}\n", site.name, title.unwrap_or_default())
}

impl Init {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`] if there is another cluster here, or something cannot be made.
    pub fn run(&self, out: Out) -> Result<(), Failure> {
        let (lang, here) = (out.lang, host_name(self.host.as_deref())?);
        self.reachable()?;
        let description = self.description(&here, GROWS)?;
        let desk = self.folder.desk();
        let shown = desk.dir().display().to_string();
        let cluster = Cluster::parse(&description, &shown)?;
        match desk.description()? {
            // It broke off, or hosts have joined since; perhaps an earlier version has made it.
            Some(there) if there.starts_with(&description) || there.starts_with(&self.description(&here, "")?) => {
                self.spares(&desk)?;
            }
            Some(_) => return Err(Fault::ClusterThere { path: shown }.into()),
            None if self.root.join(AUTHORITY).exists() => {
                return Err(Fault::OtherCluster { path: self.root.join(AUTHORITY).display().to_string() }.into());
            }
            None => {
                self.spares(&desk)?;
                let etc = self.root.join("etc").display().to_string();
                out::say(&joining::will_init(lang, cluster.name.as_str(), here.as_str(), &shown, &etc));
                asked(lang, self.consent, joining::go_on(lang))?;
                desk.make(&description)?;
            }
        }
        let held = desk.hold()?;
        let cluster = held.cluster()?;
        setup::make(&cluster, desk.dir(), Renewal::WhenNeeded)?;
        let host = cluster.host(&here).ok_or_else(|| Fault::NotAFront { host: here.to_string() })?;
        let mut root = Overlay::at(self.root.clone());
        bring(&desk.dir().join("hosts").join(here.as_str()), Path::new(""), &mut root, lang)?;
        administrator(&held, &cluster, host, &mut root, lang)?;
        out.text(&joining::inited(lang, cluster.name.as_str(), &shown))
    }

    /// Whether other hosts can reach this one at its address, as far as it can tell itself. Below another root stand the
    /// files of a host that is elsewhere.
    fn reachable(&self) -> Result<(), Fault> {
        let here = self.root == Path::new("/");
        let own =
            !self.address.is_loopback() && !self.address.is_unspecified() && UdpSocket::bind((self.address, 0)).is_ok();
        if here && !own { Err(Fault::AddressElsewhere { address: self.address.to_string() }) } else { Ok(()) }
    }

    /// Whether whoever types `watari` here does so for no other cluster: a key that is written over is gone for good.
    fn spares(&self, desk: &Desk) -> Result<(), Fault> {
        let (root, folder) = (Overlay::at(self.root.clone()), Overlay::at(desk.dir().to_owned()));
        let mut others = Vec::new();
        for (here, made) in ADMINISTRATOR {
            let there = root.read(here)?;
            if there.is_some() && there != folder.read(made)? {
                others.push(root.path(here).display().to_string());
            }
        }
        if others.is_empty() { Ok(()) } else { Err(Fault::OperatorThere { paths: others.join(", ") }) }
    }

    /// The description of this host alone, with `more` about the cluster.
    fn description(&self, here: &NodeName, more: &str) -> Result<String, Failure> {
        let cluster: SiteName = input::name(&self.cluster)?;
        let home = site(&self.site)?;
        let others = self.other_site.iter().map(|text| site(text)).collect::<Result<Vec<_>, _>>()?;
        let mut names = BTreeSet::new();
        if let Some(twice) = [&home].into_iter().chain(&others).find(|site| !names.insert(&site.name)) {
            return Err(Fault::SiteTwice { site: twice.name.to_string() }.into());
        }
        let sites: String = [&home].into_iter().chain(&others).map(described).collect();
        Ok(format!(
            "name = \"{cluster}\"\n{more}\n{sites}[[host]]\nname = \"{here}\"\nrole = \"front\"\nsite = \"{}\"\naddress = \"{}\"\n",
            home.name, self.address
        ))
    }
}

/// Puts everything below `from` to its place below the root.
fn bring(from: &Path, below: &Path, root: &mut Overlay, lang: Lang) -> Result<(), Fault> {
    let folder = from.join(below);
    let fault = |e: std::io::Error| Fault::File { path: folder.display().to_string(), detail: e.to_string() };
    for entry in fs::read_dir(&folder).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let (path, meta) = (below.join(entry.file_name()), entry.metadata().map_err(fault)?);
        if meta.is_dir() {
            bring(from, &path, root, lang)?;
            continue;
        }
        let text = fs::read_to_string(entry.path()).map_err(fault)?;
        let readers = if meta.permissions().mode() & OTHERS == 0 { Readers::Owner } else { Readers::All };
        setup::placed(root, &path.to_string_lossy(), readers, &text, lang)?;
    }
    Ok(())
}

/// What makes this host one on which root types `watari`.
fn administrator(held: &Held<'_>, cluster: &Cluster, host: &Host, root: &mut Overlay, lang: Lang) -> Result<(), Fault> {
    root.put(settings::KEY_OF_COMMAND, Readers::Owner, &held.text(KEY_IN_FOLDER)?)?;
    root.put("etc/watari/ca.crt", Readers::All, &held.text("ca/ca.crt")?)?;
    setup::placed(root, "etc/watari/cli.toml", Readers::All, &settings::of_command(cluster, host), lang)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sites_title_may_hold_anything() {
        for (typed, title) in [("a", None), ("a=山手", Some("山手")), ("a=\"x\"\n[[host]]", Some("\"x\"\n[[host]]"))]
        {
            let text = format!(
                "name = \"c\"\n{}[[host]]\nname='f'\nrole='front'\nsite='a'\naddress='192.0.2.1'\n",
                described(&site(typed).unwrap())
            );
            let cluster = Cluster::parse(&text, "typed").unwrap();
            assert_eq!(cluster.sites[0].title.as_deref(), title, "{typed}");
            assert_eq!(cluster.hosts.len(), 1);
        }
        assert!(site("a b").is_err());
    }
}
