//! `watari vm snapshot`.

use clap::{Args, Subcommand};
use serde::{Serialize, Serializer};
use watari_contracts::scheduler::{CreateSnapshot, DeleteSnapshot, GetVm, RevertSnapshot, VmView};
use watari_model::{
    Refusal, SnapshotName, VmName,
    image::Consistency,
    vm::{Outcome, Snapshot, State},
};

use crate::{
    Context,
    confirm::confirm_seen,
    failure::Failure,
    format, input,
    lang::Lang,
    options::{Consent, Waiting},
    out::{Column, Row, or_dash},
    progress::Progress,
    texts::{
        snapshots,
        words::{self, Word},
    },
    wait,
};

/// Moments of a server's disk, to go back to
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Keep a server's disk as it is now under a name; the server goes on, running or not
    Create(Create),
    /// List a server's snapshots
    #[command(after_help = "Example:\n  watari vm snapshot list mail")]
    List(List),
    /// Put a stopped server's disk back to a snapshot; what was written since is lost
    Revert(Revert),
    /// Forget a snapshot; the disk stays as it is
    Delete(Delete),
}

/// What to keep.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  watari vm snapshot create mail before-upgrade --wait

It holds the disk, not the memory, and lies where the disk lies: it goes along when the server moves, and is lost
with the disk. What is to outlive that is saved as an image (watari vm save). A server has at most three.")]
pub struct Create {
    /// The server
    name: String,
    /// The snapshot's name
    #[arg(value_name = "SNAPSHOT")]
    snapshot: String,
    #[command(flatten)]
    waiting: Waiting,
}

/// Whose to list.
#[derive(Debug, Args)]
pub struct List {
    /// The server
    name: String,
}

/// What to put back, and to what.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watari vm stop mail --wait
  watari vm snapshot revert mail before-upgrade --yes --wait
  watari vm start mail --wait

Later snapshots are lost as well. The snapshot itself stays.")]
pub struct Revert {
    /// The server
    name: String,
    /// The snapshot's name
    #[arg(value_name = "SNAPSHOT")]
    snapshot: String,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    waiting: Waiting,
}

/// What to forget.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  watari vm snapshot delete mail before-upgrade --yes --wait

The name is gone at once. Its room on the disk is given back when the server's next snapshot is taken or its disk is
sent ahead.")]
pub struct Delete {
    /// The server
    name: String,
    /// The snapshot's name
    #[arg(value_name = "SNAPSHOT")]
    snapshot: String,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    waiting: Waiting,
}

impl Verb {
    /// Does it.
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run(ctx).await,
            Self::List(List { name }) => {
                let view = ctx.session.ask(&GetVm { name: input::name(&name)? }).await?;
                ctx.out.list(&view.snapshots.list.iter().map(|one| Listed::of(&view, one)).collect::<Vec<_>>())
            }
            Self::Revert(revert) => revert.run(ctx).await,
            Self::Delete(delete) => delete.run(ctx).await,
        }
    }
}

impl Create {
    async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let (vm, name): (VmName, SnapshotName) = (input::name(&self.name)?, input::name(&self.snapshot)?);
        let request_id = Some(ctx.session.request_id());
        let asked = ctx.session.ask(&CreateSnapshot { request_id, vm: vm.clone(), name: name.clone() }).await?;
        let view = if self.waiting.wait { taken(ctx, self.waiting, asked, &name).await? } else { asked };
        match view.snapshots.get(&name) {
            Some(snapshot) => ctx.out.row(&Listed::of(&view, snapshot)),
            None => Err(unknown(&vm, &name)),
        }
    }
}

impl Revert {
    async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let (vm, name): (VmName, SnapshotName) = (input::name(&self.name)?, input::name(&self.snapshot)?);
        let (lang, there) = (ctx.out.lang, GetVm { name: vm.clone() });
        let question = |view: &VmView| {
            let to = may_go_back(view, &name);
            to.map(|to| snapshots::revert(lang, vm.as_str(), name.as_str(), view.snapshots.later_than(to.number)))
        };
        confirm_seen(ctx, self.consent, &there, question).await?;
        let request_id = Some(ctx.session.request_id());
        let mut view = ctx.session.ask(&RevertSnapshot { request_id, vm, name }).await?;
        if self.waiting.wait {
            view = reverted(ctx, self.waiting, view).await?;
        }
        ctx.out.row(&view)
    }
}

impl Delete {
    async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let (vm, name): (VmName, SnapshotName) = (input::name(&self.name)?, input::name(&self.snapshot)?);
        let there = GetVm { name: vm.clone() };
        let lang = ctx.out.lang;
        let question = |view: &VmView| known(view, &name).map(|_| snapshots::delete(lang, vm.as_str(), name.as_str()));
        confirm_seen(ctx, self.consent, &there, question).await?;
        let request_id = Some(ctx.session.request_id());
        let mut view = ctx.session.ask(&DeleteSnapshot { request_id, vm, name: name.clone() }).await?;
        if self.waiting.wait {
            view = forgotten(ctx, self.waiting, view, &name).await?;
        }
        ctx.out.gone(&view, name.as_str())
    }
}

fn unknown(vm: &VmName, name: &SnapshotName) -> Failure {
    Failure::from(Refusal::SnapshotUnknown { vm: vm.to_string(), snapshot: name.to_string() })
}

fn known<'v>(view: &'v VmView, name: &SnapshotName) -> Result<&'v Snapshot, Failure> {
    view.snapshots.get(name).ok_or_else(|| unknown(&view.name, name))
}

/// The snapshot that the disk would go back to, if it could now: whoever is asked knows that it can.
fn may_go_back<'v>(view: &'v VmView, name: &SnapshotName) -> Result<&'v Snapshot, Failure> {
    let to = known(view, name)?;
    if view.state != State::Stopped {
        let state = view.state.word().to_owned();
        return Err(Failure::from(Refusal::RevertNotStopped { vm: view.name.to_string(), state }));
    }
    if to.taken.is_none() {
        return Err(Failure::from(Refusal::SnapshotNotTaken { vm: view.name.to_string(), snapshot: name.to_string() }));
    }
    Ok(to)
}

/// Until it is taken. Why that takes longer is told meanwhile.
async fn taken(ctx: &Context, waiting: Waiting, asked: VmView, name: &SnapshotName) -> Result<VmView, Failure> {
    let (mut progress, vm) = (Progress::new(), asked.name.clone());
    let look = |view: VmView| match view.snapshots.get(name).map(|snapshot| snapshot.taken.is_some()) {
        Some(true) => Ok(Some(view)),
        Some(false) => {
            progress.doing(vm.as_str(), &doing(&view, ctx.out.lang));
            Ok(None)
        }
        None => Err(unknown(&vm, name)),
    };
    let taken =
        wait::following(waiting, asked, async || ctx.session.ask(&GetVm { name: vm.clone() }).await, look).await;
    taken.map_err(|failure| seen_in_list(&vm, failure))
}

/// Until the disk is as it was then, or why it is not.
async fn reverted(ctx: &Context, waiting: Waiting, asked: VmView) -> Result<VmView, Failure> {
    let (mut progress, vm) = (Progress::new(), asked.name.clone());
    let number = asked.snapshots.revert.as_ref().map(|revert| revert.number);
    let look = |view: VmView| {
        let ours = view.snapshots.revert.as_ref().filter(|revert| Some(revert.number) == number);
        match ours.map(|revert| revert.outcome.clone()) {
            Some(Outcome::UnderWay) => {
                progress.doing(vm.as_str(), &doing(&view, ctx.out.lang));
                Ok(None)
            }
            Some(Outcome::Failed(why)) => Err(Failure::from(why)),
            // Another one has begun since, and this one is over.
            Some(Outcome::Done) | None => Ok(Some(view)),
        }
    };
    wait::following(waiting, asked, async || ctx.session.ask(&GetVm { name: vm.clone() }).await, look).await
}

/// Until the name is gone, or is another snapshot's that was asked for since.
async fn forgotten(ctx: &Context, waiting: Waiting, asked: VmView, name: &SnapshotName) -> Result<VmView, Failure> {
    let (vm, newest) = (asked.name.clone(), asked.snapshots.asked);
    let look = |view: VmView| {
        let there = view.snapshots.get(name).is_some_and(|snapshot| snapshot.number <= newest);
        Ok((!there).then_some(view))
    };
    let gone = wait::following(waiting, asked, async || ctx.session.ask(&GetVm { name: vm.clone() }).await, look).await;
    gone.map_err(|failure| seen_in_list(&vm, failure))
}

/// Snapshots have no `show`: how far one is says the list.
fn seen_in_list(vm: &VmName, failure: Failure) -> Failure {
    match failure {
        Failure::Own(fault) => Failure::Own(fault.looked_at_by(&format!("watari vm snapshot list {vm}"))),
        other => other,
    }
}

/// What its disk is waited for, and why it takes longer.
fn doing(view: &VmView, lang: Lang) -> String {
    if let Some(revert) = view.snapshots.reverting() {
        return snapshots::going_back(lang, revert.to.as_str());
    }
    let Some(due) = view.snapshots.due() else { return String::new() };
    let text = snapshots::taking(lang, due.name.as_str());
    let cause = due.fault.as_ref().map(|fault| match lang {
        Lang::En => fault.english().cause,
        Lang::Ja => fault.japanese().cause,
    });
    cause.map_or_else(|| text.clone(), |cause| words::because(&text, &cause))
}

/// One of them, as a row.
#[derive(Debug)]
struct Listed<'v> {
    snapshot: &'v Snapshot,
    state: snapshots::State,
}

impl<'v> Listed<'v> {
    fn of(view: &'v VmView, snapshot: &'v Snapshot) -> Self {
        Self { snapshot, state: snapshots::State::of(&view.snapshots, snapshot) }
    }
}

/// For programs it is as it stands in the server's view.
impl Serialize for Listed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.snapshot.serialize(serializer)
    }
}

impl Row for Listed<'_> {
    fn columns() -> Vec<Column> {
        // The last is why one is not taken yet.
        [Word::Name, Word::State, Word::SavedAt, Word::Consistency, Word::Reason].map(Column::Text).to_vec()
    }

    fn cells(&self, lang: Lang) -> Vec<String> {
        let Self { snapshot, state } = self;
        let consistency = snapshot.taken.map(|taken| match taken.consistency {
            Consistency::Filesystem => Word::ConsistencyFilesystem.text(lang),
            Consistency::Crash => Word::ConsistencyCrash.text(lang),
        });
        vec![
            snapshot.name.to_string(),
            state.text(lang).to_owned(),
            or_dash(snapshot.taken.map(|taken| format::moment(taken.at))),
            or_dash(consistency),
            or_dash(snapshot.fault.as_ref().map(Refusal::code)),
        ]
    }

    fn none() -> Word {
        Word::NoSnapshots
    }
}

#[cfg(test)]
mod tests {
    use watari_model::vm::Revert;

    use super::*;

    #[test]
    fn who_waits_for_a_snapshot_learns_why_it_takes_longer_and_a_list_says_what_each_holds() {
        let sample = include_str!("../../../../shared/contracts/tests/golden/reply.VmView.json");
        let view: VmView = serde_json::from_str::<Vec<_>>(sample).unwrap().swap_remove(0);
        let told = doing(&view, Lang::En);
        assert!(told.starts_with("snapshot after-upgrade is being taken") && told.contains("1 GiB is free"), "{told}");
        let rows: Vec<Vec<String>> =
            view.snapshots.list.iter().map(|snapshot| Listed::of(&view, snapshot).cells(Lang::En)).collect();
        assert!(rows[0][3].starts_with("filesystem") && rows[0][4] == "-", "{rows:?}");
        let late: Vec<&str> = [0, 1, 2, 4].map(|n| rows[1][n].as_str()).to_vec();
        assert_eq!(late, ["after-upgrade", "being made", "-", "agent.disk-full"]);
        let json = serde_json::to_value(Listed::of(&view, &view.snapshots.list[0])).unwrap();
        assert_eq!(json, serde_json::to_value(&view.snapshots.list[0]).unwrap(), "programs read it as before");
    }

    #[test]
    fn a_list_says_of_each_snapshot_how_far_it_is() {
        let sample = include_str!("../../../../shared/contracts/tests/golden/reply.VmView.json");
        let mut view: VmView = serde_json::from_str::<Vec<_>>(sample).unwrap().swap_remove(0);
        let states = |view: &VmView, lang: Lang| {
            view.snapshots.list.iter().map(|one| Listed::of(view, one).cells(lang).swap_remove(1)).collect::<Vec<_>>()
        };
        view.snapshots.revert = None;
        assert_eq!(states(&view, Lang::En), ["ready", "being made"]);
        assert_eq!(states(&view, Lang::Ja), ["使用可能", "作成中"]);
        let (to, asked_at) = (view.snapshots.list[0].name.clone(), view.created_at);
        view.snapshots.revert = Some(Revert { number: 9, to, asked_at, outcome: Outcome::UnderWay });
        assert_eq!(states(&view, Lang::En), ["being reverted to", "being made"]);
        assert_eq!(states(&view, Lang::Ja), ["復元中", "作成中"]);
        let cells = view.cells(Lang::En);
        assert!(cells[1].ends_with("(its disk is going back to snapshot before-upgrade)"), "{cells:?}");
        let details = view.details(Lang::Ja);
        let of = |word: Word| details.iter().find(|(name, _)| *name == word).map(|(_, text)| text.as_str());
        assert!(of(Word::State).is_some_and(|text| text.contains("before-upgrade に戻しています")), "{details:?}");
        assert!(of(Word::Snapshots).is_some_and(|text| text.contains("after-upgrade (作成中)")), "{details:?}");
        assert_eq!(of(Word::Reverted), Some("before-upgrade (復元中)"));
    }
}
