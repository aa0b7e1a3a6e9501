//! What `watari setup` makes: sound, accepted by those for whom it is, and the same when asked again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::support::{CLUSTER, Files, Server, THREE, eventually, read, tree, wire::Client};
use serde::Deserialize;
use watari_chassis::{Options, Validate, config};
use watari_testkit::free_port;

fn openssl(args: &[&str]) -> String {
    let run = Command::new("openssl").args(args).output().unwrap();
    assert!(run.status.success(), "{args:?}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8_lossy(&run.stdout).into_owned()
}

#[test]
fn a_second_run_changes_nothing_and_force_renews_the_hosts_only() {
    let files = Files::make(CLUSTER);
    let first = tree(&files.path("out"));
    assert!(files.setup(&[]).status.success());
    assert_eq!(first, tree(&files.path("out")));

    assert!(files.setup(&["--force"]).status.success());
    let forced = tree(&files.path("out"));
    let same = |path: PathBuf| first[&path] == forced[&path];
    assert!(same(files.authority()) && same(files.seed_file("operator")) && same(files.seed_file("node-agent.m1")));
    assert!(!same(files.of_host("m1", "etc/watari/tls/host.key")));
    // The old keys are revoked with it.
    let list = files.read("m1", "etc/pki/CA/cacrl.pem");
    assert_eq!(files.read("m-front", "etc/watari/tls/revoked.pem"), list);
    assert!(!first.contains_key(&files.of_host("m1", "etc/pki/CA/cacrl.pem")));
    assert!(files.setup(&[]).status.success());
    assert_eq!(forced, tree(&files.path("out")));
}

#[test]
fn metrics_are_told_beyond_a_host_only_where_the_description_lets_prometheus_come_to_them() {
    let files = Files::make(CLUSTER);
    let served = |files: &Files| {
        let agent = files.read("m1", "etc/watari/node-agent.toml");
        (agent.contains("127.0.0.1:9105"), agent.contains("listen_beyond_loopback = true"))
    };
    assert_eq!(served(&files), (true, false));
    assert!(!files.path("out/prometheus").exists());

    let files = Files::make(&format!("scraped = true\n{CLUSTER}"));
    assert_eq!(served(&files), (false, true));
    let found = fs::read_to_string(files.path("out/prometheus/targets/agents.json")).unwrap();
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    let served = files.read("m1", "etc/watari/node-agent.toml");
    assert!(served.contains(&format!("listen = {}", found[0]["targets"][0])), "{found}: {served}");
}

#[test]
fn an_operators_key_of_before_there_were_administrators_loses_nothing_and_no_later_one_gains_anything() {
    let files = Files::make(CLUSTER);
    let seed = |identity: &str| read(&files.seed_file(identity)).trim().to_owned();
    // What an earlier version made.
    let old = seed("operator");
    fs::remove_file(files.path("out/nkeys/roles")).unwrap();
    fs::remove_file(files.seed_file("administrator")).unwrap();
    assert!(files.setup(&[]).status.success());
    assert_eq!(seed("administrator"), old);
    assert_eq!(files.read("client", "etc/watari/administrator.nk").trim(), old);
    assert_ne!(seed("operator"), old);
    assert_eq!(files.read("client", "etc/watari/operator.nk").trim(), seed("operator"));
    // A stolen key is replaced by a new one, and by nobody else's.
    let operators = seed("operator");
    fs::remove_file(files.seed_file("administrator")).unwrap();
    assert!(files.setup(&[]).status.success());
    assert!(![old, operators.clone()].contains(&seed("administrator")));
    assert_eq!(seed("operator"), operators);
}

#[test]
fn a_host_that_is_added_changes_the_servers_and_nobody_elses_identity() {
    let files = Files::make(CLUSTER);
    let before = tree(&files.path("out"));
    let more =
        format!("{CLUSTER}[[host]]\nname = \"m2\"\nrole = \"node\"\nsite = \"myodaiji\"\naddress = \"127.0.0.12\"\n");
    fs::write(files.path("cluster.toml"), more).unwrap();
    assert!(files.setup(&[]).status.success());
    let after = tree(&files.path("out"));
    let changed: Vec<_> = before.iter().filter(|(path, held)| after[*path] != **held).map(|(path, _)| path).collect();
    assert_eq!(changed, [&files.of_host("m-front", "etc/nats/nats.conf"), &files.path("out/journal.jsonl")]);
    assert!(after.contains_key(&files.of_host("m2", "etc/watari/node-agent.toml")));
}

#[test]
fn secrets_are_for_their_owner_alone() {
    let files = Files::make(CLUSTER);
    for (path, (mode, text)) in tree(&files.path("out")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let secret =
            name.ends_with(".nk") || name.ends_with("key.pem") || name.ends_with("-key.pem") || name.ends_with(".key");
        assert_eq!(mode, if secret { 0o600 } else { 0o644 }, "{}", path.display());
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text.contains("PRIVATE KEY") || text.starts_with("SU"), secret, "{}", path.display());
    }
    let of_node = tree(&files.path("out/hosts/m1"));
    assert!(!of_node.keys().any(|p| p.ends_with("ca.key")), "the authority's key is on a host");
}

#[test]
fn certificates_are_those_of_the_authority_and_say_who_and_where() {
    let files = Files::make(CLUSTER);
    let authority = files.authority().display().to_string();
    let (host, key) = (files.of_host("m1", "etc/watari/tls/host.crt"), files.of_host("m1", "etc/watari/tls/host.key"));
    openssl(&["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", &authority, &host.display().to_string()]);
    openssl(&["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", &authority, &host.display().to_string()]);
    let shown = openssl(&[
        "x509",
        "-noout",
        "-subject",
        "-ext",
        "subjectAltName",
        "-nameopt",
        "RFC2253",
        "-in",
        &host.display().to_string(),
    ]);
    for part in ["CN=m1", "O=watari-node", "DNS:m1", "IP Address:127.0.0.11", "DNS:localhost", "IP Address:127.0.0.1"] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    let public = |command: &str, path: &Path| {
        let flag = if command == "x509" { "-pubkey" } else { "-pubout" };
        let shown = openssl(&[command, "-in", &path.display().to_string(), flag]);
        shown.split("-----BEGIN CERTIFICATE").next().unwrap().to_owned()
    };
    assert_eq!(public("x509", &host), public("pkey", &key));
    for copy in [
        "etc/pki/libvirt/servercert.pem",
        "etc/pki/libvirt/clientcert.pem",
        "etc/pki/qemu/server-cert.pem",
        "etc/pki/qemu/client-cert.pem",
    ] {
        assert_eq!(files.read("m1", copy), read(&host), "{copy}");
    }
}

/// Everything that a service's own settings may be: here only its keys matter.
#[derive(Deserialize)]
struct AnyKeys {}
impl Validate for AnyKeys {
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }
}

#[test]
fn each_service_knows_every_key_that_is_written_for_it() {
    let files = Files::make(CLUSTER);
    for (host, service) in [
        ("m-front", "scheduler"),
        ("m-front", "image"),
        ("m-front", "network"),
        ("m-front", "monitor"),
        ("m1", "node-agent"),
    ] {
        let defaults = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../{service}/src/defaults.toml"));
        let path = files.of_host(host, &format!("etc/watari/{service}.toml"));
        let options = Options { config: Some(path), print_config: false };
        config::load::<AnyKeys>(service, &read(&defaults), &options).unwrap_or_else(|e| panic!("{service}: {e}"));
    }
}

#[test]
fn three_servers_become_one_cluster_and_a_nodes_certificate_does_not_open_it() {
    let files = Files::make(&format!("{CLUSTER}{THREE}"));
    let mut ports = Vec::new();
    for n in 1..=3 {
        for port in [4222, 6222] {
            ports.push((format!("127.0.0.{n}:{port}"), format!("127.0.0.1:{}", free_port())));
        }
    }
    let port = |n: usize| ports[2 * n].1.rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
    let servers: Vec<Server> = ["m-front", "y-front", "witness"]
        .iter()
        .enumerate()
        .map(|(n, host)| Server::start(&files, host, port(n), &ports))
        .collect();

    // A stream of three copies needs all three.
    let seed = read(&files.seed_file("scheduler.m-front"));
    let mut scheduler = Client::connect(servers[0].port, &files.authority(), Some(&seed)).unwrap();
    scheduler.subscribe("_INBOX_scheduler-m-front.>");
    let stream = r#"{"name":"KV_vms","subjects":["$KV.vms.>"],"num_replicas":3}"#;
    eventually(|| {
        scheduler.publish("$JS.API.STREAM.CREATE.KV_vms", Some("_INBOX_scheduler-m-front.1"), stream);
        let made = scheduler.next_within(Duration::from_secs(6)).map(|m| m.payload).unwrap_or_default();
        if made.contains("\"config\"") { Ok(()) } else { Err(format!("{made}\n{}", servers[0].log())) }
    });

    // A machine with a node's certificate that says it is a NATS server.
    let route = ports[1].1.clone();
    let rogue = format!(
        "server_name: rogue\nlisten: \"127.0.0.1:{}\"\nlog_file: {:?}\ncluster {{ name: test, listen: \"127.0.0.1:{}\", \
         tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}, routes: [\"tls://{route}\"] }}\n",
        free_port(),
        files.path("rogue.log"),
        free_port(),
        files.of_host("m1", "etc/watari/tls/host.crt"),
        files.of_host("m1", "etc/watari/tls/host.key"),
        files.authority(),
    );
    fs::write(files.path("rogue.conf"), rogue).unwrap();
    let mut child = Command::new("nats-server").arg("-c").arg(files.path("rogue.conf")).spawn().unwrap();
    eventually(|| {
        let log = servers[0].log();
        let refused = log.contains("TLS route handshake error");
        if refused { Ok(()) } else { Err(format!("nobody refused the rogue server:\n{log}")) }
    });
    let _ = child.kill();
    let _ = child.wait();
    assert!(!read(&files.path("rogue.log")).contains("Route connection created for \"m-front\""));
}

#[test]
fn an_unsound_description_is_refused_with_status_2_and_makes_nothing() {
    let files = Files::make(CLUSTER);
    fs::write(files.path("cluster.toml"), CLUSTER.replace("role = \"front\"", "role = \"node\"")).unwrap();
    let run = files.setup(&["--out", "/nonexistent/never"]);
    assert_eq!(run.status.code(), Some(2));
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(said.contains("error[") || said.contains("cannot be used multiple times"), "{said}");
    let run = files.setup(&[]);
    assert_eq!(run.status.code(), Some(2));
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(said.contains("error[setup.unsound]") && said.contains("help: "), "{said}");
}
