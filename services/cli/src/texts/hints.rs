//! Lines that say what to do next, or that nothing had to be done.

use super::{states, words::Word};
use crate::lang::Lang;

/// How to see what became of an image that is not waited for.
#[must_use]
pub fn follow_image(lang: Lang, image: &str) -> String {
    match lang {
        Lang::En => format!("under way; see how far it is with: watari image show {image}"),
        Lang::Ja => format!("進行中です。経過は watari image show {image} で確認できます"),
    }
}

/// By what an image's servers boot from now on, and what becomes of those that cannot.
#[must_use]
pub fn boots_by(lang: Lang, image: &str, firmware: &str) -> String {
    let firmware = firmware.to_uppercase();
    match lang {
        Lang::En => format!(
            "servers made from {image} from now on boot by {firmware}; one whose disk cannot boot that way stays at the \
             firmware's screen (watari vm console-log NAME); those that are there stay as they are"
        ),
        Lang::Ja => format!(
            "今後 {image} から作成するサーバは {firmware} で起動します。この方式で起動できないディスクでは、ファームウェアの画面 \
             (Shell> など) で止まります (watari vm console-log 名前 で確認できます)。既存のサーバは変わりません"
        ),
    }
}

/// Servers are elsewhere though their site's outage was called off, and of so many the copy runs.
#[must_use]
pub fn still_away(lang: Lang, site: &str, copying: usize) -> String {
    let stay = match (lang, copying) {
        (Lang::En, 0) => "servers stay where they are".to_owned(),
        (Lang::En, _) => format!("those whose copy runs ({copying}) still arrive, all others stay where they are"),
        (Lang::Ja, 0) => "サーバは現在の場所に残ります".to_owned(),
        (Lang::Ja, _) => format!("複製中の {copying} 台は移動先に到着し、ほかのサーバは現在の場所に残ります"),
    };
    match lang {
        Lang::En => format!("{stay}; bring home who is away with: watari outage return {site}"),
        Lang::Ja => {
            format!("{stay}。離れているサーバを帰還させるには watari outage return {site} を実行してください")
        }
    }
}

/// There was nothing to resume.
#[must_use]
pub fn not_paused(lang: Lang, id: &str, state: &str) -> String {
    match lang {
        Lang::En => format!("{id} was not paused, so that there was nothing to resume: it is {state}"),
        Lang::Ja => format!("{id} は一時停止していなかったため、再開するものはありません (現在の状態: {state})"),
    }
}

/// There was nothing to call off.
#[must_use]
pub fn over_already(lang: Lang, id: &str, state: &str) -> String {
    match lang {
        Lang::En => format!("{id} was {state} already, so that there was nothing to call off"),
        Lang::Ja => format!("{id} はすでに「{state}」のため、取り消すものはありません"),
    }
}

/// There was nothing to revoke.
#[must_use]
pub fn no_such_rule(lang: Lang, group: &str, rule: &str) -> String {
    match lang {
        Lang::En => format!("group {group} has no rule \"{rule}\", so that nothing was changed; its rules are:"),
        Lang::Ja => format!("グループ {group} に規則「{rule}」はないため、何も変更していません。現在の規則:"),
    }
}

/// Whether to do what a file declares.
#[must_use]
pub fn apply(lang: Lang, create: usize, change: usize) -> String {
    match lang {
        Lang::En => match (create, change) {
            (_, 0) => format!("Servers to make: {create}. Go on?"),
            (0, _) => format!("Servers to change: {change}. Go on?"),
            _ => format!("Servers to make: {create}, to change: {change}. Go on?"),
        },
        Lang::Ja => match (create, change) {
            (_, 0) => format!("サーバを {create} 台作成しますか?"),
            (0, _) => format!("サーバを {change} 台変更しますか?"),
            _ => format!("サーバを {create} 台作成し、{change} 台変更しますか?"),
        },
    }
}

/// Why this of a server stays as it is.
#[must_use]
pub fn fixed(lang: Lang, field: &str) -> &'static str {
    match (lang, field) {
        (Lang::En, "disk") => "a disk never becomes smaller",
        (Lang::En, _) => "cannot be changed",
        (Lang::Ja, "disk") => "ディスクは縮小できません",
        (Lang::Ja, _) => "変更できません",
    }
}

/// What a file calls so, as other tables call it. Who reads English reads the file's own word.
#[must_use]
pub fn item(lang: Lang, field: &'static str) -> &'static str {
    if lang == Lang::En {
        return field;
    }
    let word = match field {
        "name" => Word::Name,
        "image" => Word::Image,
        "networks" => Word::Networks,
        "public_addresses" => Word::PublicAddresses,
        "site" => Word::HomeSite,
        "project" => Word::Project,
        "vcpus" => Word::Vcpus,
        "memory" => Word::Memory,
        "disk" => Word::Disk,
        "node_labels" => Word::Labels,
        "groups" => Word::Groups,
        "firewalls" => Word::Firewalls,
        "probes" => Word::Probes,
        "after" => Word::After,
        "evacuate" => Word::Evacuate,
        "priority" => Word::Priority,
        "restart" => Word::Restart,
        "on_isolation" => Word::OnIsolation,
        "restart_from_copy" => Word::RestartFromCopy,
        "max_downtime" => Word::MaxDowntime,
        "display" => Word::Display,
        "keys" => Word::Keys,
        "hostname" => Word::HostName,
        "state" => Word::State,
        "user_data" => return "user-data の SHA-256",
        "running" => return "稼働",
        _ => return field,
    };
    word.text(lang)
}

/// What it is, or is to be, in the words of other tables: what is one of few, and seconds.
#[must_use]
pub fn item_value(lang: Lang, field: &str, value: &str) -> String {
    match (lang, field) {
        (Lang::Ja, "running" | "display") if value == "true" => Word::Yes.text(lang).to_owned(),
        (Lang::Ja, "running" | "display") if value == "false" => Word::No.text(lang).to_owned(),
        (Lang::Ja, "evacuate" | "restart" | "on_isolation" | "state") => states::shown(lang, value),
        (Lang::Ja, "restart_from_copy" | "max_downtime") if value != "-" => format!("{value} 秒"),
        _ => value.to_owned(),
    }
}

/// A server has been made.
#[must_use]
pub fn made(lang: Lang, name: &str) -> String {
    match lang {
        Lang::En => format!("{name} is made"),
        Lang::Ja => format!("{name} を作成しました"),
    }
}

/// A server has been changed.
#[must_use]
pub fn changed(lang: Lang, name: &str) -> String {
    match lang {
        Lang::En => format!("{name} is changed"),
        Lang::Ja => format!("{name} を変更しました"),
    }
}

/// What to do about what no request changes.
#[must_use]
pub fn cannot_be_changed(lang: Lang) -> String {
    match lang {
        Lang::En => "only size (a disk only grows), public_addresses, evacuate, priority, restart, on_isolation, restart_from_copy, max_downtime, probes, after and running can be changed: write into the file what is there (watari vm export NAME); deleting such a server and applying again makes a new one, and ALL THAT IS ON ITS DISK IS LOST".to_owned(),
        Lang::Ja => "変更できるのは大きさ (ディスクは拡大のみ)、public_addresses、evacuate、priority、restart、on_isolation、restart_from_copy、max_downtime、probes、after、running だけです。現在の内容 (watari vm export NAME) に合わせてファイルを修正してください。サーバを削除して適用し直すと新しいサーバになり、ディスクの内容はすべて失われます".to_owned(),
    }
}

/// What is not in what was written down.
#[must_use]
pub fn without_user_data(lang: Lang, names: &str) -> String {
    match lang {
        Lang::En => format!("user-data is shown to nobody and is not in it: {names}"),
        Lang::Ja => format!("user-data は表示されないため、含まれていません: {names}"),
    }
}

/// Why a site that nobody empties is of no use.
#[must_use]
pub const fn no_node_ready(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "no node is ready",
        Lang::Ja => "使用可能なノードなし",
    }
}

/// The services are where they should go.
#[must_use]
pub fn leads_already(lang: Lang, site: &str) -> String {
    match lang {
        Lang::En => format!("the services lead from {site} already; nothing moves"),
        Lang::Ja => format!("サービスの主系はすでに {site} にあります。移動するものはありません"),
    }
}

/// The first line of `watari top`: nodes that are ready of all, and servers that run of all.
#[must_use]
pub fn top(lang: Lang, nodes: (usize, usize), vms: (usize, usize)) -> String {
    let ((ready, nodes), (running, vms)) = (nodes, vms);
    match lang {
        Lang::En => format!("watari top  nodes {ready}/{nodes}  servers {running}/{vms}"),
        Lang::Ja => format!("watari top  ノード {ready}/{nodes}  サーバ {running}/{vms}"),
    }
}

/// Its last line.
#[must_use]
pub fn top_keys(lang: Lang) -> String {
    match lang {
        Lang::En => "q leaves, arrows scroll".to_owned(),
        Lang::Ja => "q 終了  矢印キー スクロール".to_owned(),
    }
}

/// Somebody who was asked is silent.
#[must_use]
pub fn top_late(lang: Lang) -> String {
    match lang {
        Lang::En => "not everybody answers: some of this may be old".to_owned(),
        Lang::Ja => "応答しないサービスがあり、一部が古い可能性があります".to_owned(),
    }
}

/// What is left of a server that could not be started.
#[must_use]
pub fn stays_failed(lang: Lang, vm: &str) -> String {
    match lang {
        Lang::En => {
            format!(
                "server {vm} stays and keeps its addresses; it is tried again. If it is not wanted: watari vm delete {vm}"
            )
        }
        Lang::Ja => format!(
            "サーバ {vm} は登録されたまま、アドレスも確保しています。起動は再試行されます。不要なら watari vm delete {vm} で削除してください"
        ),
    }
}

/// The names that are nearly what was typed.
#[must_use]
pub fn did_you_mean(lang: Lang, names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match lang {
        Lang::En => format!("did you mean {}?", quoted.join(" or ")),
        Lang::Ja => format!("もしかして: {}", quoted.join("、")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hint_is_there_in_both_languages() {
        let hints = |lang| {
            [
                follow_image(lang, "a"),
                still_away(lang, "a", 0),
                still_away(lang, "a", 1),
                not_paused(lang, "a", "b"),
                over_already(lang, "a", "b"),
                no_such_rule(lang, "a", "b"),
                stays_failed(lang, "a"),
                did_you_mean(lang, &["a".to_owned(), "b".to_owned()]),
                top(lang, (1, 2), (3, 4)),
                top_keys(lang),
                top_late(lang),
                apply(lang, 1, 2),
                fixed(lang, "disk").to_owned(),
                no_node_ready(lang).to_owned(),
                leads_already(lang, "a"),
                made(lang, "a"),
                changed(lang, "a"),
                cannot_be_changed(lang),
                without_user_data(lang, "a"),
                boots_by(lang, "a", "uefi"),
            ]
        };
        for (en, ja) in hints(Lang::En).into_iter().zip(hints(Lang::Ja)) {
            assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
        }
    }

    #[test]
    fn what_a_server_is_declared_with_is_called_as_it_is_typed_in_english_and_by_its_word_in_japanese() {
        assert_eq!((item(Lang::En, "memory"), item(Lang::Ja, "memory")), ("memory", Word::Memory.text(Lang::Ja)));
        for (field, value, ja) in [
            ("running", "true", "はい"),
            ("max_downtime", "20", "20 秒"),
            ("max_downtime", "-", "-"),
            ("name", "a", "a"),
        ] {
            assert_eq!(item_value(Lang::En, field, value), value);
            assert_eq!(item_value(Lang::Ja, field, value), ja);
        }
    }
}
