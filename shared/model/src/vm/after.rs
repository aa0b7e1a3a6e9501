//! On which other servers one depends.

use std::collections::HashMap;

use crate::VmName;

/// The most servers on which one depends.
pub const MOST_AFTER: usize = 16;

/// The chain that leads from a server back to itself, if it came to depend on `after`, as `web > db > web`; of every other
/// server `others` says on which it depends. Each is looked at once.
#[must_use]
pub fn circle<'a>(vm: &'a VmName, after: &'a [VmName], others: impl Fn(&VmName) -> &'a [VmName]) -> Option<String> {
    let mut came_from: HashMap<&VmName, &VmName> = HashMap::new();
    let mut to_look: Vec<(&VmName, &VmName)> = after.iter().map(|other| (vm, other)).collect();
    while let Some((from, name)) = to_look.pop() {
        if name == vm {
            let mut chain = vm.to_string();
            let mut at = from;
            while at != vm {
                chain = format!("{at} > {chain}");
                at = came_from.get(at).copied()?;
            }
            return Some(format!("{vm} > {chain}"));
        }
        if came_from.contains_key(name) {
            continue;
        }
        came_from.insert(name, from);
        to_look.extend(others(name).iter().map(|other| (name, other)));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_that_leads_back_is_found_and_told_in_its_order() {
        let called = |number: usize| format!("vm{number}").parse::<VmName>().unwrap();
        let lists: [&[usize]; 4] = [&[], &[0], &[1], &[1, 2]];
        let lists = lists.map(|list| list.iter().map(|other| called(*other)).collect::<Vec<_>>());
        let chain = |vm: usize, after: &[usize]| {
            let (vm, after) = (called(vm), after.iter().map(|other| called(*other)).collect::<Vec<_>>());
            circle(&vm, &after, |name| {
                let number = (0..lists.len()).find(|number| called(*number) == *name);
                number.map(|number| lists[number].as_slice()).unwrap_or_default()
            })
        };
        assert_eq!(chain(0, &[2]).unwrap(), "vm0 > vm2 > vm1 > vm0");
        assert_eq!(chain(1, &[1]).unwrap(), "vm1 > vm1");
        assert_eq!(chain(3, &[0, 2]), None);
        assert_eq!(chain(9, &[3]), None);
    }
}
