//! Whether a whole campus is silent: then one cause is told rather than one for each of its nodes.

use watari_contracts::monitor::NodeView;
use watari_model::{NodeName, node::State};

use super::joined;
use crate::{
    doctor::{
        facts::Facts,
        finding::{Finding, said},
    },
    format,
    texts::troubles::Trouble,
};

/// One node that is silent is that node's own matter.
const LEAST_NODES: usize = 2;

/// Sites that are not dark on purpose and of which no node is heard.
pub(super) fn silent(facts: &Facts) -> Vec<Finding> {
    let found = facts.sites.iter().filter(|site| facts.is_active(&site.name)).filter_map(|site| {
        let nodes = facts.nodes.iter().map(|one| &one.node);
        let there: Vec<&NodeView> = nodes.filter(|node| node.site == site.name).collect();
        let unheard = |node: &&NodeView| node.state == State::Lost && node.off.is_none();
        if there.len() < LEAST_NODES || !there.iter().all(unheard) {
            return None;
        }
        let silent = format::lasting(there.iter().map(|node| node.silent_ms).min()?);
        let nodes: Vec<NodeName> = there.iter().map(|node| node.name.clone()).collect();
        Some(Finding { trouble: Trouble::SiteSilent { site: said(&site.name), nodes: joined(&nodes), silent }, nodes })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use watari_model::node::Off;

    use super::*;
    use crate::doctor::{
        checks::{all, tests::codes},
        facts::sample::{NOW, healthy},
    };

    /// Two nodes of one site, and one of another.
    fn campus() -> Facts {
        let mut facts = healthy();
        let mut second = facts.nodes[0].clone();
        second.node.name = "m2".parse().unwrap();
        facts.nodes.push(second);
        facts
    }

    #[test]
    fn a_campus_that_is_silent_as_a_whole_is_one_finding_and_nobody_is_told_to_say_that_its_nodes_are_off() {
        let mut facts = campus();
        for node in [0, 2] {
            facts.nodes[node].node.state = State::Lost;
        }
        let found = all(&facts);
        assert_eq!(codes(&silent(&facts)), ["site.silent"]);
        assert!(!codes(&found).contains(&"node.lost"), "{found:?}");
        assert_eq!(silent(&facts)[0].nodes.len(), 2);
    }

    #[test]
    fn a_node_alone_one_that_is_known_to_be_off_and_a_site_that_was_emptied_are_told_of_as_such() {
        let mut facts = campus();
        facts.nodes[0].node.state = State::Lost;
        assert_eq!((silent(&facts), codes(&all(&facts)).contains(&"node.lost")), (vec![], true));
        facts.nodes[2].node.state = State::Lost;
        facts.nodes[2].node.off = Some(Off { by: "sato".to_owned(), at: NOW, for_good: false });
        assert_eq!(silent(&facts), []);
        facts.nodes[2].node.off = None;
        facts.sites.iter_mut().for_each(|site| site.state = "evacuated".to_owned());
        assert_eq!(silent(&facts), []);
    }
}
