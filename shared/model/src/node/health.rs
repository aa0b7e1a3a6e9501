//! What a node finds when it looks at itself: what else than room and processors its servers stand on.
//!
//! Everything here is coarse, so that a document changes only when there is something to know.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Said, SegmentName, Timestamp, said};

/// What a node's agent sees of its host. It judges nothing: whoever reads it does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// Every bridge that its configuration binds to a segment, whether it can be used or not, by segment.
    #[serde(default)]
    pub bridges: Vec<Bridge>,
    /// The certificates that libvirt, QEMU and the agent itself use.
    #[serde(default)]
    pub certificates: Vec<Certificate>,
    /// The lists of revoked certificates that libvirt and QEMU heed, also where there is none yet. Of an earlier version
    /// nothing is known.
    #[serde(default)]
    pub revocation_lists: Vec<RevocationList>,
    /// Programs that the agent starts and does not find.
    #[serde(default)]
    pub missing_programs: Vec<String>,
    /// How long the data folder's disk takes to make 4 KiB safe, in milliseconds: the middle of a few tries.
    /// None if it has not been measured yet.
    #[serde(default)]
    pub fsync_ms: Option<u32>,
    /// How many percent of the disk folder's files (inodes) may still be made, in steps of 5; none where a
    /// file system does not count them.
    #[serde(default)]
    pub files_free_percent: Option<u8>,
}

impl Health {
    /// What keeps a node that has just started from being used; none if nothing does. It is what servers cannot run
    /// without: bridges, programs, and certificates that hold.
    #[must_use]
    pub fn lacks(&self, now: Timestamp) -> Option<Said> {
        let cut =
            |bridge: &&Bridge| matches!(bridge.link, Link::Missing | Link::NotABridge | Link::Down | Link::UplinkDown);
        if let Some(Bridge { name, .. }) = self.bridges.iter().find(cut) {
            return Some(said!("its bridge {name} cannot be used", "ブリッジ {name} を使用できません"));
        }
        if let Some(program) = self.missing_programs.first() {
            return Some(said!("it lacks the program {program}", "プログラム {program} がありません"));
        }
        let ended = |one: &&Certificate| one.not_after.is_some_and(|end| end <= now);
        let Certificate { path, .. } = self.certificates.iter().find(ended)?;
        Some(said!("its certificate {path} has ended", "証明書 {path} の有効期限が切れています"))
    }
}

/// A bridge that the operator made, or should have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bridge {
    /// The segment that it is bound to.
    pub segment: SegmentName,
    /// Its name.
    pub name: String,
    /// What it is.
    pub link: Link,
    /// Its ports that have an address or route of their own, which belongs on the bridge: what is sent there
    /// does not come back.
    #[serde(default)]
    pub addressed_ports: Vec<String>,
}

/// How a bridge stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// There is no interface of that name.
    Missing,
    /// The interface is no bridge.
    NotABridge,
    /// It is switched off.
    Down,
    /// Nothing but servers is plugged into it.
    NoUplink,
    /// What leads out of the node has no carrier.
    UplinkDown,
    /// It is up, and leads out of the node.
    Up,
}

/// A file of certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// Its path on the node.
    pub path: String,
    /// When the first of them ends; none if the file cannot be read or holds none.
    pub not_after: Option<Timestamp>,
}

/// A file with a list of revoked certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevocationList {
    /// Its path on the node.
    pub path: String,
    /// From when the authority lets it count; none if it is not there, cannot be read or is no list.
    pub updated_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    #[test]
    fn a_node_without_a_bridge_a_program_or_a_certificate_that_holds_lacks_something() {
        let now = Timestamp(OffsetDateTime::UNIX_EPOCH).plus_millis(1_000);
        let bridge = |link| Bridge {
            segment: "campus".parse().unwrap(),
            name: "br0".to_owned(),
            link,
            addressed_ports: Vec::new(),
        };
        let certificate = |not_after| Certificate { path: "a.pem".to_owned(), not_after };
        let with = |link| Health { bridges: vec![bridge(Link::Up), bridge(link)], ..Health::default() };
        assert_eq!(Health::default().lacks(now), None);
        assert_eq!(with(Link::NoUplink).lacks(now), None, "that may be meant so");
        for link in [Link::Missing, Link::NotABridge, Link::Down, Link::UplinkDown] {
            assert!(with(link).lacks(now).unwrap().en.contains("br0"));
        }
        let programs = Health { missing_programs: vec!["nft".to_owned()], ..Health::default() };
        assert!(programs.lacks(now).unwrap().en.contains("nft"));
        for (ends, lacks) in [(None, false), (Some(now.plus_millis(1)), false), (Some(now), true)] {
            let health = Health { certificates: vec![certificate(ends)], ..Health::default() };
            assert_eq!(health.lacks(now).is_some(), lacks, "{ends:?}");
        }
    }
}
