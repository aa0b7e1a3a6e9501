//! Images in an object store, with a real server that speaks S3.

use crate::harness::{
    proxy::{Proxy, Then},
    *,
};
use watari_chassis::Bucket;
use watari_contracts::image::{DeleteImage, ImageView};
use watari_image::settings::ImageSection;
use watari_model::{image::State, vm::Vm};
use watari_testkit::{S3Server, eventually, eventually_some};

/// The settings of a site's front end that keeps images in a store, reached at `address`.
fn keeping(place: &Place, site: usize, address: std::net::SocketAddr) -> ImageSection {
    let mut settings = place.settings(site);
    let credentials = place.dir.path().join("s3.env");
    std::fs::write(&credentials, "AWS_ACCESS_KEY_ID=watari\nAWS_SECRET_ACCESS_KEY=sesame\n").unwrap();
    settings.store.url = format!("s3://{}/watari", S3Server::BUCKET);
    settings.store.endpoint = format!("http://{address}");
    settings.store.campus = "elsewhere".to_owned();
    settings.store.credentials = credentials;
    settings.store.part_mib = 5;
    settings.store.look_seconds = 1;
    settings
}

/// Whether an object is in the store.
async fn has(front: &Front, sha256: &str, size: usize) -> bool {
    let objects = front.running.app.objects.as_ref().unwrap();
    objects.has(&sha256.parse().unwrap(), size as u64).await.unwrap()
}

/// Waits until the front end knows how its store stands.
async fn stands(front: &Front, well: bool) {
    eventually("it is known how the store stands", SOON, || async {
        front.running.app.wake_objects.wake();
        front.ctx.object_store().borrow().as_ref().is_some_and(|standing| standing.fault.is_none() == well)
    })
    .await;
}

/// Waits until every site says that the store keeps an image for it.
async fn kept_for(front: &Front, name: &str, sites: usize) -> ImageView {
    eventually_some("the store keeps it", SOON, || async {
        front.show(name).await.ok().filter(|view| view.kept.len() == sites)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_ready_when_the_store_has_it_and_outlives_the_front_ends_disk() {
    let (place, s3) = (Place::new(), S3Server::start());
    let line = Proxy::to(s3.address()).await;
    let mut settings = keeping(&place, 0, line.address);
    settings.peers.clear();
    let front = place.start_with(settings).await;
    front.leads().await;
    stands(&front, true).await;

    // In parts, as it is larger than one.
    let file = qcow2(6, 41);
    let sha = sha256(&file);
    let view = front.imported(&place, "mini", &file).await;
    assert_eq!((view.state, view.kept.len(), view.waits_for), (State::Ready, 1, None));
    assert!(has(&front, &sha, file.len()).await);
    assert_eq!(front.running.app.metrics.store_sent.get(), file.len() as u64);
    assert!(front.files("sending").is_empty());

    // What the disk has lost, or holds damaged, comes back from the store: there is nobody else.
    std::fs::remove_file(front.blob(&sha)).unwrap();
    let whole = || async { std::fs::read(front.blob(&sha)).is_ok_and(|bytes| bytes == file) };
    eventually("it is back", SOON, whole).await;

    // The store goes away between the announcement and the last byte.
    let small = qcow2(1, 42);
    let ticket = front.import("maxi", "maxi", &small).await;
    let twin = front.import("twin", "twin", &file).await;
    line.allow(0, Then::Cut);
    stands(&front, false).await;
    for (name, ticket, bytes) in [("maxi", &ticket, &small), ("twin", &twin, &file)] {
        assert_eq!(put(&place.operator(), ticket, 0, bytes.clone()).await.status(), 200);
        let waits = eventually_some("it is sound, and waits", SOON, || async {
            front.show(name).await.ok().filter(|view| view.waits_for.is_some())
        })
        .await;
        assert_eq!((waits.state, waits.waits_for.unwrap().code.as_str()), (State::Verifying, "image.store-away"));
    }
    let refused = front.announce("more", "more", 100, None).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.retryable), ("image.store-away", true));
    assert!(!refused.message.contains("sesame"), "{}", refused.message);
    assert_eq!(front.show("mini").await.unwrap().state, State::Ready, "what is ready stays so");
    asked(front.bus(), &DeleteImage { name: "mini".parse().unwrap() }).await.unwrap();

    line.allow(u64::MAX, Then::Cut);
    for (name, bytes) in [("maxi", &small), ("twin", &file)] {
        let view = front.settled(name).await;
        assert_eq!((view.state, view.kept.len(), view.waits_for), (State::Ready, 1, None));
        assert!(has(&front, &sha256(bytes), bytes.len()).await);
    }
    eventually("the deleted image's document is gone", SOON, || async { front.show("mini").await.is_err() }).await;
    assert!(whole().await, "what was deleted has not taken the file of its twin");

    for name in ["maxi", "twin"] {
        asked(front.bus(), &DeleteImage { name: name.parse().unwrap() }).await.unwrap();
        eventually("its document is gone", SOON, || async { front.show(name).await.is_err() }).await;
    }
    assert!(!has(&front, &sha, file.len()).await && !has(&front, &sha256(&small), small.len()).await);
    front.is_tidy(0).await;
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sites_share_a_store_and_bounded_disks_hold_what_is_in_use() {
    let (place, s3) = (Place::new(), S3Server::start());
    let first = place.start_with(keeping(&place, 0, s3.address())).await;
    first.leads().await;
    stands(&first, true).await;
    let mut bounded = keeping(&place, 1, s3.address());
    bounded.store.cache_mib = 2;
    let second = place.start_with(bounded).await;
    stands(&second, true).await;
    let files = [qcow2(1, 43), qcow2(1, 44)];
    let shas = [sha256(&files[0]), sha256(&files[1])];
    for (name, file) in ["one", "two"].into_iter().zip(&files) {
        assert_eq!(first.imported(&place, name, file).await.state, State::Ready);
        kept_for(&first, name, 2).await;
    }
    eventually("no image is lonely", SOON, || async { first.running.app.metrics.lonely.get() == 0 }).await;
    eventually("there is room for one alone", SOON, || async { second.files("blobs").len() == 1 }).await;
    assert_eq!(first.running.app.metrics.served.get(), 0, "nothing travelled between the sites");

    // A server stands on each in turn, and that one is there.
    let vms = Bucket::<Vm>::open(&first.other).await.unwrap();
    for (name, sha) in ["one", "two"].into_iter().zip(&shas) {
        let revision = vms.create(&server("mail", name, sha)).await.unwrap();
        eventually("it has what the server stands on, and nothing else", SOON, || async {
            second.files("blobs") == [sha.as_str()] && first.show(name).await.is_ok_and(|view| view.copies.len() == 2)
        })
        .await;
        vms.delete("mail", revision).await.unwrap();
    }
    for name in ["one", "two"] {
        eventually("nobody uses it", SOON, || async { first.show(name).await.unwrap().used_by.is_empty() }).await;
        asked(first.bus(), &DeleteImage { name: name.parse().unwrap() }).await.unwrap();
        eventually("its document is gone", SOON, || async { first.show(name).await.is_err() }).await;
    }
    for (sha, file) in shas.iter().zip(&files) {
        assert!(!has(&first, sha, file.len()).await, "neither site needs it");
    }
    first.is_tidy(0).await;
    second.is_tidy(0).await;
    first.stop().await;
    second.stop().await;
}
