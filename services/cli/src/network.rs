//! `watari network`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use clap::{ArgGroup, Args, Subcommand};
use watari_contracts::{
    address::ListAddresses,
    network::{
        ClearAddress, CreateNetwork, DeleteNetwork, EditNetwork, GetNetwork, ListNetworks, ListPorts, NetworkView,
        WantedIpv6,
    },
};
use watari_model::{
    NetworkName, Refusal, Said,
    network::{Exclusion, Kind, Route, Stranger},
};

use crate::{
    Context,
    confirm::{confirm_of, some},
    failure::Failure,
    format, input,
    lang::Lang,
    options::Consent,
    out::{Column, Row, joined, or_dash},
    texts::{deleting, states, words::Word},
};

/// Networks and the addresses that they hand out
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a network
    Create(Box<Create>),
    /// List the networks
    #[command(after_help = "Example:\n  watari network list -o json")]
    List,
    /// Show one network
    #[command(after_help = "Example:\n  watari network show campus")]
    Show(Which),
    /// Change which addresses a network hands out; those that servers have stay theirs
    Edit(Edit),
    /// Give out again an address that another machine had, which has it no more
    #[command(after_help = "Example:\n  watari network clear campus 203.0.113.107")]
    Clear(Clear),
    /// Remove a network that no server uses
    #[command(after_help = "Example:\n  watari network delete campus --yes")]
    Delete(Delete),
}

/// Which network.
#[derive(Debug, Args)]
pub struct Which {
    /// The network
    name: String,
}

/// What to change.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("change").required(true).multiple(true).args(["range", "exclude", "no_exclude"]),
    after_help = "\
Examples:
  watari network edit campus --range 203.0.113.60-203.0.113.199
  watari network edit campus --exclude 203.0.113.150-203.0.113.159=printers
  watari network edit campus --no-exclude"
)]
pub struct Edit {
    /// The network
    name: String,
    /// The addresses handed out from now on; those of the range before that are in use must be among them
    #[arg(long, value_name = "FIRST-LAST")]
    range: Option<String>,
    /// Addresses of the range that are given only to who asks for one by name, in place of all there were; may be given
    /// several times
    #[arg(long, value_name = "FIRST[-LAST][=NOTE]")]
    exclude: Vec<String>,
    /// Nothing of the range is kept back any more
    #[arg(long, conflicts_with = "exclude")]
    no_exclude: bool,
}

impl Edit {
    fn request(self) -> Result<EditNetwork, Failure> {
        let excluded = self.exclude.iter().map(|text| exclusion(text)).collect::<Result<Vec<_>, _>>()?;
        Ok(EditNetwork {
            name: input::name(&self.name)?,
            range: self.range,
            excluded: Some(excluded).filter(|excluded| self.no_exclude || !excluded.is_empty()),
        })
    }
}

/// `FIRST[-LAST][=NOTE]`.
fn exclusion(text: &str) -> Result<Exclusion, Failure> {
    let allowed = Said::new(
        "an address or FIRST-LAST, with =NOTE behind it if wanted, such as 203.0.113.150-203.0.113.159=printers",
        "203.0.113.150-203.0.113.159=printers のような、アドレスまたは 最初-最後 (必要なら後ろに =メモ)",
    );
    input::value("--exclude", allowed, text)
}

/// Which address.
#[derive(Debug, Args)]
pub struct Clear {
    /// The network
    name: String,
    /// The address
    address: String,
}

/// What to delete.
#[derive(Debug, Args)]
pub struct Delete {
    /// The network
    name: String,
    #[command(flatten)]
    consent: Consent,
}

/// What to make.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("kind").required(true).args(["provider", "overlay"]),
    after_help = "\
Examples:
  watari network create campus --provider --cidr 203.0.113.0/24 \\
    --range 203.0.113.100-203.0.113.199
  watari network create lab --overlay --cidr 10.1.0.0/16 \\
    --range 10.1.0.10-10.1.255.250 --exclude 10.1.0.53=dns
  watari network create staff --provider --vlan 30 --cidr 192.0.2.0/24 \\
    --range 192.0.2.100-192.0.2.199 --gateway 192.0.2.1 \\
    --route 198.51.100.0/24=192.0.2.2"
)]
pub struct Create {
    /// Its name
    name: String,
    /// The campus's own segment, on a bridge that each node has
    #[arg(long)]
    provider: bool,
    /// A private segment across all sites
    #[arg(long)]
    overlay: bool,
    /// The subnet
    #[arg(long, value_name = "A.B.C.D/N")]
    cidr: String,
    /// The addresses handed out
    #[arg(long, value_name = "FIRST-LAST")]
    range: String,
    /// Addresses of the range that are given only to who asks for one by name; may be given several times
    #[arg(long, value_name = "FIRST[-LAST][=NOTE]")]
    exclude: Vec<String>,
    /// The router told to servers, outside the range
    #[arg(long, value_name = "ADDRESS")]
    gateway: Option<String>,
    /// A name server told to servers; may be given several times [default: with --gateway, the node: 169.254.169.254]
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<String>,
    /// A way to another subnet besides the gateway's; may be given several times
    #[arg(long, value_name = "SUBNET=ROUTER", conflicts_with_all = ["overlay", "public"])]
    route: Vec<String>,
    /// The segment that nodes bind to a bridge [default: campus]
    #[arg(long, conflicts_with = "overlay")]
    segment: Option<String>,
    /// The VLAN of the segment, 1 to 4094, by the tag of its frames [default: none]
    #[arg(long, value_name = "TAG", conflicts_with_all = ["overlay", "public"])]
    vlan: Option<u16>,
    /// The largest packet of its servers [default: as the nodes' bridges; --overlay: what every node carries]
    #[arg(long, value_name = "BYTES", conflicts_with = "public")]
    mtu: Option<u32>,
    /// The range is for public addresses of servers on overlay networks; see: watari address
    #[arg(long, conflicts_with = "overlay")]
    public: bool,
    /// An IPv6 subnet: servers get IPv6 addresses that end in their IPv4 ones
    #[arg(long, value_name = "PREFIX/64", conflicts_with = "public")]
    cidr6: Option<String>,
    /// The IPv6 router told to servers
    #[arg(long, value_name = "ADDRESS", requires = "cidr6", conflicts_with = "overlay")]
    gateway6: Option<String>,
    /// An IPv6 name server told to servers; may be given several times
    #[arg(long, value_name = "ADDRESS", requires = "cidr6")]
    dns6: Vec<String>,
}

impl Verb {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let session = &ctx.session;
        match self {
            Self::Create(create) => ctx.out.row(&session.ask(&create.request(session.request_id())?).await?),
            Self::List => ctx.out.list(&session.ask(&ListNetworks {}).await?.networks),
            Self::Show(Which { name }) => ctx.out.show(&session.ask(&GetNetwork { name: input::name(&name)? }).await?),
            // All of it: a table's columns hold only a part of what is changed here.
            Self::Edit(edit) => ctx.out.show(&session.ask(&edit.request()?).await?),
            Self::Clear(Clear { name, address }) => {
                let allowed = Said::new("an IPv4 address", "IPv4 アドレス");
                let address = input::value::<Ipv4Addr>("address", allowed, &address)?;
                ctx.out.row(&session.ask(&ClearAddress { network: input::name(&name)?, address }).await?)
            }
            Self::Delete(Delete { name, consent }) => {
                let request = DeleteNetwork { name: input::name(&name)? };
                let there = GetNetwork { name: request.name.clone() };
                if !consent.yes {
                    unused(ctx, &request.name).await?;
                }
                confirm_of(ctx, consent, &there, &deleting::network(ctx.out.lang, &name)).await?;
                ctx.out.gone(&session.ask(&request).await?, &name)
            }
        }
    }
}

/// Nobody is asked about a network that servers are on, or of which public addresses are held.
async fn unused(ctx: &Context, name: &NetworkName) -> Result<(), Failure> {
    let servers_on = ListPorts { network: Some(name.clone()), ..ListPorts::default() };
    let ports = ctx.session.ask(&servers_on).await?.ports;
    let held = ListAddresses { network: Some(name.clone()), vm: None };
    // A service that is too old for the question has none.
    let held = ctx.session.glance(&held).await.map(|page| page.addresses).unwrap_or_default();
    let servers = ports.iter().map(|port| port.vm.to_string());
    let mut users: Vec<String> = servers.chain(held.iter().map(|one| one.address.to_string())).collect();
    users.sort();
    users.dedup();
    if users.is_empty() {
        return Ok(());
    }
    Err(Refusal::NetworkInUse { network: name.to_string(), users: some(&users) }.into())
}

impl Create {
    fn request(self, request_id: String) -> Result<CreateNetwork, Failure> {
        let address = |field: &str, text: &String| {
            input::value::<Ipv4Addr>(field, Said::new("an IPv4 address", "IPv4 アドレス"), text)
        };
        let address6 = |field: &str, text: &String| {
            input::value::<Ipv6Addr>(field, Said::new("an IPv6 address", "IPv6 アドレス"), text)
        };
        let route = |text: &String| {
            let allowed = Said::new(
                "SUBNET=ROUTER such as 198.51.100.0/24=203.0.113.2",
                "198.51.100.0/24=203.0.113.2 のような サブネット=ルータ",
            );
            input::value::<Route>("--route", allowed, text)
        };
        let ipv6 = |cidr: String| -> Result<WantedIpv6, Failure> {
            Ok(WantedIpv6 {
                cidr,
                gateway: self.gateway6.as_ref().map(|text| address6("--gateway6", text)).transpose()?,
                dns: self.dns6.iter().map(|text| address6("--dns6", text)).collect::<Result<_, _>>()?,
            })
        };
        Ok(CreateNetwork {
            request_id: Some(request_id),
            name: input::name(&self.name)?,
            kind: if self.overlay { Kind::Overlay } else { Kind::Provider },
            cidr: self.cidr,
            range: self.range,
            excluded: self.exclude.iter().map(|text| exclusion(text)).collect::<Result<_, _>>()?,
            gateway: self.gateway.as_ref().map(|text| address("--gateway", text)).transpose()?,
            dns: self.dns.iter().map(|text| address("--dns", text)).collect::<Result<_, _>>()?,
            routes: self.route.iter().map(route).collect::<Result<_, _>>()?,
            segment: input::name_if(self.segment.as_deref())?,
            vlan: self.vlan,
            mtu: self.mtu,
            public: self.public,
            ipv6: self.cidr6.map(ipv6).transpose()?,
        })
    }
}

const fn kind(network: &NetworkView) -> &'static str {
    match network.kind {
        Kind::Provider if network.public => "public",
        Kind::Provider => "provider",
        Kind::Overlay => "overlay",
    }
}

/// An overlay network's segment is the network itself: nothing that anybody binds.
fn segment(network: &NetworkView) -> String {
    match (network.kind, network.vlan) {
        (Kind::Overlay, _) => "-".to_owned(),
        (Kind::Provider, Some(vlan)) => format!("{} (VLAN {vlan})", network.segment),
        (Kind::Provider, None) => network.segment.to_string(),
    }
}

/// Who has addresses that are none of ours, or what goes with one by IPv6, and who found out when.
fn strangers(network: &NetworkView) -> String {
    let told = |one: &Stranger| {
        let Stranger { address, address6, mac, node, seen_at } = one;
        let address6 = address6.map(|address6| format!("{address6}, ")).unwrap_or_default();
        format!("{address} ({address6}{mac}, {node}, {})", format::moment(*seen_at))
    };
    joined(network.strangers.iter().map(told))
}

/// The routers of both kinds.
fn gateways(network: &NetworkView) -> String {
    let ipv6 = network.ipv6.as_ref().and_then(|ipv6| ipv6.gateway);
    joined(network.gateway.map(IpAddr::V4).into_iter().chain(ipv6.map(IpAddr::V6)))
}

/// The name servers of both kinds.
fn name_servers(network: &NetworkView) -> String {
    let ipv6 = network.ipv6.iter().flat_map(|ipv6| ipv6.dns.iter().copied().map(IpAddr::V6));
    joined(network.dns.iter().copied().map(IpAddr::V4).chain(ipv6))
}

/// The largest packet, unless that is the nodes' bridges' to say.
fn mtu(network: &NetworkView) -> String {
    or_dash(network.overlay.map(|overlay| overlay.mtu).or(network.mtu))
}

fn subnet6(network: &NetworkView) -> String {
    or_dash(network.ipv6.as_ref().map(|ipv6| ipv6.cidr))
}

impl Row for NetworkView {
    fn columns() -> Vec<Column> {
        use Column::{Number, Text};
        vec![
            Text(Word::Name),
            Text(Word::Kind),
            Text(Word::Segment),
            Text(Word::Cidr),
            Text(Word::Range),
            Text(Word::Gateway),
            Number(Word::Used),
            Number(Word::Free),
        ]
    }

    fn cells(&self, lang: Lang) -> Vec<String> {
        vec![
            self.name.to_string(),
            states::shown(lang, kind(self)),
            segment(self),
            self.cidr.clone(),
            self.range.clone(),
            gateways(self),
            self.addresses_used.to_string(),
            self.addresses_free.to_string(),
        ]
    }

    fn wide_columns() -> Vec<Column> {
        use Column::{Number, Text};
        vec![Text(Word::Ipv6), Number(Word::Vni), Number(Word::Mtu), Text(Word::Dns), Text(Word::Created)]
    }

    fn wide_cells(&self, _: Lang) -> Vec<String> {
        let vni = or_dash(self.overlay.map(|overlay| overlay.vni));
        vec![subnet6(self), vni, mtu(self), name_servers(self), format::moment(self.created_at)]
    }

    fn details(&self, lang: Lang) -> Vec<(Word, String)> {
        vec![
            (Word::Name, self.name.to_string()),
            (Word::Kind, states::shown(lang, kind(self))),
            (Word::Segment, segment(self)),
            (Word::Vni, or_dash(self.overlay.map(|overlay| overlay.vni))),
            (Word::Mtu, mtu(self)),
            (Word::Cidr, self.cidr.clone()),
            (Word::Range, self.range.clone()),
            (Word::Excluded, joined(&self.excluded)),
            (Word::Ipv6, subnet6(self)),
            (Word::Gateway, gateways(self)),
            (Word::Dns, name_servers(self)),
            (Word::Routes, joined(&self.routes)),
            (Word::Used, self.addresses_used.to_string()),
            (Word::Free, self.addresses_free.to_string()),
            (Word::UsedByOthers, strangers(self)),
            (Word::Created, format::moment(self.created_at)),
        ]
    }

    fn none() -> Word {
        Word::NoNetworks
    }
}
