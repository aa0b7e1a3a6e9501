//! What the bucket of servers would have told in a year, said within a minute: the events that NATS republishes, in its own
//! protocol (<https://docs.nats.io/reference/reference-protocols/nats-protocol>), with the times of then.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use watari_model::Timestamp;

/// Said before it is waited until the monitor has written it down: less than NATS keeps for who is slow.
const AT_ONCE: u64 = 4_096;
/// A person who did little.
pub(super) const RARE: &str = "sato";
const SAMPLE: &str = include_str!("../../../../shared/contracts/tests/golden/document.vms.json");

/// The year, as far as it has been told.
pub(super) struct Year {
    stream: BufReader<TcpStream>,
    course: Course,
    changes: u64,
    told: u64,
}

/// How the year went: each server in turn, at even intervals.
struct Course {
    sample: Value,
    from: Timestamp,
    step_ms: u64,
    servers: u64,
}

/// What a server is called.
pub(super) fn name(number: u64) -> String {
    format!("server-{number:05}")
}

impl Year {
    /// A year of `changes` changes of `servers` servers.
    pub(super) fn open(
        url: &str,
        from: Timestamp,
        until: Timestamp,
        servers: u64,
        changes: u64,
    ) -> anyhow::Result<Self> {
        let address = url.strip_prefix("nats://").context("no address of NATS")?;
        let step_ms = until.millis_since(from) / changes.max(1);
        let stream = BufReader::new(TcpStream::connect(address)?);
        let mut year = Self { stream, course: Course::new(from, step_ms, servers)?, changes, told: 0 };
        let hello = json!({"verbose": false, "pedantic": false, "headers": true, "lang": "bench", "version": "1"});
        year.say(format!("CONNECT {hello}\r\n").into_bytes())?;
        Ok(year)
    }

    /// Tells the next part, and the last revision of it; none if nothing is left.
    pub(super) fn tell(&mut self) -> anyhow::Result<Option<u64>> {
        let end = self.told.saturating_add(AT_ONCE).min(self.changes);
        if self.told == end {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        for number in self.told..end {
            self.course.change(number, &mut bytes)?;
        }
        self.told = end;
        self.say(bytes)?;
        Ok(Some(end))
    }

    /// Says something, and waits until NATS has taken it.
    fn say(&mut self, mut bytes: Vec<u8>) -> anyhow::Result<()> {
        bytes.extend_from_slice(b"PING\r\n");
        self.stream.get_mut().write_all(&bytes)?;
        let mut line = String::new();
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            match line.trim_end() {
                "PONG" => return Ok(()),
                "PING" => self.stream.get_mut().write_all(b"PONG\r\n")?,
                other if other.starts_with("INFO ") => {}
                other => bail!("NATS says {other:?}"),
            }
        }
    }
}

impl Course {
    fn new(from: Timestamp, step_ms: u64, servers: u64) -> anyhow::Result<Self> {
        let [mut sample, ..]: [Value; 2] = serde_json::from_str(SAMPLE)?;
        sample["state"] = json!("running");
        sample["created_at"] = json!(from);
        for empty in ["crossing", "fault"] {
            sample[empty] = Value::Null;
        }
        sample["leftovers"] = json!([]);
        Ok(Self { sample, from, step_ms, servers })
    }

    /// Appends the event of this number.
    fn change(&mut self, number: u64, into: &mut Vec<u8>) -> anyhow::Result<()> {
        let (server, turn) = (number % self.servers, number / self.servers);
        let at = json!(self.from.plus_millis(number.saturating_mul(self.step_ms)));
        let vm = &mut self.sample;
        vm["name"] = json!(name(server));
        vm["uuid"] = json!(format!("00000000-0000-4000-8000-{server:012}"));
        vm["changed_at"] = at.clone();
        vm["grant"] = json!({"node": if turn.is_multiple_of(2) { "m1" } else { "y1" }, "generation": turn + 1});
        vm["spec"]["vcpus"] = json!(1 + turn % 4);
        let by = match number {
            n if n % 5_000 == 77 => RARE,
            n if n.is_multiple_of(20) => "operator@192.0.2.10",
            _ => "scheduler.m-front",
        };
        let at = at.as_str().context("a moment is no text")?;
        let revision = number + 1;
        let previous = revision.saturating_sub(self.servers);
        let head = format!(
            "NATS/1.0\r\nNats-Time-Stamp: {at}\r\nNats-Sequence: {revision}\r\nNats-Last-Sequence: {previous}\r\n\
             Watari-By: {by}\r\nWatari-Why: vm.edit\r\n\r\n"
        );
        let document = serde_json::to_vec(vm)?;
        let whole = head.len() + document.len();
        write!(into, "HPUB watari.event.vms.{} {} {whole}\r\n{head}", name(server), head.len())?;
        into.extend_from_slice(&document);
        into.extend_from_slice(b"\r\n");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use watari_model::vm::{State, Vm};

    use super::*;

    #[test]
    fn an_event_is_what_a_bucket_would_have_told() {
        let start: Timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        let mut course = Course::new(start, 1_000, 10).unwrap();
        let mut bytes = Vec::new();
        course.change(23, &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (command, rest) = text.split_once("\r\n").unwrap();
        let words: Vec<&str> = command.split(' ').collect();
        assert_eq!(words[..2], ["HPUB", "watari.event.vms.server-00003"]);
        let sizes: Vec<usize> = words[2..].iter().map(|word| word.parse().unwrap()).collect();
        let (head, document) = rest.split_at(sizes[0]);
        for line in ["Nats-Time-Stamp: 2026-01-01T00:00:23Z", "Nats-Sequence: 24", "Nats-Last-Sequence: 14"] {
            assert!(head.contains(line), "{head}");
        }
        assert_eq!(document.len(), sizes[1] - sizes[0] + 2);
        let vm: Vm = serde_json::from_str(document).unwrap();
        assert_eq!((vm.name.as_str(), vm.state), ("server-00003", State::Running));
    }
}
