//! The kernel's links, addresses and forwarding tables, through rtnetlink, which is named in this
//! module and nowhere else.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
};

use futures_util::TryStreamExt;
use rtnetlink::{
    Handle,
    packet_route::{
        AddressFamily,
        address::AddressAttribute,
        link::{LinkAttribute, LinkMessage},
    },
};

/// A connection to the kernel of this network namespace.
pub(super) struct Links {
    handle: Handle,
}

/// What is asked of the kernel, and the kernel's answer.
fn failed(act: &'static str) -> impl FnOnce(rtnetlink::Error) -> io::Error {
    move |error| {
        let kind = match &error {
            rtnetlink::Error::NetlinkError(message) => io::Error::from(message.to_io().kind()).kind(),
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
        let mut request = self.handle.address().get();
        request.message_mut().header.family = AddressFamily::Inet;
        let mut all = request.execute();
        let ours = AddressAttribute::Local(IpAddr::V4(address));
        while let Some(found) = all.try_next().await.map_err(failed("list its addresses"))? {
            if found.attributes.contains(&ours) {
                return Ok(self.link(found.header.index).await?.and_then(|link| mtu(&link)));
            }
        }
        Ok(None)
    }

    async fn link(&self, index: u32) -> io::Result<Option<LinkMessage>> {
        let mut found = self.handle.link().get().match_index(index).execute();
        match found.try_next().await {
            Ok(link) => Ok(link),
            Err(error) => match failed("show a link")(error) {
                // It went just now.
                gone if gone.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => Ok(None),
                other => Err(other),
            },
        }
    }
}

fn mtu(link: &LinkMessage) -> Option<u32> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Mtu(mtu) => Some(*mtu),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_leads_to_its_interface() {
        let links = Links::open().unwrap();
        assert_eq!(links.mtu_at(Ipv4Addr::LOCALHOST).await.unwrap(), Some(65_536));
        assert_eq!(links.mtu_at(Ipv4Addr::new(192, 0, 2, 254)).await.unwrap(), None);
    }
}
