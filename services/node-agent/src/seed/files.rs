//! What stands on the volume: JSON, which is YAML too, so that no name can break out of its place.

use std::net::{IpAddr, Ipv6Addr};

use serde_json::{Value, json};
use watari_contracts::agent::{Ipv6Wire, Server, Wire};
use watari_model::network::Route;

/// The three files of NoCloud.
#[derive(Clone, PartialEq, Eq)]
pub struct Files {
    /// Who the server is.
    pub meta_data: String,
    /// What its operator wants done.
    pub user_data: String,
    /// Its cards (version 2, netplan's form).
    pub network_config: String,
}

/// The files of a server.
#[must_use]
pub fn files(server: &Server) -> Files {
    let seed = &server.seed;
    let keys: Vec<&str> = seed.keys.iter().map(|key| key.as_str()).collect();
    let meta_data = json!({
        "instance-id": server.uuid,
        "local-hostname": seed.hostname,
        "public-keys": keys,
    });
    // Without the file cloud-init takes the volume for none.
    let user_data = seed.user_data.as_ref().map_or_else(|| "#cloud-config\n".to_owned(), |text| text.0.clone());
    Files { meta_data: line(&meta_data), user_data, network_config: line(&network(&server.wires)) }
}

fn line(value: &Value) -> String {
    format!("{value:#}\n")
}

fn gateway6(wire: &Wire) -> Option<Ipv6Addr> {
    wire.ipv6.as_ref()?.network.gateway
}

/// Every card by its MAC, with the address that is the server's for life: that needs no DHCP to
/// answer. Of several gateways the first is the way out; other routes are each card's own.
fn network(wires: &[Wire]) -> Value {
    let way_out = wires.iter().position(|wire| wire.gateway.is_some());
    let way_out6 = wires.iter().position(|wire| gateway6(wire).is_some());
    let cards = wires.iter().enumerate().map(|(index, wire)| {
        let name = format!("eth{index}");
        let prefix = wire.cidr.rsplit_once('/').map_or("32", |(_, prefix)| prefix);
        let mut card = json!({
            "match": {"macaddress": wire.mac},
            "set-name": name,
            "addresses": [format!("{}/{prefix}", wire.address)],
        });
        if let Some(mtu) = wire.mtu {
            card["mtu"] = json!(mtu);
        }
        let mut routes: Vec<Value> = Vec::new();
        routes
            .extend(wire.gateway.filter(|_| way_out == Some(index)).map(|via| json!({"to": "0.0.0.0/0", "via": via})));
        let mut dns: Vec<IpAddr> = wire.dns.iter().copied().map(IpAddr::V4).collect();
        if let Some(Ipv6Wire { network, address }) = &wire.ipv6 {
            card["addresses"] =
                json!([format!("{}/{prefix}", wire.address), format!("{address}/{}", network.cidr.prefix_len())]);
            // It has its address for life, and no router of the segment gives it another.
            card["accept-ra"] = json!(false);
            routes.extend(
                gateway6(wire).filter(|_| way_out6 == Some(index)).map(|via| json!({"to": "::/0", "via": via})),
            );
            dns.extend(network.dns.iter().copied().map(IpAddr::V6));
        }
        routes.extend(wire.routes.iter().map(|Route { to, via }| json!({"to": to, "via": via})));
        if !routes.is_empty() {
            card["routes"] = json!(routes);
        }
        if !dns.is_empty() {
            card["nameservers"] = json!({"addresses": dns});
        }
        (name, card)
    });
    json!({"version": 2, "ethernets": Value::Object(cards.collect())})
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::Ipv4Addr;

    use watari_contracts::agent::Seed;
    use watari_model::userdata::Text;
    use watari_testkit::orders;

    use super::*;

    pub(in crate::seed) fn server() -> Server {
        let card = |network: &str, n: u8, gateway: Option<&str>| Wire {
            network: network.parse().unwrap(),
            gateway: gateway.map(|g| g.parse().unwrap()),
            dns: gateway.map(|_| "203.0.113.2".parse().unwrap()).into_iter().collect(),
            ..orders::card(Ipv4Addr::new(203, 0, 113, n))
        };
        Server {
            wires: vec![card("a", 100, None), card("b", 101, Some("203.0.113.1")), card("c", 102, Some("203.0.113.9"))],
            seed: Seed {
                hostname: "mail.example.jp".parse().unwrap(),
                keys: vec![],
                user_data: Some(Text("#!/bin/sh\necho hello\n".to_owned())),
            },
            ..orders::server("mail", "4dea22b3-1d52-48f3-9d2c-0c0d8e1a7b6f")
        }
    }

    #[test]
    fn each_card_has_its_own_address_and_the_first_gateway_is_the_way_out() {
        let config: Value = serde_json::from_str(&files(&server()).network_config).unwrap();
        let cards = &config["ethernets"];
        assert_eq!(cards["eth0"]["match"]["macaddress"], "52:57:cb:00:71:64");
        assert_eq!(cards["eth0"]["addresses"], json!(["203.0.113.100/24"]));
        assert_eq!((&cards["eth0"]["routes"], &cards["eth2"]["routes"]), (&Value::Null, &Value::Null));
        assert_eq!(cards["eth1"]["routes"], json!([{"to": "0.0.0.0/0", "via": "203.0.113.1"}]));
        assert_eq!(cards["eth1"]["nameservers"], json!({"addresses": ["203.0.113.2"]}));
    }

    #[test]
    fn every_card_has_the_routes_of_its_network_besides_the_way_out() {
        let mut server = server();
        for (wire, route) in server.wires.iter_mut().zip(["10.0.0.0/8=203.0.113.2", "198.51.100.0/24=203.0.113.3"]) {
            wire.routes = vec![route.parse().unwrap()];
        }
        let config: Value = serde_json::from_str(&files(&server).network_config).unwrap();
        let routes = |card: &str| config["ethernets"][card]["routes"].clone();
        assert_eq!(routes("eth0"), json!([{"to": "10.0.0.0/8", "via": "203.0.113.2"}]));
        let ways = [("0.0.0.0/0", "203.0.113.1"), ("198.51.100.0/24", "203.0.113.3")];
        assert_eq!(routes("eth1"), json!(ways.map(|(to, via)| json!({"to": to, "via": via}))));
    }

    #[test]
    fn a_card_is_told_how_large_packets_are_if_its_network_says_so() {
        let mut server = server();
        server.wires[1].mtu = Some(1_400);
        let config: Value = serde_json::from_str(&files(&server).network_config).unwrap();
        let told = ["eth0", "eth1", "eth2"].map(|card| config["ethernets"][card]["mtu"].clone());
        assert_eq!(told, [Value::Null, json!(1_400), Value::Null]);
    }

    #[test]
    fn a_card_with_ipv6_has_both_addresses_and_heeds_no_routers_words() {
        let mut server = server();
        let network = watari_model::network::Ipv6 {
            cidr: "2001:db8:0:1::/64".parse().unwrap(),
            gateway: Some("2001:db8:0:1::1".parse().unwrap()),
            dns: vec!["2001:db8::53".parse().unwrap()],
        };
        let address = network.beside(server.wires[1].address);
        server.wires[1].ipv6 = Some(Ipv6Wire { network, address });
        let config: Value = serde_json::from_str(&files(&server).network_config).unwrap();
        let card = &config["ethernets"]["eth1"];
        assert_eq!(card["addresses"], json!(["203.0.113.101/24", "2001:db8:0:1::cb00:7165/64"]));
        let ways = [("0.0.0.0/0", "203.0.113.1"), ("::/0", "2001:db8:0:1::1")];
        assert_eq!(card["routes"], json!(ways.map(|(to, via)| json!({"to": to, "via": via}))));
        assert_eq!(card["nameservers"], json!({"addresses": ["203.0.113.2", "2001:db8::53"]}));
        assert_eq!((&card["accept-ra"], &config["ethernets"]["eth0"]["accept-ra"]), (&json!(false), &Value::Null));
    }

    #[test]
    fn a_server_is_told_who_it_is_and_its_user_data_as_they_were_given() {
        let files = files(&server());
        let meta: Value = serde_json::from_str(&files.meta_data).unwrap();
        assert_eq!(meta["instance-id"], "4dea22b3-1d52-48f3-9d2c-0c0d8e1a7b6f");
        assert_eq!(meta["local-hostname"], "mail.example.jp");
        assert_eq!(files.user_data, "#!/bin/sh\necho hello\n");
    }
}
