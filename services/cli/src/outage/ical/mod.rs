//! `watari outage export` and `import`: outages as a calendar (RFC 5545), and a calendar as outages. All of
//! it is plain requests underneath.

mod place;
mod plan;
mod read;
mod recurrence;
mod times;
mod told;
mod write;

use std::fs;

use clap::Args;
use watari_chassis::clock;
use watari_contracts::scheduler::{ListOutages, ListSites, OutageView, SiteView};
use watari_model::{OutageId, Refusal, SiteName, outage::Scope};

use crate::{
    Context,
    failure::{FAILED, Failure, UNREACHABLE},
    input, out,
    texts::{faults::Fault, words::Word},
};
use plan::{Known, Step, Wanted};
use told::{Action, Told};

/// Where to write which outages.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watari outage export outages.ics
  watari outage export --site myodaiji >myodaiji.ics

An outage's name is the UID of its event: whoever subscribes to the file sees its changes.")]
pub struct Export {
    /// The file to write, or - for standard output
    #[arg(default_value = "-", value_name = "FILE")]
    file: String,
    /// Only those of this site
    #[arg(long)]
    site: Option<String>,
}

/// Which calendar, and what of it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watari outage import inspections.ics --dry-run
  watari outage import inspections.ics
  curl -fsS https://calendar.example.jp/okazaki.ics | \\
    watari outage import - --matching inspection

An event is about the site that its LOCATION, else its CATEGORIES, else its SUMMARY names, by name or title.
Where a calendar holds other events as well, --matching says which are outages; of others nothing is told. An event is known again by its
UID: importing twice changes nothing, a new time moves the outage as long as it has not begun, and STATUS
CANCELLED calls it off. Times without a zone, and whole days, are meant in the calendar's zone
(X-WR-TIMEZONE), or else this machine's. An event that recurs is imported for its next time; once that is over,
import the calendar again. Events that cannot be understood are not imported. The exit status is 1 if there was
such an event about a site, or one was refused; all others are imported first.")]
pub struct Import {
    /// The calendar, or - for standard input: at most 1 MiB and 1,000 events
    file: String,
    /// The site of events that name none
    #[arg(long)]
    site: Option<String>,
    /// Only events whose summary or categories hold this text
    #[arg(long, value_name = "TEXT")]
    matching: Option<String>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// A site that is named must be there.
fn site_of(sites: &[SiteView], name: Option<&str>) -> Result<Option<SiteName>, Failure> {
    let Some(name) = input::name_if::<SiteName>(name)? else { return Ok(None) };
    if sites.iter().any(|site| site.name == name) {
        return Ok(Some(name));
    }
    Err(Failure::mistyped(Refusal::SiteUnknown { site: name.to_string() }))
}

impl Export {
    /// Writes the file.
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let sites = ctx.session.ask(&ListSites {}).await?.sites;
        let only = site_of(&sites, self.site.as_deref())?;
        let mut outages = ctx.session.ask(&ListOutages {}).await?.outages;
        outages.sort_by_key(|outage| write::times(outage).0);
        let wanted = |site: &SiteName| only.as_ref().is_none_or(|only| only == site);
        let entry = |outage| entry(outage, &sites).filter(|entry| wanted(entry.site));
        let entries: Vec<_> = outages.iter().filter_map(entry).collect();
        let (power_off, evacuation) = (Word::PowerIsOff.text(ctx.out.lang), Word::Evacuation.text(ctx.out.lang));
        let home_again = Word::EvacuationAndReturn.text(ctx.out.lang);
        let text = write::calendar(&entries, write::Nameless { power_off, evacuation, home_again });
        if self.file == "-" {
            // The last line's end comes with it.
            return ctx.out.text(text.trim_end_matches('\n'));
        }
        fs::write(&self.file, text).map_err(|error| Fault::unwritten(&self.file, &error).into())
    }
}

/// Nodes that are drained are no matter of a calendar.
fn entry<'o>(outage: &'o OutageView, sites: &'o [SiteView]) -> Option<write::Entry<'o>> {
    let Scope::Site(site) = &outage.scope else { return None };
    let title = sites.iter().find(|known| known.name == *site).map(|known| known.title.as_str());
    Some(write::Entry { outage, site, title: title.filter(|title| !title.is_empty()).unwrap_or(site.as_str()) })
}

impl Import {
    /// Decides about every event, does it and says so.
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let unreadable = |said: &watari_model::Said| {
            let detail = ctx.out.lang.of(said).to_owned();
            Failure::from(Fault::Calendar { path: self.file.clone(), detail })
        };
        // Room for one byte more, so that a file that is too long is refused as such.
        let text = input::text(&self.file, read::MOST_BYTES + 1)?;
        let calendar = read::read(&text).map_err(|why| unreadable(&why.said()))?;
        let zone = times::floating(calendar.zone.as_deref()).map_err(|why| unreadable(&why))?;
        let sites = ctx.session.ask(&ListSites {}).await?.sites;
        let outages = ctx.session.ask(&ListOutages {}).await?.outages;
        let site = site_of(&sites, self.site.as_deref())?;
        let wanted = Wanted { site: site.as_ref(), matching: self.matching.as_deref(), zone };
        let known = Known { outages: &outages, sites: &sites, now: clock::now() };

        let mut all = Vec::new();
        for decided in plan::decide(&calendar.events, &wanted, &known) {
            let mut told = Told::of(&decided);
            if !self.dry_run {
                match carry_out(ctx, decided.step).await {
                    Ok(outage) => told.outage = outage.or(told.outage),
                    // Nobody answers: the rest would not be answered either, and may be done again.
                    Err(failure) if failure.exit() == UNREACHABLE => return Err(failure),
                    Err(failure) => told.refused(&failure),
                }
            }
            all.push(told);
        }
        ctx.out.list(&all)?;
        if self.dry_run {
            out::say(Word::NothingDone.text(ctx.out.lang));
        }
        let failed = all.iter().any(|told| matches!(told.action, Action::Refused | Action::Unclear));
        if failed { Err(Failure::Silent(FAILED)) } else { Ok(()) }
    }
}

/// Asks for one step; the outage that it made.
async fn carry_out(ctx: &Context, step: Step) -> Result<Option<OutageId>, Failure> {
    let view = match step {
        Step::Schedule(request) => ctx.session.ask(&request).await?,
        Step::Move(request) => ctx.session.ask(&request).await?,
        Step::Cancel(request) => ctx.session.ask(&request).await?,
        Step::Keep(_) | Step::Skip(_) | Step::Unclear(_) => return Ok(None),
    };
    Ok(Some(view.id))
}
