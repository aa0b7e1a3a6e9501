//! What the doctor sees on the host on which it is called, of that host and of the ways to others.

use std::fs;

use anyhow::{Context, ensure};

use super::{Found, Kept, NEIGHBOUR, NODE, OLD};
use crate::scenarios::{Stage, until};

/// What nobody knows by that name (RFC 2606).
const NOWHERE: &str = "nowhere.invalid";
/// Where a node's packets are dropped.
const CLOSED: &str = "m2";
/// What the node asks that one whether it is there waits in a line of its own, which a second asker keeps full: kernels need
/// no netem for that. Nothing else is slow, also no large packet.
const SLOW: &str = "tc qdisc add dev mgmt0 root handle 1: htb
    tc class add dev mgmt0 parent 1: classid 1:1 htb rate 8kbit burst 100 cburst 100 quantum 1500
    tc qdisc add dev mgmt0 parent 1:1 pfifo limit 3
    tc filter add dev mgmt0 parent 1: protocol ip u32 match ip dst 10.88.0.12 match ip protocol 1 0xff \
        match u16 0x0000 0xff00 at 2 flowid 1:1
    ping -n -q -i 0.08 -w 120 10.88.0.12 >/dev/null 2>&1 &
    echo $! >/run/asker.pid";
const QUICK: &str = "tc qdisc del dev mgmt0 root 2>/dev/null || true
    [ ! -e /run/asker.pid ] || kill \"$(cat /run/asker.pid)\" 2>/dev/null || true
    rm -f /run/asker.pid";
/// Where the kernel tells of AppArmor's profiles.
const SECURITY: &str = "/sys/kernel/security";

/// Who is on the way, and what is broken there and on the node itself, is named together, and no longer when it is mended.
pub(super) fn node(stage: &Stage) -> anyhow::Result<()> {
    const BROKEN: [(&str, &str); 9] = [
        ("network.dhcp-stranger", "203.0.113.10"),
        ("network.tunnel", NEIGHBOUR),
        ("path.closed", "49215"),
        ("path.narrow", "m1"),
        ("path.slow", CLOSED),
        ("path.unnamed", NOWHERE),
        ("host.forward-drops", "ip doctor FORWARD"),
        ("host.unnamed", NODE),
        ("host.apparmor", "dnsmasq"),
    ];
    const SETTINGS: &str = "/etc/watari/node-agent.toml";
    let kept = Kept::of(stage, NEIGHBOUR, &[SETTINGS])?;
    let again = || stage.lab.run(&["restart", NEIGHBOUR, "watari-node-agent"]).map(drop);
    stage.on_host(NODE, |ask| {
        let broken = || {
            let settings = stage.lab.file(NEIGHBOUR, SETTINGS);
            fs::write(&settings, named_address(&fs::read_to_string(&settings)?)?)?;
            again()?;
            // Only who is on an overlay network needs a tunnel, which needs an address.
            let range = ["--cidr", "10.78.0.0/28", "--range", "10.78.0.10-10.78.0.11"];
            stage.watari(&[&["network", "create", "tunnelled", "--overlay"][..], &range].concat())?;
            break_ways(stage)?;
            break_node(stage)?;
            until_on_the_node(ask, "names each of them", |found| found.names_all(&BROKEN))
        };
        let outcome = broken();
        // Whatever of it has come about.
        let mut mended = vec![kept.put_back(), again()];
        if stage.show("network", "tunnelled").is_ok() {
            mended.push(stage.watari(&["network", "delete", "tunnelled", "--yes"]).map(drop));
        }
        mended.extend(mend_ways(stage));
        mended.extend(mend_node(stage));
        outcome?;
        mended.into_iter().collect::<anyhow::Result<()>>()?;
        until_on_the_node(ask, "names none of them any more", |found| !found.names_any(&BROKEN))
    })?;
    stage.until_nodes_ready()
}

/// What another node says of itself comes a little later.
fn until_on_the_node(
    ask: &dyn Fn(&[&str]) -> anyhow::Result<Found>,
    what: &str,
    holds: impl Fn(&Found) -> bool,
) -> anyhow::Result<()> {
    let mut last = Vec::new();
    let held = until(60, &format!("the doctor on the node {what}"), || {
        let found = ask(&[])?;
        let holds = holds(&found);
        last = found.0;
        Ok(holds)
    });
    held.with_context(|| format!("it finds {last:?}"))
}

/// The settings of a node that takes servers at a name.
fn named_address(settings: &str) -> anyhow::Result<String> {
    let of_address = |line: &&str| line.starts_with("migration_address");
    let line = settings.lines().find(of_address).context("the node has no migration_address")?;
    Ok(settings.replacen(line, &format!("migration_address = \"{NOWHERE}\""), 1))
}

fn nft(stage: &Stage, host: &str, words: &str) -> anyhow::Result<()> {
    stage.lab.run(&["exec", host, "--", "nft", words]).map(drop)
}

fn narrow(stage: &Stage, mtu: &str) -> anyhow::Result<()> {
    stage.lab.switch(&["link", "set", "g-m1", "mtu", mtu])
}

fn break_ways(stage: &Stage) -> anyhow::Result<()> {
    let stranger = "dnsmasq --conf-file=/dev/null --user=root --port=0 --interface=campus0 --bind-interfaces --no-ping \
        --dhcp-range=203.0.113.240,203.0.113.250,2m --dhcp-leasefile=/run/stranger.leases --pid-file=/run/stranger.pid";
    let words: Vec<&str> = stranger.split_whitespace().collect();
    // Whoever listens to what it prints would wait for its end.
    let quiet = ["exec", "client", "--", "bash", "-c", "\"$@\" >/dev/null 2>&1", "stranger"];
    stage.lab.run(&[&quiet[..], &words[..]].concat())?;
    nft(
        stage,
        CLOSED,
        "add table inet doctor; add chain inet doctor in { type filter hook input priority 0; }; \
        add rule inet doctor in tcp dport 49215 drop",
    )?;
    stage.script(NODE, SLOW)?;
    narrow(stage, "1300")
}

fn mend_ways(stage: &Stage) -> [anyhow::Result<()>; 4] {
    [
        stage.script("client", "[ ! -e /run/stranger.pid ] || kill \"$(cat /run/stranger.pid)\""),
        stage.script(CLOSED, "! nft list table inet doctor >/dev/null 2>&1 || nft delete table inet doctor"),
        stage.script(NODE, QUICK),
        narrow(stage, "1500"),
    ]
}

/// A node that does not know its own name, confines what its agent starts, and drops what its servers send.
fn break_node(stage: &Stage) -> anyhow::Result<()> {
    nft(
        stage,
        NODE,
        "add table ip doctor; add chain ip doctor FORWARD { type filter hook forward priority 0; policy drop; }",
    )?;
    // As Docker may have it for every bridge; without it the chain would harm no server of the node.
    stage.script(NODE, "ip link set br-campus type bridge nf_call_iptables 1")?;
    stage.script(NODE, &format!("cp /etc/hosts /run/hosts.whole; sed '/ {NODE}$/d' /run/hosts.whole >/etc/hosts"))?;
    stage.script(
        NODE,
        &format!(
            "mount -t tmpfs tmpfs {SECURITY}; mkdir {SECURITY}/apparmor
            echo '/usr/sbin/dnsmasq (enforce)' >{SECURITY}/apparmor/profiles"
        ),
    )
}

fn mend_node(stage: &Stage) -> [anyhow::Result<()>; 4] {
    [
        stage.script(NODE, "! nft list table ip doctor >/dev/null 2>&1 || nft delete table ip doctor"),
        stage.script(NODE, "ip link set br-campus type bridge nf_call_iptables 0"),
        stage.script(NODE, "[ ! -e /run/hosts.whole ] || mv /run/hosts.whole /etc/hosts"),
        unmount(stage, NODE, SECURITY),
    ]
}

/// Takes away what was laid over a folder, and nothing else that is mounted there.
pub(super) fn unmount(stage: &Stage, host: &str, folder: &str) -> anyhow::Result<()> {
    stage.script(host, &format!("! grep -q '^tmpfs {folder} ' /proc/self/mounts || umount {folder}"))
}

const FRONT: &str = "y-front";
const WITNESS: &str = "witness";
pub(super) fn front_and_witness(stage: &Stage) -> anyhow::Result<()> {
    front(stage)?;
    witness(stage)
}

/// Nobody there is started anew, so that the doctor alone heeds what is spoilt: who serves with the certificate shows none of
/// another key, and who makes backups has read its settings at the start; nobody uses that key meanwhile.
fn front(stage: &Stage) -> anyhow::Result<()> {
    const KEY: &str = "/etc/watari/nkeys/backup.nk";
    const CERTIFICATE: &str = "/etc/watari/tls/host.crt";
    const SETTINGS: &str = "/etc/watari/monitor.toml";
    const BROKEN: [(&str, &str); 3] = [
        ("host.key-refused", "backup.nk"),
        ("host.certificate-expired", "host.crt"),
        ("host.backup-old", "/var/lib/watari/backups"),
    ];
    const ENDING: [(&str, &str); 1] = [("host.certificate-expiring", "host.crt")];
    // Made for this: it opens nothing anywhere.
    const STRANGER: &str = "SUADA7YH4JASDYJBGJENLSZRNTNJU5ZRFRGSNASGZCCLOMTIABRJKT7FJ4\n";
    let kept = Kept::of(stage, FRONT, &[KEY, CERTIFICATE, SETTINGS])?;
    stage.on_host(FRONT, |ask| {
        let broken = || {
            let file = |path: &str| stage.lab.file(FRONT, path);
            fs::write(file(KEY), STRANGER)?;
            fs::write(file(CERTIFICATE), OLD)?;
            let settings = fs::read_to_string(file(SETTINGS))?;
            fs::write(file(SETTINGS), format!("{settings}\n[backups]\nfolder = \"/var/lib/watari/backups\"\n"))?;
            let ended = ask(&[])?;
            let curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout /dev/null";
            stage.script(FRONT, &format!("openssl req -x509 {curve} -days 9 -subj /CN={FRONT} -out {CERTIFICATE}"))?;
            anyhow::Ok((ended, ask(&[])?))
        };
        let found = broken();
        kept.put_back()?;
        let (ended, ends) = found?;
        ensure!(ended.names_all(&BROKEN), "of {BROKEN:?} it finds {:?}", ended.0);
        ensure!(ends.names_all(&ENDING), "of {ENDING:?} it finds {:?}", ends.0);
        let found = ask(&[])?;
        ensure!(!found.names_any(&BROKEN) && !found.names_any(&ENDING), "it still finds {:?}", found.0);
        // As the lab is: nobody says there where backups lie.
        ensure!(found.names("host.backup-unnamed", "front end"), "that no folder is named is not among {:?}", found.0);
        Ok(())
    })
}

/// It keeps nothing in that folder.
fn witness(stage: &Stage) -> anyhow::Result<()> {
    const FOLDER: &str = "/var/lib/watari";
    const BROKEN: [(&str, &str); 1] = [("host.disk-filling", FOLDER)];
    let fill = format!("mount -t tmpfs -o size=1m tmpfs {FOLDER}; head -c 1000k /dev/zero >{FOLDER}/full || true");
    stage.on_host(WITNESS, |ask| {
        let found = stage.script(WITNESS, &fill).and_then(|()| ask(&[]));
        unmount(stage, WITNESS, FOLDER)?;
        let found = found?;
        ensure!(found.names_all(&BROKEN), "of {BROKEN:?} it finds {:?}", found.0);
        Ok(())
    })
}
