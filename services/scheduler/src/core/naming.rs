//! Names that are derived from what is to be achieved, so that another scheduler that wants the
//! same names it the same.

use sha2::{Digest, Sha256};
use watari_model::{
    Document, MigrationId, NodeName, OutageId, VmName, migration::Migration, name::MAX_LABEL, site::Remains, vm::Vm,
};

/// `<base>-<number>` as a DNS label: a base that is too long is cut and told apart by a digest.
fn numbered(base: &str, number: u64) -> String {
    let suffix = format!("-{number}");
    if base.len() + suffix.len() <= MAX_LABEL {
        return format!("{base}{suffix}");
    }
    let mark = &digest(base.as_bytes())[..8];
    let room = MAX_LABEL - suffix.len() - mark.len() - 1;
    let cut: String = base.chars().take(room).collect();
    format!("{}-{mark}{suffix}", cut.trim_end_matches('-'))
}

/// SHA-256 in hexadecimal.
#[must_use]
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The number at the end of a migration's or an outage's name; 0 if there is none.
#[must_use]
pub(crate) fn number(id: &str) -> u64 {
    id.rsplit_once('-').and_then(|(_, n)| n.parse().ok()).unwrap_or(0)
}

/// The name of a server's next migration: above every one that is remembered.
#[must_use]
pub(crate) fn next_migration<'a>(vm: &Vm, known: impl Iterator<Item = &'a Migration>) -> Option<MigrationId> {
    let newest = known.filter(|m| m.vm == vm.name).map(|m| number(m.id.as_str())).max().unwrap_or(0);
    numbered(vm.name.as_str(), newest.max(vm.migrations) + 1).parse().ok()
}

/// The name of the next outage of `scope`, above all of `known`.
#[must_use]
pub(crate) fn next_outage<'a>(scope: &str, known: impl Iterator<Item = &'a str>) -> Option<OutageId> {
    let newest = known.map(number).max().unwrap_or(0);
    numbered(scope, newest + 1).parse().ok()
}

/// Tells a server from an earlier one of the same name, in operations' names.
fn mark(vm: &Vm) -> &str {
    vm.uuid.get(..8).unwrap_or(&vm.uuid)
}

/// `<verb>-<server>-<mark>-<number>`: an operation on a server under a generation or count.
#[must_use]
pub(crate) fn of_vm(verb: &str, vm: &Vm, number: u64) -> String {
    format!("{verb}-{}-{}-{number}", vm.key(), mark(vm))
}

/// The key of the order that starts a server under the grant that it has.
#[must_use]
pub(crate) fn start_key(vm: &Vm) -> Option<String> {
    vm.grant.as_ref().map(|grant| at(&of_vm("start", vm, grant.generation), &grant.node))
}

/// `clear-<server>-<UUID>-<generation>`: the removal of what a forgotten server left on a node.
#[must_use]
pub(crate) fn of_remains(remains: &Remains) -> String {
    format!("clear-{}-{}-{}", remains.vm, remains.uuid, remains.generation)
}

/// `<verb>-<migration>-<mark>`: a step of a migration.
#[must_use]
pub(crate) fn of_migration(verb: &str, id: &MigrationId, vm: &Vm) -> String {
    format!("{verb}-{id}-{}", mark(vm))
}

/// The key under which an operation on a node is in hand.
#[must_use]
pub(crate) fn at(operation: &str, node: &NodeName) -> String {
    format!("{operation}@{node}")
}

/// The key of a look at a server that is at a certain write: an answer under it is younger.
#[must_use]
pub(crate) fn look(vm: &VmName, revision: u64, node: &NodeName) -> String {
    format!("look/{vm}/{revision}@{node}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_name_is_a_label_whatever_the_base() {
        for length in [1, 10, 60, 61, 62, 63] {
            for n in [1, 99, u64::MAX] {
                let name = numbered(&"a".repeat(length), n);
                assert!(name.parse::<MigrationId>().is_ok(), "{name}");
                assert_eq!(number(&name), n);
            }
        }
        assert_ne!(numbered(&format!("{}b", "a".repeat(62)), 1), numbered(&format!("{}c", "a".repeat(62)), 1));
        let tricky = format!("{}-----b", "a".repeat(50));
        assert!(numbered(&tricky, 7).parse::<MigrationId>().is_ok());
    }
}
