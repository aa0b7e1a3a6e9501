//! The rules on taps, by a real nft on a real bridge, in network namespaces made for it. Needs root,
//! as the agent does.
//!
//! That something does not arrive is seen by what was sent after it and does.

mod firewall;
mod ipv6;
mod killed;
mod metadata;
pub(crate) mod wire;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use watari_model::node::Enforcement;
use watari_node_agent::{layout::Layout, plumbing::Plumbing, settings::Networks};
use watari_testkit::in_a_network_of_its_own;
use wire::{CAMPUS, MAIL, NODE, WEB, heard, index, received, run, socket};

#[test]
fn a_guest_is_only_who_it_is() {
    in_a_network_of_its_own("guard::identities");
}

#[test]
fn a_guarded_server_is_reached_as_its_groups_say() {
    in_a_network_of_its_own("guard::groups");
}

#[test]
fn rules_stand_and_nothing_opens_when_nft_is_killed_and_the_next_look_lays_what_is_due() {
    in_a_network_of_its_own("guard::nft_killed");
}

#[test]
fn a_guest_with_ipv6_has_its_own_address_and_speaks_for_no_other() {
    in_a_network_of_its_own("guard::both_families");
}

#[test]
fn a_server_learns_who_it_is_and_nobody_else_does() {
    in_a_network_of_its_own("guard::identity_cards");
}

/// Holds a test where the wire is laid, with an agent's folders of its own.
async fn on_the_wire(called: &str, hold: impl AsyncFnOnce(&Path, &Layout)) {
    wire::lay();
    let folder = PathBuf::from(format!("/tmp/watari-{called}-{}", std::process::id()));
    let layout = Layout::new(&folder.join("data"), &folder.join("run"));
    layout.make().unwrap();
    hold(&folder, &layout).await;
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
#[ignore = "runs in a namespace that the other test makes"]
async fn groups() {
    on_the_wire("groups", async |_, layout| firewall::hold(|| plumbing(layout)).await).await;
}

#[tokio::test]
#[ignore = "runs in a namespace that the other test makes"]
async fn nft_killed() {
    on_the_wire("nft", async |folder, layout| killed::hold(folder, || plumbing(layout)).await).await;
}

#[tokio::test]
#[ignore = "runs in a namespace that the other test makes"]
async fn both_families() {
    on_the_wire("ipv6", async |_, layout| ipv6::hold(plumbing(layout)).await).await;
}

// The guests wait for answers, which are made beside them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs in a namespace that the other test makes"]
async fn identity_cards() {
    on_the_wire("metadata", async |_, layout| metadata::hold(plumbing(layout)).await).await;
}

fn plumbing(layout: &Layout) -> Plumbing {
    let settings = Networks {
        lease_minutes: 60,
        guard: true,
        tunnel_address: String::new(),
        rules_wait_ms: 200,
        arrival_minutes: 30,
        metadata_port: metadata::PORT,
        names_port: metadata::NAMES_PORT,
        segments: [("campus".parse().unwrap(), "br-t".to_owned())].into(),
    };
    Plumbing::open("m1".parse().unwrap(), layout.clone(), settings, None).unwrap()
}

/// What `mail` sends in its own name arrives at the campus before anything that `lie` sent.
fn silent(what: &str, lie: impl FnOnce()) {
    let listener = socket("campus", "[::]:9000");
    lie();
    socket("mail", &format!("{}:0", MAIL.address)).send_to(what.as_bytes(), (CAMPUS, 9000)).unwrap();
    let (said, from) = heard(&listener);
    assert_eq!((said.as_str(), from.ip().to_string().trim_start_matches("::ffff:")), (what, MAIL.address));
}

#[tokio::test]
#[ignore = "runs in a namespace that the other test makes"]
async fn identities() {
    wire::lay();
    let folder = PathBuf::from(format!("/tmp/watari-guard-{}", std::process::id()));
    let layout = Layout::new(&folder.join("data"), &folder.join("run"));
    layout.make().unwrap();
    let first = plumbing(&layout);
    assert!(matches!(first.protection().identity, Enforcement::Missing { .. }), "nothing is promised before");
    first.restore(&[]).await;
    assert_eq!(first.protection().identity, Enforcement::Enforced);
    first.connect(&WEB.server()).await.unwrap();

    // A tap without rules is shut.
    let listener = socket("campus", "0.0.0.0:9000");
    let too_early = socket("mail", &format!("{}:0", MAIL.address));
    too_early.send_to(b"too early", (CAMPUS, 9000)).unwrap();
    socket("web", "0.0.0.0:0").send_to(b"in time", (CAMPUS, 9000)).unwrap();
    assert_eq!(heard(&listener).0, "in time");
    drop((listener, too_early));

    first.connect(&MAIL.server()).await.unwrap();
    honest();
    lies();
    flooding();

    // Somebody flushes everything; the next look puts it right.
    run("nft flush ruleset");
    first.tend().await;
    lies();

    // An agent that lost its journal does not cut off who lives.
    drop(first);
    let second = plumbing(&layout);
    second.restore(&[]).await;
    honest();
    lies();

    // Who is gone is silent.
    second.disconnect(&MAIL.server()).await.unwrap();
    let listener = socket("campus", "0.0.0.0:9000");
    socket("mail", &format!("{}:0", MAIL.address)).send_to(b"still here", (CAMPUS, 9000)).unwrap();
    socket("web", "0.0.0.0:0").send_to(b"here", (CAMPUS, 9000)).unwrap();
    assert_eq!(heard(&listener).0, "here");
    second.disconnect(&WEB.server()).await.unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Guests reach each other, the node and the campus, and are reached.
fn honest() {
    for (one, other, at) in [("mail", "web", WEB.address), ("web", "mail", MAIL.address), ("mail", "campus", CAMPUS)] {
        let listener = socket(other, "0.0.0.0:9001");
        let speaker = socket(one, "0.0.0.0:0");
        speaker.send_to(b"hello", (at, 9001)).unwrap();
        let (_, from) = heard(&listener);
        listener.send_to(b"answer", from).unwrap();
        assert_eq!(heard(&speaker).0, "answer", "{one} to {other}");
    }
    run(&format!("ip netns exec mail ping -c 1 -W 5 {NODE}"));
}

fn lies() {
    // Another's address, with the neighbours' MACs known so that no ARP is needed.
    silent("another's address", || {
        run(&format!("ip -n mail addr add {}/24 dev eth0", WEB.address));
        run(&format!("ip -n mail neigh replace {CAMPUS} lladdr 52:54:00:00:00:10 dev eth0"));
        socket("mail", &format!("{}:0", WEB.address)).send_to(b"I am web", (CAMPUS, 9000)).unwrap();
        run(&format!("ip -n mail addr del {}/24 dev eth0", WEB.address));
        run("ip -n mail neigh flush all");
    });
    // Another's MAC.
    silent("another's MAC", || {
        run(&format!("ip -n mail link set eth0 address {}", WEB.mac));
        run(&format!("ip -n mail neigh replace {CAMPUS} lladdr 52:54:00:00:00:10 dev eth0"));
        socket("mail", "0.0.0.0:0").send_to(b"I am web", (CAMPUS, 9000)).unwrap();
        run(&format!("ip -n mail link set eth0 address {}", MAIL.mac));
        run("ip -n mail neigh flush all");
    });
    // ARP for an address that it has not: the campus asks, `mail` would answer, nobody hears.
    silent("ARP for another", || {
        run("ip -n mail addr add 203.0.113.150/24 dev eth0");
        socket("campus", "0.0.0.0:0").send_to(b"who is there", ("203.0.113.150", 9)).unwrap();
        let ping = ["netns", "exec", "campus", "ping", "-c", "1", "-W", "2", "203.0.113.150"];
        let asked = Command::new("ip").args(ping).output().unwrap();
        assert!(!asked.status.success(), "ARP was answered for another: {}", String::from_utf8_lossy(&asked.stdout));
        let neighbours = Command::new("ip").args(["-n", "campus", "neigh", "show", "203.0.113.150"]).output().unwrap();
        assert!(!String::from_utf8_lossy(&neighbours.stdout).contains("lladdr"));
        run("ip -n mail addr del 203.0.113.150/24 dev eth0");
    });
    // A DHCP server; the node's own requests for an offer are not heard by others either.
    let (clients, servers) = (socket("campus", "0.0.0.0:68"), socket("campus", "0.0.0.0:67"));
    silent("a DHCP server", || {
        let speaker = socket("mail", &format!("{}:67", MAIL.address));
        run("ip -n mail route replace 255.255.255.255/32 dev eth0");
        speaker.send_to(b"offer", "255.255.255.255:68").unwrap();
        speaker.send_to(b"offer", (CAMPUS, 9000)).unwrap();
        socket("mail", "0.0.0.0:68").send_to(b"discover", "255.255.255.255:67").unwrap();
    });
    for quiet in [clients, servers] {
        quiet.set_nonblocking(true).unwrap();
        assert!(quiet.recv(&mut [0; 64]).is_err(), "DHCP left the node");
    }
    // Router advertisements and everything else of IPv6.
    silent("IPv6", || {
        run("ip -n mail -6 addr replace 2001:db8::1/64 dev eth0 nodad");
        let to = format!("[ff02::1%{}]:9000", index("mail"));
        socket("mail", "[2001:db8::1]:0").send_to(b"I am a router", to.as_str()).unwrap();
        run("ip -n mail -6 addr del 2001:db8::1/64 dev eth0");
    });
}

/// What the bridge floods, since it knows no such MAC, reaches no guest.
fn flooding() {
    let listener = socket("mail", "0.0.0.0:9002");
    let speaker = socket("campus", "0.0.0.0:0");
    run("ip -n campus neigh replace 203.0.113.77 lladdr 52:54:00:00:00:77 dev eth0");
    // ARP is over and quiet by now on both sides.
    speaker.send_to(b"warm", (MAIL.address, 9002)).unwrap();
    heard(&listener);
    let before = received("mail");
    for _ in 0..100 {
        speaker.send_to(b"not for mail", "203.0.113.77:9002").unwrap();
    }
    speaker.send_to(b"for mail", (MAIL.address, 9002)).unwrap();
    assert_eq!(heard(&listener).0, "for mail");
    assert!(received("mail") - before < 50, "flooded frames reach a guest");
}
