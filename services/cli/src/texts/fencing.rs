//! Lines about nodes' power and who may cut it.

use watari_model::node::fencing::Act;

use crate::lang::Lang;

/// Whether to cut a node's power.
#[must_use]
pub fn cut_power(lang: Lang, node: &str) -> String {
    match lang {
        Lang::En => format!("Cut the power of node {node}? What runs there dies at once."),
        Lang::Ja => format!("ノード {node} の電源を切りますか? そこで動いているものはすぐに停止します。"),
    }
}

/// What a power controller says of a node.
#[must_use]
pub fn says(lang: Lang, node: &str, act: Act) -> String {
    match (lang, act) {
        (Lang::En, Act::Off) => format!("the power controller of node {node} says: off"),
        (Lang::En, Act::On) => format!("the power controller of node {node} says: on"),
        (Lang::Ja, Act::Off) => format!("ノード {node} の電源制御装置の応答: 電源は切れています"),
        (Lang::Ja, Act::On) => format!("ノード {node} の電源制御装置の応答: 電源は入っています"),
    }
}

/// Which programs would be run.
#[must_use]
pub fn would_run(lang: Lang, command: &str) -> String {
    match lang {
        Lang::En => format!("the monitor that leads would run: {command}"),
        Lang::Ja => format!("主系のモニタが実行するコマンド: {command}"),
    }
}

/// Whether a node's power can be cut.
#[must_use]
pub const fn configured(lang: Lang, configured: bool) -> &'static str {
    match (lang, configured) {
        (Lang::En, true) => "configured",
        (Lang::En, false) => "not configured",
        (Lang::Ja, true) => "設定あり",
        (Lang::Ja, false) => "設定なし",
    }
}

/// What was done with it last, for whom and when, and what came of it.
#[must_use]
pub fn last(lang: Lang, act: Act, by: &str, at: &str, outcome: &str) -> String {
    match (lang, act) {
        (Lang::En, Act::Off) => format!("off by {by}, {at}: {outcome}"),
        (Lang::En, Act::On) => format!("on by {by}, {at}: {outcome}"),
        (Lang::Ja, Act::Off) => format!("電源断 ({by}、{at}): {outcome}"),
        (Lang::Ja, Act::On) => format!("電源投入 ({by}、{at}): {outcome}"),
    }
}

/// It is under way.
#[must_use]
pub const fn begun(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "begun",
        Lang::Ja => "実行中",
    }
}

/// It is so.
#[must_use]
pub const fn done(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "done",
        Lang::Ja => "完了",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_there_in_both_languages() {
        let lines = |lang| {
            let mut lines = vec![cut_power(lang, "a"), would_run(lang, "a")];
            for act in [Act::Off, Act::On] {
                lines.extend([says(lang, "a", act), last(lang, act, "a", "b", "c")]);
            }
            let words = [configured(lang, true), configured(lang, false), begun(lang), done(lang)];
            lines.extend(words.map(str::to_owned));
            lines
        };
        for (en, ja) in lines(Lang::En).into_iter().zip(lines(Lang::Ja)) {
            assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
        }
    }
}
