//! Outages in which something is not as it should be, each as a log over simulated time that an operator can read.
//!
//! The logs lie beside this file. One that differs is read, and if the change was meant it is written anew:
//! `WATARI_GOLDEN=write cargo test -p watari-scheduler --lib stories`. What matters of each story is asserted before its log is
//! compared, so that no log of a bad end is ever written.

mod changing_places;

use std::{collections::BTreeMap, env, fs, path::Path};

use watari_model::{
    VmName,
    migration::State as Moved,
    node::Node,
    outage::{self, Outage},
    site::Supply,
    vm::{Company, Membership, State, Vm, Way},
};

use super::{
    documents::{name, put},
    faults::CALM,
    sim::{Broken, Event, Sim},
    wishes::Wish,
};
use crate::core::still_there;

/// From the most to the least worth; each takes 32 seconds.
const SERVERS: &[(&str, u64)] = &[("mail", 128), ("web", 128), ("batch", 128), ("old", 128)];
const LINK: u64 = 4 << 20;
const SECOND: u64 = 1_000;
/// When all servers run, and the story begins.
const BEGINS: u64 = 4 * SECOND;
const EVACUATE: Wish = Wish::Evacuate("myodaiji");

struct Story {
    sim: Sim,
    begins: u64,
    /// How everything was when it was last looked at, by what it is.
    known: BTreeMap<String, String>,
    lines: Vec<String>,
}

impl Story {
    /// The campus of four nodes, on which these run.
    fn of(servers: &[(&str, u64)]) -> Self {
        let mut sim = Sim::new(1, servers, CALM, Broken::Nothing);
        sim.link = LINK;
        for ((vm, _), priority) in servers.iter().zip([90, 60, 30, 0]) {
            sim.amend(vm, |vm| vm.spec.priority = priority);
        }
        sim.run(BEGINS);
        Self::from_here(sim)
    }

    /// In a world that is there.
    fn from_here(sim: Sim) -> Self {
        let begins = sim.now;
        let mut story = Self { sim, begins, known: BTreeMap::new(), lines: Vec::new() };
        story.look();
        story
    }

    fn line(&mut self, text: &str) {
        let seconds = (self.sim.now - self.begins) / SECOND;
        self.lines.push(format!("{seconds:>4} s  {text}"));
    }

    fn wish(&mut self, wish: Wish) {
        self.line(&format!("* somebody wants {wish:?}"));
        self.sim.after(0, Event::Operator(wish));
    }

    fn happens(&mut self, what: &str, strike: impl FnOnce(&mut Sim)) {
        self.line(&format!("* {what}"));
        strike(&mut self.sim);
    }

    /// Goes on until so many seconds after its beginning.
    fn until(&mut self, seconds: u64) {
        let end = self.begins + seconds * SECOND;
        while self.sim.now < end {
            self.sim.run((self.sim.now + SECOND).min(end));
            self.sim.assert_sound();
            self.look();
        }
    }

    /// Writes down what is otherwise than at the last look.
    fn look(&mut self) {
        let seen = seen(&self.sim);
        for (what, how) in &seen {
            if self.known.get(what) != Some(how) {
                self.line(&format!("{what}: {how}"));
            }
        }
        self.known = seen;
    }

    fn outage(&self, id: &str) -> &Outage {
        &self.sim.docs.outages[id].value
    }

    /// How each server is, the first letter of its node's name (`y` is the other campus's), and how often it was booted.
    fn servers(&self) -> Vec<(&str, State, char, u32)> {
        let servers = self.sim.docs.vms.values().map(|entry| &entry.value);
        let site = |vm: &Vm| vm.node().unwrap().as_str().chars().next().unwrap();
        servers.map(|vm| (vm.name.as_str(), vm.state, site(vm), self.sim.truth[&vm.name].boots)).collect()
    }

    /// How often a migration came to nothing, by why.
    fn failures(&self) -> BTreeMap<&'static str, usize> {
        let mut failures = BTreeMap::new();
        let faults = self.sim.docs.migrations.values().filter_map(|entry| entry.value.fault.as_ref());
        faults.for_each(|fault| *failures.entry(fault.code()).or_default() += 1);
        failures
    }

    /// The log is as it was.
    fn is_told_as(&self, story: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/core/tests/stories");
        let path = folder.join(format!("{story}.log"));
        let log = self.lines.join("\n") + "\n";
        if env::var_os("WATARI_GOLDEN").is_some_and(|word| word == "write") {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &log).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        let differs = kept.lines().zip(log.lines()).position(|(old, new)| old != new);
        assert!(
            kept == log,
            "{story}.log is another from line {} on. If that was meant, write it with WATARI_GOLDEN=write. Now:\n{log}",
            differs.unwrap_or_else(|| kept.lines().count().min(log.lines().count())) + 1
        );
    }
}

/// How everything is that a person would look at.
fn seen(sim: &Sim) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    for node in sim.docs.nodes.values().map(|entry| &entry.value) {
        seen.insert(format!("node {}", node.name), node.state.word().to_owned());
    }
    for vm in sim.docs.vms.values().map(|entry| &entry.value) {
        let node = vm.node().map_or("no node", |node| node.as_str());
        let to = vm.crossing.as_ref().map(|crossing| format!(", to {}", crossing.to)).unwrap_or_default();
        let halt = vm.halt.as_ref().map(|halt| format!(", {}", halt.fault.code())).unwrap_or_default();
        seen.insert(format!("server {}", vm.name), format!("{} on {node}{to}{halt}", vm.state.word()));
    }
    for migration in sim.docs.migrations.values().map(|entry| &entry.value) {
        if let Some(fault) = &migration.fault {
            let how = format!("{} to {}, {}", migration.state.word(), migration.to, fault.code());
            seen.insert(format!("migration {}", migration.id), how);
        }
    }
    for outage in sim.docs.outages.values().map(|entry| &entry.value) {
        let left = outage.left.iter().map(|left| format!(", without {} ({})", left.vm, left.fault.code()));
        let left: String = left.collect();
        seen.insert(format!("outage {}", outage.id), format!("{}{left}", outage.state.word()));
    }
    seen
}

/// All of [`SERVERS`], by name, as they are at the end of a story that went well for them.
fn all(state: State, site: char) -> Vec<(&'static str, State, char, u32)> {
    ["batch", "mail", "old", "web"].map(|vm| (vm, state, site, 1)).to_vec()
}

/// Changes a node's document.
fn amend_node(sim: &mut Sim, name: &str, change: impl FnOnce(&mut Node)) {
    let entry = sim.docs.nodes[name].clone();
    let mut changed = entry.value.clone();
    change(&mut changed);
    let docs = &mut sim.docs;
    assert!(put(&mut docs.nodes, &mut docs.revision, changed, entry.revision));
}

#[test]
fn a_site_is_lost_half_way_and_what_had_left_runs_on_and_the_rest_starts_where_its_disk_is() {
    let mut story = Story::of(SERVERS);
    story.wish(EVACUATE);
    story.until(45);
    story.happens("the power of myodaiji goes", |sim| ["m1", "m2"].iter().for_each(|node| sim.darken(&name(node))));
    story.until(120);
    assert_eq!(story.outage("myodaiji-1").state, outage::State::Evacuated, "nobody waits for what is dark");
    let left: Vec<&str> = story.outage("myodaiji-1").left.iter().map(|left| left.vm.as_str()).collect();
    assert_eq!(left, ["batch", "old", "web"]);
    story.happens("the power is back", |sim| ["m1", "m2"].iter().for_each(|node| sim.mend(&name(node))));
    story.until(180);
    story.wish(Wish::Return("myodaiji"));
    story.until(420);
    assert_eq!(story.outage("myodaiji-1").state, outage::State::Completed);
    let run = |vm: &'static str, boots: u32| (vm, State::Running, 'm', boots);
    assert_eq!(story.servers(), [run("batch", 2), run("mail", 1), run("old", 2), run("web", 2)]);
    story.is_told_as("site-loss-half-way");
}

#[test]
fn where_a_targets_disk_is_full_servers_go_to_another_node() {
    let mut story = Story::of(SERVERS);
    story.happens("the disk of y1 is full", |sim| sim.hosts.get_mut(&name("y1")).unwrap().ails.full = true);
    story.wish(EVACUATE);
    story.until(420);
    assert_eq!(
        (story.outage("myodaiji-1").state, story.servers()),
        (outage::State::Evacuated, all(State::Running, 'y'))
    );
    assert!(story.sim.docs.vms.values().all(|entry| entry.value.node() == Some(&name("y2"))), "{}", story.sim.story());
    assert!(story.failures().contains_key("agent.disk-full"), "{:?}", story.failures());
    story.is_told_as("full-target");
}

#[test]
fn over_a_link_that_becomes_slow_whoever_would_come_too_late_is_called_back_and_goes_off_in_time() {
    const LASTS: u64 = 190;
    let mut story = Story::of(SERVERS);
    story.wish(Wish::Power("myodaiji", Supply::Battery, Some(LASTS)));
    story.wish(EVACUATE);
    story.until(20);
    story.happens("the link carries a quarter", |sim| sim.link = LINK / 4);
    story.until(LASTS);
    let servers = story.servers();
    assert!(servers.contains(&("mail", State::Running, 'y', 1)), "{servers:?}");
    let is_safe = |(_, state, site, _): &(&str, State, char, u32)| {
        (*site == 'y' && *state == State::Running) || matches!(state, State::Stopped | State::Suspended)
    };
    assert!(servers.iter().all(is_safe), "{servers:?}");
    let off = servers.iter().filter(|(_, _, site, _)| *site == 'm').count();
    assert!((2..=3).contains(&off), "{servers:?}");
    assert_eq!(story.outage("myodaiji-1").state, outage::State::Evacuated);
    story.is_told_as("slow-link");
}

#[test]
fn an_agent_that_restarts_while_its_server_leaves_costs_nobody_anything() {
    let mut story = Story::of(SERVERS);
    story.wish(EVACUATE);
    story.until(15);
    let from = story.sim.document(&vm("mail")).unwrap().node().unwrap().clone();
    story.happens(&format!("the agent of {from} restarts"), |sim| sim.agent_dies(&from, 6 * SECOND));
    story.until(240);
    assert_eq!(
        (story.outage("myodaiji-1").state, story.servers()),
        (outage::State::Evacuated, all(State::Running, 'y'))
    );
    assert_eq!(story.sim.docs.migrations["mail-1"].value.state, Moved::Completed, "its copy went on");
    story.is_told_as("agent-restart");
}

#[test]
fn called_off_midway_what_travels_arrives_and_the_others_stay() {
    let mut story = Story::of(SERVERS);
    story.wish(EVACUATE);
    story.until(40);
    story.wish(Wish::CallOff("myodaiji"));
    story.until(240);
    assert_eq!(story.outage("myodaiji-1").state, outage::State::Cancelled);
    let run = |vm: &'static str, site: char| (vm, State::Running, site, 1);
    assert_eq!(story.servers(), [run("batch", 'm'), run("mail", 'y'), run("old", 'm'), run("web", 'y')]);
    assert!(story.sim.docs.migrations.values().all(|entry| entry.value.state.over()));
    story.is_told_as("cancel-midway");
}

#[test]
fn when_the_other_site_is_emptied_as_well_nobody_goes_to_and_fro_and_everybody_runs() {
    let mut story = Story::of(SERVERS);
    story.wish(EVACUATE);
    story.until(40);
    story.wish(Wish::Evacuate("yamate"));
    story.until(300);
    let made = story.sim.docs.migrations.len();
    story.until(420);
    assert_eq!(story.sim.docs.migrations.len(), made, "{}", story.sim.story());
    for id in ["myodaiji-1", "yamate-1"] {
        assert_eq!(story.outage(id).state, outage::State::Evacuated, "{}", story.sim.story());
    }
    let snap = story.sim.snapshot();
    for (vm, state, site, boots) in story.servers() {
        let outage = story.outage(if site == 'y' { "yamate-1" } else { "myodaiji-1" });
        // Who was on the way to a site is told of as running there all the same.
        let is_left = outage.left.iter().any(|left| left.vm.as_str() == vm);
        let is_told = is_left || still_there(&snap, outage).iter().any(|there| there.name.as_str() == vm);
        assert!(is_told, "nobody is told that {vm} stays");
        assert_eq!((state, boots), (State::Running, 1), "{vm}");
    }
    story.is_told_as("two-outages-at-once");
}

#[test]
fn who_finds_no_room_is_left_with_that_reason_and_runs_on() {
    let mut story = Story::of(&[("mail", 600), ("web", 600)]);
    story.sim.link = 4 * LINK;
    story.happens("y2 is cordoned", |sim| amend_node(sim, "y2", |node| node.cordoned = true));
    story.wish(EVACUATE);
    story.until(180);
    let outage = story.outage("myodaiji-1");
    let left: Vec<_> = outage.left.iter().map(|left| (left.vm.as_str(), left.fault.code())).collect();
    assert_eq!((outage.state, left), (outage::State::Evacuated, vec![("web", "placement.no-room")]));
    assert_eq!(story.servers(), [("mail", State::Running, 'y', 1), ("web", State::Running, 'm', 1)]);
    story.is_told_as("no-room");
}

#[test]
fn with_a_deadline_that_is_too_short_for_anybody_all_are_suspended_in_time_and_go_on_afterwards() {
    const LASTS: u64 = 30;
    let mut story = Story::of(SERVERS);
    story.wish(Wish::Power("myodaiji", Supply::Battery, Some(LASTS)));
    story.wish(EVACUATE);
    story.until(LASTS - 1);
    assert_eq!(story.servers(), all(State::Suspended, 'm'));
    assert_eq!(story.outage("myodaiji-1").state, outage::State::Evacuated);
    story.until(60);
    story.wish(Wish::Power("myodaiji", Supply::Mains, None));
    story.wish(Wish::Return("myodaiji"));
    story.until(240);
    assert_eq!(
        (story.outage("myodaiji-1").state, story.servers()),
        (outage::State::Completed, all(State::Running, 'm'))
    );
    story.is_told_as("deadline-too-short");
}

#[test]
fn before_a_scheduled_loss_of_power_whoever_has_no_time_is_suspended_or_shut_down_where_that_is_chosen() {
    const GOES: u64 = 150;
    const BACK: u64 = 240;
    let mut story = Story::of(SERVERS);
    let rules = &mut story.sim.rules;
    // A node's disk takes one server's memory in the time for stopping.
    (rules.calendar.lead_ms, rules.deadline.stops_scheduled, rules.deadline.save_mib) = (140 * SECOND, true, 10);
    story.wish(Wish::Schedule("myodaiji", GOES * SECOND, BACK * SECOND));
    story.until(GOES - 1);
    let outage = story.outage("myodaiji-1");
    assert_eq!(outage.state, outage::State::Evacuated, "{}", story.sim.story());
    assert!(outage.left.is_empty(), "{:?}", outage.left);
    let halted: Vec<_> = outage.halted.iter().map(|one| (one.vm.as_str(), one.way, one.fault.code())).collect();
    let why = "outage.no-time";
    let wanted = [("batch", Way::Suspend, why), ("old", Way::ShutDown, why), ("web", Way::Suspend, why)];
    assert_eq!(halted, wanted, "{}", story.sim.story());
    let off = |vm, state| (vm, state, 'm', 1);
    let (run, saved) = (State::Running, State::Suspended);
    let wanted = [off("batch", saved), ("mail", run, 'y', 1), off("old", State::Stopped), off("web", saved)];
    assert_eq!(story.servers(), wanted);
    story.until(BACK + 60);
    assert_eq!(story.outage("myodaiji-1").state, outage::State::Completed);
    let runs = |vm, boots| (vm, run, 'm', boots);
    assert_eq!(story.servers(), [runs("batch", 1), runs("mail", 1), runs("old", 2), runs("web", 1)]);
    story.is_told_as("deadline-scheduled");
}

#[test]
fn servers_of_a_group_that_depend_on_each_other_leave_and_come_home_in_their_order() {
    const ORDER: [&str; 3] = ["db", "web", "mail"];
    let mut sim = Sim::new(1, &[("mail", 128), ("web", 128), ("db", 256)], CALM, Broken::Nothing);
    sim.link = 2 * LINK;
    for name in ORDER {
        let together = Membership { group: "desk".parse().unwrap(), company: Company::Together };
        sim.amend(name, |vm| vm.spec.groups.push(together));
    }
    sim.amend("web", |web| web.spec.after = vec![vm("db")]);
    sim.amend("mail", |mail| {
        mail.spec.after = vec![vm("web")];
        mail.spec.priority = 90;
    });
    sim.run(20 * SECOND);
    let mut story = Story::from_here(sim);
    for (wish, end, state) in
        [(EVACUATE, 180, outage::State::Evacuated), (Wish::Return("myodaiji"), 360, outage::State::Completed)]
    {
        let known: Vec<String> = story.sim.docs.migrations.keys().cloned().collect();
        story.wish(wish);
        story.until(end);
        assert_eq!(story.outage("myodaiji-1").state, state, "{}", story.sim.story());
        let made = story.sim.docs.migrations.iter().filter(|(id, _)| !known.contains(id));
        let mut made: Vec<_> = made.map(|(_, entry)| &entry.value).collect();
        made.sort_by_key(|migration| migration.copying_at);
        let order: Vec<&str> = made.iter().map(|migration| migration.vm.as_str()).collect();
        assert_eq!(order, ORDER, "{}", story.sim.story());
        let one_by_one = made.windows(2).all(|two| two[1].copying_at.is_some_and(|began| began >= two[0].changed_at));
        assert!(one_by_one, "{}", story.sim.story());
        let mut nodes = story.sim.docs.vms.values().map(|entry| entry.value.node());
        let first = nodes.next();
        assert!(
            nodes.all(|node| Some(node) == first),
            "they are no longer together:
{}",
            story.sim.story()
        );
    }
    assert!(story.servers().iter().all(|(_, state, site, boots)| (*state, *site, *boots) == (State::Running, 'm', 1)));
    story.is_told_as("dependent-group");
}

fn vm(name: &str) -> VmName {
    name.parse().unwrap()
}
