//! The metadata address, from guests whose way out leads to a machine of the campus, and from that machine.

use std::{
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    time::Duration,
};

use watari_model::userdata::Text;
use watari_node_agent::plumbing::Plumbing;

use super::wire::{CAMPUS, MAIL, NODE, WEB, inside, run};

pub(crate) const PORT: u16 = 16_925;
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

/// Who is no server of this node hears nothing, at the address or at what is behind it.
fn nobody_else() {
    run(&format!("ip netns exec campus ping -c 1 -W 5 {NODE}"));
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
    plumbing.restore(&[]).await;
    let (mut mail, web) = (MAIL.server(), WEB.server());
    mail.seed.user_data = Some(Text("secret of mail".to_owned()));
    for server in [&mail, &web] {
        plumbing.connect(server).await.unwrap();
    }
    // Where bridge netfilter is on, translation comes before the bridge's own decision.
    for netfilter in ["0", "1"] {
        fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", netfilter).unwrap();
        each_its_own(&mail.uuid, &web.uuid);
        nobody_else();
    }

    // Somebody flushes everything; the next look puts it right.
    run("nft flush ruleset");
    plumbing.tend().await;
    each_its_own(&mail.uuid, &web.uuid);
    nobody_else();

    // Who has gone is not answered, the others are, and the last takes the rules along.
    plumbing.disconnect(&mail).await.unwrap();
    assert!(call("mail", ADDRESS, SHUT).is_err());
    assert_eq!(ask("web", ID, &token("web")).1, web.uuid);
    plumbing.disconnect(&web).await.unwrap();
    for family in ["bridge", "inet"] {
        let table = Command::new("nft").args(["list", "table", family, "watari-metadata"]).output().unwrap();
        assert!(!table.status.success(), "{family}");
    }
}
