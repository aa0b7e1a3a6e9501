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

/// That what was asked for is taken back.
#[must_use]
pub fn nothing_more(lang: Lang, vm: &str) -> String {
    match lang {
        Lang::En => format!("nothing more of the disk of server {vm} is sent ahead; what arrived before stays"),
        Lang::Ja => {
            format!("サーバ {vm} のディスクは、これ以上事前転送しません。すでに転送を終えたものは残ります")
        }
    }
}

/// That there was nothing to take back.
#[must_use]
pub fn nothing_there(lang: Lang, vm: &str) -> String {
    match lang {
        Lang::En => format!("there is nothing to take back: nothing of the disk of server {vm} was to be sent ahead"),
        Lang::Ja => format!("サーバ {vm} には事前転送の予定がなく、取りやめるものはありません"),
    }
}

/// What to do about a disk that is not sent yet: that, or to take the wish back.
#[must_use]
pub fn or_cancel(lang: Lang, remedy: &str, vm: &str) -> String {
    match lang {
        Lang::En => format!("{remedy}; to take it back: watari vm preseed {vm} --cancel"),
        Lang::Ja => {
            format!("{remedy}。取りやめるには watari vm preseed {vm} --cancel を実行してください")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_there_in_both_languages() {
        let lines = |lang| {
            [
                sending(lang, Some("a")),
                sending(lang, None),
                nothing_more(lang, "a"),
                nothing_there(lang, "a"),
                or_cancel(lang, "b", "a"),
            ]
        };
        for (en, ja) in lines(Lang::En).into_iter().zip(lines(Lang::Ja)) {
            assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
        }
    }
}
