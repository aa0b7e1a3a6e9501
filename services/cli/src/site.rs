//! `watari site`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use watari_chassis::clock;
use watari_contracts::scheduler::{EvacuateSite, ListSites, SiteView, TellPower};
use watari_model::site;

use crate::{
    Context,
    failure::Failure,
    format, input,
    lang::Lang,
    options::{Waiting, duration},
    out::{Column, Row, Tone, or_dash},
    outage,
    texts::{
        hints, states,
        words::{self, Word},
    },
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
  watari site evacuate myodaiji --dry-run
  watari site evacuate myodaiji --wait
  # moved[], failed[], makespan_ms, control:
  watari site evacuate myodaiji --wait -o json > report.json

It begins at once, without a question; --dry-run says what it would do, as `watari outage plan SITE` does. The front
end's services and NATS leave last. The exit status is 1 if anything did not move, or could not.")]
    Evacuate(Evacuate),
    /// Bring a site's servers home
    #[command(
        after_help = "Example:\n  watari site return myodaiji --wait\n\nThe exit status is 1 if any server did not move."
    )]
    Return(Which),
    /// Say where a site's power comes from; for whoever watches its UPS
    #[command(after_help = "\
Examples:
  watari site power myodaiji battery --left 10m
  watari site power myodaiji mains

What is done about it is set in the scheduler's configuration, section [power]. A UPS that the monitor's
configuration names ([[ups]]) says it by itself, and has the last word while it answers.")]
    Power(Power),
}

/// Where the power comes from.
#[derive(Debug, Args)]
pub struct Power {
    /// The site
    site: String,
    /// Where its power comes from now
    #[arg(value_enum)]
    supply: Supply,
    /// For how long the battery will last, if that is known: 600s, 10m
    #[arg(long, value_parser = duration, value_name = "TIME")]
    left: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Supply {
    Mains,
    Battery,
}

/// Which site, and what of it.
#[derive(Debug, Args)]
pub struct Evacuate {
    /// The site
    site: String,
    /// Only say what would be done
    #[arg(long, conflicts_with_all = ["shut_down_nodes", "wait"])]
    dry_run: bool,
    #[command(flatten)]
    wish: outage::Wish,
    #[command(flatten)]
    waiting: Waiting,
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
        match self {
            Self::List => ctx.out.list(&session.ask(&ListSites {}).await?.sites),
            Self::Evacuate(Evacuate { site, dry_run: true, .. }) => {
                outage::foresee(ctx, input::name(&site)?, None).await
            }
            Self::Evacuate(Evacuate { site, wish, waiting, .. }) => {
                let request_id = Some(session.request_id());
                let view = session.ask(&EvacuateSite { request_id, site: input::name(&site)?, propose: None }).await?;
                wish.begun(ctx, waiting, wish.apply(ctx, view).await?).await
            }
            Self::Power(Power { site, supply, left }) => {
                let supply = match supply {
                    Supply::Mains => site::Supply::Mains,
                    Supply::Battery => site::Supply::Battery,
                };
                let seconds_left = left.map(|left| left.as_secs());
                let told = TellPower { site: input::name(&site)?, supply, seconds_left };
                ctx.out.row(&session.ask(&told).await?)
            }
            Self::Return(Which { site, waiting }) => outage::bring_home(ctx, waiting, input::name(&site)?).await,
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
            Text(Word::Power),
            Number(Word::Nodes),
            Number(Word::Vms),
            Number(Word::VmsHome),
        ]
    }

    fn cells(&self, lang: Lang) -> Vec<String> {
        let state = states::shown(lang, &self.state);
        let state = if self.nodes > 0 && self.nodes_ready == 0 {
            words::because(&state, hints::no_node_ready(lang))
        } else {
            state
        };
        vec![
            self.name.to_string(),
            self.title.clone(),
            self.paused_at.map_or(state.clone(), |_| words::because(&state, Word::Paused.text(lang))),
            or_dash(self.outage.as_ref()),
            or_dash(self.power.map(|told| power(told, lang))),
            format!("{}/{}", self.nodes_ready, self.nodes),
            self.vms.to_string(),
            self.vms_home.to_string(),
        ]
    }

    fn tone(&self) -> Tone {
        if self.state == "active" && self.nodes_ready == self.nodes { Tone::Usual } else { Tone::Unusual }
    }

    fn none() -> Word {
        Word::NoSites
    }
}

/// `battery 10 min 00 s`: what is left by now of what was told.
fn power(power: site::Power, lang: Lang) -> String {
    let left = power.left_at(clock::now()).map(|left| format::time(lang, left.saturating_mul(1_000)));
    format!("{} {}", states::shown(lang, power.supply.word()), left.unwrap_or_default()).trim_end().to_owned()
}
