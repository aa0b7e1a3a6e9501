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

/// How much lies ready at a node, and what a move there still carries. How much is written from now on nobody knows yet:
/// what the server's node has measured was measured before.
#[must_use]
pub fn ready(lang: Lang, vm: &str, disk: &str, node: &str, memory: &str) -> String {
    match lang {
        Lang::En => format!(
            "{disk} of the disk of server {vm} lie ready at {node}; a move there, as in an evacuation, still carries its \
             memory ({memory}) and what it writes to its disk from now on"
        ),
        Lang::Ja => format!(
            "サーバ {vm} のディスク {disk} を {node} に事前転送しました。退避などで {node} へ移るときに送るのは、\
             メモリ ({memory}) と、今後ディスクに書き込まれた分だけです"
        ),
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

/// What a server accepts to lose if it is started from a copy, and what it would lose by now; none if there is no copy.
#[must_use]
pub fn from_copy(lang: Lang, most_seconds: u32, loss_seconds: Option<u64>) -> String {
    match (lang, loss_seconds) {
        (Lang::En, None) => format!("if no more than {most_seconds} s are lost; there is no copy yet"),
        (Lang::En, Some(loss)) if loss <= u64::from(most_seconds) => {
            format!("if no more than {most_seconds} s are lost; the copy lacks {loss} s and would be used")
        }
        (Lang::En, Some(loss)) => {
            format!("if no more than {most_seconds} s are lost; the copy lacks {loss} s and would NOT be used")
        }
        (Lang::Ja, None) => format!("失われる書き込みが {most_seconds} 秒以内の場合。複製はまだありません"),
        (Lang::Ja, Some(loss)) if loss <= u64::from(most_seconds) => {
            format!("失われる書き込みが {most_seconds} 秒以内の場合。複製は {loss} 秒前のもので、使用できます")
        }
        (Lang::Ja, Some(loss)) => {
            format!("失われる書き込みが {most_seconds} 秒以内の場合。複製は {loss} 秒前のもので、使用できません")
        }
    }
}

/// That a server was started from a copy, what that lost, and where the rest is.
#[must_use]
pub fn restored(lang: Lang, at: &str, from: &str, lost_seconds: u64) -> String {
    match lang {
        Lang::En => format!(
            "{at}; what was written in the last {lost_seconds} s at most is on the disk at {from}, which is kept (watari disk list, when {from} is back)"
        ),
        Lang::Ja => format!(
            "{at}。最大で直前 {lost_seconds} 秒間の書き込みは {from} のディスクにあり、保存されます ({from} の復旧後、watari disk list で確認できます)"
        ),
    }
}

/// That a server has not come up on its copy, and what there is beside waiting.
#[must_use]
pub fn not_up(lang: Lang, at: &str, vm: &str, from: &str) -> String {
    match lang {
        Lang::En => format!(
            "{at}, and has not run on it yet; to go back to the disk at {from} instead, once that is back: watari vm start {vm} --discard-copy"
        ),
        Lang::Ja => format!(
            "{at}。複製からはまだ起動していません。{from} の復旧後、元のディスクに戻すには watari vm start {vm} --discard-copy を実行します"
        ),
    }
}

/// That such a copy was given up.
#[must_use]
pub fn goes_back(lang: Lang, at: &str, from: &str) -> String {
    match lang {
        Lang::En => format!("{at}, and never ran on it; it goes back to the disk at {from}"),
        Lang::Ja => format!("{at}。複製からは起動せず、{from} の元のディスクに戻ります"),
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
                ready(lang, "a", "b", "c", "d"),
                nothing_more(lang, "a"),
                nothing_there(lang, "a"),
                or_cancel(lang, "b", "a"),
                from_copy(lang, 9, None),
                from_copy(lang, 9, Some(9)),
                from_copy(lang, 9, Some(10)),
                restored(lang, "now", "a", 9),
                not_up(lang, "now", "a", "b"),
                goes_back(lang, "now", "a"),
            ]
        };
        for (en, ja) in lines(Lang::En).into_iter().zip(lines(Lang::Ja)) {
            assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
        }
        assert!(!from_copy(Lang::En, 9, Some(9)).contains("NOT") && from_copy(Lang::En, 9, Some(10)).contains("NOT"));
    }
}
