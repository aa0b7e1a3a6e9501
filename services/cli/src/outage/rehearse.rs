//! An outage gone through beforehand: what is asked.

mod show;

use std::time::Duration;

use clap::{ArgGroup, Args};
use watari_chassis::clock;
use watari_contracts::scheduler::{FailingNode, RehearseOutage};
use watari_model::{Said, said};

use super::which::Nearest;
use crate::{
    Context,
    failure::Failure,
    input,
    options::{millis, with_unit},
    texts::faults::Fault,
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
    /// [`Failure`]; a silent one with status 1 if somebody would be lost with the power or with a node, or
    /// it would be too late.
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
        show::show(ctx, &ctx.session.ask(&asked).await?)
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
            let allowed = said!("each node once", "同じノードを 1 回だけ含む指定");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::Lang;

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
