//! The metadata address, from guests whose way out leads to a machine of the campus, and from that machine.

use std::{
    fs,
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    process::Command,
    time::Duration,
};

use watari_contracts::plan::{NetworkPlan, PlannedNetwork, RemotePort};
use watari_model::{
    network::{Kind, NODE_ADDRESS},
    userdata::Text,
};
use watari_node_agent::plumbing::Plumbing;

use super::wire::{CAMPUS, MAIL, NODE, WEB, inside, run, socket};

pub(crate) const PORT: u16 = 16_925;
pub(crate) const NAMES_PORT: u16 = 16_926;
/// Where names are asked for.
const RESOLVER: &str = "169.254.169.254:53";
/// A server that runs elsewhere, and its address.
const DISTANT: (&str, Ipv4Addr) = ("distant", Ipv4Addr::new(203, 0, 113, 102));
/// Who is asked for names that are not ours, and that it refuses to say (RFC 1035, section 4.1.1).
const UPSTREAM: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);
const REFUSED: u8 = 5;
const ADDRESS: &str = "169.254.169.254:80";
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a call is waited for that must not come about.
const SHUT: Duration = Duration::from_millis(700);
const ID: &str = "GET /latest/meta-data/instance-id";

fn call(machine: &str, to: &str, within: Duration) -> io::Result<TcpStream> {
    let to: SocketAddr = to.parse().unwrap();
    inside(machine, move || TcpStream::connect_timeout(&to, within))
}

/// The status and the body of an answer. `headers` end their lines.
fn ask(machine: &str, question: &str, headers: &str) -> (u16, String) {
    let mut stream = call(machine, ADDRESS, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{question} HTTP/1.1\r\nHost: metadata\r\n{headers}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// The header that carries a new token.
fn token(machine: &str) -> String {
    let (status, token) = ask(machine, "PUT /latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 60\r\n");
    assert_eq!(status, 200, "{machine}");
    format!("X-aws-ec2-metadata-token: {token}\r\n")
}

/// Each guest learns about itself, and nothing by the other's token.
fn each_its_own(mail_id: &str, web_id: &str) {
    let (mails, webs) = (token("mail"), token("web"));
    assert_eq!(ask("mail", ID, &mails), (200, mail_id.to_owned()));
    assert_eq!(ask("web", ID, &webs), (200, web_id.to_owned()));
    assert_eq!(ask("mail", "GET /latest/user-data", &mails), (200, "secret of mail".to_owned()));
    assert_eq!(ask("web", "GET /latest/user-data", &webs).0, 404);
    assert_eq!((ask("web", ID, &mails).0, ask("web", ID, "").0), (401, 401));
    let lie = format!("{webs}X-Forwarded-For: {}\r\n", MAIL.address);
    assert_eq!(ask("web", ID, &lie), (200, web_id.to_owned()), "what is said counts for nothing");
}

/// A question for the IPv4 address of a name (RFC 1035, section 4.1).
fn question(name: &str) -> Vec<u8> {
    let mut question = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len()).unwrap());
        question.extend(label.bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    question
}

/// The code of an answer, and the address in it, if there is one.
fn told(answer: &[u8]) -> (u8, Option<IpAddr>) {
    let last: [u8; 4] = answer[answer.len() - 4..].try_into().unwrap();
    (answer[3] & 0x0f, (answer[7] > 0).then(|| last.into()))
}

/// What a machine is told that asks for a name by UDP; none if nobody answers in time.
fn by_udp(machine: &str, to: &str, name: &str, within: Duration) -> Option<(u8, Option<IpAddr>)> {
    let (socket, mut answer) = (socket(machine, "0.0.0.0:0"), [0; 512]);
    socket.set_read_timeout(Some(within)).unwrap();
    socket.send_to(&question(name), to).unwrap();
    let (length, from) = socket.recv_from(&mut answer).ok()?;
    assert_eq!(from.to_string(), to, "who asked somebody is answered by another");
    Some(told(&answer[..length]))
}

/// The same by TCP.
fn by_tcp(machine: &str, name: &str) -> (u8, Option<IpAddr>) {
    let (mut stream, question) = (call(machine, RESOLVER, PATIENCE).unwrap(), question(name));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[&u16::try_from(question.len()).unwrap().to_be_bytes()[..], &question].concat()).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).unwrap();
    told(&answer)
}

/// Refuses to say anything of any name, for as long as the test runs.
fn refuse_names() {
    let socket = UdpSocket::bind((UPSTREAM, 53)).unwrap();
    std::thread::spawn(move || {
        let mut message = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut message) {
            (message[2], message[3]) = (0x81, REFUSED);
            let _ = socket.send_to(&message[..length], from);
        }
    });
}

/// Who has the node among its name servers is told names of its network, and by others what is no name of ours.
fn names() {
    let distant = (0, Some(IpAddr::V4(DISTANT.1)));
    for name in ["distant.campus.watari.internal", "distant"] {
        assert_eq!(by_udp("mail", RESOLVER, name, PATIENCE), Some(distant), "{name}");
    }
    assert_eq!(by_tcp("mail", "distant.campus.watari.internal"), distant);
    assert_eq!(by_udp("mail", RESOLVER, "nobody.campus.watari.internal", PATIENCE), Some((3, None)));
    assert_eq!(by_udp("mail", RESOLVER, "www.example.jp", PATIENCE), Some((REFUSED, None)));
    assert_eq!(by_udp("web", RESOLVER, "distant", SHUT), None, "it has other name servers");
    let mut stream = call("mail", RESOLVER, PATIENCE).unwrap();
    // Sooner than any connection ends.
    stream.set_read_timeout(Some(PATIENCE / 2)).unwrap();
    stream.write_all(&[0xff; 2]).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "nobody waits for a question of 64 KiB");
}

fn plan() -> NetworkPlan {
    let (vm, address) = (DISTANT.0.parse().unwrap(), DISTANT.1);
    let elsewhere = vec![RemotePort { vm, mac: String::new(), address, address6: None, via: None }];
    let (network, kind) = ("campus".parse().unwrap(), Kind::Provider);
    let planned = PlannedNetwork { network, kind, overlay: None, here: Vec::new(), elsewhere };
    NetworkPlan { networks: vec![planned], ..NetworkPlan::default() }
}

/// Who is no server of this node hears nothing, at the address or at what is behind it.
fn nobody_else() {
    run(&format!("ip netns exec campus ping -c 1 -W 5 {NODE}"));
    for to in [RESOLVER.to_owned(), format!("{NODE}:{NAMES_PORT}")] {
        assert_eq!(by_udp("campus", &to, "distant", SHUT), None, "the campus is told names at {to}");
        assert!(call("campus", &to, SHUT).is_err(), "the campus reaches {to}");
    }
    for to in [ADDRESS.to_owned(), format!("{NODE}:{PORT}")] {
        assert!(call("campus", &to, SHUT).is_err(), "the campus reaches {to}");
    }
    let own: SocketAddr = format!("127.0.0.1:{PORT}").parse().unwrap();
    assert!(TcpStream::connect_timeout(&own, SHUT).is_err(), "the node itself is answered");
}

pub(crate) async fn hold(plumbing: Plumbing) {
    for (machine, gateway) in [("mail", CAMPUS), ("web", CAMPUS), ("campus", NODE)] {
        run(&format!("ip -n {machine} route add default via {gateway}"));
    }
    refuse_names();
    plumbing.restore(&[]).await;
    plumbing.know(plan()).await;
    let (mut mail, web) = (MAIL.server(), WEB.server());
    mail.seed.user_data = Some(Text("secret of mail".to_owned()));
    mail.wires[0].dns = vec![NODE_ADDRESS, UPSTREAM];
    for server in [&mail, &web] {
        plumbing.connect(server).await.unwrap();
    }
    // Where bridge netfilter is on, translation comes before the bridge's own decision.
    for netfilter in ["0", "1"] {
        fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", netfilter).unwrap();
        each_its_own(&mail.uuid, &web.uuid);
        names();
        nobody_else();
    }

    // Somebody flushes everything; the next look puts it right.
    run("nft flush ruleset");
    plumbing.tend().await;
    each_its_own(&mail.uuid, &web.uuid);
    names();
    nobody_else();

    // Who has gone is not answered, the others are, and the last takes the rules along.
    plumbing.disconnect(&mail).await.unwrap();
    assert!(call("mail", ADDRESS, SHUT).is_err());
    assert_eq!(by_udp("mail", RESOLVER, "distant", SHUT), None);
    assert_eq!(ask("web", ID, &token("web")).1, web.uuid);
    plumbing.disconnect(&web).await.unwrap();
    for family in ["bridge", "inet"] {
        let table = Command::new("nft").args(["list", "table", family, "watari-metadata"]).output().unwrap();
        assert!(!table.status.success(), "{family}");
    }
}
