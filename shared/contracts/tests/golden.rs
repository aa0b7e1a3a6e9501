//! Every message and document has a sample under `golden/`, read and written on every run: what
//! is written must be what was read, byte for byte. So a field cannot be renamed, dropped or added
//! without the change being seen in a file, and a message without a sample fails here.
//!
//! After an intended change of a message: edit its sample, then `WATARI_GOLDEN=write cargo test -p
//! watari-contracts --test golden` puts it into the written form, and into the guides' chapter of
//! requests (`docs/*/src/requests.md`). The bytes of a beat (`*.bin`) are written only where there are
//! none: a published version never changes.

#[path = "golden/chapter.rs"]
mod chapter;
#[path = "golden/compare.rs"]
mod compare;
#[path = "golden/japanese.rs"]
mod japanese;
#[path = "golden/list.rs"]
mod list;

use std::collections::BTreeSet;

use compare::Samples;
use watari_contracts::{
    ErrorBody, address, agent, beat::Beat, enrol, firewall, frontend, image, monitor, network, permissions::BUCKETS,
    permissions::PRIVATE, plan, probe, saving, scheduler,
};

/// Of everything that services are asked.
fn subjects() -> Vec<&'static str> {
    [scheduler::SUBJECTS, image::SUBJECTS, network::SUBJECTS, address::SUBJECTS, firewall::SUBJECTS, monitor::SUBJECTS]
        .concat()
}

#[test]
fn every_request_and_its_reply_is_as_its_sample_says() {
    let samples = Samples::default();
    list::requests(&samples);
    let known = subjects();
    assert_eq!(samples.requests(), known.into_iter().collect::<BTreeSet<_>>(), "a request without a sample");
}

#[test]
fn every_command_and_its_reply_is_as_its_sample_says() {
    let samples = Samples::default();
    list::commands(&samples);
    let known = [agent::VERBS, plan::VERBS, saving::VERBS].concat();
    assert_eq!(samples.commands(), known.into_iter().collect(), "a command without a sample");
}

#[test]
fn commands_carry_an_order_but_for_those_that_look_or_are_fenced_otherwise() {
    let samples = Samples::default();
    list::commands(&samples);
    let looking = ["observe", "observe-all", "inventory", "console", "picture"];
    // Each says at its type why.
    let otherwise = ["use-console", "save", "network-plan"];
    assert_eq!(samples.orderless(), looking.into_iter().chain(otherwise).collect());
}

#[test]
fn every_document_is_as_its_sample_says() {
    let samples = Samples::default();
    list::documents(&samples);
    let buckets = BUCKETS.iter().chain(PRIVATE).map(|(bucket, _)| *bucket).collect();
    assert_eq!(samples.documents(), buckets, "a bucket without a sample");
}

#[test]
fn facts_events_and_errors_are_as_their_samples_say() {
    let samples = Samples::default();
    samples.json::<agent::NodeFacts>("fact.NodeFacts");
    samples.json::<monitor::CapacityChanged>("event.CapacityChanged");
    let errors = samples.json::<ErrorBody>("error.ErrorBody");
    for error in errors {
        assert_eq!(ErrorBody::from(error.refusal.clone()), error, "the texts are those of the refusal");
    }
}

#[test]
fn what_front_ends_tell_each_other_is_as_its_samples_say() {
    let samples = Samples::default();
    samples.json::<frontend::AskStanding>("frontend.AskStanding");
    samples.json::<frontend::Standing>("frontend.Standing");
    samples.json::<frontend::Candidate>("frontend.Candidate");
    samples.json::<frontend::NatsOrder>("frontend.NatsOrder");
}

#[test]
fn what_front_ends_saw_of_servers_is_as_its_samples_say() {
    let samples = Samples::default();
    samples.json::<probe::AskSeen>("probe.AskSeen");
    samples.json::<probe::Seen>("probe.Seen");
}

#[test]
fn what_a_host_that_joins_says_and_hears_is_as_its_samples_say() {
    let samples = Samples::default();
    samples.json::<enrol::Greeting>("enrol.Greeting");
    samples.json::<enrol::EnrolHost>("enrol.EnrolHost");
    samples.json::<enrol::Enrolled>("enrol.Enrolled");
}

#[test]
fn the_bytes_of_a_beat_never_change() {
    let samples = Samples::default();
    for (n, beat) in samples.json::<Beat>("beat.v1").into_iter().enumerate() {
        samples.bytes(&format!("beat.v1.{n}"), &beat);
    }
}

#[test]
fn the_shortest_form_of_each_request_stays_readable() {
    let read = list::shortest(&compare::shortest());
    let known = subjects();
    assert_eq!(read, known.into_iter().collect::<BTreeSet<_>>());
}

#[test]
fn the_guides_name_every_request_with_its_sample_and_who_may_ask_it() {
    chapter::check(&list::entries(&Samples::default()));
}

#[test]
fn no_sample_is_left_over() {
    let samples = Samples::default();
    list::requests(&samples);
    list::commands(&samples);
    list::documents(&samples);
    for name in ["frontend.AskStanding", "frontend.Standing", "frontend.Candidate", "frontend.NatsOrder"] {
        samples.used(name);
    }
    for name in ["enrol.Greeting", "enrol.EnrolHost", "enrol.Enrolled"] {
        samples.used(name);
    }
    for name in ["probe.AskSeen", "probe.Seen"] {
        samples.used(name);
    }
    for name in ["fact.NodeFacts", "event.CapacityChanged", "error.ErrorBody", "beat.v1", "least"] {
        samples.used(name);
    }
    assert_eq!(compare::stored(), samples.files(), "stored, and used");
}
