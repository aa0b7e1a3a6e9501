//! The host on which the doctor is called: what it knows of itself beside what its agent tells everybody.

use watari_model::{Timestamp, node::health::Certificate, said};

use super::{
    hosts::{DAY_MS, DAYS_LEAST},
    joined,
};
use crate::{
    doctor::{
        facts::Facts,
        finding::{Finding, said},
        host::{
            Backups, Host,
            around::{Around, Peer},
        },
    },
    format,
    texts::troubles::Trouble,
};

/// A switch-over waits for a few ways there and back, and one that takes longer is felt.
const RTT_MOST_MS: u64 = 50;

/// What is wrong with it.
pub(super) fn well(facts: &Facts) -> Vec<Finding> {
    facts.host.iter().flat_map(|host| found(host, facts.now)).collect()
}

/// What is wrong with a host at this moment.
pub(in crate::doctor) fn found(host: &Host, now: Timestamp) -> Vec<Finding> {
    let on = || said(&host.name);
    let stopped = host.units.stopped.iter().map(|unit| Trouble::HostServiceStopped { host: on(), unit: said(unit) });
    let disabled = host.units.disabled.iter().map(|unit| Trouble::HostTargetDisabled { host: on(), unit: said(unit) });
    let retired = host.units.retired.iter().map(|unit| Trouble::HostTargetOff { host: on(), unit: said(unit) });
    let clock = host.clock_free.then(|| Trouble::HostClockFree { host: on() });
    let keys = host.open_keys.iter().map(|path| Trouble::HostKeyOpen { host: on(), path: said(path.display()) });
    let refused =
        host.refused_keys.iter().map(|path| Trouble::HostKeyRefused { host: on(), path: said(path.display()) });
    let outdated = (!host.outdated_keys.is_empty()).then(|| Trouble::HostPermissionsOld {
        host: on(),
        keys: joined(host.outdated_keys.iter().map(|path| path.display())),
    });
    let certificates = host.certificates.iter().filter_map(|one| ends(host, one, now));
    let filling = host.filling.iter().map(|(folder, free)| Trouble::HostDiskFilling {
        host: on(),
        folder: said(folder.display()),
        free: said(free),
    });
    let backups = host.backups.as_ref().map(|backups| match backups {
        Backups::Unnamed => Trouble::HostBackupUnnamed { host: on() },
        Backups::Old { folder, newest } => Trouble::HostBackupOld {
            host: on(),
            folder: said(folder.display()),
            since: newest.map_or_else(|| said!("none is there", "バックアップなし"), |at| said(format::moment(at))),
        },
    });
    let unnamed = host.unnamed.then(|| Trouble::HostUnnamed { host: on() });
    let dropping = host.dropping.iter().map(|chain| Trouble::HostForwardDrops { host: on(), chain: said(chain) });
    let confined = host.confined.iter().map(|program| Trouble::HostConfined { host: on(), program: said(program) });
    let of_systemd = stopped.chain(disabled).chain(retired).chain(clock);
    let troubles = of_systemd
        .chain(keys)
        .chain(refused)
        .chain(outdated)
        .chain(certificates)
        .chain(filling)
        .chain(backups)
        .chain(unnamed)
        .chain(dropping)
        .chain(confined);
    troubles.map(|trouble| Finding::on(&host.name, trouble)).collect()
}

/// What is to be said of one that has ended or soon will; nobody could have come this far with one that is none.
fn ends(host: &Host, one: &Certificate, now: Timestamp) -> Option<Trouble> {
    let not_after = one.not_after?;
    let (host, path, end) = (said(&host.name), said(&one.path), said(format::moment(not_after)));
    if not_after <= now {
        return Some(Trouble::HostCertificateExpired { host, path, end });
    }
    let days = not_after.millis_since(now) / DAY_MS;
    (days < DAYS_LEAST).then(|| Trouble::HostCertificateExpiring { host, path, days: said(days), end })
}

/// Ways to other nodes on which servers cannot go, or not well.
pub(super) fn ways(facts: &Facts) -> Vec<Finding> {
    let found = facts.around.iter().flat_map(|around| {
        let troubles = around.peers.iter().flat_map(move |peer| way(around, peer));
        troubles.map(move |trouble| Finding::on(&around.host, trouble))
    });
    found.collect()
}

fn way(around: &Around, peer: &Peer) -> Vec<Trouble> {
    let (host, node) = (|| said(&around.host), || said(&peer.node));
    let unnamed = || Trouble::PathUnnamed { host: host(), node: node(), address: said(&peer.address) };
    let closed = || Trouble::PathClosed { host: host(), node: node(), ports: joined(&peer.closed) };
    let narrow = |size| Trouble::PathNarrow { host: host(), node: node(), size: said(size) };
    let slow = |ms| Trouble::PathSlow { host: host(), node: node(), rtt: said(format::millis(ms)) };
    let all = [
        peer.unnamed.then(unnamed),
        (!peer.closed.is_empty()).then(closed),
        peer.narrow.map(narrow),
        peer.rtt_ms.filter(|ms| *ms > RTT_MOST_MS).map(slow),
    ];
    all.into_iter().flatten().collect()
}

/// Who else answers DHCP where servers ask.
pub(super) fn strangers(facts: &Facts) -> Vec<Finding> {
    let found = facts.around.iter().flat_map(|Around { host, strangers, .. }| {
        let told = strangers.iter().map(move |(bridge, servers)| Trouble::DhcpStranger {
            host: said(host),
            bridge: said(bridge),
            servers: joined(servers),
        });
        told.map(move |trouble| Finding::on(host, trouble))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        doctor::{checks::tests::codes, facts::sample},
        texts::troubles::Severity,
    };

    #[test]
    fn what_is_wrong_with_the_host_itself_is_named() {
        let mut facts = sample::healthy();
        facts.host = Some(sample::host());
        assert_eq!(well(&facts), []);
        let host = facts.host.as_mut().unwrap();
        host.units.stopped = vec!["watari-agent.service".to_owned()];
        host.units.disabled = vec!["watari-node.target".to_owned()];
        host.units.retired = vec!["watari-front.target".to_owned()];
        host.clock_free = true;
        host.open_keys = vec!["/etc/watari/nkeys/agent.nk".into()];
        host.refused_keys = vec!["/etc/watari/nkeys/image.nk".into()];
        host.outdated_keys = vec!["/etc/watari/nkeys/monitor.nk".into(), "/etc/watari/nkeys/network.nk".into()];
        host.filling = vec![("/var/lib/nats".into(), 9)];
        host.backups = Some(Backups::Old { folder: "/var/backups".into(), newest: Some(sample::NOW) });
        host.unnamed = true;
        host.dropping = vec!["ip filter FORWARD".to_owned()];
        host.confined = vec!["dnsmasq".to_owned()];
        let found = well(&facts);
        assert_eq!(
            codes(&found),
            [
                "host.service-stopped",
                "host.target-disabled",
                "host.target-off",
                "host.clock-free",
                "host.key-open",
                "host.key-refused",
                "host.permissions-old",
                "host.disk-filling",
                "host.backup-old",
                "host.unnamed",
                "host.forward-drops",
                "host.apparmor"
            ]
        );
        assert!(found.iter().all(|one| one.nodes == [sample::host().name]));
        facts.host = Some(Host { backups: Some(Backups::Unnamed), ..sample::host() });
        let found = well(&facts);
        assert_eq!(codes(&found), ["host.backup-unnamed"]);
        assert_eq!(found[0].trouble.severity(), Severity::Note, "a cluster that was made just now is well");
    }

    #[test]
    fn a_certificate_of_a_front_end_is_named_before_and_after_its_end() {
        let host = sample::host();
        let code = |not_after| {
            let one = Certificate { path: "host.crt".to_owned(), not_after };
            ends(&host, &one, sample::NOW).map(|trouble| trouble.code())
        };
        assert_eq!(code(Some(sample::NOW)), Some("host.certificate-expired"));
        assert_eq!(code(Some(sample::NOW.plus_millis(1))), Some("host.certificate-expiring"));
        assert_eq!(code(Some(sample::NOW.plus_millis(DAYS_LEAST * DAY_MS))), None);
        assert_eq!(code(None), None);
    }

    #[test]
    fn a_way_that_is_closed_narrow_slow_or_leads_nowhere_is_named_and_one_that_is_open_is_not() {
        let peer = sample::around().peers[0].clone();
        for (peer, named) in [
            (peer.clone(), None),
            (Peer { unnamed: true, ..peer.clone() }, Some("path.unnamed")),
            (Peer { closed: vec![16_514, 49_215], ..peer.clone() }, Some("path.closed")),
            (Peer { narrow: Some(1_500), ..peer.clone() }, Some("path.narrow")),
            (Peer { rtt_ms: Some(RTT_MOST_MS), ..peer.clone() }, None),
            (Peer { rtt_ms: Some(RTT_MOST_MS + 1), ..peer }, Some("path.slow")),
        ] {
            let mut facts = sample::healthy();
            facts.around = Some(Around { peers: vec![peer], ..sample::around() });
            assert_eq!(codes(&ways(&facts)), named.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_dhcp_server_that_is_not_ours_is_named_with_its_bridge() {
        let mut facts = sample::healthy();
        facts.around = Some(sample::around());
        assert_eq!(strangers(&facts), []);
        let stranger = std::net::Ipv4Addr::new(192, 0, 2, 1);
        facts.around.as_mut().unwrap().strangers.insert("br0".to_owned(), vec![stranger]);
        let found = strangers(&facts);
        assert_eq!(codes(&found), ["network.dhcp-stranger"]);
        assert!(matches!(&found[0].trouble, Trouble::DhcpStranger { servers, .. } if servers.en == "192.0.2.1"));
    }
}
