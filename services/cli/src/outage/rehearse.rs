//! An outage gone through beforehand: what is asked, and how it went.

use std::time::Duration;

use clap::{ArgGroup, Args};
use watari_chassis::clock;
use watari_contracts::scheduler::{FailingNode, Leaving, NotMoved, Rehearsal, RehearseOutage, RehearsedServer};
use watari_model::{Said, said};

use super::{report, which::Nearest};
use crate::{
    Context,
    failure::{FAILED, Failure},
    format, input,
    options::{millis, with_unit},
    out::{Column, Out, joined, or_dash},
    texts::{faults::Fault, off, rehearsal as texts, words::Word},
};

/// Which outage, and how bad it is to be.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["which", "site"])))]
pub struct Rehearse {
    /// The outage, or a site: its outage that has begun and is not over, else its next scheduled one
    #[arg(value_name = "ID|SITE")]
    which: Option<String>,
    /// A site whose evacuation would begin now
    #[arg(long, value_name = "SITE", conflicts_with = "which")]
    site: Option<String>,
    /// With --site: in what time its power would go
    #[arg(
        long = "in",
        value_name = "TIME",
        requires = "site",
        conflicts_with = "until",
        allow_hyphen_values = true,
        value_parser = with_unit
    )]
    within: Option<Duration>,
    /// With --site: until when it would have power: YYYY-MM-DD HH:MM, RFC 3339, or from now on as +45m, +3h, +2d
    #[arg(long, value_name = "WHEN", requires = "site")]
    until: Option<String>,
    /// What the link between sites would carry, in Mbit/s; without it what it was measured to carry
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    link_mbit: Option<u64>,
    /// A node that would lose power so long after the beginning, seconds without a unit; may be given several times
    #[arg(long, value_name = "NODE@SECONDS")]
    fail: Vec<String>,
}

impl Rehearse {
    /// Asks for it and shows it.
    ///
    /// # Errors
    /// [`Failure`]; a silent one with status 1 if somebody would be lost with the power, or it would be too late.
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        if self.which.is_some() && (self.within.is_some() || self.until.is_some()) {
            let option = if self.within.is_some() { "--in" } else { "--until" };
            return Err(Fault::RehearsalTimes { option: option.to_owned() }.into());
        }
        let now = clock::now();
        let seconds = match (&self.within, &self.until) {
            (Some(within), _) => Some(within.as_secs()),
            (None, Some(text)) => {
                let until = input::moment("--until", text, now)?;
                input::later("--until", text, until, &Said::new("now", "現在"), now)?;
                Some(until.millis_since(now) / 1_000)
            }
            (None, None) => None,
        };
        let fail = all_failing(&self.fail)?;
        let site = input::name_if(self.site.as_deref())?;
        let outage = match self.which {
            Some(which) => Some(Nearest::of(which).id(ctx).await.map_err(to_rehearse)?),
            None => None,
        };
        let asked = RehearseOutage { outage, site, seconds, link_mbit: self.link_mbit, fail };
        show(ctx, &ctx.session.ask(&asked).await?)
    }
}

/// Where nothing is under way or to come, an evacuation can be rehearsed all the same.
fn to_rehearse(failure: Failure) -> Failure {
    match failure {
        Failure::Own(Fault::NoOutageAhead { site }) => Fault::NoOutageToRehearse { site }.into(),
        other => other,
    }
}

/// A node fails once.
fn all_failing(texts: &[String]) -> Result<Vec<FailingNode>, Failure> {
    let mut all: Vec<FailingNode> = Vec::new();
    for text in texts {
        let one = failing(text)?;
        if all.iter().any(|other| other.node == one.node) {
            let allowed = said!("each node once", "同じノードを繰り返さない値");
            return Err(input::out_of_range("--fail", allowed, text));
        }
        all.push(one);
    }
    Ok(all)
}

/// `y2@90`, `y2@2m`.
fn failing(text: &str) -> Result<FailingNode, Failure> {
    let refused = || {
        let form = said!("NODE@SECONDS, as y2@90 or y2@2m", "ノード@秒数 の形式 (例: y2@90、y2@2m)");
        input::out_of_range("--fail", form, text)
    };
    let (node, after) = text.split_once('@').ok_or_else(refused)?;
    let after_ms = millis(after).filter(|ms| ms.is_multiple_of(1_000)).ok_or_else(refused)?;
    Ok(FailingNode { node: input::name(node)?, after_seconds: after_ms / 1_000 })
}

fn show(ctx: &Context, went: &Rehearsal) -> Result<(), Failure> {
    ctx.out.told(went, went.servers.iter().map(|server| server.vm.to_string()), || text(ctx.out, went))?;
    let well = went.at_risk.is_empty() && went.in_time != Some(false);
    if well { Ok(()) } else { Err(Failure::Silent(FAILED)) }
}

fn text(out: Out, went: &Rehearsal) -> String {
    let lang = out.lang;
    let mut parts = vec![texts::begins(lang, went.site.as_str(), &format::moment(went.begins_at))];
    if went.servers.is_empty() {
        parts.push(Word::NothingToMove.text(lang).to_owned());
    } else {
        parts.push(table(out, went));
    }
    parts.extend((went.not_listed > 0).then(|| texts::not_listed(lang, went.not_listed)));
    let why = reasons(&went.servers);
    if !why.is_empty() {
        parts.push(report::failed(out, &why));
    }
    let after = |at: watari_model::Timestamp| format::time(lang, at.millis_since(went.begins_at));
    parts.push(texts::evacuated(lang, went.empty_at.map(after).as_deref(), went.evacuated_at.map(after).as_deref()));
    if let (Some(at), Some(in_time)) = (went.power_off_at, went.in_time) {
        parts.push(texts::power(lang, &format::moment(at), &after(at), in_time));
    }
    if !went.at_risk.is_empty() {
        parts.push(texts::at_risk(lang, &joined(&went.at_risk)));
    }
    let off: Vec<_> = went.servers.iter().filter(|s| s.way == Leaving::Off).map(|s| s.vm.clone()).collect();
    parts.extend(off::left_off(lang, &off));
    if let Some(at) = went.returns_at {
        let took = went.home_at.map(|home| format::time(lang, home.millis_since(at)));
        parts.push(texts::returns(lang, &format::moment(at), took.as_deref()));
    }
    if !went.stays_away.is_empty() {
        parts.push(format!("{}\n{}", Word::FailedTitle.text(lang), report::failed(out, &went.stays_away)));
    }
    parts.push(texts::link(lang, &format::bytes(went.link.bytes_per_second), went.link.known));
    parts.extend((went.step_ms >= 1_000).then(|| texts::step(lang, &format::time(lang, went.step_ms))));
    parts.join("\n\n")
}

/// Times count from the beginning of each way.
fn table(out: Out, went: &Rehearsal) -> String {
    use Column::{Number, Text};
    let columns = [
        Text(Word::Vm),
        Text(Word::Done),
        Text(Word::From),
        Text(Word::To),
        Number(Word::Data),
        Number(Word::Begins),
        Number(Word::Ends),
        Number(Word::HomeAgain),
    ];
    let since = |from: watari_model::Timestamp, at: Option<watari_model::Timestamp>| {
        or_dash(at.map(|at| format!("+{}", format::time(out.lang, at.millis_since(from)))))
    };
    let row = |server: &RehearsedServer| {
        // What is not measured is a guess.
        let about = if server.measured { "" } else { "~" };
        let data = (server.bytes > 0).then(|| format!("{about}{}", format::bytes(server.bytes)));
        vec![
            server.vm.to_string(),
            texts::way(out.lang, server.way).to_owned(),
            server.from.to_string(),
            or_dash(server.to.as_ref()),
            or_dash(data),
            since(went.begins_at, server.begins_at),
            since(went.begins_at, server.ends_at),
            since(went.returns_at.unwrap_or(went.begins_at), server.home_at),
        ]
    };
    out.table(&columns, went.servers.iter().map(row))
}

/// Who does not cross, and why. Who is off is told of apart.
fn reasons(servers: &[RehearsedServer]) -> Vec<NotMoved> {
    let told = servers.iter().filter(|server| server.way != Leaving::Off);
    let why = |server: &RehearsedServer| {
        let why = server.why.clone()?;
        Some(NotMoved { vm: server.vm.clone(), code: why.code, cause: why.cause, remedy: why.remedy, ja: why.ja })
    };
    told.filter_map(why).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lang::Lang, out::Format};

    #[test]
    fn a_rehearsal_tells_the_time_of_each_server_and_who_is_lost_in_both_languages() {
        let sample = include_str!("../../../../shared/contracts/tests/golden/reply.Rehearsal.json");
        let went: Rehearsal = serde_json::from_str::<Vec<_>>(sample).unwrap().swap_remove(0);
        let shown = |lang| text(Out { format: Format::Table, lang }, &went);
        let en = shown(Lang::En);
        for told in ["+2 min 05 s", "+2 min 06 s", "left behind", "outage.policy-stays", "AT RISK", "TOO LATE"] {
            assert!(en.contains(told), "{told}: {en}");
        }
        let ja = shown(Lang::Ja);
        for told in ["+2 分 05 秒", "残留", "outage.policy-stays", "危険"] {
            assert!(ja.contains(told), "{told}: {ja}");
        }
    }

    #[test]
    fn a_failing_node_is_named_with_its_second() {
        let read = failing("y2@90").unwrap();
        assert_eq!((read.node.as_str(), read.after_seconds), ("y2", 90));
        assert_eq!(failing("y2@30s").unwrap().after_seconds, 30);
        assert_eq!(failing("y2@2m").unwrap().after_seconds, 120);
        for text in ["y2", "y2@", "y2@soon", "y2@500ms", "@9"] {
            assert!(failing(text).is_err(), "{text}");
        }
        let told = failing("y2@soon").unwrap_err().rendered(Lang::En);
        assert!(told.cause.contains("y2@soon"), "what was typed is told: {told:?}");
        let both = |other: &str| all_failing(&["y2@30".to_owned(), other.to_owned()]);
        assert!(both("y1@40").is_ok() && both("y2@40").is_err());
    }
}
