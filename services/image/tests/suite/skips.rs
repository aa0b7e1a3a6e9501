//! Uploads that leave out the zeros of a sparse file.

use std::os::unix::fs::MetadataExt;

use crate::harness::*;
use watari_contracts::{image::ImportImage, upload::Frame};
use watari_model::image::{Format, State};

const MIB: u64 = 1 << 20;

/// A disk of 8 MiB, of which the first and the seventh are full.
fn disk() -> Vec<u8> {
    [noise(1 << 20, 30), vec![0; 5 << 20], noise(1 << 20, 31), vec![0; 1 << 20]].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sparse_file_arrives_byte_for_byte_and_sparse_whatever_breaks_within_a_hole() {
    let place = Place::new();
    let (front, client, file) = (place.alone().await, place.operator(), disk());
    let announced = || Some(sha256(&file));
    let ticket = front.announce("mini", "r", 8 * MIB, announced()).await.unwrap();
    assert_eq!(put(&client, &ticket, 0, file[..1 << 20].to_vec()).await.status(), 200);
    let skipped = skip(&client, &ticket, MIB, 2 * MIB, Vec::new()).await;
    assert_eq!((skipped.status().as_u16(), header(&skipped, "upload-offset")), (200, (3 * MIB).to_string()));
    // One whose answer was lost is told that it was heard.
    let again = skip(&client, &ticket, MIB, 2 * MIB, Vec::new()).await;
    assert_eq!((again.status().as_u16(), header(&again, "upload-offset")), (409, (3 * MIB).to_string()));
    front.stop().await;

    let front = place.alone().await;
    let ticket = front.announce("mini", "r", 8 * MIB, announced()).await.unwrap();
    assert_eq!(ticket.offset, 3 * MIB);
    let more = skip(&client, &ticket, 3 * MIB, 3 * MIB, file[6 << 20..7 << 20].to_vec()).await;
    assert_eq!((more.status().as_u16(), header(&more, "upload-offset")), (200, (7 * MIB).to_string()));
    assert_eq!(front.running.app.metrics.received.get(), MIB, "zeros that are left out are not received");
    assert_eq!(skip(&client, &ticket, 7 * MIB, MIB, Vec::new()).await.status(), 200);
    let ready = front.settled("mini").await;
    assert_eq!((ready.state, ready.format), (State::Ready, Some(Format::Raw)), "{:?}", ready.fault);
    let blob = front.blob(&sha256(&file));
    assert!(std::fs::read(&blob).unwrap() == file);
    assert!(std::fs::metadata(&blob).unwrap().blocks() * 512 < 3 * MIB, "its holes take room");
    front.is_tidy(1).await;
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_zeros_than_announced_are_not_taken() {
    let place = Place::new();
    let (front, client) = (place.alone().await, place.operator());
    let ticket = front.announce("mini", "r", MIB, None).await.unwrap();
    for zeros in [MIB + 1, u64::MAX] {
        assert_eq!(skip(&client, &ticket, 0, zeros, Vec::new()).await.status(), 413, "{zeros}");
        assert_eq!(offset(&client, &ticket).await, 0);
    }
    assert_eq!(put(&client, &ticket, 0, vec![1; 512]).await.status(), 200);
    for zeros in [MIB - 511, u64::MAX] {
        assert_eq!(skip(&client, &ticket, 512, zeros, Vec::new()).await.status(), 413, "{zeros}");
    }
    // The zeros fit, and what comes after them does not.
    let beyond = skip(&client, &ticket, 512, MIB - 512, vec![1]).await;
    assert_eq!((beyond.status().as_u16(), header(&beyond, "upload-offset")), (413, MIB.to_string()));
    assert_eq!(front.show("mini").await.unwrap().state, State::Importing);
    assert_eq!(put(&client, &ticket, MIB, Vec::new()).await.status(), 200);
    assert_eq!(front.settled("mini").await.state, State::Ready);
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_a_size_grows_by_zeros_no_further_than_by_bytes() {
    let place = Place::new();
    let mut settings = place.settings(0);
    settings.limits.max_image_mib = 2;
    let front = place.start_with(settings).await;
    front.leads().await;
    let client = place.operator();
    for (name, zeros) in [("one", MIB + 1), ("two", u64::MAX)] {
        let announcement = ImportImage {
            request_id: "r".to_owned(),
            name: name.parse().unwrap(),
            size_bytes: None,
            sha256: None,
            url: None,
            about: Default::default(),
        };
        let ticket = asked(front.bus(), &announcement).await.unwrap();
        assert_eq!(skip(&client, &ticket, 0, MIB, Vec::new()).await.status(), 200);
        assert_eq!(skip(&client, &ticket, MIB, zeros, Vec::new()).await.status(), 400, "{zeros}");
        assert_eq!(front.settled(name).await.fault.unwrap().code, "image.endless");
    }
    front.is_tidy(0).await;
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_arrive_byte_for_byte_and_sparse_whatever_breaks_within_one() {
    let place = Place::new();
    let (front, client, file) = (place.alone().await, place.operator(), disk());
    let ticket = front.announce("mini", "r", 8 * MIB, Some(sha256(&file))).await.unwrap();
    let full = |mib: usize| &file[mib << 20..(mib + 1) << 20];
    // The second frame says that there is more of it than the body has.
    let broken = [
        &Frame { zeros: 0, length: MIB }.to_bytes()[..],
        full(0),
        &Frame { zeros: 5 * MIB, length: MIB }.to_bytes(),
        &full(6)[..7],
    ];
    let answer = framed(&client, &ticket, 0, broken.concat()).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "upload-offset")), (400, (6 * MIB + 7).to_string()));
    // Of this one not even the beginning is whole, and what follows a frame's zeros may be nothing.
    let broken = framed(&client, &ticket, 6 * MIB + 7, vec![0; 15]).await;
    assert_eq!((broken.status().as_u16(), header(&broken, "upload-offset")), (400, (6 * MIB + 7).to_string()));
    let rest = frames(&client, &ticket, 6 * MIB + 7, &[(0, &full(6)[7..]), (MIB - 1, &[]), (1, &[])]).await;
    assert_eq!((rest.status().as_u16(), header(&rest, "upload-offset")), (200, (8 * MIB).to_string()));
    assert_eq!(front.running.app.metrics.received.get(), 2 * MIB);
    let ready = front.settled("mini").await;
    assert_eq!((ready.state, ready.format), (State::Ready, Some(Format::Raw)), "{:?}", ready.fault);
    let blob = front.blob(&sha256(&file));
    assert!(std::fs::read(&blob).unwrap() == file);
    assert!(std::fs::metadata(&blob).unwrap().blocks() * 512 < 3 * MIB, "its holes take room");
    front.is_tidy(1).await;
    for phase in ["receive", "flush", "check", "shelve", "keep"] {
        let timed = front.running.app.metrics.import_seconds.with_label_values(&[phase]).get_sample_count();
        assert_eq!(timed, if phase == "receive" { 3 } else { 1 }, "{phase}");
    }
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_grow_a_file_no_further_than_was_announced() {
    let place = Place::new();
    let (front, client) = (place.alone().await, place.operator());
    let ticket = front.announce("mini", "r", MIB, None).await.unwrap();
    assert_eq!(put(&client, &ticket, 0, vec![1; 512]).await.status(), 200);
    let beyond = |zeros, length| [&Frame { zeros, length }.to_bytes()[..], &[1]].concat();
    for frames in [(u64::MAX, 0), (MIB - 511, 0), (u64::MAX, u64::MAX)] {
        let refused = framed(&client, &ticket, 512, beyond(frames.0, frames.1)).await;
        let (status, offset) = (refused.status(), header(&refused, "upload-offset"));
        assert_eq!((status.as_u16(), offset.as_str()), (413, "512"), "{frames:?}");
    }
    // The zeros fit, and what comes after them does not.
    let refused = framed(&client, &ticket, 512, beyond(MIB - 512, u64::MAX)).await;
    assert_eq!((refused.status().as_u16(), header(&refused, "upload-offset")), (413, MIB.to_string()));
    assert_eq!(framed(&client, &ticket, MIB, Vec::new()).await.status(), 200);
    let disk = [vec![1; 512], vec![0; (1 << 20) - 512]].concat();
    let ready = front.settled("mini").await;
    assert_eq!((ready.state, ready.sha256), (State::Ready, Some(sha256(&disk))), "{:?}", ready.fault);
    front.stop().await;
}
