//! Who may lead when something is lost: the table of ARCHITECTURE.md, row by row. Whole campuses are in `campus.rs`, two
//! front ends without a witness in `recovery.rs`, the link in `images.rs`.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;
use tokio::sync::watch;
use watari_contracts::Service;

use super::{Stage, recovery, until, until_some};
use crate::{
    requests::{self, Waits},
    standing::is_whole,
};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] = &[
    ("a_promotion_makes_no_request_wait_for_a_second", promotion),
    ("each_service_that_is_killed_is_followed_by_its_standby_within_five_seconds", killed),
    (
        "a_front_end_that_leads_and_dies_is_followed_by_the_other_which_alone_leads_nothing_and_stops_nothing",
        leading_front_end,
    ),
    ("a_standby_front_end_that_dies_is_not_missed", |s| not_missed(s, "y-front")),
    ("a_witness_that_dies_is_not_missed", |s| not_missed(s, "witness")),
    (
        "a_front_end_that_an_outage_left_alone_comes_back_and_of_a_pair_one_goes_on_alone_by_an_operators_word",
        left_alone,
    ),
];

/// Between two requests.
const EVERY: Duration = Duration::from_millis(10);

impl Stage {
    pub(super) fn until_led_from(&self, seconds: u64, site: &str) -> anyhow::Result<()> {
        until(seconds, &format!("all services lead from {site}"), || Ok(self.lab.led_from()?.as_deref() == Some(site)))
    }

    /// Every NATS server votes and every stream has its copies.
    pub(crate) fn until_whole(&self) -> anyhow::Result<()> {
        until(90, "NATS is whole", || Ok(is_whole(&self.lab.standing()?)))
    }

    /// Has all services led from a site, once NATS is whole.
    pub(crate) fn led_by(&self, site: &str) -> anyhow::Result<()> {
        self.until_whole()?;
        self.watari(&["frontend", "promote", site, "--wait", "--wait-timeout", "30s"])?;
        Ok(())
    }

    /// Waits until no service is led.
    pub(super) fn until_leaderless(&self) -> anyhow::Result<()> {
        until(40, "nobody leads", || {
            let status = self.lab.standing()?;
            let services = status["services"].as_array().context("no services")?;
            Ok(services.iter().all(|s| s["leader"].is_null()))
        })
    }

    /// Whatever failed, others find the lab as it was: everything on, and no campus emptied.
    pub(super) fn put_back(&self) -> anyhow::Result<()> {
        self.lab.run(&["power-on", "myodaiji"])?;
        self.lab.run(&["power-on", "witness"])?;
        self.until_nodes_ready()?;
        if self.outage_at("myodaiji")?.is_some() {
            self.watari(&["site", "return", "myodaiji", "--wait"])?;
        }
        Ok(())
    }

    /// Runs `work` under a steady stream of requests; what came of them.
    fn under_load(&self, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Waits> {
        let (tell, stop) = watch::channel(false);
        let asking = requests::at_client(&self.lab, async move |bus| Ok(requests::keep_asking(bus, EVERY, stop).await));
        let done = work();
        let _ = tell.send(true);
        let waits = asking.join().map_err(|_| anyhow::anyhow!("the client panicked"))??;
        done?;
        Ok(waits)
    }
}

fn promotion(stage: &Stage) -> anyhow::Result<()> {
    stage.led_by("myodaiji")?;
    let waits = stage.under_load(|| {
        for site in ["yamate", "myodaiji", "yamate", "myodaiji"] {
            stage.watari(&["frontend", "promote", site, "--wait", "--wait-timeout", "30s"])?;
        }
        Ok(())
    })?;
    eprintln!("four promotions: {waits:?}");
    ensure!(waits.failed == 0 && waits.longest_ms <= 1_000, "{waits:?}");
    ensure!(waits.requests > 100, "{waits:?}");
    Ok(())
}

/// One after another, so that a wait is that of one service.
fn killed(stage: &Stage) -> anyhow::Result<()> {
    stage.led_by("myodaiji")?;
    let boot = stage.boot_id(&stage.address("mail")?)?;
    let waits = stage.under_load(|| Service::OF_FRONT.into_iter().try_for_each(|service| succeeded(stage, service)));
    for service in Service::OF_FRONT {
        stage.lab.run(&["start", "m-front", &program(service)])?;
    }
    let waits = waits?;
    eprintln!("four services killed: {waits:?}");
    ensure!(waits.failed == 0 && waits.longest_ms <= 5_000, "{waits:?}");
    stage.until_led_from(60, "myodaiji")?;
    stage.sound("mail", &boot)
}

/// A service is killed where it leads, in Myodaiji, and its standby leads in a later epoch. What was killed is kept away until
/// then: it would come back after half a second, and lead again as soon as the other one does, since Myodaiji is wished for.
fn succeeded(stage: &Stage, service: Service) -> anyhow::Result<()> {
    let (front, program) = ("m-front", program(service));
    let (site, before) = leads(stage, service)?.context("nobody leads")?;
    ensure!(site == "myodaiji", "{program} leads from {site}");
    stage.lab.run(&["kill", front, &program, "KILL"])?;
    stage.lab.run(&["stop", front, &program])?;
    let epoch = until_some(30, &format!("another {program} leads"), || {
        let found = leads(stage, service)?.filter(|(site, _)| site == "yamate");
        Ok(found.map(|(_, epoch)| epoch))
    })?;
    ensure!(epoch > before, "{program} was in epoch {before} and is in {epoch}");
    stage.lab.run(&["start", front, &program]).map(drop)
}

/// From where a service leads, and in which epoch.
fn leads(stage: &Stage, service: Service) -> anyhow::Result<Option<(String, u64)>> {
    let status = stage.lab.standing()?;
    let services = status["services"].as_array().context("no services")?;
    let leader = services.iter().find(|of| of["service"] == service.name()).map(|of| &of["leader"]);
    let both = |leader: &Value| Some((leader["site"].as_str()?.to_owned(), leader["epoch"].as_u64()?));
    Ok(leader.and_then(both))
}

fn program(service: Service) -> String {
    format!("watari-{}", service.name())
}

fn leading_front_end(stage: &Stage) -> anyhow::Result<()> {
    stage.led_by("myodaiji")?;
    let address = stage.address("mail")?;
    let boot = stage.boot_id(&address)?;
    stage.lab.run(&["power-off", "m-front"])?;
    let cut = Instant::now();
    let followed = stage.until_led_from(60, "yamate").and_then(|()| {
        let took = cut.elapsed();
        eprintln!("the other front end led after {:.1} s", took.as_secs_f64());
        ensure!(took < Duration::from_secs(30), "it took {took:?}");
        // Then it is the only one of three.
        stage.lab.run(&["power-off", "witness"])?;
        stage.until_leaderless()?;
        ensure!(stage.boot_id(&address)? == boot, "the server did not run on");
        Ok(())
    });
    stage.lab.run(&["power-on", "witness"])?;
    stage.lab.run(&["power-on", "m-front"])?;
    followed?;
    // The wish is still Myodaiji: what comes back is preferred again.
    stage.until_whole()?;
    stage.until_led_from(60, "myodaiji")?;
    stage.until_nodes_ready()?;
    stage.sound("mail", &boot)
}

fn not_missed(stage: &Stage, host: &str) -> anyhow::Result<()> {
    stage.led_by("myodaiji")?;
    let boot = stage.boot_id(&stage.address("mail")?)?;
    let waits = stage.under_load(|| {
        stage.lab.run(&["power-off", host])?;
        // Longer than any lease and any election.
        let since = Instant::now();
        until(40, "it has been away for a while", || {
            ensure!(stage.lab.led_from()?.as_deref() == Some("myodaiji"), "Myodaiji does not lead");
            Ok(since.elapsed() > Duration::from_secs(12))
        })
    });
    stage.lab.run(&["power-on", host])?;
    let waits = waits?;
    eprintln!("without {host}: {waits:?}");
    ensure!(waits.failed == 0, "{waits:?}");
    stage.until_whole()?;
    stage.until_nodes_ready()?;
    stage.sound("mail", &boot)
}

/// The witness is away when Myodaiji is evacuated, so that Yamate's front end becomes a majority by itself. All of it comes
/// home before the witness is back, which has lost its vote by then: the front ends are a pair, of which one is lost.
fn left_alone(stage: &Stage) -> anyhow::Result<()> {
    stage.led_by("myodaiji")?;
    stage.send_home("mail")?;
    stage.lab.run(&["power-off", "witness"])?;
    let home = in_the_dark(stage).and_then(|boot| {
        stage.lab.run(&["power-on", "myodaiji"])?;
        stage.until_nodes_ready()?;
        stage.watari(&["site", "return", "myodaiji", "--wait"])?;
        stage.until_led_from(60, "myodaiji")?;
        recovery::one_of_the_pair_is_lost(stage)?;
        Ok(boot)
    });
    stage.put_back()?;
    let boot = home?;
    stage.until_whole()?;
    stage.until_led_from(60, "myodaiji")?;
    stage.sound("mail", &boot)
}

/// What goes dark, and how often the one that is left comes back; the boot of the server, which notices nothing.
fn in_the_dark(stage: &Stage) -> anyhow::Result<String> {
    let boot = stage.boot_id(&stage.address("mail")?)?;
    let outage = stage.watari(&["site", "evacuate", "myodaiji", "--wait"])?;
    ensure!(outage["control"]["fault"].is_null(), "the control plane stayed: {outage}");
    stage.until_led_from(60, "yamate")?;
    stage.lab.run(&["power-off", "myodaiji"])?;
    // Its launcher looks for that every two seconds; one that dies before waits for the others.
    until(30, "y-front remembers that it has the only vote", || {
        Ok(stage
            .lab
            .run(&["exec", "y-front", "--", "cat", "/var/lib/nats/vote"])
            .is_ok_and(|vote| vote.starts_with("only ")))
    })?;
    stage.lab.run(&["kill", "y-front", "nats-server"])?;
    stage.until_led_from(60, "yamate")?;
    stage.lab.run(&["power-off", "y-front"])?;
    stage.lab.run(&["power-on", "y-front"])?;
    stage.until_led_from(60, "yamate")?;
    // It writes, too.
    stage.watari(&["vm", "edit", "mail", "--priority", "7"])?;
    stage.watari(&["vm", "edit", "mail", "--priority", "0"])?;
    Ok(boot)
}
