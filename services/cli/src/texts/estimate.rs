//! Lines about how long an evacuation would take: how sure that is, and what it depends on.

use watari_contracts::scheduler::{Confidence, CriticalPath};

use crate::{format::time, lang::Lang, out::joined};

/// How much of an estimate is measured, and between which times the end would be.
#[must_use]
pub fn confidence(lang: Lang, known: &Confidence) -> String {
    let Confidence { measured, moves, least_ms, most_ms } = known;
    let span = least_ms.zip(*most_ms).map(|(least, most)| (time(lang, least), time(lang, most)));
    match (lang, span) {
        (Lang::En, Some((least, most))) => format!(
            "how sure: between {least} and {most} by the last migrations between sites; \
             what travels is measured for {measured} of {moves}"
        ),
        (Lang::En, None) => format!(
            "how sure: there were too few migrations between sites to say; \
             what travels is measured for {measured} of {moves}"
        ),
        (Lang::Ja, Some((least, most))) => format!(
            "見積りの確かさ: 直近のサイト間の移行の実績から {least} ～ {most}。転送量は {moves} 台中 {measured} 台が実測値"
        ),
        (Lang::Ja, None) => format!(
            "見積りの確かさ: サイト間の移行の実績が少なく、幅は不明。転送量は {moves} 台中 {measured} 台が実測値"
        ),
    }
}

/// How many of those that have to leave would.
#[must_use]
pub fn score(lang: Lang, percent: u64) -> String {
    match lang {
        Lang::En => format!("readiness: {percent} % of the servers that have to leave would"),
        Lang::Ja => format!("準備状況: 退避の対象のサーバの {percent} % が退避可能"),
    }
}

/// Which moves decide when it ends.
#[must_use]
pub fn critical(lang: Lang, path: &CriticalPath) -> String {
    let (named, count) = (joined(&path.vms), path.count);
    let is_whole = usize::try_from(count).is_ok_and(|count| count <= path.vms.len());
    match (lang, is_whole) {
        (Lang::En, true) => format!("the end depends on these, one after another (critical path): {named}"),
        (Lang::En, false) => {
            format!("the end depends on {count} moves, one after another (critical path), the last of them: {named}")
        }
        (Lang::Ja, true) => format!("終了時刻を決める移行 (クリティカルパス、順に実行): {named}"),
        (Lang::Ja, false) => {
            format!("終了時刻を決める移行 (クリティカルパス、順に実行) は {count} 件で、その最後は: {named}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_says_how_sure_it_is_and_what_it_depends_on_in_both_languages() {
        let known = Confidence { measured: 7, moves: 9, least_ms: Some(60_000), most_ms: Some(180_000) };
        let unknown = Confidence { least_ms: None, most_ms: None, ..known };
        let path = CriticalPath { vms: vec!["db".parse().unwrap(), "web".parse().unwrap()], count: 2 };
        let long = CriticalPath { count: 40, ..path.clone() };
        let lines = |lang| {
            let [sure, unsure] = [&known, &unknown].map(|known| confidence(lang, known));
            [sure, unsure, critical(lang, &path), critical(lang, &long), score(lang, 66)]
        };
        for (en, ja) in lines(Lang::En).into_iter().zip(lines(Lang::Ja)) {
            assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
        }
        let [sure, unsure, whole, part, ready] = lines(Lang::En);
        assert!(sure.contains("between") && sure.ends_with("7 of 9"), "{sure}");
        assert!(ready.contains("66 %"), "{ready}");
        assert!(unsure.contains("too few"), "{unsure}");
        assert!(whole.contains("db") && whole.contains("web") && part.contains("40 moves"), "{whole} / {part}");
    }
}
