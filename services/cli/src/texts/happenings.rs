//! What happened, in Japanese: the monitor's lines are English, as they are kept, and are taken apart here by their
//! forms. A line of a newer monitor, which has no form here, is shown as it comes.

use watari_model::word::STATES;

use crate::lang::Lang;

/// The forms of lines and of what stands in brackets behind them: `{}` is a place in the English one, and `{0}`, `{1}`
/// and so on the same in the Japanese one. The first that fits counts.
const FORMS: &[(&str, &str)] = &[
    ("created", "作成"),
    ("updated", "更新"),
    ("changed", "変更"),
    ("created, {}", "作成、{0}"),
    ("created with {} rules", "規則 {0} 件で作成"),
    ("created with {} rule", "規則 {0} 件で作成"),
    ("added", "登録"),
    ("{}, home {}", "{0}、本来の場所 {1}"),
    // Servers.
    ("granted to nobody", "許可なし"),
    ("granted to {}", "許可を {0} に付与"),
    ("generation {}", "世代 {0}"),
    ("wanted running", "稼働の指示"),
    ("wanted stopped", "停止の指示"),
    ("wanted gone", "削除の指示"),
    ("resized to {}", "サイズを {0} に変更"),
    ("to be {} from its next start on", "次回の起動から {0}"),
    ("to stay as large as it is", "サイズ変更の取消"),
    ("reboot asked for", "再起動の指示"),
    ("rebooted", "再起動"),
    ("console asked for", "コンソールを開く指示"),
    ("console asked for by force", "コンソールの引き継ぎの指示"),
    ("console asked for again", "コンソールを開き直す指示"),
    ("old copy on {} removed", "{0} の古い複製を削除"),
    ("snapshot {} asked for", "スナップショット {0} の作成の指示"),
    ("snapshot {} taken", "スナップショット {0} の作成の完了"),
    ("snapshot {} deleted", "スナップショット {0} の削除"),
    ("did not go back to snapshot {}", "スナップショット {0} への復元の失敗"),
    ("to go back to snapshot {}", "スナップショット {0} への復元の指示"),
    ("went back to snapshot {}", "スナップショット {0} への復元の完了"),
    ("fault cleared", "障害の解消"),
    ("fault: {}", "障害: {0}"),
    ("cancellation asked for", "取消の指示"),
    ("{}, {} ms, standstill {} ms", "{0}、所要 {1} ミリ秒、停止 {2} ミリ秒"),
    ("no time to leave, to be suspended", "退避の時間がなく、休止の予定"),
    ("no time to leave, to be shut down", "退避の時間がなく、停止の予定"),
    ("free to run again", "再び稼働可能"),
    ("restored from a backup", "バックアップから復元"),
    ("requests, spec", "設定"),
    ("note", "メモ"),
    ("project", "プロジェクト"),
    ("project, requests", "プロジェクト"),
    ("project, requests, spec", "プロジェクト、設定"),
    ("bounds changed", "上限の変更"),
    ("servers {}, vCPU {}, memory {}, disk {}", "サーバ数 {0}、仮想 CPU {1}、メモリ {2}、ディスク {3}"),
    // As it was told before, which histories still have.
    ("{} servers, {} vCPU, {} MiB, {} GiB", "サーバ {0} 台、仮想 CPU {1}、{2} MiB、{3} GiB"),
    ("spec", "設定"),
    ("requests", "リクエストの記録"),
    ("control", "主系の移動"),
    ("site", "サイト"),
    // Outages.
    ("services going over to {}", "主系の {0} への交代の開始"),
    ("services led from {}", "主系の {0} への交代の完了"),
    ("services not led from {}", "主系の {0} への交代の失敗"),
    ("leaves {} for {}", "{0} から {1} への移動の開始"),
    ("arrived at {}", "{0} に到着"),
    ("did not get to {}", "{0} へ移動できず"),
    ("{} not moved", "移動できず {0} 台"),
    ("resumed", "再開"),
    ("paused", "一時停止"),
    ("moved to another time", "日時の変更"),
    ("asked for by {}", "提案元は {0}"),
    ("every server that runs could leave", "稼働中の全サーバが退避可能"),
    ("could not leave now: {}", "現時点で退避できないサーバ: {0}"),
    ("{} servers could not leave now", "現時点で退避できないサーバ {0} 台"),
    ("{} could not leave", "退避できない見込み {0} 台"),
    ("could leave with a warning: {}", "退避できるが注意が必要なサーバ: {0}"),
    ("{} servers could leave with a warning", "退避できるが注意が必要なサーバ {0} 台"),
    ("no warnings any more", "注意が必要なサーバなし"),
    ("{} have no time to leave", "退避の時間がないサーバ {0} 台"),
    ("its nodes are to be shut down", "ノードの停止の指示"),
    ("its nodes are not to be shut down", "ノードの停止の取消"),
    ("node {} going off", "ノード {0} の停止処理の開始"),
    ("node {} off", "ノード {0} の停止"),
    ("node {} not shut down", "ノード {0} を停止できず"),
    ("node {} starting", "ノード {0} の起動待ち"),
    ("node {} back", "ノード {0} の復帰"),
    ("node {} missing", "ノード {0} が復帰せず"),
    // Images, addresses and firewall groups.
    ("copied to {}", "{0} に複製"),
    ("{} is used by {}, as node {} found", "{0} を {1} が使用 (ノード {2} で判明)"),
    ("{} may be given out again", "{0} を再び割り当て可能"),
    ("{} given to {}", "{0} を {1} に割り当て"),
    ("{} given back by {}", "{1} が {0} を返却"),
    ("{} allocated", "{0} を確保"),
    ("{} released", "{0} を解放"),
    ("{} leads to {}", "{0} を {1} に関連付け"),
    ("{} leads nowhere", "{0} の関連付けを解除"),
    ("allows {}; allows no more {}", "許可 {0}、許可の取消 {1}"),
    ("allows no more {}", "許可の取消 {0}"),
    ("allows {}", "許可 {0}"),
    // Nodes and sites.
    ("joined site {}, {}", "サイト {0} に参加、{1}"),
    ("cordoned", "受入停止"),
    ("uncordoned", "受入再開"),
    ("given up by {}", "{0} が登録の解除を指示"),
    ("said to be off by {}", "{0} が停止を確認"),
    ("no longer said to be off", "停止確認の終了"),
    ("moved from site {} to {}", "サイト {0} から {1} へ移動"),
    ("inventory changed", "構成の変化"),
    ("new figures of {} servers", "サーバ {0} 台の計測値の更新"),
    ("new figures of {}", "{0} の計測値の更新"),
    ("{} MiB/s of memory, {} MiB of disk", "メモリの書き換え 毎秒 {0} MiB、ディスク {1} MiB"),
    ("{} MiB of disk", "ディスク {0} MiB"),
    ("relieved, no longer {}", "{0}の解消"),
    ("overloaded, {}", "過負荷、{0}"),
    ("memory nearly full, {}", "メモリ残りわずか、{0}"),
    ("{}, {} is overloaded", "{0}、{1} は過負荷"),
    ("power off begun by {}", "{0} が電源断を開始"),
    ("power on begun by {}", "{0} が電源投入を開始"),
    ("power off done", "電源断の完了"),
    ("power on done", "電源投入の完了"),
    ("power off not done", "電源断の失敗"),
    ("power on not done", "電源投入の失敗"),
    ("{} left behind, to be cleared when the node is back", "{0} が残存、ノードの復旧時に整理"),
    ("cleared of {}", "{0} を整理"),
    ("{} s left", "残り {0} 秒"),
    ("renamed {}", "名称変更 {0}"),
    ("on mains", "商用電源"),
    ("on battery", "バッテリー"),
    ("{} site {}", "{0}: サイト {1}"),
    ("{} node {}", "{0}: ノード {1}"),
    // As events are told while they are followed.
    ("held by {}", "主系 {0}"),
    ("{} {} -> {} of {}", "{0} {1} → {2} (サーバ {3})"),
    ("of {}", "サーバ {0}"),
    ("on {}", "{0}"),
    ("{} on {} to {}", "{0} ({1} → {2})"),
    ("{} on {}", "{0} ({1})"),
];

/// A line of the monitor's, `mail: running → migrating (m1 → y1)`, in the person's language.
#[must_use]
pub fn told(lang: Lang, line: &str) -> String {
    match (lang, line.split_once(": ")) {
        (Lang::Ja, Some((key, what))) => format!("{key}: {}", japanese(what)),
        _ => line.to_owned(),
    }
}

/// Fields of documents that change without more being told of them.
const FIELDS: &[(&str, &str)] = &[
    ("crossing", "移行"),
    ("dark", "ノードの停止"),
    ("desired", "望む状態"),
    ("fault", "障害"),
    ("grant", "許可"),
    ("handovers", "主系の移動"),
    ("layers", "ディスクの層"),
    ("leftovers", "古い複製"),
    ("note", "メモ"),
    ("pending", "次回の起動からのサイズ"),
    ("preseed", "事前転送"),
    ("project", "プロジェクト"),
    ("quota", "割り当て"),
    ("reboots", "再起動"),
    ("requests", "リクエストの記録"),
    ("snapshots", "スナップショット"),
    ("spec", "設定"),
];

fn field(name: &str) -> &str {
    FIELDS.iter().find(|(en, _)| *en == name).map_or(name, |(_, ja)| *ja)
}

fn japanese(what: &str) -> String {
    // Fields stand at the end of what is told of while it is followed.
    if let Some((head, fields)) = what.strip_suffix(']').and_then(|text| text.split_once(" [")) {
        let told: Vec<&str> = fields.split(", ").map(field).collect();
        return format!("{} [{}]", japanese(head), told.join("、"));
    }
    if let Some(said) = FORMS.iter().find_map(|(en, ja)| said(en, ja, what)) {
        return said;
    }
    // What stands in brackets at the end has a form of its own.
    match what.strip_suffix(')').and_then(|text| text.split_once(" (")) {
        Some((head, note)) => format!("{} ({})", japanese(head), japanese(note)),
        None => words(what),
    }
}

fn said(en: &str, ja: &str, what: &str) -> Option<String> {
    let values = values(en, what)?;
    let put = |text: String, (n, value): (usize, &&str)| text.replace(&format!("{{{n}}}"), &words(value));
    Some(values.iter().enumerate().fold(ja.to_owned(), put))
}

/// What stands at the places of a form, if the text has that form.
fn values<'t>(form: &str, text: &'t str) -> Option<Vec<&'t str>> {
    let (first, places) = form.split_once("{}").map_or((form, None), |(first, rest)| (first, Some(rest)));
    let mut rest = text.strip_prefix(first)?;
    let Some(places) = places else { return rest.is_empty().then(Vec::new) };
    let mut values = Vec::new();
    for piece in places.split("{}") {
        let (value, after) = if piece.is_empty() { (rest, "") } else { rest.split_once(piece)? };
        values.push(value);
        rest = after;
    }
    // A place holds something, and brackets are taken off before; but codes of reasons may stand in them.
    let sound = |value: &&str| !value.is_empty() && (!value.contains(" (") || form.contains(": {}"));
    (rest.is_empty() && values.iter().all(sound)).then_some(values)
}

/// States, and from which to which.
fn words(text: &str) -> String {
    text.split(" → ").map(state).collect::<Vec<_>>().join(" → ")
}

fn state(word: &str) -> &str {
    STATES.iter().find(|(en, _)| *en == word).map_or(word, |(_, ja)| *ja)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_monitor_are_told_in_japanese_and_unknown_ones_as_they_are() {
        for (line, ja) in [
            ("it: running → migrating (m1 → y1)", "it: 稼働中 → 移行中 (m1 → y1)"),
            ("it: migrating → running (on m1)", "it: 移行中 → 稼働中 (m1)"),
            ("it: pending → failed (placement.no-room)", "it: 準備待ち → 失敗 (placement.no-room)"),
            ("it: granted to y1 (generation 4)", "it: 許可を y1 に付与 (世代 4)"),
            ("it: wanted stopped", "it: 停止の指示"),
            ("it: fault: placement.no-room", "it: 障害: placement.no-room"),
            ("it: updated (migrations)", "it: 更新 (migrations)"),
            ("it: updated (requests, spec)", "it: 更新 (設定)"),
            (
                "mail: created, migrating (1 vCPU, 192 MiB, 2 GiB, home myodaiji)",
                "mail: 作成、移行中 (1 vCPU, 192 MiB, 2 GiB、本来の場所 myodaiji)",
            ),
            (
                "it: switching → completed (m1 → y1, 2310 ms, standstill 171 ms)",
                "it: 切替中 → 完了 (m1 → y1、所要 2310 ミリ秒、停止 171 ミリ秒)",
            ),
            ("it: evacuating → evacuated (1 not moved)", "it: 退避中 → 退避済み (移動できず 1 台)"),
            ("it: scheduled site myodaiji", "it: 予定: サイト myodaiji"),
            (
                "it: could not leave now: old (outage.policy-stays)",
                "it: 現時点で退避できないサーバ: old (outage.policy-stays)",
            ),
            (
                "it: could leave with a warning: mail (outage.too-busy)",
                "it: 退避できるが注意が必要なサーバ: mail (outage.too-busy)",
            ),
            ("it: 7 servers could leave with a warning", "it: 退避できるが注意が必要なサーバ 7 台"),
            ("it: no warnings any more", "it: 注意が必要なサーバなし"),
            ("it: services led from yamate", "it: 主系の yamate への交代の完了"),
            ("it: asked for by alert/c4/1, alert/d5/2", "it: 提案元は alert/c4/1, alert/d5/2"),
            ("it: leaves m1 for y1", "it: m1 から y1 への移動の開始"),
            ("it: did not get to y1 (migration.failed)", "it: y1 へ移動できず (migration.failed)"),
            ("it: node m1 off", "it: ノード m1 の停止"),
            ("it: node m1, m2 starting", "it: ノード m1, m2 の起動待ち"),
            (
                "it: node m2 not shut down (node.shut-down-missing)",
                "it: ノード m2 を停止できず (node.shut-down-missing)",
            ),
            ("it: allows in tcp 25-26; allows no more in tcp 25", "it: 許可 in tcp 25-26、許可の取消 in tcp 25"),
            ("it: 203.0.113.100 given back by mail", "it: mail が 203.0.113.100 を返却"),
            (
                "it: 203.0.113.107 is used by 02:00:00:00:00:07, as node m1 found",
                "it: 203.0.113.107 を 02:00:00:00:00:07 が使用 (ノード m1 で判明)",
            ),
            (
                "it: 203.0.113.107, 203.0.113.108 may be given out again",
                "it: 203.0.113.107, 203.0.113.108 を再び割り当て可能",
            ),
            ("mail: migrating on m1 to y1", "mail: 移行中 (m1 → y1)"),
            ("mail: running → migrating on m1 → y1", "mail: 稼働中 → 移行中 (m1 → y1)"),
            ("it: power off not done (fencing.failed)", "it: 電源断の失敗 (fencing.failed)"),
            ("it: no time to leave, to be suspended (myodaiji-1)", "it: 退避の時間がなく、休止の予定 (myodaiji-1)"),
            ("it: snapshot before-upgrade asked for", "it: スナップショット before-upgrade の作成の指示"),
            ("it: snapshot before-upgrade taken", "it: スナップショット before-upgrade の作成の完了"),
            ("it: snapshot before-upgrade deleted", "it: スナップショット before-upgrade の削除"),
            ("it: to go back to snapshot one", "it: スナップショット one への復元の指示"),
            ("it: went back to snapshot one", "it: スナップショット one への復元の完了"),
            (
                "it: did not go back to snapshot one (snapshot.layer-missing)",
                "it: スナップショット one への復元の失敗 (snapshot.layer-missing)",
            ),
            ("it: running on m1 [snapshots]", "it: 稼働中 (m1) [スナップショット]"),
            ("it: stopped on m1 [later, pending]", "it: 停止 (m1) [later、次回の起動からのサイズ]"),
            ("it: deleted", "it: 削除"),
            ("it: joined site yamate, ready", "it: サイト yamate に参加、使用可能"),
            ("it: moved from site a to b", "it: サイト a から b へ移動"),
            (
                "m1: new figures of mail (3 MiB/s of memory, 7 MiB of disk)",
                "m1: mail の計測値の更新 (メモリの書き換え 毎秒 3 MiB、ディスク 7 MiB)",
            ),
            ("m1: new figures of 12 servers", "m1: サーバ 12 台の計測値の更新"),
            ("it: overloaded", "it: 過負荷"),
            ("it: overloaded, disk nearly full", "it: 過負荷、ディスク残りわずか"),
            ("it: relieved, no longer overloaded", "it: 過負荷の解消"),
            ("it: queued (m1 → m2, m1 is overloaded)", "it: 順番待ち (m1 → m2、m1 は過負荷)"),
            ("it: on battery (600 s left)", "it: バッテリー (残り 600 秒)"),
            (
                "research: created (20 servers, - vCPU, 65536 MiB, - GiB)",
                "research: 作成 (サーバ 20 台、仮想 CPU -、65536 MiB、- GiB)",
            ),
            (
                "research: created (servers 20, vCPU -, memory 65536 MiB, disk -)",
                "research: 作成 (サーバ数 20、仮想 CPU -、メモリ 65536 MiB、ディスク -)",
            ),
            ("it: created with 1 rule", "it: 規則 1 件で作成"),
            ("research: updated (note)", "research: 更新 (メモ)"),
            ("it: updated (project, requests, spec)", "it: 更新 (プロジェクト、設定)"),
            ("it: flew away", "it: flew away"),
        ] {
            assert_eq!(told(Lang::Ja, line), ja);
            assert_eq!(told(Lang::En, line), line);
        }
    }

    #[test]
    fn every_form_says_in_japanese_what_it_says_in_english() {
        for (en, ja) in FORMS {
            let places = en.matches("{}").count();
            assert!((0..places).all(|n| ja.contains(&format!("{{{n}}}"))), "{en}");
            assert_eq!(ja.matches('{').count(), places, "{en}");
        }
    }
}
