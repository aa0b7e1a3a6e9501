//! What the report of an outage says: on a terminal and on paper.

use watari_contracts::probe::{Trouble, Unasked};

use crate::lang::Lang;

/// Its words and sentences without places to fill.
pub(crate) struct Words {
    pub(crate) language: &'static str,
    pub(crate) title: &'static str,
    pub(crate) outage: &'static str,
    pub(crate) scope: &'static str,
    pub(crate) state: &'static str,
    pub(crate) note: &'static str,
    pub(crate) power_off: &'static str,
    pub(crate) made: &'static str,
    pub(crate) legs: &'static str,
    pub(crate) leg: &'static str,
    pub(crate) began: &'static str,
    pub(crate) ended: &'static str,
    pub(crate) moved: &'static str,
    pub(crate) data: &'static str,
    pub(crate) makespan: &'static str,
    pub(crate) least: &'static str,
    pub(crate) until_last: &'static str,
    pub(crate) servers: &'static str,
    pub(crate) server: &'static str,
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    pub(crate) result: &'static str,
    pub(crate) total: &'static str,
    pub(crate) stood: &'static str,
    pub(crate) downtime: &'static str,
    pub(crate) pause: &'static str,
    pub(crate) memory: &'static str,
    pub(crate) disk: &'static str,
    pub(crate) seen: &'static str,
    pub(crate) probe: &'static str,
    pub(crate) front_end: &'static str,
    pub(crate) asked: &'static str,
    pub(crate) failed: &'static str,
    pub(crate) longest_gap: &'static str,
    pub(crate) slowest: &'static str,
    pub(crate) unwatched: &'static str,
    pub(crate) trouble: &'static str,
    pub(crate) gaps: &'static str,
    pub(crate) stayed: &'static str,
    pub(crate) why: &'static str,
    pub(crate) remedy: &'static str,
    pub(crate) halted: &'static str,
    pub(crate) users: &'static str,
    pub(crate) timeline: &'static str,
    pub(crate) time: &'static str,
    pub(crate) by: &'static str,
    pub(crate) what: &'static str,
    pub(crate) chart: &'static str,
    pub(crate) waiting: &'static str,
    pub(crate) copying: &'static str,
    pub(crate) standing: &'static str,
    pub(crate) given_up: &'static str,
    pub(crate) silent: &'static str,
    pub(crate) goes_on: &'static str,
    pub(crate) not_begun: &'static str,
    pub(crate) never: &'static str,
    pub(crate) nobody_watched: &'static str,
    pub(crate) method: &'static str,
    pub(crate) requested: &'static str,
    pub(crate) apart: &'static str,
}

const EN: Words = Words {
    language: "en",
    title: "Report of an outage",
    outage: "Outage",
    scope: "About",
    state: "State",
    note: "Reason",
    power_off: "Power off",
    made: "Report written",
    legs: "The two ways",
    leg: "WAY",
    began: "BEGAN",
    ended: "ENDED",
    moved: "SERVERS",
    data: "DATA",
    makespan: "TOOK",
    least: "LEAST",
    until_last: "TOOK is until the last server ran at its target; a way ends when that is confirmed and the services have gone over, or when it is turned round or called off.",
    servers: "What each server did",
    server: "SERVER",
    from: "FROM",
    to: "TO",
    result: "RESULT",
    total: "TOTAL",
    stood: "STOOD STILL",
    downtime: "OF WHICH QEMU",
    pause: "OF WHICH SWITCHING",
    memory: "MEMORY",
    disk: "DISK",
    seen: "As front ends saw it from outside",
    probe: "PROBE",
    front_end: "FRONT END",
    asked: "ASKED",
    failed: "UNANSWERED",
    longest_gap: "LONGEST GAP",
    slowest: "SLOWEST ANSWER",
    unwatched: "NOT WATCHED",
    trouble: "LAST TROUBLE",
    gaps: "Gaps, and times in which nobody asked",
    stayed: "What stayed, and why",
    why: "WHY",
    remedy: "REMEDY",
    halted: "No time to leave, off until the outage was over",
    users: "What users noticed",
    timeline: "What happened when",
    time: "TIME",
    by: "WHO",
    what: "WHAT",
    chart: "Who travelled when",
    waiting: "waiting and being prepared",
    copying: "copying, the server runs",
    standing: "standing still",
    given_up: "given up",
    silent: "did not answer a front end",
    goes_on: "goes on",
    not_begun: "It has not begun.",
    never: "never answered",
    nobody_watched: "Nobody watched: no server has a probe (watari vm edit NAME --probe smtp:25), or no front end answers.",
    method: "A gap lasts from the last answer before it to the first one after it. It is seen when a question of a front end stays \
             unanswered, once a second if nothing else is configured; a shorter one only makes an answer slow.",
    requested: "stopped by request",
    apart: "While a server is off because an operator stopped or rebooted it, nothing counts as a gap or as unanswered.",
};

const JA: Words = Words {
    language: "ja",
    title: "停電対応の報告書",
    outage: "停電計画",
    scope: "対象",
    state: "状態",
    note: "理由",
    power_off: "停電の時間",
    made: "報告の作成日時",
    legs: "退避と帰還",
    leg: "区間",
    began: "開始",
    ended: "終了",
    moved: "サーバ数",
    data: "転送量",
    makespan: "所要時間",
    least: "理論下限",
    until_last: "所要時間は、最後のサーバが移動先で動き出すまでです。区間の終了は、その確認と主系の交代が済んだ時刻か、方向を変えた、または取り消した時刻です。",
    servers: "サーバごとの移動",
    server: "サーバ",
    from: "移動元",
    to: "移動先",
    result: "結果",
    total: "所要",
    stood: "停止の合計",
    downtime: "うち QEMU",
    pause: "うち切替待ち",
    memory: "メモリ",
    disk: "ディスク",
    seen: "フロントエンドから見た応答",
    probe: "プローブ",
    front_end: "フロントエンド",
    asked: "確認回数",
    failed: "応答なし",
    longest_gap: "最長の途切れ",
    slowest: "最も遅い応答",
    unwatched: "監視なし",
    trouble: "最後の異常",
    gaps: "途切れた時間と、監視していなかった時間",
    stayed: "移動しなかったサーバとその理由",
    why: "理由",
    remedy: "対処",
    halted: "退避が間に合わず、停電の終了まで休止または停止したサーバ",
    users: "利用者が気づいたこと",
    timeline: "経過",
    time: "時刻",
    by: "実行者",
    what: "出来事",
    chart: "移動の時間帯",
    waiting: "順番待ちと準備",
    copying: "複製中 (サーバは稼働)",
    standing: "停止",
    given_up: "中止",
    silent: "フロントエンドへの応答なし",
    goes_on: "継続中",
    not_begun: "まだ始まっていません。",
    never: "応答は一度もなし",
    nobody_watched: "監視の記録はありません。プローブを設定したサーバがない (watari vm edit NAME --probe smtp:25) か、どのフロントエンドも応答しません。",
    method: "途切れとは、直前の応答から次の応答までの時間です。フロントエンドからの確認 (既定では 1 秒ごと) に応答がなかったときに\
             記録されます。それより短いものは、応答の遅れとして現れます。",
    requested: "指示による停止",
    apart: "操作者の指示による停止や再起動の間は、途切れにも応答なしにも数えません。",
};

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
