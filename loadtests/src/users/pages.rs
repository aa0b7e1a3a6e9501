//! Reading the web server's pages.

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::Context;
use reqwest::Client;
use tokio::sync::watch;

use super::Http;
use crate::gap::Gap;

/// How long a reader waits before giving a page up.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client that opens a new connection for every page: the harder case.
fn client() -> anyhow::Result<Client> {
    Ok(Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(PATIENCE).build()?)
}

async fn page(client: &Client, url: &str) -> anyhow::Result<String> {
    Ok(client.get(url).send().await?.error_for_status()?.text().await?)
}

/// The first page must come.
pub(super) async fn first(server: Ipv4Addr) -> anyhow::Result<()> {
    page(&client()?, &format!("http://{server}/uptime")).await.context("the web server does not answer")?;
    Ok(())
}

/// The boot id in the guest's own account of its uptime.
fn boot_id(account: &str) -> Option<String> {
    serde_json::from_str::<serde_json::Value>(account).ok()?.get("boot_id")?.as_str().map(str::to_owned)
}

/// Reads a page now and then until `stop`.
pub(super) async fn read(server: Ipv4Addr, every: Duration, mut stop: watch::Receiver<bool>) -> Http {
    let Ok(client) = client() else { return Http { failed: 1, ..Http::default() } };
    let url = format!("http://{server}/uptime");
    let (mut gap, mut http, mut boots) = (Gap::default(), Http::default(), BTreeSet::new());
    let mut pace = tokio::time::interval(every);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    gap.seen(Instant::now());
    loop {
        tokio::select! {
            _ = pace.tick() => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
        http.requests += 1;
        match page(&client, &url).await {
            Ok(account) => {
                gap.seen(Instant::now());
                boots.extend(boot_id(&account));
            }
            Err(_) => http.failed += 1,
        }
    }
    http.longest_gap_ms = gap.longest_ms(Instant::now());
    http.boots_seen = boots.len() as u64;
    http
}
