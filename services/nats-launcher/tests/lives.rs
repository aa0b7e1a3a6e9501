//! Three real NATS servers, started by `watari-nats`: one is taken out of the cluster and begins anew, and a cluster
//! of one becomes a cluster of three.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by unwrapping")]

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use watari_chassis::{
    Context, Keeper, KeeperKeys, Membership, NatsHost, Recovery, Unfit, config::Common, membership, recover, recovery,
};
use watari_contracts::{Service, frontend::Duty};
use watari_testkit::{TempDir, eventually, free_port};

const SOON: Duration = Duration::from_secs(60);
const HOSTS: [&str; 3] = ["n1", "n2", "n3"];

struct Cluster {
    dir: TempDir,
    clients: Vec<u16>,
    routes: Vec<u16>,
    running: Vec<Option<Child>>,
}

impl Cluster {
    fn start() -> Self {
        let mut cluster = Self::prepare();
        (0..3).for_each(|n| cluster.launch(n));
        cluster
    }

    fn prepare() -> Self {
        let ports = || HOSTS.map(|_| free_port()).to_vec();
        let (clients, routes, dir) = (ports(), ports(), TempDir::new());
        for (n, host) in HOSTS.iter().enumerate() {
            let path = |name: &str| dir.path().join(format!("{host}.{name}"));
            fs::write(path("conf"), config(&path("log"), &clients[n].to_string(), &routes[n].to_string(), &routes))
                .unwrap();
            let others = (1..=3).map(|k| format!("\"nats://127.0.0.1:{}\"", clients[(n + k) % 3]));
            let settings = format!(
                "host = \"{host}\"\nconfig = {:?}\nstore = {:?}\n[bus]\nurls = [{}]\n",
                path("conf"),
                path("store"),
                others.collect::<Vec<_>>().join(", ")
            );
            fs::write(path("toml"), settings).unwrap();
        }
        Self { dir, clients, routes, running: HOSTS.map(|_| None).into() }
    }

    fn launch(&mut self, n: usize) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_watari-nats"));
        let said = fs::File::create(self.file(n, "said")).unwrap();
        command.arg(self.file(n, "toml")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        self.running[n] = Some(command.spawn().unwrap());
    }

    fn file(&self, n: usize, end: &str) -> PathBuf {
        self.dir.path().join(format!("{}.{end}", HOSTS[n]))
    }

    /// As a power cut: the server dies with what started it, and is dead when this returns.
    async fn kill(&mut self, n: usize) {
        let mut child = self.running[n].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let port = self.clients[n];
        eventually("its port is free", SOON, || async { TcpListener::bind(("127.0.0.1", port)).is_ok() }).await;
    }

    /// It may be left alone.
    fn give_company(&self, n: usize) {
        let company = config(&self.file(n, "log"), "-1", "-1", &self.routes[n..=n]);
        let storing = company.lines().find(|line| line.contains("jetstream {")).unwrap();
        fs::write(self.file(n, "company"), company.replace(storing, "").replace("jetstream: enabled, ", "")).unwrap();
        let settings = fs::read_to_string(self.file(n, "toml")).unwrap();
        let company = format!("company = {:?}\n[bus]", self.file(n, "company"));
        fs::write(self.file(n, "toml"), settings.replace("[bus]", &company)).unwrap();
    }

    async fn keeper(&self, n: usize) -> (Context, Keeper) {
        let urls: Vec<String> = self.clients.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let mut common = Common::at(urls).unwrap();
        common.bus.urls.rotate_left(n);
        let ctx = Context::new(Service::Scheduler, &common).await.unwrap();
        let none = || (PathBuf::new(), String::new());
        let hosts = HOSTS.map(|name| NatsHost { name: name.parse().unwrap(), site: None }).to_vec();
        let keeper = Keeper::connect(&ctx, &KeeperKeys { streams: none(), servers: none() }, hosts).await.unwrap();
        (ctx, keeper)
    }
}

/// A server's configuration. Whoever connects without a name is in the system account.
fn config(log: &Path, client: &str, route: &str, routes: &[u16]) -> String {
    let peers: Vec<String> = routes.iter().map(|port| format!("nats-route://127.0.0.1:{port}")).collect();
    format!(
        "server_name: $WATARI_NATS_NAME\nlisten: \"127.0.0.1:{client}\"\nlog_file: {log:?}\n\
         jetstream {{ store_dir: $WATARI_NATS_STORE, max_mem: 64M, max_file: 1G }}\n\
         cluster {{ name: test, listen: \"127.0.0.1:{route}\", routes: [{}] }}\n\
         accounts {{ A {{ jetstream: enabled, users: [{{user: a, password: a}}] }}, S {{ users: [{{user: s, password: s}}] }} }}\n\
         system_account: S\nno_auth_user: s\n",
        peers.join(", ")
    )
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.running.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

async fn votes(keeper: &Keeper, number: usize) {
    eventually("so many servers vote and are up to date", SOON, || async {
        let quorum = keeper.quorum().await.unwrap();
        quorum.leader.is_some() && quorum.servers.iter().filter(|s| s.votes && s.online && s.current).count() == number
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_taken_out_begins_anew_when_it_is_told_and_not_before() {
    let mut cluster = Cluster::start();
    let (ctx, keeper) = cluster.keeper(0).await;
    votes(&keeper, 3).await;
    // A server with its vote comes back as itself.
    cluster.kill(2).await;
    cluster.launch(2);
    votes(&keeper, 3).await;

    keeper.lead_servers("n1").await.unwrap();
    eventually("n1 leads", SOON, || async { keeper.quorum().await.unwrap().leader.as_deref() == Some("n1") }).await;
    keeper.lead_servers("n1").await.expect("who leads already does as it is told");
    keeper.remove("n3").await.unwrap();
    votes(&keeper, 2).await;
    // The power goes and comes back: who has no vote waits until it is told.
    cluster.kill(2).await;
    cluster.launch(2);
    eventually("it is a stranger and its server is not started", SOON, || async {
        let quorum = keeper.quorum().await.unwrap();
        membership(&ctx.bus, "n3").await == Membership::Stranger
            && !quorum.servers.iter().any(|s| s.host == "n3" && s.online)
    })
    .await;
    eventually("it begins anew", SOON, || async {
        keeper.tell("n3", Duty::Serve).await.unwrap();
        membership(&ctx.bus, "n3-g2").await == Membership::Member
    })
    .await;
    votes(&keeper, 3).await;
    assert_eq!(fs::read_to_string(cluster.file(2, "store").join("life")).unwrap(), "2\n");

    // One that runs on without its vote begins anew too, when it is told.
    keeper.remove("n3-g2").await.unwrap();
    eventually("it begins anew again", SOON, || async {
        keeper.tell("n3", Duty::Serve).await.unwrap();
        membership(&ctx.bus, "n3-g3").await == Membership::Member
    })
    .await;
    votes(&keeper, 3).await;
    assert!(!cluster.file(2, "store").join("n3").exists(), "a store before the last is not kept");
}

/// Whether the server lets this user of account A in.
async fn lets_in(port: u16, user: &str) -> bool {
    let (read, mut write) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap().into_split();
    let mut lines = BufReader::new(read).lines();
    let connect = format!("CONNECT {{\"user\":\"{user}\",\"pass\":\"a\",\"verbose\":false}}\r\nPING\r\n");
    write.write_all(connect.as_bytes()).await.unwrap();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.starts_with("PONG") || line.starts_with("-ERR") {
            return line.starts_with("PONG");
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_is_put_in_place_is_read_and_one_that_is_unsound_changes_nothing() {
    let cluster = Cluster::start();
    let (ctx, keeper) = cluster.keeper(0).await;
    votes(&keeper, 3).await;
    let (port, path) = (cluster.clients[1], cluster.file(1, "conf"));
    let put = |text: &str| {
        let fresh = cluster.file(1, "conf.new");
        fs::write(&fresh, text).unwrap();
        fs::rename(&fresh, &path).unwrap();
    };
    let old = fs::read_to_string(&path).unwrap();
    let new = old.replace("{user: a, password: a}", "{user: a, password: a}, {user: b, password: a}");
    assert!(new != old && lets_in(port, "a").await && !lets_in(port, "b").await);
    put(&new);
    eventually("the new user is let in", SOON, || lets_in(port, "b")).await;
    put("no configuration {");
    let log = cluster.file(1, "log");
    eventually("the server says that it cannot use it", SOON, || async {
        fs::read_to_string(&log).unwrap_or_default().contains("Failed to reload server configuration")
    })
    .await;
    assert!(lets_in(port, "a").await && lets_in(port, "b").await);
    assert_eq!(membership(&ctx.bus, "n2").await, Membership::Member);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_stops_and_serves_as_it_is_told() {
    let cluster = Cluster::start();
    let (_ctx, keeper) = cluster.keeper(0).await;
    votes(&keeper, 3).await;
    let online = || async {
        let quorum = keeper.quorum().await.unwrap();
        quorum.servers.iter().any(|s| s.host == "n2" && s.online)
    };
    eventually("it stops", SOON, || async {
        keeper.tell("n2", Duty::Retire).await.unwrap();
        !online().await
    })
    .await;
    eventually("it serves", SOON, || async {
        keeper.tell("n2", Duty::Serve).await.unwrap();
        online().await
    })
    .await;
    votes(&keeper, 3).await;
}

/// Asks as the user of account A, and gives the answer's body.
async fn ask(port: u16, subject: &str, question: &str) -> String {
    let (read, mut write) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap().into_split();
    let mut lines = BufReader::new(read).lines();
    let text = format!(
        "CONNECT {{\"user\":\"a\",\"pass\":\"a\",\"verbose\":false}}\r\nSUB _INBOX.a 1\r\nPUB {subject} _INBOX.a {}\r\n{question}\r\n",
        question.len()
    );
    write.write_all(text.as_bytes()).await.unwrap();
    let answer = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if line.starts_with('{') {
                return line;
            }
        }
        String::new()
    };
    tokio::time::timeout(Duration::from_secs(5), answer).await.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_makes_a_cluster_of_itself_and_others_join_it_with_all_that_it_holds() {
    const STREAM: &str = "$JS.API.STREAM.";
    let mut cluster = Cluster::prepare();
    let (client, route) = (free_port().to_string(), free_port());
    let own = route.to_string();
    for (name, client, own) in [("founder", client.as_str(), own.as_str()), ("midwife", "-1", "-1")] {
        fs::write(cluster.file(0, name), config(&cluster.file(0, "log"), client, own, &[route])).unwrap();
    }
    let company = config(&cluster.file(0, "log"), "-1", "-1", &cluster.routes[..1]);
    let storing = company.lines().find(|line| line.contains("jetstream {")).unwrap();
    fs::write(cluster.file(0, "company"), company.replace(storing, "").replace("jetstream: enabled, ", "")).unwrap();
    let founding = format!(
        "[founding]\nurl = \"nats://127.0.0.1:{client}\"\nfounder = {:?}\nmidwife = {:?}\ncompany = {:?}\n",
        cluster.file(0, "founder"),
        cluster.file(0, "midwife"),
        cluster.file(0, "company")
    );
    let settings = |urls: &[u16], host: &str, n: usize, first: &str, last: &str| {
        let urls: Vec<String> = urls.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
        let (config, store) = (cluster.file(n, "conf"), cluster.file(n, "store"));
        let text = format!(
            "host = \"{host}\"\nconfig = {config:?}\nstore = {store:?}\n{first}[bus]\nurls = [{}]\n{last}",
            urls.join(", ")
        );
        fs::write(cluster.file(n, "toml"), text).unwrap();
    };
    let ports = cluster.clients.clone();
    settings(&ports[..1], "n1", 0, "", &founding);
    for n in [1, 2] {
        settings(&[ports[0], ports[n]], HOSTS[n], n, "joins = true\n", "");
    }
    // It knows of nobody else at first.
    let conf =
        |routes: &[u16]| config(&cluster.file(0, "log"), &ports[0].to_string(), &cluster.routes[0].to_string(), routes);
    let (alone, together) = (conf(&cluster.routes[..1]), conf(&cluster.routes));
    fs::write(cluster.file(0, "conf"), alone).unwrap();

    cluster.launch(0);
    let (ctx, keeper) = cluster.keeper(0).await;
    votes(&keeper, 1).await;
    assert_eq!(fs::read_to_string(cluster.file(0, "store").join("founding")).unwrap(), "done\n");
    let made = ask(ports[0], &format!("{STREAM}CREATE.S"), r#"{"name":"S","subjects":["s"],"num_replicas":1}"#).await;
    assert!(made.contains("\"config\""), "{made}");
    let stored = ask(ports[0], "s", "kept").await;
    assert!(stored.contains("\"seq\":1"), "{stored}");

    // The power goes: it is a cluster of one again, with what it holds.
    cluster.kill(0).await;
    cluster.launch(0);
    votes(&keeper, 1).await;
    eventually("its stream is there", SOON, || async {
        ask(ports[0], &format!("{STREAM}INFO.S"), "").await.contains("\"messages\":1")
    })
    .await;

    fs::write(cluster.file(0, "conf"), together).unwrap();
    cluster.launch(1);
    votes(&keeper, 2).await;
    cluster.launch(2);
    votes(&keeper, 3).await;
    let more = r#"{"name":"S","subjects":["s"],"num_replicas":3}"#;
    eventually("there are three copies", SOON, || async {
        let info = ask(ports[2], &format!("{STREAM}INFO.S"), "").await;
        if !info.contains("\"num_replicas\":3") {
            ask(ports[0], &format!("{STREAM}UPDATE.S"), more).await;
            return false;
        }
        info.contains("\"messages\":1") && info.matches("\"current\":true").count() == 2
    })
    .await;
    assert_eq!(membership(&ctx.bus, "n1").await, Membership::Member);
    assert!(!cluster.file(0, "store").join("n1-midwife").exists());
    let new = |n: usize| cluster.file(n, "store").join("joining").exists();
    eventually("nobody is a newcomer any more", SOON, || async { !new(1) && !new(2) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_one_with_a_vote_comes_back_by_itself_and_who_was_taken_out_waits_for_it() {
    let mut cluster = Cluster::prepare();
    [0, 1].iter().for_each(|n| cluster.give_company(*n));
    (0..3).for_each(|n| cluster.launch(n));
    let (ctx, keeper) = cluster.keeper(0).await;
    votes(&keeper, 3).await;
    let notes = [0, 1, 2].map(|n| cluster.file(n, "store").join("vote"));
    let remembers = |n: usize| fs::read_to_string(&notes[n]).unwrap_or_default();
    assert_eq!(remembers(0), "");

    keeper.lead_servers("n1").await.unwrap();
    eventually("n1 leads", SOON, || async { keeper.quorum().await.unwrap().leader.as_deref() == Some("n1") }).await;
    for (n, left) in [(2, 2), (1, 1)] {
        keeper.remove(HOSTS[n]).await.unwrap();
        votes(&keeper, left).await;
        eventually("it stops, and remembers why", SOON, || async {
            keeper.tell(HOSTS[n], Duty::Retire).await.unwrap();
            remembers(n) == format!("out {}\n", HOSTS[n])
        })
        .await;
    }
    eventually("it knows that it is the only one", SOON, || async { remembers(0) == "only n1\n" }).await;

    // All power goes. Who was taken out comes back first, and is no cluster with the other one.
    for n in 0..3 {
        cluster.kill(n).await;
    }
    cluster.launch(1);
    cluster.launch(2);
    cluster.launch(0);
    votes(&keeper, 1).await;
    assert_eq!(membership(&ctx.bus, "n1").await, Membership::Only);
    assert_eq!(membership(&ctx.bus, "n2").await, Membership::Stranger);
    eventually("it comes back", SOON, || async {
        keeper.tell("n2", Duty::Serve).await.unwrap();
        membership(&ctx.bus, "n2-g2").await == Membership::Member
    })
    .await;
    votes(&keeper, 2).await;
    // Of two, one alone is no majority again.
    eventually("it knows that it is not the only one", SOON, || async { remembers(0) == " n1\n" }).await;
}

/// Takes away a vote, whoever of the servers the connection was to.
async fn without(keeper: &Keeper, name: &str) {
    eventually("its vote is gone", SOON, || async {
        let quorum = keeper.quorum().await.unwrap();
        let votes = quorum.servers.iter().any(|s| s.votes && s.name.as_deref() == Some(name));
        if votes {
            let _ = keeper.remove(name).await;
        }
        quorum.leader.is_some() && !votes
    })
    .await;
}

/// The order in which the scheduler goes, which is decided in `scheduler/src/core/quorum.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_silent_before_loses_its_vote_first_and_then_one_server_writes_on_alone() {
    const STREAM: &str = "$JS.API.STREAM.";
    let mut cluster = Cluster::start();
    let (ctx, keeper) = cluster.keeper(0).await;
    votes(&keeper, 3).await;
    let port = cluster.clients[0];
    let copies = |number: usize| format!(r#"{{"name":"S","subjects":["s"],"num_replicas":{number}}}"#);
    let made = ask(port, &format!("{STREAM}CREATE.S"), &copies(3)).await;
    assert!(made.contains("\"config\""), "{made}");
    assert!(ask(port, "s", "kept").await.contains("\"seq\":1"));
    // As a watch does: each stands on one of the three, and three of them on each.
    let watch = r#"{"stream_name":"S","config":{"ack_policy":"none","num_replicas":1,"mem_storage":true}}"#;
    for _ in 0..12 {
        let watched = ask(port, "$JS.API.CONSUMER.CREATE.S", watch).await;
        assert!(watched.contains("\"name\""), "{watched}");
    }
    let preferred = r#"{"placement":{"preferred":"n1"}}"#;
    keeper.lead_servers("n1").await.unwrap();
    let info = async || ask(port, &format!("{STREAM}INFO.S"), "").await;
    eventually("n1 leads the servers and the stream", SOON, || async {
        ask(port, &format!("{STREAM}LEADER.STEPDOWN.S"), preferred).await;
        let leader = keeper.quorum().await.unwrap().leader;
        leader.as_deref() == Some("n1") && info().await.contains("\"leader\":\"n1\"")
    })
    .await;

    cluster.kill(2).await;
    without(&keeper, "n3").await;
    eventually("the other two have the only copies", SOON, || async {
        let info = info().await;
        info.contains("\"name\":\"n2\"") && !info.contains("\"name\":\"n3\"")
    })
    .await;
    let scaled = ask(port, &format!("{STREAM}UPDATE.S"), &copies(1)).await;
    assert!(scaled.contains("\"num_replicas\":1"), "{scaled}");
    eventually("there is one copy", SOON, || async {
        let info = info().await;
        info.contains("\"leader\":\"n1\"") && !info.contains("\"replicas\":[")
    })
    .await;
    without(&keeper, "n2").await;
    cluster.kill(1).await;
    eventually("it is a majority by itself", SOON, || async { membership(&ctx.bus, "n1").await == Membership::Only })
        .await;
    assert!(ask(port, "s", "more").await.contains("\"seq\":2"));

    // One comes home, the other stays away: two copies.
    cluster.launch(1);
    eventually("it begins anew", SOON, || async {
        keeper.tell("n2", Duty::Serve).await.unwrap();
        membership(&ctx.bus, "n2-g2").await == Membership::Member
    })
    .await;
    votes(&keeper, 2).await;
    eventually("there are two copies", SOON, || async {
        let info = info().await;
        if !info.contains("\"num_replicas\":2") {
            ask(port, &format!("{STREAM}UPDATE.S"), &copies(2)).await;
            return false;
        }
        info.contains("\"messages\":2") && info.matches("\"current\":true").count() == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_begin_anew_are_no_cluster_without_the_one_that_holds_everything() {
    let mut cluster = Cluster::prepare();
    cluster.give_company(0);
    (0..3).for_each(|n| cluster.launch(n));
    let (ctx, keeper) = cluster.keeper(0).await;
    votes(&keeper, 3).await;
    keeper.lead_servers("n1").await.unwrap();
    eventually("n1 leads", SOON, || async { keeper.quorum().await.unwrap().leader.as_deref() == Some("n1") }).await;
    for host in ["n3", "n2"] {
        without(&keeper, host).await;
    }
    let store = |n: usize, name: &str| cluster.file(n, "store").join(name);
    let note = store(0, "vote");
    eventually("it knows that it is the only one", SOON, || async {
        fs::read_to_string(&note).unwrap_or_default() == "only n1\n"
    })
    .await;
    let (lives, marks) = ([1, 2].map(|n| store(n, "life")), [1, 2].map(|n| store(n, "joining")));
    for n in 0..3 {
        cluster.kill(n).await;
    }

    // The others have begun anew, and all power went before anybody gave them a vote. n1 votes as `fjFyEjc1`.
    for n in [0, 1] {
        fs::write(&lives[n], "2\n").unwrap();
        fs::write(&marks[n], format!("{}-g2 fjFyEjc1\n", HOSTS[n + 1])).unwrap();
    }
    cluster.launch(1);
    cluster.launch(2);
    let said = [1, 2].map(|n| cluster.file(n, "said"));
    eventually("both wait for it", SOON, || async {
        said.iter().all(|said| fs::read_to_string(said).unwrap_or_default().contains("waits for one of the servers"))
    })
    .await;
    assert!([1, 2].iter().all(|n| TcpListener::bind(("127.0.0.1", cluster.clients[*n])).is_ok()), "a server runs");
    cluster.launch(0);
    votes(&keeper, 3).await;
    assert_eq!(membership(&ctx.bus, "n1").await, Membership::Member);
    eventually("nobody is a newcomer any more", SOON, || async { marks.iter().all(|mark| !mark.exists()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_the_one_that_is_left_goes_on_alone_by_an_operators_word() {
    let mut cluster = Cluster::prepare();
    cluster.give_company(0);
    (0..3).for_each(|n| cluster.launch(n));
    let (ctx, keeper) = cluster.keeper(0).await;
    votes(&keeper, 3).await;
    keeper.lead_servers("n2").await.unwrap();
    without(&keeper, "n3").await;
    cluster.kill(2).await;
    votes(&keeper, 2).await;
    let port = cluster.clients[0];
    let made = ask(port, "$JS.API.STREAM.CREATE.S", r#"{"name":"S","subjects":["s"],"num_replicas":2}"#).await;
    assert!(made.contains("\"config\""), "{made}");
    assert!(ask(port, "s", "kept").await.contains("\"seq\":1"));
    eventually("nobody is lost", SOON, || async {
        recovery(&ctx.bus, "n1", "n2").await == Err(Unfit::Answers("n2".to_owned()))
    })
    .await;

    // The one that leads is lost, and the power of the other one goes and comes back.
    cluster.kill(1).await;
    cluster.kill(0).await;
    cluster.launch(0);
    eventually("it has the only vote", SOON, || async {
        match recovery(&ctx.bus, "n1", "n2").await {
            Ok(next) => recover(&ctx.bus, "n1", &next).await.is_ok() && next == Recovery::Done,
            Err(_) => false,
        }
    })
    .await;
    let info = async || ask(port, "$JS.API.STREAM.INFO.S", "").await;
    eventually("what was kept is there, and it writes on", SOON, || async {
        ask(port, "s", "more").await.contains("\"seq\":") && info().await.contains("\"first_seq\":1")
    })
    .await;
    let note = cluster.file(0, "store").join("vote");
    eventually("it comes back alone from now on", SOON, || async {
        fs::read_to_string(&note).unwrap_or_default() == "only n1\n"
    })
    .await;

    // What was lost is found again, and begins anew.
    cluster.launch(1);
    eventually("it begins anew", SOON, || async {
        keeper.tell("n2", Duty::Serve).await.unwrap();
        membership(&ctx.bus, "n2-g2").await == Membership::Member
    })
    .await;
    eventually("there are two copies", SOON, || async {
        let info = info().await;
        info.contains("\"leader\":\"n1\"") && info.matches("\"current\":true").count() == 1
    })
    .await;
}

#[test]
fn a_server_that_began_without_a_cluster_is_not_made_one() {
    let mut cluster = Cluster::prepare();
    let store = cluster.file(0, "store");
    fs::create_dir_all(&store).unwrap();
    fs::write(store.join("life"), "1\n").unwrap();
    let text = format!(
        "host = \"n1\"\nconfig = {:?}\nstore = {store:?}\n[bus]\nurls = [\"nats://127.0.0.1:{}\"]\n[founding]\nurl = \"-\"\nfounder = \"-\"\nmidwife = \"-\"\ncompany = \"-\"\n",
        cluster.file(0, "conf"),
        cluster.clients[0]
    );
    fs::write(cluster.file(0, "toml"), text).unwrap();
    cluster.launch(0);
    let ended = cluster.running[0].take().unwrap().wait().unwrap();
    assert!(!ended.success());
    assert!(!store.join("founding").exists());
}
