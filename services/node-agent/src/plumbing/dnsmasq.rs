//! One dnsmasq for each network on this node, answering only the servers that are here.
//!
//! It is nobody's child: it makes itself a daemon, outlives the agent, and is found again by its
//! pid file and recognised by its whole command line. Another configuration is another command
//! line, so that it is then replaced.

use std::{
    ffi::OsString,
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use ipnet::Ipv4Net;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tokio::process::Command;
use watari_model::network::Ipv6;

use crate::resolver::{DOMAIN, RESOLV};

/// How long it may take to become a daemon, and to end.
const BOUND: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const PROGRAM: &str = "dnsmasq";

/// What one dnsmasq is configured with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) bridge: String,
    pub(super) subnet: Ipv4Net,
    /// The bridge has only an address of another subnet.
    pub(super) shared: bool,
    pub(super) gateway: Option<Ipv4Addr>,
    /// Ways out besides the gateway's.
    pub(super) routes: Vec<(Ipv4Net, Ipv4Addr)>,
    /// The name servers told to servers, or asked by ours if it serves names itself.
    pub(super) dns: Vec<Ipv4Addr>,
    /// What it serves names with, if it does.
    pub(super) dns_for: Option<Dns>,
    /// The largest packet told to servers, if it is not the wire's own.
    pub(super) mtu: Option<u32>,
    /// The IPv6 side, if the network has one.
    pub(super) ipv6: Option<Ipv6>,
    pub(super) lease_minutes: u32,
    pub(super) hosts: PathBuf,
    pub(super) pid_file: PathBuf,
}

/// How names are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dns {
    /// The network's domain.
    pub(super) domain: String,
    /// The folder of the names.
    pub(super) names: PathBuf,
    /// Where servers ask: the same on every node.
    pub(super) address: Ipv4Addr,
    /// The same by IPv6, if the network has it.
    pub(super) address6: Option<Ipv6Addr>,
}

/// Who we say that we are by DHCPv6: on every node the same, so that any of them renews what another gave. The number
/// stands for nobody (RFC 5612), the rest is our name.
const DUID: &str = "32473,77:61:74:61:72:69";
/// How often servers are told by IPv6 how they get their addresses, in seconds, if they do not ask: as a router does
/// (RFC 4861, section 6.2.1).
const ADVERTISED_S: u32 = 600;
/// For how long a node's word counts that it is a router: three times as long (the same).
const ROUTER_S: u32 = 3 * ADVERTISED_S;

impl Config {
    /// The argument vector. Every value was parsed or checked before; none begins an option.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let with = |option: &str, path: &Path| {
            let mut text = OsString::from(option);
            text.push(path);
            text
        };
        let option = |name: &str, addresses: &[Ipv4Addr]| {
            // Without an address the option is not sent; left out, dnsmasq would name itself.
            let list: String = addresses.iter().map(|a| format!(",{a}")).collect();
            OsString::from(format!("--dhcp-option=option:{name}{list}"))
        };
        let (network, mask) = (self.subnet.network(), self.subnet.netmask());
        let mut arguments: Vec<OsString> = vec![
            // No file of the machine's has a say.
            "--conf-file=".into(),
            "--no-hosts".into(),
            "--bind-dynamic".into(),
            "--except-interface=lo".into(),
            format!("--interface={}", self.bridge).into(),
            format!("--dhcp-range={network},static,{mask},{}m", self.lease_minutes).into(),
            with("--dhcp-hostsdir=", &self.hosts),
            // Several nodes answer on one segment: who is not ours gets no word, not even a refusal.
            "--dhcp-ignore=tag:!known".into(),
            // A server that moved here renews a lease that the node before it gave.
            "--dhcp-authoritative".into(),
            "--leasefile-ro".into(),
            "--no-ping".into(),
            option("router", self.gateway.as_slice()),
            with("--pid-file=", &self.pid_file),
        ];
        match &self.dns_for {
            None => arguments.extend(["--no-resolv".into(), "--port=0".into(), option("dns-server", &self.dns)]),
            Some(dns) => {
                arguments.push(with("--hostsdir=", &dns.names));
                // Whatever is not known of our own names is not asked of others.
                arguments.push(format!("--local=/{DOMAIN}/").into());
                arguments.push(format!("--dhcp-option=option:domain-name,{}", dns.domain).into());
                arguments.push(option("dns-server", &[dns.address]));
                let ipv6 = self.ipv6.iter().flat_map(|ipv6| ipv6.dns.iter().copied().map(IpAddr::V6));
                let asked: Vec<IpAddr> = self.dns.iter().copied().map(IpAddr::V4).chain(ipv6).collect();
                // The machine's own resolver is asked where a network names none.
                if asked.is_empty() {
                    arguments.push(format!("--resolv-file={RESOLV}").into());
                } else {
                    arguments.push("--no-resolv".into());
                    arguments.extend(asked.iter().map(|server| OsString::from(format!("--server={server}"))));
                }
            }
        }
        arguments.extend(self.static_routes());
        arguments.extend(self.mtu.map(|mtu| OsString::from(format!("--dhcp-option=option:mtu,{mtu}"))));
        arguments.extend(self.ipv6.iter().flat_map(|ipv6| self.dhcp6(ipv6)));
        if self.shared {
            arguments.push(format!("--shared-network={},{network}", self.bridge).into());
        }
        arguments
    }

    /// Who takes this option heeds the router's no more (RFC 3442), so that the gateway stands in it as well.
    fn static_routes(&self) -> Option<OsString> {
        if self.routes.is_empty() {
            return None;
        }
        let default = self.gateway.map(|gateway| (Ipv4Net::default(), gateway));
        let all = default.into_iter().chain(self.routes.iter().copied());
        let list: String = all.map(|(to, via)| format!(",{to},{via}")).collect();
        Some(format!("--dhcp-option=option:classless-static-route{list}").into())
    }

    /// What it says by IPv6: ask for your address, whoever asks is told it if known; the prefix is on this wire; and, on the
    /// campus's own, this is no router. A router's own word for that is a lifetime of nothing, by which the guard tells these
    /// words apart that are for servers alone.
    fn dhcp6(&self, ipv6: &Ipv6) -> Vec<OsString> {
        let (network, length) = (ipv6.cidr.network(), ipv6.cidr.prefix_len());
        let own = self.dns_for.as_ref().and_then(|dns| dns.address6);
        // Of an overlay network every node is the router, with the same addresses, that of its link among them.
        let lifetime = if own.is_some() && own == ipv6.gateway { ROUTER_S } else { 0 };
        let mtu = self.mtu.map(|mtu| format!("mtu:{mtu},")).unwrap_or_default();
        let mut arguments: Vec<OsString> = vec![
            format!("--dhcp-range={network},static,{length},{}m", self.lease_minutes).into(),
            "--enable-ra".into(),
            format!("--ra-param={},{mtu}{ADVERTISED_S},{lifetime}", self.bridge).into(),
            format!("--dhcp-duid={DUID}").into(),
        ];
        let dns: &[Ipv6Addr] = self.dns_for.as_ref().map_or(ipv6.dns.as_slice(), |dns| dns.address6.as_slice());
        if !dns.is_empty() {
            let list: String = dns.iter().map(|address| format!(",[{address}]")).collect();
            arguments.push(format!("--dhcp-option=option6:dns-server{list}").into());
        }
        arguments
    }

    fn command_line(&self) -> Vec<u8> {
        let mut line = PROGRAM.as_bytes().to_vec();
        line.push(0);
        for argument in self.arguments() {
            line.extend_from_slice(argument.as_encoded_bytes());
            line.push(0);
        }
        line
    }
}

/// A running dnsmasq of ours, held so that its pid cannot become another's.
pub(super) struct Running {
    pid: i32,
    pidfd: OwnedFd,
    command_line: Vec<u8>,
}

impl Running {
    /// The one that the pid file names, if it is a dnsmasq with that pid file.
    pub(super) fn find(pid_file: &Path) -> Option<Self> {
        let pid: i32 = fs::read_to_string(pid_file).ok()?.trim().parse().ok()?;
        let pidfd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::NONBLOCK).ok()?;
        // Read after the handle was taken: what is looked at is what is held.
        let command_line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let mut ours = OsString::from("--pid-file=");
        ours.push(pid_file);
        let mut words = command_line.split(|byte| *byte == 0);
        let program = words.next().is_some_and(|word| word.ends_with(PROGRAM.as_bytes()));
        let named = words.any(|word| word == ours.as_encoded_bytes());
        (program && named).then_some(Self { pid, pidfd, command_line })
    }

    /// Whether it is configured like this.
    pub(super) fn has(&self, config: &Config) -> bool {
        self.command_line == config.command_line()
    }

    /// Makes it read its folder anew: it sees by itself what is added or changed, not what is taken
    /// away (seen with 2.90).
    pub(super) fn read_again(&self) -> io::Result<()> {
        match pidfd_send_signal(&self.pidfd, Signal::HUP) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends it, and waits until it is gone.
    pub(super) async fn end(self) -> io::Result<()> {
        match pidfd_send_signal(&self.pidfd, Signal::TERM) {
            Ok(()) => {}
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let gone = async {
            while self.is_alive() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "dnsmasq does not end");
        tokio::time::timeout(BOUND, gone).await.map_err(late)
    }

    /// The handle keeps the pid from being another's until the process is reaped, and then its
    /// command line is another's, or none.
    fn is_alive(&self) -> bool {
        fs::read(format!("/proc/{}/cmdline", self.pid)).is_ok_and(|now| now == self.command_line)
    }
}

/// Starts one. It returns when dnsmasq has taken its port and gone its own way.
pub(super) async fn start(config: &Config) -> io::Result<()> {
    let mut command = Command::new(PROGRAM);
    command.args(config.arguments()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    // Its own session: a signal to the agent's terminal or group is not for it.
    command.process_group(0);
    let mut child = command.kill_on_drop(true).spawn()?;
    let stderr = child.stderr.take();
    let status = tokio::time::timeout(BOUND, child.wait())
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "dnsmasq does not start"))??;
    if status.success() {
        return Ok(());
    }
    let mut said = Vec::new();
    if let Some(stderr) = stderr {
        use tokio::io::AsyncReadExt;
        stderr.take(2_048).read_to_end(&mut said).await?;
    }
    Err(io::Error::other(String::from_utf8_lossy(&said).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            bridge: "br-campus".to_owned(),
            subnet: "203.0.113.0/24".parse().unwrap(),
            shared: false,
            gateway: None,
            routes: vec![],
            dns: vec![],
            dns_for: None,
            mtu: None,
            ipv6: None,
            lease_minutes: 60,
            hosts: "/run/watari/dhcp/campus.hosts".into(),
            pid_file: "/run/watari/dhcp/campus.pid".into(),
        }
    }

    #[test]
    fn strangers_are_ignored_and_no_router_is_named_that_there_is_not() {
        let arguments = config().arguments();
        let has = |text: &str| arguments.iter().any(|argument| argument == text);
        assert!(has("--dhcp-range=203.0.113.0,static,255.255.255.0,60m"));
        assert!(has("--dhcp-ignore=tag:!known") && has("--port=0") && has("--conf-file="));
        assert!(has("--dhcp-option=option:router") && has("--dhcp-option=option:dns-server"));
        let more = Config {
            gateway: Some("203.0.113.1".parse().unwrap()),
            dns: vec!["192.0.2.53".parse().unwrap()],
            ..config()
        };
        let has = |text: &str| more.arguments().iter().any(|argument| argument == text);
        assert!(has("--dhcp-option=option:router,203.0.113.1") && has("--dhcp-option=option:dns-server,192.0.2.53"));
        assert!(!more.arguments().iter().any(|argument| argument == "--enable-ra"));
    }

    fn ipv6() -> Ipv6 {
        let (cidr, dns) = ("2001:db8:0:1::/64".parse().unwrap(), vec!["2001:db8::53".parse().unwrap()]);
        Ipv6 { cidr, gateway: Some("2001:db8:0:1::1".parse().unwrap()), dns }
    }

    #[test]
    fn by_ipv6_addresses_are_given_to_those_who_are_known_and_on_the_campus_nobody_is_a_router() {
        let both = Config { ipv6: Some(ipv6()), ..config() };
        let arguments = both.arguments();
        let told: Vec<&str> =
            arguments[arguments.len() - 5..].iter().map(|argument| argument.to_str().unwrap()).collect();
        assert_eq!(
            told,
            [
                "--dhcp-range=2001:db8:0:1::,static,64,60m",
                "--enable-ra",
                "--ra-param=br-campus,600,0",
                "--dhcp-duid=32473,77:61:74:61:72:69",
                "--dhcp-option=option6:dns-server,[2001:db8::53]",
            ]
        );
    }

    #[test]
    fn how_large_packets_are_is_told_by_both_ways_if_the_network_says_so() {
        let told = |mtu: Option<u32>| -> Vec<String> {
            let arguments = Config { mtu, ipv6: Some(ipv6()), ..config() }.arguments();
            let texts = arguments.iter().filter_map(|argument| argument.to_str());
            texts.filter(|text| text.contains("mtu")).map(str::to_owned).collect()
        };
        assert_eq!(told(Some(1_400)), ["--dhcp-option=option:mtu,1400", "--ra-param=br-campus,mtu:1400,600,0"]);
        assert_eq!(told(None), [""; 0]);
    }

    #[test]
    fn on_an_overlay_network_the_node_is_a_router_by_ipv6_if_servers_are_told_so() {
        let own: Ipv6Addr = "fd00:1::a01:1".parse().unwrap();
        let lifetime = |gateway: Option<Ipv6Addr>| {
            let (domain, names) = ("lab.watari.internal".to_owned(), "/run/watari/dns/lab".into());
            let dns_for = Some(Dns { domain, names, address: [10, 1, 0, 1].into(), address6: Some(own) });
            let ipv6 = Some(Ipv6 { cidr: "fd00:1::/64".parse().unwrap(), gateway, dns: Vec::new() });
            let arguments = Config { bridge: "wb001000".to_owned(), dns_for, ipv6, ..config() }.arguments();
            let mut found =
                arguments.iter().filter_map(|argument| argument.to_str()?.strip_prefix("--ra-param=wb001000,600,"));
            found.next().map(str::to_owned)
        };
        assert_eq!(lifetime(Some(own)).as_deref(), Some("1800"));
        assert_eq!(lifetime(None).as_deref(), Some("0"), "one that was made before");
    }

    #[test]
    fn the_gateway_is_told_with_the_routes_and_nothing_of_routes_where_there_are_none() {
        let told = |config: Config| {
            let arguments = config.arguments();
            let mut texts =
                arguments.iter().filter_map(|argument| argument.to_str()?.split_once(":classless-static-route"));
            texts.next().map(|(_, list)| list.to_owned())
        };
        let routes: Vec<(Ipv4Net, Ipv4Addr)> = [("198.51.100.0/24", "203.0.113.2"), ("10.0.0.0/8", "203.0.113.3")]
            .map(|(to, via)| (to.parse().unwrap(), via.parse().unwrap()))
            .into();
        let gateway = Some("203.0.113.1".parse().unwrap());
        assert_eq!(told(Config { gateway, ..config() }), None);
        let own = ",198.51.100.0/24,203.0.113.2,10.0.0.0/8,203.0.113.3";
        assert_eq!(told(Config { routes: routes.clone(), ..config() }).as_deref(), Some(own));
        let both = told(Config { gateway, routes, ..config() });
        assert_eq!(both, Some(format!(",0.0.0.0/0,203.0.113.1{own}")));
    }

    #[test]
    fn dnsmasq_itself_accepts_the_arguments() {
        let folder = std::env::temp_dir().join(format!("watari-dnsmasq-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        // It looks the shared interface up at once.
        let shared = Config { shared: true, bridge: "lo".to_owned(), hosts: folder.clone(), ..config() };
        let dns = Dns {
            domain: "lab.watari.internal".to_owned(),
            names: folder.clone(),
            address: "203.0.113.1".parse().unwrap(),
            address6: Some("2001:db8:0:1::cb00:7101".parse().unwrap()),
        };
        let named = Config { dns_for: Some(dns), mtu: Some(1_450), hosts: folder.clone(), ..config() };
        let forwarding = Config { dns: vec!["192.0.2.53".parse().unwrap()], ..named.clone() };
        let both = Config { ipv6: Some(ipv6()), hosts: folder.clone(), ..config() };
        let routes = vec![("198.51.100.0/24".parse().unwrap(), "203.0.113.2".parse().unwrap())];
        let routed =
            Config { gateway: Some("203.0.113.1".parse().unwrap()), routes, hosts: folder.clone(), ..config() };
        let nameless = Config { ipv6: Some(Ipv6 { dns: Vec::new(), ..ipv6() }), ..named.clone() };
        for config in [Config { hosts: folder.clone(), ..config() }, shared, named, forwarding, both, nameless, routed]
        {
            let mut command = std::process::Command::new(PROGRAM);
            let output = command.arg("--test").args(config.arguments()).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn another_process_under_an_old_pid_is_not_taken_for_ours() {
        let path = std::env::temp_dir().join(format!("watari-pid-{}", std::process::id()));
        fs::write(&path, std::process::id().to_string()).unwrap();
        assert!(Running::find(&path).is_none());
        fs::remove_file(&path).unwrap();
    }
}
