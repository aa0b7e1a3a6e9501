//! Whether the books balance, by what `watari` lists.

use std::collections::BTreeSet;

use serde_json::Value;

/// What is listed.
pub(super) struct Books {
    pub(super) vms: Value,
    pub(super) nodes: Value,
    pub(super) networks: Value,
    pub(super) ports: Value,
}

impl Books {
    /// What does not balance, if anything.
    pub(super) fn wrong(&self) -> Option<String> {
        self.capacity().or_else(|| self.addresses())
    }

    /// What nodes say is used is what the servers that run there have.
    fn capacity(&self) -> Option<String> {
        rows(&self.nodes).find_map(|node| {
            let name = &node["name"];
            if node["state"] != "ready" {
                return Some(format!("{name} is {}", node["state"]));
            }
            let here = || rows(&self.vms).filter(|vm| vm["state"] == "running" && &vm["node"] == name);
            let sum = |field: &str| here().filter_map(|vm| vm[field].as_u64()).sum::<u64>();
            let booked =
                [("vms", here().count() as u64), ("vcpus_used", sum("vcpus")), ("memory_mib_used", sum("memory_mib"))];
            booked.into_iter().find_map(|(told, booked)| {
                (node[told].as_u64() != Some(booked))
                    .then(|| format!("{told} of {name} is {}, its servers have {booked}", node[told]))
            })
        })
    }

    /// Every address is one server's, and what networks say is used is what ports have.
    fn addresses(&self) -> Option<String> {
        let servers: BTreeSet<&str> = rows(&self.vms).filter_map(|vm| vm["name"].as_str()).collect();
        let mut given = BTreeSet::new();
        for port in rows(&self.ports) {
            let (network, address, vm) = (&port["network"], &port["address"], port["vm"].as_str().unwrap_or_default());
            if !given.insert((network.as_str(), address.as_str())) {
                return Some(format!("{address} was given twice"));
            }
            if !servers.contains(vm) {
                return Some(format!("{address} is {vm}'s, which is not there"));
            }
        }
        rows(&self.networks).filter(|network| network["public"] != true).find_map(|network| {
            let ports = given.iter().filter(|(of, _)| *of == network["name"].as_str()).count() as u64;
            let used = &network["addresses_used"];
            (used.as_u64() != Some(ports)).then(|| format!("{}: {used} addresses used, {ports} ports", network["name"]))
        })
    }
}

fn rows(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn books() -> Books {
        Books {
            vms: json!([
                {"name": "mail", "state": "running", "node": "m1", "vcpus": 1, "memory_mib": 128},
                {"name": "off", "state": "stopped", "node": "m1", "vcpus": 4, "memory_mib": 512},
            ]),
            nodes: json!([
                {"name": "m1", "state": "ready", "vms": 1, "vcpus_used": 1, "memory_mib_used": 128},
                {"name": "y1", "state": "ready", "vms": 0, "vcpus_used": 0, "memory_mib_used": 0},
            ]),
            networks: json!([
                {"name": "campus", "addresses_used": 2},
                {"name": "outside", "public": true, "addresses_used": 7},
            ]),
            ports: json!([
                {"network": "campus", "address": "a", "vm": "mail"},
                {"network": "campus", "address": "b", "vm": "off"},
            ]),
        }
    }

    #[test]
    fn books_balance_or_it_is_told_what_does_not() {
        assert_eq!(books().wrong(), None);
        let told = |spoil: fn(&mut Books)| {
            let mut books = books();
            spoil(&mut books);
            books.wrong().unwrap_or_default()
        };
        assert!(told(|books| books.nodes[1]["state"] = json!("lost")).contains("y1"));
        assert!(told(|books| books.nodes[1]["memory_mib_used"] = json!(128)).contains("memory_mib_used"));
        assert!(told(|books| books.nodes[0]["vms"] = json!(2)).contains("vms of"));
        assert!(told(|books| books.vms[0]["node"] = json!("y1")).contains("m1"));
        assert!(told(|books| books.ports[1]["address"] = json!("a")).contains("twice"));
        assert!(told(|books| books.ports[1]["vm"] = json!("gone")).contains("not there"));
        assert!(told(|books| books.networks[0]["addresses_used"] = json!(3)).contains("2 ports"));
    }
}
