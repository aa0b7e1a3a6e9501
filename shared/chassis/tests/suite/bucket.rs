//! Buckets against a real nats-server.

use crate::support::{SOON, Thing, context, context_of};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::timeout;
use watari_chassis::{Bucket, Chest, Past, ReadError, Shape, TraceParent, WriteError, telemetry::trace};
use watari_contracts::Service;
use watari_testkit::{NatsCluster, NatsServer};

#[tokio::test]
async fn every_write_is_a_compare_and_set() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let things = Bucket::<Thing>::open(&ctx).await.unwrap();

    let first = things.create(&Thing::new("a", 1)).await.unwrap();
    assert!(matches!(things.create(&Thing::new("a", 9)).await, Err(WriteError::Exists { key }) if key == "a"));
    let second = things.update(&Thing::new("a", 2), first).await.unwrap();
    let stale = things.update(&Thing::new("a", 9), first).await;
    assert!(matches!(stale, Err(WriteError::Conflict { expected, .. }) if expected == first));
    let entry = things.get("a").await.unwrap().unwrap();
    assert_eq!((entry.value.size, entry.revision), (2, second));

    assert!(matches!(things.delete("a", first).await, Err(WriteError::Conflict { .. })));
    let deleted = things.delete("a", second).await.unwrap();
    assert!(things.get("a").await.unwrap().is_none());
    assert!(things.create(&Thing::new("a", 3)).await.unwrap() > deleted, "revisions only grow");
    assert!(things.get("nothing").await.unwrap().is_none());
}

#[tokio::test]
async fn a_hostile_key_is_refused_before_it_reaches_a_subject() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let things = Bucket::<Thing>::open(&ctx).await.unwrap();
    for key in ["", "*", ">", "a b", "a..b", ".a", "A", "a.>"] {
        assert!(matches!(things.create(&Thing::new(key, 1)).await, Err(WriteError::Bus { .. })), "{key:?}");
    }
}

#[tokio::test]
async fn a_write_and_its_event_are_one() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let things = Bucket::<Thing>::open(&ctx).await.unwrap();
    let mut events = ctx.bus.subscribe("watari.event.things.>").await.unwrap();

    let asked: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
    let created = trace::scope(asked, things.create(&Thing::new("a", 1))).await;
    let revision = created.unwrap();
    let event = timeout(SOON, events.next()).await.unwrap().unwrap();
    assert_eq!((&*event.subject, event.revision, event.deleted), ("watari.event.things.a", Some(revision), false));
    assert_eq!(serde_json::from_slice::<Thing>(&event.payload).unwrap(), Thing::new("a", 1));
    assert_eq!(event.trace, Some(asked), "an event belongs to the trace of the write");

    things.delete("a", revision).await.unwrap();
    let event = timeout(SOON, events.next()).await.unwrap().unwrap();
    assert!(event.deleted && event.revision > Some(revision) && event.trace.is_none());
}

#[tokio::test]
async fn two_front_ends_may_make_a_bucket_at_the_same_moment() {
    let nats = NatsServer::start();
    let url = nats.url();
    let (one, other) = tokio::join!(context(&url), context(&url));
    let (one, other) = tokio::join!(Bucket::<Thing>::open(&one), Bucket::<Thing>::open(&other));
    let revision = one.unwrap().create(&Thing::new("a", 1)).await.unwrap();
    assert_eq!(other.unwrap().get("a").await.unwrap().unwrap().revision, revision);
}

#[tokio::test]
async fn a_bucket_made_otherwise_is_brought_to_the_wanted_settings_without_loss() {
    let nats = NatsServer::start();
    let client = async_nats::connect(nats.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let plain = async_nats::jetstream::kv::Config { bucket: "things".into(), history: 1, ..Default::default() };
    let store = jetstream.create_key_value(plain).await.unwrap();
    store.put("a", r#"{"name":"a","size":1}"#.into()).await.unwrap();

    let ctx = context(&nats.url()).await;
    let things = Bucket::<Thing>::open(&ctx).await.unwrap();
    assert_eq!(things.get("a").await.unwrap().unwrap().value.size, 1);
    let stream = jetstream.get_stream("KV_things").await.unwrap();
    let config = &stream.cached_info().config;
    assert_eq!(config.max_messages_per_subject, 8);
    assert_eq!(config.republish.as_ref().unwrap().destination, "watari.event.things.>");
}

#[tokio::test]
async fn what_cannot_be_read_is_reported_and_is_not_taken_for_deleted() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let things = Bucket::<Thing>::open(&ctx).await.unwrap();
    things.create(&Thing::new("good", 1)).await.unwrap();
    let client = async_nats::connect(nats.url()).await.unwrap();
    let store = async_nats::jetstream::new(client).get_key_value("things").await.unwrap();
    store.put("bad", r#"{"name":"bad"}"#.into()).await.unwrap();
    store.put("liar", r#"{"name":"good","size":7}"#.into()).await.unwrap();

    for key in ["bad", "liar"] {
        assert!(matches!(things.get(key).await, Err(ReadError::Unreadable(e)) if e.key == key));
        assert!(matches!(things.create(&Thing::new(key, 1)).await, Err(WriteError::Exists { .. })));
    }
    let listed = things.list().await.unwrap();
    assert_eq!(listed.iter().filter(|l| l.is_ok()).count(), 1);
    assert_eq!(listed.iter().filter(|l| l.is_err()).count(), 2);
}

#[tokio::test]
async fn where_revisions_are_epochs_they_grow_even_if_the_bucket_is_lost() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let shape = Shape { history: 1, revisions_from_time: true };
    let things = Bucket::<Thing>::open_as(&ctx, shape).await.unwrap();
    let revision = things.create(&Thing::new("a", 1)).await.unwrap();
    assert!(
        revision > 1_700_000_000_000,
        "not in milliseconds, of which no more than one write each is made: {revision}"
    );
    assert!(things.update(&Thing::new("a", 2), revision).await.unwrap() > revision);
}

#[tokio::test]
async fn a_backup_reads_what_is_there_as_bytes_and_puts_back_only_where_nothing_is() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    assert!(Chest::find(&ctx.bus, "things").await.unwrap().is_none());
    let things = Bucket::<Thing>::open(&ctx).await.unwrap();
    let chest = Chest::find(&ctx.bus, "things").await.unwrap().unwrap();
    assert_eq!(chest.documents().await.unwrap(), vec![]);
    things.create(&Thing::new("a", 1)).await.unwrap();
    let gone = things.create(&Thing::new("gone", 1)).await.unwrap();
    things.delete("gone", gone).await.unwrap();
    let there = chest.documents().await.unwrap();
    assert_eq!(there.iter().map(|write| write.key.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(serde_json::from_slice::<Thing>(&there[0].payload).unwrap(), Thing::new("a", 1));

    let written = |thing: &Thing| Bytes::from(serde_json::to_vec(thing).unwrap());
    assert!(matches!(chest.put_new("a", &written(&Thing::new("a", 2))).await, Err(WriteError::Exists { .. })));
    assert_eq!(chest.put_new("a", &there[0].payload).await.unwrap(), there[0].revision, "it is there already");
    chest.put_new("gone", &written(&Thing::new("gone", 3))).await.unwrap();
    assert_eq!(things.get("gone").await.unwrap().unwrap().value, Thing::new("gone", 3));
    let past = Past::find(&ctx, "things").await.unwrap().unwrap().read(1, 100).await.unwrap();
    let why = |key: &str| past.iter().rfind(|write| write.key == key).and_then(|write| write.why.clone());
    assert_eq!((why("a"), why("gone").as_deref()), (None, Some("backup.restore")), "the history is told");
    let stale = chest.replace("a", 999, written(&Thing::new("a", 2))).await;
    assert!(matches!(stale, Err(WriteError::Conflict { .. })));
}

#[tokio::test]
async fn a_reader_waits_for_the_owner_to_make_the_bucket() {
    let nats = NatsServer::start();
    let (owner, reader) = (context(&nats.url()).await, context(&nats.url()).await);
    let waiting = tokio::spawn(async move { Bucket::<Thing>::of_another(&reader).await });
    let things = Bucket::<Thing>::open(&owner).await.unwrap();
    things.create(&Thing::new("a", 1)).await.unwrap();
    let found = timeout(SOON, waiting).await.unwrap().unwrap().unwrap();
    assert!(found.get("a").await.unwrap().is_some());
}

#[tokio::test]
async fn acknowledged_writes_survive_a_kill() {
    let mut nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let things = Bucket::<Thing>::open(&ctx).await.unwrap();
    for n in 0..50 {
        things.create(&Thing::new(&format!("t{n}"), n)).await.unwrap();
    }
    nats.restart();
    let mut up = ctx.bus.connected();
    timeout(SOON, up.wait_for(|yes| *yes)).await.unwrap().unwrap();
    watari_testkit::eventually("all fifty are there", SOON, || async {
        things.list().await.is_ok_and(|all| all.iter().filter(|t| t.is_ok()).count() == 50)
    })
    .await;
}

#[tokio::test]
async fn in_a_cluster_racing_writers_get_conflicts_and_one_dead_server_is_borne() {
    let mut cluster = NatsCluster::start(3);
    let ctx = context_of(Service::Scheduler, &cluster.urls()[0], |settings| {
        settings.bus.urls = cluster.urls();
        settings.bus.replicas = 3;
    })
    .await;
    let things = Bucket::<Thing>::open(&ctx).await.unwrap();
    let mut revision = things.create(&Thing::new("a", 0)).await.unwrap();
    for round in 1..20 {
        let value = Thing::new("a", round);
        let tries = (0..8).map(|_| things.update(&value, revision));
        let done = futures_util::future::join_all(tries).await;
        let won: Vec<_> = done.iter().filter_map(|d| d.as_ref().ok()).collect();
        let lost = done.iter().filter(|d| matches!(d, Err(WriteError::Conflict { .. }))).count();
        assert_eq!((won.len(), lost), (1, 7), "round {round}: {done:?}");
        revision = *won[0];
    }
    cluster.servers[1].kill();
    watari_testkit::eventually("two of three still write", SOON, || async {
        match things.get("a").await {
            Ok(Some(entry)) => things.update(&Thing::new("a", 100), entry.revision).await.is_ok(),
            _ => false,
        }
    })
    .await;
}
