//! The hypervisor module against libvirt's own test driver and real files.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "hypervisor/volumes.rs"]
mod volumes;

use std::path::PathBuf;
use std::time::Duration;

use watari_node_agent::hypervisor::{
    BackingFile, CacheMode, Change, Config, Cpu, Disk, DiskFormat, DomainSpec, DomainState, Event, Firmware, Grant,
    Hypervisor, Kind, Memory, Nic, PauseReason, Start, Stop, StopReason, VirtType, Witness, build, disk, parse,
};

const BOUND: Duration = Duration::from_secs(20);
const UUID: &str = "6695eb01-f6a4-8304-79aa-97f2502e193f";

async fn test_driver() -> Hypervisor {
    let config = Config { uri: "test:///default".into(), ..Config::default() };
    let hypervisor = Hypervisor::connect(config).unwrap();
    tokio::time::timeout(BOUND, hypervisor.ready()).await.unwrap();
    hypervisor
}

fn spec(name: &str) -> DomainSpec {
    DomainSpec {
        name: name.into(),
        uuid: "11111111-2222-4333-8444-555555555555".into(),
        vcpus: 2,
        most_vcpus: 4,
        memory_mib: 192,
        more_mib: 0,
        virt_type: VirtType::Qemu,
        cpu: Cpu::Emulated,
        firmware: Firmware::Bios,
        disks: vec![Disk {
            path: "/var/lib/a & <b>/mail.qcow2".into(),
            format: DiskFormat::Qcow2,
            backing: vec![BackingFile { path: "/var/lib/base.raw".into(), format: DiskFormat::Raw }],
            cache: CacheMode::None,
        }],
        seed: Some("/var/lib/seeds/mail.img".into()),
        nics: vec![Nic {
            mac: "52:54:00:00:00:01".into(),
            bridge: "br-campus".into(),
            tap: "wt-mail-0".into(),
            mtu: 1500,
        }],
        console_log: "/var/log/mail.log".into(),
        display: false,
        grant: Grant { owner: "m1".into(), generation: 7 },
    }
}

async fn next_change(events: &mut tokio::sync::broadcast::Receiver<Event>) -> Change {
    loop {
        if let Event::Domain { change, .. } = tokio::time::timeout(BOUND, events.recv()).await.unwrap().unwrap() {
            return change;
        }
    }
}

#[tokio::test]
async fn a_domain_lives_and_each_step_is_told_as_an_event() {
    let hypervisor = test_driver().await;
    assert_eq!(hypervisor.state("test").await.unwrap(), DomainState::Running);
    let mut events = hypervisor.events();
    hypervisor.suspend("test").await.unwrap();
    assert!(matches!(next_change(&mut events).await, Change::Suspended(_)));
    assert_eq!(hypervisor.state("test").await.unwrap(), DomainState::Paused(PauseReason::User));
    hypervisor.resume("test").await.unwrap();
    assert!(matches!(next_change(&mut events).await, Change::Resumed(_)));
    hypervisor.destroy("test").await.unwrap();
    assert_eq!(next_change(&mut events).await, Change::Stopped(Stop::Destroyed));
    assert_eq!(hypervisor.state("test").await.unwrap(), DomainState::ShutOff(StopReason::Destroyed));
    // Again: already off is success.
    hypervisor.destroy("test").await.unwrap();
    hypervisor.start("test", watari_node_agent::hypervisor::StartMode::Running).await.unwrap();
    assert_eq!(next_change(&mut events).await, Change::Started(Start::Booted));
}

#[tokio::test]
async fn what_does_not_exist_is_absent_and_ending_it_succeeds() {
    let hypervisor = test_driver().await;
    assert_eq!(hypervisor.state("nobody").await.unwrap(), DomainState::Absent);
    assert_eq!(hypervisor.record("nobody").await.unwrap(), None);
    hypervisor.destroy("nobody").await.unwrap();
    hypervisor.undefine("nobody").await.unwrap();
    assert_eq!(hypervisor.resume("nobody").await.unwrap_err().kind(), Kind::NoDomain);
    assert_eq!(hypervisor.witness("nobody", UUID).await.unwrap(), Witness::Absent);
}

#[tokio::test]
async fn a_domain_without_a_process_is_never_called_running() {
    // The test driver says "running" (or "paused": another test of this process may have suspended it)
    // of a domain that has no process at all.
    let hypervisor = test_driver().await;
    let witness = hypervisor.witness("test", UUID).await.unwrap();
    assert!(matches!(witness, Witness::Gone(_)), "{witness:?}");
}

#[tokio::test]
async fn a_recorded_grant_is_read_back_and_replaced_by_the_next() {
    let hypervisor = test_driver().await;
    assert_eq!(hypervisor.record("test").await.unwrap().unwrap().grant, None);
    for generation in [7, 8] {
        let grant = Grant { owner: "y2".into(), generation };
        hypervisor.set_grant("test", &grant).await.unwrap();
        assert_eq!(hypervisor.record("test").await.unwrap().unwrap().grant, Some(grant));
    }
}

#[tokio::test]
async fn without_libvirt_a_call_fails_at_once_and_may_be_retried() {
    let config = Config { uri: "qemu+unix:///system?socket=/nonexistent/watari".into(), ..Config::default() };
    let hypervisor = Hypervisor::connect(config).unwrap();
    let error = hypervisor.state("mail").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.is_retryable());
    assert!(!error.outcome_unknown());
}

#[test]
fn xml_escapes_what_it_is_given_and_reads_it_back() {
    let spec = spec("mail");
    let xml = build(&spec).unwrap();
    assert!(xml.contains("a &amp; &lt;b&gt;"), "{xml}");
    let record = parse(&xml).unwrap();
    assert_eq!(record.name, "mail");
    assert_eq!(record.uuid, spec.uuid);
    assert_eq!(record.vcpus, 2);
    assert_eq!(record.memory, Memory { boot_mib: 192, ..Memory::default() });
    assert_eq!(record.disks, ["/var/lib/a & <b>/mail.qcow2", "/var/lib/seeds/mail.img"].map(PathBuf::from));
    assert!(xml.contains("<readonly/>") && xml.contains("vdb"), "{xml}");
    assert_eq!(record.taps, ["wt-mail-0"]);
    assert!(record.interactive && xml.contains("<log file=\"/var/log/mail.log\" append=\"on\"/>"), "{xml}");
    assert_eq!(record.grant, Some(spec.grant));
}

#[test]
fn no_card_has_a_rom_that_each_boot_would_go_through() {
    let nic = |tap: &str| Nic { tap: tap.into(), ..spec("mail").nics[0].clone() };
    let xml = build(&DomainSpec { nics: vec![nic("wt-mail-0"), nic("wt-mail-1")], ..spec("mail") }).unwrap();
    let cards: Vec<&str> = xml.split("</interface>").filter(|part| part.contains("<interface")).collect();
    assert_eq!(cards.len(), 2, "{xml}");
    assert!(cards.iter().all(|card| card.contains(r#"<rom enabled="no"/>"#)), "{xml}");
}

#[test]
fn a_console_that_is_only_a_file_is_known_as_such() {
    let devices = "<serial type='file'><source path='/x'/></serial><console type='pty'/>";
    let old = parse(&format!("<domain><name>a</name><devices>{devices}</devices></domain>")).unwrap();
    assert!(!old.interactive);
}

#[test]
fn a_domain_that_boots_by_uefi_names_the_firmware_and_its_own_variables() {
    assert!(!build(&spec("mail")).unwrap().contains("pflash"));
    let uefi = |variables: &str| {
        let (code, template) = ("/usr/share/OVMF/CODE.fd".into(), "/usr/share/OVMF/VARS & more.fd".into());
        DomainSpec { firmware: Firmware::Uefi { code, template, variables: variables.into() }, ..spec("mail") }
    };
    let xml = build(&uefi("/var/lib/nvram/mail.fd")).unwrap();
    let loader = r#"<loader readonly="yes" secure="no" type="pflash">/usr/share/OVMF/CODE.fd</loader>"#;
    let nvram = r#"<nvram template="/usr/share/OVMF/VARS &amp; more.fd">/var/lib/nvram/mail.fd</nvram>"#;
    assert!(xml.contains(loader) && xml.contains(nvram), "{xml}");
    assert_eq!(build(&uefi("mail.fd")).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn a_domain_with_a_display_has_a_screen_that_nothing_listens_for_and_another_is_as_it_ever_was() {
    let xml = build(&DomainSpec { display: true, ..spec("mail") }).unwrap();
    assert!(xml.contains(r#"<model type="vga" vram="4096" heads="1"/>"#) && !xml.contains("<graphics"), "{xml}");
    assert!(!build(&spec("mail")).unwrap().contains("<video"));
}

#[test]
fn the_processors_of_a_domain_are_those_that_are_plugged_in() {
    let vcpus = |element: &str| parse(&format!("<domain><name>a</name>{element}</domain>")).unwrap().vcpus;
    assert_eq!(vcpus("<vcpu placement='static' current='2'>4</vcpu>"), 2);
    assert_eq!(vcpus("<vcpu placement='static'>4</vcpu>"), 4, "all of them");
}

#[test]
fn a_domain_that_can_be_given_memory_says_so_from_its_start_and_another_is_as_it_ever_was() {
    let before = build(&spec("mail")).unwrap();
    assert!(
        !["maxMemory", "currentMemory", "<numa>", "virtio-mem"].iter().any(|word| before.contains(word)),
        "{before}"
    );
    for cpu in [Cpu::Emulated, Cpu::HostModel] {
        let xml = build(&DomainSpec { more_mib: 512, cpu, ..spec("mail") }).unwrap();
        for said in [
            r#"<maxMemory slots="1" unit="MiB">704</maxMemory>"#,
            r#"<currentMemory unit="MiB">192</currentMemory>"#,
            r#"<memory unit="MiB">704</memory>"#,
            r#"<cell id="0" cpus="0-3" memory="192" unit="MiB"/>"#,
            r#"<memory model="virtio-mem">"#,
            r#"<block unit="MiB">4</block>"#,
            r#"<requested unit="MiB">0</requested>"#,
        ] {
            assert!(xml.contains(said), "{said} is not in {xml}");
        }
        let memory = parse(&xml).unwrap().memory;
        assert_eq!(memory, Memory { boot_mib: 192, places_mib: 512, ..Memory::default() });
    }
}

#[test]
fn hostile_fields_are_refused_before_any_xml_is_written() {
    let bad: [fn(&mut DomainSpec); 11] = [
        |spec| spec.name = "a</name><name>b".into(),
        |spec| spec.name = "../../etc/passwd".into(),
        |spec| spec.name = String::new(),
        |spec| spec.vcpus = 0,
        |spec| spec.most_vcpus = 1,
        |spec| spec.memory_mib = u64::MAX,
        |spec| spec.more_mib = 6,
        |spec| spec.uuid = "x".into(),
        |spec| spec.disks[0].path = "nbd:host".into(),
        |spec| spec.nics[0].tap = "vnet0".into(),
        |spec| spec.nics[0].mac = "+1:54:00:00:00:01".into(),
    ];
    for (index, spoil) in bad.into_iter().enumerate() {
        let mut spec = spec("mail");
        spoil(&mut spec);
        assert_eq!(build(&spec).unwrap_err().kind(), Kind::Invalid, "case {index}");
    }
}

#[tokio::test]
async fn an_overlay_is_made_once_grown_and_never_replaced() {
    let folder = std::env::temp_dir().join(format!("watari-disk-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (base, path) = (folder.join("base.raw"), folder.join("over, lay.qcow2"));
    std::fs::write(&base, vec![0; 1 << 20]).unwrap();
    let backing = BackingFile { path: base.clone(), format: DiskFormat::Raw };
    disk::create_overlay(&path, &backing, 8 << 20).await.unwrap();
    let info = disk::info(&path, DiskFormat::Qcow2).await.unwrap();
    assert_eq!((info.virtual_bytes, info.backing), (8 << 20, Some(base)));
    let again = disk::create_overlay(&path, &backing, 9 << 20).await.unwrap_err();
    assert_eq!(again.kind(), Kind::Exists);
    disk::grow(&path, 16 << 20).await.unwrap();
    assert_eq!(disk::info(&path, DiskFormat::Qcow2).await.unwrap().virtual_bytes, 16 << 20);
    assert!(disk::grow(&path, 1 << 20).await.is_err());
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
    std::fs::remove_dir_all(&folder).unwrap();
}
