//! `watari usage`.

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
    #[arg(long, value_name = "NAME")]
    vm: Option<String>,
    /// Only while they were of this project
    #[arg(long)]
    project: Option<String>,
    /// Lines with commas between, for spreadsheets
    #[arg(long)]
    csv: bool,
}

/// What the servers of one name used while they were of one project. The field names are stable; so are the columns of
/// CSV.
#[derive(Debug, Serialize)]
struct Used {
    vm: VmName,
    servers: u32,
    vcpu_hours: f64,
    memory_gib_hours: f64,
    disk_gib_hours: f64,
    running_hours: f64,
    existing_hours: f64,
    not_recorded_hours: f64,
    project: ProjectName,
}

const CSV: &str =
    "vm,servers,vcpu_hours,memory_gib_hours,disk_gib_hours,running_hours,existing_hours,not_recorded_hours,project";

impl Verb {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let Self::Report(Report { from, to, vm, project, csv }) = self;
        let now = clock::now();
        let (begin, end) = (input::past("--from", &from, now)?, input::past("--to", &to, now)?);
        input::later("--to", &to, end, &Said::both("--from"), begin)?;
        let (of_vm, of_project) = (input::name_if(vm.as_deref())?, input::name_if(project.as_deref())?);
        let request = ReportUsage { from: begin, until: end, vm: of_vm, project: of_project, after: None, limit: None };
        let pages = ctx.session.pages(request, |page| (page.servers, page.next), |r, after| r.after = after);
        let used: Vec<Used> = pages.await?.into_iter().map(Used::from).collect();
        known::check_if(&ctx.session, !used.is_empty(), "vms", vm.as_deref()).await?;
        known::check_if(&ctx.session, !used.is_empty(), "projects", project.as_deref()).await?;
        if csv {
            let lines = std::iter::once(CSV.to_owned()).chain(used.iter().map(Used::csv));
            return ctx.out.text(&lines.collect::<Vec<_>>().join("\n"));
        }
        ctx.out.list(&used)
    }
}

impl From<Usage> for Used {
    fn from(usage: Usage) -> Self {
        Self {
            vm: usage.vm,
            servers: usage.servers,
            vcpu_hours: hours(usage.vcpu_seconds, 1),
            memory_gib_hours: hours(usage.memory_mib_seconds, 1024),
            disk_gib_hours: hours(usage.disk_gib_seconds, 1),
            running_hours: hours(usage.ran_seconds, 1),
            existing_hours: hours(usage.existed_seconds, 1),
            not_recorded_hours: hours(usage.unknown_seconds, 1),
            project: usage.project,
        }
    }
}

impl Used {
    fn numbers(&self) -> [f64; 6] {
        [
            self.vcpu_hours,
            self.memory_gib_hours,
            self.disk_gib_hours,
            self.running_hours,
            self.existing_hours,
            self.not_recorded_hours,
        ]
    }

    /// Neither names nor numbers need quotes.
    fn csv(&self) -> String {
        let numbers = self.numbers().map(|hours| format!("{hours:.3}")).join(",");
        format!("{},{},{numbers},{}", self.vm, self.servers, self.project)
    }
}

/// Seconds of something as hours, to the thousandth; `parts` of it make one of what is shown.
fn hours(seconds: u64, parts: u64) -> f64 {
    let thousandths = u128::from(seconds) * 1_000 / (3_600 * u128::from(parts));
    thousandths as f64 / 1_000.0
}

impl Row for Used {
    fn columns() -> Vec<Column> {
        use Column::{Number, Text};
        vec![
            Text(Word::Vm),
            Text(Word::Project),
            Number(Word::VcpuHours),
            Number(Word::MemoryHours),
            Number(Word::DiskHours),
            Number(Word::RunningHours),
            Number(Word::ExistingHours),
            Number(Word::NotRecordedHours),
        ]
    }

    fn cells(&self, _: Lang) -> Vec<String> {
        let numbers = self.numbers().map(|hours| format!("{hours:.2}"));
        [self.vm.to_string(), self.project.to_string()].into_iter().chain(numbers).collect()
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
        let usage = pages.into_iter().next().unwrap().servers.remove(0);
        let used = Used::from(usage);
        assert_eq!(used.csv(), "mail,1,1392.000,696.000,2880.000,696.000,720.000,0.000,default");
        assert_eq!(CSV.split(',').count(), used.csv().split(',').count());
        let fields = serde_json::to_value(&used).unwrap();
        for column in CSV.split(',') {
            assert!(!fields[column].is_null(), "{column}");
        }
        assert_eq!(Used::columns().len(), used.cells(Lang::En).len());
        assert_eq!([hours(1, 1), hours(1_800, 1), hours(u64::MAX, 1).floor()], [0.0, 0.5, 5_124_095_576_030_431.0]);
    }
}
