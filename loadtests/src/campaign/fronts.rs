//! The front ends' campaign: the scheduler that leads is killed, made to stand still, or cut off with its campus,
//! at random, under a steady load of requests that write. What was acknowledged is there afterwards.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tokio::sync::watch;
use watari_chassis::Bus;
use watari_contracts::scheduler::{AddKey, DeleteKey, GetKey};
use watari_model::KeyName;

use super::HEALING;
use crate::{
    lab::Lab,
    requests::{self, Waits},
};

/// Between two requests.
const EVERY: Duration = Duration::from_millis(100);
/// How long what was made may take to be cleared away.
const CLEARING: Duration = Duration::from_secs(5);
/// What is written: the cheapest document that a request makes. Nothing runs by it.
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMxdAgfcDWihODsMd0E+dEcsAxR7LJqwDhyGhI6p5rCh load@example.jp";

/// What befalls the front end that leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    Kill,
    StandStill,
    Cut,
}

const BLOWS: [Blow; 3] = [Blow::Kill, Blow::StandStill, Blow::Cut];

/// What came of it. The field names are stable.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Account {
    /// How often whoever led was struck.
    pub blows: usize,
    /// Requests that were acknowledged.
    pub acknowledged: usize,
    /// Requests that nobody answered, however patiently.
    pub unanswered: u64,
    /// The longest time from asking to the answer, in milliseconds.
    pub longest_ms: u64,
    /// What was acknowledged and is not there.
    pub lost: Vec<String>,
}

impl Account {
    /// Whether every claim held.
    #[must_use]
    pub fn sound(&self) -> bool {
        self.lost.is_empty() && self.unanswered == 0
    }
}

/// Strikes `blows` times; `seed` chooses when and for how long. `lab` is `deploy/lab`.
///
/// # Errors
/// When the lab is not there, or no front end leads within [`HEALING`] of a blow.
pub fn run(lab: PathBuf, blows: usize, seed: u64) -> anyhow::Result<Account> {
    let lab = Lab::new(lab);
    let mut chance = Chance(seed);
    let mut account = Account::default();
    for (number, blow) in BLOWS.into_iter().cycle().take(blows).enumerate() {
        let site = until_one_leads(&lab)?;
        let (before, lasting) = (chance.millis(0, 2_000), chance.millis(500, 12_000));
        let (tell, stop) = watch::channel(false);
        let asking = requests::at_client(&lab, async move |bus| load(&bus, number, stop).await);
        thread::sleep(before);
        let healed = blow.strike(&lab, &site, lasting).and_then(|()| until_one_leads(&lab));
        let _ = tell.send(true);
        let round = asking.join().map_err(|_| anyhow!("the client panicked"))??;
        let leads = healed?;
        eprintln!("{}/{blows}: {blow:?} at {site} for {lasting:?}, now {leads} leads: {round:?}", number + 1);
        account.blows += 1;
        account.acknowledged += round.acknowledged;
        account.unanswered += round.unanswered;
        account.longest_ms = account.longest_ms.max(round.longest_ms);
        account.lost.extend(round.lost);
    }
    Ok(account)
}

/// Adds keys until `stop`, and then looks for each that was acknowledged.
async fn load(bus: &Bus, round: usize, stop: watch::Receiver<bool>) -> anyhow::Result<Account> {
    let mut waits = Waits::default();
    let (mut there, mut unsure) = (Vec::new(), Vec::new());
    while !*stop.borrow() {
        let name: KeyName = format!("load-{round}-{}", waits.requests).parse()?;
        let public_key = KEY.to_owned();
        let add = AddKey { request_id: Some(name.to_string()), name: name.clone(), public_key };
        if waits.ask(bus, &add).await {
            there.push(name);
        } else {
            unsure.push(name);
        }
        tokio::time::sleep(EVERY).await;
    }
    let (acknowledged, mut lost) = (there.len(), Vec::new());
    for name in &there {
        if !Waits::default().ask(bus, &GetKey { name: name.clone() }).await {
            lost.push(name.to_string());
        }
    }
    // What is left is told by its name, and is no harm.
    for name in there.into_iter().chain(unsure) {
        let _ = bus.request_patiently(&DeleteKey { name }, CLEARING).await;
    }
    Ok(Account { blows: 0, acknowledged, unanswered: waits.failed, longest_ms: waits.longest_ms, lost })
}

/// The site from which all services lead, once they do.
fn until_one_leads(lab: &Lab) -> anyhow::Result<String> {
    let deadline = Instant::now() + HEALING;
    loop {
        if let Ok(Some(site)) = led_from(lab) {
            return Ok(site);
        }
        if Instant::now() > deadline {
            bail!("no front end led within {} s", HEALING.as_secs());
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn led_from(lab: &Lab) -> anyhow::Result<Option<String>> {
    let status = lab.watari(&["frontend", "status"])?;
    let services = status["services"].as_array().context("no services")?;
    let sites: Vec<Option<&str>> = services.iter().map(|service| service["leader"]["site"].as_str()).collect();
    let same = sites.windows(2).all(|pair| pair[0] == pair[1]);
    Ok(sites.first().copied().flatten().filter(|_| same).map(str::to_owned))
}

impl Blow {
    fn strike(self, lab: &Lab, site: &str, lasting: Duration) -> anyhow::Result<()> {
        let front = if site == "myodaiji" { "m-front" } else { "y-front" };
        match self {
            Self::Kill => signal(lab, front, Signal::KILL),
            Self::StandStill => {
                signal(lab, front, Signal::STOP)?;
                thread::sleep(lasting);
                signal(lab, front, Signal::CONT)
            }
            Self::Cut => {
                let mut trunks = lab.trunks()?;
                trunks.set(site, "down")?;
                thread::sleep(lasting);
                trunks.set(site, "up")?;
                trunks.done()
            }
        }
    }
}

/// A blow that hits nobody is none.
fn signal(lab: &Lab, front: &str, signal: Signal) -> anyhow::Result<()> {
    let pids: Vec<Pid> = lab.pids(front, "watari-scheduler").into_iter().filter_map(Pid::from_raw).collect();
    ensure!(!pids.is_empty(), "no scheduler runs on {front}");
    for pid in pids {
        kill_process(pid, signal).with_context(|| format!("no signal to the scheduler on {front}"))?;
    }
    Ok(())
}

/// SplitMix64: a seed strikes at the same moments again.
struct Chance(u64);

impl Chance {
    fn millis(&mut self, low: u64, high: u64) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Duration::from_millis(low + (z ^ (z >> 31)) % (high - low + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_strikes_at_the_same_moments_again_within_the_bounds() {
        let moments = |seed| {
            let mut chance = Chance(seed);
            (0..100).map(|_| chance.millis(500, 12_000)).collect::<Vec<_>>()
        };
        assert_eq!(moments(7), moments(7));
        assert_ne!(moments(7), moments(8));
        let (low, high) = (Duration::from_millis(500), Duration::from_millis(12_000));
        assert!(moments(7).iter().all(|moment| *moment >= low && *moment <= high));
    }
}
