//! Lines about what is lost: backups and what comes of them, nodes that are off.

use crate::{format::counted, lang::Lang};

/// Whether to fill an empty installation.
#[must_use]
pub fn restore_backup(lang: Lang, documents: usize, file: &str) -> String {
    match lang {
        Lang::En => format!("Put {} of {file} into this installation?", counted(documents, "document")),
        Lang::Ja => format!("{file} の文書 {documents} 件をこの環境に復元しますか?"),
    }
}

/// How many documents are there now.
#[must_use]
pub fn restored(lang: Lang, documents: usize) -> String {
    match lang {
        Lang::En => format!(
            "documents restored: {documents}; now start the services on every front end: systemctl start watari-front.target"
        ),
        Lang::Ja => format!(
            "文書 {documents} 件を復元しました。すべてのフロントエンドでサービスを起動してください: systemctl start watari-front.target"
        ),
    }
}

/// A server that a node has and that has no document.
#[must_use]
pub fn stranger(lang: Lang, vm: &str, node: &str) -> String {
    match lang {
        Lang::En => format!(
            "node {node} has server {vm}, which is not in the backup: newer, or deleted earlier. It has no document and is left alone; look at it on {node}: virsh dominfo {vm}"
        ),
        Lang::Ja => format!(
            "ノード {node} のサーバ {vm} はバックアップに含まれていません (より新しいか、それ以前に削除されたものです)。文書がないため、そのままにします。{node} で virsh dominfo {vm} を実行して確認してください"
        ),
    }
}

/// Nodes that said nothing.
#[must_use]
pub fn silent_nodes(lang: Lang, nodes: &str) -> String {
    match lang {
        Lang::En => format!("these nodes said nothing, and their servers are taken for where they were: {nodes}"),
        Lang::Ja => format!("次のノードは応答がなく、そのサーバは元の場所にあるとみなします: {nodes}"),
    }
}

/// Whether to take the person's word.
#[must_use]
pub fn node_is_off(lang: Lang, node: &str) -> String {
    match lang {
        Lang::En => format!("Is node {node} really off? If it runs, servers may run twice and lose their data."),
        Lang::Ja => format!(
            "ノード {node} は本当に停止していますか? 動いている場合、サーバが二重に動いてデータを失うことがあります。"
        ),
    }
}

/// Whether to forget a node.
#[must_use]
pub fn remove_node(lang: Lang, node: &str) -> String {
    match lang {
        Lang::En => format!("Forget node {node} and give up what is on its disks?"),
        Lang::Ja => format!("ノード {node} を登録から除き、そのディスクの内容を放棄しますか?"),
    }
}

/// A node's state with an operator's word.
#[must_use]
pub fn said_off(lang: Lang, state: &str, by: &str, at: &str) -> String {
    match lang {
        Lang::En => format!("{state} (off, says {by}, {at})"),
        Lang::Ja => format!("{state} (停止を確認: {by}、{at})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_there_in_both_languages() {
        let lines = |lang| {
            [
                restore_backup(lang, 1, "a"),
                restored(lang, 1),
                stranger(lang, "a", "b"),
                silent_nodes(lang, "a"),
                node_is_off(lang, "a"),
                remove_node(lang, "a"),
                said_off(lang, "a", "b", "c"),
            ]
        };
        for (en, ja) in lines(Lang::En).into_iter().zip(lines(Lang::Ja)) {
            assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
        }
    }
}
