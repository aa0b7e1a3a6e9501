//! Lines about backups and what comes of them.

use crate::lang::Lang;

/// Whether to fill an empty installation.
#[must_use]
pub fn restore_backup(lang: Lang, documents: usize, file: &str) -> String {
    match lang {
        Lang::En => format!("Put {documents} documents of {file} into this installation?"),
        Lang::Ja => format!("{file} の文書 {documents} 件をこの環境に復元しますか?"),
    }
}

/// How many documents are there now.
#[must_use]
pub fn restored(lang: Lang, documents: usize) -> String {
    match lang {
        Lang::En => format!("{documents} documents are restored; now start the services"),
        Lang::Ja => format!("文書 {documents} 件を復元しました。サービスを起動してください"),
    }
}

/// A server that runs and has no document.
#[must_use]
pub fn stranger(lang: Lang, vm: &str, node: &str) -> String {
    match lang {
        Lang::En => format!(
            "node {node} has server {vm}, which was made after the backup: it has no document and is left alone"
        ),
        Lang::Ja => format!(
            "ノード {node} のサーバ {vm} はバックアップより後に作られたもので、文書がありません。そのままにします"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_there_in_both_languages() {
        let lines =
            |lang| [restore_backup(lang, 1, "a"), restored(lang, 1), stranger(lang, "a", "b"), silent_nodes(lang, "a")];
        for (en, ja) in lines(Lang::En).into_iter().zip(lines(Lang::Ja)) {
            assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
        }
    }
}
