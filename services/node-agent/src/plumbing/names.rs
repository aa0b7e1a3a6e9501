//! The names of a network's servers, in a folder that its dnsmasq watches.

use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    net::IpAddr,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use watari_contracts::plan::PlannedNetwork;
use watari_model::{NetworkName, VmName};

use crate::resolver::DOMAIN;

/// A network's domain.
pub(super) fn domain(network: &NetworkName) -> String {
    format!("{network}.{DOMAIN}")
}

/// Every server of the network by its full name and its short one. All parts are DNS labels and addresses.
fn text(network: &PlannedNetwork) -> String {
    let domain = domain(&network.network);
    let here = network.here.iter().map(|port| (&port.vm, port.address, port.address6));
    let all = here.chain(network.elsewhere.iter().map(|port| (&port.vm, port.address, port.address6)));
    let both = |(vm, address, address6): (_, _, Option<_>)| {
        [Some(IpAddr::V4(address)), address6.map(IpAddr::V6)].map(|address| address.map(|address| (vm, address)))
    };
    let mut lines: Vec<(&VmName, IpAddr)> = all.flat_map(both).flatten().collect();
    // By name, so that a server that moves changes nothing.
    lines.sort_unstable();
    lines.iter().fold(String::new(), |mut text, (vm, address)| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{address} {vm}.{domain} {vm}");
        text
    })
}

/// Writes the names down; whether they are others than before.
pub(super) fn write(folder: &Path, network: &PlannedNetwork) -> io::Result<bool> {
    let (path, text) = (folder.join("names"), text(network));
    if fs::read_to_string(&path).is_ok_and(|there| there == text) {
        return Ok(false);
    }
    // dnsmasq ignores names that end in '~', and reads what is moved in as a whole.
    let aside = folder.join("names~");
    let mut out = OpenOptions::new().create(true).write(true).truncate(true).mode(0o644).open(&aside)?;
    out.write_all(text.as_bytes())?;
    fs::rename(&aside, &path)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use watari_contracts::plan::{LocalPort, RemotePort};
    use watari_model::network::Kind;

    use super::*;

    #[test]
    fn a_server_has_a_name_for_each_of_its_addresses() {
        let (mac, address6) = (String::new(), "2001:db8::a01:b".parse().ok());
        let here = LocalPort {
            vm: "mail".parse().unwrap(),
            vm_uuid: String::new(),
            card: 0,
            mac: mac.clone(),
            address: [10, 1, 0, 11].into(),
            address6,
            via: None,
            public: None,
        };
        let elsewhere =
            RemotePort { vm: "db".parse().unwrap(), mac, address: [10, 1, 0, 12].into(), address6: None, via: None };
        let (network, kind) = ("lab".parse().unwrap(), Kind::Overlay);
        let planned = PlannedNetwork { network, kind, overlay: None, here: vec![here], elsewhere: vec![elsewhere] };
        assert_eq!(
            text(&planned),
            "10.1.0.12 db.lab.watari.internal db\n\
             10.1.0.11 mail.lab.watari.internal mail\n\
             2001:db8::a01:b mail.lab.watari.internal mail\n"
        );
    }
}
