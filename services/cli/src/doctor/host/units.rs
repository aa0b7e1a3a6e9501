//! Which of systemd's units belong to what is set up on a host, and how they stand.

use std::path::Path;

use super::programs;

/// By the file without which systemd does not start them (`ConditionPathExists`).
const OF_FILES: [(&str, &[&str]); 6] = [
    ("etc/watari/nats.toml", &["watari-nats.service", "watari-front.target"]),
    ("etc/watari/scheduler.toml", &["watari-scheduler.service"]),
    ("etc/watari/image.toml", &["watari-image.service"]),
    ("etc/watari/network.toml", &["watari-network.service"]),
    ("etc/watari/monitor.toml", &["watari-monitor.service"]),
    ("etc/watari/node-agent.toml", &OF_NODE),
];
const OF_NODE: [&str; 7] =
    ["libvirtd.service", "libvirtd.socket", AGENT, "watari-renew.service", "watari-revoked.path", HEEDS, NODE];
/// What only a node has.
pub(super) const AGENT: &str = "watari-agent.service";
/// What has libvirt read its certificate and the list of revoked ones, each time that either is another one: it ends, and is
/// off then.
const HEEDS: &str = "watari-revoked.service";
/// What starts that with the host.
const NODE: &str = "watari-node.target";
const PROPERTIES: &str = "--property=Id,LoadState,ActiveState,UnitFileState,PartOf";

/// What is not as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::doctor) struct Units {
    /// Services that do not run, and what starts others and does not.
    pub(in crate::doctor) stopped: Vec<String>,
    /// Targets that are not started with the host, though services of theirs run.
    pub(in crate::doctor) disabled: Vec<String>,
    /// Targets that are not started with the host, and of which nothing runs: out of service, or forgotten.
    pub(in crate::doctor) retired: Vec<String>,
}

/// The units of what is set up below this root.
pub(super) fn set_up(root: &Path) -> Vec<&'static str> {
    let there = OF_FILES.iter().filter(|(file, _)| root.join(file).exists());
    there.flat_map(|(_, units)| units.iter().copied()).collect()
}

impl Units {
    /// Asks systemd; where there is none, nothing is known to be wrong.
    pub(super) async fn look(units: &[&str]) -> Self {
        let arguments = [&["show", PROPERTIES][..], units].concat();
        programs::told("systemctl", &arguments).await.map_or_else(Self::default, |told| Self::of(&told))
    }

    /// By what `systemctl show` prints. What is masked or not installed is so because somebody wants it so, and what
    /// is being started, again and again, is no longer to be started. Of a target that is disabled and rests as a whole
    /// nobody can say whether somebody wants that, so that its services are not told one by one.
    fn of(told: &str) -> Self {
        let all: Vec<Unit<'_>> = told.split("\n\n").map(Unit::of).filter(|unit| unit.load == "loaded").collect();
        // It is started by whoever knocks.
        let knocks = |unit: &Unit<'_>| {
            let socket = unit.id.replace(".service", ".socket");
            all.iter().any(|other| other.id == socket && !other.is_off())
        };
        let runs = |target: &Unit<'_>| {
            let any = |unit: &Unit<'_>| unit.part_of == target.id && !unit.is_off();
            !target.is_off() || all.iter().any(any)
        };
        let disabled = all.iter().filter(|unit| unit.id.ends_with(".target") && unit.file == "disabled");
        let (disabled, retired): (Vec<&Unit<'_>>, Vec<&Unit<'_>>) = disabled.partition(|target| runs(target));
        let rests = |unit: &Unit<'_>| retired.iter().any(|target| target.id == unit.target());
        let works = |unit: &&Unit<'_>| unit.id.ends_with(".service") || unit.id.ends_with(".path");
        let stopped = all.iter().filter(works).filter(|unit| unit.is_off());
        let stopped = stopped.filter(|unit| !knocks(unit) && !rests(unit));
        let name = |unit: &Unit<'_>| unit.id.to_owned();
        Self {
            stopped: stopped.map(name).collect(),
            disabled: disabled.into_iter().map(name).collect(),
            retired: retired.into_iter().map(name).collect(),
        }
    }
}

/// One unit's block of lines.
#[derive(Default)]
struct Unit<'t> {
    id: &'t str,
    load: &'t str,
    active: &'t str,
    file: &'t str,
    part_of: &'t str,
}

impl<'t> Unit<'t> {
    fn of(block: &'t str) -> Self {
        let mut unit = Self::default();
        for (key, value) in block.lines().filter_map(|line| line.split_once('=')) {
            match key {
                "Id" => unit.id = value,
                "LoadState" => unit.load = value,
                "ActiveState" => unit.active = value,
                "UnitFileState" => unit.file = value,
                "PartOf" => unit.part_of = value,
                _ => {}
            }
        }
        unit
    }

    fn is_off(&self) -> bool {
        self.active == "failed" || (self.active == "inactive" && self.id != HEEDS)
    }

    /// The target that it is started with; libvirt's own units know of none, and are asked about for the agent's sake.
    fn target(&self) -> &'t str {
        if self.part_of.is_empty() { NODE } else { self.part_of }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use watari_testkit::TempDir;

    use super::*;

    fn block(id: &str, load: &str, active: &str, file: &str) -> String {
        format!("Id={id}\nLoadState={load}\nActiveState={active}\nUnitFileState={file}\n")
    }

    #[test]
    fn only_what_is_set_up_is_asked_about() {
        let root = TempDir::new();
        assert!(set_up(root.path()).is_empty());
        fs::create_dir_all(root.path().join("etc/watari")).unwrap();
        // What a client has.
        fs::write(root.path().join("etc/watari/cli.toml"), "").unwrap();
        assert!(set_up(root.path()).is_empty());
        fs::write(root.path().join("etc/watari/monitor.toml"), "").unwrap();
        assert_eq!(set_up(root.path()), ["watari-monitor.service"]);
    }

    #[test]
    fn what_is_off_is_named_and_what_somebody_wants_off_or_is_on_its_way_is_not() {
        let told = [
            block("watari-agent.service", "loaded", "failed", "static"),
            block("watari-renew.service", "loaded", "activating", "static"),
            block("watari-nats.service", "masked", "inactive", "masked"),
            block("watari-image.service", "not-found", "inactive", ""),
            block("watari-node.target", "loaded", "active", "disabled"),
            block("watari-front.target", "loaded", "inactive", "enabled"),
        ];
        let (stopped, disabled) = (vec!["watari-agent.service".to_owned()], vec!["watari-node.target".to_owned()]);
        assert_eq!(Units::of(&told.join("\n")), Units { stopped, disabled, retired: Vec::new() });
        assert_eq!(Units::of(""), Units::default());
    }

    #[test]
    fn a_target_of_which_nothing_runs_is_told_as_a_whole_since_somebody_may_want_it_so() {
        let told = |agent: &str| {
            let service = |id: &str, active: &str, part_of: &str| {
                format!("{}PartOf={part_of}\n", block(id, "loaded", active, "static"))
            };
            let blocks = [
                service("watari-agent.service", agent, "watari-node.target"),
                service("watari-renew.service", "inactive", "watari-node.target"),
                service("libvirtd.service", "inactive", ""),
                block("watari-node.target", "loaded", "inactive", "disabled"),
                // A front end on the same host is another matter.
                service("watari-image.service", "failed", "watari-front.target"),
                block("watari-front.target", "loaded", "active", "enabled"),
            ];
            Units::of(&blocks.join("\n"))
        };
        let node = vec!["watari-node.target".to_owned()];
        let image = vec!["watari-image.service".to_owned()];
        assert_eq!(told("inactive"), Units { stopped: image, disabled: Vec::new(), retired: node.clone() });
        let running = told("active");
        assert_eq!((running.disabled, running.retired), (node, Vec::new()));
        assert_eq!(running.stopped, ["watari-renew.service", "libvirtd.service", "watari-image.service"]);
    }

    #[test]
    fn what_heeds_the_list_of_revoked_certificates_is_off_if_it_is_not_waited_for_or_has_failed() {
        let of = |path: &str, service: &str| {
            let path = block("watari-revoked.path", "loaded", path, "static");
            Units::of(&[path, block("watari-revoked.service", "loaded", service, "static")].join("\n")).stopped
        };
        assert_eq!(of("active", "inactive"), Vec::<String>::new());
        assert_eq!(of("inactive", "inactive"), ["watari-revoked.path"]);
        assert_eq!(of("active", "failed"), ["watari-revoked.service"]);
    }

    #[test]
    fn libvirt_that_is_started_by_whoever_knocks_is_not_off() {
        let of = |socket: &str| {
            let service = block("libvirtd.service", "loaded", "inactive", "enabled");
            Units::of(&[service, block("libvirtd.socket", "loaded", socket, "enabled")].join("\n")).stopped
        };
        assert_eq!(of("active"), Vec::<String>::new());
        assert_eq!(of("failed"), ["libvirtd.service"]);
    }
}
