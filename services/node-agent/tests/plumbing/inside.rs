//! Another machine's network, which is a namespace of this one.

use std::{fs::File, os::fd::AsFd, process::Command};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Does something in that machine's network.
pub(crate) fn inside<T: Send + 'static>(machine: &str, act: impl FnOnce() -> T + Send + 'static) -> T {
    let path = format!("/run/netns/{machine}");
    // A thread's network is its own.
    let act = move || {
        let namespace = File::open(path).unwrap();
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        act()
    };
    std::thread::spawn(act).join().unwrap()
}

/// The number of a machine's card, which a link-local address needs.
pub(crate) fn index(machine: &str) -> u64 {
    let output = Command::new("ip").args(["-n", machine, "-j", "link", "show", "eth0"]).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    told[0]["ifindex"].as_u64().unwrap()
}
