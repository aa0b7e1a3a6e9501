//! Several nats-servers as one cluster.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{NatsServer, free_port};

const START: Duration = Duration::from_secs(30);

/// A cluster of its own for one test. Dropped, all of it is killed.
#[derive(Debug)]
pub struct NatsCluster {
    /// Its servers, to be killed and restarted one by one.
    pub servers: Vec<NatsServer>,
    monitors: Vec<u16>,
}

impl NatsCluster {
    /// Starts `size` servers and waits until JetStream has a leader.
    ///
    /// # Panics
    /// If it has none within half a minute, with the servers' logs.
    #[must_use]
    pub fn start(size: usize) -> Self {
        let ports = |n: usize| (0..n).map(|_| free_port()).collect::<Vec<_>>();
        let (clients, routes, monitors) = (ports(size), ports(size), ports(size));
        let peers: Vec<String> = routes.iter().map(|port| format!("nats-route://127.0.0.1:{port}")).collect();
        let mut servers = Vec::new();
        for n in 0..size {
            let more = format!(
                "server_name: n{n}\nhttp: \"127.0.0.1:{}\"\ncluster {{ name: test, listen: \"127.0.0.1:{}\", routes: [{}] }}\n",
                monitors[n],
                routes[n],
                peers.join(", ")
            );
            let mut server = NatsServer::prepared(clients[n], &more);
            server.launch();
            servers.push(server);
        }
        let mut cluster = Self { servers, monitors };
        cluster.wait_until_healthy();
        cluster
    }

    /// Waits until every server that runs says that its JetStream is up to date.
    ///
    /// # Panics
    /// If that takes longer than half a minute.
    pub fn wait_until_healthy(&mut self) {
        let until = Instant::now() + START;
        self.servers.iter_mut().for_each(NatsServer::wait_until_it_answers);
        while !self.monitors.iter().all(|port| is_healthy(*port)) {
            assert!(Instant::now() < until, "the cluster has no leader:\n{}", self.servers[0].log());
            sleep(Duration::from_millis(50));
        }
    }

    /// Where it listens, all addresses.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.servers.iter().map(NatsServer::url).collect()
    }
}

fn is_healthy(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.contains(" 200 "))
}
