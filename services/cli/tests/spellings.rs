//! The spellings that are fixed: what the README and others' scripts type stays understood.

use clap::Parser;
use watari_cli::options::Options;

#[test]
fn every_fixed_spelling_is_understood() {
    for line in [
        "vm create mail --image mini --network campus",
        "vm create mail --image mini --network campus --site myodaiji --vcpus 2 --memory 192MiB --disk 2GiB --wait",
        "vm list",
        "vm list -o json",
        "-o json vm list",
        "vm show mail -o table",
        "vm start mail --wait",
        "vm stop mail --wait",
        "vm stop mail --force",
        "vm reboot mail",
        "vm reboot mail --force --wait",
        "vm delete mail --yes --wait",
        "vm migrate mail",
        "vm migrate mail --to y1 --wait",
        "vm console-log mail",
        "node list",
        "node show m1",
        "node cordon m1",
        "node uncordon m1",
        "node drain m1 --wait",
        "site list",
        "site evacuate myodaiji",
        "site evacuate myodaiji --wait -o json",
        "site return myodaiji --wait",
        "image import mini.qcow2 --name mini",
        "image import mini.qcow2 --name mini --wait",
        "image import mini.qcow2 --name mini --sha256 --wait",
        "image import mini.qcow2 --name mini --sha256 00",
        "image list",
        "image show mini",
        "image delete mini",
        "network create campus --provider --cidr 203.0.113.0/24 --range 203.0.113.100-203.0.113.199",
        "network create lab --overlay --cidr 10.0.0.0/24 --range 10.0.0.10-10.0.0.99",
        "network create lab --overlay --cidr 10.0.0.0/24 --range 10.0.0.10-10.0.0.99 --gateway 10.0.0.1 --dns 10.0.0.2 --mtu 1400",
        "network list",
        "network show campus",
        "network delete campus",
        "port list",
        "port list --network campus",
        "key add sato id_ed25519.pub",
        "key add sato -",
        "key list",
        "key show sato",
        "key delete sato",
        "migration list",
        "migration list --active --vm mail --limit 5",
        "migration show mail-1",
        "migration cancel mail-1",
        "outage list",
        "outage show myodaiji-1",
        "outage cancel myodaiji-1",
        "events",
        "events --follow",
        "events --lang ja --timeout 2m",
        "setup --cluster cluster.toml --out out --force",
        "--nats tls://m-front:4222,tls://y-front:4222 --nkey operator.nk --ca ca.crt vm list",
    ] {
        let words = ["watari"].into_iter().chain(line.split(' '));
        Options::try_parse_from(words).unwrap_or_else(|e| panic!("{line}: {e}"));
    }
}
