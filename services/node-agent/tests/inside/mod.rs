//! Another machine's network, which is a namespace of this one.

use std::{fs::File, os::fd::AsFd};

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
