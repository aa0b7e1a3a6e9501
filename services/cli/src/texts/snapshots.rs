//! Lines about moments of servers' disks.

use watari_model::vm::{Snapshot, Snapshots};

use crate::lang::Lang;

/// How far a snapshot is. One that is deleted is none any more, since its name is gone at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is asked for and not taken yet.
    Made,
    /// The disk can go back to it.
    Ready,
    /// The disk goes back to it just now.
    Reverted,
}

impl State {
    /// That of one of a server's snapshots.
    #[must_use]
    pub fn of(all: &Snapshots, snapshot: &Snapshot) -> Self {
        match snapshot.taken {
            None => Self::Made,
            Some(_) if all.reverting().is_some_and(|revert| revert.to == snapshot.name) => Self::Reverted,
            Some(_) => Self::Ready,
        }
    }

    /// The word for people.
    #[must_use]
    pub const fn text(self, lang: Lang) -> &'static str {
        match (lang, self) {
            (Lang::En, Self::Made) => "being made",
            (Lang::En, Self::Ready) => "ready",
            (Lang::En, Self::Reverted) => "being reverted to",
            (Lang::Ja, Self::Made) => "作成中",
            (Lang::Ja, Self::Ready) => "使用可能",
            (Lang::Ja, Self::Reverted) => "復元中",
        }
    }
}

/// The names of these, one after the other.
pub(super) fn names<'s>(lang: Lang, snapshots: impl Iterator<Item = &'s Snapshot>) -> Option<String> {
    let names: Vec<&str> = snapshots.map(|snapshot| snapshot.name.as_str()).collect();
    let between = match lang {
        Lang::En => ", ",
        Lang::Ja => "、",
    };
    (!names.is_empty()).then(|| names.join(between))
}

/// Whether to put a disk back to a snapshot, and what is lost by that: `later` names as well.
#[must_use]
pub fn revert<'s>(lang: Lang, vm: &str, snapshot: &str, later: impl Iterator<Item = &'s Snapshot>) -> String {
    match (lang, names(lang, later)) {
        (Lang::En, None) => {
            format!("Put the disk of server {vm} back to snapshot {snapshot}? All that was written since is lost.")
        }
        (Lang::En, Some(later)) => format!(
            "Put the disk of server {vm} back to snapshot {snapshot}? All that was written since is lost, and so are the later snapshots: {later}."
        ),
        (Lang::Ja, None) => format!(
            "サーバ {vm} のディスクをスナップショット {snapshot} に戻しますか? その後に書き込まれた内容はすべて失われます。"
        ),
        (Lang::Ja, Some(later)) => format!(
            "サーバ {vm} のディスクをスナップショット {snapshot} に戻しますか? その後に書き込まれた内容はすべて失われ、後のスナップショットも削除されます: {later}"
        ),
    }
}

/// Whether to forget a snapshot.
#[must_use]
pub fn delete(lang: Lang, vm: &str, snapshot: &str) -> String {
    match lang {
        Lang::En => format!("Forget snapshot {snapshot} of server {vm}? Its disk stays as it is."),
        Lang::Ja => format!("サーバ {vm} のスナップショット {snapshot} を削除しますか? ディスクの内容は変わりません。"),
    }
}

/// What is being done.
#[must_use]
pub fn taking(lang: Lang, snapshot: &str) -> String {
    match lang {
        Lang::En => format!("snapshot {snapshot} is being taken"),
        Lang::Ja => format!("スナップショット {snapshot} を作成しています"),
    }
}

/// The same.
#[must_use]
pub fn going_back(lang: Lang, snapshot: &str) -> String {
    match lang {
        Lang::En => format!("its disk is going back to snapshot {snapshot}"),
        Lang::Ja => format!("ディスクをスナップショット {snapshot} に戻しています"),
    }
}

#[cfg(test)]
mod tests {
    use watari_contracts::scheduler::VmView;

    use super::*;

    #[test]
    fn every_line_is_there_in_both_languages_and_names_what_is_lost() {
        let sample = include_str!("../../../../shared/contracts/tests/golden/reply.VmView.json");
        let view: VmView = serde_json::from_str::<Vec<_>>(sample).unwrap().swap_remove(0);
        let all = || view.snapshots.list.iter();
        let lines = |lang| {
            [
                revert(lang, "a", "b", all().take(0)),
                revert(lang, "a", "b", all()),
                delete(lang, "a", "b"),
                taking(lang, "a"),
                going_back(lang, "a"),
            ]
        };
        for (n, (en, ja)) in lines(Lang::En).into_iter().zip(lines(Lang::Ja)).enumerate() {
            assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
            let told = [&en, &ja].iter().all(|line| line.contains("before-upgrade") && line.contains("after-upgrade"));
            assert_eq!(told, n == 1, "{en} / {ja}");
        }
    }
}
