//! What a collector of traces gets, by OTLP, of an evacuation: every step of it, by whomever, in one trace.

mod otlp;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use anyhow::{Context, ensure};

use super::{Stage, until};
use crate::lab::{NODES, front_of};
use otlp::Span;

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] =
    &[("the_evacuation_of_a_campus_is_one_trace_from_its_request_through_libvirt_to_its_end", one_trace)];

/// Where the collector listens.
const HOST: &str = "client";
const PORT: u16 = 4318;
const FRONTS: [&str; 2] = ["m-front", "y-front"];
const SCHEDULER: &str = "watari-scheduler";
const AGENT: &str = "watari-node-agent";
/// What is in the trace at least: whose step it is, and what it is called.
const STEPS: [(&str, &str); 13] = [
    (SCHEDULER, "request"),
    (SCHEDULER, "new-migration"),
    (SCHEDULER, "receive"),
    (AGENT, "receive"),
    (SCHEDULER, "send"),
    (AGENT, "send"),
    (AGENT, "migrate the domain"),
    (SCHEDULER, "settle"),
    (AGENT, "resume"),
    (SCHEDULER, "release"),
    (AGENT, "release"),
    (SCHEDULER, "store-migration"),
    (SCHEDULER, "store-outage"),
];

/// Takes what is sent to it for as long as this process lives: whoever is still at it is answered.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

impl Collector {
    fn start(stage: &Stage) -> anyhow::Result<Self> {
        let bind = || TcpListener::bind(("0.0.0.0", PORT)).context("the collector cannot listen");
        let listener = stage.lab.within(HOST, bind)?;
        let collector = Self::default();
        let taking = collector.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let taking = taking.clone();
                thread::spawn(move || taking.take_all(stream));
            }
        });
        Ok(collector)
    }

    fn spans(&self) -> MutexGuard<'_, Vec<Span>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers the requests of one connection until it ends. One that is cut off is sent again.
    fn take_all(&self, stream: TcpStream) -> io::Result<()> {
        let mut answers = stream.try_clone()?;
        let mut requests = BufReader::new(stream);
        while let Some(length) = head(&mut requests)? {
            let mut body = vec![0; length];
            requests.read_exact(&mut body)?;
            self.spans().extend(otlp::spans(&body).map_err(io::Error::other)?);
            answers
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")?;
        }
        Ok(())
    }

    /// What is missing in the trace that has most of what is wanted.
    fn missing(&self) -> Vec<String> {
        let spans = self.spans();
        let mut traces: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
        for span in spans.iter() {
            traces.entry(&span.trace).or_default().push(span);
        }
        let missing = traces.values().map(|trace| missing(trace));
        missing.min_by_key(Vec::len).unwrap_or_else(|| vec!["everything".to_owned()])
    }
}

/// Reads a request's lines: how long its body is; none at the end.
fn head(requests: &mut impl BufRead) -> io::Result<Option<usize>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if requests.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            None if line.trim_end().is_empty() => return Ok(Some(length)),
            _ => {}
        }
    }
}

/// What is missing in a trace.
fn missing(trace: &[&Span]) -> Vec<String> {
    let there = |service: &str, name: &str| trace.iter().any(|span| span.service == service && span.name == name);
    let steps = STEPS.iter().filter(|(service, name)| !there(service, name));
    let mut missing: Vec<String> = steps.map(|(service, name)| format!("{name} of {service}")).collect();
    // The command itself sends nothing: its request is the one step whose parent nobody has told of.
    let told: BTreeSet<&str> = trace.iter().map(|span| span.id.as_str()).collect();
    let begun: Vec<&str> =
        trace.iter().filter(|span| !told.contains(span.parent.as_str())).map(|span| span.name.as_str()).collect();
    if begun != ["request"] {
        missing.push(format!("what came before {begun:?}"));
    }
    missing
}

/// The processes that send their traces. Dropped, they are as they were before.
struct Told<'a> {
    stage: &'a Stage,
    before: Vec<(&'static str, &'static str, String)>,
}

impl<'a> Told<'a> {
    fn start(stage: &'a Stage) -> anyhow::Result<Self> {
        let mut told = Self { stage, before: Vec::new() };
        let processes =
            FRONTS.map(|front| (front, "scheduler")).into_iter().chain(NODES.map(|node| (node, "node-agent")));
        for (host, service) in processes {
            let file = stage.lab.file(host, &format!("/etc/watari/{service}.toml"));
            let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let own = format!("[telemetry]\notlp = \"http://{HOST}:{PORT}/v1/traces\"");
            ensure!(text.contains("[telemetry]"), "{} has no section [telemetry]", file.display());
            fs::write(&file, text.replacen("[telemetry]", &own, 1))?;
            told.before.push((host, service, text));
        }
        told.restart()?;
        Ok(told)
    }

    /// Starts all of them anew; the scheduler that led leads again.
    fn restart(&self) -> anyhow::Result<()> {
        let lab = &self.stage.lab;
        for node in NODES {
            lab.run(&["stop", node, AGENT])?;
            lab.run(&["start", node, AGENT])?;
        }
        let led = lab.led_from().ok().flatten();
        let first = led.as_deref().map_or(FRONTS[0], front_of);
        for front in FRONTS {
            lab.run(&["stop", front, SCHEDULER])?;
        }
        lab.run(&["start", first, SCHEDULER])?;
        until(60, "the scheduler answers", || self.stage.watari(&["site", "list"]).map(|_| true))?;
        let mut others = FRONTS.into_iter().filter(|front| *front != first);
        others.try_for_each(|front| lab.run(&["start", front, SCHEDULER]).map(drop))?;
        self.stage.until_nodes_ready()
    }

    fn forget(&self) -> anyhow::Result<()> {
        for (host, service, text) in &self.before {
            fs::write(self.stage.lab.file(host, &format!("/etc/watari/{service}.toml")), text)?;
        }
        self.restart()
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.forget() {
            eprintln!("processes still send traces: {error:#}");
        }
    }
}

fn one_trace(stage: &Stage) -> anyhow::Result<()> {
    let boot = stage.boot_id(&stage.address("mail")?)?;
    let home = stage.send_home("mail")?;
    let collector = Collector::start(stage)?;
    let told = Told::start(stage)?;
    // Nodes whose agents have just begun anew may be in doubt for a moment, and take nobody.
    until(60, "the campus is emptied", || stage.watari(&["site", "evacuate", &home, "--wait"]).map(|_| true))?;
    let whole = until(60, "the trace is whole", || Ok(collector.missing().is_empty()))
        .with_context(|| format!("in the trace is missing: {:?}", collector.missing()));
    stage.watari(&["site", "return", &home, "--wait"])?;
    drop(told);
    whole?;
    stage.sound("mail", &boot)
}
