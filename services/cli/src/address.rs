//! `watari address`.

use std::net::Ipv4Addr;

use clap::{Args, Subcommand};
use watari_contracts::address::{
    AddressView, AllocateAddress, AssociateAddress, DisassociateAddress, GetAddress, ListAddresses, ReleaseAddress,
};
use watari_model::{Said, VmName};

use crate::{
    Context,
    confirm::confirm,
    failure::Failure,
    format, input, known,
    lang::Lang,
    options::Consent,
    out::{Column, Row, or_dash},
    texts::{addresses, words::Word},
};

/// Public addresses, which lead to servers on overlay networks
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Take a public address of a network that was made for them
    Allocate(Allocate),
    /// List the public addresses and where they lead
    List(List),
    /// Show one public address
    #[command(after_help = "Example:\n  watari address show 203.0.113.200")]
    Show(Which),
    /// Let a public address lead to a server; it goes along when the server moves
    Associate(Associate),
    /// Let a public address lead nowhere; it stays allocated
    #[command(after_help = "\
Example:
  watari address disassociate 203.0.113.200 --yes

Without --yes it is asked, or refused where nobody can be asked, only while the address leads to a server.")]
    Disassociate(Cut),
    /// Give a public address back
    #[command(after_help = "\
Example:
  watari address release 203.0.113.200 --yes

Without --yes it is asked, or refused where nobody can be asked, only while the address leads to a server.")]
    Release(Cut),
}

/// Which one.
#[derive(Debug, Args)]
pub struct Which {
    /// The public address
    address: String,
}

/// From where.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watari network create outside --provider --public \\
    --cidr 203.0.113.0/24 --range 203.0.113.200-203.0.113.219
  watari address allocate outside")]
pub struct Allocate {
    /// The network, made with --public
    network: String,
    /// This very address of its range; without it one is drawn
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
}

/// Which ones.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  watari address list --vm web")]
pub struct List {
    /// Only those on this network
    #[arg(long)]
    network: Option<String>,
    /// Only this server's
    #[arg(long)]
    vm: Option<String>,
}

/// Where to.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  watari address associate 203.0.113.200 web

Whoever reaches the segment then reaches the server, as far as its firewall groups let through; a server that names \
none is open. What it sends out comes from the public address.")]
pub struct Associate {
    /// The public address
    address: String,
    /// The server
    vm: String,
    /// Which of its overlay networks [default: the first]
    #[arg(long)]
    network: Option<String>,
}

/// What to take from whoever reaches a server by it.
#[derive(Debug, Args)]
pub struct Cut {
    /// The public address
    address: String,
    #[command(flatten)]
    consent: Consent,
}

impl Verb {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let session = &ctx.session;
        match self {
            Self::Allocate(Allocate { network, address }) => {
                let address = address.as_deref().map(parsed).transpose()?;
                let (request_id, network) = (Some(session.request_id()), input::name(&network)?);
                ctx.out.row(&session.ask(&AllocateAddress { request_id, network, address }).await?)
            }
            Self::List(List { network, vm }) => {
                let request =
                    ListAddresses { network: input::name_if(network.as_deref())?, vm: input::name_if(vm.as_deref())? };
                let found = session.ask(&request).await?.addresses;
                known::check_if(session, !found.is_empty(), "vms", vm.as_deref()).await?;
                ctx.out.list(&found)
            }
            Self::Show(Which { address }) => {
                ctx.out.show(&session.ask(&GetAddress { address: parsed(&address)? }).await?)
            }
            Self::Associate(Associate { address, vm, network }) => {
                let (address, vm) = (parsed(&address)?, input::name(&vm)?);
                let request = AssociateAddress { address, vm, network: input::name_if(network.as_deref())? };
                ctx.out.row(&session.ask(&request).await?)
            }
            Self::Disassociate(cut) => {
                let address = parsed(&cut.address)?;
                cut.consented(ctx, address, addresses::disassociate).await?;
                ctx.out.row(&session.ask(&DisassociateAddress { address }).await?)
            }
            Self::Release(cut) => {
                let address = parsed(&cut.address)?;
                let associated = cut.consented(ctx, address, addresses::release).await?;
                let view = session.ask(&ReleaseAddress { address, associated }).await?;
                ctx.out.told(&view, [cut.address], || addresses::released(ctx.out.lang, address))
            }
        }
    }
}

impl Cut {
    /// Whoever cuts a server off has said so, or is asked. Whether it may lead to one.
    async fn consented(
        &self,
        ctx: &Context,
        address: Ipv4Addr,
        question: fn(Lang, Ipv4Addr, &VmName) -> String,
    ) -> Result<bool, Failure> {
        if self.consent.yes {
            return Ok(true);
        }
        let there = ctx.session.ask(&GetAddress { address }).await?;
        let Some(target) = &there.leads_to else { return Ok(false) };
        confirm(ctx, self.consent, &question(ctx.out.lang, address, &target.vm))?;
        Ok(true)
    }
}

fn parsed(text: &str) -> Result<Ipv4Addr, Failure> {
    input::value("address", Said::new("an IPv4 address", "IPv4 アドレス"), text)
}

impl Row for AddressView {
    fn columns() -> Vec<Column> {
        use Column::Text;
        vec![Text(Word::Address), Text(Word::Network), Text(Word::Vm), Text(Word::OwnAddress), Text(Word::Changed)]
    }

    fn cells(&self, _: Lang) -> Vec<String> {
        let target = self.leads_to.as_ref();
        vec![
            self.address.to_string(),
            self.network.to_string(),
            or_dash(target.map(|target| &target.vm)),
            or_dash(target.map(|target| format!("{} ({})", target.address, target.network))),
            format::moment(self.changed_at),
        ]
    }

    fn wide_columns() -> Vec<Column> {
        vec![Column::Text(Word::Created)]
    }

    fn wide_cells(&self, _: Lang) -> Vec<String> {
        vec![format::moment(self.created_at)]
    }

    fn none() -> Word {
        Word::NoPublicAddresses
    }
}
