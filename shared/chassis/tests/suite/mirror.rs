//! Mirrors against a real nats-server.

use std::time::Duration;

use crate::support::{SOON, Thing, context, context_of, metric};
use tokio::time::timeout;
use watari_chassis::{Bucket, Mirror, WriteError, metric_names};
use watari_contracts::Service;
use watari_testkit::{NatsCluster, NatsServer, eventually};

fn sizes(mirror: &Mirror<Thing>) -> Vec<(String, u64)> {
    mirror.snapshot().values().map(|e| (e.value.name.clone(), e.value.size)).collect()
}

async fn store(nats: &NatsServer) -> async_nats::jetstream::kv::Store {
    let client = async_nats::connect(nats.url()).await.unwrap();
    async_nats::jetstream::new(client).get_key_value("things").await.unwrap()
}

#[tokio::test]
async fn a_mirror_begins_full_and_sees_others_changes_and_deletions() {
    let nats = NatsServer::start();
    let (writer, reader) = (context(&nats.url()).await, context(&nats.url()).await);
    let things = Bucket::<Thing>::open(&writer).await.unwrap();
    let a = things.create(&Thing::new("a", 1)).await.unwrap();
    let b = things.create(&Thing::new("b", 1)).await.unwrap();
    things.delete("b", b).await.unwrap();

    let mirror = Mirror::<Thing>::of_another(&reader).await.unwrap();
    assert_eq!(sizes(&mirror), [("a".to_owned(), 1)]);

    let a = things.update(&Thing::new("a", 2), a).await.unwrap();
    things.create(&Thing::new("c", 3)).await.unwrap();
    eventually("both changes are seen", SOON, || async {
        sizes(&mirror) == [("a".to_owned(), 2), ("c".to_owned(), 3)]
    })
    .await;
    assert_eq!(mirror.get("a").unwrap().revision, a);
    things.delete("a", a).await.unwrap();
    eventually("the deletion is seen", SOON, || async { mirror.get("a").is_none() }).await;
    assert!(mirror.vanished().is_empty());
}

#[tokio::test]
async fn own_writes_are_seen_at_once() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let mirror = Mirror::<Thing>::open(&ctx).await.unwrap();
    let mut revision = mirror.create(&Thing::new("a", 0)).await.unwrap();
    for size in 1..50 {
        assert_eq!(mirror.get("a").unwrap().revision, revision);
        revision = mirror.update(&Thing::new("a", size), revision).await.unwrap();
        assert_eq!(sizes(&mirror), [("a".to_owned(), size)]);
    }
    mirror.bucket().delete("a", revision).await.unwrap();
    assert!(mirror.get("a").is_none());
    assert!(matches!(mirror.update(&Thing::new("a", 0), revision).await, Err(WriteError::Conflict { .. })));
}

#[tokio::test]
async fn a_mirror_keeps_what_it_has_while_the_server_is_away_and_catches_up_afterwards() {
    let mut nats = NatsServer::start();
    let (writer, reader) = (context(&nats.url()).await, context(&nats.url()).await);
    let things = Bucket::<Thing>::open(&writer).await.unwrap();
    let revision = things.create(&Thing::new("a", 1)).await.unwrap();
    let mirror = Mirror::<Thing>::of_another(&reader).await.unwrap();
    let mut connected = reader.bus.connected();

    nats.kill();
    timeout(SOON, connected.wait_for(|up| !*up)).await.unwrap().unwrap();
    assert_eq!(sizes(&mirror), [("a".to_owned(), 1)]);

    nats.restart();
    eventually("the writer is back", SOON, || async { things.update(&Thing::new("a", 2), revision).await.is_ok() })
        .await;
    eventually("the reader is back", SOON, || async { sizes(&mirror) == [("a".to_owned(), 2)] }).await;
    things.create(&Thing::new("b", 1)).await.unwrap();
    eventually("and follows", SOON, || async { mirror.get("b").is_some() }).await;
    assert!(mirror.vanished().is_empty());
}

#[tokio::test]
async fn a_document_that_vanishes_without_deletion_is_kept_and_is_an_alarm() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let mirror = Mirror::<Thing>::open(&ctx).await.unwrap();
    mirror.create(&Thing::new("lost", 1)).await.unwrap();
    mirror.create(&Thing::new("kept", 1)).await.unwrap();

    let stream = store(&nats).await.stream;
    stream.purge().filter("$KV.things.lost").await.unwrap();
    mirror.relist();
    eventually("the loss is noticed", SOON, || async { mirror.vanished() == ["lost"] }).await;
    assert_eq!(mirror.snapshot().len(), 2, "a missing document never stops or deletes a server");
    assert_eq!(metric(&ctx, metric_names::VANISHED), 1.0);

    store(&nats).await.put("lost", r#"{"name":"lost","size":2}"#.into()).await.unwrap();
    eventually("it is back", SOON, || async {
        mirror.vanished().is_empty() && mirror.get("lost").unwrap().value.size == 2
    })
    .await;
}

#[tokio::test]
async fn who_catches_up_has_all_that_was_stored_and_does_not_wait_for_what_was_purged() {
    let nats = NatsServer::start();
    let (owner, reader) = (context(&nats.url()).await, context(&nats.url()).await);
    let things = Bucket::<Thing>::open(&owner).await.unwrap();
    let mirror = Mirror::<Thing>::of_another(&reader).await.unwrap();
    for n in 0..300 {
        things.create(&Thing::new(&format!("t{n}"), 1)).await.unwrap();
    }
    mirror.catch_up().await;
    assert_eq!(mirror.snapshot().len(), 300);

    // The stream's number of the last message says nothing of one that is gone.
    let fresh = context(&nats.url()).await;
    store(&nats).await.stream.purge().filter("$KV.things.t299").await.unwrap();
    let late = Mirror::<Thing>::of_another(&fresh).await.unwrap();
    tokio::time::timeout(SOON, late.catch_up()).await.unwrap();
    assert_eq!(late.snapshot().len(), 299);

    drop(nats);
    let unanswered = tokio::time::timeout(Duration::from_secs(1), mirror.catch_up()).await;
    assert!(unanswered.is_err(), "nobody has said that it is whole");
}

#[tokio::test]
async fn who_catches_up_lists_nothing_where_the_leader_has_nothing_that_is_not_here() {
    let nats = NatsServer::start();
    let (owner, reader) = (context(&nats.url()).await, context(&nats.url()).await);
    let things = Bucket::<Thing>::open(&owner).await.unwrap();
    things.create(&Thing::new("a", 1)).await.unwrap();
    let mirror = Mirror::<Thing>::of_another(&reader).await.unwrap();
    let b = things.create(&Thing::new("b", 1)).await.unwrap();
    things.delete("b", b).await.unwrap();
    things.create(&Thing::new("c", 1)).await.unwrap();
    eventually("the watch has brought it", SOON, || async { mirror.get("c").is_some() }).await;
    let lists = metric(&reader, metric_names::RELISTS);
    for _ in 0..3 {
        timeout(SOON, mirror.catch_up()).await.unwrap();
    }
    assert_eq!(metric(&reader, metric_names::RELISTS), lists, "a question is enough");
    assert_eq!(mirror.snapshot().len(), 2);
}

#[tokio::test]
async fn who_catches_up_learns_at_once_that_a_document_is_gone() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let mirror = Mirror::<Thing>::open(&ctx).await.unwrap();
    mirror.create(&Thing::new("lost", 1)).await.unwrap();
    mirror.create(&Thing::new("kept", 1)).await.unwrap();
    timeout(SOON, mirror.catch_up()).await.unwrap();
    store(&nats).await.stream.purge().filter("$KV.things.lost").await.unwrap();
    timeout(SOON, mirror.catch_up()).await.unwrap();
    assert_eq!((mirror.vanished(), mirror.snapshot().len()), (vec!["lost".to_owned()], 2));
}

#[tokio::test]
async fn what_a_process_wrote_itself_hides_nothing_from_it_when_it_catches_up() {
    let nats = NatsServer::start();
    let (other, own) = (context(&nats.url()).await, context(&nats.url()).await);
    let mirror = Mirror::<Thing>::open(&own).await.unwrap();
    let a = mirror.create(&Thing::new("a", 1)).await.unwrap();
    let b = mirror.create(&Thing::new("b", 1)).await.unwrap();
    timeout(SOON, mirror.catch_up()).await.unwrap();

    // From here on the watch brings nothing, without anybody's noticing.
    nats.make_copies_old("things").await;
    let others = Bucket::<Thing>::of_another(&other).await.unwrap();
    others.update(&Thing::new("a", 2), a).await.unwrap();
    let newest = mirror.update(&Thing::new("b", 2), b).await.unwrap();
    assert_eq!(mirror.get("b").unwrap().revision, newest, "its own write is the bucket's newest");
    timeout(SOON, mirror.catch_up()).await.unwrap();
    assert_eq!(sizes(&mirror), [("a".to_owned(), 2), ("b".to_owned(), 2)]);
}

#[tokio::test]
async fn a_bucket_made_anew_is_an_alarm_and_deletes_nothing() {
    let nats = NatsServer::start();
    let (owner, reader) = (context(&nats.url()).await, context(&nats.url()).await);
    let things = Bucket::<Thing>::open(&owner).await.unwrap();
    for n in 0..5 {
        things.create(&Thing::new(&format!("t{n}"), 1)).await.unwrap();
    }
    let mirror = Mirror::<Thing>::of_another(&reader).await.unwrap();
    let client = async_nats::connect(nats.url()).await.unwrap();
    async_nats::jetstream::new(client).delete_stream("KV_things").await.unwrap();
    mirror.relist();
    eventually("the loss is told", SOON, || async { metric(&reader, metric_names::RELISTS) > 1.0 }).await;
    assert_eq!(mirror.snapshot().len(), 5);

    let again = Bucket::<Thing>::open(&owner).await.unwrap();
    again.create(&Thing::new("t0", 7)).await.unwrap();
    eventually("the new document is read", SOON, || async { mirror.get("t0").unwrap().value.size == 7 }).await;
    eventually("the others are missed", SOON, || async { mirror.vanished().len() == 4 }).await;
    assert_eq!(mirror.snapshot().len(), 5);
    assert_eq!(metric(&reader, metric_names::REMADE), 1.0);
}

#[tokio::test]
async fn what_cannot_be_read_is_an_alarm_and_its_last_form_stays() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let mirror = Mirror::<Thing>::open(&ctx).await.unwrap();
    let revision = mirror.create(&Thing::new("a", 1)).await.unwrap();
    store(&nats).await.put("a", "{".into()).await.unwrap();
    eventually("it is noticed", SOON, || async { mirror.unreadable() == ["a"] }).await;
    assert_eq!((mirror.get("a").unwrap().value.size, metric(&ctx, metric_names::UNREADABLE)), (1, 1.0));
    let overwritten = mirror.update(&Thing::new("a", 2), revision).await;
    assert!(matches!(overwritten, Err(WriteError::Conflict { .. })), "it is not overwritten unseen");
}

#[tokio::test]
async fn ten_thousand_documents_are_here_when_a_mirror_begins() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let things = Bucket::<Thing>::open(&ctx).await.unwrap();
    let jetstream = async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    let mut acks = Vec::new();
    for n in 0..10_000 {
        let json = format!(r#"{{"name":"t{n}","size":{n}}}"#);
        acks.push(jetstream.publish(format!("$KV.things.t{n}"), json.into()).await.unwrap());
        if acks.len() == 500 {
            for ack in acks.drain(..) {
                ack.await.unwrap();
            }
        }
    }
    let mirror = timeout(Duration::from_secs(30), Mirror::start(things, &ctx)).await.unwrap().unwrap();
    assert_eq!(mirror.snapshot().len(), 10_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_clusters_servers_die_in_turn_nothing_acknowledged_is_lost_and_nothing_goes_backwards() {
    let mut cluster = NatsCluster::start(3);
    let urls = cluster.urls();
    let process = || {
        context_of(Service::Scheduler, "nats://unset", |settings| {
            settings.bus.urls = urls.clone();
            settings.bus.replicas = 3;
            settings.bus.request_timeout_ms = 1000;
        })
    };
    let (writer, reader) = (process().await, process().await);
    let things = Bucket::<Thing>::open(&writer).await.unwrap();
    let mut seen = things.create(&Thing::new("a", 0)).await.unwrap();
    let mirror = Mirror::<Thing>::of_another(&reader).await.unwrap();

    let mut size = 0;
    for n in 0..3 {
        cluster.servers[n].kill();
        for _ in 0..10 {
            size += 1;
            // An unknown outcome is read again before it is tried again, as every writer must.
            eventually("two of three write", SOON, || async {
                match things.get("a").await {
                    Ok(Some(entry)) if entry.value.size == size => true,
                    Ok(Some(entry)) => things.update(&Thing::new("a", size), entry.revision).await.is_ok(),
                    _ => false,
                }
            })
            .await;
            let now = mirror.get("a").unwrap().revision;
            assert!(now >= seen, "the mirror went back from {seen} to {now}");
            seen = now;
        }
        cluster.servers[n].restart();
        cluster.wait_until_healthy();
        eventually("the mirror has caught up", SOON, || async { mirror.get("a").unwrap().value.size == size }).await;
    }
    assert!(mirror.vanished().is_empty());
}
