//! The loop: woken by change and tick, coalescing, patient with errors, gone at shutdown.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::support::{SOON, Thing, context, metric};
use futures_util::FutureExt;
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::{Instant, timeout},
};
use watari_chassis::{Drained, Leadership, Mirror, Wake, looper, metric_names};
use watari_testkit::{NatsServer, eventually};

const NEVER: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn wakes_during_a_step_become_one_further_step() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let (wake, steps) = (Wake::new(), Arc::new(AtomicU32::new(0)));
    let (entered, places) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let running = tokio::spawn({
        let (ctx, wake, steps, entered, places) =
            (ctx.clone(), wake.clone(), steps.clone(), entered.clone(), places.clone());
        async move {
            looper::run(&ctx, "test", wake, NEVER, || async {
                steps.fetch_add(1, SeqCst);
                entered.notify_one();
                places.acquire().await.unwrap().forget();
                Ok::<(), String>(())
            })
            .await;
        }
    });
    timeout(SOON, entered.notified()).await.unwrap();
    (0..100).for_each(|_| wake.wake());
    places.add_permits(1);
    timeout(SOON, entered.notified()).await.unwrap();
    places.add_permits(1);
    ctx.shutdown.cancel();
    timeout(SOON, running).await.unwrap().unwrap();
    assert_eq!(steps.load(SeqCst), 2);
}

#[tokio::test]
async fn a_turn_that_comes_too_soon_waits_and_the_first_one_does_not() {
    let mut next = Instant::now();
    assert!(looper::apart(&mut next, NEVER).now_or_never().is_some());
    assert!(looper::apart(&mut next, NEVER).now_or_never().is_none());
}

#[tokio::test]
async fn a_tick_makes_a_step_without_any_wake() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let steps = Arc::new(AtomicU32::new(0));
    let running = {
        let (ctx, steps) = (ctx.clone(), steps.clone());
        tokio::spawn(async move {
            looper::run(&ctx, "test", Wake::new(), Duration::from_millis(20), || async {
                steps.fetch_add(1, SeqCst);
                Ok::<(), String>(())
            })
            .await;
        })
    };
    eventually("it ticks", SOON, || async { steps.load(SeqCst) >= 5 }).await;
    let shown = ctx.metrics.gather().iter().any(|f| f.name() == metric_names::LOOP_ERRORS);
    assert!(shown, "who looks for errors finds that there are none");
    ctx.shutdown.cancel();
    timeout(SOON, running).await.unwrap().unwrap();
}

#[tokio::test]
async fn errors_make_the_tries_rarer_and_are_counted_and_a_wake_does_not_hurry_them() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let (wake, steps) = (Wake::new(), Arc::new(AtomicU32::new(0)));
    let running = {
        let (ctx, steps, wake) = (ctx.clone(), steps.clone(), wake.clone());
        tokio::spawn(async move {
            looper::run(&ctx, "test", wake.clone(), NEVER, || async {
                wake.wake();
                if steps.fetch_add(1, SeqCst) < 3 {
                    return Err("not yet");
                }
                std::future::pending().await
            })
            .await;
        })
    };
    let begun = tokio::time::Instant::now();
    eventually("it works in the end", SOON, || async { steps.load(SeqCst) > 3 }).await;
    assert!(begun.elapsed() >= Duration::from_millis(100 + 200 + 400), "{:?}", begun.elapsed());
    assert_eq!(metric(&ctx, metric_names::LOOP_ERRORS), 3.0);
    running.abort();
}

#[tokio::test]
async fn a_change_in_a_mirror_wakes_the_loop() {
    let nats = NatsServer::start();
    let (ctx, other) = (context(&nats.url()).await, context(&nats.url()).await);
    let (mine, theirs) = (Mirror::<Thing>::open(&ctx).await.unwrap(), Mirror::<Thing>::open(&other).await.unwrap());
    let wake = Wake::new();
    mine.wakes(&wake);
    let seen = Arc::new(AtomicU32::new(0));
    let running = {
        let (ctx, seen, mine) = (ctx.clone(), seen.clone(), mine.clone());
        tokio::spawn(async move {
            looper::run(&ctx, "test", wake, NEVER, || async {
                seen.store(u32::try_from(mine.snapshot().len()).unwrap(), SeqCst);
                Ok::<(), String>(())
            })
            .await;
        })
    };
    for (n, name) in (1..).zip(["a", "b", "c"]) {
        theirs.create(&Thing::new(name, 1)).await.unwrap();
        eventually("the loop has seen it", SOON, || async { seen.load(SeqCst) == n }).await;
    }
    ctx.shutdown.cancel();
    timeout(SOON, running).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_primarys_loop_steps_only_while_it_leads_and_knows_its_epoch() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    let (lead, leadership) = watch::channel(Leadership::Standby { leader: None });
    let (epochs, seen) = watch::channel(Vec::new());
    let running = {
        let ctx = ctx.clone();
        tokio::spawn(async move {
            looper::run_as_primary(&ctx, "test", leadership, Wake::new(), NEVER, |epoch| {
                epochs.send_modify(|all| all.push(epoch));
                async { Ok::<(), String>(()) }
            })
            .await;
        })
    };
    let mut watching = seen.clone();
    for epoch in [3, 8] {
        lead.send_replace(Leadership::Primary { epoch });
        timeout(SOON, watching.wait_for(|all| all.last() == Some(&epoch))).await.unwrap().unwrap();
        lead.send_replace(Leadership::Standby { leader: None });
    }
    ctx.shutdown.cancel();
    timeout(SOON, running).await.unwrap().unwrap();
    assert_eq!(*seen.borrow(), [3, 8]);
}

#[tokio::test]
async fn draining_waits_for_a_step_within_its_bound_and_says_what_is_left() {
    let nats = NatsServer::start();
    let ctx =
        crate::support::context_of(watari_contracts::Service::Scheduler, &nats.url(), |s| s.limits.drain_seconds = 1)
            .await;
    let entered = Arc::new(Notify::new());
    let inside = entered.clone();
    let own = ctx.clone();
    ctx.spawn("stuck", async move {
        looper::run(&own, "stuck", Wake::new(), NEVER, || async {
            inside.notify_one();
            std::future::pending::<()>().await;
            Ok::<(), String>(())
        })
        .await;
    });
    timeout(SOON, entered.notified()).await.unwrap();
    assert_eq!(timeout(SOON, ctx.drain()).await.unwrap(), Drained::Partly { left: 1 });
}

#[tokio::test]
async fn a_part_that_panics_stops_the_process() {
    let nats = NatsServer::start();
    let ctx = context(&nats.url()).await;
    ctx.spawn("broken", async { panic!("a fault") });
    timeout(SOON, ctx.shutdown.cancelled()).await.unwrap();
    assert!(ctx.has_failed());
}

#[tokio::test]
async fn who_has_worked_long_rests_so_many_times_as_long_but_never_for_long() {
    let begun = Instant::now();
    looper::rest(begun - Duration::from_millis(20), 3).await;
    assert!(begun.elapsed() >= Duration::from_millis(60), "{:?}", begun.elapsed());
    let long = Duration::from_secs(10);
    let rested = timeout(long, looper::rest(Instant::now() - long, 1)).await;
    assert!(rested.is_ok(), "ten seconds' work is not rested after for ten seconds");
}
