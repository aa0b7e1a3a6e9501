//! What one user may have under way, beside what all may.

use crate::harness::*;
use futures_util::future::join_all;
use watari_chassis::{Bus, BusSettings};
use watari_contracts::{
    ErrorBody,
    image::{DeleteImage, ImportImage, Ticket},
};
use watari_image::settings::Limits;
use watari_model::image::State;

/// A front end that leads, with bounds of its own.
async fn front(place: &Place, bounds: impl FnOnce(&mut Limits)) -> Front {
    let mut settings = place.settings(0);
    settings.peers.clear();
    bounds(&mut settings.limits);
    let front = place.start_with(settings).await;
    front.leads().await;
    front
}

/// Somebody whom the inbox names, as here is no border at which the NATS server would say who asks.
async fn somebody(place: &Place, name: &str) -> Bus {
    let urls = vec![place.nats.url()];
    Bus::connect(&BusSettings { urls, identity: name.to_owned(), ..BusSettings::default() }).await.unwrap()
}

fn import(name: &str, size_bytes: Option<u64>) -> ImportImage {
    let (request_id, name) = (format!("of-{name}"), name.parse().unwrap());
    ImportImage { request_id, name, size_bytes, sha256: None, url: None, about: Default::default() }
}

fn code(refused: Result<Ticket, ErrorBody>) -> String {
    refused.unwrap_err().code
}

#[tokio::test(flavor = "multi_thread")]
async fn one_user_has_so_many_imports_under_way_and_another_as_many_beside_them() {
    let place = Place::new();
    let front = front(&place, |limits| limits.max_user_imports = 2).await;
    let (sato, suzuki) = (somebody(&place, "sato").await, somebody(&place, "suzuki").await);
    let file = qcow2(1, 20);
    let size = Some(file.len() as u64);
    asked(&sato, &import("one", size)).await.unwrap();
    asked(&sato, &import("two", None)).await.unwrap();
    assert_eq!(code(asked(&sato, &import("three", size)).await), "image.user-imports-busy");
    assert_eq!(front.show("three").await.unwrap_err().code, "image.unknown");
    asked(&suzuki, &import("three", size)).await.unwrap();
    // Asking again is not another import.
    let ticket = asked(&sato, &import("one", size)).await.unwrap();
    assert_eq!(put(&place.operator(), &ticket, 0, file).await.status(), 200);
    assert_eq!(front.settled("one").await.state, State::Ready);
    asked(&sato, &import("four", size)).await.unwrap();
    assert_eq!(code(asked(&sato, &import("five", size)).await), "image.user-imports-busy");
    asked(&sato, &DeleteImage { name: "two".parse().unwrap() }).await.unwrap();
    asked(&sato, &import("five", size)).await.unwrap();
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_for_many_at_the_same_time_gets_no_more_for_that() {
    let place = Place::new();
    let front = front(&place, |limits| limits.max_user_imports = 2).await;
    let sato = somebody(&place, "sato").await;
    let wanted: Vec<ImportImage> = (0..16).map(|n| import(&format!("image-{n}"), None)).collect();
    let answers = join_all(wanted.iter().map(|one| asked(&sato, one))).await;
    let refused: Vec<String> = answers.into_iter().filter_map(Result::err).map(|body| body.code).collect();
    assert_eq!(refused, vec!["image.user-imports-busy"; 14]);
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_one_users_imports_have_so_many_bytes_together_announced_or_not() {
    let place = Place::new();
    let front = front(&place, |limits| limits.max_user_mib = 3).await;
    let (sato, suzuki) = (somebody(&place, "sato").await, somebody(&place, "suzuki").await);
    let mib = |mib: u64, more: u64| Some((mib << 20) + more);
    assert_eq!(code(asked(&sato, &import("one", mib(3, 1))).await), "image.user-imports-full");
    asked(&sato, &import("one", mib(2, 0))).await.unwrap();
    assert_eq!(code(asked(&sato, &import("two", mib(1, 1))).await), "image.user-imports-full");
    asked(&suzuki, &import("two", mib(3, 0))).await.unwrap();

    // Nothing is said of how large it is, and so it may begin.
    let ticket = asked(&sato, &import("pipe", None)).await.unwrap();
    let client = place.operator();
    assert_eq!(put(&client, &ticket, 0, noise(500_000, 21)).await.status(), 200);
    assert_eq!(put(&client, &ticket, 500_000, noise(1_200_000, 22)).await.status(), 507);
    let failed = front.settled("pipe").await;
    assert_eq!((failed.state, failed.fault.unwrap().code.as_str()), (State::Failed, "image.user-imports-full"));
    // What it had is free again.
    asked(&sato, &import("three", mib(1, 0))).await.unwrap();
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zeros_that_nobody_sends_count_as_bytes_do() {
    let place = Place::new();
    let front = front(&place, |limits| limits.max_user_mib = 3).await;
    let sato = somebody(&place, "sato").await;
    let ticket = asked(&sato, &import("pipe", None)).await.unwrap();
    let client = place.operator();
    assert_eq!(skip(&client, &ticket, 0, 2 << 20, Vec::new()).await.status(), 200);
    assert_eq!(skip(&client, &ticket, 2 << 20, (1 << 20) + 1, Vec::new()).await.status(), 507);
    let failed = front.settled("pipe").await;
    assert_eq!((failed.state, failed.fault.unwrap().code.as_str()), (State::Failed, "image.user-imports-full"));
    front.is_tidy(0).await;
    front.stop().await;
}
