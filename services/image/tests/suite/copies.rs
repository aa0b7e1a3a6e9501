//! Copies at both sites: made, resumed, verified, mended, removed.

use std::os::unix::fs::MetadataExt;

use crate::harness::{
    proxy::{Proxy, Then},
    *,
};
use watari_chassis::Bucket;
use watari_contracts::image::{DeleteImage, ListImages};
use watari_model::{image::State, vm::Vm};
use watari_testkit::{Dice, eventually};

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

/// The second site's front end, which reaches the first one over that line.
async fn behind(line: &Proxy, place: &Place) -> Front {
    let mut settings = place.settings(1);
    settings.peers = vec![format!("https://{}", line.address)];
    place.start_with(settings).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_cut_or_stopped_at_twenty_random_points_is_resumed_and_complete() {
    const POINTS: usize = 20;
    // From one point to the next. The first bytes of each connection are the TLS handshake.
    const LEAST: u64 = 64 << 10;
    const MOST: u64 = 448 << 10;
    let place = Place::new();
    let first = place.start(0).await;
    first.leads().await;
    let file = qcow2(9, 2);
    assert!(POINTS as u64 * MOST < file.len() as u64, "it could be whole before the last point");
    assert_eq!(first.imported(&place, "mini", &file).await.state, State::Ready);

    let mut dice = Dice::new(4);
    let line = Proxy::to(place.blobs(0)).await;
    line.allow(0, Then::Hold);
    let mut second = behind(&line, &place).await;
    let mut copied = 0;
    for point in 0..POINTS {
        // At some of them it is the copying service that ends, and another one that goes on.
        let stops = point % 4 == 3;
        line.allow(LEAST + dice.below(MOST - LEAST), if stops { Then::Hold } else { Then::Cut });
        eventually("it comes to the next point", SOON, || async { line.points() > point }).await;
        if stops {
            let counted = second.running.app.metrics.copied.clone();
            second.stop().await;
            copied += counted.get();
            second = behind(&line, &place).await;
        }
    }
    assert_eq!((line.points(), second.files("blobs").len()), (POINTS, 0));
    line.allow(u64::MAX, Then::Cut);
    first.copied("mini").await;
    assert!(std::fs::read(second.blob(&sha256(&file))).unwrap() == file);
    copied += second.running.app.metrics.copied.get();
    assert!(copied <= file.len() as u64, "{copied} bytes were taken for {}: some came twice", file.len());
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_a_copy_waits_for_its_turn_at_the_pace_that_is_set() {
    let place = Place::new();
    let first = place.start(0).await;
    first.leads().await;
    let mut settings = place.settings(1);
    settings.limits.copy_mib_per_second = 7;
    let second = place.start_with(settings).await;
    first.imported(&place, "mini", &qcow2(2, 8)).await;
    first.copied("mini").await;
    let (pace, copied) = (&second.running.app.pace, second.running.app.metrics.copied.get());
    assert_eq!((pace.bytes_per_second(), pace.taken()), (7 << 20, copied));
    assert!(copied > 2 << 20, "{copied}");
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
    let vms = Bucket::<Vm>::open(&first.other).await.unwrap();
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
