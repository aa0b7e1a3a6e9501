//! Ways through a free place elsewhere, for somebody who finds no room when nobody else moves any more, and for whom no
//! guest that goes straight home makes any (`guests`).
//!
//! | who stands in the way | goes |
//! | --- | --- |
//! | one that belongs to another site | home; or, if others stand in its way there, those go first |
//! | anybody | to another node of the site on which it stands |
//! | the one that is to come home, in the way of another whose going home would make room for it | to any node elsewhere |
//!
//! So servers change places, two of them or a ring over several sites, if there is one free place through which they can;
//! room that lies in pieces is put together; and who keeps apart from others of its group has them go first. A way is
//! looked for whole before anybody moves: those that it begins with have places that are free now, and each of the rest
//! finds its own when those have gone. Whoever the way is for travels by the same choices as everybody.
//!
//! It comes to an end, since nobody leaves its home's site, and none goes twice in a leg anywhere but home. The shortest
//! way is taken, one for each round. Where there is none, the server is left with the reason that it had.

use std::collections::{HashMap, HashSet};

use watari_model::{
    NodeName, Refusal, SiteName, VmName,
    migration::{self, Migration, Reason},
    node::Node,
    outage::{Left, Outage},
    vm::{Evacuate, Preseed, State, Vm},
};

use super::{Standing, allowed, guests, of_leg, standing};
use crate::core::{
    Amount, Snapshot,
    placement::{self, Candidates, Crowd, Need, Rooms, Undo},
    turn::Turn,
};

/// So often a turn goes through all nodes for this.
const MOST_LOOKS: u32 = 256;
/// So many servers wait for each other on a way, besides the one for whom it is.
const LONGEST: usize = 4;

/// One that could make room where it stands.
struct Mover<'s> {
    vm: &'s Vm,
    /// Where it stands.
    site: &'s SiteName,
    /// Whether it is to be gone without our doing anything now: its last try failed a moment ago, or it is being deleted.
    waits: bool,
    /// Whether it has gone elsewhere than home in this leg.
    has_strayed: bool,
}

/// What is begun of a way.
#[derive(Default)]
struct Way<'s> {
    moves: Vec<(&'s Vm, NodeName)>,
    /// Whether somebody on it is waited for.
    waits: bool,
}

impl<'s> Way<'s> {
    fn of(vm: &'s Vm, to: NodeName) -> Self {
        Self { moves: vec![(vm, to)], waits: false }
    }

    fn add(&mut self, other: Self) {
        self.moves.extend(other.moves);
        self.waits |= other.waits;
    }
}

/// Opens a way for one of those that are `left` without room, if there is one. Whether anybody begins to move, or is to
/// be tried again.
pub(super) fn open(turn: &mut Turn<'_>, outage: &Outage, leg: Reason, left: &[Left]) -> bool {
    let snap = turn.snap;
    let lacks_room = left.iter().filter(|left| matches!(left.fault, Refusal::NoRoom { .. }));
    let short = lacks_room.filter_map(|left| snap.vms.get(left.vm.as_str())).map(|entry| &entry.value);
    let short: Vec<&Vm> = short.filter(|vm| matches!(standing(turn, outage, leg, vm), Standing::ToPlace)).collect();
    if short.is_empty() {
        return false;
    }
    let movers = movers(turn, outage, leg);
    let sites = snap.sites.values().map(|entry| &entry.value.name);
    let on_battery: HashSet<&SiteName> = sites.filter(|site| guests::is_on_battery(turn, site)).collect();
    let mut looks = MOST_LOOKS;
    for depth in 0..LONGEST {
        for one in short.iter().copied() {
            let (rooms, undo, gone) = (&mut turn.rooms, Undo::new(), Vec::new());
            let mut search = Search { snap, rooms, undo, movers: &movers, on_battery: &on_battery, one, gone, looks };
            let way = search.way(one, &|node| allowed(outage, leg, node), &mut Vec::new(), depth);
            let Search { mut undo, looks: remaining, .. } = search;
            looks = remaining;
            if let Some(way) = way {
                let any = begin(turn, outage, leg, way);
                if !any {
                    // What was kept free for those that do not go keeps nobody else away.
                    turn.rooms.undo(&mut undo, 0);
                }
                return any;
            }
        }
    }
    false
}

/// Begins what stands the check: what comes home as any return does, the rest as if it left.
fn begin(turn: &mut Turn<'_>, outage: &Outage, leg: Reason, way: Way<'_>) -> bool {
    let snap = turn.snap;
    let lands = |to: &NodeName| snap.nodes.get(to.as_str()).is_some_and(|node| allowed(outage, leg, &node.value));
    let (there, elsewhere): (Vec<_>, Vec<_>) = way.moves.into_iter().partition(|(_, to)| lands(to));
    let any = guests::set_out(turn, outage, leg, leg, there);
    let others = guests::set_out(turn, outage, leg, Reason::Evacuation, elsewhere);
    any || others || way.waits
}

/// Those that could go somewhere, by their nodes.
fn movers<'s>(turn: &Turn<'s>, outage: &Outage, leg: Reason) -> HashMap<&'s NodeName, Vec<Mover<'s>>> {
    let snap = turn.snap;
    let mut movers: HashMap<&NodeName, Vec<Mover<'s>>> = HashMap::new();
    for vm in snap.vms.values().map(|entry| &entry.value) {
        let Some(node) = vm.node() else { continue };
        let Some(site) = snap.site_of(node) else { continue };
        let is_calm = vm.state == State::Running && !vm.preseed.as_ref().is_some_and(Preseed::is_due);
        if vm.spec.evacuate != Evacuate::Live || !is_calm {
            continue;
        }
        let waits = match standing(turn, outage, leg, vm) {
            Standing::ToPlace => false,
            Standing::Waiting => true,
            Standing::Moving | Standing::Halted | Standing::Left(_) => continue,
        };
        let strays = |m: &Migration| {
            let (from, to) = (snap.site_of(&m.from), snap.site_of(&m.to));
            from == to || (leg == Reason::Return && to != Some(&vm.home_site))
        };
        let mut moved = of_leg(turn, outage, leg, &vm.name).filter(|m| m.state == migration::State::Completed);
        let has_strayed = moved.any(strays);
        movers.entry(node).or_default().push(Mover { vm, site, waits, has_strayed });
    }
    movers
}

/// The search for one server's way. What is on the way has its place reserved.
struct Search<'t, 's> {
    snap: &'s Snapshot,
    rooms: &'t mut Rooms,
    undo: Undo,
    movers: &'t HashMap<&'s NodeName, Vec<Mover<'s>>>,
    on_battery: &'t HashSet<&'s SiteName>,
    /// The one that is left without room.
    one: &'s Vm,
    /// Whose room is counted on already.
    gone: Vec<&'s VmName>,
    looks: u32,
}

impl<'s> Search<'_, 's> {
    /// How a server comes to have room on a node for which `goes` holds, if so many others at the most wait for each other.
    /// `trail` has those for whom way is being made.
    fn way(&mut self, vm: &'s Vm, goes: Candidates<'_>, trail: &mut Vec<&'s VmName>, depth: usize) -> Option<Way<'s>> {
        self.looks = self.looks.checked_sub(1)?;
        let need = Need::crossing(vm, self.snap);
        let crowded = placement::crowded(self.rooms, &need, goes);
        trail.push(&vm.name);
        let found =
            crowded.iter().find_map(|crowd| Some((self.cleared(crowd, need.amount, trail, depth)?, &crowd.node)));
        trail.pop();
        let (way, to) = found?;
        // Nobody else on the way counts on the room there.
        self.rooms.reserve_for_now(to, vm, &mut self.undo);
        Some(way)
    }

    /// How so much becomes free on a node, and those leave from whom the server keeps apart. Who suffices alone goes before
    /// others, and who does not belong there before who does.
    fn cleared(
        &mut self,
        crowd: &Crowd,
        amount: Amount,
        trail: &mut Vec<&'s VmName>,
        mut depth: usize,
    ) -> Option<Way<'s>> {
        let (movers, one) = (self.movers, &self.one.name);
        let stands = |mover: &&Mover<'s>| {
            let name = &mover.vm.name;
            !self.gone.contains(&name) && (name == one || !trail.contains(&name))
        };
        let mut there: Vec<&Mover<'s>> = movers.get(&crowd.node)?.iter().filter(stands).collect();
        let is_apart = |mover: &Mover<'_>| crowd.apart.contains(&mover.vm.name);
        let is_enough = |freed: Amount| amount.minus(crowd.free.plus(freed)) == Amount::default();
        let all = there.iter().map(|mover| size(mover)).fold(Amount::default(), Amount::plus);
        // Most nodes are out of the question by that, before anybody is looked a place for.
        if !is_enough(all) || there.iter().filter(|mover| is_apart(mover)).count() < crowd.apart.len() {
            return None;
        }
        there.sort_by_cached_key(|mover| {
            let (size, belongs) = (size(mover), mover.vm.home_site == *mover.site);
            let suffices = is_enough(size);
            let order = if suffices { size.memory_mib } else { u64::MAX - size.memory_mib };
            (!is_apart(mover), !suffices, belongs, order, mover.vm.name.clone())
        });
        let (mark, gone) = (self.undo.len(), self.gone.len());
        let (mut way, mut freed, mut apart) = (Way::default(), Amount::default(), crowd.apart.len());
        for mover in there {
            if apart == 0 && is_enough(freed) {
                break;
            }
            let found = self.goes_itself(mover).or_else(|| {
                let way = self.way_home(mover, trail, depth)?;
                // Two that wait for others might both count on the same room.
                depth = 0;
                Some(way)
            });
            if let Some(found) = found {
                way.add(found);
                self.gone.push(&mover.vm.name);
                freed = freed.plus(size(mover));
                apart -= usize::from(is_apart(mover));
            }
        }
        if apart == 0 && is_enough(freed) {
            return Some(way);
        }
        self.rooms.undo(&mut self.undo, mark);
        self.gone.truncate(gone);
        None
    }

    /// One goes where there is room for it now.
    fn goes_itself(&mut self, mover: &Mover<'s>) -> Option<Way<'s>> {
        if mover.waits {
            return Some(Way { moves: Vec::new(), waits: true });
        }
        let Mover { vm, site, .. } = *mover;
        let (home, is_it) = (&vm.home_site, vm.name == self.one.name);
        let may_stray = !mover.has_strayed;
        let goes_home = |node: &Node| home != site && node.site == *home;
        let steps_aside = |node: &Node| may_stray && (node.site == *site || (is_it && node.site != *home));
        let to = self.place(vm, &goes_home).or_else(|| self.place(vm, &steps_aside))?;
        Some(Way::of(vm, to))
    }

    /// One goes home when others there have made room for it.
    fn way_home(&mut self, mover: &Mover<'s>, trail: &mut Vec<&'s VmName>, depth: usize) -> Option<Way<'s>> {
        let (vm, home) = (mover.vm, &mover.vm.home_site);
        let is_guest = home != mover.site && vm.name != self.one.name && !self.on_battery.contains(home);
        let depth = depth.checked_sub(1).filter(|_| is_guest)?;
        self.way(vm, &|node| node.site == *home, trail, depth)
    }

    /// Keeps a place for one, if there is any.
    fn place(&mut self, vm: &Vm, goes: Candidates<'_>) -> Option<NodeName> {
        self.looks = self.looks.checked_sub(1)?;
        let need = Need::crossing(vm, self.snap);
        let goes = |node: &Node| goes(node) && !self.on_battery.contains(&node.site);
        let to = placement::choose(self.rooms, &need, &goes, &[]).ok()?;
        self.rooms.reserve_for_now(&to, vm, &mut self.undo);
        Some(to)
    }
}

fn size(mover: &Mover<'_>) -> Amount {
    Amount::of(mover.vm.claims())
}

#[cfg(test)]
mod tests;
