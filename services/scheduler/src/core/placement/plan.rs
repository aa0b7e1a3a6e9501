//! Many servers at once: worst-fit decreasing on a heap.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, HashSet},
    sync::Arc,
};

use watari_chassis::Entry;
use watari_model::{GroupName, NodeName, Refusal, Said, VmName, node::Node, vm::Company};

use super::{Amount, Candidates, Need, Rooms, choose, fit, processors::Processors, room::Room};

/// Servers that go to one node, by their place in the list.
#[derive(Clone)]
struct Unit {
    members: Vec<usize>,
    amount: Amount,
    priority: u8,
}

impl Unit {
    /// What is placed first if worth does not count.
    const fn size(&self) -> (u64, u64, u64) {
        (self.amount.memory_mib, self.amount.disk_gib, self.amount.vcpus)
    }
}

/// Nodes that may receive, each with its place among the rooms.
type Open = [(usize, Arc<Entry<Node>>)];
/// Rooms as they were before a plan, by their places.
type Before = HashMap<usize, Room>;

/// Chooses a node for each, and reserves it. The worthiest are placed first, among equals the largest; servers
/// that keep together are one unit. Where somebody is left so, and would not be if the largest went first whatever its
/// worth, they do: room that is short is wasted least by that. The answers come in the order of `needs`.
pub(crate) fn plan(
    rooms: &mut Rooms,
    needs: &[Need<'_>],
    candidates: Candidates<'_>,
) -> Vec<Result<NodeName, Refusal>> {
    let comes_into_question = |(_, room): &(usize, &Room)| candidates(room.node()) && room.open().is_ok();
    let open = rooms.iter().enumerate().filter(comes_into_question);
    let open: Vec<(usize, Arc<Entry<Node>>)> = open.map(|(place, room)| (place, Arc::clone(room.entry()))).collect();
    let by_worth = units(needs);
    let mut before = Before::new();
    let mut found = fill(rooms, needs, &open, &by_worth, &mut before);
    let left = left_behind(&by_worth, &found);
    let differ = by_worth.iter().any(|unit| by_worth.first().is_some_and(|first| first.priority != unit.priority));
    if differ && !left.is_empty() {
        let mut by_size = by_worth.clone();
        by_size.sort_by_key(|unit| Reverse(unit.size()));
        rooms.put_back(&mut before);
        found = fill(rooms, needs, &open, &by_size, &mut before);
        if left_behind(&by_size, &found) >= left {
            rooms.put_back(&mut before);
            found = fill(rooms, needs, &open, &by_worth, &mut before);
        }
    }
    let answer = |(need, found): (&Need<'_>, Option<NodeName>)| match found {
        Some(name) => Ok(name),
        // The full look at every node is for those who need its words; it may also find the
        // place that a unit of several did not.
        None => choose(rooms, need, candidates, &[]).and_then(|node| Err(alone(need, &node))),
    };
    needs.iter().zip(found).map(answer).collect()
}

/// Reserves a node for each unit that finds one, in their order; keeps what each room was before.
fn fill(
    rooms: &mut Rooms,
    needs: &[Need<'_>],
    open: &Open,
    units: &[Unit],
    before: &mut Before,
) -> Vec<Option<NodeName>> {
    let moving: HashSet<&VmName> = needs.iter().map(|need| &need.vm.name).collect();
    let leaving = |vm: &VmName| moving.contains(vm);
    let key = |rooms: &Rooms, index: usize, place: usize| {
        let free = rooms.at(place).map(Room::free).unwrap_or_default();
        (free.memory_mib, free.vcpus, Reverse(index))
    };
    let mut heap: BinaryHeap<_> =
        open.iter().enumerate().map(|(index, (place, _))| key(rooms, index, *place)).collect();
    let mut processors = Processors::default();
    let mut found: Vec<Option<NodeName>> = vec![None; needs.len()];

    for unit in units {
        let mut passed = Vec::new();
        while let Some(top) = heap.pop() {
            let (memory_mib, _, Reverse(index)) = top;
            let Some((place, node)) = open.get(index) else { continue };
            let mut sources = unit.members.iter().filter_map(|member| needs.get(*member)?.source);
            if takes(rooms, *place, unit, needs, &leaving)
                && sources.all(|source| processors.take_over(source, &node.value))
            {
                rooms.keep_as_it_is(*place, before);
                for member in &unit.members {
                    if let (Some(need), Some(found)) = (needs.get(*member), found.get_mut(*member)) {
                        rooms.reserve_at(*place, need.vm);
                        *found = Some(node.value.name.clone());
                    }
                }
                heap.push(key(rooms, index, *place));
                break;
            }
            passed.push(top);
            // Nobody after it has more.
            if memory_mib < unit.amount.memory_mib {
                break;
            }
        }
        heap.extend(passed);
    }
    found
}

/// The worth of the units that found no place, the most first: of two plans the better one has the lesser list.
fn left_behind(units: &[Unit], found: &[Option<NodeName>]) -> Vec<u8> {
    let is_placed = |unit: &Unit| unit.members.iter().all(|member| found.get(*member).is_some_and(Option::is_some));
    let mut left: Vec<u8> = units.iter().filter(|unit| !is_placed(unit)).map(|unit| unit.priority).collect();
    left.sort_unstable_by_key(|priority| Reverse(*priority));
    left
}

/// The words for a member of a unit that would find room only without its company.
fn alone(need: &Need<'_>, node: &NodeName) -> Refusal {
    let detail = Said::new(
        format!("{node} has room for it, but not for all servers that keep together with it"),
        format!("{node} に空きはありますが、一緒に置くべきサーバのすべては入りません"),
    );
    Refusal::NoRoom { vm: need.vm.name.to_string(), detail, help: None }
}

/// Whether the node at that place takes all members of the unit, their processors aside.
fn takes(rooms: &Rooms, place: usize, unit: &Unit, needs: &[Need<'_>], leaving: &dyn Fn(&VmName) -> bool) -> bool {
    let Some(room) = rooms.at(place) else { return false };
    // Members that have been placed in this plan already keep others away from their new node.
    let gone = |vm: &VmName| leaving(vm) && !room.holds(vm);
    room.has(unit.amount).is_ok()
        && unit.members.iter().filter_map(|member| needs.get(*member)).all(|need| {
            fit::suits(need, room).is_ok()
                && rooms.has_base(need, room).is_ok()
                && rooms.company(need, room, &gone).is_ok()
        })
}

/// Joins those that keep together, and orders by worth and size.
fn units(needs: &[Need<'_>]) -> Vec<Unit> {
    let mut by_group: BTreeMap<&GroupName, usize> = BTreeMap::new();
    let mut units: Vec<Unit> = Vec::new();
    for (index, need) in needs.iter().enumerate() {
        let together = |m: &&watari_model::vm::Membership| m.company == Company::Together;
        let groups: Vec<&GroupName> = need.vm.spec.groups.iter().filter(together).map(|m| &m.group).collect();
        let unit = groups.iter().find_map(|group| by_group.get(group).copied()).unwrap_or_else(|| {
            units.push(Unit { members: Vec::new(), amount: Amount::default(), priority: 0 });
            units.len() - 1
        });
        for group in groups {
            by_group.entry(group).or_insert(unit);
        }
        if let Some(unit) = units.get_mut(unit) {
            unit.members.push(index);
            unit.amount = unit.amount.plus(need.amount);
            unit.priority = unit.priority.max(need.vm.spec.priority);
        }
    }
    units.sort_by_key(|unit| Reverse((unit.priority, unit.size())));
    units
}
