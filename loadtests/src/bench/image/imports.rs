//! `watari image import` of a file beside `qemu-img convert` of the same one, in turn, both on the lab's client.

use std::time::Instant;

use serde::Serialize;

use super::{Files, forget, until_copied};
use crate::{
    bench::{Bound, Spread},
    lab::Lab,
};

const IMAGE: &str = "bench-import";
/// The disk, and every which of its MiB is full: half of them.
const DISK_MIB: u64 = 512;
const STRIDE: u64 = 2;
/// How many times as long as `qemu-img` an import may take.
const MOST_RATIO: f64 = 1.3;

/// The comparison. Times in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Imports {
    /// How many pairs.
    pub runs: usize,
    /// `watari image import --wait`: sent, checked and written through to the disk.
    pub import_ms: Spread,
    /// `qemu-img convert`, which writes nothing through.
    pub convert_ms: Spread,
    /// Their ratio, pair by pair.
    pub ratio: Spread,
}

impl Imports {
    pub(super) fn bound(&self, format: &str) -> Bound {
        Bound::most(format!("{format}.ratio.median"), self.ratio.median, MOST_RATIO)
    }
}

/// Imports and converts `runs` files of this format.
pub(super) fn run(lab: &Lab, files: &Files, format: &str, runs: usize) -> anyhow::Result<Imports> {
    let (mut import, mut convert, mut ratio) = (Vec::new(), Vec::new(), Vec::new());
    forget(lab, IMAGE)?;
    let converted = |from: &str, source: &str, target: &str| {
        let (source, target) = (Files::path(source), Files::path(target));
        lab.run(&["exec", "client", "--", "qemu-img", "convert", "-f", from, "-O", "qcow2", &source, &target])
    };
    for _ in 0..runs {
        // A file that was there before would not be stored again.
        files.fill("disk.raw", DISK_MIB, STRIDE)?;
        if format == "qcow2" {
            converted("raw", "disk.raw", "disk.qcow2")?;
        }
        let name = format!("disk.{format}");
        let began = Instant::now();
        lab.watari(&["image", "import", &Files::path(&name), "--name", IMAGE, "--wait"])?;
        let import_ms = began.elapsed().as_secs_f64() * 1000.0;
        until_copied(lab, IMAGE)?;
        forget(lab, IMAGE)?;
        let began = Instant::now();
        converted(format, &name, "converted.qcow2")?;
        let convert_ms = began.elapsed().as_secs_f64() * 1000.0;
        // It is not to be emptied in the next one's time.
        files.remove("converted.qcow2")?;
        import.push(import_ms);
        convert.push(convert_ms);
        ratio.push(import_ms / convert_ms);
        eprintln!("{format}: imported in {import_ms:.0} ms, converted in {convert_ms:.0} ms");
    }
    Ok(Imports { runs, import_ms: Spread::of(import), convert_ms: Spread::of(convert), ratio: Spread::of(ratio) })
}
