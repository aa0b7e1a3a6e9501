//! A host joins with a token: the real command on both sides, over a real TLS socket, into folders that stand for
//! the hosts' roots; and what the new node may do on a real NATS server afterwards.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    net::{IpAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::support::{
    CLUSTER, Files, Ran, Server, THREE, bare, eventually, read, tree,
    wire::{Client, Verdict},
};
use sha2::{Digest, Sha256};
use watari_chassis::clock;
use watari_cli::{
    enrol::{
        book::Record,
        desk::Desk,
        token::{Mark, Token},
    },
    setup::{KEYS_OF_NODE, OF_NODE, SEED_OF_NODE, authority, identity},
};
use watari_contracts::enrol::{EnrolHost, Part};
use watari_testkit::{TempDir, free_port};

/// A cluster that `watari init` has made, with the service that lets hosts in.
pub(crate) struct Place {
    // Ended before its folder goes.
    _service: Running,
    dir: TempDir,
    port: u16,
}

impl Place {
    pub(crate) fn open() -> Self {
        let (dir, port) = (TempDir::new(), free_port());
        let ran = init(dir.path(), "test", "127.0.0.1");
        assert!(ran.status == 0 && ran.out.contains("watari token create --role node"), "{ran:?}");
        let mut command = of_cluster(dir.path(), &["enrol", "--host", "m-front"]);
        command.arg("--root").arg(dir.path().join("m-front")).args(["--listen", &format!("127.0.0.1:{port}")]);
        let service = Running(command.stderr(Stdio::null()).spawn().unwrap());
        let place = Self { dir, port, _service: service };
        eventually(|| {
            TcpStream::connect(("127.0.0.1", port)).map_err(|e| format!("the service does not come up: {e}"))
        });
        place
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn token(&self, more: &[&str]) -> String {
        self.token_for("node", "--token", more)
    }

    /// A token for a host of this role, which the person is told to use with `usage`.
    pub(crate) fn token_for(&self, role: &str, usage: &str, more: &[&str]) -> String {
        let words = [&["token", "create", "--role", role][..], more].concat();
        let ran = Ran::of(of_cluster(self.dir.path(), &words).output().unwrap());
        // Of two sites the host has to say one, unless the token does.
        let told = ran.err.replace("--site SITE ", "");
        assert!(ran.status == 0 && told.contains(&format!("watari join {usage} TOKEN 127.0.0.1")), "{ran:?}");
        assert_eq!(told == ran.err, role == "witness" || more.contains(&"--site"), "{ran:?}");
        ran.out.trim().to_owned()
    }

    fn tokens(&self) -> serde_json::Value {
        Ran::of(of_cluster(self.dir.path(), &["token", "list", "-o", "json"]).output().unwrap()).json()
    }

    /// Changes what is kept of the tokens.
    fn alter(&self, change: impl Fn(&mut serde_json::Value)) {
        let path = self.path("cluster/tokens.json");
        let mut book: serde_json::Value = serde_json::from_str(&read(&path)).unwrap();
        book["tokens"].as_array_mut().unwrap().iter_mut().for_each(change);
        fs::write(path, book.to_string()).unwrap();
    }

    /// A host as a node should be, by the name of its folder.
    fn machine(&self, folder: &str) {
        let root = self.path(folder);
        for below in ["dev", "usr/sbin", "sys/class/net/br-campus/bridge", "sys/class/net/br-campus/brif/eth0"] {
            fs::create_dir_all(root.join(below)).unwrap();
        }
        fs::write(root.join("dev/kvm"), "").unwrap();
        fs::write(root.join("sys/class/net/br-campus/flags"), "0x1003\n").unwrap();
        self.programs(folder, &["dnsmasq", "libvirtd", "nft", "qemu-img", "qemu-system-x86_64"]);
    }

    /// Gives a host programs.
    pub(crate) fn programs(&self, folder: &str, programs: &[&str]) {
        let place = self.path(folder).join("usr/sbin");
        fs::create_dir_all(&place).unwrap();
        for program in programs {
            let path = place.join(program);
            fs::write(&path, "").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    pub(crate) fn join(&self, folder: &str, name: &str, address: &str, token: &str, more: &[&str]) -> Ran {
        let mut command = bare(&["join", "--token", token, "--name", name, "--address", address, "--yes"]);
        command.arg("--root").arg(self.path(folder)).args(more).arg(format!("127.0.0.1:{}", self.port));
        Ran::of(command.output().unwrap())
    }

    /// The code with which a host is refused.
    pub(crate) fn refused(&self, folder: &str, name: &str, token: &str, more: &[&str]) -> String {
        let ran = self.join(folder, name, "127.0.0.13", token, more);
        assert_ne!(ran.status, 0, "{ran:?}");
        assert!(ran.err.contains("\nhelp: ") && ran.out.is_empty(), "{ran:?}");
        let code = ran.err.split("error[").nth(1).and_then(|rest| rest.split(']').next());
        code.unwrap_or_else(|| panic!("{ran:?}")).to_owned()
    }
}

/// A process that ends with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The command on the cluster's folder below `dir`.
fn of_cluster(dir: &Path, words: &[&str]) -> Command {
    let mut command = bare(words);
    command.arg("--dir").arg(dir.join("cluster"));
    command
}

fn init(dir: &Path, name: &str, address: &str) -> Ran {
    let mut command = of_cluster(dir, &["init", name, "--site", "myodaiji=明大寺", "--other-site", "yamate"]);
    command.args(["--address", address, "--host", "m-front", "--yes", "--root"]).arg(dir.join("m-front"));
    Ran::of(command.output().unwrap())
}

/// Every file below a folder's `etc`, by its path from the folder on.
pub(crate) fn files_of(root: &Path) -> BTreeSet<String> {
    let found = tree(&root.join("etc"));
    found.keys().map(|path| path.strip_prefix(root).unwrap().display().to_string()).collect()
}

fn of_node() -> BTreeSet<String> {
    OF_NODE.iter().chain(&KEYS_OF_NODE).chain([&SEED_OF_NODE]).map(|path| (*path).to_owned()).collect()
}

#[test]
fn what_a_node_is_handed_is_what_setup_makes_for_one() {
    let files = Files::make(CLUSTER);
    assert_eq!(files_of(&files.path("out/hosts/m1")), of_node());
}

#[test]
fn a_cluster_is_made_once_and_made_again_it_is_the_same() {
    let place = Place::open();
    for path in ["etc/watari/scheduler.toml", "etc/nats/nats.conf", "etc/watari/cli.toml", "etc/watari/tls/host.crt"] {
        assert!(place.path("m-front").join(path).exists(), "{path}");
    }
    let mode = |path: &str| fs::metadata(place.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("cluster"), mode("m-front/etc/watari/administrator.nk")), (0o700, 0o600));
    let authority = read(&place.path("cluster/ca/ca.crt"));
    // What a person has set stays, and is told.
    let settings = place.path("m-front/etc/watari/scheduler.toml");
    fs::write(&settings, format!("{}# ours\n", read(&settings))).unwrap();
    let ran = init(place.dir.path(), "test", "127.0.0.1");
    assert!(ran.status == 0 && ran.err.contains("scheduler.toml is there already and stays as it is"), "{ran:?}");
    assert!(read(&settings).ends_with("# ours\n"));
    assert_eq!(read(&place.path("cluster/ca/ca.crt")), authority);
    let ran = init(place.dir.path(), "test", "127.0.0.2");
    assert!(ran.status == 1 && ran.err.contains("error[cluster.exists]"), "{ran:?}");
    // The host's own files are there, and the folder is not: this is no new host.
    fs::rename(place.path("cluster"), place.path("elsewhere")).unwrap();
    let ran = init(place.dir.path(), "test", "127.0.0.1");
    assert!(ran.status == 1 && ran.err.contains("error[join.other-cluster]"), "{ran:?}");
}

#[test]
fn the_key_of_another_cluster_is_not_written_over() {
    let dir = TempDir::new();
    let kept = dir.path().join("m-front/etc/watari/administrator.nk");
    fs::create_dir_all(kept.parent().unwrap()).unwrap();
    fs::write(&kept, "another's").unwrap();
    let ran = init(dir.path(), "test", "127.0.0.1");
    assert!(ran.status == 1 && ran.err.contains("error[init.operator-there]"), "{ran:?}");
    assert!(ran.err.contains("etc/watari/administrator.nk") && !dir.path().join("cluster").exists(), "{ran:?}");
    assert_eq!(read(&kept), "another's");
}

#[test]
fn a_site_is_named_once_and_a_token_for_none_is_not_made() {
    let dir = TempDir::new();
    let words =
        ["init", "test", "--site", "yamate", "--other-site", "yamate", "--host", "m-front", "--address", "127.0.0.1"];
    let mut command = of_cluster(dir.path(), &words);
    let ran = Ran::of(command.arg("--root").arg(dir.path().join("m-front")).output().unwrap());
    assert!(ran.status == 2 && ran.err.contains("error[init.site-twice]"), "{ran:?}");
    assert_eq!(init(dir.path(), "test", "127.0.0.1").status, 0);
    let words = ["token", "create", "--role", "node", "--site", "yamte"];
    let ran = Ran::of(of_cluster(dir.path(), &words).output().unwrap());
    assert!(ran.status == 1 && ran.err.contains("error[token.no-site]") && ran.err.contains("yamate"), "{ran:?}");
}

#[test]
fn a_node_joins_with_keys_of_its_own_and_what_broke_off_goes_on() {
    let place = Place::open();
    place.machine("m2");
    let token = place.token(&[]);
    let ran = place.join("m2", "m2", "127.0.0.12", &token, &["--site", "myodaiji"]);
    assert!(ran.status == 0 && ran.out.contains("m2 is a node of cluster test, at myodaiji"), "{ran:?}");
    assert!(ran.err.contains("No interface is changed") && ran.err.contains("etc/libvirt/qemu.conf"), "{ran:?}");
    let root = place.path("m2");
    assert_eq!(files_of(&root), of_node());
    for secret in KEYS_OF_NODE.iter().chain([&SEED_OF_NODE]) {
        assert_eq!(fs::metadata(root.join(secret)).unwrap().permissions().mode() & 0o777, 0o600, "{secret}");
    }
    // Its secrets are with it alone.
    for path in ["cluster/nkeys/node-agent.m2.nk", "cluster/ca/issued/m2.key"] {
        assert!(!place.path(path).exists(), "{path}");
    }
    let kept = files_of(&root);
    let before: Vec<String> = kept.iter().map(|path| read(&root.join(path))).collect();
    let public = identity::public_of(&read(&root.join(SEED_OF_NODE))).unwrap();
    assert!(read(&place.path("m-front/etc/nats/nats.conf")).contains(&public), "NATS does not know it");
    let verified = Command::new("openssl")
        .args(["verify", "-x509_strict", "-purpose", "sslserver", "-verify_ip", "127.0.0.12", "-CAfile"])
        .args([place.path("cluster/ca/ca.crt"), root.join("etc/watari/tls/host.crt")])
        .output()
        .unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));

    // As after a power cut in the middle: some files are there, some are not.
    fs::remove_file(root.join("etc/watari/node-agent.toml")).unwrap();
    fs::remove_file(root.join("etc/pki/qemu/client-key.pem")).unwrap();
    let ran = place.join("m2", "m2", "127.0.0.12", &token, &["--site", "myodaiji"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let after: Vec<String> = kept.iter().map(|path| read(&root.join(path))).collect();
    assert_eq!(before, after);
    assert_eq!(read(&place.path("cluster/cluster.toml")).matches("name = \"m2\"").count(), 1);
    let tokens = place.tokens();
    assert_eq!((tokens[0]["state"].as_str(), tokens[0]["host"].as_str()), (Some("used"), Some("m2")));
    assert!(!read(&place.path("cluster/tokens.json")).contains(&token[8..40]), "the token itself is kept");

    // Nobody else comes in with it, nor under its name, nor with its keys.
    place.machine("m3");
    assert_eq!(place.refused("m3", "m3", &token, &["--site", "myodaiji"]), "token.used");
    let fresh = place.token(&[]);
    assert_eq!(place.refused("m3", "m2", &fresh, &["--site", "myodaiji"]), "join.name-taken");
    fs::copy(root.join(SEED_OF_NODE), place.path("m3").join(SEED_OF_NODE)).unwrap();
    assert_eq!(place.refused("m3", "m3", &fresh, &["--site", "myodaiji"]), "join.key-taken");
    // With a fresh token it may come again itself: so its certificate is renewed. What a person has set stays.
    let settings = root.join("etc/watari/node-agent.toml");
    fs::write(&settings, format!("{}# ours\n", read(&settings))).unwrap();
    let ran = place.join("m2", "m2", "127.0.0.12", &place.token(&["--name", "m2"]), &[]);
    assert!(ran.status == 0 && ran.err.contains("node-agent.toml is there already and stays as it is"), "{ran:?}");
    assert!(read(&settings).ends_with("# ours\n"));
}

#[test]
fn a_token_that_is_read_from_standard_input_stands_in_no_list_of_processes() {
    let place = Place::open();
    place.machine("m2");
    let token = place.token(&["--site", "myodaiji"]);
    let mut command = bare(&["join", "--token", "-", "--name", "m2", "--address", "127.0.0.12", "--yes"]);
    command.arg("--root").arg(place.path("m2")).arg(format!("127.0.0.1:{}", place.port));
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut join = piped.spawn().unwrap();
    // It waits for the token, once its program has taken the place of ours.
    let told = |list: &str| {
        let bytes = fs::read(format!("/proc/{}/{list}", join.id())).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    eventually(|| if told("cmdline").contains("--token") { Ok(()) } else { Err("it never ran".to_owned()) });
    for list in ["cmdline", "environ"] {
        assert!(!told(list).contains(&token), "{list} tells the token");
    }
    join.stdin.take().unwrap().write_all(format!("{token}\n").as_bytes()).unwrap();
    let ran = Ran::of(join.wait_with_output().unwrap());
    assert!(ran.status == 0 && ran.out.contains("m2 is a node of cluster test, at myodaiji"), "{ran:?}");
}

#[test]
fn whoever_has_no_right_to_join_is_told_why() {
    let place = Place::open();
    place.machine("m3");
    let good = place.token(&["--site", "yamate"]);
    // The last digit of the secret.
    let forged = format!("{}{}{}", &good[..39], if &good[39..40] == "0" { "1" } else { "0" }, &good[40..]);
    assert_eq!(place.refused("m3", "m3", &forged, &[]), "token.unknown");
    assert_eq!(place.refused("m3", "m3", "watari1-00", &[]), "token.form");
    assert_eq!(place.refused("m3", "m3", &good, &["--site", "myodaiji"]), "token.site");
    assert_eq!(place.refused("m3", "m3", &place.token(&["--name", "m9"]), &[]), "token.name");
    assert_eq!(place.refused("m3", "m-front", &good, &[]), "join.name-taken");
    let anywhere = place.token(&[]);
    assert_eq!(place.refused("m3", "m3", &anywhere, &[]), "join.unfit", "there are two sites");
    let revoked = place.tokens()[2]["id"].as_str().unwrap().to_owned();
    let ran = Ran::of(of_cluster(place.dir.path(), &["token", "revoke", &revoked]).output().unwrap());
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(place.refused("m3", "m3", &anywhere, &[]), "token.unknown");
    place.alter(|token| token["part"] = "witness".into());
    assert_eq!(place.refused("m3", "m3", &good, &[]), "token.role");
    place.alter(|token| {
        token["part"] = "node".into();
        token["expires_at"] = "2020-01-01T00:00:00Z".into();
    });
    assert_eq!(place.refused("m3", "m3", &good, &[]), "token.expired");
    assert!(!read(&place.path("cluster/cluster.toml")).contains("m3"), "who is refused leaves nothing");
    assert!(!place.path("m3/etc/watari/node-agent.toml").exists());
}

#[test]
fn a_host_knows_the_cluster_of_its_token_from_every_other() {
    let (place, other) = (Place::open(), TempDir::new());
    place.machine("m2");
    assert_eq!(init(other.path(), "other", "127.0.0.1").status, 0);
    let created = of_cluster(other.path(), &["token", "create", "--role", "node", "--site", "yamate"]).output();
    let foreign = Ran::of(created.unwrap()).out;
    assert_eq!(place.refused("m2", "m2", foreign.trim(), &[]), "join.untrusted");
    assert!(!place.path("m2/etc").exists(), "nothing is written before the front end is known");
    // The token's cluster, but a host of another.
    let tls = place.path("m2/etc/watari/tls");
    fs::create_dir_all(&tls).unwrap();
    fs::copy(other.path().join("cluster/ca/ca.crt"), tls.join("ca.crt")).unwrap();
    let token = place.token(&["--site", "yamate"]);
    assert_eq!(place.refused("m2", "m2", &token, &[]), "join.other-cluster");
    fs::remove_dir_all(place.path("m2/etc")).unwrap();
    // A host on which no server could run is told so before anything is written.
    fs::remove_dir_all(place.path("m2/sys")).unwrap();
    assert_eq!(place.refused("m2", "m2", &token, &[]), "join.host-unfit");
    assert!(!place.path("m2/etc").exists());
}

/// What a host sends that has made its keys.
fn asking(name: &str, address: IpAddr, token: &Token) -> (EnrolHost, String) {
    let seed = identity::fresh_seed().unwrap();
    let request = EnrolHost {
        token: token.to_string(),
        part: Part::Node,
        name: name.parse().unwrap(),
        site: "myodaiji".parse().ok(),
        address,
        bridge: Some("br0".to_owned()),
        keys: BTreeMap::new(),
        nkey: identity::public_of(&seed).unwrap(),
        request: authority::request(name, &authority::fresh_key().unwrap()).unwrap(),
    };
    (request, seed)
}

/// A cluster that `watari setup` has made, whose folder lets hosts in, and a token that does.
fn desk(files: &Files) -> (Desk, Token) {
    fs::copy(files.path("cluster.toml"), files.path("out/cluster.toml")).unwrap();
    let desk = Desk::at(files.path("out"));
    let token = Token::draw(Mark::of_pem(&read(&files.authority())).unwrap()).unwrap();
    let now = clock::now();
    let mut held = desk.hold().unwrap();
    let mut book = held.book().unwrap();
    book.add(Record::new(token.digest(), Part::Node, now.plus_millis(60_000)), now).unwrap();
    held.keep(&book).unwrap();
    drop(held);
    (desk, token)
}

#[test]
fn root_where_the_folder_is_has_the_key_that_the_command_names_after_an_upgrade() {
    let files = Files::make(CLUSTER);
    let (desk, _) = desk(&files);
    let old = read(&files.seed_file("operator"));
    for made_since in ["roles", "administrator.nk"] {
        fs::remove_file(files.path("out/nkeys").join(made_since)).unwrap();
    }
    let etc = files.path("root/etc/watari");
    fs::create_dir_all(&etc).unwrap();
    let made = files.read("client", "etc/watari/cli.toml");
    let body = made.splitn(3, '\n').last().unwrap().replace("administrator.nk", "operator.nk");
    let seal: String = Sha256::digest(&body).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    fs::write(etc.join("cli.toml"), format!("# Made by an earlier version.\n# As it was made: {seal}\n{body}"))
        .unwrap();
    let held = desk.hold().unwrap();
    held.make(&held.cluster().unwrap(), &"m-front".parse().unwrap(), &files.path("root")).unwrap();
    assert_eq!(read(&etc.join("administrator.nk")), old);
    assert!(read(&etc.join("cli.toml")).contains("/etc/watari/administrator.nk"));
}

#[test]
fn a_host_that_lies_about_itself_is_refused_and_does_not_use_the_token_up() {
    let files = Files::make(CLUSTER);
    let (desk, token) = desk(&files);
    let before = read(&files.path("out/cluster.toml"));
    let own: IpAddr = "127.0.0.12".parse().unwrap();
    let (good, _) = asking("m2", own, &token);
    let operator = identity::public_of(&read(&files.seed_file("operator"))).unwrap();
    let come = |asked: &EnrolHost, from: IpAddr| {
        let here = "m-front".parse().unwrap();
        desk.hold().unwrap().enrol(asked, from, &here, &files.path("root"), clock::now()).map_err(|fault| fault.code())
    };
    let m1: IpAddr = "127.0.0.11".parse().unwrap();
    for (asked, from, code) in [
        (good.clone(), m1, "join.address"),
        (EnrolHost { address: m1, ..good.clone() }, m1, "join.unfit"),
        (EnrolHost { name: "m1".parse().unwrap(), ..good.clone() }, own, "join.name-taken"),
        (EnrolHost { nkey: operator, ..good.clone() }, own, "join.key-taken"),
        (EnrolHost { nkey: "U".to_owned(), ..good.clone() }, own, "join.request"),
        (EnrolHost { request: "none".to_owned(), ..good.clone() }, own, "join.request"),
        (EnrolHost { bridge: Some("a\"\nb".to_owned()), ..good.clone() }, own, "join.request"),
        (EnrolHost { site: "nowhere".parse().ok(), ..good.clone() }, own, "join.unfit"),
        (EnrolHost { part: Part::Frontend, ..good.clone() }, own, "token.role"),
        (EnrolHost { keys: [("nats".to_owned(), good.nkey.clone())].into(), ..good.clone() }, own, "join.request"),
    ] {
        assert_eq!(come(&asked, from).unwrap_err(), code);
    }
    let enrolled = come(&good, own).unwrap();
    assert_eq!(enrolled.files.len(), OF_NODE.len());
    let agent = enrolled.files.iter().find(|file| file.path == "etc/watari/node-agent.toml").unwrap();
    assert!(agent.text.contains("br0"), "{}", agent.text);
    let bridge = EnrolHost { bridge: Some("br1".to_owned()), ..good.clone() };
    assert_eq!(come(&bridge, own).unwrap_err(), "join.name-taken", "it would be taken for what it was");
    come(&good, own).unwrap();
    // `watari setup` goes on from there: the same description makes the same files.
    fs::copy(files.path("out/cluster.toml"), files.path("cluster.toml")).unwrap();
    let config = files.read("m-front", "etc/nats/nats.conf");
    assert!(files.setup(&[]).status.success());
    assert_eq!(files.read("m-front", "etc/nats/nats.conf"), config);
    assert!(!files.of_host("m2", "etc/watari/tls/host.key").exists());
    // Whoever is thrown out does not let itself in again.
    fs::write(files.path("out/cluster.toml"), &before).unwrap();
    assert_eq!(come(&good, own).unwrap_err(), "token.used");
    assert_eq!(read(&files.path("out/cluster.toml")), before);
}

#[test]
fn the_other_hosts_of_nats_learn_of_who_has_joined() {
    let files = Files::make(&format!("{CLUSTER}{THREE}"));
    let (desk, token) = desk(&files);
    // As the host is before anybody joins.
    for path in ["etc/watari/nats.toml", "etc/watari/tls/ca.crt", "etc/nats/nats.conf"] {
        let to = files.path("y-root").join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(files.of_host("y-front", path), to).unwrap();
    }
    let at = format!("127.0.0.1:{}", free_port());
    let start = |dir: &str, root: &str, host: &str, more: [&str; 2]| {
        let mut command = bare(&["enrol", "--host", host, "--dir"]);
        command.arg(files.path(dir)).arg("--root").arg(files.path(root)).args(more).stderr(Stdio::null());
        Running(command.spawn().unwrap())
    };
    let _serving = start("out", "root", "m-front", ["--listen", &at]);
    let (asked, seed) = asking("m2", "127.0.0.12".parse().unwrap(), &token);
    let here = "m-front".parse().unwrap();
    let enrolled = desk.hold().unwrap().enrol(&asked, asked.address, &here, &files.path("root"), clock::now()).unwrap();
    assert_eq!(enrolled.elsewhere.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["y-front", "witness"]);
    let held = files.path("y-root/etc/nats/nats.conf");
    let public = identity::public_of(&seed).unwrap();
    assert!(!read(&held).contains(&public));
    let follow = || start("none", "y-root", "y-front", ["--front", &at]);
    let following = follow();
    let learnt = || read(&held).contains(&public);
    eventually(|| learnt().then_some(()).ok_or_else(|| "y-front does not learn of m2".to_owned()));
    assert_eq!(read(&held), files.read("y-front", "etc/nats/nats.conf"));
    let stranger = desk.hold().unwrap().nats("127.0.0.12".parse().unwrap()).unwrap_err();
    assert_eq!(stranger.code(), "cluster.not-a-server");
    // And of who was expelled.
    desk.hold().unwrap().expel(&asked.name, &here, &files.path("root")).unwrap();
    drop(following);
    let _following = follow();
    let revoked = files.path("y-root/etc/watari/tls/revoked.pem");
    eventually(|| revoked.exists().then_some(()).ok_or_else(|| "y-front does not learn that m2 is out".to_owned()));
    assert_eq!(read(&revoked), files.read("m1", "etc/pki/CA/cacrl.pem"));
}

#[test]
fn who_is_expelled_is_refused_by_every_host_and_joins_again_with_other_keys_alone() {
    const LIST: &str = "etc/watari/tls/revoked.pem";
    let files = Files::make(&format!("{CLUSTER}{THREE}"));
    let (place, token) = desk(&files);
    let (own, root): (IpAddr, _) = ("127.0.0.12".parse().unwrap(), files.path("root"));
    let tls = root.join("etc/watari/tls");
    fs::create_dir_all(&tls).unwrap();
    fs::copy(files.authority(), tls.join("ca.crt")).unwrap();
    let here = "m-front".parse().unwrap();
    let come = |asked: &EnrolHost| {
        let enrolled = place.hold().unwrap().enrol(asked, own, &here, &root, clock::now());
        enrolled.map(drop).map_err(|fault| fault.code())
    };
    let (asked, _) = asking("m2", own, &token);
    come(&asked).unwrap();
    assert!(!root.join(LIST).exists(), "nobody was expelled yet");
    place.hold().unwrap().expel(&asked.name, &here, &root).unwrap();
    let list = read(&root.join(LIST));
    for (host, path) in [("m1", "etc/pki/CA/cacrl.pem"), ("m1", "etc/pki/qemu/ca-crl.pem"), ("y-front", LIST)] {
        assert_eq!(files.read(host, path), list, "{host}: {path}");
    }
    let of_m1 = place.hold().unwrap().settings_of("127.0.0.11".parse().unwrap()).unwrap();
    assert!(of_m1.iter().any(|file| file.path == LIST && file.text == list), "it is not fetched");
    // Whoever has its disk has its keys, whatever token it comes with.
    let (_, token) = desk(&files);
    assert_eq!(come(&EnrolHost { token: token.to_string(), ..asked }), Err("join.key-revoked"));
    let (anew, _) = asking("m2", own, &token);
    come(&anew).unwrap();

    // The folder is put back from a copy: this host has heard of more by then, as others may have.
    let kept = ["revoked.json", "revoked.pem"].map(|name| files.path("out/ca").join(name));
    let kept = kept.map(|path| (read(&path), path));
    place.hold().unwrap().expel(&anew.name, &here, &root).unwrap();
    let newer = read(&root.join(LIST));
    assert_ne!(newer, list);
    for (text, path) in kept {
        fs::write(path, text).unwrap();
    }
    let held = place.hold().unwrap();
    held.make(&held.cluster().unwrap(), &here, &root).unwrap();
    assert_eq!(read(&root.join(LIST)), newer, "it goes back to an older list");
}

#[test]
fn who_has_joined_may_what_an_agent_may_and_nobody_is_disturbed() {
    let files = Files::make(CLUSTER);
    let port = free_port();
    let ports = [("127.0.0.1:4222".to_owned(), format!("127.0.0.1:{port}"))];
    let server = Server::start(&files, "m-front", port, &ports);
    let client = |seed: &str| Client::connect(port, &files.authority(), Some(seed));
    let mut m1 = client(&read(&files.seed_file("node-agent.m1"))).unwrap();
    let (desk, token) = desk(&files);
    let own: IpAddr = "127.0.0.12".parse().unwrap();
    let (asked, seed) = asking("m2", own, &token);
    assert!(client(&seed).is_err(), "it is not in yet");
    let here = "m-front".parse().unwrap();
    desk.hold().unwrap().enrol(&asked, own, &here, &files.path("root"), clock::now()).unwrap();
    assert_eq!(read(&files.path("root/etc/nats/nats.conf")), files.read("m-front", "etc/nats/nats.conf"));
    server.reload(&files, "m-front", &ports);
    let mut m2 = eventually(|| client(&seed).map_err(|error| format!("{error}\n{}", server.log())));
    assert_eq!(m2.publish("watari.beat.myodaiji.m2", None, "x"), Verdict::Allowed);
    for subject in
        ["watari.beat.myodaiji.m1", "watari.fact.yamate.m2", "watari.agent.m1.stop", "$KV.vms.mail", "$JS.API.INFO"]
    {
        assert_eq!(m2.publish(subject, None, "x"), Verdict::Denied, "{subject}");
    }
    assert_eq!(m2.subscribe("watari.agent.m2.>"), Verdict::Allowed);
    assert_eq!(m2.subscribe("watari.agent.m1.>"), Verdict::Denied);
    // Over the connection that it had before.
    assert_eq!(m1.publish("watari.beat.myodaiji.m1", None, "x"), Verdict::Allowed);

    // Taken out again it is nobody, and m1 is not disturbed by that either.
    let root = files.path("root");
    let nobody = "m9".parse().unwrap();
    assert_eq!(desk.hold().unwrap().expel(&nobody, &here, &root).unwrap_err().code(), "cluster.no-host");
    assert_eq!(desk.hold().unwrap().expel(&here, &here, &root).unwrap_err().code(), "cluster.host-stays");
    desk.hold().unwrap().expel(&asked.name, &here, &root).unwrap();
    for path in ["out/hosts/m2", "out/nkeys/node-agent.m2.pub", "out/ca/issued/m2.csr"] {
        assert!(!files.path(path).exists(), "{path}");
    }
    server.reload(&files, "m-front", &ports);
    eventually(|| client(&seed).map_or(Ok(()), |_| Err(format!("m2 is let in still\n{}", server.log()))));
    assert_eq!(m1.publish("watari.beat.myodaiji.m1", None, "x"), Verdict::Allowed);
}
