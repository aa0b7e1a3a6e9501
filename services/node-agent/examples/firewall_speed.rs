//! How long a change of rules takes on a node with so many ports: compiled, and taken by the kernel.
//! Prints JSON, and fails when the longest change takes longer than is allowed. Needs root; everything happens in a
//! network namespace made for it.
//!
//! ```sh
//! cargo run --release -p watari-node-agent --example firewall_speed -- 1000
//! ```
#![allow(clippy::unwrap_used, reason = "a measurement that cannot be made fails")]

use std::{
    net::Ipv4Addr,
    process::{Command, ExitCode},
    time::Instant,
};

use watari_contracts::agent::{Server, Wire};
use watari_model::firewall::{Direction, Peer, Protocol, Rule};
use watari_node_agent::{
    layout::Layout,
    plumbing::{Plumbing, Policy},
    settings::Networks,
};
use watari_testkit::orders;

/// Kinds of servers: each has two groups.
const GROUPS: u32 = 20;
const RULES: u16 = 10;
const ROUNDS: u16 = 20;
/// What a change may take on a node with a thousand ports.
const MOST_MS: f64 = 200.0;
const INSIDE: &str = "WATARI_INSIDE";

fn main() -> ExitCode {
    let ports: u32 = std::env::args().nth(1).map_or(1_000, |text| text.parse().unwrap());
    if std::env::var_os(INSIDE).is_none() {
        let again = ["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"];
        let mut command = Command::new("unshare");
        command.args(again).arg(std::env::current_exe().unwrap()).arg(ports.to_string()).env(INSIDE, "1");
        return if command.status().unwrap().success() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let most = runtime.block_on(measure(ports));
    let is_kept = most <= MOST_MS;
    eprintln!("{}: change_ms.most is {most:.2}, at most {MOST_MS:.2}", if is_kept { "kept" } else { "MISSED" });
    if is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(line: &str) {
    let mut words = line.split(' ');
    assert!(Command::new(words.next().unwrap()).args(words).status().unwrap().success(), "{line}");
}

fn server(n: u32) -> Server {
    let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 1, 0)) + n);
    Server {
        wires: vec![Wire { cidr: "10.0.0.0/16".to_owned(), ..orders::card(address) }],
        firewalls: [n % GROUPS, (n + 1) % GROUPS].map(|group| format!("g{group}").parse().unwrap()).to_vec(),
        ..orders::server(&format!("vm{n}"), &format!("{n:08x}-0000-4000-8000-{n:012x}"))
    }
}

/// Every group lets in some ports, and the servers of the next group; `round` makes each different.
fn policy(servers: &[Server], round: u16) -> Policy {
    let name = |n: u32| format!("g{n}").parse().unwrap();
    let rules = |n: u32| -> Vec<Rule> {
        let port = |p: u16| format!("{}", 1_000 + p + round).parse().ok();
        let tcp = |p: u16, peer: Peer| Rule { direction: Direction::In, protocol: Protocol::Tcp, ports: port(p), peer };
        (0..RULES).map(|p| tcp(p, Peer::Anywhere)).chain([tcp(99, Peer::Group(name((n + 1) % GROUPS)))]).collect()
    };
    let mut policy = Policy::default();
    for n in 0..GROUPS {
        policy.groups.insert(name(n), rules(n));
        let members = servers.iter().filter(|server| server.firewalls.contains(&name(n)));
        policy.members.insert(name(n), members.map(|server| server.wires[0].address.into()).collect());
    }
    policy
}

/// The longest change, in milliseconds.
async fn measure(ports: u32) -> f64 {
    run("mount -t sysfs sysfs /sys");
    run("ip link set lo up");
    run("ip link add br-t type bridge forward_delay 0");
    run("ip addr add 10.0.0.1/16 dev br-t");
    run("ip link set br-t up");
    let folder = std::env::temp_dir().join(format!("watari-speed-{}", std::process::id()));
    let layout = Layout::new(&folder.join("data"), &folder.join("run"));
    layout.make().unwrap();
    let settings = Networks {
        lease_minutes: 60,
        guard: true,
        tunnel_address: String::new(),
        rules_wait_ms: 0,
        arrival_minutes: 1,
        metadata_port: 0,
        names_port: 0,
        segments: [("campus".parse().unwrap(), "br-t".to_owned())].into(),
    };
    let plumbing = Plumbing::open("m1".parse().unwrap(), layout, settings, None).unwrap();
    let servers: Vec<Server> = (0..ports).map(server).collect();
    plumbing.restore(&servers).await;
    let mut took = Vec::new();
    for round in 0..ROUNDS {
        let policy = policy(&servers, round);
        let began = Instant::now();
        plumbing.follow(policy).await.unwrap();
        took.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    took.sort_by(f64::total_cmp);
    let (median, most) = (took[took.len() / 2], took[took.len() - 1]);
    let kinds = serde_json::json!({"ports": ports, "groups": GROUPS, "rules": GROUPS * u32::from(RULES + 1)});
    println!("{}", serde_json::json!({"of": kinds, "change_ms": {"median": median, "most": most}}));
    std::fs::remove_dir_all(&folder).unwrap();
    most
}
