//! Which nodes guests of which others can live on on. There are few kinds of processors among many nodes, but each has
//! more than a hundred features: a plan compares a node's once, and not for each server that might go there.

use std::collections::HashMap;

use watari_model::{
    NodeName,
    node::{Node, Processor},
};

use super::fit::compatible;

/// The processors of the nodes that were asked about.
#[derive(Default)]
pub(super) struct Processors<'a> {
    kinds: Vec<Processor<'a>>,
    /// Of which kind each node is.
    of: HashMap<&'a NodeName, usize>,
    takes_over: HashMap<(usize, usize), bool>,
}

impl<'a> Processors<'a> {
    /// Whether a guest that was started on `source` can go on living on `target`.
    pub(super) fn take_over(&mut self, source: &'a Node, target: &'a Node) -> bool {
        let pair = (self.kind(source), self.kind(target));
        *self.takes_over.entry(pair).or_insert_with(|| compatible(source, target).is_ok())
    }

    fn kind(&mut self, node: &'a Node) -> usize {
        if let Some(kind) = self.of.get(&node.name) {
            return *kind;
        }
        let processor = node.inventory.processor();
        let known = self.kinds.iter().position(|kind| *kind == processor);
        let kind = known.unwrap_or(self.kinds.len());
        if known.is_none() {
            self.kinds.push(processor);
        }
        self.of.insert(&node.name, kind);
        kind
    }
}

#[cfg(test)]
mod tests {
    use watari_model::node::Virtualisation;

    use super::*;
    use crate::core::tests::documents;

    #[test]
    fn nodes_that_are_alike_are_compared_as_one_kind() {
        let on_kvm = |name: &str, features: &[&str]| {
            let mut node = documents::node(name, "myodaiji", 1_024);
            node.inventory.virtualisation = Virtualisation::Kvm;
            node.inventory.cpu_features = features.iter().map(|feature| (*feature).to_owned()).collect();
            node
        };
        let (poor, rich) = (on_kvm("m1", &["aes"]), on_kvm("m2", &["aes", "avx2"]));
        let twin = on_kvm("m3", &["aes"]);
        let mut processors = Processors::default();
        assert!(processors.take_over(&poor, &rich) && !processors.take_over(&rich, &poor));
        assert!(processors.take_over(&poor, &twin) && !processors.take_over(&rich, &twin));
        assert_eq!((processors.kinds.len(), processors.of.len()), (2, 3));
    }
}
