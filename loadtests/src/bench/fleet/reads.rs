//! `vm.get` beside a bare NATS echo in the same run: both are asked over one connection and answered over another, with
//! as many bytes.

use std::time::Instant;

use serde::Serialize;
use watari_contracts::Request as _;
use watari_testkit::Responder;

use super::{
    Measured, plan,
    stage::{READY, Stage},
    standing::Standing,
};
use crate::bench::{
    Bound,
    latency::{Latency, Taken},
};

const ECHO: &str = "watari.bench.echo";

#[derive(Clone, Debug, Serialize)]
struct Reads {
    nodes: usize,
    servers: usize,
    show: Latency,
    echo: Latency,
    p99_to_echo: f64,
}

/// Measures.
pub(super) async fn run(stage: &mut Stage, plan: plan::Listed) -> anyhow::Result<Measured> {
    let standing = Standing::with(stage, plan.nodes, plan.servers).await?;
    let bus = &stage.ctx.bus;
    let sample = serde_json::to_vec(&bus.request(&standing.show(0)?).await?)?;
    let _echo = Responder::start(&stage.url(), ECHO, move |_, _| Some(sample.clone())).await;
    let (mut shows, mut echoes) = (Taken::none()?, Taken::none()?);
    for turn in 0..plan.requests {
        let question = serde_json::to_vec(&standing.show(turn)?)?;
        // Both by the same way, so that what is compared is who answers.
        for (subject, taken) in [(watari_contracts::scheduler::GetVm::SUBJECT, &mut shows), (ECHO, &mut echoes)] {
            let begun = Instant::now();
            bus.request_bytes(subject, question.clone(), READY).await?;
            taken.take(begun)?;
        }
    }
    let (show, echo) = (shows.latency(), echoes.latency());
    let p99_to_echo = show.p99_ms / echo.p99_ms;
    let reads = Reads { nodes: plan.nodes, servers: plan.servers, show, echo, p99_to_echo };
    Measured::of(&reads, vec![Bound::most("reads: p99_to_echo", p99_to_echo, 2.0)])
}
