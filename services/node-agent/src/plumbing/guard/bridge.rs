//! Bridge netfilter: without it, frames between the ports of a bridge meet no rule of family `inet`.
//!
//! It is switched on for a bridge by that bridge's own switch, and off again when the last guarded
//! server has left it, so that other bridges of the machine stay as they are. A mark in the run
//! folder says that it was us.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use crate::plumbing::module;

use super::Family;

/// How the switches of a family are called.
const fn called(family: Family) -> &'static str {
    match family {
        Family::V4 => "iptables",
        Family::V6 => "ip6tables",
    }
}

/// Present when the kernel has bridge netfilter; 1 switches it on for every bridge at once.
fn everywhere(family: Family) -> PathBuf {
    PathBuf::from(format!("/proc/sys/net/bridge/bridge-nf-call-{}", called(family)))
}

const FAMILIES: [&str; 3] = ["iptables", "ip6tables", "arptables"];

fn own_switch(bridge: &str, family: Family) -> PathBuf {
    Path::new("/sys/class/net").join(bridge).join(format!("bridge/nf_call_{}", called(family)))
}

fn is_on(switch: &Path) -> bool {
    fs::read_to_string(switch).is_ok_and(|text| text.trim() == "1")
}

/// Makes the kernel have it. A module that is loaded only now does not act on bridges that nobody
/// meant: loading turns it on everywhere.
///
/// # Errors
/// The kernel has none.
pub(super) async fn available() -> io::Result<()> {
    if everywhere(Family::V4).exists() {
        return Ok(());
    }
    if !module::load("br_netfilter").await || !everywhere(Family::V4).exists() {
        return Err(io::Error::other("this kernel has no bridge netfilter (module br_netfilter)"));
    }
    FAMILIES.iter().try_for_each(|family| fs::write(format!("/proc/sys/net/bridge/bridge-nf-call-{family}"), "0"))
}

/// Whether it is off for a bridge that is there, as for one that was made anew.
pub(super) fn is_off(bridge: &str, family: Family) -> bool {
    let switch = own_switch(bridge, family);
    switch.exists() && !is_on(&everywhere(family)) && !is_on(&switch)
}

/// Switches it on for a bridge, if it is off. One that is not there carries nothing.
///
/// # Errors
/// The switch or the mark cannot be written.
pub(super) fn switch_on(bridge: &str, family: Family, marks: &Path) -> io::Result<()> {
    if !is_off(bridge, family) {
        return Ok(());
    }
    fs::create_dir_all(marks)?;
    fs::write(marks.join(bridge), "")?;
    tracing::info!(
        bridge,
        ?family,
        "bridge netfilter is switched on for this bridge, for its servers' firewall groups"
    );
    fs::write(own_switch(bridge, family), "1")
}

/// Switches off what we switched on, for all bridges but these.
///
/// # Errors
/// A switch or a mark cannot be written.
pub(super) fn switch_off_but(bridges: &BTreeSet<&str>, family: Family, marks: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(marks) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        let Some(bridge) = name.to_str().filter(|bridge| !bridges.contains(*bridge)) else { continue };
        match fs::write(own_switch(bridge, family), "0") {
            // The bridge is gone, and its switch with it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            outcome => outcome?,
        }
        fs::remove_file(marks.join(bridge))?;
    }
    Ok(())
}
