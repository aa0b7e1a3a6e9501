//! Can this host run a guest by hardware? `/dev/kvm` may exist, answer, make a machine, and still
//! never run a vCPU, or only as far as a firmware's first steps; so boot one and see it speak after the steps of every
//! operating system: interrupts in 32 and 64 bits, and pages.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::{io::AsyncReadExt as _, process::Command};

use super::error::{Error, Result};
use super::spec::VirtType;

/// What the operator asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Hardware if a vCPU really boots, else emulation.
    Auto,
    /// Hardware, unconditionally.
    Kvm,
    /// Emulation, unconditionally.
    Qemu,
}

/// What was found, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What to define domains with.
    pub virt_type: VirtType,
    /// In words, for the operator.
    pub reason: String,
}

/// A boot sector, made of `probe/sector.S` by `as --64` and `ld -m elf_x86_64 -Ttext 0x7c00 --oformat binary`. The firmware
/// must have run to load it, and what it says at its end makes QEMU exit with (0x2a << 1) | 1.
const SECTOR: &[u8; 512] = include_bytes!("probe/sector.bin");
const SPOKE: i32 = 85;
/// A sound host needs a fifth of a second.
const BOUND: Duration = Duration::from_secs(3);
/// By which the kernel runs guests.
const KVM: &str = "/dev/kvm";

/// Decides between hardware and emulation; `scratch` is a folder for a boot sector of 1 MiB.
///
/// # Errors
/// Only when the probe cannot be made at all; a host without working KVM is a verdict.
pub async fn virt_type(choice: Choice, scratch: &Path) -> Result<Verdict> {
    by(Path::new(KVM), choice, scratch).await
}

async fn by(device: &Path, choice: Choice, scratch: &Path) -> Result<Verdict> {
    match choice {
        Choice::Kvm => Ok(verdict(VirtType::Kvm, "chosen by configuration")),
        Choice::Qemu => Ok(verdict(VirtType::Qemu, "chosen by configuration")),
        Choice::Auto if !device.exists() => Ok(verdict(VirtType::Qemu, &format!("there is no {}", device.display()))),
        Choice::Auto => boot(scratch, &kvm(device), "host").await.map(|outcome| match outcome {
            Ok(()) => verdict(VirtType::Kvm, "a vCPU booted under KVM"),
            Err(reason) => verdict(VirtType::Qemu, &format!("no vCPU boots under KVM: {reason}")),
        }),
    }
}

fn verdict(virt_type: VirtType, reason: &str) -> Verdict {
    Verdict { virt_type, reason: reason.to_owned() }
}

/// QEMU's words for the hardware behind this device. An older one can be told no device, so that the usual one is not named.
fn kvm(device: &Path) -> String {
    if device == Path::new(KVM) { "kvm".to_owned() } else { format!("kvm,device={}", escaped(device)) }
}

/// A path as QEMU reads it in an option's value, where a comma ends what comes before it.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

async fn boot(scratch: &Path, accelerator: &str, cpu: &str) -> Result<std::result::Result<(), String>> {
    let mut disk = SECTOR.to_vec();
    disk.resize(1 << 20, 0);
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = scratch.join(format!("boot-probe-{}-{number}.img", std::process::id()));
    let io = |act: &'static str| {
        let path = path.clone();
        move |source| Error::Io { act, path, source }
    };
    tokio::fs::write(&path, disk).await.map_err(io("write"))?;
    let outcome = run(&path, accelerator, cpu).await;
    tokio::fs::remove_file(&path).await.map_err(io("remove"))?;
    outcome
}

async fn run(image: &Path, accelerator: &str, cpu: &str) -> Result<std::result::Result<(), String>> {
    let drive = format!("format=raw,if=ide,readonly=off,snapshot=off,file={}", escaped(image));
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-m", "64"])
        .args(["-machine", "pc", "-accel", accelerator, "-cpu", cpu])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-drive", &drive])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child =
        command.spawn().map_err(|source| Error::Io { act: "run", path: "qemu-system-x86_64".into(), source })?;
    let waiting = |source| Error::Io { act: "await", path: image.to_owned(), source };
    // A vCPU that never runs makes QEMU wait for ever.
    let status = match tokio::time::timeout(BOUND, child.wait()).await {
        Ok(status) => Some(status.map_err(waiting)?),
        Err(_) => None,
    };
    if status.is_some_and(|status| status.code() == Some(SPOKE)) {
        return Ok(Ok(()));
    }
    child.kill().await.map_err(waiting)?;
    let mut said = Vec::new();
    if let Some(stderr) = &mut child.stderr {
        stderr.read_to_end(&mut said).await.map_err(waiting)?;
    }
    let said = String::from_utf8_lossy(&said);
    let word = said.lines().next().unwrap_or("QEMU said nothing");
    let ended =
        if status.is_some() { "QEMU ended".to_owned() } else { format!("nothing ran within {} s", BOUND.as_secs()) };
    Ok(Err(format!("{ended}: {word}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What runs first on every node can be made anew, and is what its source says.
    #[test]
    fn the_sector_is_made_of_its_source() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/hypervisor/probe/sector.S");
        let scratch = watari_testkit::TempDir::new();
        let (object, sector) = (scratch.path().join("sector.o"), scratch.path().join("sector.bin"));
        let run = |program: &str, args: &[&str], of: &Path, into: &Path| {
            let mut command = std::process::Command::new(program);
            assert!(command.args(args).arg("-o").arg(into).arg(of).status().unwrap().success(), "{program}");
        };
        run("as", &["--64"], &source, &object);
        run("ld", &["-m", "elf_x86_64", "-Ttext", "0x7c00", "--oformat", "binary"], &object, &sector);
        assert_eq!(std::fs::read(sector).unwrap(), SECTOR.as_slice());
    }

    #[tokio::test]
    async fn the_payload_speaks_under_emulation() {
        assert_eq!(boot(&std::env::temp_dir(), "tcg", "qemu64").await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn auto_gives_the_verdict_that_fits_the_machine() {
        let scratch = std::env::temp_dir();
        let boots = Path::new(KVM).exists() && boot(&scratch, "kvm", "host").await.unwrap().is_ok();
        let fits = if boots { VirtType::Kvm } else { VirtType::Qemu };
        let verdict = virt_type(Choice::Auto, &scratch).await.unwrap();
        assert_eq!(verdict.virt_type, fits, "{verdict:?}");
    }

    #[tokio::test]
    async fn a_device_that_is_there_and_runs_nothing_is_as_good_as_none() {
        let scratch = std::env::temp_dir();
        let device = scratch.join(format!("no-kvm,{}", std::process::id()));
        std::fs::write(&device, "").unwrap();
        let broken = by(&device, Choice::Auto, &scratch).await;
        std::fs::remove_file(&device).unwrap();
        let broken = broken.unwrap();
        assert_eq!(broken.virt_type, VirtType::Qemu);
        assert!(broken.reason.starts_with("no vCPU boots under KVM: "), "{}", broken.reason);
        let none = by(&device, Choice::Auto, &scratch).await.unwrap();
        assert_eq!((none.virt_type, none.reason), (VirtType::Qemu, format!("there is no {}", device.display())));
    }
}
