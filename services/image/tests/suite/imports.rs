//! Imports: broken off and resumed, refused, repeated, overtaken.

use std::time::Duration;

use crate::harness::*;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use watari_chassis::prometheus::IntCounter;
use watari_contracts::image::{DeleteImage, ImportImage};
use watari_model::image::{Format, State};
use watari_testkit::{TempDir, eventually};

/// A body that brings `bytes` and breaks when they have arrived.
fn breaking(bytes: Vec<u8>, received: IntCounter) -> reqwest::Body {
    let pieces: Vec<_> = bytes.chunks(50_000).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
    let broken = stream::once(async move {
        arrived(&received, bytes.len() as u64).await;
        Err(std::io::Error::other("the line is cut"))
    });
    reqwest::Body::wrap_stream(stream::iter(pieces).chain(broken))
}

/// A body that brings `bytes` and then nothing, for ever.
fn hanging(bytes: Vec<u8>) -> reqwest::Body {
    reqwest::Body::wrap_stream(
        stream::once(async { Ok::<_, std::io::Error>(Bytes::from(bytes)) }).chain(stream::pending()),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_cut_half_way_is_resumed_and_the_image_is_ready() {
    let place = Place::new();
    let front = place.alone().await;
    let file = qcow2(8, 1);
    let half = file.len() / 2;
    let operator = place.operator();

    let ticket = front.announce("mini", "r1", file.len() as u64, Some(sha256(&file).to_uppercase())).await.unwrap();
    assert_eq!((ticket.offset, ticket.image.state), (0, State::Importing));
    let url = format!("{}?offset=0", ticket.url.as_ref().unwrap());
    let first_half = breaking(file[..half].to_vec(), front.running.app.metrics.received.clone());
    let cut = operator.put(url).bearer_auth(&ticket.token).body(first_half).send().await;
    assert!(cut.is_err());

    // The command repeats its request, and gets a fresh ticket for the rest. Wherever it starts, it
    // is told how much has arrived.
    let again = front.announce("mini", "r1", file.len() as u64, Some(sha256(&file))).await.unwrap();
    assert_eq!(again.url, ticket.url);
    let stale = put(&operator, &ticket, 0, Vec::new()).await;
    assert_eq!(stale.status(), 401, "the older token is void");
    let wrong = put(&operator, &again, 7, Vec::new()).await;
    assert_eq!(wrong.status(), 409);
    let kept: usize = header(&wrong, "upload-offset").parse().unwrap();
    assert_eq!(kept, half);
    assert_eq!(offset(&operator, &again).await, kept as u64);
    let rest = put(&operator, &again, kept as u64, file[kept..].to_vec()).await;
    assert_eq!((rest.status().as_u16(), header(&rest, "upload-offset")), (200, file.len().to_string()));

    let ready = front.settled("mini").await;
    assert_eq!(ready.state, State::Ready, "{:?}", ready.fault);
    assert_eq!(ready.sha256, Some(sha256(&file)));
    assert_eq!((ready.format, ready.virtual_size_bytes), (Some(Format::Qcow2), Some(8 << 20)));
    assert_eq!(ready.copies.keys().map(ToString::to_string).collect::<Vec<_>>(), ["myodaiji"]);
    assert!(std::fs::read(front.blob(&sha256(&file))).unwrap() == file);
    front.is_tidy(1).await;

    // Asking once more changes nothing and asks for nothing.
    let done = front.announce("mini", "r1", file.len() as u64, Some(sha256(&file))).await.unwrap();
    assert_eq!((done.url, done.offset, done.image.state), (None, file.len() as u64, State::Ready));
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_survives_the_restart_of_the_front_end() {
    let place = Place::new();
    let file = qcow2(3, 2);
    let half = file.len() / 2;
    let operator = place.operator();
    let front = place.alone().await;
    let ticket = front.import("mini", "r1", &file).await;
    let first = put(&operator, &ticket, 0, file[..half].to_vec()).await;
    assert_eq!((first.status().as_u16(), header(&first, "upload-offset")), (200, half.to_string()));
    front.stop().await;

    let front = place.alone().await;
    let head = operator.head(ticket.url.as_ref().unwrap()).bearer_auth(&ticket.token).send().await.unwrap();
    assert_eq!(head.status(), 401, "tokens do not outlive the process");
    let ticket = front.import("mini", "r1", &file).await;
    assert_eq!(ticket.offset, half as u64);
    assert_eq!(put(&operator, &ticket, half as u64, file[half..].to_vec()).await.status(), 200);
    assert_eq!(front.settled("mini").await.sha256, Some(sha256(&file)));
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_at_the_other_site_when_the_primary_goes() {
    let place = Place::new();
    let file = qcow2(2, 3);
    let [first, second] = place.both().await;
    let ticket = first.import("mini", "r1", &file).await;
    assert_eq!(put(&place.operator(), &ticket, 0, file[..1000].to_vec()).await.status(), 200);
    first.stop().await;
    second.leads().await;
    // Nothing of it is there, so all of it is asked for.
    let again = second.import("mini", "r1", &file).await;
    assert_eq!(again.offset, 0);
    assert_ne!(again.url, ticket.url);
    assert_eq!(put(&place.operator(), &again, 0, file.clone()).await.status(), 200);
    assert_eq!(second.settled("mini").await.state, State::Ready);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_that_does_not_match_fails_the_import_and_leaves_nothing() {
    let place = Place::new();
    let front = place.alone().await;
    let file = qcow2(1, 4);
    let ticket = front.announce("mini", "r1", file.len() as u64, Some(sha256(b"another"))).await.unwrap();
    assert_eq!(put(&place.operator(), &ticket, 0, file.clone()).await.status(), 200);
    let failed = front.settled("mini").await;
    assert_eq!((failed.state, failed.fault.unwrap().code.as_str()), (State::Failed, "image.digest-mismatch"));
    front.is_tidy(0).await;

    // The name is free for the next try, under a new request.
    let ready = front.imported(&place, "mini", &file).await;
    assert_eq!(ready.state, State::Ready);
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_files_are_refused_by_name_and_leave_nothing() {
    let place = Place::new();
    let front = place.alone().await;
    let dir = TempDir::new();
    std::fs::write(dir.path().join("secret"), noise(65_536, 1)).unwrap();
    let secret = ["--object", "secret,id=s,data=abc"];
    let luks = "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10";
    qemu_img(dir.path(), &["create", "-q", "-f", "qcow2", "-b", "secret", "-F", "raw", "backing"]);
    qemu_img(dir.path(), &["create", "-q", "-f", "qcow2", "-o", "data_file=data,data_file_raw=on", "external", "1M"]);
    qemu_img(dir.path(), &[&["create", "-q"], &secret[..], &["-f", "qcow2", "-o", luks, "encrypted", "1M"]].concat());
    qemu_img(dir.path(), &["create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", "descriptor", "1M"]);
    qemu_img(dir.path(), &["create", "-q", "-f", "qcow2", "huge", "60T"]);
    std::fs::write(dir.path().join("truncated"), &qcow2(3, 5)[..2 << 20]).unwrap();
    std::fs::write(dir.path().join("bzip2"), b"BZh9 and so on").unwrap();
    std::fs::write(dir.path().join("gzip"), b"\x1f\x8b\x08\0 and so on").unwrap();
    let json = "json:{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}";
    qemu_img(dir.path(), &["create", "-q", "-u", "-f", "qcow2", "-b", json, "-F", "raw", "protocol", "1M"]);
    qemu_img(dir.path(), &["create", "-q", "-f", "qed", "foreign", "1M"]);
    for (name, code) in [
        ("backing", "image.backing-file"),
        ("external", "image.external-data"),
        ("encrypted", "image.encrypted"),
        ("descriptor", "image.foreign-extent"),
        ("protocol", "image.protocol-name"),
        ("huge", "image.disk-too-large"),
        ("truncated", "image.truncated"),
        ("bzip2", "image.archive"),
        ("gzip", "image.corrupt"),
        ("foreign", "image.format"),
    ] {
        let failed = front.imported(&place, name, &std::fs::read(dir.path().join(name)).unwrap()).await;
        let fault = failed.fault.unwrap_or_else(|| panic!("{name} is {:?}", failed.state));
        assert_eq!((failed.state, fault.code.as_str()), (State::Failed, code), "{name}: {}", fault.cause);
        assert!(failed.sha256.is_none() && failed.copies.is_empty());
    }
    front.is_tidy(0).await;
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_vmdk_becomes_an_image_and_leaves_nothing_behind() {
    use std::io::Write;
    let place = Place::new();
    let front = place.alone().await;
    let dir = TempDir::new();
    std::fs::write(dir.path().join("raw"), noise(3 << 20, 9)).unwrap();
    let args = ["convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", "raw", "d.vmdk"];
    qemu_img(dir.path(), &args);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&std::fs::read(dir.path().join("d.vmdk")).unwrap()).unwrap();
    let ready = front.imported(&place, "mini", &gzip.finish().unwrap()).await;
    assert_eq!((ready.state, ready.format), (State::Ready, Some(Format::Qcow2)), "{:?}", ready.fault);
    let blob = front.blob(&ready.sha256.unwrap());
    std::fs::copy(blob, dir.path().join("stored")).unwrap();
    qemu_img(dir.path(), &["compare", "-f", "raw", "-F", "qcow2", "raw", "stored"]);
    front.is_tidy(1).await;
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn senseless_requests_are_refused_and_change_nothing() {
    let place = Place::new();
    let mut settings = place.settings(0);
    settings.limits.max_imports = 1;
    let front = place.start_with(settings).await;
    front.leads().await;
    let told = |refused: Result<_, watari_contracts::ErrorBody>| match refused {
        Err(body) => body.code,
        Ok(ticket) => panic!("{ticket:?}"),
    };
    assert_eq!(told(front.announce("mini", "r", 0, None).await), "request.out-of-range");
    assert_eq!(told(front.announce("mini", "r", u64::MAX, None).await), "request.out-of-range");
    assert_eq!(told(front.announce("mini", "", 1, None).await), "request.out-of-range");
    assert_eq!(told(front.announce("mini", &"r".repeat(129), 1, None).await), "request.out-of-range");
    assert_eq!(told(front.announce("mini", "a\nb", 1, None).await), "request.out-of-range");
    assert_eq!(told(front.announce("mini", "r", 1, Some("../../etc".to_owned())).await), "request.out-of-range");
    assert_eq!(told(front.announce("mini", "r", 1 << 40, None).await), "image.no-room");
    assert_eq!(front.show("mini").await.unwrap_err().code, "image.unknown");

    front.announce("mini", "r", 100, None).await.unwrap();
    assert_eq!(told(front.announce("mini", "r", 101, None).await), "request.id-reused");
    assert_eq!(told(front.announce("mini", "r", 100, Some(sha256(b"x"))).await), "request.id-reused");
    assert_eq!(told(front.announce("mini", "other", 100, None).await), "image.exists");
    assert_eq!(told(front.announce("maxi", "r2", 100, None).await), "image.imports-busy");
    assert_eq!(front.show("mini").await.unwrap().state, State::Importing);
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_a_size_ends_when_its_sender_says_so() {
    let place = Place::new();
    let mut settings = place.settings(0);
    settings.limits.max_image_mib = 2;
    let front = place.start_with(settings).await;
    front.leads().await;
    let announce = || ImportImage {
        request_id: "r".to_owned(),
        name: "mini".parse().unwrap(),
        size_bytes: None,
        sha256: None,
        url: None,
        about: Default::default(),
    };
    let file = qcow2(1, 12);
    let client = place.operator();
    let ticket = asked(front.bus(), &announce()).await.unwrap();
    let (first, rest) = file.split_at(700_000);
    assert_eq!(put(&client, &ticket, 0, first.to_vec()).await.status(), 200);
    assert_eq!(front.show("mini").await.unwrap().arrived_bytes, Some(700_000));
    let again = asked(front.bus(), &announce()).await.unwrap();
    assert_eq!(again.offset, 700_000);
    assert_eq!(put(&client, &again, 700_000, rest.to_vec()).await.status(), 200);
    assert_eq!(front.show("mini").await.unwrap().state, State::Importing, "nobody has said that this is all");
    let url = format!("{}?offset={}&last=true", again.url.as_ref().unwrap(), file.len());
    assert_eq!(client.put(url).bearer_auth(&again.token).send().await.unwrap().status(), 200);
    assert_eq!(front.settled("mini").await.sha256, Some(sha256(&file)));

    let endless = ImportImage { name: "maxi".parse().unwrap(), ..announce() };
    let ticket = asked(front.bus(), &endless).await.unwrap();
    assert_eq!(put(&client, &ticket, 0, noise(3 << 20, 1)).await.status(), 400);
    assert_eq!(front.settled("maxi").await.fault.unwrap().code, "image.endless");
    front.is_tidy(1).await;
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_bytes_than_announced_are_not_taken() {
    let place = Place::new();
    let front = place.alone().await;
    let ticket = front.announce("mini", "r", 1000, None).await.unwrap();
    let client = place.operator();
    let response = put(&client, &ticket, 0, vec![1; 1001]).await;
    assert_eq!(response.status(), 413);
    assert_eq!(front.show("mini").await.unwrap().state, State::Importing);
    assert!(offset(&client, &ticket).await < 1000);
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_stalls_is_cut_off_and_may_go_on() {
    let place = Place::new();
    let mut settings = place.settings(0);
    settings.limits.stall_seconds = 1;
    settings.limits.max_uploads = 1;
    let front = place.start_with(settings).await;
    front.leads().await;
    let file = qcow2(1, 6);
    let ticket = front.import("mini", "r", &file).await;
    let operator = place.operator();
    let url = format!("{}?offset=0", ticket.url.as_ref().unwrap());
    let stalled = operator.put(&url).bearer_auth(&ticket.token).body(hanging(file[..5000].to_vec())).send().await;
    let stalled = stalled.unwrap();
    assert_eq!((stalled.status().as_u16(), header(&stalled, "upload-offset")), (408, "5000".to_owned()));
    assert_eq!(offset(&operator, &ticket).await, 5000);
    assert_eq!(put(&operator, &ticket, 5000, file[5000..].to_vec()).await.status(), 200);
    assert_eq!(front.settled("mini").await.state, State::Ready);
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_sender_overtakes_one_that_hangs() {
    let place = Place::new();
    let front = place.alone().await;
    let file = qcow2(1, 7);
    let ticket = front.import("mini", "r", &file).await;
    let (operator, url) = (place.operator(), format!("{}?offset=0", ticket.url.as_ref().unwrap()));
    let older = operator.put(&url).bearer_auth(&ticket.token).body(hanging(file[..5000].to_vec())).send();
    let older = tokio::spawn(older);
    let received = || front.running.app.metrics.received.get();
    eventually("the older one has begun", SOON, || async { received() == 5000 }).await;
    // The newer one does not know yet how much has arrived: it is told.
    let told = put(&operator, &ticket, 0, Vec::new()).await;
    assert_eq!((told.status().as_u16(), header(&told, "upload-offset")), (409, "5000".to_owned()));
    assert_eq!(older.await.unwrap().unwrap().status(), 409);
    assert_eq!(put(&operator, &ticket, 5000, file[5000..].to_vec()).await.status(), 200);
    assert_eq!(front.settled("mini").await.state, State::Ready);
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_may_be_deleted_while_it_is_sent() {
    let place = Place::new();
    let front = place.alone().await;
    let file = qcow2(1, 8);
    let ticket = front.import("mini", "r", &file).await;
    let operator = place.operator();
    let url = format!("{}?offset=0", ticket.url.as_ref().unwrap());
    let sending =
        tokio::spawn(operator.put(&url).bearer_auth(&ticket.token).body(hanging(file[..5000].to_vec())).send());
    eventually("it has begun", SOON, || async { front.running.app.metrics.received.get() == 5000 }).await;
    asked(front.bus(), &DeleteImage { name: "mini".parse().unwrap() }).await.unwrap();
    eventually("it is gone", SOON, || async { front.show("mini").await.is_err_and(|e| e.code == "image.unknown") })
        .await;
    let ended = tokio::time::timeout(Duration::from_secs(20), sending).await.expect("the sender is cut off").unwrap();
    assert_eq!(ended.unwrap().status(), 409);
    front.is_tidy(0).await;
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_stands_still_is_given_up() {
    let place = Place::new();
    let mut settings = place.settings(0);
    // Shorter than the configuration allows: every import is stale at once.
    settings.limits.import_patience_minutes = 0;
    let front = place.start_with(settings).await;
    front.leads().await;
    front.announce("mini", "r", 1000, None).await.unwrap();
    let failed = front.settled("mini").await;
    assert_eq!(failed.fault.unwrap().code, "image.import-abandoned");
    front.is_tidy(0).await;
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_is_interrupted_is_done_again_by_the_next_process() {
    let place = Place::new();
    let script = place.dir.path().join("hanging-qemu-img");
    std::fs::write(&script, "#!/bin/sh\nexec sleep 1000\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut settings = place.settings(0);
    settings.qemu.program = script;
    let front = place.start_with(settings).await;
    front.leads().await;
    let file = qcow2(1, 9);
    let ticket = front.import("mini", "r", &file).await;
    assert_eq!(put(&place.operator(), &ticket, 0, file.clone()).await.status(), 200);
    assert_eq!(front.show("mini").await.unwrap().state, State::Verifying);
    front.stop().await;

    let front = place.alone().await;
    assert_eq!(front.settled("mini").await.state, State::Ready);
    front.is_tidy(1).await;
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_program_is_not_the_images_fault() {
    let place = Place::new();
    let mut settings = place.settings(0);
    settings.qemu.program = "no-such-program".into();
    let front = place.start_with(settings).await;
    front.leads().await;
    let file = qcow2(1, 10);
    let ticket = front.import("mini", "r", &file).await;
    assert_eq!(put(&place.operator(), &ticket, 0, file.clone()).await.status(), 200);
    let errors = || {
        let families = front.ctx.metrics.gather();
        let loops = families.iter().filter(|f| f.name() == "watari_loop_errors_total").flat_map(|f| f.get_metric());
        loops.map(|of_loop| of_loop.get_counter().get_value()).sum::<f64>() > 0.5
    };
    eventually("the loop has failed", SOON, || async { errors() }).await;
    assert_eq!(front.show("mini").await.unwrap().state, State::Verifying);
    front.stop().await;
    let front = place.alone().await;
    assert_eq!(front.settled("mini").await.state, State::Ready);
    front.stop().await;
}

/// A file system of its own, which a test may fill.
struct Small(std::path::PathBuf);

impl Small {
    /// None where this process may not mount.
    fn mount(path: std::path::PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir_all(&path).unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&path)
            .status();
        mounted.is_ok_and(|s| s.success()).then_some(Self(path))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_the_import_with_its_reason_and_leaves_nothing() {
    let place = Place::new();
    let Some(_small) = Small::mount(place.data(0), "16m") else { return };
    let mut settings = place.settings(0);
    settings.limits.reserve_mib = 1;
    settings.peers.clear();
    let front = place.start_with(settings).await;
    front.leads().await;
    let file = qcow2(8, 11);
    let told = front.announce("maxi", "r", 20 << 20, None).await.unwrap_err();
    assert_eq!(told.code, "image.no-room", "what cannot fit is not begun");
    let ticket = front.import("mini", "r", &file).await;
    let told = front.announce("midi", "r", file.len() as u64, None).await.unwrap_err();
    assert_eq!(told.code, "image.no-room", "what is promised is not promised twice");

    let filler = front.data.join("filler");
    std::fs::write(&filler, noise(12 << 20, 1)).unwrap();
    let response = put(&place.operator(), &ticket, 0, file.clone()).await;
    assert_eq!(response.status(), 507);
    let failed = front.settled("mini").await;
    assert_eq!(failed.fault.unwrap().code, "image.no-room");
    front.is_tidy(0).await;

    std::fs::remove_file(filler).unwrap();
    assert_eq!(front.imported(&place, "mini", &file).await.state, State::Ready);
    front.stop().await;
}
