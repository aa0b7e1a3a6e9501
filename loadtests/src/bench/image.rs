//! Images: how fast one is taken in, what a server made from one that its node has costs, and what travels
//! between the campuses when one is copied.

mod copying;
mod imports;
mod starts;

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::Serialize;

use super::Bound;
use crate::{
    lab::Lab,
    scenarios::{Stage, until},
};
use copying::Copying;
use imports::Imports;
use starts::Starts;

const MIB: u64 = 1 << 20;
/// The front ends, of which each has every image.
const FRONTS: [&str; 2] = ["m-front", "y-front"];
/// How long an image may take to be on both, or gone from both.
const PATIENCE_SECONDS: u64 = 120;

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Images {
    /// Taking a plain file in.
    pub raw: Imports,
    /// Taking a qcow2 in.
    pub qcow2: Imports,
    /// Servers from an image that their node has.
    pub starts: Starts,
    /// A sparse image on its way to the other campus.
    pub copying: Copying,
}

impl Images {
    /// What issue 4 asks of images.
    #[must_use]
    pub fn bounds(&self) -> Vec<Bound> {
        let imports = [("raw", &self.raw), ("qcow2", &self.qcow2)];
        let imports = imports.map(|(format, imports)| imports.bound(format));
        imports.into_iter().chain(self.starts.bounds()).chain([self.copying.bound()]).collect()
    }
}

/// Measures everything; `runs` pairs of each.
///
/// # Errors
/// When an image or a server cannot be made.
pub fn run(stage: &Stage, runs: usize) -> anyhow::Result<Images> {
    let lab = &stage.lab;
    let raw = imports::run(lab, "raw", runs)?;
    let qcow2 = imports::run(lab, "qcow2", runs)?;
    let copying = copying::run(lab, &Files::on(lab, "client")?)?;
    let starts = starts::run(stage, runs)?;
    Ok(Images { raw, qcow2, starts, copying })
}

/// Files of one of the lab's hosts, in a folder that goes with this.
struct Files {
    host: &'static str,
    outside: PathBuf,
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.outside);
    }
}

impl Files {
    const FOLDER: &str = "/var/lib/watari/bench";

    fn on(lab: &Lab, host: &'static str) -> anyhow::Result<Self> {
        let outside = lab.file(host, Self::FOLDER);
        fs::create_dir_all(&outside)?;
        Ok(Self { host, outside })
    }

    /// As the host sees it.
    fn path(name: &str) -> String {
        format!("{}/{name}", Self::FOLDER)
    }

    fn remove(&self, name: &str) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.outside.join(name))?)
    }

    /// Copies a file from elsewhere.
    fn bring(&self, name: &str, from: &Path) -> anyhow::Result<()> {
        fs::copy(from, self.outside.join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
        Ok(())
    }

    /// Reads it once, so that whatever reads it next finds it in memory.
    fn read(&self, name: &str) -> anyhow::Result<()> {
        io::copy(&mut File::open(self.outside.join(name))?, &mut io::sink())?;
        Ok(())
    }

    /// Writes it through to the real disk.
    fn sync(&self, name: &str) -> anyhow::Result<()> {
        Ok(File::open(self.outside.join(name))?.sync_all()?)
    }

    /// Writes a sparse disk of so many MiB through to the real one: of each `stride` of them the last is full of what
    /// nobody can compress and no earlier file has. How many bytes that is.
    fn fill(&self, name: &str, mib: u64, stride: u64) -> anyhow::Result<u64> {
        let mut chance = File::open("/dev/urandom")?;
        let file = File::create(self.outside.join(name))?;
        file.set_len(mib * MIB)?;
        let mut piece = vec![0; 1 << 20];
        let mut full = 0;
        for place in (1..=mib).filter(|place| place.is_multiple_of(stride)) {
            chance.read_exact(&mut piece)?;
            file.write_all_at(&piece, (place - 1) * MIB)?;
            full += MIB;
        }
        file.sync_all()?;
        Ok(full)
    }
}

/// Waits until both front ends have the image, so that nothing of it is under way any more.
fn until_copied(lab: &Lab, image: &str) -> anyhow::Result<()> {
    until(PATIENCE_SECONDS, &format!("both front ends have the image {image}"), || {
        let shown = lab.watari(&["image", "show", image])?;
        Ok(shown["copies"].as_object().is_some_and(|copies| copies.len() == FRONTS.len()))
    })
}

/// Removes the image, if there is one, and waits until it is gone.
fn forget(lab: &Lab, image: &str) -> anyhow::Result<()> {
    let there = || lab.watari(&["image", "show", image]).is_ok();
    if there() {
        lab.watari(&["image", "delete", image, "--yes"])?;
        until(PATIENCE_SECONDS, &format!("the image {image} is gone"), || Ok(!there()))?;
    }
    Ok(())
}

/// A series that a process of the host tells at this port, its labels included; 0 if it has none yet.
fn told(lab: &Lab, host: &str, port: u16, series: &str) -> anyhow::Result<f64> {
    let url = format!("http://127.0.0.1:{port}/metrics");
    let text = lab.run(&["exec", host, "--", "curl", "-fsS", "-m", "5", &url])?;
    Ok(value(&text, series))
}

fn value(text: &str, series: &str) -> f64 {
    let values = text.lines().filter_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse::<f64>().ok());
    values.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_read_by_its_whole_name() {
        let text = "# TYPE a_sum counter\na_sum{verb=\"start\"} 1.5\na_sum{verb=\"stop\"} 9\nb 3\n";
        assert_eq!((value(text, "a_sum{verb=\"start\"}"), value(text, "b"), value(text, "a_sum")), (1.5, 3.0, 0.0),);
    }
}
