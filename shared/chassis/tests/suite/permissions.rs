//! Everything that a service does on the bus, done under the least permissions of its identity.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use crate::support::{SOON, context_of};
use futures_util::{StreamExt, TryStreamExt, stream};
use nkeys::KeyPair;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use watari_chassis::{Lease, Mirror, Readiness, Server};
use watari_contracts::{Service, permissions::Role};
use watari_model::Document;
use watari_testkit::NatsServer;

/// Stands in for a server's document: same bucket, and as large as one.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Vm {
    name: String,
    filling: String,
}

impl Document for Vm {
    const BUCKET: &'static str = "vms";
    fn key(&self) -> String {
        self.name.clone()
    }
}

#[tokio::test]
async fn a_service_opens_mirrors_leads_and_serves_with_what_its_identity_may() {
    let pair = KeyPair::new_user();
    let identity = "scheduler.m-front";
    let may = Role::Service(Service::Scheduler).permissions(identity);
    let nats = NatsServer::start_with(&format!(
        "authorization {{ users: [ {{ nkey: {}, permissions: {{ publish: {:?}, subscribe: {:?}, \
         allow_responses: {{ max: 1, expires: \"2m\" }} }} }} ] }}",
        pair.public_key(),
        may.publish,
        may.subscribe
    ));
    let seed = nats.dir().join("seed");
    fs::write(&seed, pair.seed().unwrap()).unwrap();
    fs::set_permissions(&seed, fs::Permissions::from_mode(0o600)).unwrap();
    let process = || {
        context_of(Service::Scheduler, "nats://unset", |settings| {
            settings.bus.urls = vec![nats.url()];
            settings.bus.nkey = seed.clone();
            settings.bus.identity = identity.to_owned();
        })
    };

    let ctx = process().await;
    let mirror = Mirror::<Vm>::open(&ctx).await.unwrap();
    // Enough bytes that the server asks for flow control, which an identity must be able to answer.
    let filling = "x".repeat(2_000);
    let writes = (0..3_000).map(|n| {
        let (mirror, vm) = (mirror.clone(), Vm { name: format!("vm{n}"), filling: filling.clone() });
        async move { mirror.create(&vm).await }
    });
    // Not all at once: a write's bound would count the whole queue before it.
    stream::iter(writes).buffer_unordered(100).try_collect::<Vec<_>>().await.unwrap();
    let mut revision = mirror.get("vm0").unwrap().revision;
    revision = mirror.update(&Vm { name: "vm0".into(), filling: String::new() }, revision).await.unwrap();
    mirror.delete("vm0", revision).await.unwrap();

    let other = process().await;
    let begun =
        timeout(Duration::from_secs(10), Mirror::<Vm>::of_another(&other)).await.expect("the list stalls").unwrap();
    assert_eq!(begun.snapshot().len(), 2_999);

    let leadership = Lease::campaign(&ctx, Service::Scheduler, Duration::from_secs(2)).await.unwrap();
    tokio::spawn(Server::new(&ctx, Service::Scheduler).serve(leadership));
    let mut ready = ctx.ready.watch();
    timeout(SOON, ready.wait_for(|r| *r == Readiness::Primary)).await.unwrap().unwrap();
    assert!(!nats.log().contains("Violation"), "{}", nats.log());
}
