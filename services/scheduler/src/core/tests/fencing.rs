//! Nodes that are lost and fenced, by a power controller with all its failings: it does nothing, or does it and says
//! nothing, or only after a while; and somebody switches the node on in the middle. What is decided is the
//! model's; what is done is here.

use watari_model::{
    NodeName, Refusal, VmName,
    node::{
        Fencing,
        fencing::{self, Act, BY_ITSELF, Case, Means, Outcome, Rules, Step},
    },
    vm::{Desired, Restart, State},
};

use super::{
    documents::at,
    faults::{CALM, DARK, Faults},
    scenarios::tell,
    sim::{Broken, MINUTE, SERVERS, Sim},
};

const RULES: Rules = Rules { wait_ms: 4_000, pause_ms: 2_000, most_pause_ms: 8_000, boot_ms: 60_000 };

/// The monitor's part in it, and the power controllers.
#[derive(Default)]
pub(crate) struct Fencer {
    /// Percent of what goes wrong, each for itself.
    bad: u64,
    /// Percent of moments at which somebody switches the node on.
    pressed: u64,
    hands: Vec<Hand>,
}

/// One node that is being fenced.
struct Hand {
    node: NodeName,
    begun: Fencing,
    stage: Stage,
    at: u64,
}

enum Stage {
    /// The command to cut the power is on its way.
    Cutting,
    /// The controller is asked.
    Asking,
    /// It has answered, and that is to be written down.
    Writing(Outcome),
}

impl Sim {
    /// A second of it.
    pub(crate) fn fence(&mut self) {
        let Some(mut fencer) = self.fencer.take() else { return };
        for (name, step) in self.steps(&fencer) {
            let (outcome, tries) = match step {
                Step::Cut { tries } => (Outcome::Begun, tries),
                Step::Withhold(why) => (Outcome::Withheld { why }, 1),
            };
            let node = &self.docs.nodes[name.as_str()].value;
            let begun = Fencing::of(node, Act::Off, BY_ITSELF.to_owned(), tries, outcome, at(self.now));
            if self.note_fencing(&name, &begun) && begun.outcome == Outcome::Begun {
                let when = self.now + self.rng.between(0, 3_000);
                fencer.hands.push(Hand { node: name, begun, stage: Stage::Cutting, at: when });
            }
        }
        for hand in std::mem::take(&mut fencer.hands) {
            let gone_on = if hand.at > self.now { Some(hand) } else { self.go_on(hand, &mut fencer) };
            fencer.hands.extend(gone_on);
        }
        self.fencer = Some(fencer);
    }

    fn steps(&self, fencer: &Fencer) -> Vec<(NodeName, Step)> {
        let outages = || self.docs.outages.values().map(|entry| &entry.value);
        let case = |name: &NodeName| {
            let node = &self.docs.nodes[name.as_str()].value;
            let means = if fencer.hands.iter().any(|hand| hand.node == *name) {
                Means::Busy
            } else if fencing::is_spared(node, outages()) {
                Means::Spared
            } else {
                Means::Ready
            };
            Case { node, silent: self.hosts[name].silent_since.is_some(), means }
        };
        let cases: Vec<Case<'_>> = self.hosts.keys().map(case).collect();
        fencing::due(&cases, at(self.now), RULES)
    }

    fn go_on(&mut self, hand: Hand, fencer: &mut Fencer) -> Option<Hand> {
        let bad = fencer.bad;
        // Who did it may die, and nobody knows what came of it.
        if self.rng.chance(bad / 4) {
            return None;
        }
        let later = self.now + self.rng.between(0, 4_000);
        match hand.stage {
            Stage::Cutting => {
                // What it answers is of no account: it may do nothing, or do it and say nothing.
                if !self.rng.chance(bad) && self.hosts[&hand.node].up {
                    self.fenced += 1;
                    self.darken(&hand.node);
                }
                self.is_switched_on(&hand.node, fencer.pressed);
                Some(Hand { stage: Stage::Asking, at: later, ..hand })
            }
            Stage::Asking => {
                let silent = self.rng.chance(bad);
                let outcome = if self.hosts[&hand.node].up || silent {
                    Outcome::Failed { why: Refusal::NodeNotOff { node: hand.node.to_string() } }
                } else {
                    Outcome::Done
                };
                self.is_switched_on(&hand.node, fencer.pressed);
                Some(Hand { stage: Stage::Writing(outcome), at: later, ..hand })
            }
            Stage::Writing(outcome) => {
                let ended = Fencing { outcome, ended_at: Some(at(self.now)), ..hand.begun };
                self.note_fencing(&hand.node, &ended);
                None
            }
        }
    }

    /// Somebody presses the button.
    fn is_switched_on(&mut self, node: &NodeName, percent: u64) {
        if self.rng.chance(percent) {
            self.mend(node);
        }
    }
}

/// A world in which lost nodes are fenced, badly.
pub(super) fn fenced(seed: u64, faults: Faults) -> Sim {
    let mut sim = Sim::new(seed, SERVERS, faults, Broken::Nothing);
    sim.fencer = Some(Fencer { bad: 25, pressed: 20, ..Fencer::default() });
    sim
}

fn mail() -> VmName {
    "mail".parse().unwrap()
}

/// `mail` runs, and who fences is there; where it runs.
fn running(seed: u64) -> (Sim, NodeName) {
    let mut sim = Sim::new(seed, &[("mail", 192)], CALM, Broken::Nothing);
    sim.fencer = Some(Fencer::default());
    sim.run(5_000);
    let node = sim.document(&mail()).unwrap().node().unwrap().clone();
    assert_eq!(sim.running(&mail()), [&node], "{}", sim.story());
    (sim, node)
}

fn stranded(sim: &Sim) -> bool {
    matches!(sim.document(&mail()).unwrap().fault, Some(Refusal::VmStranded { .. }))
}

#[test]
fn invariant_1_a_server_runs_on_at_most_one_node_whatever_becomes_of_fencing() {
    let mut cut = 0;
    for seed in 0..40 {
        let sim = tell(fenced(seed, DARK), 2 * MINUTE);
        sim.assert_sound();
        cut += sim.fenced;
    }
    assert!(cut > 0, "nobody was fenced");
}

#[test]
fn a_node_that_is_cut_from_the_bus_is_fenced_before_anything_is_concluded_of_it() {
    for seed in 0..20 {
        let (mut sim, node) = running(seed);
        sim.hosts.get_mut(&node).unwrap().connected = false;
        sim.run(sim.now + 9_000);
        assert!(sim.hosts[&node].up && !stranded(&sim), "{}", sim.story());
        sim.run(sim.now + 30_000);
        assert!(!sim.hosts[&node].up && stranded(&sim), "{}", sim.story());
        assert_eq!(sim.docs.nodes[node.as_str()].value.off.as_ref().unwrap().by, BY_ITSELF);
        // As with an operator's word it is started nowhere from nothing, and comes back with its node.
        assert!(sim.running(&mail()).is_empty(), "{}", sim.story());
        sim.mend(&node);
        sim.run(sim.now + MINUTE);
        assert_eq!(sim.running(&mail()), [&node], "{}", sim.story());
        sim.assert_sound();
    }
}

#[test]
fn a_controller_that_does_nothing_proves_nothing_and_is_tried_again() {
    let (mut sim, node) = running(1);
    sim.fencer = Some(Fencer { bad: 100, ..Fencer::default() });
    sim.darken(&node);
    sim.run(sim.now + 2 * MINUTE);
    assert_eq!(sim.docs.nodes[node.as_str()].value.off, None, "{}", sim.story());
    assert!(!stranded(&sim), "{}", sim.story());
    sim.fencer = Some(Fencer::default());
    sim.run(sim.now + MINUTE);
    assert!(stranded(&sim), "{}", sim.story());
}

#[test]
fn a_site_that_is_silent_as_a_whole_is_left_alone() {
    let (mut sim, node) = running(3);
    let site = sim.hosts[&node].site.clone();
    for host in sim.hosts.values_mut().filter(|host| host.site == site) {
        host.connected = false;
    }
    sim.run(sim.now + 2 * MINUTE);
    assert_eq!(sim.running(&mail()), [&node], "it is the network: {}", sim.story());
    let told = sim.docs.nodes[node.as_str()].value.fencing.clone().unwrap();
    assert!(matches!(told.outcome, Outcome::Withheld { why: Refusal::FencingWithheld { .. } }), "{told:?}");
}

#[test]
fn a_server_that_is_never_restarted_stays_off_after_its_node_went_off_until_it_is_started() {
    for fenced in [true, false] {
        let (mut sim, node) = running(5);
        sim.amend("mail", |vm| vm.spec.restart = Restart::Never);
        sim.fencer = fenced.then(Fencer::default);
        sim.darken(&node);
        sim.run(sim.now + 40_000);
        assert_eq!(stranded(&sim), fenced, "{}", sim.story());
        sim.mend(&node);
        sim.run(sim.now + MINUTE);
        let vm = sim.document(&mail()).unwrap();
        assert_eq!((vm.state, vm.desired, &vm.fault), (State::Stopped, Desired::Stopped, &None), "{}", sim.story());
        assert!(sim.running(&mail()).is_empty());
        sim.assert_sound();
    }
}

#[test]
fn of_many_servers_that_start_at_once_the_more_important_ones_come_first() {
    let names = ["mail", "web", "a", "b"];
    let mut sim = Sim::new(1, SERVERS, CALM, Broken::Nothing);
    for (name, priority) in names.into_iter().zip([10, 90, 50, 90]) {
        sim.amend(name, |vm| vm.spec.priority = priority);
    }
    let snap = crate::core::Snapshot { vms: sim.docs.vms.clone(), nodes: sim.docs.nodes.clone(), ..Default::default() };
    let order: Vec<String> = crate::core::decide(&snap, &sim.rules, at(0))
        .iter()
        .filter_map(|action| match action {
            crate::core::Action::StoreVm { vm, .. } => Some(vm.name.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["b", "web", "a", "mail"]);
}
