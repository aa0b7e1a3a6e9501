//! What goes with a server when it is deleted, and what stays of it.

use watari_contracts::scheduler::VmView;
use watari_model::vm::State;

use super::snapshots;
use crate::{lang::Lang, out::joined};

/// What goes, or would, and whether it is to.
#[must_use]
pub fn question(lang: Lang, vm: &VmView, keeps_disk: bool) -> String {
    let (head, ask) = match lang {
        Lang::En => (format!("With server {} goes:", vm.name), "Delete it?".to_owned()),
        Lang::Ja => (format!("サーバ {} とともに失われるもの:", vm.name), "削除しますか?".to_owned()),
    };
    let lines = goes(lang, vm, keeps_disk).into_iter().map(|line| format!("  {line}"));
    let stays = keeps_disk.then(|| stays(lang, vm));
    [head].into_iter().chain(lines).chain(stays).chain([ask]).collect::<Vec<_>>().join("\n")
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
            Lang::Ja => format!("{} に先送りしたディスクの複製", done.node),
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
            Lang::Ja => format!("ユーザデータ ({} バイト)", data.bytes),
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

/// A server that is not off is not asked to shut down first, and what was saved of a suspended one's memory goes.
fn stays(lang: Lang, vm: &VmView) -> String {
    let size = vm.disk_gib;
    let is_off = matches!(vm.state, State::Stopped | State::Pending | State::Failed);
    match (lang, is_off, vm.state == State::Suspended) {
        (Lang::En, true, _) => format!("Its disk of {size} GiB stays."),
        (Lang::En, false, false) => {
            format!("Its disk of {size} GiB stays, as after a power cut; stop the server first to have it written out.")
        }
        (Lang::En, false, true) => format!(
            "Its disk of {size} GiB stays, as after a power cut; start the server and stop it first to have it written out."
        ),
        (Lang::Ja, true, _) => format!("ディスク {size} GiB は残ります。"),
        (Lang::Ja, false, false) => format!(
            "ディスク {size} GiB は、電源断の直後と同じ状態で残ります。書き込みを終えさせるには、先にサーバを停止してください。"
        ),
        (Lang::Ja, false, true) => format!(
            "ディスク {size} GiB は、電源断の直後と同じ状態で残ります。書き込みを終えさせるには、先にサーバを起動してから停止してください。"
        ),
    }
}

/// Whether to delete a server of which nothing was seen, but for its disk.
#[must_use]
pub fn but_for_its_disk(lang: Lang, name: &str) -> String {
    match lang {
        Lang::En => format!("Delete server {name} with its addresses, and keep its disk?"),
        Lang::Ja => format!("サーバ {name} をアドレスごと削除し、ディスクは残しますか?"),
    }
}

/// How a disk that was kept is used again.
#[must_use]
pub fn kept(lang: Lang, disk: &str) -> String {
    match lang {
        Lang::En => {
            format!("its disk stays as {disk}; a server begins with it by: watari vm create NAME --from-disk {disk}")
        }
        Lang::Ja => {
            format!("ディスクは {disk} として残ります。使うには: watari vm create 名前 --from-disk {disk}")
        }
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
    fn who_keeps_the_disk_of_a_server_that_is_not_off_learns_how_to_have_it_written_out() {
        let vm: VmView = serde_json::from_str::<Vec<_>>(SAMPLES).unwrap().swap_remove(0);
        for (state, told) in [
            (State::Stopped, [" stays.", "残ります"]),
            (State::Migrating, ["; stop the server", "先にサーバを停止"]),
            (State::Suspended, ["; start the server and stop it", "起動してから停止"]),
        ] {
            let vm = VmView { state, ..vm.clone() };
            for (lang, told) in [Lang::En, Lang::Ja].into_iter().zip(told) {
                assert!(question(lang, &vm, true).contains(told), "{state:?}");
            }
        }
    }

    #[test]
    fn what_goes_is_said_and_a_kept_disk_is_not_among_it() {
        let samples: Vec<VmView> = serde_json::from_str(SAMPLES).unwrap();
        for vm in samples {
            for lang in [Lang::En, Lang::Ja] {
                let (all, less) = (question(lang, &vm, false), question(lang, &vm, true));
                let disk = format!("{} GiB", vm.disk_gib);
                assert!(all.contains(vm.name.as_str()) && all.contains(&disk) && less.contains(&disk), "{all}\n{less}");
                assert!(vm.addresses.iter().all(|address| less.contains(&address.to_string())), "{less}");
                assert!(all.contains(if lang == Lang::En { "with all data" } else { "すべてのデータ" }), "{all}");
                assert!(!less.contains(if lang == Lang::En { "with all data" } else { "すべてのデータ" }), "{less}");
            }
        }
    }
}
