//! libvirt's and QEMU's configuration on a node.

use sha2::{Digest, Sha256};

use super::cluster::{Cluster, Host, at};

/// `libvirtd.conf`: mutual TLS on the management network, only for nodes of this cluster; root by
/// its socket; nothing else.
#[must_use]
pub fn libvirtd(cluster: &Cluster, host: &Host) -> String {
    format!(
        r#"# Made by `watari setup` for {name}; changes are lost when it runs again.
listen_tls = 1
listen_tcp = 0
listen_addr = "{address}"
auth_tls = "none"
# Only nodes: a front end's certificate of the same authority is not enough. libvirt has written
# the two parts in either order.
tls_allowed_dn_list = ["O=watari-node,CN=*", "CN=*,O=watari-node"]
auth_unix_rw = "none"
unix_sock_group = "root"
unix_sock_rw_perms = "0700"
# Differs on each host, or libvirt refuses to migrate "to itself".
host_uuid = "{uuid}"
# A migration holds several connections.
max_clients = 200
max_workers = 40
keepalive_interval = 5
keepalive_count = 5
"#,
        name = host.name,
        address = host.address,
        uuid = uuid(cluster, host),
    )
}

/// What systemd listens on for libvirtd, which it starts with open sockets: `listen_addr` above then
/// says nothing. The package brings everything else of that socket.
#[must_use]
pub fn socket(host: &Host) -> String {
    format!(
        r#"# Made by `watari setup` for {name}; changes are lost when it runs again.
[Socket]
ListenStream=
ListenStream={address}
# The address may come later than the socket.
FreeBind=yes
"#,
        name = host.name,
        address = at(host.address, 16514),
    )
}

/// `qemu.conf`: migration and disk copy under mutual TLS, and no confinement that a node of one
/// purpose, or a container, cannot give.
#[must_use]
pub fn qemu(host: &Host) -> String {
    format!(
        r#"# Made by `watari setup` for {name}; changes are lost when it runs again.
user = "root"
group = "root"
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
migration_host = "{address}"
migration_address = "{address}"
default_tls_x509_cert_dir = "/etc/pki/qemu"
default_tls_x509_verify = 1
migrate_tls_x509_cert_dir = "/etc/pki/qemu"
migrate_tls_x509_verify = 1
# A migration without TLS is refused.
migrate_tls_force = 1
nbd_tls = 1
nbd_tls_x509_cert_dir = "/etc/pki/qemu"
"#,
        name = host.name,
        address = host.address,
    )
}

/// A UUID (RFC 9562, version 8) that follows from the names, so that it stays.
fn uuid(cluster: &Cluster, host: &Host) -> String {
    let digest = Sha256::digest(format!("watari host {} {}", cluster.name, host.name));
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = crate::format::hex(&bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_keeps_its_uuid_and_shares_it_with_nobody() {
        let cluster: Cluster = toml::from_str(
            "name='c'\n[[host]]\nname='m1'\nrole='node'\naddress='192.0.2.1'\n[[host]]\nname='m2'\nrole='node'\naddress='192.0.2.2'\n",
        )
        .unwrap();
        let (a, b) = (uuid(&cluster, &cluster.hosts[0]), uuid(&cluster, &cluster.hosts[1]));
        assert_ne!(a, b);
        assert_eq!(a, uuid(&cluster, &cluster.hosts[0]));
        assert_eq!((a.len(), &a[14..15]), (36, "8"));
    }
}
