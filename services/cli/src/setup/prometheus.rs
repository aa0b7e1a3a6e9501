//! Where Prometheus finds the processes of a cluster, for its discovery by files: it reads them again when they change, so
//! that a host that is added is scraped as soon as they are brought to it. `deploy/prometheus/prometheus.yml` names them.

use serde_json::{Value, json};
use watari_contracts::Service;

use super::{
    cluster::{Cluster, Role, at},
    settings::{NATS_METRICS, telemetry_port},
};

/// Each file's name and text. Only agents have a label `site`: what the monitor tells of nodes has one of its own.
pub(super) fn targets(cluster: &Cluster) -> [(&'static str, String); 3] {
    let fronts = cluster.of_role(Role::Front);
    let of_front = |address| Service::OF_FRONT.into_iter().map(move |service| at(address, telemetry_port(service)));
    let services: Vec<String> = fronts.flat_map(|host| of_front(host.address)).collect();
    let nats: Vec<String> = cluster.nats_servers().map(|host| at(host.address, NATS_METRICS)).collect();
    let agents = cluster.of_role(Role::Node).map(|host| {
        let site = host.site.as_ref().map(ToString::to_string).unwrap_or_default();
        json!({ "targets": [at(host.address, telemetry_port(Service::NodeAgent))], "labels": { "site": site } })
    });
    [
        ("services.json", file([json!({ "targets": services })])),
        ("nats.json", file([json!({ "targets": nats })])),
        ("agents.json", file(agents)),
    ]
}

fn file(groups: impl IntoIterator<Item = Value>) -> String {
    format!("{:#}\n", Value::Array(groups.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_process_of_every_host_is_found_and_only_nodes_have_a_site() {
        let host = |name: &str, role: &str, n: u8| {
            format!("[[host]]\nname='{name}'\nrole='{role}'\nsite='a'\naddress='192.0.2.{n}'\n")
        };
        let hosts = [host("f", "front", 1), host("g", "front", 2), host("w", "witness", 3), host("m", "node", 4)];
        let text = format!("name='c'\nscraped=true\n[[site]]\nname='a'\n{}", hosts.concat());
        let cluster = Cluster::parse(&text, "test").unwrap();
        let found = targets(&cluster).map(|(_, text)| serde_json::from_str::<Value>(&text).unwrap());
        let [services, nats, agents] = &found;
        assert_eq!(services[0]["targets"].as_array().map(Vec::len), Some(8));
        assert_eq!(services[0]["targets"][0], "192.0.2.1:9101");
        assert_eq!(*nats, json!([{ "targets": ["192.0.2.1:9107", "192.0.2.2:9107", "192.0.2.3:9107"] }]));
        assert_eq!(*agents, json!([{ "targets": ["192.0.2.4:9105"], "labels": { "site": "a" } }]));
    }
}
