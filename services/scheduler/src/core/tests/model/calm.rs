//! What becomes of a moment once faults stop: everybody has power, every message arrives, and the scheduler does
//! one thing after the other. That the server then runs is what "never lost" means.

use super::{
    Ending, Luck, Protocol, Step,
    world::{Order, Verb, World},
};

/// More than any way to rest takes.
const MOST_STEPS: usize = 60;

impl Protocol {
    /// Whether the server comes to run.
    pub(super) fn comes_to_rest(&self, world: &World) -> bool {
        let mut world = world.clone();
        for _ in 0..MOST_STEPS {
            if world.is_settled() {
                return true;
            }
            match self.go_on(&world) {
                Some(next) => world = next,
                None => return false,
            }
        }
        false
    }

    /// The next thing that changes anything.
    fn go_on(&self, world: &World) -> Option<World> {
        let dark = [0_usize, 1].into_iter().filter(|at| !world.guests[*at].up);
        let mut steps: Vec<Step> = dark.map(Step::RestorePower).collect();
        // A connection is not broken now; one that is dead already ends.
        steps.extend(world.flow.map(|flow| if flow.dead { Step::Snap(Luck::RunsOn) } else { Step::Flow }));
        let all = |verb: Verb| deliveries(world, verb);
        match world.doc.crossing {
            None if world.goes_back() => {
                steps.push(Step::GoBack);
                steps.extend(all(Verb::Remove));
            }
            None => {
                steps.push(Step::SeenRunning);
                steps.extend(all(Verb::Start));
                steps.push(Step::Restart);
            }
            Some(way) if way.switched => {
                steps.push(Step::End);
                steps.extend(all(Verb::Resume));
            }
            Some(way) if way.abandoned => {
                steps.extend(all(Verb::Discard));
                steps.extend(all(Verb::Abort));
                steps.push(Step::End);
                steps.extend(all(Verb::Resume));
                steps.push(Step::Wake);
            }
            Some(_) => steps.extend([Step::Look(0), Step::Look(1), Step::Judge, Step::Abandon]),
        }
        steps.into_iter().find_map(|step| self.after(world, step))
    }
}

/// The orders to do that which were not carried out yet, the newest first.
fn deliveries(world: &World, verb: Verb) -> Vec<Step> {
    let open = |order: &Order| order.verb == verb && !world.guests[order.at].done.contains(order);
    let newest_first = world.orders.iter().rev().copied().filter(open);
    newest_first.map(|order| Step::Deliver { order, epoch: world.epoch, ending: Ending::Done }).collect()
}
