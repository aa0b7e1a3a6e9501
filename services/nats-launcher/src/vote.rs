//! What this host remembers of its server's vote, for a start at which nobody can be asked.
//!
//! ```text
//!   seen to have the only vote ──▶ only ── another one has a vote as well ──▶ nothing
//!   stopped without a vote     ──▶ out  ── seen with a vote ───────────────▶ nothing
//! ```
//!
//! | it remembers | somebody leads, it has a vote | somebody leads, it has none | nobody leads, or answers |
//! | --- | --- | --- | --- |
//! | nothing | it serves | it waits until it may begin anew | it serves: all may be starting at once |
//! | the only vote was its own | it serves | it waits until it may begin anew | it serves by itself, in company |
//! | it was taken out | it serves | it waits until it may begin anew | it waits until somebody leads |
//!
//! A vote is given and taken by the servers that have one. Others lose theirs only while a majority is there, as when their
//! campus is about to go dark, and never because they are silent: a server that is left alone by a loss that nobody
//! planned remembers nothing, and waits. While it is the only one, nobody can be given a vote but by itself, and it notes
//! that another one has one. Should it die before, it begins in company and does not lead: who keeps it company has no
//! vote, and by its own store it is no majority any more.
//!
//! Who was taken out may come back first, while the one that stayed is off. By its own store it may still be one of a
//! majority, with others that were taken out after it; it must not be.

use std::{fs, io, path::PathBuf};

use watari_chassis::Membership;

use crate::{Error, Settings, life};

/// Holds it, with the name of the server that is meant: the next life of the server is another one.
const MARK: &str = "vote";

/// What is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Memory {
    Nothing,
    Only,
    Out,
}

impl Memory {
    const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Only => "only",
            Self::Out => "out",
        }
    }

    /// After the server was seen to stand so.
    const fn after(self, seen: Membership) -> Self {
        match seen {
            Membership::Only => Self::Only,
            Membership::Member => Self::Nothing,
            Membership::Stranger | Membership::Unknown => self,
        }
    }
}

/// What a server that was started before does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// It serves.
    Serve,
    /// It serves, in company: nobody else has a vote.
    InCompany,
    /// It waits until it may begin anew.
    Wait,
    /// It asks again until somebody leads.
    Ask,
}

/// The vote of one life of the server.
pub(crate) struct Vote {
    root: PathBuf,
    name: String,
    memory: Memory,
}

impl Vote {
    /// What is remembered of the server of this name.
    pub(crate) fn of(settings: &Settings, name: String) -> Result<Self, Error> {
        let root = settings.store.clone();
        let text = match fs::read_to_string(root.join(MARK)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        let is = |memory: &Memory| text == line(*memory, &name);
        let memory = [Memory::Only, Memory::Out].into_iter().find(is).unwrap_or(Memory::Nothing);
        Ok(Self { root, name, memory })
    }

    /// What the server does, by the word of the others.
    pub(crate) const fn begin(&self, told: Membership) -> Begin {
        match (told, self.memory) {
            (Membership::Member | Membership::Only, _) | (Membership::Unknown, Memory::Nothing) => Begin::Serve,
            (Membership::Stranger, _) => Begin::Wait,
            (Membership::Unknown, Memory::Only) => Begin::InCompany,
            (Membership::Unknown, Memory::Out) => Begin::Ask,
        }
    }

    /// Remembers over a power cut how the server was seen to stand.
    pub(crate) fn saw(&mut self, seen: Membership) -> Result<(), Error> {
        self.keep(self.memory.after(seen))
    }

    /// The server is about to be stopped, and was seen to stand so.
    pub(crate) fn leaves(&mut self, seen: Membership) -> Result<(), Error> {
        if seen == Membership::Stranger { self.keep(Memory::Out) } else { self.saw(seen) }
    }

    fn keep(&mut self, memory: Memory) -> Result<(), Error> {
        if memory != self.memory {
            life::keep(&self.root, MARK, &line(memory, &self.name))?;
            self.memory = memory;
        }
        Ok(())
    }
}

fn line(memory: Memory, name: &str) -> String {
    format!("{} {name}\n", memory.word())
}

#[cfg(test)]
mod tests {
    use watari_testkit::TempDir;

    use super::*;

    fn settings(dir: &TempDir) -> Settings {
        let (store, file) = (dir.path().join("store"), dir.path().join("toml"));
        fs::write(&file, format!("host = \"s\"\nconfig = \"c\"\nstore = {store:?}\n[bus]\nurls = []\n")).unwrap();
        Settings::read(&file).unwrap()
    }

    #[test]
    fn who_is_left_alone_by_a_plan_begins_alone_and_by_a_loss_it_does_not() {
        let dir = TempDir::new();
        let settings = settings(&dir);
        let vote = || Vote::of(&settings, "s".to_owned()).unwrap();
        // It was one of three, and the others are gone.
        vote().saw(Membership::Member).unwrap();
        assert_eq!(vote().begin(Membership::Unknown), Begin::Serve);
        vote().saw(Membership::Only).unwrap();
        assert_eq!(vote().begin(Membership::Unknown), Begin::InCompany);
        assert_eq!(vote().begin(Membership::Stranger), Begin::Wait, "another cluster leads");
        assert_eq!(vote().begin(Membership::Member), Begin::Serve);
        // While nobody can be asked it stays the only one; one more vote, and it is not.
        vote().saw(Membership::Unknown).unwrap();
        assert_eq!(vote().begin(Membership::Unknown), Begin::InCompany);
        vote().saw(Membership::Member).unwrap();
        assert_eq!(vote().begin(Membership::Unknown), Begin::Serve);
    }

    #[test]
    fn who_was_taken_out_waits_for_somebody_who_leads_until_it_begins_anew() {
        let dir = TempDir::new();
        let settings = settings(&dir);
        let vote = |name: &str| Vote::of(&settings, name.to_owned()).unwrap();
        // Stopped with its vote: the others go on without it, and may need it.
        vote("s").leaves(Membership::Member).unwrap();
        assert_eq!(vote("s").begin(Membership::Unknown), Begin::Serve);
        vote("s").leaves(Membership::Stranger).unwrap();
        assert_eq!(vote("s").begin(Membership::Unknown), Begin::Ask);
        assert_eq!(vote("s").begin(Membership::Stranger), Begin::Wait);
        assert_eq!(vote("s-g2").begin(Membership::Unknown), Begin::Serve, "the next life is another server");
        vote("s").saw(Membership::Member).unwrap();
        assert_eq!(vote("s").begin(Membership::Unknown), Begin::Serve);
    }
}
