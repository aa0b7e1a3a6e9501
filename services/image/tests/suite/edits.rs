//! What is said of an image, changed later.

use crate::harness::*;
use watari_contracts::image::{EditImage, ImportImage};
use watari_model::image::{About, Firmware, State};

fn edit(name: &str) -> EditImage {
    EditImage {
        name: name.parse().unwrap(),
        os: None,
        version: None,
        description: None,
        default_user: None,
        min_memory_mib: None,
        min_disk_gib: None,
        firmware: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_an_image_changes_once_it_is_there_and_what_is_not_named_stays() {
    let place = Place::new();
    let front = place.alone().await;
    let file = qcow2(1, 30);
    let text = |text: &str| Some(text.to_owned());
    let about = About { os: text("Debian 13"), min_memory_mib: Some(512), ..About::default() };
    let import = ImportImage {
        request_id: "r".to_owned(),
        name: "mini".parse().unwrap(),
        size_bytes: Some(file.len() as u64),
        sha256: None,
        url: None,
        about: about.clone(),
    };
    let uefi = EditImage { firmware: Some(Firmware::Uefi), ..edit("mini") };
    assert_eq!(asked(front.bus(), &uefi).await.unwrap_err().code, "image.unknown");
    let ticket = asked(front.bus(), &import).await.unwrap();
    assert_eq!(asked(front.bus(), &uefi).await.unwrap_err().code, "image.not-ready");
    assert_eq!(put(&place.operator(), &ticket, 0, file).await.status(), 200);
    assert_eq!(front.settled("mini").await.state, State::Ready);

    let edited = asked(front.bus(), &uefi).await.unwrap();
    assert_eq!(edited.about, About { firmware: Firmware::Uefi, ..about.clone() });
    assert_eq!(asked(front.bus(), &uefi).await.unwrap(), edited, "twice is once");
    let more = EditImage { description: text("mail servers"), min_memory_mib: Some(1024), ..edit("mini") };
    let wanted = About { min_memory_mib: Some(1024), description: text("mail servers"), ..edited.about };
    assert_eq!(asked(front.bus(), &more).await.unwrap().about, wanted);
    let wrong = EditImage { os: text("two\nlines"), ..edit("mini") };
    assert_eq!(asked(front.bus(), &wrong).await.unwrap_err().code, "request.out-of-range");
    assert_eq!(front.show("mini").await.unwrap().about, wanted);
    // Whoever repeats the import learns that it is there, and changes nothing.
    assert_eq!(asked(front.bus(), &import).await.unwrap().image.about, wanted);
    front.stop().await;
}
