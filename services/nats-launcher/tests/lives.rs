//! Three real NATS servers, started by `watari-nats`: one is taken out of the cluster and begins anew.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by unwrapping")]

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use watari_chassis::{Context, Keeper, KeeperKeys, Membership, NatsHost, config::Common, membership};
use watari_contracts::{Service, frontend::Duty};
use watari_testkit::{TempDir, eventually, free_port};

const SOON: Duration = Duration::from_secs(60);
const HOSTS: [&str; 3] = ["n1", "n2", "n3"];

struct Cluster {
    dir: TempDir,
    clients: Vec<u16>,
    running: Vec<Option<Child>>,
}

impl Cluster {
    fn start() -> Self {
        let ports = || HOSTS.map(|_| free_port()).to_vec();
        let (clients, routes, dir) = (ports(), ports(), TempDir::new());
        let peers: Vec<String> = routes.iter().map(|port| format!("nats-route://127.0.0.1:{port}")).collect();
        for (n, host) in HOSTS.iter().enumerate() {
            let path = |name: &str| dir.path().join(format!("{host}.{name}"));
            // Whoever connects without a name is in the system account.
            let config = format!(
                "server_name: $WATARI_NATS_NAME\nlisten: \"127.0.0.1:{}\"\nlog_file: {:?}\n\
                 jetstream {{ store_dir: $WATARI_NATS_STORE, max_mem: 64M, max_file: 1G }}\n\
                 cluster {{ name: test, listen: \"127.0.0.1:{}\", routes: [{}] }}\n\
                 accounts {{ A {{ jetstream: enabled, users: [{{user: a, password: a}}] }}, S {{ users: [{{user: s, password: s}}] }} }}\n\
                 system_account: S\nno_auth_user: s\n",
                clients[n],
                path("log"),
                routes[n],
                peers.join(", ")
            );
            fs::write(path("conf"), config).unwrap();
            let others = (1..=3).map(|k| format!("\"nats://127.0.0.1:{}\"", clients[(n + k) % 3]));
            let settings = format!(
                "host = \"{host}\"\nconfig = {:?}\nstore = {:?}\n[bus]\nurls = [{}]\n",
                path("conf"),
                path("store"),
                others.collect::<Vec<_>>().join(", ")
            );
            fs::write(path("toml"), settings).unwrap();
        }
        let mut cluster = Self { dir, clients, running: HOSTS.map(|_| None).into() };
        (0..3).for_each(|n| cluster.launch(n));
        cluster
    }

    fn launch(&mut self, n: usize) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_watari-nats"));
        command.arg(self.file(n, "toml")).stdin(Stdio::null()).stdout(Stdio::null());
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
        membership(&ctx.bus, "n3").await.unwrap() == Membership::Stranger
            && !quorum.servers.iter().any(|s| s.host == "n3" && s.online)
    })
    .await;
    eventually("it begins anew", SOON, || async {
        keeper.tell("n3", Duty::Serve).await.unwrap();
        membership(&ctx.bus, "n3-g2").await.unwrap() == Membership::Member
    })
    .await;
    votes(&keeper, 3).await;
    assert_eq!(fs::read_to_string(cluster.file(2, "store").join("life")).unwrap(), "2\n");

    // One that runs on without its vote begins anew too, when it is told.
    keeper.remove("n3-g2").await.unwrap();
    eventually("it begins anew again", SOON, || async {
        keeper.tell("n3", Duty::Serve).await.unwrap();
        membership(&ctx.bus, "n3-g3").await.unwrap() == Membership::Member
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
    assert_eq!(membership(&ctx.bus, "n2").await.unwrap(), Membership::Member);
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
