//! The checks: pure functions of the facts, each of which names what it finds. None asks anything.

mod campus;
mod control;
mod fleet;
pub(super) mod here;
mod hosts;
mod nodes;
mod servers;
mod sites;
mod stock;

use std::{cmp::Reverse, collections::BTreeSet};

use watari_model::{NodeName, Said};

use super::{
    facts::Facts,
    finding::{Finding, said},
};
use crate::texts::troubles::Trouble;

type Check = fn(&Facts) -> Vec<Finding>;

const CHECKS: &[Check] = &[
    unasked,
    here::well,
    here::ways,
    here::strangers,
    campus::silent,
    nodes::heard,
    nodes::unfenced,
    nodes::cordoned,
    nodes::emulated,
    nodes::uefi,
    nodes::unexamined,
    nodes::clocks,
    nodes::protection,
    hosts::programs,
    hosts::bridges,
    hosts::room,
    hosts::files,
    hosts::pace,
    hosts::certificates,
    hosts::revocation_lists,
    fleet::versions,
    fleet::processors,
    fleet::tunnels,
    fleet::bridges,
    servers::down,
    servers::still,
    sites::refuge,
    sites::unfenceable,
    sites::battery,
    sites::upses,
    sites::plans,
    sites::links,
    sites::at_risk,
    sites::paused,
    sites::forgotten,
    stock::failed_images,
    stock::copies,
    stock::addresses,
    control::leaders,
    control::standbys,
    control::versions,
    control::stores,
    control::quorum,
    control::copies,
];

/// Everything that is found, the worst first, and nothing twice.
pub(super) fn all(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = CHECKS.iter().flat_map(|check| check(facts)).collect();
    one_cause(&mut findings);
    // Two sites may be refused one answer.
    findings.dedup();
    findings.sort_by_key(|finding| Reverse(finding.trouble.severity()));
    findings
}

/// What is told of a whole campus is not told of each of its nodes again: most of all not with the advice to say
/// that each is off.
fn one_cause(findings: &mut Vec<Finding>) {
    let whole = findings.iter().filter(|finding| matches!(finding.trouble, Trouble::SiteSilent { .. }));
    let silent: BTreeSet<NodeName> = whole.flat_map(|finding| finding.nodes.iter().cloned()).collect();
    let covered = |finding: &Finding| finding.nodes.iter().all(|node| silent.contains(node));
    findings.retain(|finding| {
        let of_node = matches!(finding.trouble, Trouble::NodeLost { .. } | Trouble::NotFenced { .. });
        !(of_node && covered(finding))
    });
}

fn unasked(facts: &Facts) -> Vec<Finding> {
    facts.unasked.iter().cloned().map(Finding::of).collect()
}

/// Names in one line.
fn joined<T: ToString>(names: impl IntoIterator<Item = T>) -> Said {
    said(names.into_iter().map(|name| name.to_string()).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::facts::sample::healthy;

    /// The codes of what a check finds.
    pub(super) fn codes(found: &[Finding]) -> Vec<&'static str> {
        found.iter().map(|finding| finding.trouble.code()).collect()
    }

    #[test]
    fn nothing_is_found_in_a_healthy_cluster() {
        assert_eq!(all(&healthy()), []);
    }

    #[test]
    fn what_was_not_answered_is_told_once_and_the_worst_comes_first() {
        let mut facts = healthy();
        facts.nodes[0].node.cordoned = true;
        let (subject, cause) = (Said::both("the plan"), Said::both("no answer"));
        facts.unasked = vec![Trouble::Unasked { subject, cause }; 2];
        assert_eq!(codes(&all(&facts)), ["doctor.unanswered", "site.no-refuge", "node.cordoned"]);
    }
}
