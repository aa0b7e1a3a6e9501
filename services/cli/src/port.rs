//! `watari port`.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use watari_contracts::network::ListPorts;
use watari_model::network::Port;

use crate::{
    Context,
    failure::Failure,
    format, input, known,
    lang::Lang,
    out::{Column, Row, joined},
    texts::words::Word,
};

/// The addresses in use
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the addresses in use and who has them
    List(List),
}

/// Which ports.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  watari port list --network campus")]
pub struct List {
    /// Only those on this network
    #[arg(long)]
    network: Option<String>,
}

impl Verb {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let Self::List(List { network }) = self;
        let request = ListPorts { network: input::name_if(network.as_deref())?, ..ListPorts::default() };
        let mut ports = ctx.session.pages(request, |page| (page.ports, page.next), |r, after| r.after = after).await?;
        known::check_if(&ctx.session, !ports.is_empty(), "networks", network.as_deref()).await?;
        ports.sort_by(|a, b| (&a.network, a.address).cmp(&(&b.network, b.address)));
        ctx.out.list(&ports)
    }
}

impl Row for Port {
    fn columns() -> Vec<Column> {
        use Column::Text;
        vec![Text(Word::Network), Text(Word::Address), Text(Word::Mac), Text(Word::Vm), Text(Word::Created)]
    }

    fn cells(&self, _: Lang) -> Vec<String> {
        vec![
            self.network.to_string(),
            joined([Some(IpAddr::V4(self.address)), self.address6.map(IpAddr::V6)].into_iter().flatten()),
            self.mac.clone(),
            self.vm.to_string(),
            format::moment(self.created_at),
        ]
    }

    fn name(&self) -> String {
        self.address.to_string()
    }

    fn none() -> Word {
        Word::NoPorts
    }
}
