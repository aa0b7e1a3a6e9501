//! `watari site`.

use clap::{Args, Subcommand};
use watari_contracts::scheduler::{EvacuateSite, ListSites, ReturnSite, SiteView};

use crate::{
    Context,
    failure::Failure,
    input,
    lang::Lang,
    options::Waiting,
    out::{Column, Row, or_dash},
    outage,
    texts::words::Word,
};

/// Campuses: emptied before an outage, brought home after it
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the sites
    #[command(after_help = "Example:\n  watari site list -o json")]
    List,
    /// Empty a site, live: every server that may crosses to another site
    #[command(after_help = "\
Examples:
  watari site evacuate myodaiji --wait
  watari site evacuate myodaiji --wait -o json > report.json   # moved[], failed[], makespan_ms, control

The front end's services and NATS leave last. The exit status is 1 if anything did not move.")]
    Evacuate(Which),
    /// Bring a site's servers home
    #[command(
        after_help = "Example:\n  watari site return myodaiji --wait\n\nThe exit status is 1 if any server did not move."
    )]
    Return(Which),
}

/// Which site.
#[derive(Debug, Args)]
pub struct Which {
    /// The site
    site: String,
    #[command(flatten)]
    waiting: Waiting,
}

impl Verb {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let session = &ctx.session;
        let request_id = Some(session.request_id());
        match self {
            Self::List => ctx.out.list(&session.ask(&ListSites {}).await?.sites),
            Self::Evacuate(Which { site, waiting }) => {
                let outage = session.ask(&EvacuateSite { request_id, site: input::name(&site)? }).await?;
                outage::begun(ctx, waiting, outage).await
            }
            Self::Return(Which { site, waiting }) => {
                let outage = session.ask(&ReturnSite { request_id, site: input::name(&site)? }).await?;
                outage::begun(ctx, waiting, outage).await
            }
        }
    }
}

impl Row for SiteView {
    fn columns() -> Vec<Column> {
        use Column::{Number, Text};
        vec![
            Text(Word::Name),
            Text(Word::Title),
            Text(Word::State),
            Text(Word::Outage),
            Number(Word::Nodes),
            Number(Word::Vms),
            Number(Word::VmsHome),
        ]
    }

    fn cells(&self, _: Lang) -> Vec<String> {
        vec![
            self.name.to_string(),
            self.title.clone(),
            self.state.clone(),
            or_dash(self.outage.as_ref()),
            format!("{}/{}", self.nodes_ready, self.nodes),
            self.vms.to_string(),
            self.vms_home.to_string(),
        ]
    }

    fn details(&self, lang: Lang) -> Vec<(Word, String)> {
        let words = Self::columns().into_iter().map(|column| match column {
            Column::Text(word) | Column::Number(word) => word,
        });
        words.zip(self.cells(lang)).collect()
    }

    fn none() -> Word {
        Word::NoSites
    }
}
