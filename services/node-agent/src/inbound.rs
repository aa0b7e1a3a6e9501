//! The commands of `watari_contracts::agent`, `plan` and `saving`, on `watari.agent.<node>.<verb>`. No lease:
//! an agent is the only one of its node, and what it may do the orders' epochs and grants say.

use watari_chassis::{Context, Server};
use watari_contracts::{
    Service,
    agent::{
        Abort, Discard, DropDisk, DropLayers, Freeze, Grow, Hold, KeepConsole, MeasureWay, Observe, ObserveAll,
        ReadConsole, Reboot, Receive, Release, Remove, Resume, RevertDisk, Send, SendAhead, ShutDown, Start, Stop,
        Suspend, TakeInventory, TakePicture, TakeSnapshot, UseConsole,
    },
    plan::LayPlan,
    saving::SaveDisk,
};

use crate::{agent::Agent, shut_down, stock};

/// The server of this agent's commands.
#[must_use]
pub fn server(ctx: &Context, agent: &Agent) -> Server {
    let node = &agent.node().name;
    let mut commands = Server::new(ctx, Service::NodeAgent).commands(node);
    macro_rules! orders {
        ($($order:ident)*) => {$(
            let of = agent.clone();
            commands = commands.command::<$order, _, _>(move |_, order| {
                let agent = of.clone();
                async move { agent.order(order).await }
            });
        )*};
    }
    orders! { Start Stop Suspend Reboot Remove Receive Send Abort Resume Grow Freeze TakeSnapshot RevertDisk Discard Release }
    let (one, all, take, read) = (agent.clone(), agent.clone(), agent.clone(), agent.clone());
    let (lay, save, ahead, drop) = (agent.clone(), agent.clone(), agent.clone(), agent.clone());
    let kept = agent.clone();
    let leave = agent.clone();
    let hold = agent.clone();
    let typing = agent.clone();
    let looking = agent.clone();
    let keeping = agent.clone();
    let measuring = agent.clone();
    commands
        .command::<LayPlan, _, _>(move |_, order| {
            let agent = lay.clone();
            async move { agent.lay(order).await }
        })
        .command::<SaveDisk, _, _>(move |_, order| {
            let agent = save.clone();
            async move { agent.save(order).await }
        })
        .command::<SendAhead, _, _>(move |_, order| {
            let agent = ahead.clone();
            async move { agent.send_ahead(order).await }
        })
        .command::<MeasureWay, _, _>(move |_, order| {
            let agent = measuring.clone();
            async move { agent.measure(order).await }
        })
        .command::<DropLayers, _, _>(move |_, order| {
            let agent = drop.clone();
            async move { agent.drop_layers(order).await }
        })
        .command::<ShutDown, _, _>(move |_, order| {
            let agent = leave.clone();
            async move { shut_down::shut_down(agent.node(), order).await }
        })
        .command::<DropDisk, _, _>(move |_, order| {
            let agent = kept.clone();
            async move { agent.drop_disk(order).await }
        })
        .command::<Hold, _, _>(move |_, order| {
            let agent = hold.clone();
            async move { agent.hold(order).await }
        })
        .command::<Observe, _, _>(move |_, request| {
            let agent = one.clone();
            async move { Ok(agent.observe(&request.vm).await) }
        })
        .command::<ObserveAll, _, _>(move |_, _| {
            let agent = all.clone();
            async move { Ok(agent.observe_all().await) }
        })
        .command::<TakeInventory, _, _>(move |_, _| {
            let agent = take.clone();
            async move { stock::take(agent.node()).await }
        })
        .command::<ReadConsole, _, _>(move |_, request| {
            let agent = read.clone();
            async move { agent.console(&request).await }
        })
        .command::<TakePicture, _, _>(move |_, order| {
            let agent = looking.clone();
            async move { agent.picture(&order).await }
        })
        .command::<UseConsole, _, _>(move |_, order| {
            let agent = typing.clone();
            async move { agent.use_console(order).await }
        })
        .command::<KeepConsole, _, _>(move |_, order| {
            let agent = keeping.clone();
            async move { agent.keep_console(order).await }
        })
        .done()
}
