use std::collections::BTreeMap;

use time::OffsetDateTime;
use watari_model::{ProjectName, Timestamp, network::mac_of, vm};

use super::*;

const AT: Timestamp = Timestamp(OffsetDateTime::UNIX_EPOCH);
const PATIENCE: u64 = 600_000;

#[derive(Default)]
struct Known {
    servers: BTreeMap<String, Arc<Entry<Vm>>>,
    unreadable: Vec<String>,
}

impl Servers for Known {
    fn any(&self) -> bool {
        !self.servers.is_empty()
    }
    fn get(&self, key: &str) -> Option<Arc<Entry<Vm>>> {
        self.servers.get(key).cloned()
    }
    fn is_unreadable(&self, key: &str) -> bool {
        self.unreadable.iter().any(|k| k == key)
    }
}

fn server(name: &str, address: Option<&str>) -> Entry<Vm> {
    let nic = |address: &str| vm::Nic {
        network: "campus".parse().unwrap(),
        segment: "campus".parse().unwrap(),
        mac: String::new(),
        address: address.parse().unwrap(),
        fixed: false,
        address6: None,
    };
    let value = Vm {
        v: 1,
        name: name.parse().unwrap(),
        uuid: format!("uuid-{name}"),
        project: ProjectName::default(),
        spec: vm::Spec {
            vcpus: 1,
            memory_mib: 64,
            disk_gib: 1,
            base: vm::Base {
                image: "mini".parse().unwrap(),
                sha256: String::new(),
                format: watari_model::image::Format::Raw,
                firmware: Default::default(),
            },
            nics: address.map(nic).into_iter().collect(),
            node_labels: BTreeMap::new(),
            groups: Vec::new(),
            firewalls: Vec::new(),
            probes: Vec::new(),
            after: Vec::new(),
            evacuate: vm::Evacuate::Live,
            priority: 0,
            restart: vm::Restart::Always,
            on_isolation: watari_model::isolation::OnIsolation::Keep,
            restart_from_copy_seconds: None,
            max_downtime_seconds: None,
            display: false,
            first_boot: watari_model::vm::FirstBoot::default(),
        },
        desired: vm::Desired::Running,
        force_off: false,
        keep_disk: false,
        booted: false,
        home_site: "myodaiji".parse().unwrap(),
        state: vm::State::Running,
        grant: None,
        crossing: None,
        leftovers: Vec::new(),
        fault: None,
        pending: None,
        reboots: vm::Reboots::default(),
        preseed: None,
        snapshots: watari_model::vm::Snapshots::default(),
        halt: None,
        guarded: None,
        unseen: None,
        restored: None,
        migrations: 0,
        requests: Vec::new(),
        created_at: AT,
        changed_at: AT,
    };
    Entry { value, revision: 1, created: AT }
}

fn known(names: &[&str]) -> Known {
    Known { servers: names.iter().map(|n| ((*n).to_owned(), Arc::new(server(n, None)))).collect(), unreadable: vec![] }
}

fn ports(names: &[&str]) -> BTreeMap<String, Port> {
    let port = |(n, name): (usize, &&str)| {
        let address = std::net::Ipv4Addr::new(10, 0, 0, n as u8 + 1);
        let port = Port {
            v: 1,
            network: "campus".parse().unwrap(),
            address,
            address6: None,
            mac: mac_of(address),
            vm: name.parse().unwrap(),
            vm_uuid: format!("uuid-{name}"),
            created_at: AT,
        };
        (watari_model::Document::key(&port), port)
    };
    names.iter().enumerate().map(port).collect()
}

fn verdict(suspicion: &mut Suspicion, ports: &BTreeMap<String, Port>, servers: &Known, now: u64) -> Verdict {
    suspicion.judge(ports.iter(), servers, now, PATIENCE)
}

#[test]
fn a_new_tenure_counts_its_patience_from_its_own_first_look() {
    let (ports, servers) = (ports(&["a", "b", "c", "gone"]), known(&["a", "b", "c"]));
    let mut suspicion = Suspicion::default();
    verdict(suspicion.in_tenure(1), &ports, &servers, 0);
    assert_eq!(verdict(suspicion.in_tenure(2), &ports, &servers, PATIENCE), Verdict::Release(vec![]));
    let given_back = Verdict::Release(vec!["campus.10-0-0-4".into()]);
    assert_eq!(verdict(suspicion.in_tenure(2), &ports, &servers, 2 * PATIENCE), given_back);
}

#[test]
fn a_port_is_given_back_when_its_server_has_been_gone_for_long_and_not_before() {
    let (ports, servers) = (ports(&["a", "b", "c", "gone"]), known(&["a", "b", "c"]));
    let mut suspicion = Suspicion::default();
    assert_eq!(verdict(&mut suspicion, &ports, &servers, 1000), Verdict::Release(vec![]));
    assert_eq!(verdict(&mut suspicion, &ports, &servers, 1000 + PATIENCE - 1), Verdict::Release(vec![]));
    assert_eq!(
        verdict(&mut suspicion, &ports, &servers, 1000 + PATIENCE),
        Verdict::Release(vec!["campus.10-0-0-4".into()])
    );
}

#[test]
fn a_server_that_comes_back_clears_the_suspicion() {
    let ports = ports(&["a", "b", "c", "late"]);
    let mut suspicion = Suspicion::default();
    verdict(&mut suspicion, &ports, &known(&["a", "b", "c"]), 0);
    verdict(&mut suspicion, &ports, &known(&["a", "b", "c", "late"]), PATIENCE - 1);
    assert_eq!(suspicion.count(), 0);
    assert_eq!(verdict(&mut suspicion, &ports, &known(&["a", "b", "c"]), PATIENCE), Verdict::Release(vec![]));
}

#[test]
fn a_new_server_of_an_old_name_does_not_hold_the_old_ones_port() {
    let mut servers = known(&["a", "b", "c", "d"]);
    let mut other = server("d", None);
    other.value.uuid = "another".to_owned();
    servers.servers.insert("d".to_owned(), Arc::new(other));
    let mut suspicion = Suspicion::default();
    let ports = ports(&["a", "b", "c", "d"]);
    verdict(&mut suspicion, &ports, &servers, 0);
    assert_eq!(verdict(&mut suspicion, &ports, &servers, PATIENCE), Verdict::Release(vec!["campus.10-0-0-4".into()]));
}

#[test]
fn a_second_port_that_the_server_does_not_name_is_given_back() {
    let mut servers = known(&["a", "b", "c", "d"]);
    servers.servers.insert("d".to_owned(), Arc::new(server("d", Some("10.0.0.77"))));
    let ports = ports(&["a", "b", "c", "d"]);
    let mut suspicion = Suspicion::default();
    verdict(&mut suspicion, &ports, &servers, 0);
    assert_eq!(verdict(&mut suspicion, &ports, &servers, PATIENCE), Verdict::Release(vec!["campus.10-0-0-4".into()]));
    servers.servers.insert("d".to_owned(), Arc::new(server("d", Some("10.0.0.4"))));
    assert_eq!(verdict(&mut suspicion, &ports, &servers, 2 * PATIENCE), Verdict::Release(vec![]));
}

#[test]
fn a_vanished_bucket_gives_back_nothing() {
    let ports = ports(&["a", "b", "c", "d"]);
    let mut suspicion = Suspicion::default();
    verdict(&mut suspicion, &ports, &Known::default(), 0);
    assert!(matches!(verdict(&mut suspicion, &ports, &Known::default(), PATIENCE), Verdict::Alarm(_)));
    assert!(matches!(verdict(&mut suspicion, &ports, &known(&["a"]), PATIENCE), Verdict::Alarm(_)));
    assert!(
        matches!(verdict(&mut suspicion, &ports, &known(&["a", "b", "c"]), PATIENCE), Verdict::Release(p) if p.len() == 1)
    );
}

#[test]
fn a_server_that_cannot_be_read_keeps_its_port() {
    let ports = ports(&["a", "b", "c", "odd"]);
    let servers = Known { unreadable: vec!["odd".to_owned()], ..known(&["a", "b", "c"]) };
    let mut suspicion = Suspicion::default();
    verdict(&mut suspicion, &ports, &servers, 0);
    assert_eq!(verdict(&mut suspicion, &ports, &servers, PATIENCE), Verdict::Release(vec![]));
}
