//! `watari image import` beside `qemu-img convert` of the same file, in turn, both on the front end that leads, so that no
//! link is between, both of a file that is in memory, and both written through to the disk. Beside them, and bound to
//! nothing, the same import from the lab's client, over its link, and the conversion alone, which only fills the memory.

use std::time::Instant;

use anyhow::Context;
use serde::Serialize;

use super::{Files, forget, until_copied};
use crate::{
    bench::{Bound, Spread},
    lab::{Lab, URLS, VOTERS, front_of},
};

const IMAGE: &str = "bench-import";
/// The disk, and every which of its MiB is full: half of them.
const DISK_MIB: u64 = 512;
const STRIDE: u64 = 2;
/// How many times as long as `qemu-img` an import may take.
const MOST_RATIO: f64 = 1.3;
/// Front ends have no key of a person.
const KEY: &str = "/etc/watari/administrator.nk";
const KEY_HERE: &str = "administrator.nk";

/// The comparison. Times in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Imports {
    /// How many pairs.
    pub runs: usize,
    /// `watari image import --wait` on the front end that leads: sent, checked and written through to the disk.
    pub import_ms: Spread,
    /// `qemu-img convert` there, what it made written through to the disk.
    pub convert_ms: Spread,
    /// Their ratio, pair by pair.
    pub ratio: Spread,
    /// The import from the lab's client, over its link.
    pub over_link_ms: Spread,
    /// `qemu-img convert` alone, which writes nothing through.
    pub unsynced_ms: Spread,
    /// The ratio of these two: of a file that crosses a link to one that does not even reach the disk.
    pub over_link_ratio: Spread,
}

impl Imports {
    pub(super) fn bound(&self, format: &str) -> Bound {
        Bound::most(format!("{format}.ratio.median"), self.ratio.median, MOST_RATIO)
    }
}

/// The times of one turn.
struct Turn {
    over_link_ms: f64,
    import_ms: f64,
    unsynced_ms: f64,
    convert_ms: f64,
}

/// Imports and converts `runs` files of this format.
pub(super) fn run(lab: &Lab, format: &str, runs: usize) -> anyhow::Result<Imports> {
    let leads = lab.led_from()?.context("the services lead from nowhere")?;
    let (client, front) = (Files::on(lab, "client")?, Files::on(lab, front_of(&leads))?);
    front.bring(KEY_HERE, &lab.file("client", KEY))?;
    forget(lab, IMAGE)?;
    let turns = (0..runs).map(|_| turn(lab, &client, &front, format)).collect::<anyhow::Result<Vec<Turn>>>()?;
    let spread = |of: fn(&Turn) -> f64| Spread::of(turns.iter().map(of).collect());
    Ok(Imports {
        runs,
        import_ms: spread(|turn| turn.import_ms),
        convert_ms: spread(|turn| turn.convert_ms),
        ratio: spread(|turn| turn.import_ms / turn.convert_ms),
        over_link_ms: spread(|turn| turn.over_link_ms),
        unsynced_ms: spread(|turn| turn.unsynced_ms),
        over_link_ratio: spread(|turn| turn.over_link_ms / turn.unsynced_ms),
    })
}

fn turn(lab: &Lab, client: &Files, front: &Files, format: &str) -> anyhow::Result<Turn> {
    let over_link_ms = import(lab, client, &make(lab, client, format)?)?;
    let disk = make(lab, front, format)?;
    let import_ms = import(lab, front, &disk)?;
    front.read(&disk)?;
    let began = Instant::now();
    convert(lab, front, (format, disk.as_str()), "converted.qcow2")?;
    let unsynced_ms = millis(began);
    front.sync("converted.qcow2")?;
    let convert_ms = millis(began);
    // It is not to be emptied in the next one's time.
    front.remove("converted.qcow2")?;
    eprintln!(
        "{format}: imported in {import_ms:.0} ms, converted in {convert_ms:.0} ms; \
         over the link in {over_link_ms:.0} ms, not written through in {unsynced_ms:.0} ms"
    );
    Ok(Turn { over_link_ms, import_ms, unsynced_ms, convert_ms })
}

/// A disk that nobody has had before, since it would not be stored again.
fn make(lab: &Lab, files: &Files, format: &str) -> anyhow::Result<String> {
    files.fill("disk.raw", DISK_MIB, STRIDE)?;
    let name = format!("disk.{format}");
    if format == "qcow2" {
        convert(lab, files, ("raw", "disk.raw"), name.as_str())?;
        files.sync(&name)?;
    }
    Ok(name)
}

/// How long the import takes there; nothing is left of it.
fn import(lab: &Lab, files: &Files, name: &str) -> anyhow::Result<f64> {
    files.read(name)?;
    let path = Files::path(name);
    let url = if files.host == VOTERS[1] { URLS[1] } else { URLS[0] };
    let (nats, seed) = (format!("WATARI_NATS={url}"), format!("WATARI_NKEY={}", Files::path(KEY_HERE)));
    let variables = ["env", nats.as_str(), seed.as_str(), "WATARI_CA=/etc/watari/tls/ca.crt"];
    // The client has its own.
    let variables: &[&str] = if files.host == "client" { &[] } else { &variables };
    let import = ["watari", "image", "import", path.as_str(), "--name", IMAGE, "--wait"];
    let words = [&["exec", files.host, "--"], variables, &import[..]].concat();
    let began = Instant::now();
    lab.run(&words)?;
    let import_ms = millis(began);
    until_copied(lab, IMAGE)?;
    forget(lab, IMAGE)?;
    Ok(import_ms)
}

fn convert(lab: &Lab, files: &Files, (format, from): (&str, &str), to: &str) -> anyhow::Result<()> {
    let (from, to) = (Files::path(from), Files::path(to));
    let words = ["qemu-img", "convert", "-f", format, "-O", "qcow2", from.as_str(), to.as_str()];
    lab.run(&[&["exec", files.host, "--"], &words[..]].concat()).map(drop)
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
