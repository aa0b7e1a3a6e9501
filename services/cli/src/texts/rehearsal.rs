//! Lines about an outage that is gone through beforehand.

use watari_contracts::scheduler::{Known, Leaving};

use crate::lang::Lang;

/// What it is about. Nothing of it happens.
#[must_use]
pub fn begins(lang: Lang, site: &str, at: &str) -> String {
    match lang {
        Lang::En => format!("Rehearsal, nothing of it happens: the evacuation of {site} begins {at}."),
        Lang::Ja => format!("予行 (実際には何も変わりません): {site} の退避開始 {at}"),
    }
}

/// What becomes of a server.
#[must_use]
pub const fn way(lang: Lang, way: Leaving) -> &'static str {
    match (lang, way) {
        (Lang::En, way) => way.word(),
        (Lang::Ja, Leaving::Live) => "無停止で移動",
        (Lang::Ja, Leaving::Suspended) => "休止",
        (Lang::Ja, Leaving::ShutDown) => "停止",
        (Lang::Ja, Leaving::Off) => "停止済み",
        (Lang::Ja, Leaving::Left) => "残留",
    }
}

/// That not all servers are in the table.
#[must_use]
pub fn not_listed(lang: Lang, servers: u64) -> String {
    match lang {
        Lang::En => format!("and {servers} more servers, which cross"),
        Lang::Ja => format!("ほかに {servers} 台が無停止で移動します"),
    }
}

/// When nobody runs there any more, and when the front end has moved as well.
#[must_use]
pub fn evacuated(lang: Lang, empty: Option<&str>, evacuated: Option<&str>) -> String {
    match (lang, empty, evacuated) {
        (Lang::En, Some(empty), Some(all)) => format!("empty after {empty}, the front end's part included {all}"),
        (Lang::Ja, Some(empty), Some(all)) => {
            format!("{empty} 後に全サーバの退避完了、フロントエンドの交代も含めて {all} 後に完了")
        }
        (Lang::En, ..) => "The evacuation does not come to its end.".to_owned(),
        (Lang::Ja, ..) => "退避は完了しません。".to_owned(),
    }
}

/// When the power goes, and whether everything is over by then.
#[must_use]
pub fn power(lang: Lang, at: &str, after: &str, in_time: bool) -> String {
    match (lang, in_time) {
        (Lang::En, true) => format!("in time: the power goes {at}, after {after}"),
        (Lang::En, false) => format!("TOO LATE, or not everybody: the power goes {at}, after {after}"),
        (Lang::Ja, true) => format!("間に合います。電源断 {at} ({after} 後)"),
        (Lang::Ja, false) => format!("間に合わないか、残るサーバがあります。電源断 {at} ({after} 後)"),
    }
}

/// Who still runs there then.
#[must_use]
pub fn at_risk(lang: Lang, servers: &str) -> String {
    match lang {
        Lang::En => format!("AT RISK, running there when the power goes: {servers}"),
        Lang::Ja => format!("危険: 電源が切れる時点で稼働中のサーバ: {servers}"),
    }
}

/// The way home.
#[must_use]
pub fn returns(lang: Lang, at: &str, took: Option<&str>) -> String {
    match (lang, took) {
        (Lang::En, Some(took)) => format!("the return begins {at} and takes {took}"),
        (Lang::En, None) => format!("The return begins {at} and does not come to its end."),
        (Lang::Ja, Some(took)) => format!("帰還開始 {at}、所要 {took}"),
        (Lang::Ja, None) => format!("帰還開始 {at}。完了しません。"),
    }
}

/// What the link carries, and how that is known.
#[must_use]
pub fn link(lang: Lang, rate: &str, known: Known) -> String {
    match (lang, known) {
        (Lang::En, Known::Measured) => format!("link: {rate}/s, as the last migrations between sites had it"),
        (Lang::En, Known::Given) => format!("link: {rate}/s, as given"),
        (Lang::En, Known::Assumed) => format!("link: {rate}/s, a guess: nothing has crossed it yet (--link-mbit)"),
        (Lang::Ja, Known::Measured) => format!("回線: 毎秒 {rate} (最近のサイト間の移行での実測)"),
        (Lang::Ja, Known::Given) => format!("回線: 毎秒 {rate} (指定値)"),
        (Lang::Ja, Known::Assumed) => {
            format!("回線: 毎秒 {rate} (仮の値。サイト間の移行がまだありません: --link-mbit)")
        }
    }
}

/// How exact the moments are.
#[must_use]
pub fn step(lang: Lang, step: &str) -> String {
    match lang {
        Lang::En => format!("There are many servers: moments are true to some {step}."),
        Lang::Ja => format!("サーバが多いため、時刻の精度は約 {step} です。"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_in_both_languages() {
        let lines = |lang| {
            let ways = [Leaving::Live, Leaving::Suspended, Leaving::ShutDown, Leaving::Off, Leaving::Left];
            let links = [Known::Measured, Known::Given, Known::Assumed];
            let mut all = vec![
                begins(lang, "a", "b"),
                not_listed(lang, 1),
                evacuated(lang, Some("1"), Some("2")),
                evacuated(lang, None, None),
                power(lang, "a", "b", true),
                power(lang, "a", "b", false),
                at_risk(lang, "a"),
                returns(lang, "a", Some("b")),
                returns(lang, "a", None),
                step(lang, "1"),
            ];
            all.extend(ways.map(|one| way(lang, one).to_owned()));
            all.extend(links.map(|known| link(lang, "1", known)));
            all
        };
        for (en, ja) in lines(Lang::En).into_iter().zip(lines(Lang::Ja)) {
            assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
        }
    }
}
