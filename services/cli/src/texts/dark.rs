//! Lines about nodes that are shut down with their site, and come back.

use crate::lang::Lang;

/// How far a node is.
#[must_use]
pub fn state(lang: Lang, word: &str) -> String {
    let ja = match word {
        "waiting" => "順番待ち",
        "going off" => "停止処理中",
        "off" => "停止",
        "not shut down" => "停止できず",
        "starting" => "起動待ち",
        "back" => "復帰済み",
        "missing" => "復帰せず",
        newer => newer,
    };
    if lang == Lang::Ja { ja } else { word }.to_owned()
}

/// Above the nodes of a site.
#[must_use]
pub const fn title(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "Nodes, shut down once they are empty and awaited at the return:",
        Lang::Ja => "空になると停止し、帰還時に復帰を待つノード:",
    }
}

/// Since when it is so.
#[must_use]
pub fn since(lang: Lang, state: &str, at: &str) -> String {
    match lang {
        Lang::En => format!("{state} since {at}"),
        Lang::Ja => format!("{state} ({at} から)"),
    }
}

/// A node's turn, and by what it would be shut down and switched on.
#[must_use]
pub fn turn(lang: Lang, turn: usize, node: &str, off: &str, on: &str) -> String {
    match lang {
        Lang::En => format!("{turn}. {node}: off: {off}; on: {on}"),
        Lang::Ja => format!("{turn}. {node}: 停止: {off}、起動: {on}"),
    }
}

/// By its own agent.
#[must_use]
pub fn by_agent(lang: Lang, command: &str) -> String {
    match lang {
        Lang::En => format!("its agent runs `{command}`"),
        Lang::Ja => format!("エージェントが `{command}` を実行"),
    }
}

/// By its power controller.
#[must_use]
pub fn by_monitor(lang: Lang, command: &str) -> String {
    match lang {
        Lang::En => format!("the monitor runs `{command}`"),
        Lang::Ja => format!("モニタが `{command}` を実行"),
    }
}

/// By nobody but a person.
#[must_use]
pub const fn by_hand(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "by hand",
        Lang::Ja => "手動",
    }
}

/// Whether it is to be done.
#[must_use]
pub fn wished(lang: Lang, id: &str, wished: bool) -> String {
    match (lang, wished) {
        (Lang::En, true) => {
            format!("to be shut down in this order; see how far they are with: watari outage show {id}")
        }
        (Lang::En, false) => format!("not to be shut down; that is asked for with: watari outage shut-down {id}"),
        (Lang::Ja, true) => format!("この順に停止します。経過は watari outage show {id} で確認できます"),
        (Lang::Ja, false) => format!("停止しません。停止させるには watari outage shut-down {id} を実行します"),
    }
}

/// Nodes stay off though their site's outage was called off.
#[must_use]
pub fn still_off(lang: Lang, nodes: &str) -> String {
    match lang {
        Lang::En => {
            format!("nodes that were shut down stay off: {nodes}; switch them on with: watari node power NODE --on")
        }
        Lang::Ja => format!(
            "停止したノードは停止したままです: {nodes}。起動するには watari node power ノード --on を実行してください"
        ),
    }
}

/// There is none.
#[must_use]
pub const fn nobody(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "the site has no nodes",
        Lang::Ja => "サイトにノードがありません",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_there_in_both_languages() {
        let lines = |lang| {
            let mut lines: Vec<String> =
                ["waiting", "going off", "off", "not shut down", "starting", "back", "missing"]
                    .map(|word| state(lang, word))
                    .to_vec();
            lines.extend([title(lang), by_hand(lang), nobody(lang)].map(str::to_owned));
            lines.push(still_off(lang, "a"));
            lines.extend([wished(lang, "a", true), wished(lang, "a", false), since(lang, "a", "b")]);
            lines.extend([turn(lang, 1, "a", "b", "c"), by_agent(lang, "a"), by_monitor(lang, "a")]);
            lines
        };
        for (en, ja) in lines(Lang::En).into_iter().zip(lines(Lang::Ja)) {
            assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
        }
    }
}
