//! How large packets may be on the campus's own segments.
//!
//! A network that says so is served only where the operator's bridge carries that much. Servers hear of it by DHCP and
//! cloud-init; their taps stay as large as the bridge, since the kernel makes a bridge as small as its smallest port
//! (`br_mtu_auto_adjust`), and with it the host's own way out. A VLAN's bridge is ours, and as small as its network.

use std::collections::BTreeMap;

use watari_contracts::agent::Wire;
use watari_model::{Refusal, SegmentName, said};

use super::{Plumbing, segment};

impl Plumbing {
    /// The largest packets, in bytes, of the bridges of those segments that can be used now.
    #[must_use]
    pub fn segment_mtus(&self) -> BTreeMap<SegmentName, u32> {
        self.segments().into_iter().map(|(name, bridge)| (name, segment::mtu(&bridge))).collect()
    }

    /// Whether the operator's bridge carries what the network of a server that comes may send.
    pub(super) fn check_mtu(&self, wire: &Wire) -> Result<(), Refusal> {
        let Some(mtu) = wire.mtu else { return Ok(()) };
        let bridge = self.bridge(wire)?;
        let (network, carried) = (&wire.network, segment::mtu(bridge));
        if mtu <= carried {
            return Ok(());
        }
        let detail = said!(
            "bridge {bridge} carries packets of {carried} bytes, and network {network} has {mtu}",
            "ブリッジ {bridge} が運べるパケットは {carried} バイトまでですが、ネットワーク {network} は {mtu} バイトを使います"
        );
        Err(Refusal::NodeUnfit { node: self.node.to_string(), detail })
    }
}
