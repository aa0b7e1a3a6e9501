//! Single addresses on our links, and routes that depend on where a packet comes from. Whatever is laid here carries
//! a mark of ours, by which it is found again after a restart and taken away without touching anybody else's.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr},
};

use futures_util::TryStreamExt;
use ipnet::Ipv4Net;
use rtnetlink::{
    IpVersion, RouteMessageBuilder,
    packet_route::{
        AddressFamily,
        address::{AddressAttribute, AddressMessage},
        route::{RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope},
        rule::{RuleAction, RuleAttribute, RuleMessage},
    },
};

use super::{Links, failed};

/// Our mark: who laid it (`rtm_protocol`), by a number that no other program is known for.
const OURS: RouteProtocol = RouteProtocol::Other(87);
/// Before the rule that leads to the main table (32,766), and after most others.
const BY_SOURCE: u32 = 20_057;
/// Before that.
const BY_DESTINATION: u32 = 20_056;
/// The length of a prefix that is one address.
const SINGLE: u8 = 32;

/// In which table a packet's way is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::plumbing) enum Rule {
    /// In the main table, if it goes there, wherever it comes from.
    To(Ipv4Net),
    /// In that table, if it comes from there; in the next if that knows no way.
    From(Ipv4Addr, u32),
}

/// A way in a table of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::plumbing) struct Route {
    pub(in crate::plumbing) table: u32,
    pub(in crate::plumbing) to: Ipv4Net,
    /// A router on the link; none if whoever is meant is on the link.
    pub(in crate::plumbing) by: Option<Ipv4Addr>,
    /// The link, by index.
    pub(in crate::plumbing) link: u32,
}

/// What is gone is as good as removed.
fn gone(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::AddrNotAvailable].contains(&error.kind()) => Ok(()),
        // A route that is not there is ESRCH, which has no kind of its own.
        Err(error) if error.to_string().contains("No such process") => Ok(()),
        outcome => outcome,
    }
}

fn again(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome,
    }
}

impl Links {
    /// The single addresses of a link, beside those in a subnet of its own.
    pub(in crate::plumbing) async fn singles(&self, link: u32) -> io::Result<BTreeSet<Ipv4Addr>> {
        Ok(self.single_messages(link).await?.into_keys().collect())
    }

    async fn single_messages(&self, link: u32) -> io::Result<BTreeMap<Ipv4Addr, AddressMessage>> {
        let mut request = self.handle.address().get();
        request.message_mut().header.family = AddressFamily::Inet;
        let all: Vec<AddressMessage> =
            request.execute().try_collect().await.map_err(failed("list a link's addresses"))?;
        let of_link = all.into_iter().filter(|one| one.header.index == link && one.header.prefix_len == SINGLE);
        Ok(of_link.filter_map(|one| Some((local(&one)?, one))).collect())
    }

    /// Takes a link's single addresses away but for these.
    pub(in crate::plumbing) async fn keep_singles(&self, link: u32, kept: &BTreeSet<Ipv4Addr>) -> io::Result<()> {
        for (address, message) in self.single_messages(link).await? {
            if !kept.contains(&address) {
                let outcome = self.handle.address().del(message).execute().await;
                gone(outcome.map_err(failed("take an address away")))?;
            }
        }
        Ok(())
    }

    /// Makes our rules exactly these.
    pub(in crate::plumbing) async fn steer(&self, wanted: &BTreeSet<Rule>) -> io::Result<()> {
        let mut there = BTreeSet::new();
        for message in self.rules().await? {
            match Rule::of(&message).filter(|rule| wanted.contains(rule)) {
                Some(rule) if there.insert(rule) => {}
                _ => {
                    let outcome = self.handle.rule().del(message).execute().await;
                    gone(outcome.map_err(failed("take a rule of routing away")))?;
                }
            }
        }
        for rule in wanted.difference(&there) {
            let request = self.handle.rule().add().v4().action(RuleAction::ToTable);
            let main = u32::from(RouteHeader::RT_TABLE_MAIN);
            let mut request = match rule {
                Rule::To(subnet) => request
                    .destination_prefix(subnet.network(), subnet.prefix_len())
                    .table_id(main)
                    .priority(BY_DESTINATION),
                Rule::From(address, table) => {
                    request.source_prefix(*address, SINGLE).table_id(*table).priority(BY_SOURCE)
                }
            };
            request.message_mut().attributes.push(RuleAttribute::Protocol(OURS));
            again(request.execute().await.map_err(failed("take a rule of routing")))?;
        }
        Ok(())
    }

    /// Our rules that the kernel has.
    async fn rules(&self) -> io::Result<Vec<RuleMessage>> {
        let all: Vec<RuleMessage> =
            self.handle.rule().get(IpVersion::V4).execute().try_collect().await.map_err(failed("list its rules"))?;
        let ours = RuleAttribute::Protocol(OURS);
        Ok(all.into_iter().filter(|message| message.attributes.contains(&ours)).collect())
    }

    /// The tables that our rules lead to, beside the main one.
    pub(in crate::plumbing) async fn steered(&self) -> io::Result<BTreeSet<u32>> {
        let rules = self.rules().await?;
        let tables = rules.iter().filter_map(Rule::of).filter_map(|rule| match rule {
            Rule::From(_, table) => Some(table),
            Rule::To(_) => None,
        });
        Ok(tables.collect())
    }

    /// Lays a way, whichever was there before.
    pub(in crate::plumbing) async fn lead(&self, route: Route) -> io::Result<()> {
        let Route { table, to, by, link } = route;
        let way = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(to.network(), to.prefix_len())
            .table_id(table)
            .protocol(OURS)
            .output_interface(link);
        let way = match by {
            // Whatever the node's own addresses are, the router is on that link.
            Some(router) => way.gateway(router).onlink(),
            None => way.scope(RouteScope::Link),
        };
        self.handle.route().add(way.build()).replace().execute().await.map_err(failed("lay a route"))
    }

    /// Takes away every way of ours in these tables. It looks at all routes of the node.
    pub(in crate::plumbing) async fn clear(&self, tables: &BTreeSet<u32>) -> io::Result<()> {
        if tables.is_empty() {
            return Ok(());
        }
        let question = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let all: Vec<RouteMessage> =
            self.handle.route().get(question).execute().try_collect().await.map_err(failed("list its routes"))?;
        for message in all {
            if message.header.protocol == OURS && tables.contains(&table(&message)) {
                gone(self.handle.route().del(message).execute().await.map_err(failed("take a route away")))?;
            }
        }
        Ok(())
    }
}

impl Rule {
    fn of(message: &RuleMessage) -> Option<Self> {
        let (mut from, mut to, mut table) = (None, None, u32::from(message.header.table));
        for attribute in &message.attributes {
            match attribute {
                RuleAttribute::Source(IpAddr::V4(address)) => from = Some(*address),
                RuleAttribute::Destination(IpAddr::V4(address)) => to = Some(*address),
                RuleAttribute::Table(id) => table = *id,
                _ => {}
            }
        }
        match (from, to) {
            (Some(from), None) if message.header.src_len == SINGLE => Some(Self::From(from, table)),
            (None, Some(to)) if table == u32::from(RouteHeader::RT_TABLE_MAIN) => {
                Ipv4Net::new(to, message.header.dst_len).ok().map(Self::To)
            }
            _ => None,
        }
    }
}

fn table(route: &RouteMessage) -> u32 {
    let named = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(id) => Some(*id),
        _ => None,
    });
    named.unwrap_or_else(|| u32::from(route.header.table))
}

fn local(message: &AddressMessage) -> Option<Ipv4Addr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
        _ => None,
    })
}
