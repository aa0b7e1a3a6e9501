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

/// The same of one that is under way.
#[must_use]
pub fn goes_on(lang: Lang, site: &str, began: &str, at: &str) -> String {
    match lang {
        Lang::En => {
            format!(
                "Rehearsal, nothing of it happens: the evacuation of {site}, which began {began}, goes on from {at}."
            )
        }
        Lang::Ja => {
            format!("予行 (実際には何も変わりません): {began} に始まった {site} の退避を、現在 ({at}) から続けた場合")
        }
    }
}

/// That a server is at the other site already.
#[must_use]
pub const fn away(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "away already",
        Lang::Ja => "すでに移動済み",
    }
}

/// That it goes down with its node.
#[must_use]
pub const fn down(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "down with its node",
        Lang::Ja => "ノード障害で停止",
    }
}

/// That it has neither left nor gone off when the power goes.
#[must_use]
pub const fn no_time(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "too late",
        Lang::Ja => "間に合わない",
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
        Lang::En if servers == 1 => "and 1 more server, which crosses".to_owned(),
        Lang::En => format!("and {servers} more servers, which cross"),
        Lang::Ja => format!("ほかに {servers} 台が無停止で移動します"),
    }
}

/// How an evacuation ends; times count from its beginning.
#[derive(Clone, Copy, Debug)]
pub enum End<'t> {
    /// It does not.
    Never,
    /// After the power has gone; with power it would be over after `all`.
    Late {
        /// So long.
        all: &'t str,
    },
    /// Nobody moves.
    Nobody {
        /// How long the front end's part takes, if it takes any time.
        all: Option<&'t str>,
    },
    /// Everybody who runs has moved.
    Whole {
        /// When the last one had.
        empty: &'t str,
        /// The front end's part included.
        all: &'t str,
    },
    /// Not everybody has: others are off, down or left behind.
    Partly {
        /// When the last one had moved or was off.
        empty: &'t str,
        /// The front end's part included.
        all: &'t str,
    },
}

/// When nobody runs there any more, and when the front end has moved as well.
#[must_use]
pub fn evacuated(lang: Lang, end: End<'_>) -> String {
    match (lang, end) {
        (Lang::En, End::Never) => "The evacuation does not come to its end.".to_owned(),
        (Lang::Ja, End::Never) => "退避は完了しません。".to_owned(),
        (Lang::En, End::Late { all }) => {
            format!("The evacuation does not come to its end before the power goes; with power it would take {all}.")
        }
        (Lang::Ja, End::Late { all }) => {
            format!("電源が切れるまでに退避は完了しません (必要な時間: {all})。")
        }
        (Lang::En, End::Nobody { all: None }) => "Nobody has to move any more.".to_owned(),
        (Lang::Ja, End::Nobody { all: None }) => "移動するサーバはもうありません。".to_owned(),
        (Lang::En, End::Nobody { all: Some(all) }) => {
            format!("Nobody moves; the front end's part is over after {all}.")
        }
        (Lang::Ja, End::Nobody { all: Some(all) }) => {
            format!("移動するサーバはありません。フロントエンドの交代は {all}後に終わります。")
        }
        (Lang::En, End::Whole { empty, all }) => format!("empty after {empty}, the front end's part included {all}"),
        (Lang::Ja, End::Whole { empty, all }) => {
            format!("{empty}後に全サーバの退避完了、フロントエンドの交代も含めて {all}後に完了")
        }
        (Lang::En, End::Partly { empty, all }) => {
            format!("what moves or goes off has done so after {empty}, the front end's part included {all}")
        }
        (Lang::Ja, End::Partly { empty, all }) => {
            format!("移動と停止は {empty}後に、フロントエンドの交代も含めて {all}後に終了")
        }
    }
}

/// How the power's going meets the evacuation.
#[derive(Clone, Copy, Debug)]
pub enum Power {
    /// Everybody has moved.
    InTime,
    /// Everybody has moved or is off.
    SomeOff,
    /// Nobody is left to be lost with it, but some went down with their nodes.
    SomeDown,
    /// Everybody has moved or is off, but the front end's part is not over.
    FrontEndLate,
    /// Not everything is over, or somebody still runs there.
    TooSoon,
}

/// When the power goes, and whether everything is over by then.
#[must_use]
pub fn power(lang: Lang, at: &str, after: &str, how: Power) -> String {
    match (lang, how) {
        (Lang::En, Power::InTime) => format!("in time: the power goes {at}, after {after}"),
        (Lang::En, Power::SomeOff) => {
            format!("the power goes {at}, after {after}: by then everybody has moved or is off")
        }
        (Lang::En, Power::SomeDown) => format!("the power goes {at}, after {after}; servers go down with their nodes"),
        (Lang::En, Power::FrontEndLate) => format!(
            "the power goes {at}, after {after}: by then everybody has moved or is off, \
             but the front end's part is TOO LATE (beforehand: watari frontend promote SITE)"
        ),
        (Lang::En, Power::TooSoon) => format!("TOO LATE, or not everybody: the power goes {at}, after {after}"),
        (Lang::Ja, Power::InTime) => format!("間に合います。電源断 {at} ({after}後)"),
        (Lang::Ja, Power::SomeOff) => {
            format!("電源断 {at} ({after}後)。それまでに移動または休止・停止します。")
        }
        (Lang::Ja, Power::SomeDown) => format!("電源断 {at} ({after}後)。ノードの障害で停止するサーバがあります。"),
        (Lang::Ja, Power::FrontEndLate) => format!(
            "電源断 {at} ({after}後)。それまでにサーバは移動または休止・停止しますが、フロントエンドの交代は間に合いません \
             (事前に交代するには watari frontend promote サイト)。"
        ),
        (Lang::Ja, Power::TooSoon) => {
            format!("間に合わないか、残るサーバがあります。電源断 {at} ({after}後)")
        }
    }
}

/// Above those that go down with a node.
#[must_use]
pub const fn went_down(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "Down in this rehearsal:",
        Lang::Ja => "この予行で停止したサーバ:",
    }
}

/// One of them.
#[must_use]
pub fn fall(lang: Lang, vm: &str, node: &str, after: &str) -> String {
    match lang {
        Lang::En => format!("  {vm}: with node {node}, after {after}"),
        Lang::Ja => format!("  {vm}: {after}後に、ノード {node} の電源断とともに停止"),
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

/// That nobody comes home, since nobody left.
#[must_use]
pub const fn nobody_returns(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "No server comes home.",
        Lang::Ja => "帰還するサーバはありません。",
    }
}

/// Above those that do not come home.
#[must_use]
pub const fn stays_away(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "Do not come home:",
        Lang::Ja => "帰還しないサーバ:",
    }
}

/// What the link carries, and how that is known.
#[must_use]
pub fn link(lang: Lang, rate: &str, known: Known) -> String {
    match (lang, known) {
        (Lang::En, Known::Measured) => format!("link: {rate}/s, as the last migrations between sites had it"),
        (Lang::En, Known::SentAhead) => format!("link: {rate}/s at least, as disks that were sent ahead had it"),
        (Lang::En, Known::Given) => format!("link: {rate}/s, as given"),
        (Lang::En, Known::Assumed) => format!("link: {rate}/s, a guess: nothing has crossed it yet (--link-mbit)"),
        (Lang::Ja, Known::Measured) => format!("回線: 毎秒 {rate} (最近のサイト間の移行での実測)"),
        (Lang::Ja, Known::SentAhead) => format!("回線: 少なくとも毎秒 {rate} (最近のディスクの事前転送での実測)"),
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
            let links = [Known::Measured, Known::Given, Known::Assumed, Known::SentAhead];
            let mut all = vec![
                begins(lang, "a", "b"),
                not_listed(lang, 1),
                goes_on(lang, "a", "b", "c"),
                fall(lang, "a", "b", "c"),
                at_risk(lang, "a"),
                returns(lang, "a", Some("b")),
                returns(lang, "a", None),
                step(lang, "1"),
            ];
            all.extend(ways.map(|one| way(lang, one).to_owned()));
            let (whole, partly) = (End::Whole { empty: "1", all: "2" }, End::Partly { empty: "1", all: "2" });
            let ends = [End::Never, End::Late { all: "1" }, End::Nobody { all: None }, End::Nobody { all: Some("1") }];
            all.extend(ends.into_iter().chain([whole, partly]).map(|end| evacuated(lang, end)));
            let powers = [Power::InTime, Power::SomeOff, Power::SomeDown, Power::FrontEndLate, Power::TooSoon];
            all.extend(powers.map(|how| power(lang, "a", "b", how)));
            all.extend(
                [away(lang), down(lang), no_time(lang), went_down(lang), nobody_returns(lang), stays_away(lang)]
                    .map(str::to_owned),
            );
            all.extend(links.map(|known| link(lang, "1", known)));
            all
        };
        for (en, ja) in lines(Lang::En).into_iter().zip(lines(Lang::Ja)) {
            assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
        }
    }
}
