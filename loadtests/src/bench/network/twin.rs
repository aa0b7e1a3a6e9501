//! A twin that only `virsh` carries, heard in the same way: what of a silence is QEMU's, the emulation's and the lab's own.

use std::process::{Child, Command, Stdio};

use anyhow::Context;

use super::{Crossing, listening::while_heard};
use crate::{bench::plain::Twin, lab::Lab, scenarios::Stage};

/// Which twin it is, and the address that it has; nobody else's in the lab.
const NUMBER: u8 = 1;
const ADDRESS: &str = "203.0.113.229";

/// The twin, and who tells it its address.
pub(super) struct Carried<'a> {
    lab: &'a Lab,
    twin: Twin,
    _told: Dhcp,
}

impl<'a> Carried<'a> {
    /// Makes a twin of `vm` on the node where that runs, and waits until it answers.
    pub(super) fn start(stage: &'a Stage, vm: &str, node: &str) -> anyhow::Result<Self> {
        let lab = &stage.lab;
        Twin::clear(lab)?;
        let told = Dhcp::start(lab)?;
        let twin = Twin::start(lab, vm, node, NUMBER)?;
        stage.until_page(ADDRESS, 120)?;
        twin.until_idle(node)?;
        Ok(Self { lab, twin, _told: told })
    }

    /// Has `virsh` carry it.
    pub(super) fn cross(&self, from: &str, to: &str) -> anyhow::Result<Crossing> {
        self.twin.prepare(to)?;
        let uri = format!("qemu+tls://{to}/system");
        let (_, silent) = while_heard(self.lab, ADDRESS, || self.lab.run(&self.twin.migration(from, &uri)))?;
        self.twin.forget(from)?;
        let downtime_ms = self.twin.downtime_ms(to)?;
        Ok(Crossing { downtime_ms, pause_ms: None, udp_ms: silent.udp_ms, http_ms: silent.http_ms })
    }

    /// Destroys it.
    pub(super) fn end(self, node: &str) -> anyhow::Result<()> {
        self.twin.end(node)
    }
}

/// Tells the twin its address from the client, and nobody else anything: no node's DHCP knows it.
struct Dhcp(Child);

impl Dhcp {
    fn start(lab: &Lab) -> anyhow::Result<Self> {
        let known = format!("--dhcp-host={},{ADDRESS}", Twin::mac(NUMBER));
        let dnsmasq = lab.within("client", || {
            let mut dnsmasq = Command::new("dnsmasq");
            dnsmasq.args(["--no-daemon", "--conf-file=", "--no-hosts", "--no-resolv", "--port=0", "--leasefile-ro"]);
            dnsmasq.args(["--bind-dynamic", "--interface=campus0", "--except-interface=lo", "--no-ping"]);
            // One lease for all of the measurement, since nobody is asked whether it may be renewed.
            dnsmasq.args(["--dhcp-range=203.0.113.0,static,255.255.255.0,infinite", "--dhcp-ignore=tag:!known"]);
            dnsmasq.args(["--dhcp-option=option:router", &known]);
            dnsmasq.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            dnsmasq.spawn().context("cannot start dnsmasq")
        })?;
        Ok(Self(dnsmasq))
    }
}

impl Drop for Dhcp {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
