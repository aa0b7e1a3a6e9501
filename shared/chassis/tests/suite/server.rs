//! The request server against a real nats-server, seen by a client that is not ours.

use std::{collections::HashMap, time::Duration};

use crate::support::{SOON, context, context_of, metric};
use async_nats::{HeaderMap, Message, Request as Ask, client::RequestErrorKind};
use futures_util::StreamExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::timeout,
};
use watari_chassis::{
    Call, CallError, Context, Drained, Leadership, Lease, LeaseDocument, Listening, Patience, Readiness, Server,
    metric_names,
};
use watari_contracts::{Command, ErrorBody, Request, Service};
use watari_model::{Document, NodeName, Refusal, admission};
use watari_testkit::NatsServer;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Greet {
    name: String,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Greeting {
    text: String,
    caller: String,
    trace: String,
    epoch: Option<u64>,
}
impl Request for Greet {
    const SUBJECT: &'static str = "watari.v1.thing.greet";
    const OWNER: Service = Service::Scheduler;
    const ABOUT: &'static str = "Greets somebody.";
    type Reply = Greeting;
}
/// What may be told without waiting for an answer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Shout {
    text: String,
}
impl Request for Shout {
    const SUBJECT: &'static str = "watari.v1.thing.shout";
    const OWNER: Service = Service::Scheduler;
    const ABOUT: &'static str = "Tells something.";
    const TOLD: bool = true;
    type Reply = Greeting;
}
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Wave {}
impl Command for Wave {
    const VERB: &'static str = "wave";
    const ABOUT: &'static str = "Waves.";
    type Reply = Greeting;
}

async fn greet(call: Call, greet: Greet) -> Result<Greeting, Refusal> {
    match &*greet.name {
        "nobody" => Err(Refusal::VmUnknown { vm: "nobody".into() }),
        "bomb" => panic!("a fault of the handler"),
        name => Ok(Greeting {
            text: format!("hello {name}"),
            caller: call.caller,
            trace: call.trace.map(|trace| trace.trace_id()).unwrap_or_default(),
            epoch: call.epoch,
        }),
    }
}

async fn serving(ctx: &Context) -> watch::Sender<Leadership> {
    let (lead, leadership) = watch::channel(Leadership::Primary { epoch: 7 });
    let server = Server::new(ctx, Service::Scheduler).endpoint(greet);
    tokio::spawn(server.serve(leadership));
    let mut ready = ctx.ready.watch();
    timeout(SOON, ready.wait_for(|r| *r == Readiness::Primary)).await.unwrap().unwrap();
    lead
}

async fn ask(nats: &NatsServer, subject: &str, payload: impl Into<Vec<u8>>) -> Message {
    let client = async_nats::connect(nats.url()).await.unwrap();
    client.request(subject.to_owned(), payload.into().into()).await.unwrap()
}

fn error(message: &Message) -> (String, ErrorBody) {
    let headers = message.headers.as_ref().unwrap();
    assert!(!headers.get("Nats-Service-Error").unwrap().as_str().is_empty());
    let code = headers.get("Nats-Service-Error-Code").unwrap().as_str().to_owned();
    (code, serde_json::from_slice(&message.payload).unwrap())
}

#[tokio::test]
async fn a_request_is_answered_and_a_refusal_comes_with_headers_and_body() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let _lead = serving(&ctx).await;
    let caller = context_of(Service::Image, &nats.url(), |s| s.bus.identity = "image.m-front".into()).await;

    let greeting = caller.bus.request(&Greet { name: "mail".into() }).await.unwrap();
    assert_eq!((&*greeting.text, &*greeting.caller, greeting.epoch), ("hello mail", "_INBOX_image-m-front", Some(7)));

    let refused = caller.bus.request(&Greet { name: "nobody".into() }).await.unwrap_err();
    assert!(matches!(&refused, CallError::Refused(body) if body.code == "vm.unknown" && !body.retryable));
    assert_eq!(Refusal::from(refused), Refusal::VmUnknown { vm: "nobody".into() });

    let (code, body) = error(&ask(&nats, Greet::SUBJECT, r#"{"name":"nobody"}"#).await);
    assert_eq!((&*code, &*body.code), ("404", "vm.unknown"));
    assert!(!body.hint.is_empty() && !body.ja.cause.is_empty());
}

#[tokio::test]
async fn what_cannot_be_read_and_what_is_too_large_changes_nothing_and_is_told() {
    let nats = NatsServer::start();
    let ctx = context_of(Service::Scheduler, &nats.url(), |s| s.limits.request_bytes = 2048).await;
    let _lead = serving(&ctx).await;
    for bad in ["", "{", "[]", "null", r#"{"name":1}"#, r#"{"name":"a","colour":"red"}"#, "\u{0}"] {
        let (code, body) = error(&ask(&nats, Greet::SUBJECT, bad).await);
        assert_eq!((&*code, &*body.code), ("400", "request.malformed"), "{bad}");
    }
    let (_, body) = error(&ask(&nats, Greet::SUBJECT, r#"{"name":"a","colour":"red"}"#).await);
    assert!(body.message.contains("colour"), "{}", body.message);
    let (code, body) = error(&ask(&nats, Greet::SUBJECT, vec![b' '; 4000]).await);
    assert_eq!((&*code, &*body.code), ("400", "request.too-large"));
    assert!(body.message.contains("4000") && body.hint.contains("2048"));
}

#[tokio::test]
async fn a_handler_that_panics_is_answered_and_counted_and_the_next_request_works() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let _lead = serving(&ctx).await;
    let (code, body) = error(&ask(&nats, Greet::SUBJECT, r#"{"name":"bomb"}"#).await);
    assert_eq!((&*code, &*body.code, metric(&ctx, metric_names::PANICS)), ("500", "internal", 1.0));
    assert!(ctx.bus.request(&Greet { name: "mail".into() }).await.is_ok());
}

#[tokio::test]
async fn an_answer_goes_to_inboxes_only() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let _lead = serving(&ctx).await;
    let client = async_nats::connect(nats.url()).await.unwrap();
    let evil = ["$JS.API.STREAM.NAMES", "$KV.things.a", "watari.event.x", "$SYS.REQ.USER.INFO"];
    let mut spies = Vec::new();
    for subject in evil {
        spies.push(client.subscribe(subject).await.unwrap());
    }
    client.flush().await.unwrap();
    for (asked, count) in [(Greet::SUBJECT, 1.0), ("$SRV.PING", 2.0)] {
        for reply in evil {
            client.publish_with_reply(asked, reply, r#"{"name":"mail"}"#.into()).await.unwrap();
        }
        watari_testkit::eventually("all are counted", SOON, || async {
            metric(&ctx, metric_names::EVIL_REPLIES) >= count * 4.0
        })
        .await;
    }
    // An honest answer comes after whatever the evil ones might have caused.
    ctx.bus.request(&Greet { name: "mail".into() }).await.unwrap();
    client.flush().await.unwrap();
    for mut spy in spies {
        assert!(futures_util::FutureExt::now_or_never(spy.next()).is_none());
    }
}

#[tokio::test]
async fn what_tells_how_things_are_is_handled_with_nobody_waiting_for_an_answer_and_no_other_request_is() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let (heard, mut hearing) = mpsc::unbounded_channel();
    let hear = {
        let heard = heard.clone();
        move |call: Call, shout: Shout| {
            let _ = heard.send((shout.text, call.asker.clone(), call.caller.clone()));
            greet(call, Greet { name: "all".into() })
        }
    };
    let greeted = move |call: Call, asked: Greet| {
        let _ = heard.send((asked.name.clone(), call.asker.clone(), call.caller.clone()));
        greet(call, asked)
    };
    let (_lead, leadership) = watch::channel(Leadership::Primary { epoch: 7 });
    tokio::spawn(Server::new(&ctx, Service::Scheduler).endpoint(hear).endpoint(greeted).serve(leadership));
    let mut ready = ctx.ready.watch();
    timeout(SOON, ready.wait_for(|r| *r == Readiness::Primary)).await.unwrap().unwrap();

    let client = async_nats::connect(nats.url()).await.unwrap();
    let mut asker = HeaderMap::new();
    asker.insert("Nats-Request-Info", r#"{"acc":"PEOPLE","user":"UABC","host":"192.0.2.10"}"#);
    client.publish(Greet::SUBJECT, r#"{"name":"unheard"}"#.into()).await.unwrap();
    client.publish(Shout::SUBJECT, r#"{"txet":"unreadable"}"#.into()).await.unwrap();
    client.publish_with_headers(Shout::SUBJECT, asker, r#"{"text":"fire"}"#.into()).await.unwrap();
    let told = timeout(SOON, hearing.recv()).await.unwrap().unwrap();
    assert_eq!(told, ("fire".to_owned(), "UABC".to_owned(), String::new()));
    // Behind the one that was dropped in the same subscription; and whoever waits has an answer of both kinds.
    ctx.bus.request(&Greet { name: "mail".into() }).await.unwrap();
    assert_eq!(timeout(SOON, hearing.recv()).await.unwrap().unwrap().0, "mail");
    let answer = ask(&nats, Shout::SUBJECT, r#"{"text":"again"}"#).await;
    assert_eq!(serde_json::from_slice::<Greeting>(&answer.payload).unwrap().text, "hello all");
    assert_eq!(timeout(SOON, hearing.recv()).await.unwrap().unwrap().0, "again");
    watari_testkit::eventually("all four are counted, the unreadable one too", SOON, || async {
        (metric(&ctx, metric_names::REQUESTS) - 4.0).abs() < 0.5
    })
    .await;
}

#[tokio::test]
async fn what_everybody_is_asked_each_process_answers_for_itself_and_to_inboxes_only() {
    const SURVEY: &str = "watari.survey";
    let nats = NatsServer::start();
    let (one, two) = (context(&nats.url()).await, context(&nats.url()).await);
    for (ctx, name) in [(&one, "one"), (&two, "two")] {
        let answer = move |asked: Greet| async move { format!("{name}: {}", asked.name) };
        ctx.answer_all(SURVEY, answer).await.unwrap();
    }
    let client = async_nats::connect(nats.url()).await.unwrap();
    let mut spy = client.subscribe("$KV.things.a").await.unwrap();
    for (reply, payload) in [("$KV.things.a", r#"{"name":"mail"}"#), ("_INBOX.x", "no question")] {
        client.publish_with_reply(SURVEY, reply, payload.into()).await.unwrap();
    }
    client.flush().await.unwrap();
    let patience = Patience { total: SOON, quiet: Duration::from_millis(500) };
    let mut heard: Vec<String> = one.bus.gather(SURVEY, &Greet { name: "mail".into() }, patience).await.unwrap();
    heard.sort();
    assert_eq!(heard, ["one: mail", "two: mail"]);
    assert!(metric(&one, metric_names::EVIL_REPLIES) > 0.0 && metric(&two, metric_names::EVIL_REPLIES) > 0.0);
    assert!(futures_util::FutureExt::now_or_never(spy.next()).is_none());
}

#[tokio::test]
async fn the_trace_of_a_request_is_that_of_its_handler_and_of_the_answer() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let _lead = serving(&ctx).await;
    let client = async_nats::connect(nats.url()).await.unwrap();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    let request = Ask::new().headers(headers).payload(r#"{"name":"mail"}"#.into());
    let answer = client.send_request(Greet::SUBJECT, request).await.unwrap();
    assert_eq!(serde_json::from_slice::<Greeting>(&answer.payload).unwrap().trace, trace);
    assert!(answer.headers.unwrap().get("traceparent").unwrap().as_str().contains(trace));

    let parent = format!("00-{trace}-00f067aa0ba902b7-01").parse().unwrap();
    let within = watari_chassis::telemetry::trace::scope(parent, ctx.bus.request(&Greet { name: "mail".into() })).await;
    assert_eq!(within.unwrap().trace, trace, "what a handler asks belongs to the trace it works for");
}

#[tokio::test]
async fn where_nobody_writes_lines_or_sends_traces_no_id_is_made_for_any() {
    // As in a process whose filter lets no line through. Without any subscriber the fields go to the crate `log`, which
    // has them put together for nobody.
    tracing::subscriber::set_global_default(tracing::subscriber::NoSubscriber::default()).unwrap();
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let _lead = serving(&ctx).await;
    assert_eq!(ctx.bus.request(&Greet { name: "mail".into() }).await.unwrap().trace, "");
    let answer = ask(&nats, Greet::SUBJECT, r#"{"name":"mail"}"#).await;
    assert!(answer.headers.is_none_or(|headers| headers.get("traceparent").is_none()), "nor is the answer told of one");
}

#[tokio::test]
async fn a_standby_is_not_asked_and_a_new_primary_answers_with_its_epoch() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let lead = serving(&ctx).await;
    let mut ready = ctx.ready.watch();

    lead.send_replace(Leadership::Standby { leader: None });
    timeout(SOON, ready.wait_for(|r| *r == Readiness::Standby)).await.unwrap().unwrap();
    watari_testkit::eventually("nobody listens", SOON, || async {
        let asked = ctx.bus.request(&Greet { name: "mail".into() }).await;
        matches!(asked, Err(CallError::NoAnswer { listening: Listening::Nobody, .. }))
    })
    .await;
    let info = serde_json::from_slice::<Value>(&ask(&nats, "$SRV.INFO.watari-scheduler", "").await.payload).unwrap();
    assert_eq!(info["endpoints"], json!([]));

    lead.send_replace(Leadership::Primary { epoch: 9 });
    let asked = ctx.bus.request_patiently(&Greet { name: "mail".into() }, SOON).await.unwrap();
    assert_eq!(asked.epoch, Some(9));
}

#[tokio::test]
async fn who_is_asked_while_its_lease_does_not_hold_says_so_even_if_it_has_not_been_told_yet() {
    let nats = NatsServer::start();
    let (ctx, other) = (context(&nats.url()).await, context(&nats.url()).await);
    let campaign = |ctx: Context| async move { Lease::campaign(&ctx, Service::Scheduler, SOON).await.unwrap() };
    let mut elsewhere = campaign(other).await;
    timeout(SOON, elsewhere.wait_for(|l| l.epoch().is_some())).await.unwrap().unwrap();
    let _standby = campaign(ctx.clone()).await;
    // What it was told last is that it leads.
    let _lead = serving(&ctx).await;
    let asked = ctx.bus.request(&Greet { name: "mail".into() }).await;
    let CallError::Refused(body) = asked.expect_err("it has answered") else { panic!("nobody listens") };
    assert_eq!(body.refusal, Refusal::NotPrimary { service: "scheduler".into() });
}

#[tokio::test]
async fn a_node_that_obeys_a_later_leader_has_the_sender_look_at_its_lease_at_once_and_stand_down_if_it_is_lost() {
    let nats = NatsServer::start();
    let (ctx, agent) = (context(&nats.url()).await, context_of(Service::NodeAgent, &nats.url(), |_| {}).await);
    let node: NodeName = "m1".parse().unwrap();
    let newer = |_: Call, _: Wave| async { Err(admission::heed(9, 7).unwrap_err()) };
    tokio::spawn(Server::new(&agent, Service::NodeAgent).commands(&node).command(newer).done().serve_always());
    timeout(SOON, agent.ready.watch().wait_for(|r| *r == Readiness::Serving)).await.unwrap().unwrap();
    // The next renewal is due when this test has long given up.
    let mut leadership = Lease::campaign(&ctx, Service::Scheduler, SOON * 4).await.unwrap();
    let epoch = timeout(SOON, leadership.wait_for(|l| l.epoch().is_some())).await.unwrap().unwrap().epoch();

    let leases = async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    let leases = leases.get_key_value(LeaseDocument::BUCKET).await.unwrap();
    let (service, holder) = (Service::Scheduler, Some("another".to_owned()));
    let lost = LeaseDocument { v: 1, service, holder, epoch: None, ttl_ms: 80_000, site: None, successor: None };
    leases.put(lost.key(), serde_json::to_vec(&lost).unwrap().into()).await.unwrap();
    assert_eq!(leadership.borrow().epoch(), epoch, "it cannot know yet");

    let refused = ctx.bus.command(&node, &Wave {}).await;
    assert!(matches!(refused, Err(CallError::Refused(_))), "{refused:?}");
    timeout(SOON, leadership.wait_for(|l| l.epoch().is_none())).await.expect("it goes on").unwrap();
    assert!(!ctx.may_act());
}

#[tokio::test]
async fn who_asks_patiently_asks_again_when_it_is_told_that_another_leads_and_no_other_refusal_is_repeated() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let (lead, leadership) = watch::channel(Leadership::Primary { epoch: 7 });
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = asked.clone();
    let overtaken_once = move |call: Call, ask: Greet| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move {
            match number {
                0 => Err(Refusal::NotPrimary { service: "scheduler".into() }),
                _ => greet(call, ask).await,
            }
        }
    };
    tokio::spawn(Server::new(&ctx, Service::Scheduler).endpoint(overtaken_once).serve(leadership));
    let mut ready = ctx.ready.watch();
    timeout(SOON, ready.wait_for(|r| *r == Readiness::Primary)).await.unwrap().unwrap();

    let answered = ctx.bus.request_patiently(&Greet { name: "mail".into() }, SOON).await.unwrap();
    assert_eq!((answered.epoch, asked.load(std::sync::atomic::Ordering::SeqCst)), (Some(7), 2));
    let refused = ctx.bus.request_patiently(&Greet { name: "nobody".into() }, SOON).await;
    assert!(matches!(refused, Err(CallError::Refused(_))), "{refused:?}");
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 3);
    drop(lead);
}

#[tokio::test]
async fn of_an_answer_its_asker_may_read_a_part() {
    #[derive(Deserialize)]
    struct Part {
        epoch: Option<u64>,
    }
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let _lead = serving(&ctx).await;
    let part: Part = ctx.bus.request_part(&Greet { name: "mail".into() }).await.unwrap();
    assert_eq!(part.epoch, Some(7));
    let refused = ctx.bus.request_part::<_, Part>(&Greet { name: "nobody".into() }).await;
    assert!(matches!(refused, Err(CallError::Refused(_))));
}

#[tokio::test]
async fn the_services_api_shows_endpoints_with_schemas_and_counts_errors() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let _lead = serving(&ctx).await;
    ask(&nats, Greet::SUBJECT, r#"{"name":"mail"}"#).await;
    ask(&nats, Greet::SUBJECT, r#"{"name":"nobody"}"#).await;
    let read = |m: Message| serde_json::from_slice::<Value>(&m.payload).unwrap();

    let ping = read(ask(&nats, "$SRV.PING", "").await);
    assert_eq!((&ping["type"], &ping["name"]), (&json!("io.nats.micro.v1.ping_response"), &json!("watari-scheduler")));
    let id = ping["id"].as_str().unwrap();
    let info = read(ask(&nats, &format!("$SRV.INFO.watari-scheduler.{id}"), "").await);
    let endpoint = &info["endpoints"][0];
    assert_eq!((&endpoint["name"], &endpoint["subject"]), (&json!("thing-greet"), &json!(Greet::SUBJECT)));
    assert_eq!(endpoint["metadata"]["about"], "Greets somebody.");
    for schema in ["request_schema", "reply_schema"] {
        let schema: Value = serde_json::from_str(endpoint["metadata"][schema].as_str().unwrap()).unwrap();
        assert_eq!(schema["type"], "object");
    }
    let stats = read(ask(&nats, "$SRV.STATS.watari-scheduler", "").await);
    let endpoint = &stats["endpoints"][0];
    assert_eq!((&endpoint["num_requests"], &endpoint["num_errors"]), (&json!(2), &json!(1)));
    assert_eq!(endpoint["last_error"], "404:vm.unknown");
    assert!(endpoint["average_processing_time"].as_u64().unwrap() > 0);
    assert_eq!(metric(&ctx, metric_names::REQUESTS), 2.0);
}

#[tokio::test]
async fn an_agent_answers_the_commands_of_its_own_node_only() {
    let nats = NatsServer::start();
    let ctx = context_of(Service::NodeAgent, &nats.url(), |_| {}).await;
    let node: NodeName = "m1".parse().unwrap();
    let wave = |call: Call, _: Wave| async move {
        Ok(Greeting { text: "waves".into(), caller: call.caller, trace: String::new(), epoch: call.epoch })
    };
    let server = Server::new(&ctx, Service::NodeAgent).commands(&node).command(wave).done();
    tokio::spawn(server.serve_always());
    let mut ready = ctx.ready.watch();
    timeout(SOON, ready.wait_for(|r| *r == Readiness::Serving)).await.unwrap().unwrap();

    assert_eq!(ctx.bus.command(&node, &Wave {}).await.unwrap().epoch, None);
    let other = ctx.bus.command(&"m2".parse().unwrap(), &Wave {}).await;
    assert!(matches!(&other, Err(CallError::NoAnswer { who, .. }) if who == "node m2"), "{other:?}");
}

#[tokio::test]
async fn an_agent_that_never_found_a_server_ends_when_it_is_told_to() {
    let ctx = timeout(SOON, context_of(Service::NodeAgent, "nats://127.0.0.1:1", |_| {})).await.unwrap();
    let served = tokio::spawn(Server::new(&ctx, Service::NodeAgent).serve_always());
    ctx.shutdown.cancel();
    timeout(SOON, served).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn requests_in_hand_are_finished_when_the_process_is_told_to_stop() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let (entered, go_on) = (std::sync::Arc::new(Notify::new()), std::sync::Arc::new(Notify::new()));
    let (inside, release) = (entered.clone(), go_on.clone());
    let slow = move |_: Call, _: Greet| {
        let (inside, release) = (inside.clone(), release.clone());
        async move {
            inside.notify_one();
            release.notified().await;
            Ok(Greeting { text: "late".into(), caller: String::new(), trace: String::new(), epoch: None })
        }
    };
    tokio::spawn(Server::new(&ctx, Service::Scheduler).endpoint(slow).serve_always());
    let mut ready = ctx.ready.watch();
    timeout(SOON, ready.wait_for(|r| *r == Readiness::Serving)).await.unwrap().unwrap();

    let client = async_nats::connect(nats.url()).await.unwrap();
    let asked = tokio::spawn(async move { client.request(Greet::SUBJECT, r#"{"name":"a"}"#.into()).await });
    timeout(SOON, entered.notified()).await.unwrap();
    assert!((metric(&ctx, metric_names::IN_HAND) - 1.0).abs() < 0.5);
    let draining = tokio::spawn({
        let ctx = ctx.clone();
        async move { ctx.drain().await }
    });
    timeout(SOON, ready.wait_for(|r| *r == Readiness::Draining)).await.unwrap().unwrap();
    let client = async_nats::connect(nats.url()).await.unwrap();
    watari_testkit::eventually("nothing new is taken", SOON, || async {
        let asked = timeout(Duration::from_millis(300), client.request(Greet::SUBJECT, "{}".into())).await;
        matches!(asked, Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders)
    })
    .await;
    go_on.notify_one();
    let answer = timeout(SOON, asked).await.unwrap().unwrap().unwrap();
    assert_eq!(serde_json::from_slice::<Greeting>(&answer.payload).unwrap().text, "late");
    assert_eq!(timeout(SOON, draining).await.unwrap().unwrap(), Drained::Fully);
    assert!(metric(&ctx, metric_names::IN_HAND).abs() < 0.5);
}

#[tokio::test]
async fn what_waits_when_leadership_ends_is_told_that_nothing_was_done() {
    let nats = NatsServer::start();
    let ctx = context_of(Service::Scheduler, &nats.url(), |s| s.limits.in_flight = 1).await;
    let (entered, go_on) = (std::sync::Arc::new(Notify::new()), std::sync::Arc::new(Notify::new()));
    let (inside, release) = (entered.clone(), go_on.clone());
    let slow = move |call: Call, _: Greet| {
        let (inside, release) = (inside.clone(), release.clone());
        async move {
            inside.notify_one();
            release.notified().await;
            Ok(Greeting { text: "late".into(), caller: String::new(), trace: String::new(), epoch: call.epoch })
        }
    };
    let (lead, leadership) = watch::channel(Leadership::Primary { epoch: 7 });
    tokio::spawn(Server::new(&ctx, Service::Scheduler).endpoint(slow).serve(leadership));
    let mut ready = ctx.ready.watch();
    timeout(SOON, ready.wait_for(|r| *r == Readiness::Primary)).await.unwrap().unwrap();

    let ask = || {
        let bus = ctx.bus.clone();
        tokio::spawn(async move { bus.request_within(&Greet { name: "a".into() }, SOON).await })
    };
    let taken = ask();
    timeout(SOON, entered.notified()).await.unwrap();
    let waiting = ask();
    tokio::task::yield_now().await;
    // Behind it in the same connection: when this has come back, so has the request before it.
    let mut own = ctx.bus.subscribe("watari.test.behind").await.unwrap();
    ctx.bus.publish_json("watari.test.behind", &1).await.unwrap();
    assert!(timeout(SOON, own.next()).await.unwrap().is_some());
    lead.send_replace(Leadership::Standby { leader: None });
    timeout(SOON, ready.wait_for(|r| *r == Readiness::Standby)).await.unwrap().unwrap();
    go_on.notify_one();
    assert_eq!(timeout(SOON, taken).await.unwrap().unwrap().unwrap().epoch, Some(7));
    let refused = timeout(SOON, waiting).await.unwrap().unwrap().unwrap_err();
    let told = matches!(&refused, CallError::Refused(body) if body.code == "bus.not-primary" && body.retryable);
    assert!(told, "{refused:?}");
}

#[tokio::test]
async fn while_all_places_are_taken_requests_wait_and_none_is_lost() {
    let nats = NatsServer::start();
    let ctx = context_of(Service::Scheduler, &nats.url(), |s| s.limits.in_flight = 2).await;
    let _lead = serving(&ctx).await;
    let asked = (0..200).map(|n| {
        let bus = ctx.bus.clone();
        async move { bus.request(&Greet { name: format!("n{n}") }).await.map(|g| (n, g.text)) }
    });
    let answers: HashMap<i32, String> = futures_util::future::try_join_all(asked).await.unwrap().into_iter().collect();
    assert!((0..200).all(|n| answers[&n] == format!("hello n{n}")));
}
