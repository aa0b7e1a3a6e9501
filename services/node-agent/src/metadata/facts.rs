//! What there is to read: a tree of short texts. Pure.

use std::collections::{BTreeMap, BTreeSet};

use watari_contracts::agent::Server;

/// The versions that are asked for: EC2's newest and, by cloud-init, its oldest. Here both say the same.
const VERSIONS: [&str; 2] = ["2009-04-04", "latest"];
/// The folder whose list gives every entry a name.
const KEYS: &str = "meta-data/public-keys";

/// One server's texts, by their path below the version. They may hold passwords, and so are not printed.
pub(super) struct Facts(BTreeMap<String, String>);

impl From<&Server> for Facts {
    fn from(server: &Server) -> Self {
        let (seed, card) = (&server.seed, server.wires.first());
        let hostname = seed.hostname.as_str().to_owned();
        let mut texts: BTreeMap<String, String> = [
            ("meta-data/hostname".to_owned(), hostname.clone()),
            ("meta-data/instance-id".to_owned(), server.uuid.clone()),
            ("meta-data/local-hostname".to_owned(), hostname),
        ]
        .into();
        if let Some(card) = card {
            texts.insert("meta-data/local-ipv4".to_owned(), card.address.to_string());
            texts.insert("meta-data/mac".to_owned(), card.mac.clone());
        }
        let keys = seed.keys.iter().enumerate();
        texts.extend(keys.map(|(n, key)| (format!("{KEYS}/{n}/openssh-key"), key.as_str().to_owned())));
        if let Some(text) = &seed.user_data {
            texts.insert("user-data".to_owned(), text.0.clone());
        }
        Self(texts)
    }
}

impl Facts {
    /// The text at a path, or the list of what is below it.
    pub(super) fn read(&self, path: &str) -> Option<String> {
        let path = path.trim_matches('/');
        if path.is_empty() {
            return Some(VERSIONS.join("\n"));
        }
        let (version, below) = path.split_once('/').unwrap_or((path, ""));
        if !VERSIONS.contains(&version) {
            return None;
        }
        self.0.get(below).cloned().or_else(|| self.list(below))
    }

    fn list(&self, folder: &str) -> Option<String> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let below = self.0.keys().filter_map(|path| path.strip_prefix(prefix.as_str()));
        let names: BTreeSet<String> = below.map(|rest| listed(folder, rest)).collect();
        (!names.is_empty()).then(|| names.into_iter().collect::<Vec<_>>().join("\n"))
    }
}

/// How the list of a folder shows the one that this path is in, or is.
fn listed(folder: &str, path: &str) -> String {
    match path.split_once('/') {
        Some((name, _)) if folder == KEYS => format!("{name}=key-{name}"),
        Some((name, _)) => format!("{name}/"),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::residents::tests::server;

    fn read(path: &str) -> Option<String> {
        Facts::from(&server(1)).read(path)
    }

    #[test]
    fn a_server_reads_who_it_is_by_the_paths_of_ec2() {
        let is = |path: &str, text: &str| assert_eq!(read(path).as_deref(), Some(text), "{path}");
        is("/latest/meta-data/instance-id", "00000001-1d52-48f3-9d2c-0c0d8e1a7b6f");
        is("/2009-04-04/meta-data/instance-id", "00000001-1d52-48f3-9d2c-0c0d8e1a7b6f");
        is("/latest/meta-data/hostname", "app1.example.jp");
        is("/latest/meta-data/local-hostname", "app1.example.jp");
        is("/latest/meta-data/local-ipv4", "10.1.0.1");
        is("/latest/meta-data/mac", "52:57:0a:01:00:01");
        is("/latest/user-data", "#!/bin/sh\necho 1\n");
        assert!(read("/latest/meta-data/public-keys/0/openssh-key").unwrap().starts_with("ssh-ed25519 "));
    }

    #[test]
    fn folders_list_what_is_in_them() {
        let is = |path: &str, text: &str| assert_eq!(read(path).as_deref(), Some(text), "{path}");
        is("/", "2009-04-04\nlatest");
        is("/latest", "meta-data/\nuser-data");
        let all = "hostname\ninstance-id\nlocal-hostname\nlocal-ipv4\nmac\npublic-keys/";
        is("/latest/meta-data", all);
        is("/latest/meta-data/", all);
        is("/latest/meta-data/public-keys/", "0=key-0");
        is("/latest/meta-data/public-keys/0/", "openssh-key");
    }

    #[test]
    fn what_there_is_not_is_not_found() {
        let bare = |mut server: Server| {
            server.seed.user_data = None;
            server.seed.keys.clear();
            Facts::from(&server)
        };
        let bare = bare(server(1));
        assert_eq!(bare.read("/latest/user-data"), None);
        assert_eq!(bare.read("/latest/meta-data/public-keys/"), None);
        for path in
            ["/1.0/meta-data/mac", "/latest/meta-data/mac/x", "/latest/meta-data/ma", "/latest/../latest", "//x"]
        {
            assert_eq!(read(path), None, "{path}");
        }
    }
}
