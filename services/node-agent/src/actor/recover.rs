//! After the agent's restart: what became of an operation that was under way.
//!
//! Nothing that makes a server run is done again of the agent's own accord: what is seen decides
//! whether it had succeeded, and if not, whoever ordered it orders it again. What only takes away
//! is gone on with, since it was written down before the restart and nothing newer can have come since. A start of which the
//! guest has noticed nothing yet is taken back.

use watari_contracts::agent::Domain;
use watari_model::Refusal;

use super::{cx::Cx, freeze, perform, send, start};
use crate::work::Work;

pub(super) async fn run(cx: &Cx, work: &Work) -> Result<(), Refusal> {
    cx.node.hypervisor.ready().await;
    start::take_back(cx).await?;
    match work {
        Work::Send(order) => send::reattach(cx, order).await,
        Work::Stop(_) | Work::Suspend(_) | Work::Remove(_) | Work::Release(_) | Work::Discard(_) | Work::Abort(_) => {
            perform(cx, work).await
        }
        Work::Start(_) | Work::Resume(_) => match seen(cx).await {
            Domain::Running => Ok(()),
            _ => Err(again(cx, work)),
        },
        // What runs is looked at first, and what has grown grows no more.
        Work::Grow(_) => perform(cx, work).await,
        // What was begun of it is finished, or taken back; whether that was all is seen when it is ordered again.
        Work::Freeze(_) | Work::TakeSnapshot(_) | Work::RevertDisk(_) => {
            freeze::settle(cx).await?;
            Err(again(cx, work))
        }
        Work::Receive(_) | Work::Reboot(_) => Err(again(cx, work)),
    }
}

/// Looks until libvirt answers. One that QEMU has stopped is in no state of a name, and may be so for ever.
async fn seen(cx: &Cx) -> Domain {
    let mut events = cx.node.hypervisor.events();
    loop {
        let sight = cx.book.look().await;
        if sight.domain != Domain::Unknown || sight.still.is_some() {
            return sight.domain;
        }
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), events.recv()).await;
    }
}

fn again(cx: &Cx, work: &Work) -> Refusal {
    cx.node.not_now(&cx.book.vm, "left in the middle, since the agent was restarted,", work.verb())
}
