//! Disks that are sent ahead of their servers.

use crate::lang::Lang;

/// What is being done, to a node that is chosen already or not yet.
#[must_use]
pub fn sending(lang: Lang, to: Option<&str>) -> String {
    match (lang, to) {
        (Lang::En, Some(node)) => format!("its disk is being sent ahead to {node}"),
        (Lang::En, None) => "a node is being chosen for its disk".to_owned(),
        (Lang::Ja, Some(node)) => format!("ディスクを {node} へ事前転送しています"),
        (Lang::Ja, None) => "ディスクの事前転送先を選んでいます".to_owned(),
    }
}
