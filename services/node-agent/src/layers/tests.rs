//! Who is answered what, without a disk or another node.

use watari_contracts::agent::Order;

use super::*;
use crate::hypervisor::courier::PIECE;

const UUID: &str = "4dea22b3-1d52-48f3-9d2c-0c0d8e1a7b6f";

fn order(operation: &str) -> SendAhead {
    SendAhead {
        order: Order { epoch: 3, operation: operation.to_owned() },
        vm: "mail".parse().unwrap(),
        uuid: UUID.to_owned(),
        generation: 1,
        address: "192.0.2.21".to_owned(),
        bandwidth_mib: 20,
        urgent: false,
    }
}

#[test]
fn the_same_order_asks_and_another_one_takes_its_place() {
    let couriers = Couriers::default();
    assert_eq!(couriers.known(&order("first")), None);
    let sending = couriers.seat(&order("first")).unwrap();
    assert!(couriers.seat(&order("second")).is_none(), "two send the same disk");
    assert_eq!(couriers.known(&order("first")), Some(Progress::Working));
    assert!(!sending.stop.is_cancelled());
    assert_eq!(couriers.known(&order("second")), Some(Progress::Working));
    assert!(sending.stop.is_cancelled());
    sending.tell(Progress::Failed(Refusal::Internal { detail: "gone".to_owned() }));
    assert_eq!(couriers.known(&order("second")), None, "it may begin now");
}

#[test]
fn one_way_is_measured_at_a_time_and_none_while_anything_travels() {
    let couriers = Couriers::default();
    let turn = couriers.turn_to_measure(false);
    assert!(turn.is_some() && couriers.turn_to_measure(false).is_none(), "two are measured at the same time");
    drop(turn);
    assert!(couriers.turn_to_measure(true).is_none(), "a server is being copied");
    let sending = couriers.seat(&order("first")).unwrap();
    assert!(couriers.turn_to_measure(false).is_none(), "a disk is being sent ahead");
    sending.tell(Progress::Done);
    assert!(couriers.turn_to_measure(false).is_some(), "who had no turn keeps it from others");
}

#[test]
fn how_it_ended_is_told_to_whoever_asked_for_it_and_once() {
    let couriers = Couriers::default();
    couriers.seat(&order("first")).unwrap().tell(Progress::Done);
    assert_eq!(couriers.known(&order("first")), Some(Progress::Done));
    assert_eq!(couriers.known(&order("first")), None);
}

#[test]
fn who_asks_how_far_it_is_is_told_how_many_bytes_were_brought_while_they_travel() {
    let couriers = Couriers::default();
    assert_eq!(couriers.brought(&order("first")), None);
    let sending = couriers.seat(&order("first")).unwrap();
    sending.is_of_bytes(100);
    sending.has_gained(0, 30);
    assert_eq!(couriers.brought(&order("first")), Some(Brought { brought_bytes: 30, total_bytes: 100 }));
    assert_eq!(couriers.brought(&order("second")), None, "nothing of that travels");
    sending.tell(Progress::Done);
    assert_eq!(couriers.brought(&order("first")), None);
}

#[test]
fn what_lay_there_already_is_no_part_of_what_is_brought() {
    let sending = Sending::new(&order("again"));
    let told = || (sending.brought().brought_bytes, sending.brought().total_bytes);
    // The layer that was sent the last time, and a new one, of which six pieces came before it broke off.
    sending.is_of_bytes(1_000 * PIECE + 10 * PIECE);
    sending.need_not(1_000 * PIECE);
    assert_eq!(told(), (0, 10 * PIECE));
    // The last of them is brought again: nobody knows how much of it arrived.
    sending.has_gained(0, 6 * PIECE);
    assert_eq!(told(), (PIECE, 5 * PIECE));
    for brought in 6..10 {
        sending.has_gained(brought * PIECE, (brought + 1) * PIECE);
    }
    assert_eq!(told(), (5 * PIECE, 5 * PIECE));
    // While it is checked there.
    sending.has_gained(10 * PIECE, 10 * PIECE);
    assert_eq!(told(), (5 * PIECE, 5 * PIECE));
}

#[test]
fn nothing_is_sent_while_it_is_not_known_which_layers_stay_as_they_are() {
    let mut record = Record::new("mail".parse().unwrap(), "6c8a3b1e-0f0d-4c55-9d2a-1f1e4a9f7c11".to_owned());
    record.stack.top = 5;
    assert!(!in_the_middle(&record));
    record.merging = Some(5);
    assert!(!in_the_middle(&record), "what is written to is not sent anyway");
    record.merging = Some(4);
    assert!(in_the_middle(&record));
    (record.merging, record.freezing) = (None, true);
    assert!(in_the_middle(&record));
}
