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
    (
        "etc/watari/node-agent.toml",
        &["libvirtd.service", "libvirtd.socket", AGENT, "watari-renew.service", "watari-node.target"],
    ),
];
/// What only a node has.
pub(super) const AGENT: &str = "watari-agent.service";
const PROPERTIES: &str = "--property=Id,LoadState,ActiveState,UnitFileState";

/// What is not as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::doctor) struct Units {
    /// Services that do not run.
    pub(in crate::doctor) stopped: Vec<String>,
    /// Targets that are not started with the host.
    pub(in crate::doctor) disabled: Vec<String>,
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
    /// is being started, again and again, is no longer to be started.
    fn of(told: &str) -> Self {
        let all: Vec<Unit<'_>> = told.split("\n\n").map(Unit::of).filter(|unit| unit.load == "loaded").collect();
        // It is started by whoever knocks.
        let knocks = |unit: &Unit<'_>| {
            let socket = unit.id.replace(".service", ".socket");
            all.iter().any(|other| other.id == socket && !other.is_off())
        };
        let stopped = all.iter().filter(|unit| unit.id.ends_with(".service") && unit.is_off() && !knocks(unit));
        let disabled = all.iter().filter(|unit| unit.id.ends_with(".target") && unit.file == "disabled");
        let names = |unit: &Unit<'_>| unit.id.to_owned();
        Self { stopped: stopped.map(names).collect(), disabled: disabled.map(names).collect() }
    }
}

/// One unit's block of lines.
#[derive(Default)]
struct Unit<'t> {
    id: &'t str,
    load: &'t str,
    active: &'t str,
    file: &'t str,
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
                _ => {}
            }
        }
        unit
    }

    fn is_off(&self) -> bool {
        matches!(self.active, "inactive" | "failed")
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
        assert_eq!(Units::of(&told.join("\n")), Units { stopped, disabled });
        assert_eq!(Units::of(""), Units::default());
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
