//! What goes with a server when it is deleted, and what stays of it.

use std::net::Ipv4Addr;

use watari_contracts::scheduler::VmView;
use watari_model::vm::State;

use super::{addresses, snapshots, states};
use crate::{lang::Lang, out::joined};

/// What goes, or would, with what becomes of the public addresses that lead to it, and whether it is to.
#[must_use]
pub fn question(lang: Lang, vm: &VmView, keeps_disk: bool, public: &[Ipv4Addr]) -> String {
    let (head, ask) = match lang {
        Lang::En => (format!("With server {} goes:", vm.name), "Delete it?".to_owned()),
        Lang::Ja => (format!("サーバ {} とともに失われるもの:", vm.name), "削除しますか?".to_owned()),
    };
    let lines = goes(lang, vm, keeps_disk).into_iter().map(|line| format!("  {line}"));
    let stays = keeps_disk.then(|| stays(lang, vm));
    let held = (!public.is_empty()).then(|| addresses::stay(lang, &joined(public)));
    [head].into_iter().chain(lines).chain(stays).chain(held).chain([ask]).collect::<Vec<_>>().join("\n")
}

fn goes(lang: Lang, vm: &VmView, keeps_disk: bool) -> Vec<String> {
    let mut lines = Vec::new();
    if !keeps_disk {
        let node = vm.node.as_ref().map(|node| format!(" ({node})")).unwrap_or_default();
        lines.push(match lang {
            Lang::En => format!("its disk of {} GiB{node}, with all data on it", vm.disk_gib),
            Lang::Ja => format!("ディスク {} GiB{node} とその中のすべてのデータ", vm.disk_gib),
        });
    }
    if let Some(done) = vm.preseed.as_ref().and_then(|preseed| preseed.done.as_ref()) {
        lines.push(match lang {
            Lang::En => format!("the copy of its disk that was sent ahead to {}", done.node),
            Lang::Ja => format!("{} に事前転送したディスクの複製", done.node),
        });
    }
    if !vm.addresses.is_empty() {
        lines.push(match lang {
            Lang::En => format!("its addresses, which others may get: {}", joined(&vm.addresses)),
            Lang::Ja => format!("アドレス (ほかのサーバに割り当てられることがあります): {}", joined(&vm.addresses)),
        });
    }
    if let Some(data) = &vm.user_data {
        lines.push(match lang {
            Lang::En => format!("its user-data ({} bytes)", data.bytes),
            Lang::Ja => format!("user-data ({} バイト)", data.bytes),
        });
    }
    if let Some(all) = snapshots::names(lang, vm.snapshots.list.iter()) {
        lines.push(match lang {
            Lang::En => format!("its snapshots: {all}"),
            Lang::Ja => format!("スナップショット: {all}"),
        });
    }
    lines.push(match lang {
        Lang::En => "the server itself, with what is said of it here".to_owned(),
        Lang::Ja => "サーバそのものと、その設定".to_owned(),
    });
    lines
}

/// A server that runs is shut down first; what was saved of a suspended one's memory goes.
fn stays(lang: Lang, vm: &VmView) -> String {
    let size = vm.disk_gib;
    match (lang, vm.state) {
        (Lang::En, State::Suspended) => format!(
            "Its disk of {size} GiB stays, as after a power cut; start the server and stop it first to have it written out."
        ),
        (Lang::Ja, State::Suspended) => format!(
            "ディスク {size} GiB は、電源断の直後と同じ状態で残ります。書き込みを終えさせるには、先にサーバを起動してから停止してください。"
        ),
        (Lang::En, state) if is_on(state) => {
            format!("{} Its disk of {size} GiB stays.", shut_down_first(lang, vm))
        }
        (Lang::Ja, state) if is_on(state) => format!("{}ディスク {size} GiB は残ります。", shut_down_first(lang, vm)),
        (Lang::En, _) => format!("Its disk of {size} GiB stays."),
        (Lang::Ja, _) => format!("ディスク {size} GiB は残ります。"),
    }
}

const fn is_on(state: State) -> bool {
    matches!(state, State::Starting | State::Running | State::Migrating | State::Stopping)
}

/// That it is not off yet, and what becomes of that.
fn shut_down_first(lang: Lang, vm: &VmView) -> String {
    let (name, state) = (&vm.name, states::shown(lang, vm.state.word()));
    match lang {
        // It was asked to shut down already, by this or before.
        Lang::En if vm.state == State::Stopping => format!(
            "Server {name} is {state}: it is deleted once it has shut down, so that its disk is written out; if its guest does not heed that: watari vm stop {name} --force."
        ),
        Lang::Ja if vm.state == State::Stopping => format!(
            "サーバ {name} の状態は「{state}」です。ディスクへの書き込みを終えさせるため、シャットダウンの完了を待って削除します。応じない場合は watari vm stop {name} --force で強制停止できます。"
        ),
        Lang::En => format!(
            "Server {name} is {state}: it is shut down first, so that its disk is written out; if its guest does not heed that: watari vm stop {name} --force."
        ),
        Lang::Ja => format!(
            "サーバ {name} の状態は「{state}」です。ディスクへの書き込みを終えさせるため、先にシャットダウンします。応じない場合は watari vm stop {name} --force で強制停止できます。"
        ),
    }
}

/// What whoever was not asked should know of a deletion: its snapshots, which nobody gets back, and that it takes longer.
#[must_use]
pub fn unasked(lang: Lang, vm: &VmView, keeps_disk: bool) -> Vec<String> {
    let first = (keeps_disk && is_on(vm.state)).then(|| shut_down_first(lang, vm));
    let lost = snapshots::names(lang, vm.snapshots.list.iter()).map(|all| match lang {
        Lang::En => format!("With server {} go its snapshots: {all}", vm.name),
        Lang::Ja => format!("サーバ {} とともに失われるスナップショット: {all}", vm.name),
    });
    first.into_iter().chain(lost).collect()
}

/// How a disk that was kept is used again. It is there once its server is off.
#[must_use]
pub fn kept(lang: Lang, disk: &str, state: State) -> String {
    let when = match lang {
        Lang::En if is_on(state) => "once the server is off, ",
        Lang::Ja if is_on(state) => "サーバの停止が終わると、",
        Lang::En | Lang::Ja => "",
    };
    match lang {
        Lang::En => format!(
            "{when}its disk stays as {disk}; a server begins with it by: watari vm create NAME --from-disk {disk}"
        ),
        Lang::Ja => {
            format!("{when}ディスクは {disk} として残ります。使うには: watari vm create 名前 --from-disk {disk}")
        }
    }
}

/// That a server begins where its disk is, which is not where it belongs.
#[must_use]
pub fn begins_at_its_disk(lang: Lang, vm: &VmView, node: &str, site: &str) -> String {
    let (name, home) = (&vm.name, &vm.home_site);
    match lang {
        Lang::En => format!(
            "server {name} begins on node {node} at {site}, where its disk is; once it runs it moves to {home}, where it belongs, by: watari site return {home}"
        ),
        Lang::Ja => format!(
            "サーバ {name} は、ディスクのある {site} のノード {node} で起動します。起動後に本来の場所 {home} へ移すには: watari site return {home}"
        ),
    }
}

/// Whether to delete a kept disk.
#[must_use]
pub fn delete_disk(lang: Lang, name: &str) -> String {
    match lang {
        Lang::En => format!("Delete kept disk {name} with all data on it?"),
        Lang::Ja => format!("残したディスク {name} を、その中のすべてのデータとともに削除しますか?"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: &str = include_str!("../../../../shared/contracts/tests/golden/reply.VmView.json");

    #[test]
    fn who_keeps_the_disk_of_a_server_that_is_not_off_learns_how_it_is_written_out() {
        let vm: VmView = serde_json::from_str::<Vec<_>>(SAMPLES).unwrap().swap_remove(0);
        for (state, told) in [
            (State::Stopped, [" stays.", "残ります"]),
            (State::Running, ["is running: it is shut down first", "先にシャットダウン"]),
            (State::Stopping, ["once it has shut down", "シャットダウンの完了を待って"]),
            (State::Migrating, ["watari vm stop mail --force", "watari vm stop mail --force"]),
            (State::Suspended, ["; start the server and stop it", "起動してから停止"]),
        ] {
            let vm = VmView { state, ..vm.clone() };
            for (lang, told) in [Lang::En, Lang::Ja].into_iter().zip(told) {
                assert!(question(lang, &vm, true, &[]).contains(told), "{state:?}");
            }
        }
    }

    #[test]
    fn who_was_not_asked_learns_which_snapshots_go_and_that_it_is_shut_down_first() {
        let mut vm: VmView = serde_json::from_str::<Vec<_>>(SAMPLES).unwrap().swap_remove(0);
        for lang in [Lang::En, Lang::Ja] {
            vm.state = State::Stopping;
            let told = unasked(lang, &vm, true);
            assert!(told.len() == 2 && told[1].contains("before-upgrade"), "{told:?}");
            assert_eq!(unasked(lang, &vm, false).len(), 1);
            vm.state = State::Stopped;
            assert_eq!(unasked(lang, &vm, true).len(), 1);
        }
    }

    #[test]
    fn a_kept_disk_is_not_there_before_its_server_is_off() {
        for (lang, told) in [(Lang::En, "once the server is off"), (Lang::Ja, "停止が終わると")] {
            assert!(kept(lang, "mail-7b1d4c2e", State::Stopping).contains(told));
            assert!(!kept(lang, "mail-7b1d4c2e", State::Deleting).contains(told));
        }
    }

    #[test]
    fn what_goes_is_said_and_a_kept_disk_is_not_among_it() {
        let samples: Vec<VmView> = serde_json::from_str(SAMPLES).unwrap();
        for vm in samples {
            for lang in [Lang::En, Lang::Ja] {
                let public = [Ipv4Addr::new(203, 0, 113, 200)];
                let (all, less) = (question(lang, &vm, false, &[]), question(lang, &vm, true, &public));
                assert!(less.contains("203.0.113.200") && !all.contains("203.0.113.200"), "{all}\n{less}");
                let disk = format!("{} GiB", vm.disk_gib);
                assert!(all.contains(vm.name.as_str()) && all.contains(&disk) && less.contains(&disk), "{all}\n{less}");
                assert!(vm.addresses.iter().all(|address| less.contains(&address.to_string())), "{less}");
                assert!(all.contains(if lang == Lang::En { "with all data" } else { "すべてのデータ" }), "{all}");
                assert!(!less.contains(if lang == Lang::En { "with all data" } else { "すべてのデータ" }), "{less}");
            }
        }
    }

    #[test]
    fn a_kept_disk_and_where_it_is_are_told_of_in_both_languages() {
        let vm: VmView = serde_json::from_str::<Vec<_>>(SAMPLES).unwrap().swap_remove(0);
        let lines = |lang| [begins_at_its_disk(lang, &vm, "y1", "yamate"), delete_disk(lang, "mail-7b1d4c2e")];
        for (en, ja) in lines(Lang::En).into_iter().zip(lines(Lang::Ja)) {
            assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
        }
    }
}
