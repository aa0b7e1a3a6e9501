//! `watari project`.

use clap::{ArgGroup, Args, Subcommand};
use watari_contracts::scheduler::{
    CreateProject, DeleteProject, GetProject, ListDisks, ListProjects, ListVms, ProjectView, SetProject,
};
use watari_model::{
    ProjectName, Refusal, Said,
    project::{Bound, Quota},
    size,
};

use crate::{
    Context,
    confirm::confirm_of,
    failure::Failure,
    format, input,
    lang::Lang,
    options::Consent,
    out::{self, Column, Row, or_dash},
    texts::{projects, words::Word},
    vm,
};

/// What takes a bound away, or leaves it out.
const NONE: &str = "none";
/// So many servers and disks are named by which a project is in use.
const NAMED: u32 = 5;

/// Projects: servers that are counted together, and how much they may have
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a project
    #[command(after_help = "\
Examples:
  watari project create research --servers 20 --memory 64GiB
  watari vm create db1 --image mini --network campus --project research

What counts is what was accepted, whether it runs or not. Kept disks and snapshots count as disk. What is not bounded is
taken as there is room.")]
    Create(Create),
    /// List the projects, with what they use of what they may have
    #[command(after_help = "Example:\n  watari project list -o json")]
    List,
    /// Show one project, with what is used and left
    #[command(after_help = "Example:\n  watari project show research")]
    Show(Which),
    /// Change how much a project may have
    #[command(after_help = "\
Examples:
  watari project set research --servers 30
  watari project set research --memory none --note \"until March\"
  watari project set default --vcpus 64

A bound below what is used takes nothing away: it refuses what would use more.")]
    Set(Set),
    /// Forget a project that has no servers and no kept disks
    #[command(after_help = "Example:\n  watari project delete research --yes")]
    Delete(Delete),
}

/// How much.
#[derive(Debug, Args)]
pub struct Bounds {
    /// Servers at most, or none for no bound
    #[arg(long, value_name = "NUMBER")]
    servers: Option<String>,
    /// Virtual CPUs of all its servers at most, or none for no bound
    #[arg(long, value_name = "NUMBER")]
    vcpus: Option<String>,
    /// Memory of all its servers at most, or none for no bound
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// Disk of all its servers at most, with snapshots and kept disks, or none for no bound
    #[arg(long, value_name = "SIZE")]
    disk: Option<String>,
}

/// What to make.
#[derive(Debug, Args)]
pub struct Create {
    /// The project's name
    name: String,
    #[command(flatten)]
    bounds: Bounds,
    /// What it is for, in one line
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

/// What to change.
#[derive(Debug, Args)]
#[command(group(
    ArgGroup::new("change").required(true).multiple(true).args(["servers", "vcpus", "memory", "disk", "note"])
))]
pub struct Set {
    /// The project
    name: String,
    #[command(flatten)]
    bounds: Bounds,
    /// What it is for, in one line
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

/// Which project.
#[derive(Debug, Args)]
pub struct Which {
    /// The project
    name: String,
}

/// What to delete.
#[derive(Debug, Args)]
pub struct Delete {
    /// The project
    name: String,
    #[command(flatten)]
    consent: Consent,
}

/// Each bound that was given.
struct Given {
    servers: Option<Bound>,
    vcpus: Option<Bound>,
    memory_mib: Option<Bound>,
    disk_gib: Option<Bound>,
}

impl Bounds {
    fn given(&self) -> Result<Given, Failure> {
        Ok(Given {
            servers: bound(self.servers.as_deref(), |text| number("--servers", text))?,
            vcpus: bound(self.vcpus.as_deref(), |text| number("--vcpus", text))?,
            memory_mib: bound(self.memory.as_deref(), |text| sized("--memory", text, size::parse_mib))?,
            disk_gib: bound(self.disk.as_deref(), |text| sized("--disk", text, size::parse_gib))?,
        })
    }
}

impl Verb {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let session = &ctx.session;
        match self {
            Self::Create(Create { name, bounds, note }) => {
                let Given { servers, vcpus, memory_mib, disk_gib } = bounds.given()?;
                let most = |bound: Option<Bound>| bound.and_then(Bound::most);
                let quota = Quota {
                    servers: most(servers),
                    vcpus: most(vcpus),
                    memory_mib: most(memory_mib),
                    disk_gib: most(disk_gib),
                };
                let (request_id, note) = (Some(session.request_id()), note.unwrap_or_default());
                ctx.out.row(&session.ask(&CreateProject { request_id, name: input::name(&name)?, note, quota }).await?)
            }
            Self::List => ctx.out.list(&session.ask(&ListProjects {}).await?.projects),
            Self::Show(Which { name }) => {
                let view = session.ask(&GetProject { name: input::name(&name)? }).await?;
                warn(ctx.out.lang, &view);
                ctx.out.show(&view)
            }
            Self::Set(Set { name, bounds, note }) => {
                let Given { servers, vcpus, memory_mib, disk_gib } = bounds.given()?;
                let request = SetProject { name: input::name(&name)?, note, servers, vcpus, memory_mib, disk_gib };
                let view = session.ask(&request).await?;
                warn(ctx.out.lang, &view);
                ctx.out.row(&view)
            }
            Self::Delete(Delete { name, consent }) => {
                let project: ProjectName = input::name(&name)?;
                // Nobody is asked about what would be refused.
                if !consent.yes {
                    deletable(ctx, &project).await?;
                }
                let there = GetProject { name: project.clone() };
                confirm_of(ctx, consent, &there, &projects::delete(ctx.out.lang, &name)).await?;
                ctx.out.gone(&session.ask(&DeleteProject { name: project }).await?, &name)
            }
        }
    }
}

/// That no server and no kept disk is counted with a project, nor will be.
async fn deletable(ctx: &Context, project: &ProjectName) -> Result<(), Failure> {
    if project.is_default() {
        return Err(Refusal::ProjectDefault { project: project.to_string() }.into());
    }
    let (of, limit) = (Some(project.clone()), Some(NAMED));
    let vms = ctx.session.ask(&ListVms { project: of.clone(), limit, ..ListVms::default() }).await?;
    let disks = ctx.session.ask(&ListDisks { project: of, limit, ..ListDisks::default() }).await?;
    // How many more there are nobody has counted.
    let more = (vms.next.is_some() || disks.next.is_some()).then(|| "…".to_owned());
    let named = vms.vms.iter().map(|vm| vm.name.to_string());
    let users: Vec<String> = named.chain(disks.disks.iter().map(|disk| disk.name.to_string())).chain(more).collect();
    if users.is_empty() {
        return Ok(());
    }
    Err(Refusal::ProjectInUse { project: project.to_string(), users: users.join(", ") }.into())
}

/// What should be known of a project.
fn warn(lang: Lang, view: &ProjectView) {
    for warning in &view.warnings {
        out::say(&vm::warned(lang, warning));
    }
}

/// A bound as it is typed; none if it is left out.
fn bound(text: Option<&str>, most: impl Fn(&str) -> Result<u64, Failure>) -> Result<Option<Bound>, Failure> {
    match text {
        None => Ok(None),
        Some(NONE) => Ok(Some(Bound::None)),
        Some(text) => Ok(Some(Bound::AtMost(most(text)?))),
    }
}

fn number(option: &str, text: &str) -> Result<u64, Failure> {
    input::value(option, Said::new("a whole number such as 20, or none", "20 のような整数、または none"), text)
}

fn sized(option: &str, text: &str, parse: fn(&str, &str) -> Result<u64, Refusal>) -> Result<u64, Failure> {
    parse(option, text).map_err(Failure::mistyped)
}

/// What is used, and of how much if that is bounded.
fn share(used: u64, most: Option<u64>, shown: fn(u64) -> String) -> String {
    match most {
        Some(most) => format!("{} / {}", shown(used), shown(most)),
        None => shown(used),
    }
}

fn gib(gib: u64) -> String {
    format!("{gib} GiB")
}

/// The four shares of a project, in the order of the columns.
fn shares(view: &ProjectView) -> [String; 4] {
    let ProjectView { used, quota, .. } = view;
    [
        share(used.servers, quota.servers, |n| n.to_string()),
        share(used.vcpus, quota.vcpus, |n| n.to_string()),
        share(used.memory_mib, quota.memory_mib, format::memory),
        share(used.disk_gib, quota.disk_gib, gib),
    ]
}

impl Row for ProjectView {
    fn columns() -> Vec<Column> {
        use Column::{Number, Text};
        vec![
            Text(Word::Name),
            Number(Word::Vms),
            Number(Word::Vcpus),
            Number(Word::Memory),
            Number(Word::Disk),
            Text(Word::Note),
        ]
    }

    fn cells(&self, _: Lang) -> Vec<String> {
        let note = or_dash(Some(&self.note).filter(|note| !note.is_empty()));
        std::iter::once(self.name.to_string()).chain(shares(self)).chain([note]).collect()
    }

    fn wide_columns() -> Vec<Column> {
        vec![Column::Text(Word::Created), Column::Text(Word::Changed)]
    }

    fn wide_cells(&self, _: Lang) -> Vec<String> {
        [self.created_at, self.changed_at].map(|at| or_dash(at.map(format::moment))).to_vec()
    }

    fn details(&self, lang: Lang) -> Vec<(Word, String)> {
        let left = [
            self.left.servers.map(|n| n.to_string()),
            self.left.vcpus.map(|n| n.to_string()),
            self.left.memory_mib.map(format::memory),
            self.left.disk_gib.map(gib),
        ];
        let words = [Word::Vms, Word::Vcpus, Word::Memory, Word::Disk];
        let told =
            shares(self).into_iter().zip(left).map(|(share, left)| projects::share(lang, &share, left.as_deref()));
        let mut details = vec![(Word::Name, self.name.to_string())];
        details.extend(words.into_iter().zip(told));
        details.push((Word::KeptDisks, gib(self.used.kept_disk_gib)));
        details.push((Word::Snapshots, gib(self.used.snapshots_gib)));
        details.push((Word::Note, or_dash(Some(&self.note).filter(|note| !note.is_empty()))));
        details.push((Word::Created, or_dash(self.created_at.map(format::moment))));
        details.push((Word::Changed, or_dash(self.changed_at.map(format::moment))));
        details
    }

    fn none() -> Word {
        Word::NoProjects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_a_number_with_its_unit_or_none() {
        let given = |servers: &str, memory: &str| {
            let text = |text: &str| Some(text.to_owned());
            Bounds { servers: text(servers), vcpus: None, memory: text(memory), disk: None }.given()
        };
        let Given { servers, vcpus, memory_mib, .. } = given("0", "2GiB").unwrap();
        assert_eq!((servers, vcpus, memory_mib), (Some(Bound::AtMost(0)), None, Some(Bound::AtMost(2_048))));
        assert_eq!(given("none", "none").unwrap().servers, Some(Bound::None));
        for (servers, memory) in [("-1", "2GiB"), ("many", "2GiB"), ("1", "2048"), ("1", "0GiB")] {
            assert_eq!(given(servers, memory).err().unwrap().exit(), crate::failure::USAGE, "{servers} {memory}");
        }
    }

    #[test]
    fn what_is_used_is_shown_beside_what_may_be_and_what_is_left() {
        let samples = include_str!("../../../shared/contracts/tests/golden/reply.ProjectView.json");
        let view = serde_json::from_str::<Vec<ProjectView>>(samples).unwrap().swap_remove(0);
        assert_eq!(view.cells(Lang::En)[..4], ["research", "3 / 20", "6", "12288 MiB / 64 GiB"]);
        for (lang, servers, vcpus) in
            [(Lang::En, "3 / 20 (17 left)", "6 (no bound)"), (Lang::Ja, "3 / 20 (残り 17)", "6 (上限なし)")]
        {
            let details = view.details(lang);
            assert_eq!((details[1].1.as_str(), details[2].1.as_str()), (servers, vcpus));
            assert_eq!((details[5].1.as_str(), details[6].1.as_str()), ("8 GiB", "2 GiB"), "parts of the disk");
        }
    }
}
