//! Loops of `virsh migrate` over twins of the servers. While the twins travel the servers themselves are off.

use std::{thread, time::Instant};

use super::Guests;
use crate::{
    bench::plain::{Dhcp, Twin},
    lab::Lab,
    scenarios::Stage,
};

/// A twin of each server, and the node where it runs.
pub(super) struct Twins<'a> {
    lab: &'a Lab,
    all: Vec<(Twin, String)>,
    _told: Option<Dhcp>,
}

impl<'a> Twins<'a> {
    /// Makes them, on the nodes where the servers run, and has them do what the servers did.
    pub(super) fn start(stage: &'a Stage, names: &[String], guests: Guests) -> anyhow::Result<Self> {
        let lab = &stage.lab;
        Twin::clear(lab)?;
        // Who is told nothing else needs no address.
        let told = match guests {
            Guests::Idle => None,
            Guests::Write => Some(Dhcp::start(lab, (1..).zip(names).map(|(number, _)| number))?),
        };
        let mut all = Vec::new();
        for (number, vm) in (1..).zip(names) {
            let node = stage.node_of(vm)?;
            let twin = Twin::start(lab, vm, &node, number)?;
            lab.watari(&["vm", "stop", vm, "--force", "--wait"])?;
            all.push((twin, node));
        }
        for (twin, node) in &all {
            twin.until_idle(node)?;
        }
        if told.is_some() {
            for (number, _) in (1..).zip(names) {
                let address = Twin::address(number);
                stage.until_page(&address, 120)?;
                guests.begin(stage, &address, number)?;
            }
        }
        Ok(Self { lab, all, _told: told })
    }

    /// How long each round of three loops takes, in milliseconds: one by one, two at a time, and all at once.
    pub(super) fn loops(&mut self, rounds: usize) -> anyhow::Result<[Vec<f64>; 3]> {
        let at_once = [1, 2, self.all.len()];
        let mut took: [Vec<f64>; 3] = Default::default();
        for _ in 0..rounds {
            for (took, at_once) in took.iter_mut().zip(at_once) {
                took.push(self.cross(at_once)?);
            }
            let last = took.each_ref().map(|took| took.last().copied().unwrap_or_default());
            eprintln!("twins one by one, two at a time and all at once: {last:.0?} ms");
        }
        Ok(took)
    }

    /// All of them cross, so many at a time, and the next so many when those have. How long it takes, in milliseconds.
    fn cross(&mut self, at_once: usize) -> anyhow::Result<f64> {
        let (lab, began) = (self.lab, Instant::now());
        for some in self.all.chunks_mut(at_once) {
            thread::scope(|scope| {
                let crossings: Vec<_> =
                    some.iter_mut().map(|(twin, node)| scope.spawn(move || cross(lab, twin, node))).collect();
                crossings
                    .into_iter()
                    .try_for_each(|c| c.join().unwrap_or_else(|_| anyhow::bail!("a crossing panicked")))
            })?;
        }
        Ok(began.elapsed().as_secs_f64() * 1000.0)
    }

    /// All at once: what nobody measures.
    pub(super) fn cross_unmeasured(&mut self) -> anyhow::Result<()> {
        self.cross(self.all.len()).map(drop)
    }

    /// Destroys them.
    pub(super) fn end(self) -> anyhow::Result<()> {
        self.all.into_iter().try_for_each(|(twin, node)| twin.end(&node))
    }
}

/// To the node of the same number on the other campus.
fn cross(lab: &Lab, twin: &Twin, node: &mut String) -> anyhow::Result<()> {
    let to = if node.starts_with('m') { node.replace('m', "y") } else { node.replace('y', "m") };
    twin.prepare(&to)?;
    lab.run(&twin.migration(node, &format!("qemu+tls://{to}/system")))?;
    twin.forget(node)?;
    *node = to;
    Ok(())
}
