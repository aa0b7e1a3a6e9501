//! A real `upsd` with its `dummy-ups` driver on Myodaiji's front end, which both monitors ask.

use std::{fs, path::PathBuf};

use anyhow::{Context, ensure};

use super::{Stage, until};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] =
    &[("what_a_real_upsd_says_empties_its_campus_and_brings_it_home_and_a_flicker_or_its_silence_do_neither", battery)];

/// Where it runs; the lab's monitors ask it there for `ups1`.
const HOST: &str = "m-front";
const SITE: &str = "myodaiji";
/// Its configuration, on the host's own disk, and its sockets, which go with the host's power.
const CONFIGURATION: &str = "/var/lib/watari/ups";
const STATE: &str = "/run/ups";

/// The UPS. Dropped, it is gone, and the campus is on mains.
pub(super) struct Ups<'a> {
    stage: &'a Stage,
}

impl<'a> Ups<'a> {
    /// One that says that it is on line.
    pub(super) fn start(stage: &'a Stage) -> anyhow::Result<Self> {
        let ups = Self { stage };
        fs::create_dir_all(ups.file(""))?;
        // A file of this kind is read over and over, so that what it says may change.
        let driver = format!("[ups1]\ndriver = dummy-ups\nport = {CONFIGURATION}/ups1.seq\ndesc = \"the lab's\"\n");
        fs::write(ups.file("ups.conf"), driver)?;
        fs::write(ups.file("upsd.conf"), "LISTEN 0.0.0.0 3493\n")?;
        fs::write(ups.file("upsd.users"), "")?;
        ups.says("OL", 1_800)?;
        stage.lab.run(&["exec", HOST, "--", "mkdir", "-p", STATE])?;
        ups.runs("dummy-ups", &["-a", "ups1"])?;
        ups.runs("upsd", &[])?;
        Ok(ups)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.stage.lab.file(HOST, CONFIGURATION).join(name)
    }

    /// Both programs leave the terminal by themselves.
    fn runs(&self, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let configuration = format!("NUT_CONFPATH={CONFIGURATION}");
        let (state, pid) = (format!("NUT_STATEPATH={STATE}"), format!("NUT_ALTPIDPATH={STATE}"));
        let program = format!("/lib/nut/{program}");
        let words = ["exec", HOST, "--", "env", &configuration, &state, &pid, &program, "-u", "root"];
        let ran = self.stage.lab.run(&[&words[..], arguments].concat());
        ran.context("deploy/prerequisites --for lab installs nut-server").map(drop)
    }

    /// What it says from now on, and for how many seconds its battery would last.
    pub(super) fn says(&self, status: &str, runtime: u64) -> anyhow::Result<()> {
        let text = format!("ups.status: {status}\nbattery.charge: 80\nbattery.runtime: {runtime}\n");
        let fresh = self.file("ups1.new");
        fs::write(&fresh, text)?;
        // The driver ends where it finds no file.
        Ok(fs::rename(fresh, self.file("ups1.seq"))?)
    }

    /// Ends the programs with these names, by the files in which they keep their numbers.
    fn end(&self, program: &str) -> anyhow::Result<()> {
        let script = format!("for f in {STATE}/{program}*.pid; do [ ! -e \"$f\" ] || kill \"$(cat \"$f\")\"; done");
        self.stage.lab.run(&["exec", HOST, "--", "bash", "-c", &script]).map(drop)
    }
}

impl Drop for Ups<'_> {
    fn drop(&mut self) {
        let ended = self.end("");
        let mains = self.stage.watari(&["site", "power", SITE, "mains"]);
        if let Err(error) = ended.and(mains) {
            eprintln!("the UPS was not cleared away: {error:#}");
        }
    }
}

impl Stage {
    /// Where Myodaiji's power comes from, and for how many seconds.
    fn supply(&self) -> anyhow::Result<(String, Option<u64>)> {
        let site = self.site(SITE)?;
        let power = &site["power"];
        Ok((power["supply"].as_str().unwrap_or("unknown").to_owned(), power["seconds_left"].as_u64()))
    }

    pub(super) fn until_supply(&self, supply: &str, seconds_left: Option<u64>) -> anyhow::Result<()> {
        let what = format!("the campus is on {supply} {seconds_left:?}");
        until(30, &what, || Ok(self.supply()? == (supply.to_owned(), seconds_left)))
    }

    /// How often the monitor beside it has found the UPS silent.
    fn silences(&self) -> anyhow::Result<usize> {
        Ok(self.lab.run(&["logs", HOST, "watari-monitor"])?.matches("a UPS does not answer").count())
    }
}

/// The lab's scheduler acts after five seconds on battery, and after five on mains.
fn battery(stage: &Stage) -> anyhow::Result<()> {
    let boot = stage.boot_id(&stage.address("mail")?)?;
    let home = stage.send_home("mail")?;
    ensure!(home == SITE, "mail belongs to {home}, where no UPS is watched");
    stage.watari(&["site", "power", SITE, "battery", "--left", "20m"])?;
    stage.watari(&["site", "power", SITE, "mains"])?;
    ensure!(stage.outage_at(SITE)?.is_none(), "a flicker began an outage");
    let ups = Ups::start(stage)?;
    stage.until_supply("mains", None)?;

    ups.says("OB DISCHRG", 1_200)?;
    stage.until_supply("battery", Some(1_200))?;
    ensure!(stage.doctor(&[])?.names("site.on-battery", SITE), "the doctor does not name the site on battery");
    let outage = stage.emptying(SITE, 30)?;
    let shown = stage.show("outage", &outage)?;
    let told = shown["battery"]["seconds_left"].as_u64();
    let runs_down = told.is_some_and(|left| left <= 1_200);
    ensure!(runs_down || shown["state"] != "evacuating", "the report says nothing of the battery: {shown}");
    // It is low, and says so; what it reckons besides is not believed.
    ups.says("OB DISCHRG LB", 900)?;
    stage.until_supply("battery", Some(120))?;
    until(180, "the campus is empty", || Ok(stage.show("outage", &outage)?["state"] == "evacuated"))?;
    ensure!(stage.site_of("mail")? != home, "it is still there");
    stage.refused("site.no-refuge", &["site", "evacuate", "yamate"])?;

    let before = stage.silences()?;
    ups.end("dummy-ups")?;
    until(30, "the UPS is found silent", || Ok(stage.silences()? > before))?;
    let (supply, state) = (stage.supply()?.0, stage.show("outage", &outage)?["state"].clone());
    ensure!(supply == "battery" && state == "evacuated", "silence made it {supply} and {state}");

    ups.says("OL CHRG", 300)?;
    ups.runs("dummy-ups", &["-a", "ups1"])?;
    stage.until_supply("mains", None)?;
    until(180, "everything is home", || Ok(stage.show("outage", &outage)?["state"] == "completed"))?;
    ensure!(stage.site_of("mail")? == home, "it did not come home");
    stage.sound("mail", &boot)
}
