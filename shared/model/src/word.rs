//! Words that are written in English into documents and messages, and what people read for them in Japanese.

/// The states of servers, migrations, images, nodes and outages, as their state machines call them.
pub const STATES: &[(&str, &str)] = &[
    ("pending", "準備待ち"),
    ("starting", "起動中"),
    ("running", "稼働中"),
    ("migrating", "移行中"),
    ("stopping", "停止処理中"),
    ("stopped", "停止"),
    ("suspended", "休止"),
    ("deleting", "削除中"),
    ("deleted", "削除"),
    ("failed", "失敗"),
    ("queued", "順番待ち"),
    ("preparing", "準備中"),
    ("copying", "複製中"),
    ("settling", "確定中"),
    ("switching", "切替中"),
    ("completed", "完了"),
    ("aborting", "中断処理中"),
    ("cancelled", "取消"),
    ("importing", "取り込み中"),
    ("verifying", "検査中"),
    ("ready", "使用可能"),
    ("suspect", "応答遅延"),
    ("lost", "応答なし"),
    ("overloaded", "過負荷"),
    ("memory nearly full", "メモリ残りわずか"),
    ("disk nearly full", "ディスク残りわずか"),
    ("scheduled", "予定"),
    ("evacuating", "退避中"),
    ("evacuated", "退避済み"),
    ("returning", "帰還中"),
];

/// What cannot be done with a server, how its domain is, and what an order carries, in the words of services and agents.
const DOINGS: &[(&str, &str)] = &[
    ("start", "起動"),
    ("stop", "停止"),
    ("reboot", "再起動"),
    ("resize", "サイズの変更"),
    ("edit", "設定の変更"),
    ("suspend", "休止"),
    ("delete", "削除"),
    ("migrate", "移行"),
    ("preseed", "事前転送"),
    ("take a snapshot", "スナップショットの作成"),
    ("go back to a snapshot", "スナップショットへの復元"),
    ("be sent ahead", "事前転送"),
    ("go on", "処理の続行"),
    ("go on running", "稼働の継続"),
    ("be seen running", "稼働の確認"),
    ("show a console", "コンソールの表示"),
    ("open its console", "コンソールの使用"),
    ("show its screen", "画面の取得"),
    ("be saved as an image", "イメージとしての保存"),
    ("keep its disk", "ディスクの保管"),
    ("freeze its disk", "ディスクの固定"),
    ("grow", "稼働中の拡張"),
    ("merge layers of its disk", "ディスクの層の統合"),
    ("take another order", "別の指示の実行"),
    ("receive", "受け入れ"),
    ("send", "送信"),
    ("resume", "再開"),
    ("release", "解放"),
    ("discard", "複製の破棄"),
    ("remove", "削除"),
    ("paused", "一時停止"),
    ("off", "電源オフ"),
    ("not running", "稼働していない"),
    ("not paused", "一時停止していない"),
    ("without its disk", "ディスクがない"),
    ("one of too many whose consoles are open", "開いているコンソールが多すぎる"),
    ("still being copied", "複製中"),
    ("being copied for an image", "イメージ用の複製中"),
    ("of the old size all the same", "元の大きさのまま"),
    ("left in the middle", "処理の途中"),
    ("kept off without a lease", "ノードが孤立しているため停止中"),
    ("another's, with another UUID", "同じ名前で UUID の異なる別のサーバ"),
    ("epoch", "エポック"),
    ("generation", "世代"),
];

/// The Japanese of such a word; none of one that is not known here.
#[must_use]
pub fn japanese(word: &str) -> Option<&'static str> {
    STATES.iter().chain(DOINGS).find(|(en, _)| *en == word).map(|(_, ja)| *ja)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_word_stands_once() {
        let words: BTreeSet<&str> = STATES.iter().chain(DOINGS).map(|(en, _)| *en).collect();
        assert_eq!(words.len(), STATES.len() + DOINGS.len());
        assert_eq!((japanese("stopped"), japanese("asleep")), (Some("停止"), None));
    }
}
