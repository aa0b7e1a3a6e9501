//! `watari manual`: the manual's pages, for packages, and for whoever has the program alone.

use std::{fs, io, path::PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_mangen::{
    Man,
    roff::{Roff, roman},
};

use crate::{
    failure::Failure,
    lang::Lang,
    options::Options,
    texts::{faults::Fault, help},
};

/// What sections are called that have no heading of the help's own, in English and Japanese. By the first of them
/// `whatis` finds what a page is about, in either language.
const HEADINGS: [(&str, &str); 4] =
    [("NAME", "名前"), ("SYNOPSIS", "書式"), ("DESCRIPTION", "説明"), ("NOTES", "補足")];

/// Write the manual's pages, one a command, into a folder
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watari manual ~/.local/share/man/man1
  watari manual /usr/local/share/man/ja/man1 --lang ja

Debian's package `watari` has them in place: man watari, man watari-vm-create.")]
pub struct Manual {
    /// The folder, which must be there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Manual {
    /// Writes them in a language.
    ///
    /// # Errors
    /// [`Failure`] if a file cannot be written.
    pub fn run(&self, lang: Lang) -> Result<(), Failure> {
        let mut command = Options::command().disable_help_subcommand(true);
        match lang {
            Lang::En => command.build(),
            Lang::Ja => command = help::in_japanese(command),
        }
        Ok(self.write(&command, lang)?)
    }

    fn write(&self, command: &Command, lang: Lang) -> Result<(), Fault> {
        for below in shown(command) {
            self.write(below, lang)?;
        }
        let source = format!("watari {}", env!("CARGO_PKG_VERSION"));
        let man = Man::new(command.clone()).source(source).manual("Watari");
        let path = self.folder.join(man.get_filename());
        let written = page(&man, command).and_then(|page| fs::write(&path, under_headings(page, lang)));
        written.map_err(|error| Fault::File { path: path.display().to_string(), detail: error.to_string() })
    }
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|below| !below.is_hide_set())
}

/// Section by section, since examples must keep their lines.
fn page(man: &Man, command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if shown(command).next().is_some() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(notes) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        let mut roff = Roff::new();
        roff.control("SH", ["NOTES"]).control("nf", []);
        for line in notes.to_string().lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
        roff.to_writer(&mut page)?;
    }
    Ok(page)
}

/// The page with its headings in a language.
fn under_headings(page: Vec<u8>, lang: Lang) -> Vec<u8> {
    if lang == Lang::En {
        return page;
    }
    let mut text = String::from_utf8_lossy(&page).into_owned();
    for (en, ja) in HEADINGS {
        text = text.replace(&format!("\n.SH {en}\n"), &format!("\n.SH {ja}\n"));
    }
    text.into_bytes()
}
