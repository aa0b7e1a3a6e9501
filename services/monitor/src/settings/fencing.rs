//! With which programs nodes' power is switched, and within which bounds.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use serde::Deserialize;
use watari_contracts::monitor::PowerWish;
use watari_model::{
    NodeName, SiteName,
    node::{
        Node,
        fencing::{Act, Rules},
    },
};

/// The most entries.
const MOST_ENTRIES: usize = 4_096;
/// The most words of one command.
const MOST_WORDS: usize = 64;
/// The longest word.
const LONGEST_WORD: usize = 1_024;
/// What stands for the node's name.
const NODE: &str = "{node}";

/// The power controller of one node, or of each node of a site.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Controller {
    /// The node.
    #[serde(default)]
    pub node: Option<NodeName>,
    /// Or the site, for every node of it that has no entry of its own.
    #[serde(default)]
    pub site: Option<SiteName>,
    /// The program that cuts the power, with its arguments.
    pub off: Vec<String>,
    /// The program whose last word is `on` or `off`.
    pub status: Vec<String>,
    /// The program that switches the node on; nobody can if it is left out.
    #[serde(default)]
    pub on: Vec<String>,
    /// Variables that the programs find in their environment, each with the file whose first line it holds.
    #[serde(default)]
    pub secrets: BTreeMap<String, PathBuf>,
}

/// `[fence]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fence {
    /// For how long a node must have been lost.
    pub wait_seconds: u64,
    /// How long one program may take.
    pub program_seconds: u64,
    /// How long a controller may take until it says what it was asked to do.
    pub settle_seconds: u64,
    /// The pause after the first try that failed.
    pub retry_seconds: u64,
    /// The longest one.
    pub most_retry_seconds: u64,
    /// How long a node may take to be heard after it was switched on.
    pub boot_seconds: u64,
    /// Nodes that are switched at the same time.
    pub at_once: usize,
}

impl Fence {
    /// What decides when.
    #[must_use]
    pub const fn rules(&self) -> Rules {
        Rules {
            wait_ms: self.wait_seconds * 1_000,
            pause_ms: self.retry_seconds * 1_000,
            most_pause_ms: self.most_retry_seconds * 1_000,
            boot_ms: self.boot_seconds * 1_000,
        }
    }

    /// How long one program may take.
    #[must_use]
    pub const fn program(&self) -> Duration {
        Duration::from_secs(self.program_seconds)
    }

    /// How long it is asked whether it is so.
    #[must_use]
    pub const fn settle(&self) -> Duration {
        Duration::from_secs(self.settle_seconds)
    }
}

/// One node's programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commands {
    off: Vec<String>,
    status: Vec<String>,
    on: Vec<String>,
    /// Variables and their files.
    pub secrets: Vec<(String, PathBuf)>,
}

impl Commands {
    /// What asks the controller whether the node is on.
    #[must_use]
    pub fn status(&self) -> &[String] {
        &self.status
    }

    /// What switches the node; no words if nothing can.
    #[must_use]
    pub fn switch(&self, act: Act) -> &[String] {
        match act {
            Act::Off => &self.off,
            Act::On => &self.on,
        }
    }

    /// What is run for a wish, in this order; nothing if it cannot be fulfilled. What was switched is asked about
    /// afterwards.
    #[must_use]
    pub fn of(&self, wish: PowerWish) -> Vec<Vec<String>> {
        match wish {
            PowerWish::Off => vec![self.off.clone(), self.status.clone()],
            PowerWish::On if self.on.is_empty() => Vec::new(),
            PowerWish::On => vec![self.on.clone(), self.status.clone()],
            PowerWish::Status => vec![self.status.clone()],
        }
    }
}

/// A node's power controller: its own, or else its site's.
fn controller<'c>(all: &'c [Controller], node: &Node) -> Option<&'c Controller> {
    let own = all.iter().find(|one| one.node.as_ref() == Some(&node.name));
    own.or_else(|| all.iter().find(|one| one.site.as_ref() == Some(&node.site)))
}

/// Whether a node has a power controller.
#[must_use]
pub fn is_configured(all: &[Controller], node: &Node) -> bool {
    controller(all, node).is_some()
}

/// The commands for a node, if any are configured.
#[must_use]
pub fn commands(all: &[Controller], node: &Node) -> Option<Commands> {
    let one = controller(all, node)?;
    let named = |words: &[String]| words.iter().map(|word| word.replace(NODE, node.name.as_str())).collect::<Vec<_>>();
    let file = |path: &PathBuf| PathBuf::from(path.to_string_lossy().replace(NODE, node.name.as_str()));
    let secrets = one.secrets.iter().map(|(variable, path)| (variable.clone(), file(path))).collect();
    Some(Commands { off: named(&one.off), status: named(&one.status), on: named(&one.on), secrets })
}

/// Checks what the types cannot say.
pub(super) fn validate(all: &[Controller]) -> Result<(), String> {
    if all.len() > MOST_ENTRIES {
        return Err(format!("there are {} of [[fencing]]: use at most {MOST_ENTRIES}", all.len()));
    }
    let mut seen = BTreeSet::new();
    for one in all {
        let whose = match (&one.node, &one.site) {
            (Some(node), None) => format!("node {node}"),
            (None, Some(site)) => format!("site {site}"),
            _ => return Err("[[fencing]]: give either node or site in each entry".to_owned()),
        };
        for (name, words) in [("off", &one.off), ("status", &one.status), ("on", &one.on)] {
            if words.is_empty() && name != "on" {
                return Err(format!("[[fencing]] of {whose}: {name} is empty; name a program and its arguments"));
            }
            let sound = |word: &String| (1..=LONGEST_WORD).contains(&word.len()) && !word.contains('\0');
            if words.len() > MOST_WORDS || !words.iter().all(sound) {
                return Err(format!(
                    "[[fencing]] of {whose}: {name} takes at most {MOST_WORDS} words of 1 to {LONGEST_WORD} bytes"
                ));
            }
        }
        if let Some(bad) = one.secrets.keys().find(|variable| !is_variable(variable)) {
            return Err(format!("[[fencing]] of {whose}: {bad:?} cannot be the name of a secret's variable"));
        }
        if !seen.insert(whose.clone()) {
            return Err(format!("[[fencing]] has two entries of {whose}: once is enough"));
        }
    }
    Ok(())
}

/// A name that a program's environment may hold, and that does not decide which program is run.
fn is_variable(name: &str) -> bool {
    let sound = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let first = name.chars().next().is_some_and(|c| !c.is_ascii_digit());
    first && name.len() <= 64 && name.chars().all(sound) && name != "PATH" && !name.starts_with("LD_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Controller> {
        #[derive(Deserialize)]
        struct Table {
            fencing: Vec<Controller>,
        }
        toml::from_str::<Table>(text).unwrap().fencing
    }

    const OWN: &str = r#"
        [[fencing]]
        site = "myodaiji"
        off = ["fence_ipmilan", "--ip", "{node}-bmc", "--action", "off"]
        status = ["fence_ipmilan", "--ip", "{node}-bmc", "--action", "status"]
        secrets = { FENCE_PASSWORD = "/etc/watari/{node}.password" }
        [[fencing]]
        node = "m2"
        off = ["pdu", "7", "off"]
        status = ["pdu", "7"]
        on = ["pdu", "7", "on"]
    "#;

    fn node(name: &str, site: &str) -> Node {
        const SAMPLES: &str = include_str!("../../../../shared/contracts/tests/golden/document.nodes.json");
        let mut node = serde_json::from_str::<Vec<Node>>(SAMPLES).unwrap().remove(0);
        (node.name, node.site) = (name.parse().unwrap(), site.parse().unwrap());
        node
    }

    #[test]
    fn a_nodes_own_entry_goes_before_its_sites_whose_words_name_it() {
        let all = read(OWN);
        validate(&all).unwrap();
        let m1 = commands(&all, &node("m1", "myodaiji")).unwrap();
        assert_eq!(m1.of(PowerWish::Off)[0], ["fence_ipmilan", "--ip", "m1-bmc", "--action", "off"]);
        assert_eq!(m1.of(PowerWish::Status).len(), 1);
        assert_eq!(m1.of(PowerWish::On), Vec::<Vec<String>>::new(), "nothing switches it on");
        assert_eq!(m1.secrets, [("FENCE_PASSWORD".to_owned(), PathBuf::from("/etc/watari/m1.password"))]);
        let m2 = commands(&all, &node("m2", "myodaiji")).unwrap();
        assert_eq!(m2.of(PowerWish::On), [vec!["pdu", "7", "on"], vec!["pdu", "7"]]);
        assert_eq!(commands(&all, &node("y1", "yamate")), None);
    }

    #[test]
    fn an_entry_that_cannot_be_meant_is_refused() {
        for (from, to) in [
            ("site = \"myodaiji\"", "site = \"myodaiji\"\nnode = \"m1\""),
            ("site = \"myodaiji\"", ""),
            ("site = \"myodaiji\"", "node = \"m2\""),
            ("off = [\"pdu\", \"7\", \"off\"]", "off = []"),
            ("status = [\"pdu\", \"7\"]", "status = [\"pdu\", \"\"]"),
            ("FENCE_PASSWORD", "PATH"),
            ("FENCE_PASSWORD", "LD_PRELOAD"),
            ("FENCE_PASSWORD", "fence"),
        ] {
            let broken = OWN.replace(from, to);
            assert_ne!(broken, OWN);
            assert!(validate(&read(&broken)).unwrap_err().contains("[[fencing]]"), "{to}");
        }
    }
}
