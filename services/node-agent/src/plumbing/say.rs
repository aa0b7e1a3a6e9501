//! Words of nft's JSON (libnftables-json(5)), so that rules read like rules.

use serde_json::{Value, json};

use crate::blueprint::TAP_PREFIX;

/// The name of every tap of ours.
pub(super) fn ours() -> String {
    format!("{TAP_PREFIX}*")
}

pub(super) fn meta(key: &str) -> Value {
    json!({"meta": {"key": key}})
}

pub(super) fn field(protocol: &str, field: &str) -> Value {
    json!({"payload": {"protocol": protocol, "field": field}})
}

pub(super) fn concat(parts: &[Value]) -> Value {
    json!({"concat": parts})
}

pub(super) fn is(left: Value, right: impl Into<Value>) -> Value {
    json!({"match": {"op": "==", "left": left, "right": right.into()}})
}

pub(super) fn is_not(left: Value, right: impl Into<Value>) -> Value {
    json!({"match": {"op": "!=", "left": left, "right": right.into()}})
}

pub(super) fn accept() -> Value {
    json!({"accept": null})
}

pub(super) fn drop() -> Value {
    json!({"drop": null})
}

/// Replaces what a packet has at `what`.
pub(super) fn rewrite(what: Value, with: impl Into<Value>) -> Value {
    json!({"mangle": {"key": what, "value": with.into()}})
}

/// Counted, so that `nft list table bridge watari` shows what was refused.
pub(super) fn count() -> Value {
    json!({"counter": null})
}

pub(super) fn goto(chain: &str) -> Value {
    json!({"goto": {"target": chain}})
}

/// Jumps where a map leads from what a packet has, or nowhere.
pub(super) fn jump_by(what: Value, map: &str) -> Value {
    json!({"vmap": {"key": what, "data": format!("@{map}")}})
}

/// A list of one would be a concatenation of one, which is another type.
fn concatenated(kind: &[&str]) -> Value {
    match kind {
        [one] => json!(one),
        several => json!(several),
    }
}

/// A table under construction: an `add` for each part of it.
pub(super) struct Table {
    family: &'static str,
    name: &'static str,
    parts: Vec<Value>,
}

impl Table {
    /// A table that replaces the one of its name: added first, so that deleting it cannot fail.
    pub(super) fn anew(family: &'static str, name: &'static str) -> Self {
        let table = json!({"table": {"family": family, "name": name}});
        let parts = vec![json!({"add": table}), json!({"delete": table}), json!({"add": table})];
        Self { family, name, parts }
    }

    /// A chain that the kernel calls; what no rule of it decides is accepted.
    pub(super) fn hook(&mut self, chain: &str, hook: &str, priority: i32) {
        self.base("filter", chain, hook, priority);
    }

    /// A chain that the kernel calls for the first packet of each connection, to translate addresses.
    pub(super) fn translation(&mut self, chain: &str, hook: &str, priority: i32) {
        self.base("nat", chain, hook, priority);
    }

    fn base(&mut self, kind: &str, chain: &str, hook: &str, priority: i32) {
        self.parts.push(json!({"add": {"chain": {
            "family": self.family, "table": self.name, "name": chain,
            "type": kind, "hook": hook, "prio": priority, "policy": "accept",
        }}}));
    }

    /// A chain that rules go to.
    pub(super) fn chain(&mut self, chain: &str) {
        self.parts.push(json!({"add": {"chain": {"family": self.family, "table": self.name, "name": chain}}}));
    }

    /// A set with its elements.
    pub(super) fn set(&mut self, set: &str, kind: &[&str], elements: Vec<Value>) {
        let mut body = json!({"family": self.family, "table": self.name, "name": set, "type": concatenated(kind)});
        // nft refuses an empty list.
        if !elements.is_empty() {
            body["elem"] = elements.into();
        }
        self.parts.push(json!({"add": {"set": body}}));
    }

    /// A set whose elements go by themselves after a time of their own.
    pub(super) fn timed_set(&mut self, set: &str, kind: &[&str], elements: Vec<Value>) {
        self.set(set, kind, elements);
        if let Some(body) = self.parts.last_mut() {
            body["add"]["set"]["flags"] = json!(["timeout"]);
        }
    }

    /// A map from what a packet has to what becomes of it.
    pub(super) fn map(&mut self, map: &str, kind: &[&str], elements: Vec<Value>) {
        self.lookup(map, kind, "verdict", elements);
    }

    /// A map from what a packet has to a value of that type.
    pub(super) fn lookup(&mut self, map: &str, kind: &[&str], value: &str, elements: Vec<Value>) {
        let mut body =
            json!({"family": self.family, "table": self.name, "name": map, "type": concatenated(kind), "map": value});
        if !elements.is_empty() {
            body["elem"] = elements.into();
        }
        self.parts.push(json!({"add": {"map": body}}));
    }

    /// A rule at a chain's end.
    pub(super) fn rule(&mut self, chain: &str, expressions: Vec<Value>) {
        self.parts.push(json!({"add": {"rule": {
            "family": self.family, "table": self.name, "chain": chain, "expr": expressions,
        }}}));
    }

    pub(super) fn finish(self) -> Vec<Value> {
        self.parts
    }

    /// The same, and away with it at the end of the transaction.
    pub(super) fn finish_and_delete(mut self) -> Vec<Value> {
        self.parts.push(json!({"delete": {"table": {"family": self.family, "name": self.name}}}));
        self.parts
    }
}

/// That nft takes these rules. In a network of its own: checking asks the kernel, and its tables are those of the
/// network.
#[cfg(test)]
pub(super) fn accepted(rules: &[Value]) {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };
    let mut command = Command::new("unshare");
    command.args(["--net", "nft", "--check", "-j", "-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(json!({"nftables": rules}).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{said:?}");
}
