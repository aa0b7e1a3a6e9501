//! A twin that only `virsh` carries, heard in the same way: what of a silence is QEMU's, the emulation's and the lab's own.

use super::{Crossing, listening::while_heard};
use crate::{
    bench::plain::{Dhcp, Twin},
    lab::Lab,
    scenarios::Stage,
};

/// Which twin it is.
const NUMBER: u8 = 1;

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
        let told = Dhcp::start(lab, [NUMBER])?;
        let twin = Twin::start(lab, vm, node, NUMBER)?;
        stage.until_page(&Twin::address(NUMBER), 120)?;
        twin.until_idle(node)?;
        Ok(Self { lab, twin, _told: told })
    }

    /// Has `virsh` carry it.
    pub(super) fn cross(&self, from: &str, to: &str) -> anyhow::Result<Crossing> {
        self.twin.prepare(to)?;
        let uri = format!("qemu+tls://{to}/system");
        let (_, silent) =
            while_heard(self.lab, &Twin::address(NUMBER), || self.lab.run(&self.twin.migration(from, &uri)))?;
        self.twin.forget(from)?;
        let downtime_ms = self.twin.downtime_ms(to)?;
        Ok(Crossing { downtime_ms, pause_ms: None, udp_ms: silent.udp_ms, http_ms: silent.http_ms })
    }

    /// Destroys it.
    pub(super) fn end(self, node: &str) -> anyhow::Result<()> {
        self.twin.end(node)
    }
}
