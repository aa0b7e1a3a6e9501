//! End-to-end scenarios in the running lab, each named after what must hold.

mod apart;
mod backup;
mod busy;
mod calendar;
mod campus;
pub(crate) mod copies;
mod deadline;
mod dependencies;
mod doctor;
mod doors;
mod failures;
mod fronts;
mod guards;
mod images;
mod input;
mod ipv6;
mod kills;
mod life;
mod network;
pub(crate) mod off;
mod pauses;
mod preseeding;
mod projects;
mod recovery;
mod saving;
mod secrets;
mod seed;
mod segment;
mod snapshots;
mod stores;
mod traces;
mod ups;

use std::{
    cmp::Reverse,
    path::PathBuf,
    str::FromStr,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::{answer, lab::Lab};

/// One scenario.
pub struct Scenario {
    /// What must hold.
    pub name: &'static str,
    /// Makes it hold or says why not.
    pub run: fn(&Stage) -> anyhow::Result<()>,
}

type Scenarios = &'static [(&'static str, fn(&Stage) -> anyhow::Result<()>)];
type Group = &'static [Scenarios];

/// In groups that know nothing of each other, so that several labs may share them, in the order in which one lab runs
/// them; about how many seconds each takes beside another lab.
const GROUPS: [(u32, Group); 25] = [
    // How fast a link is is learned from whoever crossed it before: nobody has yet.
    (140, &[deadline::SCENARIOS]),
    (12, &[input::SCENARIOS]),
    (185, &[life::SCENARIOS]),
    (105, &[network::SCENARIOS]),
    (75, &[guards::SCENARIOS]),
    (7, &[segment::SCENARIOS]),
    (23, &[ipv6::SCENARIOS]),
    (13, &[doors::SCENARIOS]),
    (160, &[failures::SCENARIOS]),
    (70, &[busy::SCENARIOS]),
    (72, &[saving::SCENARIOS]),
    (295, &[kills::SCENARIOS]),
    (180, &[doctor::SCENARIOS]),
    (52, &[backup::SCENARIOS]),
    (165, &[preseeding::SCENARIOS]),
    (50, &[images::SCENARIOS]),
    (60, &[traces::SCENARIOS]),
    (36, &[ups::SCENARIOS]),
    (95, &[calendar::SCENARIOS]),
    (140, &[dependencies::SCENARIOS]),
    (30, &[stores::SCENARIOS]),
    // What leaves nodes and links alone, while one of their guests boots for minutes.
    (165, &[seed::BEGINS, secrets::SCENARIOS, projects::SCENARIOS, snapshots::SCENARIOS, seed::SCENARIOS]),
    (265, &[fronts::SCENARIOS]),
    (180, &[campus::SCENARIOS]),
    (165, &[off::SCENARIOS]),
];

/// By how many seconds longer `deploy/test` is at what else the last lane does (packages, faults at random, containers) than at
/// what the first one does (faults around migrations, the README's commands and the guide's).
const LAST_LANE_BESIDES: u32 = 180;

/// The scenarios of a lane, in the order in which they run.
#[must_use]
pub fn all(lane: Lane) -> Vec<Scenario> {
    let ours = lanes(lane.of).into_iter().zip(GROUPS).filter(|(number, _)| *number == lane.number);
    let scenarios = ours.flat_map(|(_, (_, group))| group.iter().copied().flatten());
    scenarios.map(|&(name, run)| Scenario { name, run }).collect()
}

/// In which of so many lanes each group runs: the longest first, each where there is least yet.
fn lanes(of: usize) -> [usize; GROUPS.len()] {
    let (mut taken, mut lanes) = (besides(of), [0; GROUPS.len()]);
    let mut longest: Vec<usize> = (0..GROUPS.len()).collect();
    longest.sort_by_key(|group| Reverse(GROUPS[*group].0));
    for group in longest {
        let least = taken.iter_mut().enumerate().min_by_key(|(_, seconds)| **seconds);
        let Some((number, seconds)) = least else { continue };
        *seconds += GROUPS[group].0;
        lanes[group] = number;
    }
    lanes
}

/// How many seconds each of so many lanes has something else to do.
fn besides(of: usize) -> Vec<u32> {
    let mut besides = vec![0; of];
    if let [_, .., last] = besides.as_mut_slice() {
        *last = LAST_LANE_BESIDES;
    }
    besides
}

/// What one of several labs runs, written as in `2/3`: the second of three.
#[derive(Clone, Copy, Debug)]
pub struct Lane {
    number: usize,
    of: usize,
}

impl FromStr for Lane {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (number, of) = text.split_once('/').context("as in 1/2")?;
        let (number, of): (usize, usize) = (number.parse()?, of.parse()?);
        ensure!((1..=of).contains(&number) && of <= GROUPS.len(), "there is no lane {number} of {of}");
        Ok(Self { number: number - 1, of })
    }
}

/// The lab with an image `mini`, a network `campus` and one server `mail` in it.
pub struct Stage {
    /// The lab.
    pub lab: Lab,
}

impl Stage {
    /// Sets the stage in a lab that is up: what is there already is kept.
    ///
    /// # Errors
    /// When the image, the network or the server cannot be made.
    pub fn set(command: PathBuf) -> anyhow::Result<Self> {
        let lab = Lab::new(command);
        let stage = Self { lab };
        let image = stage.lab.run(&["guest-image"])?;
        if stage.show("image", "mini").is_err() {
            stage.watari(&["image", "import", image.trim(), "--name", "mini", "--wait"])?;
        }
        if stage.show("network", "campus").is_err() {
            let range = "203.0.113.100-203.0.113.199";
            stage.watari(&[
                "network",
                "create",
                "campus",
                "--provider",
                "--cidr",
                "203.0.113.0/24",
                "--range",
                range,
            ])?;
        }
        stage.ready("mail")?;
        Ok(stage)
    }

    /// Starts a small server in Myodaiji, with `more` words for `watari vm create`, and waits until it runs.
    pub(crate) fn create(&self, name: &str, network: &str, more: &[&str]) -> anyhow::Result<Value> {
        let disk: &[&str] = if more.contains(&"--disk") { &[] } else { &["--disk", "1GiB"] };
        let who = ["vm", "create", name, "--image", "mini", "--network", network, "--site", "myodaiji"];
        self.watari(&[&who[..], &["--memory", "128MiB"], disk, more, &["--wait"]].concat())
    }

    /// Makes sure that the server runs and its guest has booted.
    pub(crate) fn ready(&self, name: &str) -> anyhow::Result<()> {
        match self.show("vm", name) {
            Err(_) => drop(self.create(name, "campus", &[])?),
            Ok(shown) if shown["state"] != "running" => drop(self.watari(&["vm", "start", name, "--wait"])?),
            Ok(_) => {}
        }
        self.until_page(&self.address(name)?, 120)
    }

    /// How everything stands, for who reads why a scenario failed.
    #[must_use]
    pub fn look(&self) -> String {
        let looks: [&[&str]; 6] = [
            &["vm", "list"],
            &["node", "list"],
            &["frontend", "status"],
            &["outage", "list"],
            &["migration", "list", "--limit", "6"],
            &["events", "--limit", "25"],
        ];
        let told = looks.map(|look| {
            let seen = self.lab.run(&[&["exec", "client", "--", "watari"], look].concat());
            format!("-- watari {}\n{}", look.join(" "), seen.unwrap_or_else(|error| format!("{error:#}\n")))
        });
        told.concat()
    }

    /// Sets the stage anew after a scenario that failed, so that the next one is judged by itself.
    ///
    /// # Errors
    /// When a site stays in its outage or the server does not run at home again.
    pub fn mend(&self) -> anyhow::Result<()> {
        let sites = self.watari(&["site", "list"])?;
        for site in sites.as_array().into_iter().flatten().filter(|site| site["outage"].is_string()) {
            let name = site["name"].as_str().context("a site without a name")?;
            self.watari(&["site", "power", name, "mains"])?;
            until(180, &format!("{name}'s outage is over"), || self.is_over(name))?;
        }
        self.ready("mail")?;
        self.send_home("mail").map(drop)
    }

    /// Whether a site has no outage any more; one that stands still is sent on its way.
    fn is_over(&self, site: &str) -> anyhow::Result<bool> {
        let Some(outage) = self.outage_at(site)? else { return Ok(true) };
        let shown = self.show("outage", &outage)?;
        if shown["paused_at"].is_string() {
            self.watari(&["outage", "resume", site])?;
        } else if shown["state"] == "evacuated" {
            self.watari(&["site", "return", site])?;
        }
        Ok(false)
    }

    fn watari(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        self.lab.watari(arguments)
    }

    /// What lists say: these fields of each row, or all of it where none is named.
    fn books(&self, lists: &[(&str, &[&str])]) -> anyhow::Result<Vec<String>> {
        let mut all = Vec::new();
        for &(noun, fields) in lists {
            let list = self.watari(&[noun, "list"])?;
            let row = |row: &Value| match fields {
                [] => format!("{noun} {row}"),
                _ => format!(
                    "{noun} {}",
                    fields.iter().map(|field| row[*field].to_string()).collect::<Vec<_>>().join(" ")
                ),
            };
            all.extend(list.as_array().with_context(|| format!("{list} is no list"))?.iter().map(row));
        }
        Ok(all)
    }

    pub(crate) fn show(&self, noun: &str, name: &str) -> anyhow::Result<Value> {
        self.watari(&[noun, "show", name])
    }

    /// Expects a refusal with this code.
    fn refused(&self, code: &str, arguments: &[&str]) -> anyhow::Result<()> {
        match self.watari(arguments) {
            Ok(answer) => bail!("`watari {}` was not refused: {answer}", arguments.join(" ")),
            Err(error) => {
                let told = format!("{error:#}");
                ensure!(told.contains(&format!("[{code}]")), "`watari {}`: {told}", arguments.join(" "));
                Ok(())
            }
        }
    }

    pub(crate) fn address(&self, vm: &str) -> anyhow::Result<String> {
        let shown = self.show("vm", vm)?;
        shown["addresses"][0].as_str().map(str::to_owned).with_context(|| format!("{vm} has no address"))
    }

    fn page(&self, address: &str, path: &str) -> anyhow::Result<String> {
        self.page_by(address, path, Duration::from_secs(5))
    }

    /// Without a program for each: what has just been started is asked again and again.
    fn page_by(&self, address: &str, path: &str, call: Duration) -> anyhow::Result<String> {
        self.lab.within("client", || answer::page(address, path, call))
    }

    fn boot_id(&self, address: &str) -> anyhow::Result<String> {
        let account: Value = serde_json::from_str(&self.page(address, "/uptime")?)?;
        account["boot_id"].as_str().map(str::to_owned).context("no boot id")
    }

    /// Who does not take a call at once is still booting, and would be called again by the kernel ever more seldom.
    pub(crate) fn until_page(&self, address: &str, seconds: u64) -> anyhow::Result<()> {
        let call = Duration::from_secs(1);
        until(seconds, &format!("{address} answers"), || Ok(self.page_by(address, "/uptime", call).is_ok()))
    }

    pub(crate) fn node_of(&self, vm: &str) -> anyhow::Result<String> {
        self.show("vm", vm)?["node"].as_str().map(str::to_owned).with_context(|| format!("{vm} is nowhere"))
    }

    fn site_of(&self, vm: &str) -> anyhow::Result<String> {
        self.show("vm", vm)?["site"].as_str().map(str::to_owned).with_context(|| format!("{vm} is nowhere"))
    }

    /// What is known of a site.
    fn site(&self, name: &str) -> anyhow::Result<Value> {
        let sites = self.watari(&["site", "list"])?;
        let site = sites.as_array().context("no list")?.iter().find(|site| site["name"] == name);
        site.cloned().with_context(|| format!("there is no site {name}"))
    }

    /// The outage of a site, if there is one now.
    fn outage_at(&self, site: &str) -> anyhow::Result<Option<String>> {
        Ok(self.site(site)?["outage"].as_str().map(str::to_owned))
    }

    /// The outage of a site that is being emptied within so many seconds.
    fn emptying(&self, site: &str, seconds: u64) -> anyhow::Result<String> {
        until_some(seconds, &format!("{site} is being emptied"), || self.outage_at(site))
    }

    /// Makes sure that the server is at its home site; which that is.
    pub(crate) fn send_home(&self, vm: &str) -> anyhow::Result<String> {
        let home = self.show("vm", vm)?["home_site"].as_str().context("it belongs nowhere")?.to_owned();
        if self.site_of(vm)? != home {
            self.watari(&["vm", "migrate", vm, "--to", self.other_side(vm)?, "--wait"])?;
        }
        Ok(home)
    }

    /// The first node of the other campus.
    pub(crate) fn other_side(&self, vm: &str) -> anyhow::Result<&'static str> {
        Ok(if self.node_of(vm)?.starts_with('m') { "y1" } else { "m1" })
    }

    /// Does it over links of this rate; afterwards they have the rate again that they had before.
    ///
    /// # Errors
    /// What the act says, or when the rate cannot be set.
    pub fn at_rate<T>(&self, mbit: u64, run: impl FnOnce(&Self) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let status: Value = serde_json::from_str(&self.lab.run(&["status", "--json"])?)?;
        let before = status["link_mbit"].as_u64().context("the links' rate is not told")?;
        self.lab.run(&["link", "--mbit", &mbit.to_string()])?;
        let outcome = run(self);
        self.lab.run(&["link", "--mbit", &before.to_string()])?;
        outcome
    }

    pub(crate) fn until_nodes_ready(&self) -> anyhow::Result<()> {
        until(60, "four nodes are ready", || {
            let nodes = self.watari(&["node", "list"])?;
            let ready = nodes.as_array().map_or(0, |n| n.iter().filter(|n| n["state"] == "ready").count());
            Ok(ready == 4)
        })
    }

    /// The server runs exactly once, answers in the same boot, and the books say where.
    fn sound(&self, vm: &str, boot: &str) -> anyhow::Result<()> {
        let shown = until_some(60, &format!("{vm} runs exactly once and the books agree"), || {
            let copies = self.lab.copies(vm);
            let [(host, _)] = copies.as_slice() else { return Ok(None) };
            let shown = self.show("vm", vm)?;
            let active = self.watari(&["migration", "list", "--active"])?;
            let quiet = active.as_array().is_some_and(Vec::is_empty);
            let agree = quiet && shown["state"] == "running" && shown["node"].as_str() == Some(host);
            Ok(agree.then_some(shown))
        })?;
        let address = shown["addresses"][0].as_str().with_context(|| format!("{vm} has no address"))?;
        self.until_page(address, 30)?;
        ensure!(self.boot_id(address)? == boot, "{vm} was booted again");
        Ok(())
    }
}

/// Waits until something holds, as [`until_some`] does.
pub(crate) fn until(seconds: u64, what: &str, mut holds: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    until_some(seconds, what, || Ok(holds()?.then_some(())))
}

/// Waits until a look brings something; an error on the way counts as "not yet". To ask is to start a command, which costs
/// the machine more than most of what is waited for: the longer it takes, the more seldom it is asked.
pub(crate) fn until_some<T>(
    seconds: u64,
    what: &str,
    mut look: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let (began, most) = (Instant::now(), Duration::from_secs(seconds));
    let pause = || (began.elapsed() / 10).clamp(Duration::from_millis(100), Duration::from_millis(500));
    loop {
        match look() {
            Ok(Some(found)) => return Ok(found),
            Ok(None) if began.elapsed() > most => bail!("waited {seconds} s until {what}"),
            Err(error) if began.elapsed() > most => {
                return Err(error.context(format!("waited {seconds} s until {what}")));
            }
            _ => std::thread::sleep(pause()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn names(lane: &str) -> Vec<&'static str> {
        all(lane.parse().unwrap()).into_iter().map(|scenario| scenario.name).collect()
    }

    #[test]
    fn lanes_share_all_scenarios_and_last_about_as_long() {
        let whole = names("1/1");
        assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), whole.len(), "a name is there twice");
        for of in 2..=3 {
            let mut shared: Vec<_> = (1..=of).flat_map(|number| names(&format!("{number}/{of}"))).collect();
            assert_eq!(shared.len(), whole.len());
            shared.sort_by_key(|name| whole.iter().position(|other| other == name));
            assert_eq!(shared, whole);
            let share = lanes(of);
            let lasts =
                |lane: usize| share.iter().zip(GROUPS).filter(|(l, _)| **l == lane).map(|(_, g)| g.0).sum::<u32>();
            let lasting: Vec<u32> =
                besides(of).into_iter().enumerate().map(|(lane, more)| lasts(lane) + more).collect();
            let (least, most) = (lasting.iter().min().unwrap(), lasting.iter().max().unwrap());
            assert!(most - least < 60, "{lasting:?}");
        }
    }

    /// Who may lead when something is lost without warning: the rules, as people read them.
    #[test]
    fn every_row_of_the_table_of_who_may_lead_names_scenarios_that_are_there() {
        let text = include_str!("../../ARCHITECTURE.md");
        let (_, after) = text.split_once("Who may lead when something is lost without warning:").unwrap();
        let table = after.trim_start().lines().take_while(|line| line.starts_with('|'));
        let rows: Vec<&str> = table.skip(2).collect();
        assert!(rows.len() >= 10, "{rows:?}");
        let there = names("1/1");
        for row in rows {
            let shown_by = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap();
            let mut named = shown_by.split('`').skip(1).step_by(2).peekable();
            assert!(named.peek().is_some(), "no scenario shows it: {row}");
            assert!(named.all(|name| there.contains(&name)), "a scenario is not there: {row}");
        }
    }

    #[test]
    fn a_lane_that_is_none_is_refused() {
        let too_many = format!("1/{}", GROUPS.len() + 1);
        for text in ["0/2", "3/2", "1/0", too_many.as_str(), "1", "a/b", "-1/2"] {
            assert!(text.parse::<Lane>().is_err(), "{text}");
        }
    }
}
