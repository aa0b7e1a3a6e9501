//! What an evacuation would come to.

use watari_contracts::scheduler::{Fault, NotMoved, OutagePlan, PlannedMove};
use watari_model::VmName;

use super::report;
use crate::{
    Context,
    failure::{FAILED, Failure},
    format,
    out::{Column, Out, joined, or_dash},
    texts::{
        estimate, halts, off,
        words::{self, Word},
    },
};

/// The plan.
///
/// # Errors
/// [`Failure::Silent`] with status 1 if a server could not move, once the plan is shown.
pub(super) fn show(ctx: &Context, plan: &OutagePlan) -> Result<(), Failure> {
    ctx.out.reported(plan, plan.moves.iter().map(|m| m.vm.to_string()), || text(ctx.out, plan))?;
    if plan.failed.is_empty() && plan.halts.is_empty() { Ok(()) } else { Err(Failure::Silent(FAILED)) }
}

/// The plan's tables and its sum, and who is off.
pub(super) fn text(out: Out, plan: &OutagePlan) -> String {
    let off = off::left_off(out.lang, &plan.off);
    [Some(of_running(out, plan)), off].into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

/// What becomes of those that run.
fn of_running(out: Out, plan: &OutagePlan) -> String {
    let mut parts = Vec::new();
    // They have the link before the others.
    let told_apart = |vm: &&VmName| plan.starting.contains(vm) || plan.arriving.contains(vm);
    let moving: Vec<_> = plan.waiting.iter().filter(|vm| !told_apart(vm)).collect();
    let titles = [Word::MovingTitle, Word::ArrivingTitle, Word::StartingTitle];
    for (title, vms) in titles.into_iter().zip([moving, plan.arriving.iter().collect(), plan.starting.iter().collect()])
    {
        if !vms.is_empty() {
            parts.push(format!("{} {}", title.text(out.lang), joined(vms)));
        }
    }
    if !plan.moves.is_empty() {
        parts.push(format!("{}\n{}", Word::WouldMoveTitle.text(out.lang), moves(out, &plan.moves)));
    }
    let warned: Vec<NotMoved> = plan.moves.iter().flat_map(warned).collect();
    if !warned.is_empty() {
        parts.push(format!("{}\n{}", off::warned_title(out.lang), report::failed(out, &warned)));
    }
    if !plan.failed.is_empty() {
        parts.push(format!("{}\n{}", Word::WouldStayTitle.text(out.lang), report::failed(out, &plan.failed)));
    }
    if !plan.halts.is_empty() {
        parts.push(format!("{}\n{}", halts::would_title(out.lang), report::halted(out, &plan.halts)));
    }
    if parts.is_empty() {
        return Word::NothingToMove.text(out.lang).to_owned();
    }
    let (moves, counts) = (plan.moves.len(), (plan.moves.len(), plan.waiting.len(), plan.failed.len()));
    parts.push(words::outlook(out.lang, counts, plan.bytes, plan.estimated_ms));
    parts.extend(plan.score.map(|score| estimate::score(out.lang, score)));
    parts.extend(plan.confidence.as_ref().filter(|_| moves > 0).map(|known| estimate::confidence(out.lang, known)));
    parts.extend(plan.critical_path.as_ref().map(|path| estimate::critical(out.lang, path)));
    if !plan.halts.is_empty() {
        parts.push(report::tally(out.lang, &plan.halts));
    }
    if let Some(time_ms) = plan.time_ms {
        parts.insert(0, halts::time(out.lang, time_ms));
    }
    parts.join("\n\n")
}

/// What should be done before it leaves, in the form in which those are shown that could not.
fn warned(one: &PlannedMove) -> impl Iterator<Item = NotMoved> {
    let told = move |Fault { code, cause, remedy, ja }| NotMoved { vm: one.vm.clone(), code, cause, remedy, ja };
    one.warnings.iter().cloned().map(told)
}

fn moves(out: Out, moves: &[PlannedMove]) -> String {
    use Column::{Number, Text};
    let mut columns =
        vec![Text(Word::Vm), Text(Word::From), Text(Word::To), Number(Word::Data), Number(Word::Estimated)];
    let some_wait = moves.iter().any(|m| !m.after.is_empty());
    columns.extend(some_wait.then_some(Text(Word::After)));
    let row = |m: &PlannedMove| {
        // What is not measured is a guess.
        let about = if m.measured { "" } else { "~" };
        let mut cells = vec![
            m.vm.to_string(),
            m.from.to_string(),
            m.to.to_string(),
            format!("{about}{}", format::bytes(m.bytes)),
            or_dash(m.estimated_ms.map(|ms| format!("{about}{}", format::time(out.lang, ms)))),
        ];
        cells.extend(some_wait.then(|| joined(&m.after)));
        cells
    };
    out.table(&columns, moves.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lang::Lang, out::Format};

    #[test]
    fn who_starts_is_not_called_on_the_way() {
        let sample = include_str!("../../../../shared/contracts/tests/golden/reply.OutagePlan.json");
        let mut plan: OutagePlan = serde_json::from_str::<Vec<_>>(sample).unwrap().swap_remove(0);
        let shown = |plan: &OutagePlan| text(Out { format: Format::Table, lang: Lang::En }, plan);
        assert!(shown(&plan).contains("Starting, and would move then: db"), "{}", shown(&plan));
        assert!(!shown(&plan).contains("On their way"), "{}", shown(&plan));
        plan.waiting.push("www".parse().unwrap());
        let told = shown(&plan);
        assert!(told.contains("On their way or waiting for their turn: www\n"), "{told}");
        // Both count, as they do for the critical path.
        assert!(told.contains("2 would move, 2 under way or starting (290 MiB, about 9.8 s), 1 would not"), "{told}");
    }

    #[test]
    fn who_comes_in_would_have_to_leave_again_and_that_is_said() {
        let sample = include_str!("../../../../shared/contracts/tests/golden/reply.OutagePlan.json");
        let mut plan: OutagePlan = serde_json::from_str::<Vec<_>>(sample).unwrap().swap_remove(0);
        plan.waiting.push("www".parse().unwrap());
        plan.arriving.push("www".parse().unwrap());
        for lang in [Lang::En, Lang::Ja] {
            let told = text(Out { format: Format::Table, lang }, &plan);
            assert!(told.contains(&format!("{} www\n", Word::ArrivingTitle.text(lang))), "{told}");
            assert!(!told.contains(Word::MovingTitle.text(lang)), "{told}");
        }
    }

    #[test]
    fn of_what_should_be_done_before_a_server_leaves_cause_and_remedy_are_shown() {
        let sample = include_str!("../../../../shared/contracts/tests/golden/reply.OutagePlan.json");
        let mut plan: OutagePlan = serde_json::from_str::<Vec<_>>(sample).unwrap().swap_remove(0);
        let shown = |plan: &OutagePlan| text(Out { format: Format::Table, lang: Lang::En }, plan);
        let title = off::warned_title(Lang::En);
        let told = shown(&plan);
        assert!(told.contains(title) && told.contains("outage.image-travels"), "{told}");
        plan.moves.iter_mut().for_each(|m| m.warnings.clear());
        assert!(!shown(&plan).contains(title), "{}", shown(&plan));
    }

    #[test]
    fn for_whom_a_server_waits_is_said_where_one_does() {
        let sample = include_str!("../../../../shared/contracts/tests/golden/reply.OutagePlan.json");
        let mut plan: OutagePlan = serde_json::from_str::<Vec<_>>(sample).unwrap().swap_remove(0);
        let shown = |plan: &OutagePlan| text(Out { format: Format::Table, lang: Lang::En }, plan);
        plan.moves.iter_mut().for_each(|m| m.after.clear());
        assert!(!shown(&plan).contains("AFTER"), "{}", shown(&plan));
        plan.moves[0].after = vec!["cache".parse().unwrap()];
        assert!(shown(&plan).contains("AFTER") && shown(&plan).contains("cache"), "{}", shown(&plan));
    }

    #[test]
    fn how_sure_the_estimate_is_and_what_decides_the_end_is_said_where_it_is_known() {
        let sample = include_str!("../../../../shared/contracts/tests/golden/reply.OutagePlan.json");
        let mut plan: OutagePlan = serde_json::from_str::<Vec<_>>(sample).unwrap().swap_remove(0);
        let shown = |plan: &OutagePlan| text(Out { format: Format::Table, lang: Lang::En }, plan);
        let told = shown(&plan);
        assert!(told.contains("measured for 1 of 2") && told.contains("critical path"), "{told}");
        (plan.confidence, plan.critical_path) = (None, None);
        let told = shown(&plan);
        assert!(!told.contains("measured for") && !told.contains("critical path"), "{told}");
        assert!(!told.contains("readiness"), "an older scheduler does not say it: {told}");
        plan.score = Some(66);
        assert!(shown(&plan).contains("readiness: 66 %"), "{}", shown(&plan));
    }

    #[test]
    fn who_has_no_time_is_told_of_with_the_way_in_which_it_goes_off() {
        let sample = include_str!("../../../../shared/contracts/tests/golden/reply.OutagePlan.json");
        let plan: OutagePlan = serde_json::from_str::<Vec<_>>(sample).unwrap().swap_remove(0);
        let shown = |lang| text(Out { format: Format::Table, lang }, &plan);
        let (en, ja) = (shown(Lang::En), shown(Lang::Ja));
        assert!(en.starts_with("if the power goes in") && en.contains("batch"), "{en}");
        assert!(en.contains("shut down") && en.ends_with("0 suspended, 1 shut down"), "{en}");
        assert!(ja.contains("休止 0 台、停止 1 台"), "{ja}");
    }
}
