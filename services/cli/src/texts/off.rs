//! Servers of an outage that do not travel now: those that are off, of which nothing is lost and nothing has failed, and
//! those that come later; and when all would have left.

use std::fmt::Display;

use crate::{format::time, lang::Lang, out::joined};

/// Who is off and stays where its disk is; nothing if nobody is.
#[must_use]
pub fn left_off<T: Display>(lang: Lang, servers: &[T]) -> Option<String> {
    let names = joined(servers);
    (!servers.is_empty()).then(|| match lang {
        Lang::En => format!("Off, and left where their disks are: {names}"),
        Lang::Ja => format!("停止中のため、ディスクとともに元の場所に残るサーバ: {names}"),
    })
}

/// Which servers are still to move and not in the queue yet.
#[must_use]
pub fn waiting<T: Display>(lang: Lang, servers: &[T]) -> String {
    let names = joined(servers);
    match lang {
        Lang::En => format!("Still to come: {names}"),
        Lang::Ja => format!("これから移るサーバ: {names}"),
    }
}

/// Above the table of those that could leave, and for which something should be done beforehand.
#[must_use]
pub fn warned_title(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "Could leave, but see to it before:",
        Lang::Ja => "退避できるが、事前の確認が必要なサーバ:",
    }
}

/// What an outage waits for that a battery or an alert has brought up.
#[must_use]
pub fn proposed(lang: Lang, id: &str, note: &str) -> String {
    let cause = if note.is_empty() { String::new() } else { format!(" ({note})") };
    match lang {
        Lang::En => format!(
            "It is proposed{cause} and waits for you: begin it with `watari outage start {id}`, \
             or call it off with `watari outage cancel {id}`."
        ),
        Lang::Ja => format!(
            "退避の開始を確認待ちです{cause}。`watari outage start {id}` で開始するか、`watari outage cancel {id}` で取り消してください。"
        ),
    }
}

/// What an outage is that has not begun: scheduled for a time, or proposed if there is none.
#[must_use]
pub fn ahead(lang: Lang, from: Option<&str>) -> String {
    match (lang, from) {
        (Lang::En, Some(from)) => format!("scheduled (the power goes at {from})"),
        (Lang::En, None) => "proposed".to_owned(),
        (Lang::Ja, Some(from)) => format!("予定 (停電は {from})"),
        (Lang::Ja, None) => "開始待ち".to_owned(),
    }
}

/// When all would have left, beside when the power goes.
#[must_use]
pub fn ready_at(lang: Lang, ready: &str, power_off: &str) -> String {
    match lang {
        Lang::En => format!("It would be done at {ready}; the power goes at {power_off}."),
        Lang::Ja => format!("完了の見込みは {ready}、停電は {power_off} です。"),
    }
}

/// That an evacuation has less time than it takes, if that is known, who is lost by that, and what to do about it.
#[must_use]
pub fn too_late(lang: Lang, id: &str, left_ms: u64, needed_ms: Option<u64>, servers: &str) -> String {
    let (left, needed) = (time(lang, left_ms), needed_ms.map(|ms| time(lang, ms)));
    match lang {
        Lang::En => {
            let needed = needed.map_or_else(|| "takes longer".to_owned(), |needed| format!("takes about {needed}"));
            format!(
                "TOO LATE: the evacuation has {left} until the power goes, and {needed}. Still running there then, and \
                 lost with the power: {servers}. Put the outage off (watari outage reschedule {id} --from WHEN --until \
                 WHEN), begin it at once (watari outage start {id}), or shut these down before: watari vm stop NAME"
            )
        }
        Lang::Ja => {
            let needed = needed.map_or_else(|| "それより長く".to_owned(), |needed| format!("約 {needed}"));
            format!(
                "【間に合いません】停電までに退避に使える時間は {left} ですが、退避には{needed}かかる見込みです。停電時にまだ稼働していて、\
                 電源とともに落ちるサーバ: {servers}。停電の日時を変更するか (watari outage reschedule {id} --from 日時 --until 日時)、\
                 すぐに退避を始めるか (watari outage start {id})、停電の前に停止してください: watari vm stop 名前"
            )
        }
    }
}

/// What lies between both, and how much that is.
#[must_use]
pub const fn margin(lang: Lang) -> &'static str {
    match lang {
        Lang::En => {
            "The time between is the margin: an evacuation begins lead_seconds ([outages] in scheduler.toml) before the \
             power goes, or sooner, so that it may take twice as long as estimated; but at most a day before if \
             lead_seconds is less."
        }
        Lang::Ja => {
            "完了の見込みから停電までが余裕です。退避は、停電の lead_seconds 前 (scheduler.toml の [outages]) か、見積りの 2 倍の\
             時間がかかっても間に合うように、それより早く始まります (lead_seconds がより長くない限り、早くても 1 日前です)。"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_about_a_plan_is_in_both_languages() {
        let lines = |lang| {
            [
                warned_title(lang).to_owned(),
                ready_at(lang, "1", "2"),
                margin(lang).to_owned(),
                too_late(lang, "myodaiji-1", 1_000, Some(9_000), "a b"),
                too_late(lang, "myodaiji-1", 1_000, None, "a"),
                ahead(lang, Some("1")),
                ahead(lang, None),
                waiting(lang, &["a"]),
                proposed(lang, "myodaiji-1", ""),
                proposed(lang, "myodaiji-1", "RoomTooHot"),
            ]
        };
        for (en, ja) in lines(Lang::En).into_iter().zip(lines(Lang::Ja)) {
            assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
        }
    }

    #[test]
    fn who_is_off_is_named_and_nobody_is_not_told_of() {
        assert_eq!(left_off::<&str>(Lang::En, &[]), None);
        let told = left_off(Lang::En, &["db", "old"]);
        assert_eq!(told.as_deref(), Some("Off, and left where their disks are: db old"));
    }
}
