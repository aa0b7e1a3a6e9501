//! An outage's view: its report.

use watari_contracts::scheduler::{
    Confidence, ControlMoved, CriticalPath, DarkNode, Fault, HaltedVm, HandedOver, LegName, Moved, MovedSince,
    NotMoved, OnBattery, OutagePlan, OutageView, PlannedMove, StillThere,
};
use watari_model::{
    SiteName, Timestamp,
    migration::{Migration, Reason},
    outage::{Halted, Handover, Left, Outage, Scope, State},
    site::Supply,
    vm::Vm,
};

use super::migration;
use crate::core::{
    Rules, Snapshot, awaited, calendar, dark,
    forecast::{Forecast, Halting, Move, forecast_scheduled, forecast_within, time_to_leave},
    moved_since, never_left, phase,
    report::report,
    still_there, waiting,
};

/// An outage with the report of its last leg, and without a plan.
pub(crate) fn outage(snap: &Snapshot, rules: &Rules, outage: &Outage, now: Timestamp) -> OutageView {
    let report = report(snap, outage, now);
    let waiting = waiting(snap, outage, &report).into_iter().cloned().collect();
    let moved_since = moved_since(snap, outage, &report).into_iter();
    let begins_at = outage.window.filter(|_| outage.state == State::Scheduled);
    let begins_at = begins_at.map(|window| calendar::begins_at(snap, rules, outage, window, now));
    OutageView {
        id: outage.id.clone(),
        scope: outage.scope.clone(),
        state: outage.state,
        phase: phase(snap, rules, outage, now),
        paused_at: outage.paused_at,
        window: outage.window,
        note: outage.note.clone(),
        begins_at,
        plan: None,
        at_risk: outage.at_risk.iter().map(not_moved).collect(),
        warned: outage.warned.iter().map(not_moved).collect(),
        out: outage.out,
        home: outage.home,
        leg: if report.reason == Reason::Return { LegName::Home } else { LegName::Out },
        moved: report.moved.into_iter().map(moved).collect(),
        moving: report.moving.into_iter().map(|m| migration(snap, m)).collect(),
        waiting,
        awaited: awaited(snap, rules, outage, now),
        failed: report.failed.iter().filter(|left| !is_halted(outage, left)).map(not_moved).collect(),
        stayed: outage.stayed.iter().filter(|left| !is_halted(outage, left)).map(not_moved).collect(),
        halted: outage.halted.iter().map(|halted| halted_vm(snap, halted)).collect(),
        still_there: still_there(snap, outage).into_iter().filter_map(|vm| there(outage, vm)).collect(),
        moved_since: moved_since.map(|(vm, node)| MovedSince { vm, node }).collect(),
        makespan_ms: report.makespan_ms,
        off: report.off.into_iter().filter(|vm| !outage.halted.iter().any(|halted| halted.vm == *vm)).collect(),
        control: outage.control.as_ref().map(|handover| control(handover, now)),
        handovers: outage.handovers.iter().chain(&outage.control).map(handed_over).collect(),
        battery: battery(snap, rules, outage, now),
        nodes: nodes(snap, rules, outage),
        request_id: outage.request_id.clone(),
        created_at: outage.created_at,
        changed_at: outage.changed_at,
    }
}

/// Whoever is off since there was no time is told of apart.
fn is_halted(outage: &Outage, left: &Left) -> bool {
    outage.halted.iter().any(|halted| halted.vm == left.vm)
}

fn halted_vm(snap: &Snapshot, halted: &Halted) -> HaltedVm {
    let state = snap.vms.get(halted.vm.as_str()).map(|entry| entry.value.state);
    HaltedVm { vm: halted.vm.clone(), way: halted.way, state, why: Fault::from(&halted.fault) }
}

fn there(outage: &Outage, vm: &Vm) -> Option<StillThere> {
    Some(StillThere {
        vm: vm.name.clone(),
        node: vm.node()?.clone(),
        state: vm.state,
        since: vm.changed_at,
        why: never_left(outage, &vm.name).map(Fault::from),
    })
}

/// What the evacuation of a scheduled outage would come to now, and who would be late if it began at that time.
pub(crate) fn planned(
    snap: &Snapshot,
    rules: &Rules,
    outage: &Outage,
    begins_at: Option<Timestamp>,
    now: Timestamp,
) -> Option<OutagePlan> {
    match &outage.scope {
        Scope::Site(site) if outage.state == State::Scheduled => {
            let left_ms = outage.window.zip(begins_at).map(|(window, at)| window.from.millis_since(at.max(now)));
            // What is proposed on battery has the battery's time.
            let foreseen = if outage.is_proposed() {
                forecast_within(snap, rules, site, None, now)
            } else {
                forecast_scheduled(snap, rules, site, left_ms, now)
            };
            foreseen.map(|forecast| {
                let late = left_ms.map_or_else(Vec::new, |ms| forecast.late(ms));
                OutagePlan { late, ..plan(site.clone(), forecast, now) }
            })
        }
        _ => None,
    }
}

/// A forecast, with the time that it would take.
pub(crate) fn plan(site: SiteName, forecast: Forecast, at: Timestamp) -> OutagePlan {
    let (estimated_ms, score) = (forecast.estimated_ms(), forecast.fates().score());
    let Forecast { moves, waiting, starting, arriving, left, halts, time_ms, bytes, speed, span_ms, path } = forecast;
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let confidence = estimated_ms.map(|_| Confidence {
        measured: number(moves.iter().filter(|m| m.measured).count()),
        moves: number(moves.len()),
        least_ms: span_ms.map(|(least, _)| least),
        most_ms: span_ms.map(|(_, most)| most),
    });
    let critical_path = (path.count > 0).then(|| CriticalPath { vms: path.vms, count: number(path.count) });
    let estimated = |bytes: u64| Some(speed?.takes_ms(1, bytes));
    let planned = |m: Move| {
        let Move { vm, from, to, bytes, base_bytes, measured, warnings, after } = m;
        let (estimated_ms, warnings) = (estimated(bytes), warnings.iter().map(Fault::from).collect());
        PlannedMove { vm, from, to, bytes, base_bytes, measured, estimated_ms, warnings, after }
    };
    let halted = |halting: Halting| {
        let Halting { vm, state, way, fault } = halting;
        HaltedVm { vm, way, state: Some(state), why: Fault::from(&fault) }
    };
    OutagePlan {
        site,
        estimated_ms,
        confidence,
        critical_path,
        time_ms,
        halts: halts.into_iter().map(halted).collect(),
        late: Vec::new(),
        moves: moves.into_iter().map(planned).collect(),
        waiting,
        starting,
        arriving,
        failed: left.iter().filter(|left| !left.is_off()).map(not_moved).collect(),
        off: left.iter().filter(|left| left.is_off()).map(|left| left.vm.clone()).collect(),
        score: Some(score),
        bytes,
        bytes_per_second: speed.map(|speed| speed.rate()),
        fixed_ms: speed.map(|speed| speed.fixed_ms),
        at,
    }
}

/// The nodes that are shut down, or were, and those whose turn has not come, with what they wait for.
fn nodes(snap: &Snapshot, rules: &Rules, outage: &Outage) -> Vec<DarkNode> {
    let Some(known) = &outage.dark else { return Vec::new() };
    let begun = known.nodes.iter().map(|one| DarkNode {
        node: one.node.clone(),
        state: one.stage.word().to_owned(),
        since: Some(one.at),
        why: one.stage.fault().map(Fault::from),
    });
    let is_ahead = known.wished && (outage.state == State::Scheduled || outage.state.drains());
    let left = dark::turns(snap, outage).filter(|node| known.nodes.iter().all(|one| one.node != node.name));
    let waiting = left.filter(|_| is_ahead).map(|node| DarkNode {
        node: node.name.clone(),
        state: "waiting".to_owned(),
        since: None,
        why: Some(outage.state)
            .filter(|state| *state == State::Evacuated)
            .and_then(|_| dark::hindrance(snap, rules, node))
            .map(|why| Fault::from(&why)),
    });
    begun.chain(waiting).collect()
}

/// Whether the battery lasts for who is still there, if it is on battery that the site is emptied.
fn battery(snap: &Snapshot, rules: &Rules, outage: &Outage, now: Timestamp) -> Option<OnBattery> {
    let Scope::Site(site) = &outage.scope else { return None };
    let power = snap.sites.get(site.as_str())?.value.power?;
    (outage.state == State::Evacuating && power.supply == Supply::Battery)
        .then(|| OnBattery { seconds_left: power.left_at(now), needed_ms: time_to_leave(snap, rules, outage, now) })
}

fn control(handover: &Handover, now: Timestamp) -> ControlMoved {
    ControlMoved {
        to: handover.to.clone(),
        moved: handover.ended_at.is_some() && handover.fault.is_none(),
        took_ms: handover.ended_at.unwrap_or(now).millis_since(handover.began_at),
        fault: handover.fault.as_ref().map(Fault::from),
    }
}

fn handed_over(handover: &Handover) -> HandedOver {
    HandedOver {
        to: handover.to.clone(),
        began_at: handover.began_at,
        ended_at: handover.ended_at,
        fault: handover.fault.as_ref().map(Fault::from),
    }
}

fn moved(migration: &Migration) -> Moved {
    let measured = migration.measured.unwrap_or_default();
    Moved {
        vm: migration.vm.clone(),
        from: migration.from.clone(),
        to: migration.to.clone(),
        total_ms: measured.total_ms,
        downtime_ms: measured.downtime_ms + measured.pause_ms,
        pause_ms: measured.pause_ms,
        memory_bytes: measured.memory_bytes,
        disk_bytes: measured.disk_bytes,
    }
}

pub(super) fn not_moved(left: &Left) -> NotMoved {
    let en = left.fault.english();
    NotMoved {
        vm: left.vm.clone(),
        code: left.fault.code().to_owned(),
        cause: en.cause,
        remedy: en.remedy,
        ja: left.fault.japanese(),
    }
}
