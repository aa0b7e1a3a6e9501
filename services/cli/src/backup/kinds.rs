//! The kinds of documents: in which order they are read and put back, and whether one can be read.

use watari_model::{
    Document, address::PublicAddress, firewall::Firewall, frontend::Primacy, image::Image, key::Key,
    migration::Migration, network::Network, network::Port, node::Node, outage::Outage, project::Project, site::Site,
    userdata::UserData, vm::Vm,
};

/// Reads a document as today's model knows it, by its bucket's rules.
type Check = fn(&str, &str) -> Result<(), String>;

/// Every bucket, in the order in which a backup reads them: what is referred to comes after what refers
/// to it, so that it is there, since each document is as it was at a moment of its own. They are put
/// back the other way round.
pub(super) const KINDS: [(&str, Check); 14] = [
    (Vm::BUCKET, check::<Vm>),
    (Migration::BUCKET, check::<Migration>),
    (Outage::BUCKET, check::<Outage>),
    (UserData::BUCKET, check::<UserData>),
    (PublicAddress::BUCKET, check::<PublicAddress>),
    (Port::BUCKET, check::<Port>),
    (Network::BUCKET, check::<Network>),
    (Firewall::BUCKET, check::<Firewall>),
    (Image::BUCKET, check::<Image>),
    (Key::BUCKET, check::<Key>),
    (Project::BUCKET, check::<Project>),
    (Node::BUCKET, check::<Node>),
    (Site::BUCKET, check::<Site>),
    (Primacy::BUCKET, check::<Primacy>),
];

/// Reads a document, which must lie under its own key.
pub(super) fn read<T: Document>(key: &str, text: &str) -> Result<T, String> {
    let value: T = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let own = value.key();
    if own == key { Ok(value) } else { Err(format!("its key is {own}")) }
}

fn check<T: Document>(key: &str, text: &str) -> Result<(), String> {
    read::<T>(key, text).map(drop)
}

/// Why a document of this bucket cannot be used; nothing if it can.
pub(super) fn complaint(bucket: &str, key: &str, text: &str) -> Option<String> {
    match KINDS.iter().find(|(known, _)| *known == bucket) {
        Some((_, check)) => check(key, text).err(),
        None => Some("there is no such bucket".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use watari_contracts::permissions::{BUCKETS, PRIVATE};

    use super::*;

    #[test]
    fn every_bucket_is_in_a_backup() {
        let all: BTreeSet<&str> = BUCKETS.iter().chain(PRIVATE).map(|(bucket, _)| *bucket).collect();
        assert_eq!(KINDS.map(|(bucket, _)| bucket).into_iter().collect::<BTreeSet<_>>(), all);
    }

    #[test]
    fn what_is_no_document_of_its_bucket_is_complained_of() {
        let site = serde_json::to_string(&Site::new("yamate".parse().unwrap(), "山手".to_owned())).unwrap();
        assert_eq!(complaint("sites", "yamate", &site), None);
        for (bucket, key, text) in [("sites", "myodaiji", &*site), ("vms", "yamate", &*site), ("leases", "x", "{}")] {
            assert!(complaint(bucket, key, text).is_some(), "{bucket} {key}");
        }
    }
}
