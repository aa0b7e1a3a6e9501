//! The report of an outage's last leg.

use watari_contracts::scheduler::{
    ControlMoved, HaltedVm, LegName, Moved, MovedSince, NotMoved, OutageView, StillThere,
};
use watari_model::{
    outage::{Scope, State},
    vm::{self, Way},
};

use super::{dark, plan};
use crate::{
    Context,
    failure::Failure,
    format,
    lang::Lang,
    out::{Column, Out, Row, joined, or_dash},
    texts::{
        self, evidence, halts, since, states,
        words::{self, Word},
    },
};

/// The whole report.
///
/// # Errors
/// [`Failure`] if it cannot be written.
pub(super) fn show(ctx: &Context, view: &OutageView) -> Result<(), Failure> {
    ctx.out.reported(view, [view.name()], || report(ctx.out, view))
}

fn report(out: Out, view: &OutageView) -> String {
    let mut parts = vec![out.lines(std::slice::from_ref(view), |view| view.cells(out.lang))];
    parts.extend(view.paused_at.map(|at| words::paused(out.lang, view.id.as_str(), &format::moment(at))));
    if let Some(window) = view.window {
        parts.push(words::power_off(out.lang, &format::moment(window.from), &format::moment(window.until), &view.note));
    }
    if let (Some(window), Some(begins), Some(foreseen)) = (view.window, view.begins_at, &view.plan) {
        let begins = begins.max(foreseen.at);
        parts.push(words::would_begin(out.lang, &format::moment(begins)));
        parts.push(plan::text(out, foreseen));
        parts.extend(dark::report(out, &view.nodes));
        let ready = foreseen.estimated_ms.map(|needed| begins.plus_millis(needed));
        let said = |ready| texts::off::ready_at(out.lang, &format::moment(ready), &format::moment(window.from));
        let anybody = !foreseen.moves.is_empty() || !foreseen.waiting.is_empty();
        parts.extend(ready.filter(|_| anybody).map(said));
        if !foreseen.late.is_empty() {
            let left_ms = window.from.millis_since(begins);
            let servers = joined(&foreseen.late);
            parts.push(texts::off::too_late(out.lang, view.id.as_str(), left_ms, foreseen.estimated_ms, &servers));
        } else if anybody && ready.is_some_and(|ready| ready <= window.from) {
            parts.push(texts::off::margin(out.lang).to_owned());
        }
        return parts.join("\n\n");
    }
    if is_proposed(view) {
        parts.push(texts::off::proposed(out.lang, view.id.as_str(), &view.note));
        parts.extend(view.plan.as_ref().map(|foreseen| plan::text(out, foreseen)));
        return parts.join("\n\n");
    }
    if never_began(view) {
        parts.push(Word::CalledOffBefore.text(out.lang).to_owned());
        return parts.join("\n\n");
    }
    parts.extend(still_there(out, view));
    if !view.moved.is_empty() {
        let (title, told) = (Word::MovedTitle.text(out.lang), evidence::standstill(out.lang));
        parts.push(format!("{title}\n{}\n{told}", moved(out, &view.moved)));
    }
    if !view.moving.is_empty() {
        let columns = [Word::Vm, Word::From, Word::To, Word::State].map(Column::Text);
        let row = |m: &watari_contracts::scheduler::MigrationView| {
            let state = states::shown(out.lang, m.state.word());
            vec![m.vm.to_string(), m.from.to_string(), m.to.to_string(), state]
        };
        parts.push(format!(
            "{}\n{}",
            Word::MovingTitle.text(out.lang),
            out.table(&columns, view.moving.iter().map(row))
        ));
    }
    if !view.waiting.is_empty() {
        parts.push(texts::off::waiting(out.lang, &view.waiting));
    }
    if !view.failed.is_empty() {
        parts.push(format!("{}\n{}", Word::FailedTitle.text(out.lang), failed(out, &view.failed)));
    }
    if !view.halted.is_empty() {
        let table = halted(out, &view.halted);
        let lines = [Some(halts::title(out.lang).to_owned()), Some(table), booting(out.lang, &view.halted)];
        parts.push(lines.into_iter().flatten().collect::<Vec<_>>().join("\n"));
    }
    if servers(view) == 0 {
        parts.push(Word::NothingMoved.text(out.lang).to_owned());
    } else {
        parts.push(words::tally(out.lang, view.moved.len(), view.failed.len(), view.makespan_ms));
    }
    if !view.halted.is_empty() {
        parts.push(tally(out.lang, &view.halted));
    }
    parts.extend(record(out.lang, view));
    parts.extend(moved_since(out.lang, view));
    if view.state == State::Cancelled {
        parts.push(Word::CalledOff.text(out.lang).to_owned());
    }
    parts.extend(view.control.as_ref().map(|moved| control(out.lang, moved)));
    parts.extend(texts::off::left_off(out.lang, &view.off));
    parts.extend(dark::report(out, &view.nodes));
    parts.extend(view.battery.map(|battery| words::on_battery(out.lang, battery.seconds_left, battery.needed_ms)));
    parts.join("\n\n")
}

/// Who runs where it goes dark though that is evacuated, why, and what to do about it.
fn still_there(out: Out, view: &OutageView) -> Option<String> {
    let columns = [Word::Vm, Word::Node, Word::State, Word::StateSince, Word::Why].map(Column::Text);
    let row = |there: &StillThere| {
        let why: &str = match (&there.why, out.lang) {
            (None, lang) => since::later(lang),
            (Some(why), Lang::En) => &why.cause,
            (Some(why), Lang::Ja) => &why.ja.cause,
        };
        let state = states::shown(out.lang, there.state.word());
        vec![there.vm.to_string(), there.node.to_string(), state, format::moment(there.since), why.to_owned()]
    };
    let table = out.table(&columns, view.still_there.iter().map(row));
    let (title, leave) = (since::still_there(out.lang), since::leave(out.lang, &view.scope));
    (!view.still_there.is_empty()).then(|| format!("{title}\n{table}\n{leave}"))
}

/// Of when the report is, if nothing more of it comes.
fn record(lang: Lang, view: &OutageView) -> Option<String> {
    let leg = if view.leg == LegName::Home { view.home } else { view.out };
    let ended = leg?.ended_at.filter(|_| matches!(view.state, State::Evacuated | State::Completed))?;
    Some(since::record(lang, &format::moment(ended)))
}

/// Who is elsewhere by now.
fn moved_since(lang: Lang, view: &OutageView) -> Option<String> {
    let place = |one: &MovedSince| match &one.node {
        Some(node) => format!("{} ({node})", one.vm),
        None => format!("{} ({})", one.vm, since::gone(lang)),
    };
    let servers = joined(view.moved_since.iter().map(place));
    (!view.moved_since.is_empty()).then(|| since::moved(lang, &servers))
}

/// Whether it was called off while it was only scheduled or proposed.
fn never_began(view: &OutageView) -> bool {
    let was_ahead = view.home.is_none() && (view.window.is_some() || view.out.is_none());
    view.state == State::Cancelled && was_ahead && servers(view) == 0 && view.makespan_ms == 0
}

/// Whether it waits for an operator's word, and for no time.
fn is_proposed(view: &OutageView) -> bool {
    view.state == State::Scheduled && view.window.is_none()
}

/// How many of its servers are where they are to be; none while they are not known yet. At home that is also who was
/// off there and runs again.
fn arrived(view: &OutageView) -> Option<String> {
    let runs = |halted: &&HaltedVm| view.leg == LegName::Home && halted.state == Some(vm::State::Running);
    let (there, all) = (view.moved.len() + view.halted.iter().filter(runs).count(), servers(view));
    let open = matches!(view.state, State::Evacuating | State::Returning);
    (all > 0 || !open).then(|| format!("{there}/{all}"))
}

/// How many servers it is about.
fn servers(view: &OutageView) -> usize {
    view.moved.len() + view.moving.len() + view.waiting.len() + view.failed.len() + view.halted.len()
}

/// What became of the control plane, in one line or with cause and remedy.
pub(super) fn control(lang: Lang, control: &ControlMoved) -> String {
    match (&control.fault, lang) {
        (None, _) if control.moved => words::control_moved(lang, control.to.as_str(), control.took_ms),
        (None, _) => words::control_moving(lang, control.to.as_str()),
        (Some(fault), Lang::En) => texts::error(lang, &fault.code, &fault.cause, &fault.remedy),
        (Some(fault), Lang::Ja) => texts::error(lang, &fault.code, &fault.ja.cause, &fault.ja.remedy),
    }
}

fn moved(out: Out, moved: &[Moved]) -> String {
    use Column::{Number, Text};
    let columns = [
        Text(Word::Vm),
        Text(Word::From),
        Text(Word::To),
        Number(Word::Total),
        Number(Word::Downtime),
        Number(Word::Pause),
        Number(Word::MemoryMoved),
        Number(Word::DiskMoved),
    ];
    let row = |m: &Moved| {
        vec![
            m.vm.to_string(),
            m.from.to_string(),
            m.to.to_string(),
            format::time(out.lang, m.total_ms),
            format::time(out.lang, m.downtime_ms),
            format::time(out.lang, m.pause_ms),
            format::bytes(m.memory_bytes),
            format::bytes(m.disk_bytes),
        ]
    };
    out.table(&columns, moved.iter().map(row))
}

pub(super) fn failed(out: Out, failed: &[NotMoved]) -> String {
    let columns = [Word::Vm, Word::Code, Word::Why, Word::Remedy].map(Column::Text);
    let row = |f: &NotMoved| {
        let (cause, remedy) = match out.lang {
            Lang::En => (&f.cause, &f.remedy),
            Lang::Ja => (&f.ja.cause, &f.ja.remedy),
        };
        vec![f.vm.to_string(), f.code.clone(), cause.clone(), remedy.clone()]
    };
    out.table(&columns, failed.iter().map(row))
}

/// Those that have no time to leave, and how far they are.
pub(super) fn halted(out: Out, halted: &[HaltedVm]) -> String {
    let columns = [Word::Vm, Word::Done, Word::State, Word::Why].map(Column::Text);
    let row = |h: &HaltedVm| {
        let state = h.state.map(|state| states::shown(out.lang, state.word()));
        vec![h.vm.to_string(), halts::way(out.lang, h.way).to_owned(), or_dash(state), cause(out.lang, h).to_owned()]
    };
    out.table(&columns, halted.iter().map(row))
}

/// What it means that some of them run again, if any do.
pub(super) fn booting(lang: Lang, halted: &[HaltedVm]) -> Option<String> {
    halted.iter().any(|one| one.state == Some(vm::State::Running)).then(|| halts::runs_again(lang).to_owned())
}

/// Why it has no time.
pub(super) fn cause(lang: Lang, halted: &HaltedVm) -> &str {
    match lang {
        Lang::En => &halted.why.cause,
        Lang::Ja => &halted.why.ja.cause,
    }
}

/// How many of them go off, and how.
pub(super) fn tally(lang: Lang, halted: &[HaltedVm]) -> String {
    let suspended = halted.iter().filter(|h| h.way == Way::Suspend).count();
    halts::tally(lang, suspended, halted.len() - suspended)
}

pub(super) const fn leg(leg: LegName) -> &'static str {
    match leg {
        LegName::Out => "out",
        LegName::Home => "home",
    }
}

fn state(view: &OutageView, lang: Lang) -> String {
    let word = &states::shown(lang, view.state.word());
    if is_proposed(view) {
        return Word::Proposed.text(lang).to_owned();
    }
    match (view.paused_at, view.at_risk.len()) {
        (Some(_), _) => words::because(word, Word::Paused.text(lang)),
        (None, 0) if !view.still_there.is_empty() => words::because(word, &since::count(lang, view.still_there.len())),
        (None, 0) => view.phase.map_or_else(|| word.clone(), |phase| words::because(word, since::phase(lang, phase))),
        (None, servers) => words::because(word, &words::at_risk(lang, servers)),
    }
}

pub(super) fn scope(scope: &Scope, lang: Lang) -> String {
    match scope {
        Scope::Site(site) => format!("{} {site}", states::shown(lang, "site")),
        Scope::Node(node) => format!("{} {node}", states::shown(lang, "node")),
    }
}

impl Row for OutageView {
    fn columns() -> Vec<Column> {
        use Column::{Number, Text};
        vec![
            Text(Word::Id),
            Text(Word::Scope),
            Text(Word::State),
            Text(Word::Leg),
            Number(Word::Vms),
            Number(Word::Makespan),
            Text(Word::PowerOff),
            Text(Word::PowerBack),
            Text(Word::Created),
        ]
    }

    fn cells(&self, lang: Lang) -> Vec<String> {
        // Of what has not begun nothing is counted or measured.
        let begun = self.state != State::Scheduled && !never_began(self);
        vec![
            self.id.to_string(),
            scope(&self.scope, lang),
            state(self, lang),
            states::shown(lang, leg(self.leg)),
            or_dash(begun.then(|| arrived(self)).flatten()),
            or_dash(begun.then(|| format::time(lang, self.makespan_ms))),
            or_dash(self.window.map(|window| format::moment(window.from))),
            or_dash(self.window.map(|window| format::moment(window.until))),
            format::moment(self.created_at),
        ]
    }

    fn wide_columns() -> Vec<Column> {
        [Word::Reason, Word::Changed].map(Column::Text).to_vec()
    }

    fn wide_cells(&self, _: Lang) -> Vec<String> {
        vec![or_dash(Some(&self.note).filter(|note| !note.is_empty())), format::moment(self.changed_at)]
    }

    fn none() -> Word {
        Word::NoOutages
    }
}

#[cfg(test)]
mod tests {
    use watari_contracts::scheduler::{Fault, Phase};
    use watari_model::{
        Refusal,
        outage::{Leg, Window},
    };

    use super::*;
    use crate::out::Format;

    #[test]
    fn what_lies_between_the_end_and_the_loss_of_power_is_explained_where_there_is_time() {
        let samples = include_str!("../../../../shared/contracts/tests/golden/reply.OutageView.json");
        let mut view: OutageView = serde_json::from_str::<Vec<_>>(samples).unwrap().swap_remove(2);
        let shown = |view: &OutageView, lang| report(Out { format: Format::Table, lang }, view);
        for lang in [Lang::En, Lang::Ja] {
            assert!(shown(&view, lang).contains(texts::off::margin(lang)), "{}", shown(&view, lang));
        }
        let plan = view.plan.as_mut().unwrap();
        plan.late = vec!["mail".parse().unwrap()];
        let (at, from) = (plan.at, plan.at.plus_millis(1_000));
        view.begins_at = Some(at.minus_millis(3_600_000));
        view.window = view.window.map(|window| Window { from, ..window });
        let en = shown(&view, Lang::En);
        assert!(
            en.contains("TOO LATE: the evacuation has 1.0 s until the power goes, and takes about 9.8 s")
                && en.contains("lost with the power: mail"),
            "{en}"
        );
        for way_out in ["watari outage reschedule myodaiji-2", "watari outage start myodaiji-2", "watari vm stop"] {
            assert!(en.contains(way_out) && shown(&view, Lang::Ja).contains(way_out), "{way_out}: {en}");
        }
        assert!(!en.contains("the margin"), "{en}");
    }

    #[test]
    fn a_return_that_was_called_off_at_once_had_begun_and_who_runs_again_is_told_of_with_what_that_means() {
        let samples = include_str!("../../../../shared/contracts/tests/golden/reply.OutageView.json");
        let mut view: OutageView = serde_json::from_str::<Vec<_>>(samples).unwrap().swap_remove(1);
        let at = view.changed_at;
        (view.state, view.makespan_ms, view.home) =
            (State::Cancelled, 0, Some(Leg { began_at: at, ended_at: Some(at) }));
        let shown = |view: &OutageView| report(Out { format: Format::Table, lang: Lang::En }, view);
        assert!(!shown(&view).contains("before it began"), "{}", shown(&view));
        let (vm, why) = ("batch".parse().unwrap(), Refusal::PolicyStays { vm: "batch".to_owned() });
        let halted = HaltedVm { vm, way: Way::ShutDown, state: Some(vm::State::Running), why: Fault::from(&why) };
        view.halted = vec![halted];
        assert!(shown(&view).contains(halts::runs_again(Lang::En)), "{}", shown(&view));
        view.halted[0].state = Some(vm::State::Stopped);
        assert!(!shown(&view).contains(halts::runs_again(Lang::En)), "{}", shown(&view));
    }

    #[test]
    fn who_runs_where_it_goes_dark_is_told_loudly_with_the_reason_and_a_report_is_one_of_its_time() {
        let samples = include_str!("../../../../shared/contracts/tests/golden/reply.OutageView.json");
        let mut view: OutageView = serde_json::from_str::<Vec<_>>(samples).unwrap().swap_remove(0);
        let at = view.changed_at;
        let shown = |view: &OutageView, lang| report(Out { format: Format::Table, lang }, view);
        assert!(!shown(&view, Lang::En).contains("STILL RUNNING"));
        (view.state, view.leg) = (State::Evacuated, LegName::Out);
        view.out = Some(Leg { began_at: at, ended_at: Some(at) });
        let node = view.moved[0].from.clone();
        let there = |vm: &str, why| StillThere {
            vm: vm.parse().unwrap(),
            node: node.clone(),
            state: vm::State::Running,
            since: at,
            why,
        };
        let stays = Fault::from(&Refusal::PolicyStays { vm: "old".to_owned() });
        view.still_there = vec![there("old", Some(stays)), there("web", None)];
        view.phase = Some(Phase::Failed);
        view.moved_since = vec![MovedSince { vm: "mail".parse().unwrap(), node: None }];
        let en = shown(&view, Lang::En);
        for told in [
            "(2 STILL RUNNING there)",
            "STILL RUNNING where",
            "evacuate: stay",
            "came back",
            "watari site evacuate myodaiji",
            "mail (deleted)",
            "as it was when it ended",
        ] {
            assert!(en.contains(told), "{told}: {en}");
        }
        let (one, mut nobody) = (state(&view, Lang::En), view.clone());
        nobody.still_there.clear();
        assert!(one.contains("2 STILL RUNNING") && state(&nobody, Lang::En).contains("(not all moved)"), "{one}");
        nobody.phase = Some(Phase::Dark);
        assert!(state(&nobody, Lang::Ja).contains("電源断"), "{}", state(&nobody, Lang::Ja));
        let ja = shown(&view, Lang::Ja);
        for told in ["2 台が稼働中", "退避済みの場所で", "戻ってきました", "mail (削除済み)", "時点の記録"]
        {
            assert!(ja.contains(told), "{told}: {ja}");
        }
    }
}
