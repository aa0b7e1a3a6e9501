//! What is told of a backup, and of a restoration.

use std::path::Path;

use serde::Serialize;
use watari_model::{NodeName, Timestamp, VmName};

use super::{archive::Archive, archive::fingerprint, found::Finding};
use crate::{
    format,
    lang::Lang,
    out::{Column, Row, or_dash},
    texts::words::Word,
};

/// A backup in short. The field names are stable.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    file: String,
    bytes: usize,
    sha256: String,
    watari: String,
    began_at: Timestamp,
    ended_at: Timestamp,
    epoch: u64,
    documents: std::collections::BTreeMap<String, usize>,
}

impl Summary {
    pub(super) fn of(path: &Path, bytes: &[u8], archive: &Archive) -> Self {
        let header = archive.header.clone();
        Self {
            file: path.display().to_string(),
            bytes: bytes.len(),
            sha256: fingerprint(bytes),
            watari: header.watari,
            began_at: header.began_at,
            ended_at: header.ended_at,
            epoch: header.epoch,
            documents: header.documents,
        }
    }
}

impl Row for Summary {
    fn columns() -> Vec<Column> {
        vec![Column::Text(Word::File), Column::Text(Word::Created)]
    }

    fn cells(&self, _: Lang) -> Vec<String> {
        vec![self.file.clone(), format::moment(self.ended_at)]
    }

    fn details(&self, _: Lang) -> Vec<(Word, String)> {
        let count = self.documents.iter().map(|(bucket, count)| format!("{bucket} {count}"));
        vec![
            (Word::File, self.file.clone()),
            (Word::Created, format::moment(self.ended_at)),
            (Word::Size, format::bytes(u64::try_from(self.bytes).unwrap_or(u64::MAX))),
            (Word::Sha256, self.sha256.clone()),
            (Word::Documents, count.collect::<Vec<_>>().join(", ")),
            (Word::Epoch, self.epoch.to_string()),
        ]
    }

    fn none() -> Word {
        Word::Documents
    }
}

/// A restored server.
#[derive(Debug, Serialize)]
pub(super) struct Server {
    pub(super) vm: VmName,
    pub(super) node: Option<NodeName>,
    pub(super) finding: Finding,
}

/// A server that a node has and the backup does not.
#[derive(Debug, Serialize)]
pub(super) struct Stranger {
    pub(super) vm: VmName,
    pub(super) node: NodeName,
}

/// What a restoration came to. The field names are stable.
#[derive(Debug, Serialize)]
pub(super) struct Restored {
    /// Documents that are there now.
    pub(super) documents: usize,
    /// Every server, and what its nodes said.
    pub(super) servers: Vec<Server>,
    /// Servers that nodes have and the backup has not: newer, or deleted before it. They are left as they are.
    pub(super) strangers: Vec<Stranger>,
    /// Nodes of the backup that said nothing.
    pub(super) silent: Vec<NodeName>,
}

impl Row for Server {
    fn columns() -> Vec<Column> {
        vec![Column::Text(Word::Vm), Column::Text(Word::Node), Column::Text(Word::Found)]
    }

    fn cells(&self, lang: Lang) -> Vec<String> {
        let found = match self.finding {
            Finding::AsBefore => Word::FoundAsBefore,
            Finding::Moved => Word::FoundMoved,
            Finding::Gone => Word::FoundGone,
            Finding::Silent => Word::FoundSilent,
            Finding::Unplaced => Word::FoundUnplaced,
        };
        vec![self.vm.to_string(), or_dash(self.node.as_ref()), found.text(lang).to_owned()]
    }

    fn none() -> Word {
        Word::NoVms
    }
}
