//! A NATS server's store on a file system that is full.
//!
//! The lab's hosts share the machine's disk. So the store is carried to a small file system in memory, which lies over
//! the place where it was, and is filled once the server runs on it. What the server has acknowledged there is carried
//! back afterwards: a store that forgets is another fault.

use std::{fs, path::Path};

use anyhow::Context;

use super::blow::{LET_GO, STORE};
use crate::{lab::Lab, scenarios::until};

/// The small file system, while the server does not stand on it yet or any more.
const SMALL: &str = "/run/lab/store";
/// What fills it, and by which it is known that the server stands on it.
const BALLAST: &str = "ballast";
/// How much room there is beside what the store holds, for the server to begin with.
const SPARE_KIB: u64 = 4_096;
const NATS: &str = "nats-server";

/// Has the server of a host stand on a file system without room.
pub(super) fn fill(lab: &Lab, host: &str) -> anyhow::Result<()> {
    let on = |words: &[&str]| lab.run(&[&["exec", host, "--"][..], words].concat());
    lab.run(&["stop", host, NATS])?;
    let size = format!("size={}k", held_kib(&on(&["du", "-sk", STORE])?)? + SPARE_KIB);
    on(&["mkdir", "-p", SMALL])?;
    on(&["mount", "-t", "tmpfs", "-o", &size, "tmpfs", SMALL])?;
    on(&["cp", "-a", &format!("{STORE}/."), SMALL])?;
    on(&["touch", &format!("{SMALL}/{BALLAST}")])?;
    on(&["mount", "--bind", SMALL, STORE])?;
    lab.run(&["start", host, NATS])?;
    until(LET_GO, &format!("a NATS server is there on {host}"), || Ok(!lab.pids(host, NATS).is_empty()))?;
    // It ends for want of room.
    let _ = on(&["dd", "if=/dev/zero", &format!("of={STORE}/{BALLAST}"), "bs=64k", "status=none"]);
    Ok(())
}

/// Gives the server its room back, however far it was taken away.
pub(super) fn empty(lab: &Lab, host: &str) -> anyhow::Result<()> {
    let on = |words: &[&str]| lab.run(&[&["exec", host, "--"][..], words].concat());
    lab.run(&["stop", host, NATS])?;
    if on(&["test", "-e", &format!("{STORE}/{BALLAST}")]).is_ok() {
        let let_go = || Ok(on(&["umount", STORE]).is_ok());
        until(LET_GO, &format!("{host}'s full disk is let go"), let_go)?;
        on(&["rm", "-f", &format!("{SMALL}/{BALLAST}")])?;
        // What was there before: the small one has all of it, and what came since.
        clear(&lab.file(host, STORE))?;
        on(&["cp", "-a", &format!("{SMALL}/."), STORE])?;
    }
    if on(&["mountpoint", "-q", SMALL]).is_ok() {
        on(&["umount", SMALL])?;
    }
    lab.run(&["start", host, NATS]).map(drop)
}

/// Removes what is in a folder.
fn clear(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    Ok(())
}

/// What `du -sk` says of one folder, in KiB.
fn held_kib(told: &str) -> anyhow::Result<u64> {
    let kib = told.split_whitespace().next().context("nobody says what it holds")?;
    kib.parse().with_context(|| format!("{kib} is no size"))
}

#[cfg(test)]
mod tests {
    use watari_testkit::TempDir;

    use super::*;

    #[test]
    fn a_size_is_read_and_a_folder_is_emptied_and_stays() {
        assert_eq!(held_kib("132\t/var/lib/nats\n").unwrap(), 132);
        assert!(held_kib("").is_err() && held_kib("du: no such folder").is_err());
        let dir = TempDir::new();
        fs::create_dir_all(dir.path().join("m-front/jetstream")).unwrap();
        fs::write(dir.path().join("number"), "1").unwrap();
        clear(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
