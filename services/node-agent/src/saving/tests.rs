//! Who gives way to whom, without a disk or a domain.

use watari_contracts::saving::SendTo;

use super::*;

const UUID: &str = "4dea22b3-1d52-48f3-9d2c-0c0d8e1a7b6f";

fn order(image: &str, operation: &str) -> SaveDisk {
    SaveDisk {
        epoch: 3,
        operation: operation.to_owned(),
        image: image.parse().unwrap(),
        vm: "mail".parse().unwrap(),
        uuid: UUID.to_owned(),
        generation: 1,
        send_to: None,
    }
}

fn gone() -> Stage {
    Stage::Failed(Refusal::Internal { detail: "gone".to_owned() })
}

#[tokio::test]
async fn an_order_that_needs_the_disk_ends_the_copy_and_keeps_it_away() {
    let saves = Saves::new(1);
    let save = saves.seat(&order("kept", "1")).unwrap();
    let (waiting, copying) = (saves.clone(), Arc::clone(&save));
    let way = tokio::spawn(async move { waiting.make_way(UUID).await });
    // The copy lets go when it is told to, and not before.
    copying.aside.cancelled().await;
    assert!(!way.is_finished(), "it does not wait until the disk is free");
    assert!(!save.stop.is_cancelled(), "what is copied already may be sent");
    copying.has_read();
    copying.tell(gone());
    let way = way.await.unwrap().unwrap();
    assert!(saves.seat(&order("kept", "2")).is_none(), "it is copied while the disk is wanted");
    let another = saves.make_way(UUID).await.unwrap();
    drop(way);
    assert!(saves.seat(&order("kept", "2")).is_none(), "one of two is still at work");
    drop(another);
    assert!(saves.seat(&order("kept", "2")).is_some());
}

#[tokio::test]
async fn a_copy_that_is_whole_is_in_nobodys_way() {
    let saves = Saves::new(1);
    let save = saves.seat(&order("kept", "1")).unwrap();
    save.has_read();
    assert!(saves.make_way(UUID).await.is_some());
    assert!(!save.stop.is_cancelled() && !save.is_over());
}

#[tokio::test]
async fn the_same_order_asks_another_of_its_image_replaces_and_another_images_waits() {
    let saves = Saves::new(1);
    let save = saves.seat(&order("kept", "1")).unwrap();
    save.tell(Stage::Copying { copied_bytes: 1, total_bytes: 2 });
    let copying = Some(Stage::Copying { copied_bytes: 1, total_bytes: 2 });
    assert_eq!(saves.known(&order("kept", "1")).unwrap(), copying);
    assert_eq!(saves.known(&order("other", "1")).unwrap(), Some(Stage::Waiting));
    assert!(!save.stop.is_cancelled(), "another image's order has ended it");
    assert_eq!(saves.known(&order("kept", "2")).unwrap(), Some(Stage::Waiting));
    assert!(save.stop.is_cancelled());
    save.has_read();
    save.tell(gone());
    assert_eq!(saves.known(&order("kept", "2")).unwrap(), None, "it may begin now");
    assert_eq!(saves.known(&order("kept", "1")).unwrap(), Some(gone()), "how it ended is told to whoever asked for it");
}

#[tokio::test]
async fn the_order_that_begins_a_copy_does_not_say_where_it_goes() {
    let saves = Saves::new(1);
    let to = SendTo { url: "https://m-front/v1/uploads/1".to_owned(), token: "good".to_owned() };
    let order = SaveDisk { send_to: Some(to.clone()), ..order("kept", "1") };
    let save = saves.seat(&order).unwrap();
    assert_eq!(*save.send_to().borrow(), None, "that is for a copy which another agent made");
    saves.known(&order).unwrap();
    assert_eq!(*save.send_to().borrow(), Some(to));
}

#[tokio::test]
async fn an_overtaken_front_end_is_not_heeded() {
    let saves = Saves::new(1);
    assert_eq!(saves.known(&order("kept", "1")).unwrap(), None);
    let older = SaveDisk { epoch: 2, ..order("kept", "1") };
    assert!(matches!(saves.known(&older), Err(Refusal::Stale { .. })));
}

#[tokio::test]
async fn a_copy_that_nobody_asks_for_any_more_ends_by_itself() {
    let save = Arc::new(Save::new(&order("kept", "1")));
    let (silence, most) = (Duration::from_millis(50), Duration::from_secs(3_600));
    let minding = tokio::spawn(Arc::clone(&save).mind(silence, most));
    save.stop.cancelled().await;
    minding.await.unwrap();
    assert!(save.aside.is_cancelled());
}
