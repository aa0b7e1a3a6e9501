//! The nodes of a site that goes dark on purpose: shut down one after another once the site is evacuated, if that is
//! wished, and brought back before anybody comes home.
//!
//! Every step stands in the outage's document before it is done ([`watari_model::outage::dark`]), and is done as often
//! as it takes: telling a node twice to shut down, or its controller to switch it, changes nothing. What does not
//! succeed in time is told, and keeps neither the next node nor the outage.
//!
//! A node is empty by its agent's word, which asks libvirt when it is told to shut down; never by a document. That it
//! is off its power controller says. One that has none is off when nobody hears it any more: nothing is started
//! elsewhere on the strength of that.

use watari_chassis::Entry;
use watari_contracts::{
    agent::{Order, Phase, ShutDown, VmFact},
    monitor::PowerWish,
};
use watari_model::{
    NodeName, OutageId, Refusal, Said, Timestamp,
    node::{
        self, Node,
        fencing::{Act, Outcome as Switched},
    },
    outage::{
        Change, Darkened, Outage, Scope, State,
        dark::{Hand, Stage},
    },
    site::Supply,
};

use super::{Action, Outcome, Rules, Snapshot, naming, turn::Turn};

/// A controller that was told to switch a node on, or off, is told again after so long.
const AGAIN_MS: u64 = 60_000;
/// The longest name that the monitor takes of who has a node switched.
const LONGEST_NAME: usize = 64;

/// Decides about every outage whose nodes are to be shut down, or were.
pub(crate) fn decide(turn: &mut Turn<'_>) {
    let snap = turn.snap;
    for entry in snap.outages.values() {
        let outage = &entry.value;
        if outage.paused_at.is_some() || !turn.settled::<Outage>(outage.id.as_str()) {
            continue;
        }
        let Some(dark) = &outage.dark else {
            wish_unasked(turn, entry);
            continue;
        };
        let mut nodes = dark.nodes.clone();
        match outage.state {
            State::Evacuated if is_over(turn, outage) => rise(turn, outage, &mut nodes),
            State::Evacuated if dark.wished => darken(turn, outage, &mut nodes),
            State::Returning => rise(turn, outage, &mut nodes),
            _ => continue,
        }
        tell(turn, entry, nodes);
    }
}

/// Where nobody has said whether the nodes are to be shut down, the rules do.
fn wish_unasked(turn: &mut Turn<'_>, entry: &Entry<Outage>) {
    let outage = &entry.value;
    let is_ahead = outage.state == State::Scheduled || outage.state.drains();
    if turn.rules.dark.always && is_ahead && matches!(outage.scope, Scope::Site(_)) {
        turn.change_outage(entry, Change::ShutDownWished(true));
    }
}

/// Writes down what is news, and lets an operator know who does not go off or come back.
fn tell(turn: &mut Turn<'_>, entry: &Entry<Outage>, nodes: Vec<Darkened>) {
    for one in &nodes {
        let (why, what) = match &one.stage {
            Stage::Failed { why: Refusal::NodeIsFrontEnd { .. } } => continue,
            Stage::Failed { why } if entry.value.state == State::Evacuated => (why, "is not shut down"),
            Stage::Missing { why } => (why, "is not back"),
            _ => continue,
        };
        let text = format!("outage {}: node {} {what}: {why}", entry.value.id, one.node);
        turn.alarm(format!("alarm/node/{}", one.node), text);
    }
    if entry.value.dark.as_ref().is_some_and(|dark| dark.nodes != nodes) {
        turn.change_outage(entry, Change::Darkened(nodes));
    }
}

/// Whether the scheduled time is over, so that its end is waited for: the nodes are switched on for that.
fn is_over(turn: &Turn<'_>, outage: &Outage) -> bool {
    let over = outage.window.is_some_and(|window| turn.now >= window.until);
    let site = match &outage.scope {
        Scope::Site(site) => turn.snap.sites.get(site.as_str()),
        Scope::Node(_) => None,
    };
    let on_battery = site.and_then(|entry| entry.value.power).is_some_and(|power| power.supply == Supply::Battery);
    over && turn.rules.calendar.returns && !on_battery
}

/// The nodes that a return waits for, since they were shut down.
pub(crate) fn rising(outage: &Outage) -> impl Iterator<Item = &NodeName> {
    let nodes = outage.dark.iter().flat_map(|dark| &dark.nodes);
    nodes.filter(|one| one.stage.is_awaited()).map(|one| &one.node)
}

/// All nodes of what goes dark, in the order of their turns.
pub(crate) fn turns<'s>(snap: &'s Snapshot, outage: &'s Outage) -> impl Iterator<Item = &'s Node> {
    snap.nodes.values().map(|entry| &entry.value).filter(move |node| outage.scope.covers(node))
}

/// In whose name the monitor is asked to switch a node.
fn by(outage: &OutageId) -> String {
    format!("outage {outage}").chars().take(LONGEST_NAME).collect()
}

/// Why a node's turn does not come: for good, as a front end's, or as things are.
pub(crate) fn hindrance(snap: &Snapshot, rules: &Rules, node: &Node) -> Option<Refusal> {
    let name = node.name.to_string();
    if rules.fronts.contains(&node.name) {
        return Some(Refusal::NodeIsFrontEnd { node: name });
    }
    if node.off.is_some() {
        return None;
    }
    let heard = snap.heard_within(&node.name, rules.silent_ms).filter(|_| node.state == node::State::Ready);
    let Some(heard) = heard.filter(|heard| heard.facts.hypervisor_answers) else {
        return Some(Refusal::NoAnswer { who: format!("node {name}") });
    };
    let lives = |fact: &&VmFact| {
        !fact.domain.is_off() || fact.passage.as_ref().is_some_and(|passage| passage.phase != Phase::Ended)
    };
    let alive: Vec<&str> = heard.facts.vms.values().filter(lives).map(|fact| fact.vm.as_str()).collect();
    (!alive.is_empty()).then(|| Refusal::NodeNotEmpty { node: name, domains: alive.join(", ") })
}

/// One after another: while one goes off, no other's turn comes.
fn darken(turn: &mut Turn<'_>, outage: &Outage, nodes: &mut Vec<Darkened>) {
    let going = nodes.iter_mut().find(|one| matches!(one.stage, Stage::GoingOff { .. }));
    if let Some(one) = going {
        if let Some(stage) = go_off(turn, outage, one) {
            (one.stage, one.at) = (stage, turn.now);
        }
        return;
    }
    // Who was only cut off for a while is on, and has its turn again.
    let heard = nodes.iter_mut().find(|one| one.stage == Stage::Off && is_still_on(turn.snap, one));
    if let Some(one) = heard {
        (one.stage, one.at) = (Stage::GoingOff { by: Hand::Agent }, turn.now);
        return;
    }
    let left = |node: &&Node| nodes.iter().all(|one| one.node != node.name);
    let next = turns(turn.snap, outage).filter(left).find_map(|node| {
        let stage = match hindrance(turn.snap, turn.rules, node) {
            Some(why @ Refusal::NodeIsFrontEnd { .. }) => Stage::Failed { why },
            None if node.off.is_none() => Stage::GoingOff { by: Hand::Agent },
            // Its turn comes when it is empty, or heard; one that is off has had it.
            Some(_) | None => return None,
        };
        Some(Darkened { node: node.name.clone(), boot_id: node.inventory.host.boot_id.clone(), stage, at: turn.now })
    });
    nodes.extend(next);
}

/// Whether a node is heard under the same start of its machine that was to end.
fn is_still_on(snap: &Snapshot, one: &Darkened) -> bool {
    let node = snap.nodes.get(one.node.as_str()).map(|entry| &entry.value);
    let ready = node.filter(|node| node.state == node::State::Ready);
    one.boot_id.is_some() && ready.is_some_and(|node| node.inventory.host.boot_id == one.boot_id)
}

/// How far a node that is told to shut down is now, if that is news.
fn go_off(turn: &mut Turn<'_>, outage: &Outage, one: &Darkened) -> Option<Stage> {
    let Stage::GoingOff { by } = one.stage else { return None };
    let Some(entry) = turn.snap.nodes.get(one.node.as_str()) else { return Some(Stage::Off) };
    let node = &entry.value;
    if turn.is_off(&one.node) {
        return Some(Stage::Off);
    }
    let told = match by {
        Hand::Agent => by_agent(turn, outage, one),
        Hand::Controller => by_controller(turn, outage, one, node),
    };
    let mut why = match told {
        Told::Stage(stage) => return Some(stage),
        Told::Not(why) => why,
        Told::Done => {
            let detail = Said::new("it is still heard, or nobody knows", "まだ応答があるか、状態が不明です");
            Refusal::NodeStillOn { node: one.node.to_string(), detail }
        }
    };
    let since = outage.out.and_then(|leg| leg.ended_at).map_or(one.at, |ended| ended.max(one.at));
    let overdue = turn.now.millis_since(since) >= turn.rules.dark.off_ms;
    // Who is no longer heard may be off, whatever was said of the order: the answer may have gone with it.
    if node.state != node::State::Ready || matches!(why, Refusal::NodeStillOn { .. }) {
        match status(turn, outage, one) {
            Says::Off if node.state != node::State::Ready => return Some(Stage::Off),
            Says::Nothing(Some(Refusal::FencingMissing { .. })) if is_gone(turn, node) => return Some(Stage::Off),
            // Nor is anybody heard who would know of a controller.
            Says::Nothing(None | Some(Refusal::NoAnswer { .. })) if overdue && is_gone(turn, node) => {
                return Some(Stage::Off);
            }
            Says::Nothing(Some(refusal @ Refusal::FencingFailed { .. })) => why = refusal,
            Says::Off | Says::On | Says::Nothing(_) => {}
        }
    }
    overdue.then_some(Stage::Failed { why })
}

/// Whether nothing is heard of a node by anybody: neither its beats, nor an answer to whoever asks the quiet.
fn is_gone(turn: &Turn<'_>, node: &Node) -> bool {
    node.state == node::State::Lost && turn.snap.heard_within(&node.name, turn.rules.silent_ms / 2).is_none()
}

/// What came of telling a node to shut down.
enum Told {
    /// It was told.
    Done,
    /// It was not, and this is why.
    Not(Refusal),
    /// It goes on otherwise.
    Stage(Stage),
}

/// A name of its own for each try: what was answered to an earlier one says nothing of this one.
fn key(what: &str, outage: &Outage, one: &Darkened) -> String {
    naming::at(&format!("{what}/{}/{}", outage.id, one.at.0.unix_timestamp()), &one.node)
}

fn by_agent(turn: &mut Turn<'_>, outage: &Outage, one: &Darkened) -> Told {
    let key = key("shut-down", outage, one);
    let answer = turn.snap.answers.get(&key);
    let due = match answer {
        None => true,
        Some(answer) => matches!(answer.outcome, Outcome::Silent(_)) && answer.age_ms >= turn.rules.poll_ms,
    };
    if due {
        let order = Order { epoch: turn.snap.epoch, operation: format!("shut-down-{}", one.node) };
        turn.push(Action::ShutDown { key, node: one.node.clone(), order: ShutDown { order } });
    }
    match answer.map(|answer| &answer.outcome) {
        Some(Outcome::Done) => Told::Done,
        // It is empty, and only its program is missing.
        Some(Outcome::Refused(Refusal::ShutDownMissing { .. })) => {
            Told::Stage(Stage::GoingOff { by: Hand::Controller })
        }
        Some(Outcome::Refused(why) | Outcome::Silent(why @ Refusal::NodeNotEmpty { .. })) => {
            Told::Stage(Stage::Failed { why: why.clone() })
        }
        Some(Outcome::Silent(why)) => Told::Not(why.clone()),
        _ => Told::Not(Refusal::NoAnswer { who: format!("node {}", one.node) }),
    }
}

fn by_controller(turn: &mut Turn<'_>, outage: &Outage, one: &Darkened, node: &Node) -> Told {
    let key = key("power-off", outage, one);
    let answer = turn.snap.answers.get(&key);
    // Nothing may have come to live there since its agent was asked.
    let hindrance = hindrance(turn.snap, turn.rules, node);
    let due = answer.is_none_or(|answer| answer.age_ms >= pause_ms(turn.rules, &answer.outcome));
    if due && hindrance.is_none() {
        power(turn, key, one, PowerWish::Off, by(&outage.id));
    }
    match answer.map(|answer| &answer.outcome) {
        Some(Outcome::Done) => switched(node, one, Act::Off, outage).map_or(Told::Done, Told::Not),
        Some(Outcome::Refused(Refusal::FencingMissing { .. })) => {
            Told::Stage(Stage::Failed { why: Refusal::ShutDownMissing { node: one.node.to_string() } })
        }
        Some(Outcome::Refused(why)) => Told::Stage(Stage::Failed { why: why.clone() }),
        Some(Outcome::Silent(why)) => Told::Not(why.clone()),
        _ => Told::Not(hindrance.unwrap_or(Refusal::NoAnswer { who: "monitor".to_owned() })),
    }
}

/// How long after an answer the same is asked of the monitor again.
const fn pause_ms(rules: &Rules, outcome: &Outcome) -> u64 {
    if matches!(outcome, Outcome::Silent(_)) { rules.poll_ms } else { AGAIN_MS }
}

fn power(turn: &mut Turn<'_>, key: String, one: &Darkened, wish: PowerWish, by: String) {
    turn.push(Action::Power { key, node: one.node.clone(), wish, by });
}

/// Why the controller did not do what was begun for this outage, if that is what came of it last.
fn switched(node: &Node, one: &Darkened, act: Act, outage: &Outage) -> Option<Refusal> {
    let last =
        node.fencing.as_ref().filter(|last| last.act == act && last.by == by(&outage.id) && last.at >= one.at)?;
    match &last.outcome {
        Switched::Failed { why } | Switched::Withheld { why } => Some(why.clone()),
        Switched::Begun | Switched::Done => None,
    }
}

/// What a power controller says of a node.
enum Says {
    Off,
    On,
    Nothing(Option<Refusal>),
}

/// Asks a node's controller for it, now and then.
fn status(turn: &mut Turn<'_>, outage: &Outage, one: &Darkened) -> Says {
    let key = key("power-status", outage, one);
    let answer = turn.snap.answers.get(&key);
    if answer.is_none_or(|answer| answer.age_ms >= turn.rules.poll_ms) {
        power(turn, key, one, PowerWish::Status, by(&outage.id));
    }
    match answer.map(|answer| &answer.outcome) {
        Some(Outcome::Power(Act::Off)) => Says::Off,
        Some(Outcome::Power(Act::On)) => Says::On,
        Some(Outcome::Refused(why) | Outcome::Silent(why)) => Says::Nothing(Some(why.clone())),
        _ => Says::Nothing(None),
    }
}

/// Switches on whoever is off, and looks whether it is back. Only a return gives anybody up: while the power may not
/// be there yet, they are waited for.
fn rise(turn: &mut Turn<'_>, outage: &Outage, nodes: &mut [Darkened]) {
    let starting = || Stage::Starting { lacks: None };
    for one in nodes {
        let entry = turn.snap.nodes.get(one.node.as_str());
        let is_ready = entry.is_some_and(|entry| entry.value.state == node::State::Ready);
        let next = match &one.stage {
            Stage::GoingOff { .. } | Stage::Off => Some(starting()),
            Stage::Failed { .. } if !is_ready => Some(starting()),
            Stage::Starting { .. } => come_up(turn, outage, one),
            Stage::Failed { .. } | Stage::Back | Stage::Missing { .. } => None,
        };
        if let Some(stage) = next {
            if matches!(one.stage, Stage::Failed { .. }) {
                // Nobody knows whether it ever went off.
                one.boot_id = None;
            }
            // What it lacks changes, and it is not waited for any longer by that.
            let goes_on = matches!((&one.stage, &stage), (Stage::Starting { .. }, Stage::Starting { .. }));
            one.at = if goes_on { one.at } else { turn.now };
            one.stage = stage;
        }
    }
}

/// How far a node that is waited for is now, if that is news.
fn come_up(turn: &mut Turn<'_>, outage: &Outage, one: &Darkened) -> Option<Stage> {
    let node = turn.snap.nodes.get(one.node.as_str()).map(|entry| &entry.value);
    let Some(mut lacks) = lacks(one, node, turn.now) else { return Some(Stage::Back) };
    if node.is_none_or(|node| node.state != node::State::Ready) {
        lacks = switch_on(turn, outage, one, node).unwrap_or(lacks);
    }
    let since = outage.home.filter(|_| outage.state == State::Returning).map(|leg| leg.began_at.max(one.at));
    // One that is known to stay away is not waited for, as in every return.
    let stays_away = node.is_some_and(|node| node.cordoned && node.state != node::State::Ready);
    if since.is_some_and(|since| stays_away || turn.now.millis_since(since) >= turn.rules.dark.on_ms) {
        return Some(Stage::Missing { why: lacks });
    }
    (one.stage.fault() != Some(&lacks)).then_some(Stage::Starting { lacks: Some(lacks) })
}

/// Has a node switched on, again and again while it is not heard; why that cannot be done.
fn switch_on(turn: &mut Turn<'_>, outage: &Outage, one: &Darkened, node: Option<&Node>) -> Option<Refusal> {
    let key = key("power-on", outage, one);
    let answer = turn.snap.answers.get(&key);
    if answer.is_none_or(|answer| answer.age_ms >= pause_ms(turn.rules, &answer.outcome)) {
        power(turn, key, one, PowerWish::On, by(&outage.id));
    }
    match answer.map(|answer| &answer.outcome) {
        Some(Outcome::Done) => switched(node?, one, Act::On, outage),
        Some(Outcome::Refused(Refusal::FencingMissing { .. })) => {
            let detail = Said::new(
                "it is not heard, and no power command switches it on: switch it on by hand",
                "応答がなく、電源を入れるコマンドも設定されていません。手動で電源を入れてください",
            );
            Some(Refusal::NodeNotBack { node: one.node.to_string(), detail })
        }
        _ => None,
    }
}

/// What a node still lacks to be used again; none if nothing.
fn lacks(one: &Darkened, node: Option<&Node>, now: Timestamp) -> Option<Refusal> {
    let not_back = |detail| Some(Refusal::NodeNotBack { node: one.node.to_string(), detail });
    let Some(node) = node.filter(|node| node.state == node::State::Ready) else {
        return not_back(Said::new("it is not heard yet", "まだ応答がありません"));
    };
    let (before, since) = (&one.boot_id, &node.inventory.host.boot_id);
    if before.is_some() && before == since {
        return not_back(Said::new(
            "it is heard, and has not been started anew",
            "応答はありますが、再起動されていません",
        ));
    }
    let health = node.inventory.health.as_ref()?;
    not_back(health.lacks(now)?)
}

#[cfg(test)]
mod tests;
