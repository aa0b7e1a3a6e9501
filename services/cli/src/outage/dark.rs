//! `watari outage shut-down`: the nodes of a site that goes dark.

use clap::Args;
use watari_contracts::scheduler::{DarkNode, DarkPlan, Fault, GetOutage, NodesDark, OutageView, ShutDownNodes};
use watari_model::{OutageId, outage::State};

use super::{
    follow::{begun, until_dark, until_left_and_dark},
    which::Nearest,
};
use crate::{
    Context,
    failure::Failure,
    format,
    lang::Lang,
    options::Waiting,
    out::{self, Out},
    texts::{self, dark},
};

/// Whose nodes are to be shut down.
#[derive(Debug, Args)]
pub struct ShutDown {
    #[command(flatten)]
    nearest: Nearest,
    /// Leave them on instead
    #[arg(long, conflicts_with = "dry_run")]
    withdraw: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    waiting: Waiting,
}

/// Whether an outage that is being made or begun is to shut its nodes down.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Wish {
    /// Shut the site's nodes down once they are empty; see: watari outage shut-down
    #[arg(long)]
    shut_down_nodes: bool,
}

impl Wish {
    /// Asks for it, if it was wished; the outage as it is then.
    pub(crate) async fn apply(self, ctx: &Context, view: OutageView) -> Result<OutageView, Failure> {
        if !self.shut_down_nodes {
            return Ok(view);
        }
        self.ask(ctx, &view.id).await?;
        ctx.session.ask(&GetOutage { id: view.id }).await
    }

    /// An outage whose leg has begun, with this wish: whoever waits for it waits for its nodes to be off as well.
    ///
    /// # Errors
    /// As [`begun`], and if a node is not off.
    pub(crate) async fn begun(self, ctx: &Context, waiting: Waiting, view: OutageView) -> Result<(), Failure> {
        if waiting.wait && self.shut_down_nodes {
            return until_left_and_dark(ctx, waiting, view).await;
        }
        begun(ctx, waiting, view).await
    }

    /// Asks for it, if it was wished, of an outage that is there.
    pub(super) async fn ask(self, ctx: &Context, id: &OutageId) -> Result<(), Failure> {
        if self.shut_down_nodes {
            ctx.session.ask(&ShutDownNodes { id: id.clone(), withdraw: false, dry_run: false }).await?;
        }
        Ok(())
    }
}

impl ShutDown {
    /// Asks for it, or what it would come to.
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let Self { nearest, withdraw, dry_run, waiting } = self;
        let asked = ShutDownNodes { id: nearest.id(ctx).await?, withdraw, dry_run };
        let told = ctx.session.ask(&asked).await?;
        if waiting.wait && !dry_run && !withdraw {
            let view = ctx.session.ask(&GetOutage { id: told.outage }).await?;
            return until_dark(ctx, waiting, view).await;
        }
        ctx.out.reported(&told, told.nodes.iter().map(|turn| turn.node.to_string()), || turns(ctx.out, &told))?;
        if ctx.out.format.is_for_people() {
            out::say(&dark::wished(ctx.out.lang, told.outage.as_str(), told.wished));
        }
        Ok(())
    }
}

/// Whether some of its nodes will still go off, as far as is known.
pub(super) fn is_going(view: &OutageView) -> bool {
    let goes = |node: &DarkNode| node.state == "going off" || (node.state == "waiting" && node.why.is_none());
    match view.state {
        State::Scheduled | State::Evacuating => true,
        State::Evacuated => view.nodes.iter().any(goes),
        State::Returning | State::Completed | State::Cancelled => false,
    }
}

/// Whether the turn of one does not come yet for what may be over in a moment: what lives there may just have left.
pub(super) fn is_hindered(view: &OutageView) -> bool {
    let passes = |why: &Fault| matches!(why.code.as_str(), "node.not-empty" | "bus.no-answer");
    let waits = |node: &DarkNode| node.state == "waiting" && node.why.as_ref().is_some_and(passes);
    view.state == State::Evacuated && view.nodes.iter().any(waits)
}

/// Whether all are off that can be: a front end's host is nobody's to shut down from here.
pub(super) fn are_off(view: &OutageView) -> bool {
    let fronts = |node: &DarkNode| node.why.as_ref().is_some_and(|why| why.code == "node.front-end");
    view.nodes.iter().all(|node| node.state == "off" || fronts(node))
}

/// The nodes in their order, each with what would be run.
fn turns(out: Out, told: &NodesDark) -> String {
    if told.nodes.is_empty() {
        return dark::nobody(out.lang).to_owned();
    }
    let lines = told.nodes.iter().enumerate().map(|(n, plan)| turn(out.lang, n + 1, plan));
    lines.collect::<Vec<_>>().join("\n")
}

fn turn(lang: Lang, number: usize, plan: &DarkPlan) -> String {
    let monitor = |programs: &[Vec<String>]| match programs.first() {
        Some(words) => dark::by_monitor(lang, &words.join(" ")),
        None => dark::by_hand(lang).to_owned(),
    };
    let off = if plan.agent.is_empty() { monitor(&plan.off) } else { dark::by_agent(lang, &plan.agent.join(" ")) };
    let line = dark::turn(lang, number, plan.node.as_str(), &off, &monitor(&plan.on));
    with_fault(lang, line, plan.why.as_ref())
}

/// What an outage's report says of its nodes; nothing if they are not shut down.
pub(super) fn report(out: Out, nodes: &[DarkNode]) -> Option<String> {
    let lines: Vec<String> = nodes.iter().map(|node| line(out.lang, node)).collect();
    (!lines.is_empty()).then(|| format!("{}\n{}", dark::title(out.lang), lines.join("\n")))
}

/// How far one node is, with what is the matter.
pub(super) fn line(lang: Lang, node: &DarkNode) -> String {
    let state = dark::state(lang, &node.state);
    let state = match node.since {
        Some(at) => dark::since(lang, &state, &format::moment(at)),
        None => state,
    };
    with_fault(lang, format!("{}: {state}", node.node), node.why.as_ref())
}

fn with_fault(lang: Lang, line: String, why: Option<&Fault>) -> String {
    let told = why.map(|why| match lang {
        Lang::En => texts::warning(lang, &why.code, &why.cause, &why.remedy),
        Lang::Ja => texts::warning(lang, &why.code, &why.ja.cause, &why.ja.remedy),
    });
    std::iter::once(line).chain(told).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::out::Format;

    #[test]
    fn each_nodes_turn_says_by_what_it_goes_off_and_comes_back() {
        let sample = include_str!("../../../../shared/contracts/tests/golden/reply.NodesDark.json");
        let told: NodesDark = serde_json::from_str::<Vec<_>>(sample).unwrap().swap_remove(0);
        let shown = |lang| turns(Out { format: Format::Table, lang }, &told);
        let (en, ja) = (shown(Lang::En), shown(Lang::Ja));
        assert!(en.contains("1. m-front: off: by hand; on: by hand\nwarning[node.front-end]: "), "{en}");
        assert!(en.contains("2. m1: off: its agent runs `systemctl poweroff`; on: the monitor runs `fence"), "{en}");
        assert!(ja.contains("警告[node.front-end]: ") && ja.contains("停止: エージェントが"), "{ja}");
    }

    #[test]
    fn a_report_names_who_is_off_and_why_another_is_not() {
        let sample = include_str!("../../../../shared/contracts/tests/golden/reply.OutageView.json");
        let view: OutageView = serde_json::from_str::<Vec<_>>(sample).unwrap().swap_remove(0);
        let shown = |lang| report(Out { format: Format::Table, lang }, &view.nodes).unwrap();
        let (en, ja) = (shown(Lang::En), shown(Lang::Ja));
        assert!(en.contains("\nm1: off since ") && en.contains("\nwarning[node.still-on]: node m2"), "{en}");
        assert!(ja.contains("\nm1: 停止 (") && ja.contains("\nm2: 停止できず ("), "{ja}");
        assert_eq!(report(Out { format: Format::Table, lang: Lang::En }, &[]), None);
    }

    #[test]
    fn a_site_is_dark_once_nobody_goes_off_any_more_and_only_a_front_end_is_left_on() {
        let sample = include_str!("../../../../shared/contracts/tests/golden/reply.OutageView.json");
        let mut view: OutageView = serde_json::from_str::<Vec<_>>(sample).unwrap().swap_remove(0);
        assert!(is_going(&view), "it is evacuated first");
        view.state = State::Evacuated;
        assert!(!is_going(&view) && !are_off(&view), "one is not shut down");
        view.nodes[1].why.as_mut().unwrap().code = "node.front-end".to_owned();
        assert!(are_off(&view));
        (view.nodes[1].state, view.nodes[1].why) = ("waiting".to_owned(), None);
        assert!(is_going(&view), "its turn comes");
    }
}
