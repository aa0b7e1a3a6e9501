//! Taking a node out of the cluster again: out of its description, so that NATS knows its key no more, and its certificates
//! onto the list of those that other hosts are to refuse.

use std::{fs, io, path::Path};

use serde::Deserialize;
use watari_chassis::clock;
use watari_model::NodeName;

use super::desk::{CA, DESCRIPTION, Held};
use crate::{
    setup::{
        authority::Authority,
        cluster::{Cluster, Role},
        files::{Overlay, Readers},
        journal::{Act, Entry},
    },
    texts::faults::Fault,
};

impl Held<'_> {
    /// Takes a node out. `here` is this host, whose root is `root`. It may be repeated, as after a power cut.
    ///
    /// # Errors
    /// [`Fault::HostUnknown`], [`Fault::HostStays`] if it is no node, [`Fault::NotAFront`] if this host is none, or
    /// something cannot be written.
    pub fn expel(&mut self, name: &NodeName, here: &NodeName, root: &Path) -> Result<(), Fault> {
        let mut cluster = self.cluster()?;
        // Its own NATS is told at the end, which must not fail once the node is out.
        if cluster.host(here).is_none_or(|host| host.role != Role::Front) {
            return Err(Fault::NotAFront { host: here.to_string() });
        }
        let entry = Entry::of_here(clock::now(), Act::HostExpelled, vec![name.to_string()]);
        match cluster.host(name).map(|host| host.role) {
            Some(Role::Node) => {
                let text = self.text(DESCRIPTION)?;
                let rest = without(&text, name).unwrap_or_default();
                let left = Cluster::parse(&rest, DESCRIPTION)?;
                if left.host(name).is_some() || left.hosts.len() + 1 != cluster.hosts.len() {
                    return Err(Fault::HostStays { name: name.to_string() });
                }
                self.note(&entry)?;
                self.store.put(DESCRIPTION, Readers::All, &rest)?;
                cluster = left;
            }
            Some(_) => return Err(Fault::HostStays { name: name.to_string() }),
            // What is left of a try that broke off.
            None if self.store.path(&format!("hosts/{name}")).exists() => self.note(&entry)?,
            None => return Err(Fault::HostUnknown { name: name.to_string() }),
        }
        let mut book = self.book()?;
        book.expelled(name);
        self.keep(&book)?;
        for end in ["nk", "pub"] {
            self.forget(&format!("nkeys/node-agent.{name}.{end}"))?;
        }
        // While its key is still known here.
        let (mut ca, now) = (Overlay::at(self.store.path(CA)), clock::now());
        Authority::open(&mut ca, &cluster, now)?.revoke(&mut ca, name, now)?;
        for end in ["csr", "crt", "json", "key"] {
            self.forget(&format!("ca/issued/{name}.{end}"))?;
        }
        self.make(&cluster, here, root)?;
        self.forget(&format!("hosts/{name}"))
    }

    /// Removes a file or a folder, unless it is gone.
    fn forget(&self, path: &str) -> Result<(), Fault> {
        let path = self.store.path(path);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Fault::File { path: path.display().to_string(), detail: e.to_string() })
            }
            _ => Ok(()),
        }
    }
}

/// The description without a host's table: from its `[[host]]` to the next such heading. None if it has no such table
/// of its own.
fn without(text: &str, name: &NodeName) -> Option<String> {
    let mut parts = vec![String::new()];
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with("[[") {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push_str(line);
        }
    }
    let before = parts.len();
    parts.retain(|part| !is_of(part, name));
    (parts.len() < before).then(|| parts.concat())
}

fn is_of(part: &str, name: &NodeName) -> bool {
    #[derive(Deserialize)]
    struct Part {
        #[serde(default)]
        host: Vec<Named>,
    }
    #[derive(Deserialize)]
    struct Named {
        name: NodeName,
    }
    toml::from_str::<Part>(part).is_ok_and(|part| part.host.iter().any(|host| host.name == *name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_goes_with_all_of_its_table_and_nothing_else_changes() {
        let front = "name = 'c' # ours\n[[site]]\nname='m1'\n[[host]]\nname='f'\nrole='front'\nsite='m1'\naddress='192.0.2.1'\n";
        let m1 = "  [[host]]\nrole='node'\nsite='m1'\naddress='192.0.2.2'\nname=\"m1\"\n[host.labels]\ndisk='ssd'\n";
        let m2 = "[[host]]\nname='m2'\nrole='node'\nsite='m1'\naddress='192.0.2.3'\n";
        let name = "m1".parse().unwrap();
        for (text, left) in [
            (format!("{front}{m1}{m2}"), Some(format!("{front}{m2}"))),
            (format!("{front}{m2}\n{m1}"), Some(format!("{front}{m2}\n"))),
            (format!("{front}{m2}"), None),
        ] {
            assert_eq!(without(&text, &name), left, "{text}");
        }
    }
}
