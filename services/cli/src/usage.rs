//! `watari usage`.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde::Serialize;
use watari_chassis::clock;
use watari_contracts::{history::Usage, monitor::ReportUsage};
use watari_model::{ProjectName, Said, VmName};

use crate::{
    Context,
    failure::Failure,
    input, known,
    lang::Lang,
    out::{Column, Row},
    texts::words::Word,
};

/// What servers used
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Say how many hours of processor, memory and disk each server used
    Report(Report),
}

/// Of when, and in which form.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watari usage report --from 2026-11-01 --to 2026-12-01
  watari usage report --from 2026-11-01 --to 2026-12-01 --csv >november.csv
  watari usage report --from 7d --to 0s --vm mail -o json
  watari usage report --from 30d --to 0s --project research
  watari usage report --from 30d --to 0s --by-project --csv >projects.csv

A day begins at midnight of this machine's time zone, and what is named by --to is not counted any more: the first
example is November. Processors and memory count while a server runs, its disk as long as it exists, with what its
snapshots keep; a kept disk counts on under its server's name. Servers that had one name one after another are added up;
one that was of several projects has a line for each. Time of which the history does not reach back is in a column of
its own and in no other.")]
pub struct Report {
    /// From then on: a day, a moment such as "2026-11-01 08:00", or 7d ago
    #[arg(long, alias = "since", value_name = "DATE")]
    from: String,
    /// Until then, or now if that is earlier
    #[arg(long, alias = "until", value_name = "DATE")]
    to: String,
    /// Only servers of this name
    #[arg(long)]
    vm: Option<String>,
    /// Only while they were of this project
    #[arg(long)]
    project: Option<String>,
    /// One line for each project with what its servers used together
    #[arg(long)]
    by_project: bool,
    /// Lines with commas between, for spreadsheets
    #[arg(long)]
    csv: bool,
}

/// What was used, in hours.
#[derive(Debug, Serialize)]
struct Hours {
    vcpu_hours: f64,
    memory_gib_hours: f64,
    disk_gib_hours: f64,
    running_hours: f64,
    existing_hours: f64,
    not_recorded_hours: f64,
}

/// What the servers of one name used while they were of one project. The field names are stable; so are the columns of
/// CSV.
#[derive(Debug, Serialize)]
struct Used {
    vm: VmName,
    servers: u32,
    #[serde(flatten)]
    hours: Hours,
    project: ProjectName,
}

const CSV: &str =
    "vm,servers,vcpu_hours,memory_gib_hours,disk_gib_hours,running_hours,existing_hours,not_recorded_hours,project";

/// What all servers used together while they were of one project. Names are stable likewise.
#[derive(Debug, Serialize)]
struct OfProject {
    project: ProjectName,
    servers: u32,
    #[serde(flatten)]
    hours: Hours,
}

const CSV_OF_PROJECTS: &str =
    "project,servers,vcpu_hours,memory_gib_hours,disk_gib_hours,running_hours,existing_hours,not_recorded_hours";

impl Verb {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let Self::Report(Report { from, to, vm, project, by_project, csv }) = self;
        let now = clock::now();
        let (begin, end) = (input::past("--from", &from, now)?, input::past("--to", &to, now)?);
        input::later("--to", &to, end, &Said::both("--from"), begin)?;
        let (of_vm, of_project) = (input::name_if(vm.as_deref())?, input::name_if(project.as_deref())?);
        let request = ReportUsage { from: begin, until: end, vm: of_vm, project: of_project, after: None, limit: None };
        let pages = ctx.session.pages(request, |page| (page.servers, page.next), |r, after| r.after = after);
        let usages = pages.await?;
        known::check_if(&ctx.session, !usages.is_empty(), "vms", vm.as_deref()).await?;
        known::check_if(&ctx.session, !usages.is_empty(), "projects", project.as_deref()).await?;
        if by_project {
            return show(ctx, csv, CSV_OF_PROJECTS, &by_projects(usages), OfProject::csv);
        }
        let used: Vec<Used> = usages.into_iter().map(Used::from).collect();
        show(ctx, csv, CSV, &used, Used::csv)
    }
}

fn show<R: Row>(ctx: &Context, csv: bool, head: &str, rows: &[R], line: impl Fn(&R) -> String) -> Result<(), Failure> {
    if csv {
        let lines = std::iter::once(head.to_owned()).chain(rows.iter().map(line));
        return ctx.out.text(&lines.collect::<Vec<_>>().join("\n"));
    }
    ctx.out.list(rows)
}

/// Added up before they are made hours, so that nothing is rounded twice.
fn by_projects(usages: Vec<Usage>) -> Vec<OfProject> {
    let mut sums: BTreeMap<ProjectName, Usage> = BTreeMap::new();
    for usage in usages {
        match sums.get_mut(&usage.project) {
            Some(sum) => add(sum, &usage),
            None => drop(sums.insert(usage.project.clone(), usage)),
        }
    }
    sums.into_values().map(OfProject::from).collect()
}

fn add(sum: &mut Usage, more: &Usage) {
    sum.servers = sum.servers.saturating_add(more.servers);
    for (seconds, more) in [
        (&mut sum.existed_seconds, more.existed_seconds),
        (&mut sum.ran_seconds, more.ran_seconds),
        (&mut sum.vcpu_seconds, more.vcpu_seconds),
        (&mut sum.memory_mib_seconds, more.memory_mib_seconds),
        (&mut sum.disk_gib_seconds, more.disk_gib_seconds),
        (&mut sum.unknown_seconds, more.unknown_seconds),
    ] {
        *seconds = seconds.saturating_add(more);
    }
}

impl From<&Usage> for Hours {
    fn from(usage: &Usage) -> Self {
        Self {
            vcpu_hours: hours(usage.vcpu_seconds, 1),
            memory_gib_hours: hours(usage.memory_mib_seconds, 1024),
            disk_gib_hours: hours(usage.disk_gib_seconds, 1),
            running_hours: hours(usage.ran_seconds, 1),
            existing_hours: hours(usage.existed_seconds, 1),
            not_recorded_hours: hours(usage.unknown_seconds, 1),
        }
    }
}

impl Hours {
    const COLUMNS: [Column; 6] = [
        Column::Number(Word::VcpuHours),
        Column::Number(Word::MemoryHours),
        Column::Number(Word::DiskHours),
        Column::Number(Word::RunningHours),
        Column::Number(Word::ExistingHours),
        Column::Number(Word::NotRecordedHours),
    ];

    fn cells(&self, places: usize) -> [String; 6] {
        [
            self.vcpu_hours,
            self.memory_gib_hours,
            self.disk_gib_hours,
            self.running_hours,
            self.existing_hours,
            self.not_recorded_hours,
        ]
        .map(|hours| format!("{hours:.places$}"))
    }
}

impl From<Usage> for Used {
    fn from(usage: Usage) -> Self {
        Self { hours: Hours::from(&usage), vm: usage.vm, servers: usage.servers, project: usage.project }
    }
}

impl Used {
    /// Neither names nor numbers need quotes.
    fn csv(&self) -> String {
        format!("{},{},{},{}", self.vm, self.servers, self.hours.cells(3).join(","), self.project)
    }
}

impl From<Usage> for OfProject {
    fn from(usage: Usage) -> Self {
        Self { hours: Hours::from(&usage), project: usage.project, servers: usage.servers }
    }
}

impl OfProject {
    fn csv(&self) -> String {
        format!("{},{},{}", self.project, self.servers, self.hours.cells(3).join(","))
    }
}

/// Seconds of something as hours, to the thousandth; `parts` of it make one of what is shown.
fn hours(seconds: u64, parts: u64) -> f64 {
    let thousandths = u128::from(seconds) * 1_000 / (3_600 * u128::from(parts));
    thousandths as f64 / 1_000.0
}

impl Row for Used {
    fn columns() -> Vec<Column> {
        [Column::Text(Word::Vm), Column::Text(Word::Project)].into_iter().chain(Hours::COLUMNS).collect()
    }

    fn cells(&self, _: Lang) -> Vec<String> {
        [self.vm.to_string(), self.project.to_string()].into_iter().chain(self.hours.cells(2)).collect()
    }

    fn none() -> Word {
        Word::NoUsage
    }
}

impl Row for OfProject {
    fn columns() -> Vec<Column> {
        [Column::Text(Word::Project), Column::Number(Word::Vms)].into_iter().chain(Hours::COLUMNS).collect()
    }

    fn cells(&self, _: Lang) -> Vec<String> {
        [self.project.to_string(), self.servers.to_string()].into_iter().chain(self.hours.cells(2)).collect()
    }

    fn none() -> Word {
        Word::NoUsage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_those_of_the_service_in_its_units() {
        let golden = include_str!("../../../shared/contracts/tests/golden/reply.UsagePage.json");
        let pages: Vec<watari_contracts::monitor::UsagePage> = serde_json::from_str(golden).unwrap();
        let usage = || pages[0].servers[0].clone();
        let used = Used::from(usage());
        assert_eq!(used.csv(), "mail,1,1392.000,696.000,2880.000,696.000,720.000,0.000,default");
        assert_eq!(CSV.split(',').count(), used.csv().split(',').count());
        let fields = serde_json::to_value(&used).unwrap();
        for column in CSV.split(',') {
            assert!(!fields[column].is_null(), "{column}");
        }
        assert_eq!(Used::columns().len(), used.cells(Lang::En).len());
        let sums = by_projects(vec![usage(), Usage { vm: "web".parse().unwrap(), ..usage() }]);
        let [sum] = sums.as_slice() else { panic!("{sums:?}") };
        assert_eq!(sum.csv(), "default,2,2784.000,1392.000,5760.000,1392.000,1440.000,0.000");
        let fields = serde_json::to_value(sum).unwrap();
        assert!(CSV_OF_PROJECTS.split(',').all(|column| !fields[column].is_null()), "{fields}");
        assert_eq!(CSV_OF_PROJECTS.split(',').count(), OfProject::columns().len());
        let other = Usage { project: "research".parse().unwrap(), ..usage() };
        assert_eq!(by_projects(vec![usage(), other]).len(), 2);
        assert_eq!([hours(1, 1), hours(1_800, 1), hours(u64::MAX, 1).floor()], [0.0, 0.5, 5_124_095_576_030_431.0]);
    }
}
