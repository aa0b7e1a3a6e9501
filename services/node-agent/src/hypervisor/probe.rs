//! Can this host run a guest by hardware? `/dev/kvm` may exist, answer, make a machine, and still
//! never run a vCPU; so boot one and see it speak.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::process::Command;

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

/// A boot sector: `mov al, 0x2a; out 0xf4, al; hlt`. The firmware must have run to load it, and the
/// write makes QEMU exit with (0x2a << 1) | 1.
const PAYLOAD: [u8; 7] = [0xb0, 0x2a, 0xe6, 0xf4, 0xf4, 0xeb, 0xfd];
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
    let mut sector = vec![0; 1 << 20];
    for (to, from) in sector.iter_mut().zip(PAYLOAD) {
        *to = from;
    }
    for (to, from) in sector.iter_mut().skip(510).zip([0x55, 0xaa]) {
        *to = from;
    }
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = scratch.join(format!("boot-probe-{}-{number}.img", std::process::id()));
    let io = |act: &'static str| {
        let path = path.clone();
        move |source| Error::Io { act, path, source }
    };
    tokio::fs::write(&path, sector).await.map_err(io("write"))?;
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
    let child =
        command.spawn().map_err(|source| Error::Io { act: "run", path: "qemu-system-x86_64".into(), source })?;
    // A vCPU that never runs makes QEMU wait for ever: the bound drops, and so kills, it.
    let Ok(output) = tokio::time::timeout(BOUND, child.wait_with_output()).await else {
        return Ok(Err(format!("nothing ran within {} s", BOUND.as_secs())));
    };
    let output = output.map_err(|source| Error::Io { act: "await", path: image.to_owned(), source })?;
    if output.status.code() == Some(SPOKE) {
        return Ok(Ok(()));
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Ok(Err(stderr.lines().last().unwrap_or("QEMU ended without a word").to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

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
