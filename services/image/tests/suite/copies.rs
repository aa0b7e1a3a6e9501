//! Copies at both sites: made, resumed, verified, mended, removed.

use std::{os::unix::fs::MetadataExt, sync::atomic::Ordering};

use crate::harness::{proxy::Proxy, *};
use watari_chassis::Bucket;
use watari_contracts::image::{DeleteImage, ListImages};
use watari_model::{image::State, vm::Vm};
use watari_testkit::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_copied_to_the_other_site_and_deleted_at_both() {
    let place = Place::new();
    let [first, second] = place.both().await;
    let file = qcow2(4, 1);
    assert_eq!(first.imported(&place, "mini", &file).await.state, State::Ready);
    let view = first.copied("mini").await;
    assert_eq!(view.copies.keys().map(ToString::to_string).collect::<Vec<_>>(), SITES);
    let sha = sha256(&file);
    for front in [&first, &second] {
        assert!(std::fs::read(front.blob(&sha)).unwrap() == file);
        front.is_tidy(1).await;
    }
    eventually("no image is lonely", SOON, || async { first.running.app.metrics.lonely.get() == 0 }).await;

    // A node of the second site reads from its own front end.
    let url = format!("https://{}/v1/blobs/{sha}", second.running.blobs);
    let node = place.node();
    let whole = node.get(&url).send().await.unwrap();
    assert_eq!((header(&whole, "etag"), header(&whole, "accept-ranges")), (format!("\"{sha}\""), "bytes".to_owned()));
    assert!(whole.bytes().await.unwrap() == file);
    let part = node.get(&url).header("range", "bytes=1000-1999").send().await.unwrap();
    assert_eq!(
        (part.status().as_u16(), header(&part, "content-range")),
        (206, format!("bytes 1000-1999/{}", file.len()))
    );
    assert!(part.bytes().await.unwrap() == file[1000..2000]);
    let head = node.head(&url).send().await.unwrap();
    assert_eq!((head.status().as_u16(), header(&head, "content-length")), (200, file.len().to_string()));
    let beyond = node.get(&url).header("range", format!("bytes={}-", file.len())).send().await.unwrap();
    assert_eq!(beyond.status(), 416);

    asked(first.bus(), &DeleteImage { name: "mini".parse().unwrap() }).await.unwrap();
    eventually("its document is gone", SOON, || async { first.show("mini").await.is_err() }).await;
    first.is_tidy(0).await;
    second.is_tidy(0).await;
    assert_eq!(node.get(&url).send().await.unwrap().status(), 404);
    assert!(asked(first.bus(), &ListImages {}).await.unwrap().images.is_empty());
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_cut_at_twenty_points_is_resumed_and_complete() {
    let place = Place::new();
    let first = place.start(0).await;
    first.leads().await;
    let file = qcow2(6, 2);
    assert_eq!(first.imported(&place, "mini", &file).await.state, State::Ready);

    // Every connection breaks after some 300 KB, 4 KB of which are the TLS handshake.
    let proxy = Proxy::to(place.blobs(0), 300_000).await;
    let mut settings = place.settings(1);
    settings.peers = vec![format!("https://{}", proxy.address)];
    let second = place.start_with(settings).await;
    eventually("the line was cut five times", SOON, || async { proxy.cuts.load(Ordering::SeqCst) >= 5 }).await;
    for (point, allowance) in (5..20).zip((1..16).map(|n: u64| 100_000 + n * n * 7_919 % 300_000)) {
        proxy.allowance.store(allowance, Ordering::SeqCst);
        eventually("the line is cut again, or all is there", SOON, || async {
            second.running.app.wake_copies.wake();
            proxy.cuts.load(Ordering::SeqCst) > point || !second.files("blobs").is_empty()
        })
        .await;
    }
    proxy.allowance.store(u64::MAX, Ordering::SeqCst);
    first.copied("mini").await;
    assert!(std::fs::read(second.blob(&sha256(&file))).unwrap() == file);
    let copied = second.running.app.metrics.copied.get();
    assert!(copied < file.len() as u64 * 11 / 10, "{copied} bytes travelled for {}", file.len());
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sparse_image_travels_without_its_holes() {
    let place = Place::new();
    let [first, second] = place.both().await;
    let mut file = vec![0; 96 << 20];
    for at in [0, 40 << 20, (96 << 20) - 4096] {
        file[at..at + 4096].copy_from_slice(&noise(4096, at as u64 + 1));
    }
    assert_eq!(first.imported(&place, "raw", &file).await.state, State::Ready);
    first.copied("raw").await;
    let sha = sha256(&file);
    for front in [&first, &second] {
        let meta = std::fs::metadata(front.blob(&sha)).unwrap();
        assert!(meta.len() == file.len() as u64 && meta.blocks() * 512 < 1 << 20, "{} blocks", meta.blocks());
    }
    assert!(second.running.app.metrics.copied.get() < 1 << 20);
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_or_lost_copy_is_taken_out_of_service_and_fetched_again() {
    use std::os::unix::fs::{FileExt, PermissionsExt};
    let place = Place::new();
    let [first, second] = place.both().await;
    let file = qcow2(2, 3);
    first.imported(&place, "mini", &file).await;
    first.copied("mini").await;
    let blob = second.blob(&sha256(&file));
    let whole = || async { std::fs::read(&blob).is_ok_and(|bytes| bytes == file) };

    std::fs::set_permissions(&blob, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::File::options().write(true).open(&blob).unwrap().write_all_at(b"rot", 500_000).unwrap();
    let url = format!("https://{}/v1/blobs/{}", second.running.blobs, sha256(&file));
    assert_eq!(place.node().get(&url).send().await.unwrap().status(), 404, "nobody is given what has changed");
    eventually("the damage is mended", SOON, whole).await;
    assert_eq!(second.running.app.metrics.damaged.get(), 1);

    std::fs::remove_file(&blob).unwrap();
    eventually("the loss is mended", SOON, whole).await;
    first.copied("mini").await;

    // While the process was down as well, without size or time betraying it.
    second.stop().await;
    let times = std::fs::metadata(&blob).unwrap().modified().unwrap();
    std::fs::set_permissions(&blob, std::fs::Permissions::from_mode(0o644)).unwrap();
    let opened = std::fs::File::options().write(true).open(&blob).unwrap();
    opened.write_all_at(b"rot", 700_000).unwrap();
    opened.set_modified(times).unwrap();
    drop(opened);
    let second = place.start(1).await;
    eventually("the digest betrays it", SOON, whole).await;
    assert_eq!(second.running.app.metrics.damaged.get(), 1);
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_a_server_stands_on_is_not_deleted() {
    let place = Place::new();
    let [first, second] = place.both().await;
    let file = qcow2(1, 4);
    first.imported(&place, "mini", &file).await;
    first.copied("mini").await;
    let vms = Bucket::<Vm>::open(&first.ctx).await.unwrap();
    let delete = || DeleteImage { name: "mini".parse().unwrap() };

    let mut revisions = Vec::new();
    for n in 0..7 {
        revisions.push(vms.create(&server(&format!("mail{n}"), "mini", &sha256(&file))).await.unwrap());
    }
    eventually("the servers are seen", SOON, || async { first.show("mini").await.unwrap().used_by.len() == 7 }).await;
    let refused = asked(first.bus(), &delete()).await.unwrap_err();
    assert_eq!(refused.code, "image.in-use");
    assert!(refused.message.contains("mail0") && refused.message.contains("2 more"), "{}", refused.message);
    assert_eq!(first.show("mini").await.unwrap().state, State::Ready);

    // An image of another name with the same file may go: the file stays.
    first.imported(&place, "twin", &file).await;
    asked(first.bus(), &DeleteImage { name: "twin".parse().unwrap() }).await.unwrap();
    eventually("the twin is gone", SOON, || async { first.show("twin").await.is_err() }).await;
    assert!(first.blob(&sha256(&file)).exists() && second.blob(&sha256(&file)).exists());

    for (n, revision) in revisions.into_iter().enumerate() {
        vms.delete(&format!("mail{n}"), revision).await.unwrap();
    }
    eventually("nobody uses it", SOON, || async { first.show("mini").await.unwrap().used_by.is_empty() }).await;
    asked(first.bus(), &delete()).await.unwrap();
    asked(first.bus(), &delete())
        .await
        .map_or_else(|e| assert_eq!(e.code, "image.unknown"), |view| assert_eq!(view.state, State::Deleting));
    eventually("it is gone", SOON, || async { first.show("mini").await.is_err() }).await;
    first.is_tidy(0).await;
    second.is_tidy(0).await;
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_goes_on_being_copied_and_served_when_the_primary_changes() {
    let place = Place::new();
    let [first, second] = place.both().await;
    let file = qcow2(1, 5);
    first.imported(&place, "mini", &file).await;
    first.copied("mini").await;
    first.stop().await;
    second.leads().await;
    let another = qcow2(1, 6);
    assert_eq!(second.imported(&place, "maxi", &another).await.state, State::Ready);
    let first = place.start(0).await;
    second.copied("maxi").await;
    assert!(std::fs::read(first.blob(&sha256(&another))).unwrap() == another);
    first.stop().await;
    second.stop().await;
}
