//! Drives the hypervisor module by hand, on one host of a lab.
//!
//! ```text
//! hv inventory DISKS | probe SCRATCH | list | stats | witness NAME UUID
//! hv create NAME UUID DISK BASE LOG [BRIDGE TAP MAC] | start NAME | destroy NAME | undefine NAME
//! hv precreate DISK BASE BYTES
//! hv source NAME UUID TARGET_URI ADDRESS [switchover|after] [MIB_S]   prints a time line
//! hv target NAME UUID                                               waits, resumes on a line from stdin
//! hv events SECONDS
//! ```
//! Times are nanoseconds of the machine's monotonic clock, comparable between the lab's hosts.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::PathBuf;
use std::time::Duration;

use watari_node_agent::hypervisor::{
    BackingFile, CacheMode, Config, Cpu, Disk, DiskFormat, DomainSpec, Event, Firmware, Grant, Hypervisor, Migration,
    Nic, Persist, StartMode, VirtType, disk, probe,
};

fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

fn stamp(what: &str) {
    println!("{} {what}", now());
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let ["precreate", path, base, bytes] = words.as_slice() {
        let backing = BackingFile { path: base.into(), format: DiskFormat::Raw };
        return Ok(disk::create_overlay(path.as_ref(), &backing, bytes.parse()?).await?);
    }
    if let ["probe", scratch] = words.as_slice() {
        println!("{:?}", probe::virt_type(probe::Choice::Auto, scratch.as_ref()).await?);
        return Ok(());
    }
    let uri = std::env::var("HV_URI").unwrap_or_else(|_| "qemu:///system".into());
    let hv = Hypervisor::connect(Config { uri, ..Config::default() })?;
    tokio::time::timeout(Duration::from_secs(10), hv.ready()).await?;
    match words.as_slice() {
        ["inventory", disks] => {
            println!("{:#?}", hv.inventory(VirtType::Qemu, disks.as_ref()).await?);
        }
        ["list"] => println!("{:#?}", hv.list().await?),
        ["stats"] => println!("{:#?}", hv.stats().await?),
        ["witness", name, uuid] => println!("{:?}", hv.witness(name, uuid).await?),
        ["create", name, uuid, path, base, log, nic @ ..] => {
            let spec = spec(name, uuid, path, base, log, nic);
            hv.define(&spec).await?;
            hv.start(name, StartMode::Running).await?;
        }
        ["start", name] => hv.start(name, StartMode::Running).await?,
        ["destroy", name] => hv.destroy(name).await?,
        ["undefine", name] => hv.undefine(name).await?,
        ["watch", name] => loop {
            stamp(&format!("{:?} {:?}", hv.state(name).await, hv.job_stats(name).await));
            tokio::time::sleep(Duration::from_millis(250)).await;
        },
        ["abort", name] => hv.abort_job(name).await?,
        ["persist", name] => hv.persist(name).await?,
        ["resume", name] => hv.resume(name).await?,
        ["events", seconds] => {
            let print = print_events(hv.clone());
            let _ = tokio::time::timeout(Duration::from_secs(seconds.parse()?), print).await;
        }
        ["source", name, uuid, target, address, rest @ ..] => {
            source(&hv, name, uuid, target, address, rest).await?;
        }
        ["target", name, uuid] => target(&hv, name, uuid).await?,
        _ => return Err("see the top of examples/hv.rs".into()),
    }
    Ok(())
}

fn spec(name: &str, uuid: &str, path: &str, base: &str, log: &str, nic: &[&str]) -> DomainSpec {
    let nics = match nic {
        [bridge, tap, mac] => vec![Nic { mac: (*mac).into(), bridge: (*bridge).into(), tap: (*tap).into(), mtu: 1400 }],
        _ => vec![],
    };
    DomainSpec {
        name: name.into(),
        uuid: uuid.into(),
        vcpus: 1,
        most_vcpus: 1,
        memory_mib: std::env::var("HV_MIB").ok().and_then(|mib| mib.parse().ok()).unwrap_or(128),
        more_mib: 0,
        virt_type: VirtType::Qemu,
        cpu: Cpu::Emulated,
        firmware: Firmware::Bios,
        disks: vec![Disk {
            path: path.into(),
            format: DiskFormat::Qcow2,
            backing: vec![BackingFile { path: base.into(), format: DiskFormat::Raw }],
            cache: CacheMode::None,
        }],
        seed: None,
        nics,
        console_log: PathBuf::from(log),
        display: false,
        grant: Grant { owner: "a".into(), generation: 1 },
    }
}

async fn print_events(hv: Hypervisor) {
    let mut events = hv.events();
    while let Ok(event) = events.recv().await {
        match event {
            Event::Domain { name, change } => stamp(&format!("event {name} {change:?}")),
            other => stamp(&format!("event {other:?}")),
        }
    }
}

async fn source(
    hv: &Hypervisor,
    name: &str,
    uuid: &str,
    target: &str,
    address: &str,
    rest: &[&str],
) -> Result<(), Box<dyn std::error::Error>> {
    let printer = tokio::spawn(print_events(hv.clone()));
    let process = hv.process(name, uuid).await?.ok_or("it does not run here")?;
    let migration = Migration {
        name: name.into(),
        target_uri: target.into(),
        migration_address: address.into(),
        bandwidth_mib_s: rest.get(1).and_then(|mib| mib.parse().ok()),
        max_downtime_ms: None,
        auto_converge: None,
        parallel_connections: None,
        persist: if rest.first() == Some(&"switchover") { Persist::AtSwitchOver } else { Persist::AfterResume },
    };
    stamp("migrate begins");
    let (_, gone, done) = tokio::join!(
        async {
            hv.wait_source_gone(name, uuid, Duration::from_secs(120)).await.unwrap();
            stamp("process ended");
        },
        async {
            let gone = tokio::time::timeout(Duration::from_secs(120), process.exited()).await;
            stamp("process gone");
            gone
        },
        async {
            let done = hv.migrate(migration).await;
            stamp(&format!("migrate returned {done:?}"));
            done
        }
    );
    gone??;
    done?;
    printer.abort();
    stamp(&format!("witness {:?}", hv.witness(name, uuid).await?));
    Ok(())
}

async fn target(hv: &Hypervisor, name: &str, uuid: &str) -> Result<(), Box<dyn std::error::Error>> {
    let printer = tokio::spawn(print_events(hv.clone()));
    let how = hv.wait_incoming_paused(name, Duration::from_secs(120)).await?;
    stamp(&format!("arrived {how:?}"));
    if std::env::var("HV_RESUME").as_deref() != Ok("at-once") {
        tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    }
    stamp("resume begins");
    hv.resume(name).await?;
    stamp("resumed");
    hv.persist(name).await?;
    stamp("persisted");
    tokio::time::sleep(Duration::from_millis(300)).await;
    printer.abort();
    stamp(&format!("witness {:?} {:?}", hv.witness(name, uuid).await?, hv.job_stats(name).await));
    Ok(())
}
