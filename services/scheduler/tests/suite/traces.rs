//! To which trace belongs what is done for a request, long after it was answered.

use std::{collections::BTreeSet, time::Duration};

use crate::support::{Cloud, SOON, create};
use futures_util::StreamExt;
use watari_chassis::{Messages, TraceParent, telemetry::trace};
use watari_contracts::{
    Command,
    agent::{Receive, Release, Resume, Send, Start, Stop},
    scheduler::{CreateVm, EvacuateSite, ListMigrations, StopVm},
};
use watari_model::{
    migration::{Migration, State},
    vm,
};
use watari_testkit::eventually_some;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A request of somebody who records the trace.
fn asker(trace: &str) -> TraceParent {
    format!("00-{trace}-00f067aa0ba902b7-01").parse().unwrap()
}

/// The state of each write up to the last one, with the trace that it was written in.
async fn writes(events: &mut Messages) -> Vec<(State, Option<String>)> {
    let mut written = Vec::new();
    loop {
        let message = tokio::time::timeout(SOON, events.next()).await.unwrap().unwrap();
        let migration: Migration = serde_json::from_slice(&message.payload).unwrap();
        written.push((migration.state, message.trace.map(|trace| trace.trace_id())));
        if migration.state.over() {
            return written;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evacuation_is_one_trace_from_its_request_to_its_end_also_under_another_scheduler() {
    let mut cloud = Cloud::start().await;
    cloud.running("mail", "myodaiji").await;
    assert_eq!(cloud.fleet.asked_in(TRACE), BTreeSet::new());
    cloud.fleet.copies_take(Duration::from_millis(700));
    let mut events = cloud.ctx.bus.subscribe("watari.event.migrations.*").await.unwrap();
    let evacuate = EvacuateSite { request_id: None, site: "myodaiji".parse().unwrap(), propose: None };
    trace::scope(asker(TRACE), cloud.ask(&evacuate)).await.unwrap();
    let active = ListMigrations { active: true, ..ListMigrations::default() };
    eventually_some("it copies", SOON, || async {
        let page = cloud.ctx.bus.request(&active).await.ok()?;
        page.migrations.iter().any(|migration| migration.state == State::Copying).then_some(())
    })
    .await;
    // The trace stands in the documents, and not in what the first one remembers.
    cloud.kill_scheduler();
    cloud.start_scheduler().await;

    let written = writes(&mut events).await;
    let begun = written.first().map(|(state, _)| *state);
    assert_eq!((begun, written.last().map(|(state, _)| *state)), (Some(State::Queued), Some(State::Completed)));
    assert!(written.iter().all(|(_, trace)| trace.as_deref() == Some(TRACE)), "{written:?}");
    let asked = cloud.fleet.asked_in(TRACE);
    for (verb, site) in [(Receive::VERB, "y"), (Send::VERB, "m"), (Resume::VERB, "y"), (Release::VERB, "m")] {
        assert!(asked.iter().any(|(node, known)| *known == verb && node.starts_with(site)), "{verb}: {asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_for_a_server_belongs_to_the_request_that_wanted_it_and_to_no_earlier_one() {
    let cloud = Cloud::start().await;
    let make = CreateVm { site: Some("myodaiji".parse().unwrap()), ..create("mail") };
    trace::scope(asker(TRACE), cloud.ask(&make)).await.unwrap();
    cloud.until("mail", |vm| vm.state == vm::State::Running).await;
    let verbs = |trace: &str| cloud.fleet.asked_in(trace).into_iter().map(|(_, verb)| verb).collect::<BTreeSet<_>>();
    assert!(verbs(TRACE).contains(Start::VERB), "{:?}", verbs(TRACE));
    let later = "5".repeat(32);
    let stop = StopVm { request_id: None, name: "mail".parse().unwrap(), force: true };
    trace::scope(asker(&later), cloud.ask(&stop)).await.unwrap();
    cloud.until("mail", |vm| vm.state == vm::State::Stopped).await;
    assert!(verbs(&later).contains(Stop::VERB) && !verbs(TRACE).contains(Stop::VERB), "{:?}", verbs(&later));
}
