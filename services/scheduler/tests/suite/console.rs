//! Servers' consoles, as far as the scheduler has a part in them: where the server is, and that somebody was there.

use crate::support::{Cloud, SOON, create};
use watari_chassis::Bucket;
use watari_contracts::{
    agent::ConsoleAct,
    scheduler::{CreateVm, MigrateVm, StopVm, VmConsole, VmScreenshot},
};
use watari_model::{
    Refusal,
    vm::{Opening, State, Vm},
};
use watari_testkit::eventually_some;

fn at_console(act: ConsoleAct) -> VmConsole {
    VmConsole { name: "mail".parse().unwrap(), session: "7f3c".to_owned(), act, again: false }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_opening_of_a_console_is_remembered_and_nothing_of_what_is_done_there() {
    let cloud = Cloud::start().await;
    let node = cloud.running("mail", "myodaiji").await.node.unwrap();
    let vms = Bucket::<Vm>::of_another(&cloud.ctx).await.unwrap();
    let open = at_console(ConsoleAct::Open { take_over: false });
    let remembered = async || {
        let mail = vms.get("mail").await.unwrap().unwrap().value;
        mail.requests.into_iter().map(|request| request.request_id).collect::<Vec<_>>()
    };
    let mut before = remembered().await;
    assert!(before.is_empty());
    for _ in 0..2 {
        let view = cloud.ask(&open).await.unwrap();
        assert_eq!((view.name.as_str(), &view.node), ("mail", &node));
        assert!(!view.part.output.0.is_empty(), "the agent learns who asks");
        let now = remembered().await;
        assert!(now.len() == 1 && now != before, "each is written down, and none pushes out other requests");
        before = now;
    }
    for (ask, mark) in [
        (open.clone(), Opening::First),
        (at_console(ConsoleAct::Open { take_over: true }), Opening::Forced),
        (VmConsole { again: true, ..open.clone() }, Opening::Again),
    ] {
        cloud.ask(&ask).await.unwrap();
        before = remembered().await;
        assert!(before.len() == 1 && before[0].starts_with(mark.mark()), "{before:?}");
    }
    cloud.ask(&at_console(ConsoleAct::Follow { from: 0 })).await.unwrap();
    cloud.ask(&at_console(ConsoleAct::Close)).await.unwrap();
    assert_eq!(remembered().await, before);
    assert!(!before.contains(&"7f3c".to_owned()), "who reads it cannot type there");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_the_console_of_a_server_that_is_off() {
    let cloud = Cloud::start().await;
    let open = at_console(ConsoleAct::Open { take_over: false });
    assert!(matches!(cloud.ask(&open).await, Err(Refusal::VmUnknown { .. })));
    cloud.running("mail", "myodaiji").await;
    let stop = StopVm { request_id: None, name: "mail".parse().unwrap(), force: true };
    cloud.ask(&stop).await.unwrap();
    cloud.until("mail", |vm| vm.state == State::Stopped).await;
    assert!(matches!(cloud.ask(&open).await, Err(Refusal::VmState { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_taken_where_the_server_runs_if_it_has_a_display() {
    let cloud = Cloud::start().await;
    let of = |name: &str| VmScreenshot { name: name.parse().unwrap() };
    assert!(matches!(cloud.ask(&of("nobody")).await, Err(Refusal::VmUnknown { .. })));
    cloud.running("mail", "myodaiji").await;
    assert!(matches!(cloud.ask(&of("mail")).await, Err(Refusal::NoDisplay { .. })));
    cloud.ask(&CreateVm { display: true, ..create("desk") }).await.unwrap();
    let desk = cloud.until("desk", |vm| vm.state == State::Running).await;
    assert!(desk.display);
    let node = desk.node.unwrap();
    let shown = cloud.ask(&of("desk")).await.unwrap();
    assert_eq!((&shown.node, shown.png.0), (&node, format!("desk on {node}").into_bytes()));
    cloud.ask(&StopVm { request_id: None, name: "desk".parse().unwrap(), force: true }).await.unwrap();
    cloud.until("desk", |vm| vm.state == State::Stopped).await;
    assert!(matches!(cloud.ask(&of("desk")).await, Err(Refusal::VmState { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_wrote_before_it_moved_comes_after_it() {
    let cloud = Cloud::start().await;
    let from = cloud.running("mail", "myodaiji").await.node.unwrap();
    assert_eq!(cloud.fleet.console_before(from.as_str(), "mail"), None);
    let to = Some("y1".parse().unwrap());
    cloud.ask(&MigrateVm { request_id: None, name: "mail".parse().unwrap(), to }).await.unwrap();
    let kept = || async { cloud.fleet.console_before("y1", "mail") };
    let kept = eventually_some("it is kept where it runs now", SOON, kept).await;
    assert_eq!(kept, format!("mail on {from}"));
}
