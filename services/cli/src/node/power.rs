//! `watari node power`.

use std::time::Duration;

use clap::{ArgGroup, Args};
use watari_contracts::monitor::{FencingView, GetNode, NodePower, PowerNode, PowerWish};
use watari_model::{
    NodeName,
    node::{Fencing, fencing::Outcome},
};

use crate::{
    Context,
    confirm::confirm,
    failure::Failure,
    format, input,
    lang::Lang,
    options::{Consent, Waiting},
    session::login,
    texts::fencing,
    wait,
};

/// Longer than a power controller may take to answer.
const ANSWER: Duration = Duration::from_secs(90);
/// Longer than one may take to switch, and to say so.
const SWITCHED: Duration = Duration::from_secs(900);

/// What to do with which node's power.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("wish").required(true).args(["off", "on", "status"])))]
pub struct Power {
    /// The node
    name: String,
    /// Cut its power; what runs there dies at once
    #[arg(long)]
    off: bool,
    /// Switch it on
    #[arg(long)]
    on: bool,
    /// Say whether it is on
    #[arg(long)]
    status: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    consent: Consent,
}

impl Power {
    const fn wish(&self) -> PowerWish {
        if self.off {
            PowerWish::Off
        } else if self.on {
            PowerWish::On
        } else {
            PowerWish::Status
        }
    }

    /// Asks for it, and waits until it is known what came of it.
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let name: NodeName = input::name(&self.name)?;
        let dry = PowerNode { name: name.clone(), wish: self.wish(), by: login(), dry_run: true };
        // Whether it can be done at all is known before a person is asked, or a controller.
        let would = ctx.session.ask(&dry).await?;
        let wanted = PowerNode { dry_run: false, ..dry };
        match wanted.wish {
            _ if self.dry_run => told(ctx, &would),
            PowerWish::Status => {
                // Asked once: a controller takes longer than a service.
                let answer = ctx.session.bus().await?.request_within(&wanted, ANSWER).await?;
                told(ctx, &answer)
            }
            PowerWish::Off => {
                confirm(ctx, self.consent, &fencing::cut_power(ctx.out.lang, name.as_str()))?;
                switch(ctx, &wanted).await
            }
            PowerWish::On => switch(ctx, &wanted).await,
        }
    }
}

async fn switch(ctx: &Context, wanted: &PowerNode) -> Result<(), Failure> {
    let answer = ctx.session.ask(wanted).await?;
    let Some(begun) = &answer.begun else { return told(ctx, &answer) };
    let get = GetNode { name: wanted.name.clone() };
    let until = Waiting::at_most(SWITCHED);
    let ended = wait::until(until, async || {
        let last = ctx.session.ask(&get).await?.fencing.last;
        // Or another try, if who began this one is gone.
        let over = |last: &Fencing| last.at > begun.at || (last.at == begun.at && last.outcome != Outcome::Begun);
        Ok(last.filter(over))
    })
    .await?;
    match ended.outcome {
        Outcome::Failed { why } | Outcome::Withheld { why } => Err(Failure::Refused(Box::new(why.into()))),
        Outcome::Done => told(ctx, &NodePower { says: Some(ended.act), begun: None, ..answer }),
        Outcome::Begun => told(ctx, &NodePower { begun: Some(ended), ..answer }),
    }
}

/// What is known, for people or programs.
fn told(ctx: &Context, power: &NodePower) -> Result<(), Failure> {
    let lang = ctx.out.lang;
    ctx.out.told(power, [power.name.to_string()], || match power.says {
        Some(act) => fencing::says(lang, power.name.as_str(), act),
        None => {
            let lines = power.commands.iter().map(|words| fencing::would_run(lang, &words.join(" ")));
            lines.collect::<Vec<_>>().join("\n")
        }
    })
}

/// Whether a node's power can be cut, and what came of that last.
pub(super) fn shown(view: &FencingView, lang: Lang) -> String {
    let configured = fencing::configured(lang, view.configured);
    view.last.as_ref().map_or_else(|| configured.to_owned(), |last| format!("{configured}; {}", line(last, lang)))
}

fn line(last: &Fencing, lang: Lang) -> String {
    let outcome = match &last.outcome {
        Outcome::Begun => fencing::begun(lang).to_owned(),
        Outcome::Done => fencing::done(lang).to_owned(),
        Outcome::Failed { why } | Outcome::Withheld { why } => match lang {
            Lang::En => why.english().cause,
            Lang::Ja => why.japanese().cause,
        },
    };
    fencing::last(lang, last.act, &last.by, &format::moment(last.ended_at.unwrap_or(last.at)), &outcome)
}

#[cfg(test)]
mod tests {
    use watari_contracts::monitor::NodeView;

    use super::*;

    fn views() -> Vec<NodeView> {
        const SAMPLES: &str = include_str!("../../../../shared/contracts/tests/golden/reply.NodeView.json");
        serde_json::from_str(SAMPLES).unwrap()
    }

    #[test]
    fn how_a_nodes_power_stands_is_told_in_one_line() {
        let all: Vec<String> = views().iter().map(|view| shown(&view.fencing, Lang::En)).collect();
        assert!(all.iter().any(|line| line == "not configured"), "{all:?}");
        let failed = all.iter().find(|line| line.contains("off by fencing")).unwrap();
        assert!(failed.starts_with("configured; ") && failed.ends_with("says that it is on"), "{failed}");
        for view in views() {
            assert!(!shown(&view.fencing, Lang::Ja).is_ascii());
        }
    }
}
