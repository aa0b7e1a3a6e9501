//! A cluster of one front end grows: a second front end and a witness join it, each with keys of its own.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use crate::{
    joining::{Place, files_of},
    support::{CLUSTER, Files, Ran, bare, read},
};
use watari_cli::setup::{identity, kit::Kit};
use watari_contracts::enrol::Part;

const OF_WITNESS: [&str; 3] = ["nats-server", "setpriv", "watari-nats"];
const OF_FRONT: [&str; 8] = [
    "nats-server",
    "qemu-img",
    "setpriv",
    "watari-image",
    "watari-monitor",
    "watari-nats",
    "watari-network",
    "watari-scheduler",
];

/// Everything that a joined host should have, and what it alone may read.
fn is_whole(root: &Path, part: Part) {
    let kit = Kit::of(part);
    assert_eq!(files_of(root), kit.all().map(str::to_owned).collect::<BTreeSet<_>>());
    let seeds = kit.seeds.iter().map(|(_, file)| file);
    for secret in kit.keys.iter().chain(seeds) {
        assert_eq!(fs::metadata(root.join(secret)).unwrap().permissions().mode() & 0o777, 0o600, "{secret}");
    }
}

#[test]
fn a_second_front_end_and_a_witness_join_and_all_servers_know_of_each_other() {
    let place = Place::open();
    let of_first = |file: &str| read(&place.path("m-front/etc").join(file));
    assert!(of_first("watari/nats.toml").contains("[founding]") && of_first("nats/nats.conf").contains("cluster {"));
    let token = place.token_for("frontend", "--as frontend --token", &["--site", "yamate"]);
    let come = ["--as", "frontend"];
    assert_eq!(place.refused("y-front", "y-front", &token, &come), "join.programs");
    place.programs("y-front", &OF_FRONT);
    let ran = place.join("y-front", "y-front", "127.0.0.2", &token, &come);
    assert!(ran.status == 0 && ran.out.contains("y-front is a front end of cluster test, at yamate"), "{ran:?}");
    assert!(ran.err.contains("an even number of servers"), "{ran:?}");
    let root = place.path("y-front");
    is_whole(&root, Part::Frontend);
    assert!(read(&root.join("etc/watari/nats.toml")).contains("joins = true"));
    let config = of_first("nats/nats.conf");
    assert!(config.contains("tls://127.0.0.2:6222"), "{config}");
    for (called, file) in Kit::of(Part::Frontend).seeds {
        let public = identity::public_of(&read(&root.join(file))).unwrap();
        assert!(config.contains(&public), "{called} is not known");
        assert!(!place.path(&format!("cluster/nkeys/{called}.y-front.nk")).exists(), "{called} is not its own");
    }
    assert!(!place.path("cluster/ca/issued/y-front.key").exists());
    // Either may be left alone by a planned outage, and has everything then.
    assert!(of_first("watari/scheduler.toml").contains("replicas = 2"));
    assert!(read(&root.join("etc/watari/nats.toml")).contains("company = \"/etc/nats/company.conf\""));

    // What broke off goes on, with the same keys.
    let before = read(&root.join("etc/watari/nkeys/keeper.nk"));
    fs::remove_file(root.join("etc/watari/image.toml")).unwrap();
    let ran = place.join("y-front", "y-front", "127.0.0.2", &token, &come);
    assert_eq!((ran.status, read(&root.join("etc/watari/nkeys/keeper.nk"))), (0, before), "{ran:?}");
    is_whole(&root, Part::Frontend);

    // What a person has set on the first front end stays; what nobody has changed follows.
    let image = place.path("m-front/etc/watari/image.toml");
    fs::write(&image, format!("{}# ours\n", read(&image))).unwrap();
    place.programs("w", &OF_WITNESS);
    let token = place.token_for("witness", "--as witness --token", &[]);
    let ran = place.join("w", "w", "127.0.0.3", &token, &["--as", "witness"]);
    assert!(ran.status == 0 && ran.out.contains("w is a witness of cluster test. Next"), "{ran:?}");
    assert!(!ran.err.contains("an even number") && ran.err.contains("NATS on y-front learns"), "{ran:?}");
    is_whole(&place.path("w"), Part::Witness);
    assert!(read(&image).ends_with("# ours\n"));
    let settings = of_first("watari/scheduler.toml");
    assert!(settings.contains("replicas = 3") && settings.contains("name = \"w\""), "{settings}");
    assert!(of_first("watari/nats.toml").contains("[founding]"), "one that broke off is gone on with");
    assert!(read(&place.path("w/etc/watari/nats.toml")).contains("route = \"127.0.0.1:6222\""));
    for host in ["m-front", "y-front", "w"] {
        let config = read(&place.path(&format!("cluster/hosts/{host}/etc/nats/nats.conf")));
        assert_eq!(config.matches(":6222\" #").count(), 2, "{config}");
    }
}

#[test]
fn a_host_is_one_thing() {
    let place = Place::open();
    place.programs("h", &OF_FRONT);
    let file = |path: &str| {
        let path = place.path("h").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        path
    };
    let token = place.token_for("witness", "--as witness --token", &[]);
    let node = file("etc/watari/node-agent.toml");
    assert_eq!(place.refused("h", "h", &token, &["--as", "witness"]), "join.node");
    fs::remove_file(node).unwrap();
    file("etc/watari/cluster/cluster.toml");
    assert_eq!(place.refused("h", "h", &token, &["--as", "witness"]), "join.front");
}

#[test]
fn a_cluster_whose_nats_began_alone_is_not_joined_by_servers() {
    let files = Files::make(CLUSTER);
    fs::copy(files.path("cluster.toml"), files.path("out/cluster.toml")).unwrap();
    let mut command = bare(&["token", "create", "--role", "witness", "--dir"]);
    let ran = Ran::of(command.arg(files.path("out")).output().unwrap());
    assert!(ran.status == 1 && ran.err.contains("error[join.nats-alone]"), "{ran:?}");
    assert!(!files.of_host("m-front", "etc/nats/founder.conf").exists());
}

/// As NATS itself judges, with the certificates that the host has.
#[test]
fn nats_takes_every_configuration_of_a_founding() {
    let place = Place::open();
    let root = place.path("m-front/etc/watari/");
    for file in ["founder.conf", "midwife.conf", "company.conf", "nats.conf"] {
        let config = read(&place.path("m-front/etc/nats").join(file));
        let own = format!("\"{}/", root.display().to_string().trim_end_matches('/'));
        fs::write(place.path(file), config.replace("\"/etc/watari/", &own)).unwrap();
        let tried = Command::new("nats-server")
            .args(["-t", "-c"])
            .arg(place.path(file))
            .env("WATARI_NATS_NAME", "m-front")
            .env("WATARI_NATS_STORE", place.path("store"))
            .output()
            .unwrap();
        assert!(tried.status.success(), "{file}: {}", String::from_utf8_lossy(&tried.stderr));
    }
}
