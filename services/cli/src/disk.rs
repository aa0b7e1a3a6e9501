//! `watari disk`.

use clap::{Args, Subcommand};
use watari_contracts::scheduler::{DeleteDisk, DiskView, GetDisk, ListDisks};
use watari_model::Refusal;

use crate::{
    Context,
    confirm::confirm_seen,
    failure::Failure,
    format, input, known,
    lang::Lang,
    options::Consent,
    out::{Column, Row, or_dash},
    texts::{leaving, words::Word},
};

/// Disks of deleted servers that were kept, for other servers to begin with
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the kept disks
    #[command(after_help = "Examples:\n  watari disk list -o json\n  watari disk list --project research")]
    List(List),
    /// Show one kept disk
    #[command(after_help = "Example:\n  watari disk show mail-7b1d4c2e")]
    Show(Which),
    /// Delete a kept disk that no server begins with
    #[command(after_help = "Example:\n  watari disk delete mail-7b1d4c2e --yes")]
    Delete(Delete),
}

/// Which disks.
#[derive(Debug, Args)]
pub struct List {
    /// Only those of this project
    #[arg(long)]
    project: Option<String>,
}

/// Which disk.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  watari disk show mail-7b1d4c2e")]
pub struct Which {
    /// The kept disk
    name: String,
}

/// What to delete.
#[derive(Debug, Args)]
pub struct Delete {
    /// The kept disk
    name: String,
    #[command(flatten)]
    consent: Consent,
}

impl Verb {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let session = &ctx.session;
        match self {
            Self::List(List { project }) => {
                let of_project = input::name_if(project.as_deref())?;
                let request = ListDisks { project: of_project, ..ListDisks::default() };
                let pages = session.pages(request, |page| (page.disks, page.next), |r, after| r.after = after);
                let disks = pages.await?;
                known::check_if(session, !disks.is_empty(), "projects", project.as_deref()).await?;
                ctx.out.list(&disks)
            }
            Self::Show(Which { name }) => ctx.out.show(&session.ask(&GetDisk { name: input::name(&name)? }).await?),
            Self::Delete(Delete { name, consent }) => {
                let request = DeleteDisk { name: input::name(&name)? };
                let there = GetDisk { name: request.name.clone() };
                let question = |disk: &DiskView| match &disk.used_by {
                    Some(vm) => Err(Refusal::DiskInUse { disk: name.clone(), vm: vm.to_string() }),
                    None => Ok(leaving::delete_disk(ctx.out.lang, &name)),
                };
                confirm_seen(ctx, consent, &there, question).await?;
                ctx.out.gone(&session.ask(&request).await?, &name)
            }
        }
    }
}

impl Row for DiskView {
    fn columns() -> Vec<Column> {
        use Column::{Number, Text};
        vec![
            Text(Word::Name),
            Text(Word::Vm),
            Text(Word::Project),
            Text(Word::Node),
            Text(Word::Site),
            Number(Word::Disk),
            Number(Word::Size),
            Text(Word::Image),
            Text(Word::UsedBy),
            Text(Word::KeptSince),
        ]
    }

    fn cells(&self, _: Lang) -> Vec<String> {
        vec![
            self.name.to_string(),
            self.vm.to_string(),
            or_dash(self.project.as_ref()),
            self.node.to_string(),
            self.site.to_string(),
            format!("{} GiB", self.disk_gib),
            format::bytes(self.size_bytes),
            self.image.to_string(),
            or_dash(self.used_by.as_ref()),
            format::moment(self.kept_at),
        ]
    }

    fn none() -> Word {
        Word::NoDisks
    }
}
