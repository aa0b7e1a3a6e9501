//! Which marks of strangers' addresses have had their time. Pure.

use std::net::Ipv4Addr;

use watari_model::{
    Timestamp,
    network::Network,
    vm::{State, Vm},
};

/// The addresses of a network that are a stranger's no more, as far as anybody can tell: a server of ours runs with it,
/// whose node asked before it started it and was not answered; or the mark is older than `patience_ms`, and whoever
/// draws the address next has its node ask again.
pub(crate) fn gone<'a>(
    network: &Network,
    vms: impl Iterator<Item = &'a Vm> + Clone,
    now: Timestamp,
    patience_ms: u64,
) -> Vec<Ipv4Addr> {
    let runs = |address: Ipv4Addr, since: Timestamp| {
        let of = |vm: &Vm| vm.spec.nics.iter().any(|nic| nic.network == network.name && nic.address == address);
        // One that ran before the stranger came is no proof: it was not asked for its sake.
        vms.clone().any(|vm| vm.state == State::Running && vm.changed_at > since && of(vm))
    };
    let old = |since: Timestamp| now.millis_since(since) >= patience_ms;
    let marked = network.strangers.iter().filter(|one| old(one.seen_at) || runs(one.address, one.seen_at));
    marked.map(|one| one.address).collect()
}

#[cfg(test)]
mod tests {
    use watari_model::network::Stranger;

    use super::*;

    /// The sample of a network with a stranger.
    fn network() -> Network {
        let golden = include_str!("../../../shared/contracts/tests/golden/document.networks.json");
        let all: Vec<Network> = serde_json::from_str(golden).unwrap();
        all.into_iter().find(|network| !network.strangers.is_empty()).unwrap()
    }

    fn server(network: &Network, address: Ipv4Addr) -> Vm {
        let golden = include_str!("../../../shared/contracts/tests/golden/document.vms.json");
        let mut all: Vec<Vm> = serde_json::from_str(golden).unwrap();
        let mut vm = all.remove(0);
        let nic = &mut vm.spec.nics[0];
        (nic.network, nic.address) = (network.name.clone(), address);
        vm
    }

    #[test]
    fn a_mark_ends_when_a_server_runs_with_the_address_or_it_is_old() {
        let network = network();
        let Stranger { address, seen_at, .. } = network.strangers[0].clone();
        let later = seen_at.plus_millis(1_000);
        let found = |vms: &[Vm], now| gone(&network, vms.iter(), now, 60_000);
        let runs = Vm { state: State::Running, changed_at: later, ..server(&network, address) };
        assert_eq!(found(std::slice::from_ref(&runs), later), [address]);
        let nobody: [Ipv4Addr; 0] = [];
        let before = Vm { changed_at: seen_at, ..runs.clone() };
        let starts = Vm { state: State::Starting, ..runs.clone() };
        let other = Vm { spec: server(&network, network.range.last).spec, ..runs };
        assert_eq!(found(&[before, starts, other], later), nobody);
        assert_eq!(found(&[], seen_at.plus_millis(59_999)), nobody);
        assert_eq!(found(&[], seen_at.plus_millis(60_000)), [address]);
    }
}
