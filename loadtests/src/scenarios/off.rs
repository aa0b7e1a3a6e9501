//! A node is lost for good, and its power controller or an operator says that it is off; or it lives, and is cut off.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use super::{
    Stage, copies,
    failures::{copying, slowly},
    until,
};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] = &[
    ("a_paused_copy_runs_once_the_power_controller_of_its_source_says_that_it_is_off", paused_copy),
    ("of_a_node_that_is_off_one_server_waits_for_it_and_another_starts_from_its_copy_elsewhere", stranded),
    ("a_node_that_is_cut_off_stops_what_is_to_stop_and_starts_it_again_when_it_is_heard", cut_off),
];

const FRONTS: [&str; 2] = ["m-front", "y-front"];
/// Nobody waits longer than is needed to see what comes of it.
const SOON: &str = "\n[fence]\nwait_seconds = 1\nsettle_seconds = 1\nretry_seconds = 1\n";
/// On the front ends' own disks.
const CONFIGURATION: &str = "/etc/watari/monitor.toml";
const CONTROLLER: &str = "/var/lib/watari/controller";

/// The power controller of a node, or of all nodes of a site, as both monitors reach it: a program that notes what it is
/// told, and says of each node what the test has written. Dropped, nobody knows of it any more.
pub(crate) struct Controller<'a> {
    stage: &'a Stage,
    nodes: Vec<String>,
    before: Vec<(&'static str, String)>,
}

impl<'a> Controller<'a> {
    /// A node's own, which switches nobody on, with `fence`, a section of the monitors' settings, or with what they have by
    /// default where it is empty.
    pub(crate) fn configure(stage: &'a Stage, node: &str, fence: &str) -> anyhow::Result<Self> {
        Self::of(stage, &[node], &format!("node = \"{node}\"\n{}", words(&["off", "status"])), fence)
    }

    /// A site's, which switches its nodes on as well.
    pub(super) fn of_site(stage: &'a Stage, site: &str, nodes: &[&str]) -> anyhow::Result<Self> {
        Self::of(stage, nodes, &format!("site = \"{site}\"\n{}", words(&["off", "status", "on"])), "")
    }

    fn of(stage: &'a Stage, nodes: &[&str], entry: &str, fence: &str) -> anyhow::Result<Self> {
        let nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
        let mut controller = Self { stage, nodes, before: Vec::new() };
        let program =
            format!("echo \"$*\" >>{CONTROLLER}/calls\n[ \"$1\" != status ] || cat \"{CONTROLLER}/power.$2\"\n");
        for front in FRONTS {
            let folder = stage.lab.file(front, CONTROLLER);
            fs::create_dir_all(&folder)?;
            fs::write(folder.join("program"), &program)?;
            fs::write(folder.join("calls"), "")?;
            let file = stage.lab.file(front, CONFIGURATION);
            let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            fs::write(&file, format!("{text}\n[[fencing]]\n{entry}{fence}"))?;
            controller.before.push((front, text));
        }
        controller.says("on")?;
        controller.restart()?;
        Ok(controller)
    }

    /// Of each of its nodes.
    pub(crate) fn says(&self, word: &str) -> anyhow::Result<()> {
        self.nodes.iter().try_for_each(|node| self.says_of(node, word))
    }

    pub(super) fn says_of(&self, node: &str, word: &str) -> anyhow::Result<()> {
        let name = format!("power.{node}");
        let write = |front| fs::write(self.stage.lab.file(front, CONTROLLER).join(&name), format!("{word}\n"));
        Ok(FRONTS.into_iter().try_for_each(write)?)
    }

    /// How often it was told to cut the power.
    fn cuts(&self) -> anyhow::Result<usize> {
        self.nodes.iter().map(|node| self.calls("off", node)).sum()
    }

    /// How often it was told this of a node.
    pub(super) fn calls(&self, verb: &str, node: &str) -> anyhow::Result<usize> {
        let (told, mut times) = (format!("{verb} {node}"), 0);
        for front in FRONTS {
            let calls = fs::read_to_string(self.stage.lab.file(front, CONTROLLER).join("calls"))?;
            times += calls.lines().filter(|line| *line == told).count();
        }
        Ok(times)
    }

    fn restart(&self) -> anyhow::Result<()> {
        for verb in ["stop", "start"] {
            for front in FRONTS {
                self.stage.lab.run(&[verb, front, "monitor"])?;
            }
        }
        Ok(())
    }

    fn forget(&self) -> anyhow::Result<()> {
        for (front, text) in &self.before {
            fs::write(self.stage.lab.file(front, CONFIGURATION), text)?;
        }
        self.restart()
    }
}

/// The commands with these names, each with the node's name as its last word.
fn words(verbs: &[&str]) -> String {
    let command = |verb: &&str| format!("{verb} = [\"bash\", \"{CONTROLLER}/program\", \"{verb}\", \"{{node}}\"]\n");
    verbs.iter().map(command).collect()
}

impl Drop for Controller<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.forget() {
            eprintln!("the power controller was not cleared away: {error:#}");
        }
    }
}

impl Stage {
    fn schedulers(&self, verb: &str) -> anyhow::Result<()> {
        for front in FRONTS {
            self.lab.run(&[verb, front, "scheduler"])?;
        }
        Ok(())
    }

    fn until_lost(&self, node: &str) -> anyhow::Result<()> {
        until(120, &format!("{node} is lost"), || Ok(self.show("node", node)?["state"] == "lost"))
    }

    /// The migration that is under way, by its state; none if there is none.
    fn under_way(&self) -> anyhow::Result<Option<String>> {
        let active = self.watari(&["migration", "list", "--active", "--vm", "mail"])?;
        Ok(active[0]["state"].as_str().map(str::to_owned))
    }
}

/// While nobody decides, the copy arrives and its source's power goes. No person says a word.
fn paused_copy(stage: &Stage) -> anyhow::Result<()> {
    let source = stage.node_of("mail")?;
    let controller = Controller::configure(stage, &source, SOON)?;
    stage.until_nodes_ready()?;
    let address = stage.address("mail")?;
    let boot = stage.boot_id(&address)?;
    let target = stage.other_side("mail")?;
    slowly(stage, || {
        copying(stage, target)?;
        stage.schedulers("stop")
    })?;
    let arrived = until(120, "the copy has arrived and its source is gone", || {
        let copies = stage.lab.copies("mail");
        Ok(matches!(copies.as_slice(), [(host, _)] if host == target))
    });
    if arrived.is_ok() {
        stage.lab.run(&["power-off", &source])?;
    }
    stage.schedulers("start")?;
    arrived?;
    stage.until_lost(&source)?;
    ensure!(stage.page(&address, "/uptime").is_err(), "a copy was resumed on the strength of silence");
    ensure!(stage.under_way()?.is_some(), "the migration was decided on the strength of silence");
    stage.refused("node.not-lost", &["node", "confirm-off", target, "--yes"])?;

    until(30, "its power is to be cut", || Ok(controller.cuts()? > 0))?;
    let last = || Ok::<_, anyhow::Error>(stage.show("node", &source)?["fencing"]["last"].clone());
    until(30, "that has failed", || Ok(last()?["outcome"]["state"] == "failed"))?;
    // Each try begins anew.
    until(30, "the doctor names it", || Ok(stage.doctor(&[])?.names("node.not-fenced", &source)))?;
    ensure!(stage.page(&address, "/uptime").is_err(), "a copy was resumed though its source is said to be on");
    ensure!(stage.show("node", &source)?["off"].is_null(), "that it was told to be off is no proof");
    let said = Instant::now();
    controller.says("off")?;
    let runs = stage.until_page(&address, 60);
    let took = said.elapsed();
    stage.lab.run(&["power-on", &source])?;
    runs?;
    eprintln!("the server ran {:.1} s after the word", took.as_secs_f64());
    ensure!(took < Duration::from_secs(60), "it took {took:?}");
    ensure!(stage.node_of("mail")? == target, "it runs elsewhere");
    stage.until_nodes_ready()?;
    stage.sound("mail", &boot)?;
    ensure!(stage.show("node", &source)?["off"].is_null(), "the word stands of a node that is back");
    Ok(())
}

fn stranded(stage: &Stage) -> anyhow::Result<()> {
    stage.ready("mail")?;
    stage.until_nodes_ready()?;
    let (address, node) = (stage.address("mail")?, stage.node_of("mail")?);
    let risky = copies::send_ahead(stage, &node)?;
    stage.lab.run(&["power-off", &node])?;
    let dark = Instant::now();
    let told = stage.until_lost(&node).and_then(|()| {
        stage.watari(&["node", "confirm-off", &node, "--yes"])?;
        let boot = risky.came_up(stage, dark)?;
        until(60, "it is told as stranded", || {
            let shown = stage.show("vm", "mail")?;
            Ok(shown["state"] == "stopped" && shown["fault"]["code"] == "vm.stranded")
        })?;
        until(30, "the doctor names it", || Ok(stage.doctor(&[])?.names("vm.down", "mail")))?;
        stage.refused("vm.stranded", &["vm", "start", "mail", "--timeout", "2s"])?;
        stage.refused("node.has-servers", &["node", "remove", &node, "--yes"])?;
        Ok(boot)
    });
    let twins = stage.lab.copies("mail");
    stage.lab.run(&["power-on", &node])?;
    let boot = told?;
    ensure!(twins.is_empty(), "it was started from nothing: {twins:?}");
    stage.until_nodes_ready()?;
    risky.stayed(stage, &boot)?;
    stage.until_page(&address, 180)?;
    stage.sound("mail", &stage.boot_id(&address)?)?;
    ensure!(stage.node_of("mail")? == node, "it was started elsewhere");
    Ok(())
}

/// Only its management network is gone: the guest goes on answering until its own node stops it.
fn cut_off(stage: &Stage) -> anyhow::Result<()> {
    stage.ready("mail")?;
    stage.until_nodes_ready()?;
    let (address, node) = (stage.address("mail")?, stage.other_side("mail")?);
    stage.watari(&["vm", "edit", "mail", "--on-isolation", "stop"])?;
    // The next node is told with the migration.
    stage.watari(&["vm", "migrate", "mail", "--to", node, "--wait"])?;
    until(20, "its node has said that it stops it", || Ok(stage.show("vm", "mail")?["guarded"] == true))?;
    let boot = stage.boot_id(&address)?;
    let set = |to: &str| stage.lab.run(&["exec", node, "--", "ip", "link", "set", "mgmt0", to]);
    set("down")?;
    let cut = Instant::now();
    let stopped = until(30, "its node stops it", || Ok(stage.lab.copies("mail").is_empty()));
    let took = cut.elapsed();
    // It starts again as what it is to be from then on.
    let back = stage.watari(&["vm", "edit", "mail", "--on-isolation", "keep"]);
    set("up")?;
    stopped.and(back.map(drop))?;
    eprintln!("the server was stopped {:.1} s after the cut", took.as_secs_f64());
    ensure!(took > Duration::from_secs(2), "its lease had not run out");
    stage.until_nodes_ready()?;
    stage.until_page(&address, 120)?;
    ensure!(stage.node_of("mail")? == node, "it was started elsewhere");
    let again = stage.boot_id(&address)?;
    ensure!(again != boot, "it was not stopped in earnest");
    stage.sound("mail", &again)
}
