//! The kernel's links, addresses and forwarding tables, through rtnetlink, which is named in this
//! module and nowhere else.

mod routes;
mod tables;

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
};

use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::{
    AddressAddRequest, Handle, LinkBridge, LinkBridgePort, LinkUnspec, LinkVlan, LinkVxlan,
    packet_route::{
        AddressFamily,
        address::{AddressAttribute, AddressFlags},
        link::{InfoData, InfoVlan, InfoVxlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
    },
};

pub(super) use routes::{Route, Rule};
pub(super) use tables::Mac;

/// Where VXLAN packets arrive (IANA's port; Linux's own default is another).
pub(super) const VXLAN_PORT: u16 = 4789;

/// A connection to the kernel of this network namespace.
pub(super) struct Links {
    handle: Handle,
}

/// A link as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    /// What it was labelled with.
    pub(super) alias: String,
    pub(super) mac: Vec<u8>,
    pub(super) mtu: u32,
    pub(super) up: bool,
    /// The bridge that it is a port of, by index.
    pub(super) bridge: Option<u32>,
    /// What its tunnel is, if it is one.
    pub(super) vxlan: Option<Vxlan>,
    /// What it is tagged with, if it is a VLAN's.
    pub(super) vlan: Option<Vlan>,
}

/// A tagged interface's own part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Vlan {
    pub(super) tag: u16,
    /// The interface on which it stands, by index.
    pub(super) under: u32,
}

/// A VXLAN tunnel's own part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Vxlan {
    pub(super) vni: u32,
    pub(super) local: Ipv4Addr,
    pub(super) learning: bool,
    /// Whether it answers questions for addresses (ARP) by itself, and lets none of them out.
    pub(super) proxy: bool,
    pub(super) port: u16,
}

/// What is asked of the kernel, and the kernel's answer.
fn failed(act: &'static str) -> impl FnOnce(rtnetlink::Error) -> io::Error {
    move |error| {
        let kind = match &error {
            rtnetlink::Error::NetlinkError(message) => message.to_io().kind(),
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, format!("the kernel would not {act}: {error}"))
    }
}

impl Links {
    /// Opens the connection, which ends with the runtime.
    ///
    /// # Errors
    /// The kernel gives no socket.
    pub(super) fn open() -> io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// The largest packet in bytes of the interface that has this address; none if no interface has it.
    pub(super) async fn mtu_at(&self, address: Ipv4Addr) -> io::Result<Option<u32>> {
        let Some(index) = self.with_address(address.into()).await? else { return Ok(None) };
        Ok(self.all().await?.into_iter().find(|link| link.index == index).map(|link| link.mtu))
    }

    /// The index of the interface that has this address.
    pub(super) async fn with_address(&self, address: IpAddr) -> io::Result<Option<u32>> {
        let (family, ours) = match address {
            IpAddr::V4(_) => (AddressFamily::Inet, AddressAttribute::Local(address)),
            // Here the kernel says so only of one that has another at its other end.
            IpAddr::V6(_) => (AddressFamily::Inet6, AddressAttribute::Address(address)),
        };
        let mut request = self.handle.address().get();
        request.message_mut().header.family = family;
        let mut all = request.execute();
        let mut found = None;
        while let Some(one) = all.try_next().await.map_err(failed("list its addresses"))? {
            if one.attributes.contains(&ours) {
                found = Some(one.header.index);
            }
        }
        Ok(found)
    }

    /// Every link.
    pub(super) async fn all(&self) -> io::Result<Vec<Link>> {
        let found: Vec<LinkMessage> =
            self.handle.link().get().execute().try_collect().await.map_err(failed("list its links"))?;
        Ok(found.iter().map(Link::from).collect())
    }

    /// The link of that name.
    pub(super) async fn named(&self, name: &str) -> io::Result<Option<Link>> {
        let found = self.handle.link().get().match_name(name.to_owned()).execute().try_next().await;
        match found.map_err(failed("show a link")) {
            Ok(link) => Ok(link.as_ref().map(Link::from)),
            // ENODEV has no kind of its own.
            Err(_) if !std::path::Path::new("/sys/class/net").join(name).exists() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a bridge that floods no groups and is not up yet.
    pub(super) async fn add_bridge(&self, name: &str, mac: &[u8], mtu: u32) -> io::Result<()> {
        let bridge = LinkBridge::new(name).down().address(mac.to_vec()).mtu(mtu).mcast_snooping(false).build();
        self.handle.link().add(bridge).execute().await.map_err(failed("make a bridge"))
    }

    /// Makes a tunnel as a port of that bridge.
    pub(super) async fn add_vxlan(&self, name: &str, tunnel: Vxlan, mtu: u32, bridge: u32) -> io::Result<()> {
        let link = LinkVxlan::new(name, tunnel.vni)
            .local(tunnel.local)
            .port(tunnel.port)
            .learning(tunnel.learning)
            .append_info_data(InfoVxlan::Proxy(tunnel.proxy))
            .mtu(mtu)
            .controller(bridge)
            .build();
        self.handle.link().add(link).execute().await.map_err(failed("make a VXLAN tunnel"))
    }

    /// Makes a tagged interface as a port of that bridge.
    pub(super) async fn add_vlan(&self, name: &str, vlan: Vlan, bridge: u32) -> io::Result<()> {
        let link = LinkVlan::new(name, vlan.under, vlan.tag).controller(bridge).build();
        self.handle.link().add(link).execute().await.map_err(failed("make a VLAN interface"))
    }

    /// As a port of its bridge: it learns nothing, and what the bridge does not know does not leave by it. What is for a
    /// group does if `groups` says so: questions for IPv6 neighbours, which the tunnel answers itself.
    pub(super) async fn quieten(&self, index: u32, groups: bool) -> io::Result<()> {
        let port = LinkBridgePort::new(index).learning(false).flood(false).mcast_flood(groups).build();
        self.handle.link().set_port(port).execute().await.map_err(failed("set a bridge's port"))
    }

    /// Labels a link and puts it up.
    pub(super) async fn raise(&self, index: u32, alias: &str, mtu: u32) -> io::Result<()> {
        let link = LinkUnspec::new_with_index(index)
            .append_extra_attribute(LinkAttribute::IfAlias(alias.to_owned()))
            .mtu(mtu)
            .up()
            .build();
        self.handle.link().set(link).execute().await.map_err(failed("put a link up"))
    }

    /// Removes a link; one that is gone is removed.
    pub(super) async fn delete(&self, link: &Link) -> io::Result<()> {
        match self.handle.link().del(link.index).execute().await.map_err(failed("remove a link")) {
            Err(error) if self.named(&link.name).await?.is_some() => Err(error),
            _ => Ok(()),
        }
    }

    /// Gives a link an address, with the length of its subnet's prefix, if it has not got it.
    pub(super) async fn add_address(&self, index: u32, address: IpNet) -> io::Result<()> {
        give(self.handle.address().add(index, address.addr(), address.prefix_len())).await
    }

    /// The same, but the rest of the subnet is for the node where it was before: it gets no route by this link.
    pub(super) async fn add_lone_address(&self, index: u32, address: IpNet) -> io::Result<()> {
        let mut request = self.handle.address().add(index, address.addr(), address.prefix_len());
        request.message_mut().attributes.push(AddressAttribute::Flags(AddressFlags::Noprefixroute));
        give(request).await
    }
}

async fn give(request: AddressAddRequest) -> io::Result<()> {
    match request.execute().await.map_err(failed("give a bridge its address")) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome,
    }
}

impl From<&LinkMessage> for Link {
    fn from(message: &LinkMessage) -> Self {
        let mut link = Self {
            index: message.header.index,
            name: String::new(),
            alias: String::new(),
            mac: Vec::new(),
            mtu: 0,
            up: message.header.flags.contains(LinkFlags::Up),
            bridge: None,
            vxlan: None,
            vlan: None,
        };
        let (mut tag, mut under) = (None, None);
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name.clone_from(name),
                LinkAttribute::IfAlias(alias) => link.alias.clone_from(alias),
                LinkAttribute::Address(mac) => link.mac.clone_from(mac),
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::Controller(index) => link.bridge = Some(*index),
                LinkAttribute::Link(index) => under = Some(*index),
                LinkAttribute::LinkInfo(infos) => {
                    (link.vxlan, tag) = (infos.iter().find_map(vxlan), infos.iter().find_map(tag_of));
                }
                _ => {}
            }
        }
        link.vlan = tag.zip(under).map(|(tag, under)| Vlan { tag, under });
        link
    }
}

fn tag_of(info: &LinkInfo) -> Option<u16> {
    let LinkInfo::Data(InfoData::Vlan(infos)) = info else { return None };
    infos.iter().find_map(|info| match info {
        InfoVlan::Id(tag) => Some(*tag),
        _ => None,
    })
}

fn vxlan(info: &LinkInfo) -> Option<Vxlan> {
    let LinkInfo::Data(InfoData::Vxlan(infos)) = info else { return None };
    let mut found = Vxlan { vni: 0, local: Ipv4Addr::UNSPECIFIED, learning: false, proxy: false, port: 0 };
    for info in infos {
        match info {
            InfoVxlan::Id(vni) => found.vni = *vni,
            InfoVxlan::Local(local) => found.local = *local,
            InfoVxlan::Learning(learning) => found.learning = *learning,
            InfoVxlan::Proxy(proxy) => found.proxy = *proxy,
            InfoVxlan::Port(port) => found.port = *port,
            _ => {}
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_leads_to_its_interface() {
        let links = Links::open().unwrap();
        assert_eq!(links.mtu_at(Ipv4Addr::LOCALHOST).await.unwrap(), Some(65_536));
        assert_eq!(links.mtu_at(Ipv4Addr::new(192, 0, 2, 254)).await.unwrap(), None);
        assert_eq!(links.named("no-such-link").await.unwrap(), None);
    }
}
