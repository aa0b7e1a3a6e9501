//! The configuration files of Watari's own processes. What is not written here keeps the default
//! that `--print-config` shows.

use sha2::{Digest, Sha256};
use toml::{Table, Value};
use watari_contracts::{Service, permissions};

use super::{
    NATS,
    cluster::{Cluster, Host, Role, at},
    founding,
    identity::Identity,
};
use crate::format::hex;

/// Ports of `/metrics`, `/live` and `/ready`.
pub(super) const fn telemetry_port(service: Service) -> u16 {
    match service {
        Service::Scheduler => 9101,
        Service::Image => 9102,
        Service::Network => 9103,
        Service::Monitor => 9104,
        Service::NodeAgent => 9105,
    }
}

/// The port of the NATS server's `/metrics`.
pub(super) const NATS_METRICS: u16 = 9107;
/// Where an image service hands out blobs to nodes and to other front ends (mutual TLS).
const BLOBS: u16 = 8443;
/// Where it takes uploads from operators and nodes (TLS and a ticket).
const UPLOADS: u16 = 8444;

/// A process's configuration file. The monitor and the scheduler are told what the keys of `identities` are called.
#[must_use]
pub fn of(cluster: &Cluster, host: &Host, service: Service, identities: &[Identity]) -> String {
    let mut table = common(cluster, host, service);
    match service {
        Service::NodeAgent => node_agent(&mut table, cluster, host),
        Service::Image => image(&mut table, cluster, host),
        Service::Scheduler => scheduler(&mut table, cluster, host, identities),
        Service::Monitor => monitor(&mut table, identities),
        Service::Network => {}
    }
    written(host, &table)
}

/// Where the command has its key: whoever sets a cluster up is an administrator.
pub const KEY_OF_COMMAND: &str = "etc/watari/administrator.nk";

/// The operator's command on a client host: with it `watari` needs no further setting.
#[must_use]
pub fn of_command(cluster: &Cluster, host: &Host) -> String {
    let mut table = Table::new();
    table.insert("nats".to_owned(), strings(cluster.urls_for(host)));
    table.insert("nkey".to_owned(), text(format!("/{KEY_OF_COMMAND}")));
    table.insert("ca".to_owned(), text("/etc/watari/ca.crt"));
    written(host, &table)
}

/// `watari backup` on a front end, as root.
#[must_use]
pub fn of_backup(cluster: &Cluster, host: &Host) -> String {
    let mut table = Table::new();
    table.insert("nats".to_owned(), strings(cluster.urls_for(host)));
    table.insert("nkey".to_owned(), text("/etc/watari/nkeys/backup.nk"));
    table.insert("ca".to_owned(), text("/etc/watari/tls/ca.crt"));
    written(host, &table)
}

fn written(host: &Host, table: &Table) -> String {
    let body = table.to_string();
    format!("# Made by `watari setup` for {}; changes are lost when it runs again.\n{}\n{body}", host.name, seal(&body))
}

/// The line by which a file is known that nobody has changed.
fn seal(body: &str) -> String {
    format!("# As it was made: {}", &hex(&Sha256::digest(body))[..16])
}

/// Whether two files set the same: only what stands above the settings differs, if anything.
pub(crate) fn is_the_same(one: &str, other: &str) -> bool {
    let settings =
        |text: &str| text.lines().skip_while(|line| line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    settings(one) == settings(other)
}

/// Whether a settings file is as it was made, so that a newer form may take its place: nobody has set anything in it.
pub(crate) fn is_as_made(text: &str) -> bool {
    let mut parts = text.splitn(3, '\n').skip(1);
    parts.next().zip(parts.next()).is_some_and(|(line, body)| line == seal(body))
}

/// All that stands at the top of a file that is made here.
const MADE: [&str; 26] = [
    "bus",
    "ca",
    "capacity",
    "company",
    "config",
    "founding",
    "frontends",
    "history",
    "host",
    "image",
    "joins",
    "labels",
    "lease",
    "limits",
    "migration_address",
    "nats",
    "networks",
    "nkey",
    "node",
    "people",
    "quorum",
    "route",
    "site",
    "sites",
    "store",
    "telemetry",
];

/// Whether a file sets nothing but what is made here. Which programs a process starts, for one, is said by whoever is root
/// on its host and by no other front end.
pub(crate) fn sets_what_is_made(text: &str) -> bool {
    toml::from_str::<Table>(text).is_ok_and(|table| table.keys().all(|key| MADE.contains(&key.as_str())))
}

fn text(value: impl ToString) -> Value {
    Value::String(value.to_string())
}

fn strings(values: impl IntoIterator<Item = String>) -> Value {
    Value::Array(values.into_iter().map(Value::String).collect())
}

fn section(table: &mut Table, name: &str, entries: impl IntoIterator<Item = (&'static str, Value)>) {
    let entries: Table = entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    table.insert(name.to_owned(), Value::Table(entries));
}

fn common(cluster: &Cluster, host: &Host, service: Service) -> Table {
    let mut table = Table::new();
    section(
        &mut table,
        "bus",
        [
            ("urls", strings(cluster.urls_for(host))),
            ("nkey", text(format!("/etc/watari/nkeys/{}.nk", service.name()))),
            ("ca", text("/etc/watari/tls/ca.crt")),
            ("identity", text(format!("{}.{}", service.name(), host.name))),
            ("replicas", Value::Integer(cluster.copies().into())),
        ],
    );
    if service != Service::NodeAgent {
        section(&mut table, "lease", host.site.iter().map(|site| ("site", text(site))));
    }
    section(&mut table, "telemetry", telemetry(cluster, host, telemetry_port(service)));
    table
}

/// To whom a process tells how it is: to its own host alone, or to whoever reaches that.
fn telemetry(cluster: &Cluster, host: &Host, port: u16) -> Vec<(&'static str, Value)> {
    if cluster.scraped {
        vec![("listen", text(at(host.address, port))), ("listen_beyond_loopback", Value::Boolean(true))]
    } else {
        vec![("listen", text(format!("127.0.0.1:{port}")))]
    }
}

/// The files with which a process proves who it is over HTTPS.
fn tls() -> [(&'static str, Value); 3] {
    [
        ("ca", text("/etc/watari/tls/ca.crt")),
        ("cert", text("/etc/watari/tls/host.crt")),
        ("key", text("/etc/watari/tls/host.key")),
    ]
}

fn blobs(front: &Host) -> String {
    format!("https://{}", at(front.address, BLOBS))
}

fn image(table: &mut Table, cluster: &Cluster, host: &Host) {
    let peers = cluster.of_role(Role::Front).filter(|f| f.name != host.name).map(blobs);
    let mut entries = vec![
        ("listen_blobs", text(at(host.address, BLOBS))),
        ("listen_uploads", text(at(host.address, UPLOADS))),
        ("advertise", text(format!("https://{}", at(host.address, UPLOADS)))),
        ("peers", strings(peers)),
        ("tls", Value::Table(tls().into_iter().map(|(key, value)| (key.to_owned(), value)).collect())),
    ];
    entries.extend(host.site.iter().map(|site| ("site", text(site))));
    section(table, "image", entries);
}

fn people(identities: &[Identity]) -> Value {
    let person = |i: &&Identity| i.role.as_ref().is_some_and(permissions::Role::is_persons);
    Value::Table(identities.iter().filter(person).map(|i| (i.public.clone(), text(&i.name))).collect())
}

fn monitor(table: &mut Table, identities: &[Identity]) {
    section(table, "history", [("people", people(identities))]);
}

fn scheduler(table: &mut Table, cluster: &Cluster, host: &Host, identities: &[Identity]) {
    table.insert("people".to_owned(), people(identities));
    let sites = cluster.sites.iter().map(|site| {
        let title = site.title.as_deref().unwrap_or(site.name.as_str());
        Value::Table(
            [("name", text(&site.name)), ("title", text(title))].map(|(k, v)| (k.to_owned(), v)).into_iter().collect(),
        )
    });
    table.insert("sites".to_owned(), Value::Array(sites.collect()));
    // The first front end of the description is the primary one until an operator names another.
    let home = cluster.of_role(Role::Front).find_map(|front| front.site.as_ref());
    section(table, "frontends", home.map(|site| ("home", text(site))));
    if cluster.nats_servers().count() > 1 {
        let named = |server: &Host| {
            let site = server.site.iter().map(|site| ("site".to_owned(), text(site)));
            Value::Table([("name".to_owned(), text(&server.name))].into_iter().chain(site).collect())
        };
        let identity = |name: &str| text(format!("{name}.{}", host.name));
        section(
            table,
            "quorum",
            [
                ("hosts", Value::Array(cluster.nats_servers().map(named).collect())),
                ("streams_nkey", text("/etc/watari/nkeys/keeper.nk")),
                ("streams_identity", identity("keeper")),
                ("servers_nkey", text("/etc/watari/nkeys/server-keeper.nk")),
                ("servers_identity", identity("server-keeper")),
            ],
        );
    }
}

/// What starts a host's NATS server. It asks the others first, since its own is not there yet.
#[must_use]
pub fn of_launcher(cluster: &Cluster, host: &Host) -> String {
    let mut table = Table::new();
    let mut urls = cluster.urls_for(host);
    urls.rotate_left(1);
    table.insert("host".to_owned(), text(&host.name));
    table.insert("config".to_owned(), text(format!("/{NATS}")));
    table.insert("store".to_owned(), text("/var/lib/nats"));
    section(
        &mut table,
        "bus",
        [
            ("urls", strings(urls)),
            ("nkey", text("/etc/watari/nkeys/nats.nk")),
            ("ca", text("/etc/watari/tls/ca.crt")),
            ("identity", text(format!("nats.{}", host.name))),
        ],
    );
    section(&mut table, "telemetry", telemetry(cluster, host, NATS_METRICS));
    let file = |path: &str| text(format!("/{path}"));
    if cluster.may_be_left_alone(host) {
        table.insert("company".to_owned(), file(founding::COMPANY));
    }
    if cluster.joins(host) {
        table.insert("joins".to_owned(), Value::Boolean(true));
        let first = cluster.nats_servers().next();
        table.extend(first.map(|first| ("route".to_owned(), text(at(first.address, 6222)))));
    }
    if cluster.founds(host) {
        section(
            &mut table,
            "founding",
            [("url", text(founding::URL)), ("founder", file(founding::FOUNDER)), ("midwife", file(founding::MIDWIFE))],
        );
    }
    written(host, &table)
}

fn node_agent(table: &mut Table, cluster: &Cluster, host: &Host) {
    table.insert("node".to_owned(), text(&host.name));
    table.insert("migration_address".to_owned(), text(host.address));
    table.extend(host.site.iter().map(|site| ("site".to_owned(), text(site))));
    let mut capacity = Vec::new();
    capacity.extend(host.vcpus.map(|vcpus| ("vcpus", Value::Integer(vcpus.into()))));
    capacity.extend(host.memory_mib.map(|mib| ("memory_mib", Value::Integer(i64::try_from(mib).unwrap_or(i64::MAX)))));
    if !capacity.is_empty() {
        section(table, "capacity", capacity);
    }
    if !host.labels.is_empty() {
        let labels: Table = host.labels.iter().map(|(key, value)| (key.clone(), text(value))).collect();
        table.insert("labels".to_owned(), Value::Table(labels));
    }
    // A network plan holds every port of the node's networks, some eighty bytes each.
    section(table, "limits", [("request_bytes", Value::Integer(1_000_000))]);
    let segments: Table = host.segments.iter().map(|(segment, bridge)| (segment.to_string(), text(bridge))).collect();
    section(table, "networks", [("segments", Value::Table(segments))]);
    let mut fronts: Vec<&Host> = cluster.of_role(Role::Front).collect();
    fronts.sort_by_key(|f| f.site != host.site);
    let mut image = vec![("sources", strings(fronts.into_iter().map(blobs)))];
    image.extend(tls());
    section(table, "image", image);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_somebody_has_changed_is_told_from_one_as_it_was_made() {
        let cluster = "name='c'\n[[site]]\nname='a'\n[[host]]\nname='f'\nrole='front'\nsite='a'\naddress='192.0.2.1'\n";
        let cluster = Cluster::parse(cluster, "test").unwrap();
        let made = of_launcher(&cluster, &cluster.hosts[0]);
        assert!(is_as_made(&made), "{made}");
        // As an earlier version made it.
        let unsealed =
            made.lines().filter(|line| !line.starts_with("# As it was made")).map(|line| format!("{line}\n"));
        assert!(is_the_same(&made, &unsealed.collect::<String>()));
        for changed in
            [format!("{made}# ours\n"), made.replace("/var/lib/nats", "/srv/nats"), String::new(), "a = 1\n".to_owned()]
        {
            assert!(!is_as_made(&changed) && !is_the_same(&changed, &made), "{changed}");
        }
    }
    #[test]
    fn what_is_made_is_known_and_no_program_is_among_it() {
        let host = |name: &str, role: &str, n: u8| {
            format!("[[host]]\nname='{name}'\nrole='{role}'\nsite='a'\naddress='192.0.2.{n}'\n")
        };
        let (f, g, m) = (host("f", "front", 1), host("g", "front", 2), host("m", "node", 3));
        let text = format!("name='c'\ngrows=true\n[[site]]\nname='a'\n{f}{g}{m}vcpus=4\nlabels={{rack='b'}}\n");
        let cluster = Cluster::parse(&text, "test").unwrap();
        for host in &cluster.hosts {
            for service in Service::OF_FRONT.into_iter().chain([Service::NodeAgent]) {
                let made = of(&cluster, host, service, &[]);
                assert!(sets_what_is_made(&made), "{made}");
            }
            for made in [of_launcher(&cluster, host), of_backup(&cluster, host), of_command(&cluster, host)] {
                assert!(sets_what_is_made(&made), "{made}");
            }
        }
        for bad in ["[power]\nshut_down = ['sh']\n", "libvirt_uri = 'x'\n", "[[fencing]]\n", "no settings"] {
            assert!(!sets_what_is_made(bad), "{bad}");
        }
    }
}
