//! What the report of an outage says: on a terminal and on paper.

use watari_contracts::probe::{Trouble, Unasked};

use crate::lang::Lang;

macro_rules! words {
    ($($word:ident $en:literal $ja:literal;)*) => {
        /// Its words and sentences without places to fill.
        pub(crate) struct Words {
            $(pub(crate) $word: &'static str),*
        }

        const EN: Words = Words { $($word: $en),* };
        const JA: Words = Words { $($word: $ja),* };

        #[cfg(test)]
        const ALL: &[(&str, &str)] = &[$(($en, $ja)),*];
    };
}

words! {
    language "en" "ja";
    title "Report of an outage" "停電対応の報告書";
    outage "Outage" "停電計画";
    scope "About" "対象";
    state "State" "状態";
    note "Reason" "理由";
    power_off "Power off" "停電の時間";
    made "Report written" "報告の作成日時";
    legs "The two ways" "退避と帰還";
    leg "WAY" "区間";
    began "BEGAN" "開始";
    ended "ENDED" "終了";
    moved "SERVERS" "サーバ数";
    data "DATA" "転送量";
    makespan "TOOK" "所要時間";
    least "LEAST" "理論下限";
    until_last
        "TOOK is until the last server ran at its target; a way ends when that is confirmed and the services have gone over, or when it is turned round or called off."
        "所要時間は、最後のサーバが移動先で動き出すまでです。区間の終了は、その確認と主系の交代が済んだ時刻か、方向を変えた、または取り消した時刻です。";
    servers "What each server did" "サーバごとの移動";
    server "SERVER" "サーバ";
    from "FROM" "移動元";
    to "TO" "移動先";
    result "RESULT" "結果";
    total "TOTAL" "所要";
    stood "STOOD STILL" "停止の合計";
    downtime "OF WHICH QEMU" "うち QEMU";
    pause "OF WHICH SWITCHING" "うち切替待ち";
    memory "MEMORY" "メモリ";
    disk "DISK" "ディスク";
    seen "As front ends saw it from outside" "フロントエンドから見た応答";
    probe "PROBE" "プローブ";
    front_end "FRONT END" "フロントエンド";
    asked "ASKED" "確認回数";
    failed "UNANSWERED" "応答なし";
    longest_gap "LONGEST GAP" "最長の途切れ";
    slowest "SLOWEST ANSWER" "最も遅い応答";
    unwatched "NOT WATCHED" "監視なし";
    trouble "LAST TROUBLE" "最後の異常";
    gaps "Gaps, and times in which nobody asked" "途切れた時間と、監視していなかった時間";
    stayed "What stayed, and why" "移動しなかったサーバとその理由";
    why "WHY" "理由";
    remedy "REMEDY" "対処";
    halted "No time to leave, off until the outage was over" "退避が間に合わず、停電の終了まで休止または停止したサーバ";
    users "What users noticed" "利用者が気づいたこと";
    timeline "What happened when" "経過";
    time "TIME" "時刻";
    by "WHO" "実行者";
    what "WHAT" "出来事";
    chart "Who travelled when" "移動の時間帯";
    waiting "waiting and being prepared" "順番待ちと準備";
    copying "copying, the server runs" "複製中 (サーバは稼働)";
    standing "standing still" "停止";
    given_up "given up" "中止";
    silent "did not answer a front end" "フロントエンドへの応答なし";
    goes_on "goes on" "継続中";
    not_begun "It has not begun." "まだ始まっていません。";
    never "never answered" "応答は一度もなし";
    nobody_watched
        "Nobody watched: no server has a probe (watari vm edit NAME --probe smtp:25), or no front end answers."
        "監視の記録はありません。プローブを設定したサーバがない (watari vm edit NAME --probe smtp:25) か、どのフロントエンドも応答しません。";
    method
        "A gap lasts from the last answer before it to the first one after it. It is seen when a question of a front end stays \
             unanswered, once a second if nothing else is configured; a shorter one only makes an answer slow."
        "途切れとは、直前の応答から次の応答までの時間です。フロントエンドからの確認 (既定では 1 秒ごと) に応答がなかったときに\
             記録されます。それより短いものは、応答の遅れとして現れます。";
    requested "stopped by request" "指示による停止";
    apart
        "While a server is off because an operator stopped or rebooted it, nothing counts as a gap or as unanswered."
        "操作者の指示による停止や再起動の間は、途切れにも応答なしにも数えません。";
}

/// The words in a language.
#[must_use]
pub(crate) const fn words(lang: Lang) -> &'static Words {
    match lang {
        Lang::En => &EN,
        Lang::Ja => &JA,
    }
}

/// For which speed of the link the least times hold.
#[must_use]
pub(crate) fn least(lang: Lang, mbit: u64) -> String {
    match lang {
        Lang::En => format!("LEAST is how long the data alone takes at {mbit} Mbit/s."),
        Lang::Ja => format!("理論下限は、{mbit} Mbit/s の回線でデータ量だけにかかる時間です。"),
    }
}

/// What the three times are for which a server stands still.
#[must_use]
pub(crate) const fn standstill(lang: Lang) -> &'static str {
    match lang {
        Lang::En => {
            "STOOD STILL is how long a server ran nowhere: first while QEMU copied the last of its memory, and then while \
             it was switched over, until both nodes had said how it stood and the target was allowed to run it."
        }
        Lang::Ja => {
            "停止の合計は、サーバがどのノードでも動いていなかった時間です。QEMU が最後のメモリを複製する間の停止と、\
             両ノードの状態を確認して移動先での実行を許可するまでの切替待ちからなります。"
        }
    }
}

/// When the control plane went where, and how long it took; or that it still goes.
#[must_use]
pub(crate) fn handed_over(lang: Lang, at: &str, to: &str, took: Option<&str>) -> String {
    match (lang, took) {
        (Lang::En, Some(took)) => format!("{at}: the services went over to {to} in {took}"),
        (Lang::En, None) => format!("{at}: the services go over to {to}"),
        (Lang::Ja, Some(took)) => format!("{at}: サービスの主系が {to} に交代しました (所要 {took})"),
        (Lang::Ja, None) => format!("{at}: サービスの主系を {to} に移しています"),
    }
}

/// A front end, and where it stands.
#[must_use]
pub(crate) fn front_end(lang: Lang, name: &str, site: Option<&str>) -> String {
    match (lang, site) {
        (_, None) => name.to_owned(),
        (Lang::En, Some(site)) => format!("{name} ({site})"),
        (Lang::Ja, Some(site)) => format!("{name} (サイト {site})"),
    }
}

/// How much a front end has to say.
#[must_use]
pub(crate) fn watched(lang: Lang, who: &str, watched: usize, left_out: u64, fault: Option<&str>) -> String {
    match (lang, fault, left_out) {
        (Lang::En, Some(fault), _) => format!("{who}: cannot say what it saw: {fault}"),
        (Lang::Ja, Some(fault), _) => format!("{who}: 記録を読み取れません: {fault}"),
        (Lang::En, None, 0) => format!("{who}: {watched} probes"),
        (Lang::Ja, None, 0) => format!("{who}: プローブ {watched} 件"),
        (Lang::En, None, more) => format!("{who}: {watched} probes, and {more} more that are not shown"),
        (Lang::Ja, None, more) => format!("{who}: プローブ {watched} 件 (ほかに {more} 件は省略)"),
    }
}

/// Why a question was not answered.
#[must_use]
pub(crate) const fn trouble(lang: Lang, trouble: Trouble) -> &'static str {
    match (lang, trouble) {
        (Lang::En, trouble) => trouble.word(),
        (Lang::Ja, Trouble::Silent) => "無応答",
        (Lang::Ja, Trouble::Refused) => "接続拒否",
        (Lang::Ja, Trouble::Unreachable) => "到達不能",
        (Lang::Ja, Trouble::Closed) => "切断",
        (Lang::Ja, Trouble::Wrong) => "不正な応答",
    }
}

/// Why a server was not asked, or not any more.
#[must_use]
pub(crate) const fn unasked(lang: Lang, why: Unasked) -> &'static str {
    match (lang, why) {
        (Lang::En, Unasked::NoWay) => "not asked: on overlay networks alone, without a public address",
        (Lang::En, Unasked::NotAllowed) => "not asked: net.ipv4.ping_group_range forbids echo requests",
        (Lang::Ja, Unasked::NoWay) => "確認なし: オーバーレイネットワークだけに接続し、公開アドレスがない",
        (Lang::Ja, Unasked::NotAllowed) => "確認なし: net.ipv4.ping_group_range によりエコー要求を送れない",
    }
}

/// A time in which a server did not answer one front end.
#[must_use]
pub(crate) fn gap(lang: Lang, what: &str, from: &str, until: &str, lasted: &str) -> String {
    match lang {
        Lang::En => format!("{what}: no answer from {from} to {until} ({lasted})"),
        Lang::Ja => format!("{what}: {from} から {until} まで応答なし ({lasted})"),
    }
}

/// How long something lasted whose end nobody saw.
#[must_use]
pub(crate) fn at_least(lang: Lang, lasted: &str) -> String {
    match lang {
        Lang::En => format!("at least {lasted}"),
        Lang::Ja => format!("{lasted}以上"),
    }
}

/// The same while it was off, or rebooted, because somebody asked for that: from when, until when, and for how long.
#[must_use]
pub(crate) fn by_request(
    lang: Lang,
    what: &str,
    reboots: bool,
    by: Option<&str>,
    (from, until, lasted): (&str, &str, &str),
) -> String {
    let (word, who) = match (lang, reboots) {
        (Lang::En, false) => ("stopped by request", by.map(|by| format!(" of {by}"))),
        (Lang::En, true) => ("rebooted by request", by.map(|by| format!(" of {by}"))),
        (Lang::Ja, false) => ("指示による停止", by.map(|by| format!(" {by} の"))),
        (Lang::Ja, true) => ("指示による再起動", by.map(|by| format!(" {by} の"))),
    };
    let who = who.unwrap_or_default();
    match lang {
        Lang::En => format!("{what}: {word}{who}, silent from {from} to {until} ({lasted})"),
        Lang::Ja => format!("{what}: {from} から {until} まで{who}{word} ({lasted})"),
    }
}

/// A time in which one front end did not ask.
#[must_use]
pub(crate) fn unwatched(lang: Lang, what: &str, from: &str, until: &str) -> String {
    match lang {
        Lang::En => format!("{what}: not watched from {from} to {until}"),
        Lang::Ja => format!("{what}: {from} から {until} まで監視なし"),
    }
}

/// What became of users' mails.
#[must_use]
pub(crate) fn mails(lang: Lang, sent: u64, received: u64, lost: u64, retried: u64) -> String {
    match lang {
        Lang::En => format!("Mails: {sent} sent, {received} received, {lost} lost, {retried} tried again"),
        Lang::Ja => format!("メール: 送信 {sent} 通、受信 {received} 通、紛失 {lost} 通、再試行 {retried} 回"),
    }
}

/// What became of users' pages.
#[must_use]
pub(crate) fn pages(lang: Lang, requests: u64, failed: u64, longest: &str) -> String {
    match lang {
        Lang::En => format!("Pages: {requests} asked for, {failed} failed, longest gap {longest}"),
        Lang::Ja => format!("ページ: 要求 {requests} 回、失敗 {failed} 回、最長の途切れ {longest}"),
    }
}

/// What became of the connection that was held open.
#[must_use]
pub(crate) fn connection(lang: Lang, survived: bool, longest: &str) -> String {
    match (lang, survived) {
        (Lang::En, true) => format!("Open connection: survived, longest gap {longest}"),
        (Lang::En, false) => format!("Open connection: BROKEN, longest gap {longest}"),
        (Lang::Ja, true) => format!("開いたままの接続: 維持、最長の途切れ {longest}"),
        (Lang::Ja, false) => format!("開いたままの接続: 切断、最長の途切れ {longest}"),
    }
}

/// That the page is written.
#[must_use]
pub(crate) fn written(lang: Lang, file: &str) -> String {
    match lang {
        Lang::En => format!("written to {file}"),
        Lang::Ja => format!("{file} に書き出しました"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_there_in_both_languages() {
        assert_eq!((words(Lang::En).language, words(Lang::Ja).language), ("en", "ja"));
        for (en, ja) in ALL.iter().filter(|words| **words != ("en", "ja")) {
            assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
        }
    }

    #[test]
    fn every_line_is_there_in_both_languages() {
        let lines = |lang| {
            let troubles = [Trouble::Silent, Trouble::Refused, Trouble::Unreachable, Trouble::Closed, Trouble::Wrong];
            let mut lines = troubles.map(|one| trouble(lang, one).to_owned()).to_vec();
            lines.extend([Unasked::NoWay, Unasked::NotAllowed].map(|why| unasked(lang, why).to_owned()));
            lines.extend([standstill(lang).to_owned(), least(lang, 1), at_least(lang, "a"), written(lang, "a")]);
            lines.extend([handed_over(lang, "a", "b", Some("c")), handed_over(lang, "a", "b", None)]);
            lines.extend([watched(lang, "a", 1, 0, Some("b")), watched(lang, "a", 1, 0, None)]);
            lines.extend([watched(lang, "a", 1, 2, None), gap(lang, "a", "b", "c", "d")]);
            let times = ("b", "c", "d");
            lines.extend([false, true].map(|reboots| by_request(lang, "a", reboots, Some("e"), times)));
            lines.extend([by_request(lang, "a", false, None, times), unwatched(lang, "a", "b", "c")]);
            lines.extend([mails(lang, 1, 2, 3, 4), pages(lang, 1, 2, "a")]);
            lines.extend([true, false].map(|survived| connection(lang, survived, "a")));
            lines.push(front_end(lang, "a", Some("b")));
            lines
        };
        for (en, ja) in lines(Lang::En).into_iter().zip(lines(Lang::Ja)) {
            assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
        }
        assert_eq!(front_end(Lang::Ja, "a", None), "a");
    }
}
