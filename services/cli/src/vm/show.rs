//! What a server looks like.

use watari_contracts::scheduler::{Fault, VmView};
use watari_model::{NodeName, node, vm};

use crate::{
    format,
    lang::Lang,
    out::{Column, Row, Tone, joined, or_dash},
    texts::{
        ahead, growth, snapshots, states, weight,
        words::{self, Word},
    },
};

/// What it does when its node is cut off, and whether its node has said that it does.
fn on_isolation(view: &VmView, lang: Lang) -> String {
    let policy = states::shown(lang, view.on_isolation.word());
    let runs = matches!(view.state, vm::State::Running | vm::State::Migrating);
    if view.on_isolation.is_usual() || !runs {
        return policy;
    }
    let known = if view.guarded { Word::Guarded } else { Word::NotGuarded };
    format!("{policy} ({})", known.text(lang))
}

/// Whether it is started from a copy if its node is lost, and what the copy that there is lacks.
fn from_copy(view: &VmView, lang: Lang) -> String {
    match view.restart_from_copy_seconds {
        Some(most) => ahead::from_copy(lang, most.get(), view.copy_loss_seconds),
        None => states::shown(lang, vm::Restart::Never.word()),
    }
}

/// How long it may stand still for a move, if longer than the moment that every move takes.
fn max_downtime(view: &VmView, lang: Lang) -> String {
    let Some(seconds) = view.max_downtime_seconds else { return Word::NoLongPause.text(lang).to_owned() };
    let time = format::lasting(u64::from(seconds.get()).saturating_mul(1_000));
    match lang {
        Lang::En => time.en,
        Lang::Ja => time.ja,
    }
}

/// What of it would travel.
fn moving(weight: &node::Weight, lang: Lang) -> String {
    let written = weight.dirty_bytes_per_second.map(format::bytes);
    weight::told(lang, &format::bytes(weight.disk_bytes), written.as_deref())
}

/// When that was so last, and what it lost.
fn restored(vm: &str, restored: &vm::Restored, lang: Lang) -> String {
    let (at, from) = (format::moment(restored.at), restored.from.as_str());
    match restored.stack {
        Some(_) if restored.discarded => ahead::goes_back(lang, &at, from),
        Some(_) => ahead::not_up(lang, &at, vm, from),
        None => ahead::restored(lang, &at, from, restored.lost_seconds),
    }
}

impl Row for VmView {
    fn columns() -> Vec<Column> {
        use Column::{Number, Text};
        vec![
            Text(Word::Name),
            Text(Word::State),
            Text(Word::Site),
            Text(Word::Node),
            Text(Word::HomeSite),
            Text(Word::Addresses),
            Number(Word::Vcpus),
            Number(Word::Memory),
            Number(Word::Disk),
            Text(Word::Image),
        ]
    }

    fn cells(&self, lang: Lang) -> Vec<String> {
        vec![
            self.name.to_string(),
            state(self, lang),
            or_dash(self.site.as_ref()),
            or_dash(self.node.as_ref()),
            self.home_site.to_string(),
            joined(&self.addresses),
            self.vcpus.to_string(),
            format::memory(self.memory_mib),
            format!("{} GiB", self.disk_gib),
            self.image.to_string(),
        ]
    }

    fn wide_columns() -> Vec<Column> {
        use Column::{Number, Text};
        vec![
            Text(Word::Project),
            Text(Word::Networks),
            Text(Word::Firewalls),
            Text(Word::Groups),
            Text(Word::Evacuate),
            Number(Word::Priority),
            Text(Word::Restart),
            Text(Word::StateSince),
        ]
    }

    fn wide_cells(&self, lang: Lang) -> Vec<String> {
        vec![
            self.project.to_string(),
            joined(&self.networks),
            joined(&self.firewalls),
            joined(self.groups.iter().map(|group| membership(group, lang))),
            states::shown(lang, evacuate(self.evacuate)),
            self.priority.to_string(),
            states::shown(lang, self.restart.word()),
            format::moment(self.changed_at),
        ]
    }

    fn details(&self, lang: Lang) -> Vec<(Word, String)> {
        let desired = match self.desired {
            vm::Desired::Running => "running",
            vm::Desired::Stopped => "stopped",
            vm::Desired::Deleted => "deleted",
        };
        let mut details = vec![
            (Word::Name, self.name.to_string()),
            (Word::State, with_its_disk(self, lang)),
            (Word::Project, self.project.to_string()),
            (Word::Boots, states::shown(lang, desired)),
            (Word::Site, or_dash(self.site.as_ref())),
            (Word::Node, or_dash(self.node.as_ref())),
            (Word::Reachable, or_dash(self.node.as_ref().map(|_| yes_or_no(self.reachable).text(lang)))),
            (Word::HomeSite, self.home_site.to_string()),
            (Word::Addresses, joined(&self.addresses)),
            (Word::Networks, joined(&self.networks)),
            (Word::Vcpus, self.vcpus.to_string()),
            (Word::Memory, format::memory(self.memory_mib)),
            (Word::Disk, format!("{} GiB", self.disk_gib)),
            (Word::Pending, or_dash(self.pending.map(|then| pending(self, then, lang)))),
            (Word::Image, self.image.to_string()),
            (Word::Firmware, self.firmware.word().to_owned()),
            (Word::Display, yes_or_no(self.display).text(lang).to_owned()),
            (Word::Evacuate, states::shown(lang, evacuate(self.evacuate))),
            (Word::Priority, self.priority.to_string()),
            (Word::Restart, states::shown(lang, self.restart.word())),
            (Word::OnIsolation, on_isolation(self, lang)),
            (Word::RestartFromCopy, from_copy(self, lang)),
            (Word::MaxDowntime, max_downtime(self, lang)),
            (Word::Groups, joined(self.groups.iter().map(|group| membership(group, lang)))),
            (Word::Labels, joined(self.node_labels.iter().map(|(key, value)| format!("{key}={value}")))),
            (Word::HostName, self.hostname.to_string()),
            (Word::Keys, joined(&self.keys)),
            (
                Word::UserData,
                or_dash(self.user_data.as_ref().map(|d| format!("{} bytes, SHA-256 {}", d.bytes, d.sha256))),
            ),
            (Word::Firewalls, joined(&self.firewalls)),
            (Word::Probes, joined(&self.probes)),
            (Word::After, joined(&self.after)),
            (Word::Migration, or_dash(self.migration.as_ref())),
            (Word::SentAhead, or_dash(self.preseed.as_ref().map(|preseed| sent_ahead(preseed, lang)))),
            (Word::Snapshots, joined(self.snapshots.list.iter().map(|one| snapshot(self, one, lang)))),
            (Word::Generation, self.generation.to_string()),
            (Word::Uuid, self.uuid.clone()),
            (Word::Created, format::moment(self.created_at)),
            (Word::StateSince, format::moment(self.changed_at)),
        ];
        if let Some(before) = &self.before {
            let at = details.iter().position(|(word, _)| *word == Word::After).map_or(details.len(), |at| at + 1);
            details.insert(at, (Word::Before, joined(before)));
        }
        if let Some(weight) = &self.weight {
            let at = details.iter().position(|(word, _)| *word == Word::MaxDowntime).map_or(details.len(), |at| at + 1);
            details.insert(at, (Word::Moving, moving(weight, lang)));
        }
        details.extend(self.snapshots.revert.as_ref().map(|revert| (Word::Reverted, reverted(revert, lang))));
        details.extend(self.restored.as_ref().map(|last| (Word::Restored, restored(self.name.as_str(), last, lang))));
        details.extend(self.fault.iter().flat_map(|fault| fault_details(fault, lang)));
        let waits = self.preseed.as_ref().filter(|preseed| preseed.is_due()).and_then(|preseed| preseed.fault.as_ref());
        let late = self.snapshots.list.iter().filter_map(|snapshot| snapshot.fault.as_ref());
        let back = self.snapshots.revert.as_ref().and_then(|revert| match &revert.outcome {
            vm::Outcome::Failed(why) => Some(why),
            vm::Outcome::UnderWay | vm::Outcome::Done => None,
        });
        details.extend(late.chain(back).map(Fault::from).flat_map(|fault| fault_details(&fault, lang)));
        details.extend(waits.map(Fault::from).iter().flat_map(|why| not_sent(self, why, lang)));
        details
    }

    fn tone(&self) -> Tone {
        match self.state {
            vm::State::Failed => Tone::Bad,
            _ if self.fault.is_some() || !self.reachable => Tone::Bad,
            vm::State::Running | vm::State::Stopped => Tone::Usual,
            _ => Tone::Unusual,
        }
    }

    fn none() -> Word {
        Word::NoVms
    }
}

const fn yes_or_no(is: bool) -> Word {
    if is { Word::Yes } else { Word::No }
}

/// Its state, which is only what was last known of it while nobody hears its node.
fn state(view: &VmView, lang: Lang) -> String {
    let state = with_its_disk(view, lang);
    if view.reachable { state } else { words::because(&state, Word::NodeSilent.text(lang)) }
}

/// Whether it is to run, and does not though nobody has asked for that; why is told below.
fn stands_still(view: &VmView) -> bool {
    view.state == vm::State::Running && view.fault.as_ref().is_some_and(|fault| fault.code == "vm.stands-still")
}

/// Its state; nobody can start it while its disk goes back to a snapshot.
fn with_its_disk(view: &VmView, lang: Lang) -> String {
    let mut state = states::shown(lang, view.state.word());
    if stands_still(view) {
        state = words::because(&state, Word::StandsStill.text(lang));
    }
    let back = view.snapshots.reverting().map(|revert| snapshots::going_back(lang, revert.to.as_str()));
    back.map_or(state.clone(), |back| words::because(&state, &back))
}

/// How large it will be, some of which may be so without a start in a moment.
fn pending(view: &VmView, then: vm::Size, lang: Lang) -> String {
    let size = format::size(then);
    if view.growing { words::because(&size, growth::growing(lang)) } else { size }
}

/// As `watari vm create --evacuate` takes it.
pub(crate) const fn evacuate(evacuate: vm::Evacuate) -> &'static str {
    match evacuate {
        vm::Evacuate::Live => "live",
        vm::Evacuate::Stay => "stay",
    }
}

/// As `watari vm create --group` takes it.
pub(crate) const fn company(company: vm::Company) -> &'static str {
    match company {
        vm::Company::Together => "together",
        vm::Company::Apart => "apart",
    }
}

fn membership(of: &vm::Membership, lang: Lang) -> String {
    format!("{}:{}", of.group, states::shown(lang, company(of.company)))
}

/// Where a server's disk lies ready, how much of it and since when; and what is still to come.
fn sent_ahead(preseed: &vm::Preseed, lang: Lang) -> String {
    let there =
        |done: &vm::Seeded| format!("{} → {} ({})", format::bytes(done.bytes), done.node, format::moment(done.at));
    let done = preseed.done.as_ref().map(there);
    if !preseed.is_due() {
        return or_dash(done);
    }
    // Why that takes longer is told below, in words.
    let coming = ahead::sending(lang, preseed.to.as_ref().map(NodeName::as_str));
    done.map_or(coming.clone(), |done| format!("{done}; {coming}"))
}

/// Why its disk is not sent ahead yet, which is no fault of the server's.
fn not_sent(view: &VmView, why: &Fault, lang: Lang) -> [(Word, String); 2] {
    let [(_, cause), (remedy, how)] = fault_details(why, lang);
    [(Word::NotSentYet, cause), (remedy, ahead::or_cancel(lang, &how, view.name.as_str()))]
}

/// A snapshot's name, since when it is there, and what is being done with it.
fn snapshot(view: &VmView, snapshot: &vm::Snapshot, lang: Lang) -> String {
    let state = snapshots::State::of(&view.snapshots, snapshot).text(lang);
    let at = snapshot.taken.map_or_else(|| state.to_owned(), |taken| format::moment(taken.at));
    format!("{} ({at})", snapshot.name)
}

/// To which snapshot its disk went back, and when that was asked for.
fn reverted(revert: &vm::Revert, lang: Lang) -> String {
    let (to, at) = (&revert.to, format::moment(revert.asked_at));
    match &revert.outcome {
        vm::Outcome::UnderWay => words::because(to.as_str(), snapshots::State::Reverted.text(lang)),
        vm::Outcome::Done => format!("{to} ({at})"),
        vm::Outcome::Failed(why) => format!("{to} ({at}) [{}]", why.code()),
    }
}

/// A fault in the person's language, in two lines.
pub(crate) fn fault_details(fault: &Fault, lang: Lang) -> [(Word, String); 2] {
    let (cause, remedy) = match lang {
        Lang::En => (&fault.cause, &fault.remedy),
        Lang::Ja => (&fault.ja.cause, &fault.ja.remedy),
    };
    [(Word::Fault, format!("[{}] {cause}", fault.code)), (Word::Remedy, remedy.clone())]
}

#[cfg(test)]
mod tests {
    use watari_model::Refusal;

    use super::*;

    #[test]
    fn who_depends_on_a_server_stands_beside_what_it_depends_on_where_it_is_told() {
        let sample = include_str!("../../../../shared/contracts/tests/golden/reply.VmView.json");
        let mut view: VmView = serde_json::from_str::<Vec<_>>(sample).unwrap().swap_remove(0);
        let told = |view: &VmView| {
            let details = view.details(Lang::En);
            let at = details.iter().position(|(word, _)| *word == Word::After).unwrap();
            details[at..at + 2].to_vec()
        };
        view.before = Some(vec!["web".parse().unwrap(), "www".parse().unwrap()]);
        assert_eq!(told(&view)[1], (Word::Before, joined(["web", "www"])));
        view.before = Some(Vec::new());
        assert_eq!(told(&view), [(Word::After, "-".to_owned()), (Word::Before, "-".to_owned())]);
        view.before = None;
        assert_ne!(told(&view)[1].0, Word::Before);
    }

    #[test]
    fn a_server_that_stands_still_is_not_shown_as_one_that_merely_runs() {
        let sample = include_str!("../../../../shared/contracts/tests/golden/reply.VmView.json");
        let mut view: VmView = serde_json::from_str::<Vec<_>>(sample).unwrap().swap_remove(0);
        (view.state, view.snapshots, view.reachable) = (vm::State::Running, vm::Snapshots::default(), true);
        view.fault = Some(Fault::from(&vm::Standstill::IoError.refusal(&view.name, &"m1".parse().unwrap())));
        assert_eq!(state(&view, Lang::En), "running (stands still)");
        assert!(state(&view, Lang::Ja).contains("動作停止中"));
        view.state = vm::State::Starting;
        assert!(!state(&view, Lang::En).contains("still"), "it is being started anew");
    }

    #[test]
    fn what_would_travel_of_a_server_is_told_where_that_is_measured() {
        let sample = include_str!("../../../../shared/contracts/tests/golden/reply.VmView.json");
        let mut view: VmView = serde_json::from_str::<Vec<_>>(sample).unwrap().swap_remove(0);
        let told = |view: &VmView, lang| {
            let mut details = view.details(lang).into_iter();
            details.find(|(word, _)| *word == Word::Moving).map(|(_, text)| text)
        };
        let en = told(&view, Lang::En).unwrap();
        assert_eq!(en, "310 MiB of disk, and 12.0 MiB of memory are written each second");
        assert!(told(&view, Lang::Ja).is_some_and(|ja| ja.contains("310 MiB") && !ja.is_ascii()));
        view.weight = None;
        assert_eq!(told(&view, Lang::En), None);
    }

    #[test]
    fn a_disk_that_cannot_go_ahead_is_no_fault_of_its_server_and_says_how_it_is_taken_back() {
        let sample = include_str!("../../../../shared/contracts/tests/golden/reply.VmView.json");
        let mut view: VmView = serde_json::from_str::<Vec<_>>(sample).unwrap().swap_remove(0);
        (view.fault, view.snapshots) = (None, vm::Snapshots::default());
        let preseed = view.preseed.as_mut().unwrap();
        let (site, outage) = ("yamate".to_owned(), "yamate-1".to_owned());
        (preseed.to, preseed.fault) = (None, Some(Refusal::SiteDraining { site, outage }));
        for lang in [Lang::En, Lang::Ja] {
            let details = view.details(lang);
            let of = |word: Word| details.iter().find(|(label, _)| *label == word).map(|(_, text)| text.as_str());
            assert_eq!(of(Word::Fault), None);
            assert!(of(Word::NotSentYet).is_some_and(|why| why.starts_with("[site.draining] ")), "{details:?}");
            let remedy = of(Word::Remedy).unwrap();
            assert!(
                remedy.contains("watari site return yamate") && remedy.contains("preseed mail --cancel"),
                "{remedy}"
            );
        }
    }
}
