//! Many servers at once: worst-fit decreasing on a heap.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashSet},
};

use watari_model::{GroupName, NodeName, Refusal, Said, VmName, vm::Company};

use super::{Amount, Candidates, Need, Rooms, choose, fit};

/// Servers that go to one node, by their place in the list.
struct Unit {
    members: Vec<usize>,
    amount: Amount,
    priority: u8,
}

/// Chooses a node for each, and reserves it. The worthiest are placed first, among equals the largest; servers
/// that keep together are one unit. The answers come in the order of `needs`.
pub(crate) fn plan(
    rooms: &mut Rooms,
    needs: &[Need<'_>],
    candidates: Candidates<'_>,
) -> Vec<Result<NodeName, Refusal>> {
    let moving: HashSet<&VmName> = needs.iter().map(|need| &need.vm.name).collect();
    let leaving = |vm: &VmName| moving.contains(vm);
    let names: Vec<NodeName> = rooms
        .iter()
        .filter(|room| candidates(room.node()) && room.open().is_ok())
        .map(|r| r.node().name.clone())
        .collect();
    let key = |rooms: &Rooms, index: usize| {
        let free = names.get(index).and_then(|name| rooms.get(name)).map(super::room::Room::free).unwrap_or_default();
        (free.memory_mib, free.vcpus, Reverse(index))
    };
    let mut heap: BinaryHeap<_> = (0..names.len()).map(|index| key(rooms, index)).collect();
    let mut found: BTreeMap<usize, NodeName> = BTreeMap::new();

    for unit in units(needs) {
        let mut passed = Vec::new();
        while let Some(top) = heap.pop() {
            let (_, _, Reverse(index)) = top;
            let Some(name) = names.get(index) else { continue };
            if takes(rooms, name, &unit, needs, &leaving) {
                for member in &unit.members {
                    if let Some(need) = needs.get(*member) {
                        rooms.reserve(name, need.vm);
                        found.insert(*member, name.clone());
                    }
                }
                heap.push(key(rooms, index));
                break;
            }
            passed.push(top);
        }
        heap.extend(passed);
    }
    let answer = |(index, need)| match found.remove(&index) {
        Some(name) => Ok(name),
        // The full look at every node is for those who need its words; it may also find the
        // place that a unit of several did not.
        None => choose(rooms, need, candidates, &[]).and_then(|node| Err(alone(need, &node))),
    };
    needs.iter().enumerate().map(answer).collect()
}

/// The words for a member of a unit that would find room only without its company.
fn alone(need: &Need<'_>, node: &NodeName) -> Refusal {
    let detail = Said::new(
        format!("{node} has room for it, but not for all servers that keep together with it"),
        format!("{node} に空きはありますが、一緒に置くべきサーバのすべては入りません"),
    );
    Refusal::NoRoom { vm: need.vm.name.to_string(), detail }
}

fn takes(rooms: &Rooms, name: &NodeName, unit: &Unit, needs: &[Need<'_>], leaving: &dyn Fn(&VmName) -> bool) -> bool {
    let Some(room) = rooms.get(name) else { return false };
    // Members that have been placed in this plan already keep others away from their new node.
    let gone = |vm: &VmName| leaving(vm) && !room.holds(vm);
    room.has(unit.amount).is_ok()
        && unit
            .members
            .iter()
            .filter_map(|member| needs.get(*member))
            .all(|need| fit::allowed(need, room).is_ok() && rooms.company(need, room, &gone).is_ok())
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
    units.sort_by_key(|unit| Reverse((unit.priority, unit.amount.memory_mib, unit.amount.disk_gib, unit.amount.vcpus)));
    units
}
