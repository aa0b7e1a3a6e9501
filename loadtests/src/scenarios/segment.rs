//! Strangers and VLANs on the campus's own segment.

use anyhow::{Context, ensure};

use super::{Stage, until};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] = &[
    ("an_address_that_a_stranger_has_goes_to_no_server", stranger),
    ("a_vlan_carries_its_servers_and_goes_only_where_the_kernel_knows_vlans", vlan),
];

/// The client's interface on the segment.
pub(super) const CAMPUS: &str = "campus0";
/// A server that is hardly there.
const SMALL: [&str; 8] = ["--image", "mini", "--site", "myodaiji", "--memory", "128MiB", "--disk", "1GiB"];

impl Stage {
    pub(super) fn client(&self, command: &[&str]) -> anyhow::Result<String> {
        self.lab.run(&[&["exec", "client", "--"], command].concat())
    }

    /// While the client has another address as well.
    fn with_alias(&self, address: &str, device: &str, run: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
        let alias = format!("{address}/24");
        self.client(&["ip", "addr", "add", &alias, "dev", device])?;
        let outcome = run();
        self.client(&["ip", "addr", "del", &alias, "dev", device])?;
        outcome
    }
}

fn stranger(stage: &Stage) -> anyhow::Result<()> {
    let range = ["--cidr", "203.0.113.0/24", "--range", "203.0.113.232-203.0.113.235"];
    stage.watari(&[&["network", "create", "shared", "--provider"], &range[..]].concat())?;
    let mac = stage.client(&["cat", &format!("/sys/class/net/{CAMPUS}/address")])?.trim().to_owned();
    let marks = || -> anyhow::Result<Vec<String>> {
        let shown = stage.show("network", "shared")?;
        let each = shown["strangers"].as_array().into_iter().flatten();
        Ok(each.map(|one| format!("{} {}", one["address"], one["mac"]).replace('"', "")).collect())
    };
    // The first of the range would be drawn.
    stage.with_alias("203.0.113.232", CAMPUS, || {
        stage.create("drawn", "shared", &[])?;
        let address = stage.address("drawn")?;
        ensure!(address == "203.0.113.233", "it has {address}");
        ensure!(marks()? == [format!("203.0.113.232 {mac}")], "marked are {:?}", marks()?);
        until(20, "an event names the stranger", || {
            let events = stage.watari(&["events", "--kind", "networks", "--limit", "5"])?.to_string();
            Ok(events.contains(&format!("203.0.113.232 is used by {mac}")))
        })?;
        let fixed = [&["vm", "create", "fixed"], &SMALL[..]].concat();
        stage.refused("address.taken", &[&fixed[..], &["--network", "shared=203.0.113.232"]].concat())?;
        // One that nobody has asked about yet is found out by the node.
        stage.with_alias("203.0.113.234", CAMPUS, || {
            stage.refused("address.taken", &[&fixed[..], &["--network", "shared=203.0.113.234", "--wait"]].concat())
        })
    })?;
    // Now that nobody has it, it starts with the address that was asked for.
    stage.watari(&["vm", "start", "fixed", "--wait"])?;
    ensure!(stage.address("fixed")? == "203.0.113.234", "it has another address");
    stage.watari(&["network", "clear", "shared", "203.0.113.232"])?;
    ensure!(!marks()?.contains(&format!("203.0.113.232 {mac}")), "still marked are {:?}", marks()?);
    for vm in ["drawn", "fixed"] {
        stage.watari(&["vm", "delete", vm, "--yes", "--wait"])?;
    }
    stage.watari(&["network", "delete", "shared", "--yes"])?;
    Ok(())
}

fn vlan(stage: &Stage) -> anyhow::Result<()> {
    let on = ["--provider", "--vlan", "30", "--cidr", "192.0.2.0/24", "--range", "192.0.2.100-192.0.2.109"];
    stage.watari(&[&["network", "create", "staff"], &on[..]].concat())?;
    stage.refused("network.vlan-taken", &[&["network", "create", "second"], &on[..]].concat())?;
    let able = !stage.show("node", "m1")?["vlans"].is_null();
    if able {
        carried(stage)?;
    } else {
        println!("this kernel knows no VLANs (module 8021q): only that servers are refused is tried");
        let tagged = [&["vm", "create", "tagged", "--network", "staff", "--wait"], &SMALL[..]].concat();
        stage.refused("placement.network-unbound", &tagged)?;
        stage.watari(&["vm", "delete", "tagged", "--yes", "--wait"])?;
    }
    stage.watari(&["network", "delete", "staff", "--yes"])?;
    Ok(())
}

fn carried(stage: &Stage) -> anyhow::Result<()> {
    stage.create("tagged", "staff", &[])?;
    let address = stage.address("tagged")?;
    let tagged = format!("{CAMPUS}.30");
    stage.client(&["ip", "link", "add", "link", CAMPUS, "name", &tagged, "type", "vlan", "id", "30"])?;
    stage.client(&["ip", "link", "set", &tagged, "up"])?;
    let outcome = stage.with_alias("192.0.2.10", &tagged, || {
        stage.until_page(&address, 120)?;
        let boot = stage.boot_id(&address)?;
        let to = stage.other_side("tagged")?;
        stage.watari(&["vm", "migrate", "tagged", "--to", to, "--wait"])?;
        stage.sound("tagged", &boot)
    });
    stage.client(&["ip", "link", "del", &tagged])?;
    outcome?;
    stage.with_alias("192.0.2.10", CAMPUS, || {
        ensure!(stage.page(&address, "/uptime").is_err(), "{address} is reached without a tag");
        Ok(())
    })?;
    let node = stage.node_of("tagged")?;
    let bridge = stage.show("node", &node)?["vlans"]["staff"].as_str().context("no bridge is shown")?.to_owned();
    let label = stage.lab.run(&["exec", &node, "--", "cat", &format!("/sys/class/net/{bridge}/ifalias")])?;
    ensure!(label.trim() == "watari VLAN network staff", "it is labelled {label}");
    stage.watari(&["vm", "delete", "tagged", "--yes", "--wait"])?;
    ensure!(
        stage.lab.run(&["exec", &node, "--", "ls", &format!("/sys/class/net/{bridge}")]).is_err(),
        "{bridge} is left"
    );
    Ok(())
}
