//! When it is to be measured how fast the way to another site is: where nothing has shown it for long. Migrations and disks
//! that are sent ahead do so by themselves, and better.

use watari_model::{
    NodeName, Timestamp,
    node::{self, Node},
};

use super::{Snapshot, forecast};

/// Which node is to send some bytes, and to which address; none if it is known, or would be in the way of a server.
#[must_use]
pub(crate) fn way_to_measure(snap: &Snapshot, every_ms: u64, now: Timestamp) -> Option<(NodeName, String)> {
    let is_known = || forecast::shown_at(snap).is_some_and(|at| now.millis_since(at) < every_ms);
    let travels = || snap.migrations.values().any(|entry| !entry.value.state.over());
    if every_ms == 0 || travels() || is_known() {
        return None;
    }
    let is_ready = |node: &&Node| node.state == node::State::Ready && !node.inventory.migration_address.is_empty();
    let ready = || snap.nodes.values().map(|entry| &entry.value).filter(is_ready);
    let from = ready().next()?;
    let to = ready().find(|node| node.site != from.site)?;
    Some((from.name.clone(), to.inventory.migration_address.clone()))
}

#[cfg(test)]
mod tests {
    use watari_model::migration::{Measured, Migration, State};

    use super::*;
    use crate::core::{
        Rules,
        tests::{
            campus::Campus,
            documents::{at, migration, put},
        },
    };

    const DAY: u64 = 86_400_000;

    fn due(campus: &Campus, now: u64) -> Option<(String, String)> {
        way_to_measure(&campus.snapshot(), DAY, at(now)).map(|(from, to)| (from.to_string(), to))
    }

    fn moves(campus: &mut Campus, migration: Migration) {
        let revision = campus.docs.migrations.get(migration.id.as_str()).map_or(0, |there| there.revision);
        assert!(put(&mut campus.docs.migrations, &mut campus.docs.revision, migration, revision));
    }

    fn carries(campus: &mut Campus, address: &str, ms: u64) {
        let there = campus.docs.nodes["m1"].clone();
        let mut m1 = there.value.clone();
        m1.inventory.carried.insert(address.to_owned(), node::Carried { bytes_per_second: 1 << 20, at: at(ms) });
        assert!(put(&mut campus.docs.nodes, &mut campus.docs.revision, m1, there.revision));
    }

    #[test]
    fn a_way_that_nothing_has_shown_for_long_is_measured_and_never_beside_a_server() {
        let mut campus = Campus::new(Rules::default());
        let way = Some(("m1".to_owned(), "y1.test".to_owned()));
        assert_eq!(due(&campus, 0), way, "nothing is known");
        assert_eq!(way_to_measure(&campus.snapshot(), 0, at(0)), None, "it is switched off");
        moves(&mut campus, Migration { state: State::Copying, ..migration("mail") });
        assert_eq!(due(&campus, 0), None, "somebody is under way");
        let measured = Some(Measured { total_ms: 9_000, memory_bytes: 100 << 20, ..Measured::default() });
        let arrived = Migration { state: State::Completed, measured, changed_at: at(9_000), ..migration("mail") };
        moves(&mut campus, arrived);
        assert_eq!((due(&campus, 9_000), due(&campus, DAY)), (None, None), "it has just shown it");
        assert_eq!(due(&campus, DAY + 9_000), way);
        carries(&mut campus, "m2.test", DAY);
        assert_eq!(due(&campus, DAY + 9_000), way, "that is no way to another site");
        carries(&mut campus, "y1.test", DAY);
        assert_eq!((due(&campus, DAY + 9_000), due(&campus, 2 * DAY)), (None, way));
        campus.node_is("y1", node::State::Suspect);
        assert_eq!(due(&campus, 2 * DAY), None, "there is nobody to send to");
    }
}
