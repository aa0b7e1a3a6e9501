//! What a fleet is made of: its nodes, its servers, its networks and an image.

use std::net::Ipv4Addr;

use anyhow::Context as _;
use futures_util::{TryStreamExt, stream};
use serde_json::{Value, json};
use watari_chassis::{Bucket, Context, clock};
use watari_model::{
    NodeName, SiteName,
    image::Image,
    network::{Network, mac_of},
    node::{Inventory, Node, State as NodeState},
    vm::{Desired, FirstBoot, Grant, Snapshots, State, Vm},
};

/// The campuses, between which nodes alternate.
pub(super) const SITES: [&str; 2] = ["myodaiji", "yamate"];
/// So many documents are written at a time.
const AT_A_TIME: usize = 64;
/// Of so many servers that stand, one runs.
const RUNNING: usize = 100;

/// A node and where it is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) name: NodeName,
    pub(super) site: SiteName,
}

/// So many nodes, half of them in each campus.
pub(super) fn places(nodes: usize) -> anyhow::Result<Vec<Place>> {
    let sites = SITES.iter().cycle().zip(0..nodes);
    sites.map(|(site, number)| Ok(Place { name: format!("n{number:05}").parse()?, site: site.parse()? })).collect()
}

/// What each of them is: large enough for its share, and for the other campus's.
pub(super) fn inventory() -> anyhow::Result<Inventory> {
    let [mut sample, ..] = samples::<2>(include_str!("../../../../shared/contracts/tests/golden/document.nodes.json"))?;
    let inventory = &mut sample["inventory"];
    inventory["vcpus"] = json!(256);
    inventory["memory_mib"] = json!(1 << 20);
    inventory["disk_gib"] = json!(1 << 16);
    inventory["health"] = Value::Null;
    Ok(serde_json::from_value(inventory.take())?)
}

/// The first of the samples that the contracts keep of a message, as JSON.
fn samples<const N: usize>(text: &str) -> anyhow::Result<[Value; N]> {
    let all: Vec<Value> = serde_json::from_str(text)?;
    let first: Vec<Value> = all.into_iter().take(N).collect();
    first.try_into().map_err(|found: Vec<Value>| anyhow::anyhow!("{} samples instead of {N}", found.len()))
}

/// Writes the documents of nodes that are ready, where no monitor does.
pub(super) async fn store_nodes(ctx: &Context, places: &[Place]) -> anyhow::Result<()> {
    let (bucket, inventory) = (Bucket::<Node>::open(ctx).await?, inventory()?);
    let nodes = places.iter().map(|place| {
        let node = Node::new(place.name.clone(), place.site.clone(), inventory.clone(), clock::now());
        Ok::<_, anyhow::Error>(Node { state: NodeState::Ready, ..node })
    });
    let bucket = &bucket;
    stream::iter(nodes)
        .try_for_each_concurrent(AT_A_TIME, |node| async move {
            bucket.create(&node).await?;
            Ok(())
        })
        .await
}

/// Servers `from` to `to` by their numbers, spread over the nodes: one of a hundred runs, the others are off.
pub(super) fn servers(places: &[Place], from: usize, to: usize) -> anyhow::Result<Vec<Vm>> {
    let [sample, ..] = samples::<2>(include_str!("../../../../shared/contracts/tests/golden/document.vms.json"))?;
    let mut template: Vm = serde_json::from_value(sample)?;
    template.spec.first_boot = FirstBoot::default();
    template.spec.groups.clear();
    template.spec.firewalls.clear();
    template.snapshots = Snapshots::default();
    template.leftovers.clear();
    template.requests.clear();
    (template.crossing, template.fault, template.preseed, template.halt) = (None, None, None, None);
    template.guarded = None;
    template.force_off = false;
    let server = |number: usize| -> anyhow::Result<Vm> {
        let mut vm = template.clone();
        let place = &places[number % places.len()];
        vm.name = format!("server-{number:06}").parse()?;
        vm.uuid = format!("00000000-0000-4000-8000-{number:012}");
        vm.home_site = place.site.clone();
        vm.grant = Some(Grant { node: place.name.clone(), generation: 1 });
        (vm.state, vm.desired) = if number.is_multiple_of(RUNNING) {
            (State::Running, Desired::Running)
        } else {
            (State::Stopped, Desired::Stopped)
        };
        for nic in &mut vm.spec.nics {
            nic.address = Ipv4Addr::from(0x0a00_0000 + u32::try_from(number)?);
            nic.mac = mac_of(nic.address);
        }
        Ok(vm)
    };
    (from..to).map(server).collect()
}

/// Writes servers' documents, and tells of each at once.
pub(super) async fn store_servers(ctx: &Context, servers: &[Vm], stored: impl Fn(&Vm)) -> anyhow::Result<()> {
    let bucket = &Bucket::<Vm>::open(ctx).await?;
    let stored = &stored;
    stream::iter(servers.iter().map(Ok::<_, anyhow::Error>))
        .try_for_each_concurrent(AT_A_TIME, |vm| async move {
            bucket.create(vm).await?;
            stored(vm);
            Ok(())
        })
        .await
}

/// Makes an image that is ready and as many networks, `net-0` and so on, each with 253 addresses.
pub(super) async fn store_ground(ctx: &Context, networks: usize) -> anyhow::Result<()> {
    let [mut image, ..] = samples::<1>(include_str!("../../../../shared/contracts/tests/golden/document.images.json"))?;
    image["about"] = json!({});
    let image: Image = serde_json::from_value(image).context("the image")?;
    Bucket::<Image>::open(ctx).await?.create(&image).await?;
    let [sample, ..] = samples::<2>(include_str!("../../../../shared/contracts/tests/golden/document.networks.json"))?;
    let bucket = Bucket::<Network>::open(ctx).await?;
    for number in 0..networks {
        let (b, c) = (number / 256, number % 256);
        let mut network = sample.clone();
        network["name"] = json!(format!("net-{number}"));
        network["cidr"] = json!(format!("10.{b}.{c}.0/24"));
        network["range"] = json!({"first": format!("10.{b}.{c}.2"), "last": format!("10.{b}.{c}.254")});
        network["excluded"] = json!([]);
        network["gateway"] = json!(format!("10.{b}.{c}.1"));
        let network: Network = serde_json::from_value(network).context("a network")?;
        bucket.create(&network).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_spread_over_the_nodes_of_both_campuses_and_one_of_a_hundred_runs() {
        let places = places(4).unwrap();
        let servers = servers(&places, 0, 200).unwrap();
        let on = |node: &str| servers.iter().filter(|vm| vm.node().is_some_and(|n| n.as_str() == node)).count();
        assert_eq!((on("n00000"), on("n00003")), (50, 50));
        assert_eq!(servers.iter().filter(|vm| vm.state == State::Running).count(), 2);
        assert_eq!(servers[3].home_site.as_str(), SITES[1]);
        inventory().unwrap();
    }
}
