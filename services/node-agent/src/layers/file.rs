//! Names of files of layers that are kept for servers elsewhere. A name says all that must be known of its
//! file, so that no journal has to.

use watari_contracts::agent::Layer;

use crate::blueprint;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Being brought by another node.
    Part,
    /// Says to other nodes that the layer is here.
    Proof,
    /// The layer itself, whole and checked.
    Whole,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Part, Self::Proof, Self::Whole];

    const fn ending(self) -> &'static str {
        match self {
            Self::Part => "part",
            Self::Proof => "here",
            Self::Whole => "qcow2",
        }
    }
}

/// The name of a layer's file; none before its digest is known.
pub(super) fn name(uuid: &str, layer: &Layer, kind: Kind) -> Option<String> {
    let sha256 = layer.sha256.as_ref()?;
    Some(format!("{uuid}.{}.{sha256}.{}.{}", layer.index, layer.size_bytes, kind.ending()))
}

/// What a name says; none if it is not one of ours.
pub(super) fn parse(name: &str) -> Option<(String, Layer, Kind)> {
    let words: Vec<&str> = name.split('.').collect();
    let [uuid, index, sha256, size, ending] = words.as_slice() else { return None };
    let kind = Kind::ALL.into_iter().find(|kind| kind.ending() == *ending)?;
    let digits = sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !blueprint::is_uuid(uuid) || !digits {
        return None;
    }
    let layer =
        Layer { index: index.parse().ok()?, sha256: Some((*sha256).to_owned()), size_bytes: size.parse().ok()? };
    Some(((*uuid).to_owned(), layer, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "4dea22b3-1d52-48f3-9d2c-0c0d8e1a7b6f";

    #[test]
    fn a_name_says_all_and_a_hostile_one_nothing() {
        let layer = Layer { index: 3, sha256: Some("0a".repeat(32)), size_bytes: 314_572_800 };
        for kind in Kind::ALL {
            let name = name(UUID, &layer, kind).unwrap();
            assert_eq!(parse(&name), Some((UUID.to_owned(), layer.clone(), kind)), "{name}");
        }
        assert_eq!(name(UUID, &Layer { sha256: None, ..layer }, Kind::Part), None);
        let digest = "0a".repeat(32);
        for bad in [
            format!("{UUID}.3.{digest}.1.exe"),
            format!("{UUID}.-1.{digest}.1.part"),
            format!("{UUID}.3.{}.1.part", "0A".repeat(32)),
            format!("../{UUID}.3.{digest}.1.part"),
            format!("{UUID}.3.{digest}.part"),
            "notes.txt".to_owned(),
        ] {
            assert_eq!(parse(&bad), None, "{bad}");
        }
    }
}
