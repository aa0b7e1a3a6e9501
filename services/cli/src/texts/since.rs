//! Lines about servers that have done otherwise since their outage was evacuated.

use watari_contracts::scheduler::Phase;
use watari_model::outage::Scope;

use crate::lang::Lang;

/// Above the table of those that run where it goes dark.
#[must_use]
pub const fn still_there(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "STILL RUNNING where it goes dark:",
        Lang::Ja => "警告: 退避済みの場所で稼働しているサーバ:",
    }
}

/// Why one runs there that had left, or was off.
#[must_use]
pub const fn later(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "it was started there, or came back, after the evacuation",
        Lang::Ja => "退避の完了後に、そこで起動したか、戻ってきました",
    }
}

/// What to do about them.
#[must_use]
pub fn leave(lang: Lang, scope: &Scope) -> String {
    let again = match scope {
        Scope::Site(site) => format!("watari site evacuate {site} --wait"),
        Scope::Node(node) => format!("watari node drain {node} --wait"),
    };
    match lang {
        Lang::En => format!("Have them leave: {again}; or stop them before the power goes: watari vm stop NAME --wait"),
        Lang::Ja => {
            format!(
                "移動させるには {again}、電源が切れる前に停止するには watari vm stop 名前 --wait を実行してください"
            )
        }
    }
}

/// How many of them there are.
#[must_use]
pub fn count(lang: Lang, servers: usize) -> String {
    match lang {
        Lang::En => format!("{servers} STILL RUNNING there"),
        Lang::Ja => format!("{servers} 台が稼働中"),
    }
}

/// Where servers are that the report has elsewhere.
#[must_use]
pub fn moved(lang: Lang, servers: &str) -> String {
    match lang {
        Lang::En => format!("Elsewhere since then: {servers}"),
        Lang::Ja => format!("その後に移ったサーバ: {servers}"),
    }
}

/// What an outage is in beside its state.
#[must_use]
pub const fn phase(lang: Lang, phase: Phase) -> &'static str {
    match (lang, phase) {
        (Lang::En, Phase::Preparing) => "preparing",
        (Lang::En, Phase::Dark) => "dark",
        (Lang::En, Phase::Failed) => "not all moved",
        (Lang::Ja, Phase::Preparing) => "準備中",
        (Lang::Ja, Phase::Dark) => "電源断",
        (Lang::Ja, Phase::Failed) => "移れなかったサーバあり",
    }
}

/// That one of them is no longer there at all.
#[must_use]
pub const fn gone(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "deleted",
        Lang::Ja => "削除済み",
    }
}

/// Of when a report is that is not written on.
#[must_use]
pub fn record(lang: Lang, at: &str) -> String {
    match lang {
        Lang::En => format!("as it was when it ended, {at}; where servers are now: watari vm list"),
        Lang::Ja => format!("{at} に完了した時点の記録です。現在の場所は watari vm list で確認できます"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_there_in_both_languages() {
        let lines = |lang| {
            let (site, node) = (Scope::Site("a".parse().unwrap()), Scope::Node("b".parse().unwrap()));
            let [preparing, dark, failed] = [Phase::Preparing, Phase::Dark, Phase::Failed].map(|one| phase(lang, one));
            let whole = [still_there(lang), later(lang), gone(lang), preparing, dark, failed].map(str::to_owned);
            let filled = [leave(lang, &site), leave(lang, &node), count(lang, 1), moved(lang, "a"), record(lang, "a")];
            whole.into_iter().chain(filled).collect::<Vec<_>>()
        };
        for (en, ja) in lines(Lang::En).into_iter().zip(lines(Lang::Ja)) {
            assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
        }
    }
}
