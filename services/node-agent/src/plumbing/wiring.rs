//! How the operator's bridges stand, read from the kernel, for whoever asks whether the node is well.

use std::{collections::BTreeSet, fs, path::Path};

use watari_model::{
    SegmentName,
    node::health::{Bridge, Link},
};

use super::segment::{self, CLASS, ROUTES};

/// Looks at a segment's bridge.
pub(super) fn look(segment: &SegmentName, bridge: &str) -> Bridge {
    look_in(Path::new(CLASS), &fs::read_to_string(ROUTES).unwrap_or_default(), segment, bridge)
}

fn look_in(class: &Path, routes: &str, segment: &SegmentName, bridge: &str) -> Bridge {
    let folder = class.join(bridge);
    let ports = ports(&folder);
    // A tap leads to a server of ours, anything else out of the node.
    let uplinks: Vec<&String> = ports.iter().filter(|port| !class.join(port).join("tun_flags").exists()).collect();
    let link = if !folder.exists() {
        Link::Missing
    } else if !folder.join("bridge").is_dir() {
        Link::NotABridge
    } else if !segment::is_up(&folder) {
        Link::Down
    } else if uplinks.is_empty() {
        Link::NoUplink
    } else if uplinks.iter().any(|port| has_carrier(&class.join(port))) {
        Link::Up
    } else {
        Link::UplinkDown
    };
    let has_route = |port: &&String| routes.lines().any(|line| line.split_whitespace().next() == Some(port.as_str()));
    let addressed_ports = ports.iter().filter(has_route).cloned().collect();
    Bridge { segment: segment.clone(), name: bridge.to_owned(), link, addressed_ports }
}

fn ports(bridge: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(bridge.join("brif")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// The kernel refuses to say so of an interface that is switched off.
fn has_carrier(port: &Path) -> bool {
    fs::read_to_string(port.join("carrier")).is_ok_and(|text| text.trim() == "1")
}

#[cfg(test)]
mod tests {
    use watari_testkit::TempDir;

    use super::*;

    /// What `/sys/class/net` shows.
    struct Class(TempDir);

    impl Class {
        fn put(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn bridge(&self, name: &str, flags: &str, ports: &[&str]) {
            self.put(&format!("{name}/flags"), flags);
            self.put(&format!("{name}/bridge/bridge_id"), "");
            ports.iter().for_each(|port| self.put(&format!("{name}/brif/{port}"), ""));
        }

        fn look(&self, routes: &str, bridge: &str) -> (Link, Vec<String>) {
            let bridge = look_in(self.0.path(), routes, &"campus".parse().unwrap(), bridge);
            (bridge.link, bridge.addressed_ports)
        }
    }

    #[test]
    fn a_bridge_is_up_only_when_it_leads_out_of_the_node() {
        let class = Class(TempDir::new());
        class.put("eth0/carrier", "1\n");
        class.put("eth1/carrier", "0\n");
        class.put("vnet0/carrier", "1\n");
        class.put("vnet0/tun_flags", "0x1002\n");
        class.bridge("up", "0x1003\n", &["eth0", "eth1", "vnet0"]);
        class.bridge("down", "0x1002\n", &["eth0"]);
        class.bridge("alone", "0x1003\n", &["vnet0"]);
        class.bridge("unplugged", "0x1003\n", &["eth1", "vnet0"]);
        let found = ["up", "down", "alone", "unplugged", "eth0", "none"].map(|name| class.look("", name).0);
        let wanted = [Link::Up, Link::Down, Link::NoUplink, Link::UplinkDown, Link::NotABridge, Link::Missing];
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_port_that_has_the_hosts_address_is_named() {
        let class = Class(TempDir::new());
        class.put("eth0/carrier", "1\n");
        class.bridge("br0", "0x1003\n", &["eth0", "eth1"]);
        let routes = |interface: &str| format!("Iface\tDestination\n{interface}\t0071CB00\t00000000\t0001\n");
        assert_eq!(class.look(&routes("br0"), "br0"), (Link::Up, vec![]));
        assert_eq!(class.look(&routes("eth0"), "br0"), (Link::Up, vec!["eth0".to_owned()]));
    }
}
