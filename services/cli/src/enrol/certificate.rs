//! This host's certificate: renewed in time, while its key stays where it is. And whose counts no more. Whoever shows the
//! certificate looks at its file: `watari-nats`, the image service and agents by themselves, libvirt by `watari-revoked.path`.

use std::{net::IpAddr, path::PathBuf};

use crate::{
    join::talk::fits,
    setup::{
        AUTHORITY, REVOKED,
        authority::List,
        files::{Overlay, Readers},
        kit::{CERTIFICATE, KEY, Kit},
    },
    texts::faults::Fault,
};

/// What systemd calls the key.
const CREDENTIAL: &str = "host.key";

/// The key of this host's certificate, in PEM. It may be another user's: then systemd has handed it over.
pub(super) fn key(root: &Overlay) -> Result<Option<String>, Fault> {
    if let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY")
        && let Some(key) = Overlay::at(PathBuf::from(folder)).read(CREDENTIAL)?
    {
        return Ok(Some(key));
    }
    root.read(KEY)
}

/// Takes a certificate that is another one than here, for the host at `address`. What there is to say about it, in a
/// journal.
pub(super) fn renewed(root: &mut Overlay, kit: Kit, address: IpAddr, text: &str) -> Result<Option<String>, Fault> {
    if root.read(CERTIFICATE)?.is_none_or(|there| there == text) {
        return Ok(None);
    }
    let (Some(authority), Some(key)) = (root.read(AUTHORITY)?, key(root)?) else { return Ok(None) };
    if let Err(fault) = fits(&authority, text, address, &key) {
        // As after `watari setup --force`: the new key has to be brought as well.
        return Ok(Some(format!("a new certificate is not taken: {}", fault.code())));
    }
    for path in kit.copies() {
        root.put(path, Readers::All, text)?;
    }
    // Last, since by it a try that broke off is known.
    root.put(CERTIFICATE, Readers::All, text)?;
    Ok(Some("this host has a new certificate".to_owned()))
}

/// Takes a list of certificates that count no more, if the authority has signed it and it is none from before the one
/// here. What there is to say about it, in a journal.
pub(super) fn revoked(root: &mut Overlay, kit: Kit, text: &str) -> Result<Option<String>, Fault> {
    let refused = |why: &str| Ok(Some(format!("a list of certificates that count no more is not taken: {why}")));
    let Some(authority) = root.read(AUTHORITY)? else { return Ok(None) };
    // libvirt would not start with what is no list, and by another authority's everybody would be let in again.
    let Some(list) = List::read(&authority, text) else {
        return refused("it is none that this host's authority has signed");
    };
    // One that only a former authority has signed keeps none back.
    let here = root.read(REVOKED)?.and_then(|here| List::read(&authority, &here));
    if here.is_some_and(|here| list.is_before(&here)) {
        return refused("the one here is newer");
    }
    let before = root.counts.written;
    for path in kit.lists().iter().chain([&REVOKED]) {
        // Who watches the file (`watari-revoked.path`) takes it for another one whenever its readers are set.
        if root.read(path)?.as_deref() != Some(text) {
            root.put(path, Readers::All, text)?;
        }
    }
    Ok((root.counts.written > before).then(|| "there is another list of certificates that count no more".to_owned()))
}

#[cfg(test)]
mod tests {
    use watari_contracts::enrol::Part;
    use watari_testkit::TempDir;

    use super::*;
    use crate::setup::{
        self,
        authority::{self, Authority, Renewal},
        cluster::Cluster,
    };

    const CLUSTER: &str = "name='c'\n[[site]]\nname='a'\n[[host]]\nname='f'\nrole='front'\nsite='a'\naddress='192.0.2.1'\n[[host]]\nname='m'\nrole='node'\nsite='a'\naddress='192.0.2.2'\n";

    #[test]
    fn a_new_certificate_is_taken_for_the_key_that_is_here_and_for_no_other() {
        let (dir, here) = (TempDir::new(), TempDir::new());
        let cluster = Cluster::parse(CLUSTER, "test").unwrap();
        let make = |renewal| {
            setup::make(&cluster, dir.path(), renewal).unwrap();
            Overlay::at(dir.path().join("hosts/m"))
        };
        let (kit, address) = (Kit::of(Part::Node), cluster.hosts[1].address);
        let (made, mut root) = (make(Renewal::WhenNeeded), Overlay::at(here.path().to_owned()));
        let old = made.read(CERTIFICATE).unwrap().unwrap();
        assert_eq!(renewed(&mut root, kit, address, &old).unwrap(), None, "a host that has none gets none");
        for path in [AUTHORITY, CERTIFICATE, KEY] {
            root.put(path, Readers::Owner, &made.read(path).unwrap().unwrap()).unwrap();
        }
        assert_eq!(renewed(&mut root, kit, address, &old).unwrap(), None);
        // Its record is gone, so that it is made anew for the same key.
        std::fs::remove_file(dir.path().join("ca/issued/m.json")).unwrap();
        let new = make(Renewal::WhenNeeded).read(CERTIFICATE).unwrap().unwrap();
        assert_ne!(new, old);
        assert!(renewed(&mut root, kit, "192.0.2.3".parse().unwrap(), &new).unwrap().unwrap().contains("not taken"));
        assert!(renewed(&mut root, kit, address, &new).unwrap().unwrap().contains("has a new certificate"));
        for path in kit.copies().iter().chain([&CERTIFICATE]) {
            assert_eq!(root.read(path).unwrap().unwrap(), new, "{path}");
        }
        let other = make(Renewal::All).read(CERTIFICATE).unwrap().unwrap();
        assert!(renewed(&mut root, kit, address, &other).unwrap().unwrap().contains("not taken"));
        assert_eq!(root.read(CERTIFICATE).unwrap().unwrap(), new);
    }

    /// The list of an authority of its own, and the certificate of that.
    fn of_another(cluster: &Cluster) -> (String, String) {
        let (dir, now) = (TempDir::new(), watari_chassis::clock::now());
        let mut ca = Overlay::at(dir.path().to_owned());
        let authority = Authority::open(&mut ca, cluster, now).unwrap();
        authority.issue(&mut ca, &cluster.hosts[1], Renewal::WhenNeeded, now).unwrap();
        authority.revoke(&mut ca, &cluster.hosts[1].name, now).unwrap();
        (ca.read(authority::REVOKED).unwrap().unwrap(), authority.certificate)
    }

    #[test]
    fn a_list_of_revoked_certificates_comes_to_all_who_read_it_and_nothing_else_nor_an_older_one_does() {
        let (dir, here) = (TempDir::new(), TempDir::new());
        let (cluster, now) = (Cluster::parse(CLUSTER, "test").unwrap(), watari_chassis::clock::now());
        let mut ca = Overlay::at(dir.path().join("ca"));
        let authority = Authority::open(&mut ca, &cluster, now).unwrap();
        authority.issue(&mut ca, &cluster.hosts[1], Renewal::WhenNeeded, now).unwrap();
        authority.revoke(&mut ca, &cluster.hosts[1].name, now).unwrap();
        let list = ca.read(authority::REVOKED).unwrap().unwrap();
        let (kit, mut root) = (Kit::of(Part::Node), Overlay::at(here.path().to_owned()));
        assert_eq!(revoked(&mut root, kit, &list).unwrap(), None, "it knows no authority");
        root.put(AUTHORITY, Readers::All, &authority.certificate).unwrap();
        let (theirs, other) = of_another(&cluster);
        for bad in [&authority.certificate, &theirs] {
            assert!(revoked(&mut root, kit, bad).unwrap().unwrap().contains("not taken"));
        }
        assert_eq!(root.counts.written, 1, "what is not taken is written");
        assert!(revoked(&mut root, kit, &list).unwrap().is_some());
        for path in [REVOKED, "etc/pki/CA/cacrl.pem", "etc/pki/qemu/ca-crl.pem"] {
            assert_eq!(root.read(path).unwrap().unwrap(), list, "{path}");
        }
        assert_eq!(revoked(&mut root, kit, &list).unwrap(), None);
        assert_eq!((root.counts.written, root.counts.kept), (4, 0), "what is the same is touched");
        // Another one comes, and the first one again.
        authority.issue(&mut ca, &cluster.hosts[0], Renewal::WhenNeeded, now).unwrap();
        authority.revoke(&mut ca, &cluster.hosts[0].name, now).unwrap();
        let newer = ca.read(authority::REVOKED).unwrap().unwrap();
        assert!(revoked(&mut root, kit, &newer).unwrap().unwrap().contains("another list"));
        assert!(revoked(&mut root, kit, &list).unwrap().unwrap().contains("not taken"));
        assert_eq!(root.read(REVOKED).unwrap().unwrap(), newer);
        // Once the host has another authority, the former one's list counts no more.
        root.put(AUTHORITY, Readers::All, &other).unwrap();
        assert!(revoked(&mut root, kit, &theirs).unwrap().unwrap().contains("another list"));
        assert_eq!(root.read(REVOKED).unwrap().unwrap(), theirs);
    }
}
