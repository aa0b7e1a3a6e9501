//! What nodes and their servers use, shown when somebody asks.
//!
//! A server's counters are those of its QEMU: they begin anew with each start and at each node, which is what `rate`
//! expects of a counter, and so the node is a label. Of a node that counts as lost nothing is shown but for how long.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use prometheus::{
    CounterVec, GaugeVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use watari_chassis::{clock, prometheus};
use watari_model::{
    VmName,
    node::{State, Weight},
    size::{GIB, MIB},
};

use crate::{
    fleet::Heard,
    metric_names::{
        NODE_CLOCK, NODE_DISK, NODE_READY, NODE_SERVERS, NODE_SILENCE, VM_CPU, VM_DIRTY, VM_DISK, VM_LAYER, VM_MEMORY,
        VM_NET, VMS_UNMEASURED,
    },
    watch::Watch,
};

/// Shows it; until somebody asks it costs nothing.
pub(crate) fn gauges(registry: &Registry, watch: &Arc<Watch>) -> Result<(), prometheus::Error> {
    let (figures, turn) = (Figures::new()?, Mutex::default());
    registry.register(Box::new(Usage { watch: Arc::downgrade(watch), figures, turn }))
}

struct Usage {
    watch: Weak<Watch>,
    figures: Figures,
    /// Counters are put together anew each time, which two must not do at once.
    turn: Mutex<()>,
}

struct Figures {
    ready: IntGaugeVec,
    silence: GaugeVec,
    clock: GaugeVec,
    disk: IntGaugeVec,
    servers: IntGaugeVec,
    cpu: CounterVec,
    memory: IntGaugeVec,
    dirty: IntGaugeVec,
    layer: IntGaugeVec,
    disks: IntCounterVec,
    network: IntCounterVec,
    unmeasured: IntGauge,
}

/// A node as it is written down and heard.
struct Seen<'a> {
    name: &'a str,
    site: &'a str,
    state: State,
    disk_gib: u64,
    silent: Duration,
    heard: Option<&'a Heard>,
    weights: &'a BTreeMap<VmName, Weight>,
}

/// So many units of so many bytes, in bytes.
fn bytes(amount: u64, unit: u64) -> i64 {
    i64::try_from(amount.saturating_mul(unit)).unwrap_or(i64::MAX)
}

impl Figures {
    fn new() -> Result<Self, prometheus::Error> {
        let whole = |name: &str, help: &str, labels: &[&str]| IntGaugeVec::new(Opts::new(name, help), labels);
        let part = |name: &str, help: &str, labels: &[&str]| GaugeVec::new(Opts::new(name, help), labels);
        let bytes = |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        Ok(Self {
            ready: whole(NODE_READY, "1 while a node is ready.", &["node", "site"])?,
            silence: part(NODE_SILENCE, "Time since a node was heard.", &["node", "site"])?,
            clock: part(NODE_CLOCK, "By how much a node's clock is ahead of ours.", &["node", "site"])?,
            disk: whole(NODE_DISK, "A node's room for disks.", &["node", "site", "which"])?,
            servers: whole(NODE_SERVERS, "Servers that run on a node.", &["node", "site"])?,
            cpu: CounterVec::new(Opts::new(VM_CPU, "Processor time that a server has used."), &["vm", "node", "site"])?,
            memory: whole(VM_MEMORY, "Memory of its node that a server occupies.", &["vm", "node", "site"])?,
            dirty: whole(VM_DIRTY, "Bytes a second that a server writes to its memory.", &["vm", "node", "site"])?,
            layer: whole(
                VM_LAYER,
                "Bytes in the layer of a server's disk that is written to.",
                &["vm", "node", "site"],
            )?,
            disks: bytes(VM_DISK, "Bytes of a server's disks.", &["vm", "node", "site", "way"])?,
            network: bytes(VM_NET, "Bytes of a server's network.", &["vm", "node", "site", "way"])?,
            unmeasured: IntGauge::new(VMS_UNMEASURED, "Servers of which it is not shown what they use.")?,
        })
    }

    fn all(&self) -> [&dyn Collector; 12] {
        [
            &self.ready,
            &self.silence,
            &self.clock,
            &self.disk,
            &self.servers,
            &self.cpu,
            &self.memory,
            &self.dirty,
            &self.layer,
            &self.disks,
            &self.network,
            &self.unmeasured,
        ]
    }

    fn begin(&self) {
        for whole in [&self.ready, &self.disk, &self.servers, &self.memory, &self.dirty, &self.layer] {
            whole.reset();
        }
        self.silence.reset();
        self.clock.reset();
        self.cpu.reset();
        self.disks.reset();
        self.network.reset();
        self.unmeasured.set(0);
    }

    fn show(&self, seen: &Seen<'_>) {
        let labels = [seen.name, seen.site];
        self.ready.with_label_values(&labels).set(i64::from(seen.state == State::Ready));
        self.silence.with_label_values(&labels).set(seen.silent.as_secs_f64());
        let disk = |which: &str| self.disk.with_label_values(&[seen.name, seen.site, which]);
        disk("total").set(bytes(seen.disk_gib, GIB));
        let Some(heard) = seen.heard.filter(|_| seen.state != State::Lost) else { return };
        if let Some(free) = heard.disk_free_gib {
            disk("used").set(bytes(seen.disk_gib.saturating_sub(free), GIB));
        }
        if let Some(ahead) = heard.clock_ahead_ms {
            let by = Duration::from_millis(ahead.unsigned_abs()).as_secs_f64();
            self.clock.with_label_values(&labels).set(if ahead < 0 { -by } else { by });
        }
        self.servers.with_label_values(&labels).set(heard.servers.into());
        let lacking = usize::try_from(heard.servers).unwrap_or(usize::MAX).saturating_sub(heard.samples().len());
        self.unmeasured.add(i64::try_from(lacking).unwrap_or(i64::MAX));
        self.measured(seen, heard);
        self.weighed(seen, heard);
    }

    fn measured(&self, seen: &Seen<'_>, heard: &Heard) {
        for sample in heard.samples() {
            let of_vm = [sample.vm.as_str(), seen.name, seen.site];
            let cpu = Duration::from_nanos(sample.cpu_ns).as_secs_f64();
            self.cpu.with_label_values(&of_vm).inc_by(cpu);
            self.memory.with_label_values(&of_vm).set(bytes(sample.rss_mib, MIB));
            let [vm, node, site] = of_vm;
            for (counter, way, bytes) in [
                (&self.disks, "read", sample.disk_read),
                (&self.disks, "written", sample.disk_written),
                (&self.network, "received", sample.net_received),
                (&self.network, "sent", sample.net_sent),
            ] {
                counter.with_label_values(&[vm, node, site, way]).inc_by(bytes);
            }
        }
    }

    /// What would travel of those servers of which it is shown what they use.
    fn weighed(&self, seen: &Seen<'_>, heard: &Heard) {
        let kept: HashSet<&str> = heard.samples().iter().map(|sample| sample.vm.as_str()).collect();
        for (vm, weight) in seen.weights.iter().filter(|(vm, _)| kept.contains(vm.as_str())) {
            let of_vm = [vm.as_str(), seen.name, seen.site];
            self.layer.with_label_values(&of_vm).set(bytes(weight.disk_bytes, 1));
            if let Some(dirty) = weight.dirty_bytes_per_second {
                self.dirty.with_label_values(&of_vm).set(bytes(dirty, 1));
            }
        }
    }

    fn read(&self, watch: &Watch) {
        self.begin();
        // Not while the fleet is held: whoever judges takes it after this one.
        let since = watch.listening().since();
        let now = clock::boot_millis();
        let nodes = watch.nodes.snapshot();
        // Beats wait for the fleet, and showing thousands of nodes takes long: what was heard is copied first.
        let fleet = watch.fleet();
        let heard: Vec<Option<Heard>> = nodes.keys().map(|name| fleet.get(name).cloned()).collect();
        drop(fleet);
        for ((name, entry), heard) in nodes.iter().zip(&heard) {
            let node = &entry.value;
            let silent_ms = now.saturating_sub(heard.as_ref().map_or(since, |heard| heard.at));
            self.show(&Seen {
                name,
                site: node.site.as_str(),
                state: node.state,
                disk_gib: node.inventory.disk_gib,
                silent: Duration::from_millis(silent_ms),
                heard: heard.as_ref(),
                weights: &node.inventory.weights,
            });
        }
    }
}

impl Collector for Usage {
    fn desc(&self) -> Vec<&Desc> {
        self.figures.all().into_iter().flat_map(|figure| figure.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(watch) = self.watch.upgrade() else { return Vec::new() };
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.figures.read(&watch);
        self.figures.all().into_iter().flat_map(|figure| figure.collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use watari_chassis::prometheus::TextEncoder;
    use watari_contracts::beat::{Beat, Sample};
    use watari_model::node::Limits;

    use super::*;
    use crate::fleet::{Fleet, Folded};

    fn sample(vm: &str) -> Sample {
        Sample {
            vm: vm.to_owned(),
            cpu_ns: 1_500_000_000,
            rss_mib: 130,
            disk_read: 1,
            disk_written: 2,
            net_received: 3,
            net_sent: 4,
        }
    }

    /// A fleet that has heard one beat of each node, and keeps what two servers use.
    fn fleet(nodes: &[(&str, &[&str])]) -> Fleet {
        let limits = Limits { suspect_after_ms: 3_000, lost_after_ms: 10_000 };
        let mut fleet = Fleet::new(9, limits).measuring(2);
        for (node, vms) in nodes {
            let servers: Vec<Sample> = vms.iter().map(|vm| sample(vm)).collect();
            let beat = Beat {
                node: (*node).to_owned(),
                site: "yamate".to_owned(),
                seq: 1,
                instance: 1,
                at_ms: 0,
                hypervisor_answers: true,
                vcpus_used: 1,
                memory_used_mib: 64,
                disk_free_gib: 10,
                load_centi: 0,
                servers: servers.clone(),
            };
            assert!(!matches!(fleet.fold("yamate", node, &beat, 0), Folded::Refused(_)));
            fleet.clock(node, 1_000, 1_250);
            fleet.sampled(node, servers, 0);
        }
        fleet
    }

    fn shown(fleet: &Fleet, states: &[(&str, State)]) -> Vec<String> {
        let figures = Figures::new().unwrap();
        let weight = Weight { disk_bytes: 5 << 20, dirty_bytes_per_second: Some(3 << 20) };
        let weights = BTreeMap::from([("mail".parse().unwrap(), weight)]);
        figures.begin();
        for (name, state) in states {
            let silent = Duration::from_millis(500);
            let heard = fleet.get(name);
            figures.show(&Seen { name, site: "yamate", state: *state, disk_gib: 40, silent, heard, weights: &weights });
        }
        let families = figures.all().into_iter().flat_map(|figure| figure.collect());
        // The encoder refuses those that are empty, which a registry leaves out.
        let families: Vec<MetricFamily> = families.filter(|family| !family.get_metric().is_empty()).collect();
        let text = TextEncoder::new().encode_to_string(&families).unwrap();
        let mut lines: Vec<String> = text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
        lines.sort();
        lines
    }

    #[test]
    fn what_a_node_and_its_servers_use_is_shown_as_its_last_beat_says() {
        let lines = shown(&fleet(&[("y1", &["mail"])]), &[("y1", State::Ready)]);
        for line in [
            "watari_node_ready{node=\"y1\",site=\"yamate\"} 1",
            "watari_node_silence_seconds{node=\"y1\",site=\"yamate\"} 0.5",
            "watari_node_clock_ahead_seconds{node=\"y1\",site=\"yamate\"} -0.25",
            "watari_node_disk_bytes{node=\"y1\",site=\"yamate\",which=\"total\"} 42949672960",
            "watari_node_disk_bytes{node=\"y1\",site=\"yamate\",which=\"used\"} 32212254720",
            "watari_node_servers{node=\"y1\",site=\"yamate\"} 1",
            "watari_vm_cpu_seconds_total{node=\"y1\",site=\"yamate\",vm=\"mail\"} 1.5",
            "watari_vm_memory_bytes{node=\"y1\",site=\"yamate\",vm=\"mail\"} 136314880",
            "watari_vm_disk_bytes_total{node=\"y1\",site=\"yamate\",vm=\"mail\",way=\"read\"} 1",
            "watari_vm_disk_bytes_total{node=\"y1\",site=\"yamate\",vm=\"mail\",way=\"written\"} 2",
            "watari_vm_network_bytes_total{node=\"y1\",site=\"yamate\",vm=\"mail\",way=\"received\"} 3",
            "watari_vm_network_bytes_total{node=\"y1\",site=\"yamate\",vm=\"mail\",way=\"sent\"} 4",
            "watari_vm_dirty_bytes_per_second{node=\"y1\",site=\"yamate\",vm=\"mail\"} 3145728",
            "watari_vm_disk_layer_bytes{node=\"y1\",site=\"yamate\",vm=\"mail\"} 5242880",
            "watari_vms_unmeasured 0",
        ] {
            assert!(lines.iter().any(|shown| shown == line), "{line} is missing: {lines:#?}");
        }
        assert_eq!(lines.len(), 15);
    }

    #[test]
    fn of_a_lost_node_and_one_that_was_never_heard_nothing_is_shown_but_for_how_long() {
        let lines = shown(&fleet(&[("y1", &["mail"])]), &[("y1", State::Lost), ("y2", State::Suspect)]);
        let named = |name: &str| lines.iter().filter(|line| line.contains(name)).count();
        assert_eq!((named("node=\"y1\""), named("node=\"y2\""), named("mail")), (3, 3, 0), "{lines:#?}");
    }

    #[test]
    fn a_node_whose_servers_would_be_too_many_shows_none_of_them_and_they_are_counted() {
        let mut fleet = fleet(&[("y1", &["a"]), ("y2", &["b", "c"]), ("y3", &["d"])]);
        let ready = [("y1", State::Ready), ("y2", State::Ready), ("y3", State::Ready)];
        let lines = shown(&fleet, &ready);
        let measured = |lines: &[String]| {
            let shown = lines.iter().filter(|line| line.starts_with(VM_MEMORY));
            shown.filter_map(|line| line.split("vm=\"").nth(1)?.chars().next()).collect::<String>()
        };
        assert_eq!(measured(&lines), "ad", "{lines:#?}");
        assert!(lines.contains(&"watari_vms_unmeasured 2".to_owned()), "{lines:#?}");
        // The room of a node that is forgotten is another's.
        fleet.forget("y1");
        fleet.forget("y3");
        fleet.sampled("y2", vec![sample("b"), sample("c")], 0);
        assert_eq!(measured(&shown(&fleet, &ready[1..2])), "bc");
    }
}
