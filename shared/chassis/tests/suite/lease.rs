//! The lease against a real nats-server: two processes, one leader.

use std::{sync::Arc, time::Duration};

use crate::support::{SOON, Thing, context};
use tokio::{
    sync::{Semaphore, watch::Receiver},
    time::{Instant, timeout},
};
use watari_chassis::{Bucket, Context, Drained, Leadership, Lease, Mirror, Patience, WriteError, clock};
use watari_contracts::{
    Service,
    frontend::{AskStanding, STANDING, Standing},
};
use watari_model::{SiteName, frontend::Primacy};
use watari_testkit::{NatsServer, eventually};

const TTL: Duration = Duration::from_millis(1200);

async fn campaign(ctx: &Context) -> Receiver<Leadership> {
    Lease::campaign(ctx, Service::Scheduler, TTL).await.unwrap()
}

async fn leads(leadership: &mut Receiver<Leadership>) -> u64 {
    let led = timeout(SOON, leadership.wait_for(|l| l.epoch().is_some())).await.expect("nobody took over").unwrap();
    led.epoch().unwrap()
}

#[tokio::test]
async fn one_leads_the_other_knows_who_and_takes_over_at_once_when_it_is_told() {
    let nats = NatsServer::start();
    let (first, second) = (context(&nats.url()).await, context(&nats.url()).await);
    let mut one = campaign(&first).await;
    let epoch = leads(&mut one).await;
    assert!(first.may_act());

    let mut two = campaign(&second).await;
    let known = Leadership::Standby { leader: Some(first.instance.to_string()) };
    timeout(SOON, two.wait_for(|l| *l == known)).await.unwrap().unwrap();
    assert!(!second.may_act());

    let begun = Instant::now();
    assert_eq!(first.drain().await, Drained::Fully);
    assert!(one.borrow().epoch().is_none());
    let next = leads(&mut two).await;
    assert!(next > epoch, "epochs only grow");
    assert!(begun.elapsed() < TTL, "no waiting for a lease that was given up: {:?}", begun.elapsed());
}

#[test]
fn a_standby_takes_over_from_a_holder_that_died_and_not_before_the_ttl() {
    let nats = NatsServer::start();
    let dying = tokio::runtime::Runtime::new().unwrap();
    let epoch = dying.block_on(async {
        let ctx = context(&nats.url()).await;
        leads(&mut campaign(&ctx).await).await
    });
    let living = tokio::runtime::Runtime::new().unwrap();
    living.block_on(async {
        let ctx = context(&nats.url()).await;
        let mut two = campaign(&ctx).await;
        timeout(SOON, two.wait_for(|l| matches!(l, Leadership::Standby { leader: Some(_) }))).await.unwrap().unwrap();
        // The holder's process is gone without a word.
        dying.shutdown_background();
        let begun = Instant::now();
        let next = leads(&mut two).await;
        assert!(next > epoch);
        let least = TTL - TTL / 3;
        assert!(begun.elapsed() > least, "a renewal may have been just before: {:?}", begun.elapsed());
    });
}

#[tokio::test]
async fn a_holder_that_reaches_nobody_stops_by_itself_before_its_ttl_and_leads_again_with_a_new_epoch() {
    let mut nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let mut leadership = campaign(&ctx).await;
    let epoch = leads(&mut leadership).await;

    nats.kill();
    let begun = Instant::now();
    timeout(SOON, leadership.wait_for(|l| l.epoch().is_none())).await.unwrap().unwrap();
    assert!(begun.elapsed() < TTL, "it led for {:?} after its last renewal", begun.elapsed());

    nats.restart();
    let next = leads(&mut leadership).await;
    assert!(next > epoch);
}

#[tokio::test]
async fn a_holder_that_stood_still_writes_nothing_before_it_has_heard_that_its_lease_ran_out() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let things = Bucket::<Thing>::open(&ctx).await.unwrap();
    let mut leadership = campaign(&ctx).await;
    let epoch = leads(&mut leadership).await;
    let revision = things.create(&Thing::new("a", 1)).await.unwrap();

    // All its tasks share this thread: so a process stands still that is stopped by a signal.
    while ctx.may_act() {
        std::thread::yield_now();
    }
    assert_eq!(leadership.borrow().epoch(), Some(epoch), "nobody has told it");
    let late = [
        things.update(&Thing::new("a", 2), revision).await,
        things.delete("a", revision).await,
        things.create(&Thing::new("b", 2)).await,
    ];
    assert!(late.iter().all(|write| matches!(write, Err(WriteError::NotLeading { .. }))), "{late:?}");

    eventually("it leads again", SOON, || async { ctx.may_act() }).await;
    things.update(&Thing::new("a", 3), revision).await.expect("nobody has written since");
    assert!(things.get("b").await.unwrap().is_none());
}

#[tokio::test]
async fn a_write_that_was_sent_while_the_lease_held_stays_unknown_when_that_runs_out() {
    let mut nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let things = Bucket::<Thing>::open(&ctx).await.unwrap();
    leads(&mut Lease::campaign(&ctx, Service::Scheduler, Duration::from_secs(2)).await.unwrap()).await;
    nats.kill();
    let sent = things.create(&Thing::new("a", 1)).await;
    assert!(!ctx.may_act() && matches!(sent, Err(WriteError::Bus { .. })), "{sent:?}");
}

#[tokio::test]
async fn who_competes_writes_only_while_it_leads_and_who_does_not_needs_no_lease() {
    let nats = NatsServer::start();
    let url = nats.url();
    let (first, second, agent) = (context(&url).await, context(&url).await, context(&url).await);
    let of = |ctx: Context| async move { Bucket::<Thing>::open(&ctx).await.unwrap() };
    let [one, two, other] = [of(first.clone()).await, of(second.clone()).await, of(agent).await];
    leads(&mut campaign(&first).await).await;
    let _standby = campaign(&second).await;
    let thing = Thing::new("a", 1);
    let refused = |written: Result<_, WriteError>| matches!(written, Err(WriteError::NotLeading { key }) if key == "a");
    assert!(refused(two.create(&thing).await));
    let revision = other.create(&thing).await.unwrap();
    let revision = one.update(&thing, revision).await.unwrap();

    // It has given the lease up, though its time is not over.
    assert_eq!(first.drain().await, Drained::Fully);
    assert!(refused(one.update(&thing, revision).await));
}

#[tokio::test]
async fn a_tenure_begins_once_what_comes_first_is_done_and_ends_with_the_lease() {
    let mut nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let mut leadership = campaign(&ctx).await;
    let done = Arc::new(Semaphore::new(0));
    let first = Arc::clone(&done);
    let mut beginning = Lease::beginning_with(&ctx, leadership.clone(), move || {
        let first = Arc::clone(&first);
        async move { first.acquire().await.unwrap().forget() }
    });
    leads(&mut leadership).await;
    assert_eq!(beginning.borrow().epoch(), None, "what comes first is not done");
    done.add_permits(1);
    let epoch = leads(&mut beginning).await;
    assert_eq!(leadership.borrow().epoch(), Some(epoch));

    nats.kill();
    timeout(SOON, beginning.wait_for(|l| l.epoch().is_none())).await.unwrap().unwrap();
    nats.restart();
    let next = leads(&mut leadership).await;
    assert_eq!(beginning.borrow().epoch(), None, "each tenure has its own beginning");
    done.add_permits(1);
    assert_eq!(leads(&mut beginning).await, next);
    assert!(next > epoch);
}

#[tokio::test]
async fn renewals_do_not_change_the_epoch() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let mut leadership = campaign(&ctx).await;
    let epoch = leads(&mut leadership).await;
    let mut renewals = ctx.bus.subscribe("watari.event.leases.scheduler").await.unwrap();
    for _ in 0..3 {
        let renewal = timeout(SOON, futures_util::StreamExt::next(&mut renewals)).await.unwrap().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&renewal.payload).unwrap();
        assert_eq!(json["epoch"], epoch);
        assert_eq!(json["holder"], *ctx.instance);
    }
    assert_eq!(leadership.borrow().epoch(), Some(epoch));
}

#[tokio::test]
async fn a_process_that_follows_the_wish_already_watches_it_once() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let frontends = Mirror::<Primacy>::open(&ctx).await.unwrap();
    let followed = Some(frontends.clone());
    let mut leadership = Lease::campaign_following(&ctx, Service::Scheduler, TTL, followed).await.unwrap();
    leads(&mut leadership).await;
    let site: SiteName = "yamate".parse().unwrap();
    let wish = Primacy { v: 1, site: site.clone(), home: site.clone(), request_id: None, changed_at: clock::now() };
    frontends.create(&wish).await.unwrap();
    let patience = Patience { total: SOON, quiet: Duration::from_millis(100) };
    eventually("the wish is known", SOON, || async {
        let standings = ctx.bus.gather::<_, Standing>(STANDING, &AskStanding {}, patience).await.unwrap();
        standings.iter().any(|standing| standing.wish.as_ref().is_some_and(|known| known.site == site))
    })
    .await;
    let client = async_nats::connect(nats.url()).await.unwrap();
    let stream = async_nats::jetstream::new(client).get_stream("KV_frontends").await.unwrap();
    assert_eq!(stream.cached_info().state.consumer_count, 1);
}
