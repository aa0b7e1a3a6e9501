//! The host on which the doctor is called: what it knows of itself beside what its agent tells everybody.

use crate::{
    doctor::{
        facts::Facts,
        finding::{Finding, said},
        host::Host,
    },
    texts::troubles::Trouble,
};

/// What is wrong with it.
pub(super) fn well(facts: &Facts) -> Vec<Finding> {
    facts.host.iter().flat_map(found).collect()
}

/// What is wrong with a host.
pub(in crate::doctor) fn found(host: &Host) -> Vec<Finding> {
    let on = || said(&host.name);
    let stopped = host.units.stopped.iter().map(|unit| Trouble::HostServiceStopped { host: on(), unit: said(unit) });
    let disabled = host.units.disabled.iter().map(|unit| Trouble::HostTargetDisabled { host: on(), unit: said(unit) });
    let clock = host.clock_free.then(|| Trouble::HostClockFree { host: on() });
    let keys = host.open_keys.iter().map(|path| Trouble::HostKeyOpen { host: on(), path: said(path.display()) });
    stopped.chain(disabled).chain(clock).chain(keys).map(|trouble| Finding::on(&host.name, trouble)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{checks::tests::codes, facts::sample};

    #[test]
    fn what_is_wrong_with_the_host_itself_is_named() {
        let mut facts = sample::healthy();
        facts.host = Some(sample::host());
        assert_eq!(well(&facts), []);
        let host = facts.host.as_mut().unwrap();
        host.units.stopped = vec!["watari-agent.service".to_owned()];
        host.units.disabled = vec!["watari-node.target".to_owned()];
        host.clock_free = true;
        host.open_keys = vec!["/etc/watari/nkeys/agent.nk".into()];
        let found = well(&facts);
        assert_eq!(codes(&found), ["host.service-stopped", "host.target-disabled", "host.clock-free", "host.key-open"]);
        assert!(found.iter().all(|one| one.nodes == [sample::host().name]));
    }
}
