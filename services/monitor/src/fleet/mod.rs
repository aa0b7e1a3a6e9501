//! What is heard of the nodes: the latest beat of each, and what follows from it. Pure; whoever
//! calls hands over the time.
//!
//! A beat costs two look-ups and a few copies. Nothing is written down for it: a node's document
//! changes with its state, not with its pulse.

pub(crate) mod capacity;
pub(crate) mod listening;
pub(crate) mod load;
pub(crate) mod strain;

use std::{collections::HashMap, sync::Arc};

use watari_contracts::beat::{Beat, Sample};
use watari_model::{NodeName, SiteName, node};

use capacity::Told;
use strain::{Otherwise, Used, thousandths};

/// The latest that was heard of a node. Times are boot-time milliseconds of this process.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) site: SiteName,
    /// Which start of the agent spoke.
    pub(crate) instance: u64,
    seq: u64,
    pub(crate) at: u64,
    pub(crate) answers: bool,
    pub(crate) vcpus_used: u32,
    pub(crate) memory_used_mib: u64,
    /// None until a beat says it.
    pub(crate) disk_free_gib: Option<u64>,
    pub(crate) load_centi: u32,
    pub(crate) servers: u32,
    /// What each of them uses, by its last beat; none if there are too many in all to be kept.
    samples: Arc<Vec<Sample>>,
    /// How busy each of them keeps the processors, in their order; see [`load`].
    busy: Arc<Vec<u64>>,
    /// When they were taken, by the node's clock.
    sampled_ms: u64,
    /// For how long that has been followed without a gap.
    followed_ms: u64,
    /// Since when it has been strained otherwise than its document says.
    pub(crate) otherwise: Otherwise,
    /// By how much its clock is ahead of ours, by its last beat.
    pub(crate) clock_ahead_ms: Option<i64>,
    /// What its document says, so that a beat knows whether it is news.
    documented: Option<node::State>,
    /// The start of the agent of which the inventory was taken.
    inventory_of: Option<u64>,
    /// When it was asked for it last.
    asked_at: Option<u64>,
    pub(crate) told: Option<Told>,
}

/// What a beat was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Folded {
    /// Nothing that a document says has changed.
    Known,
    /// Something has.
    News(News),
    /// It is not believed.
    Refused(Doubtful),
}

/// What a beat calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct News {
    /// The document says another state.
    pub(crate) state: bool,
    /// The inventory of this start of the agent has not been taken.
    pub(crate) inventory: bool,
}

/// Why a beat is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubtful {
    /// The body names another node or site than the subject.
    Names,
    /// The name is none.
    NotAName,
    /// A node of this name speaks from another site.
    TwoSites,
    /// It is older than the last one.
    Old,
    /// There are too many nodes already.
    TooMany,
}

impl Doubtful {
    /// Each.
    pub(crate) const ALL: [Self; 5] = [Self::Names, Self::NotAName, Self::TwoSites, Self::Old, Self::TooMany];

    /// The label in metrics.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Names => "names",
            Self::NotAName => "not-a-name",
            Self::TwoSites => "two-sites",
            Self::Old => "old",
            Self::TooMany => "too-many",
        }
    }
}

/// All nodes that were heard.
#[derive(Debug)]
pub(crate) struct Fleet {
    nodes: HashMap<String, Heard>,
    most: usize,
    limits: node::Limits,
    /// Of so many servers at the most it is kept what they use.
    most_measured: usize,
    /// Of how many it is.
    measured: usize,
}

impl Fleet {
    pub(crate) fn new(most: usize, limits: node::Limits) -> Self {
        Self { nodes: HashMap::new(), most, limits, most_measured: 0, measured: 0 }
    }

    /// The same, which keeps of so many servers at the most what they use.
    pub(crate) fn measuring(self, most_measured: usize) -> Self {
        Self { most_measured, ..self }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Heard> {
        self.nodes.get(name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Heard> {
        self.nodes.get_mut(name)
    }

    /// Forgets a node whose document is gone: whatever is heard of it then is heard for the first time.
    pub(crate) fn forget(&mut self, name: &str) {
        if let Some(heard) = self.nodes.remove(name) {
            self.measured -= heard.samples.len();
        }
    }

    /// Takes a beat that came for `site` and `node` by its subject.
    pub(crate) fn fold(&mut self, site: &str, node: &str, beat: &Beat, now: u64) -> Folded {
        if beat.node != node || beat.site != site {
            return Folded::Refused(Doubtful::Names);
        }
        let lost_after = self.limits.lost_after_ms;
        let Some(heard) = self.nodes.get_mut(node) else { return self.first(site, node, beat, now) };
        if heard.site.as_str() != site {
            // A machine may be carried to the other campus, but not speak from both.
            if now.saturating_sub(heard.at) < lost_after {
                return Folded::Refused(Doubtful::TwoSites);
            }
            let Ok(moved) = site.parse() else { return Folded::Refused(Doubtful::NotAName) };
            heard.site = moved;
        } else if heard.instance == beat.instance && beat.seq <= heard.seq && heard.disk_free_gib.is_some() {
            return Folded::Refused(Doubtful::Old);
        }
        heard.take(beat, now);
        heard.folded()
    }

    /// Notes what a believed beat says of the node's clock; both moments are milliseconds since 1970.
    pub(crate) fn clock(&mut self, node: &str, theirs: u64, ours: u64) {
        if let Some(heard) = self.nodes.get_mut(node) {
            let by = i64::try_from(theirs.abs_diff(ours)).unwrap_or(i64::MAX);
            heard.clock_ahead_ms = Some(if theirs < ours { -by } else { by });
        }
    }

    /// Keeps what the servers of a node use, by a beat that was believed, made at `at_ms` by the node's clock. Of a node
    /// whose servers would be too many with all others it keeps nothing: half a node would look like an idle one.
    pub(crate) fn sampled(&mut self, node: &str, servers: Vec<Sample>, at_ms: u64) {
        let Some(heard) = self.nodes.get_mut(node) else { return };
        let others = self.measured - heard.samples.len();
        let fits = others + servers.len() <= self.most_measured;
        heard.sampled(if fits { servers } else { Vec::new() }, at_ms);
        self.measured = others + heard.samples.len();
    }

    fn first(&mut self, site: &str, node: &str, beat: &Beat, now: u64) -> Folded {
        if self.nodes.len() >= self.most {
            return Folded::Refused(Doubtful::TooMany);
        }
        let (Ok(site), Ok(_)) = (site.parse(), node.parse::<NodeName>()) else {
            return Folded::Refused(Doubtful::NotAName);
        };
        let mut heard = Heard::new(site, now);
        heard.take(beat, now);
        let folded = heard.folded();
        self.nodes.insert(node.to_owned(), heard);
        folded
    }

    /// Takes note that a node sent its inventory: it lives, and whether its hypervisor answers
    /// the next beat will say.
    pub(crate) fn sent_inventory(&mut self, site: &SiteName, node: &NodeName, now: u64) -> Result<(), Doubtful> {
        let (lost_after, full) = (self.limits.lost_after_ms, self.nodes.len() >= self.most);
        match self.nodes.get_mut(node.as_str()) {
            Some(heard) if heard.site != *site && now.saturating_sub(heard.at) < lost_after => Err(Doubtful::TwoSites),
            Some(heard) => {
                heard.site = site.clone();
                heard.at = now;
                Ok(())
            }
            None if full => Err(Doubtful::TooMany),
            None => {
                self.nodes.insert(node.to_string(), Heard::new(site.clone(), now));
                Ok(())
            }
        }
    }

    /// Nodes that speak and whose inventory has not been taken since their agent started, at most
    /// `most` of them, and each not more often than every `pause_ms`.
    pub(crate) fn due_for_asking(&mut self, now: u64, pause_ms: u64, most: usize) -> Vec<(NodeName, u64)> {
        let suspect_after = self.limits.suspect_after_ms;
        let due = |heard: &Heard| {
            heard.lacks_inventory()
                && now.saturating_sub(heard.at) < suspect_after
                && heard.asked_at.is_none_or(|asked| now.saturating_sub(asked) >= pause_ms)
        };
        let mut asked = Vec::new();
        for (name, heard) in self.nodes.iter_mut().filter(|(_, heard)| due(heard)).take(most) {
            heard.asked_at = Some(now);
            asked.extend(name.parse().ok().map(|name| (name, heard.instance)));
        }
        asked
    }

    /// The inventory of this start of the node's agent has been written down.
    pub(crate) fn inventoried(&mut self, node: &NodeName, instance: u64) {
        if let Some(heard) = self.nodes.get_mut(node.as_str()) {
            heard.inventory_of = Some(instance);
        }
    }

    /// Lets every inventory be taken anew and every capacity be told anew, and forgets for how long nodes have been
    /// otherwise than is written down: a new tenure began, and nobody looked since the last one.
    pub(crate) fn begin(&mut self) {
        for heard in self.nodes.values_mut() {
            heard.inventory_of = None;
            heard.asked_at = None;
            heard.told = None;
            heard.otherwise = Otherwise::default();
        }
    }
}

impl Heard {
    fn new(site: SiteName, now: u64) -> Self {
        Self {
            site,
            instance: 0,
            seq: 0,
            at: now,
            answers: false,
            vcpus_used: 0,
            memory_used_mib: 0,
            disk_free_gib: None,
            load_centi: 0,
            servers: 0,
            samples: Arc::default(),
            busy: Arc::default(),
            sampled_ms: 0,
            followed_ms: 0,
            otherwise: Otherwise::default(),
            clock_ahead_ms: None,
            documented: None,
            inventory_of: None,
            asked_at: None,
            told: None,
        }
    }

    fn take(&mut self, beat: &Beat, now: u64) {
        self.instance = beat.instance;
        self.seq = beat.seq;
        self.at = now;
        self.answers = beat.hypervisor_answers;
        self.vcpus_used = beat.vcpus_used;
        self.memory_used_mib = beat.memory_used_mib;
        self.disk_free_gib = Some(beat.disk_free_gib);
        self.load_centi = beat.load_centi;
        self.servers = u32::try_from(beat.servers.len()).unwrap_or(u32::MAX);
    }

    fn sampled(&mut self, servers: Vec<Sample>, at_ms: u64) {
        let passed_ms = at_ms.saturating_sub(self.sampled_ms);
        match load::follow(&self.samples, &self.busy, &servers, passed_ms) {
            Some(busy) => {
                self.busy = Arc::new(busy);
                self.followed_ms = self.followed_ms.saturating_add(passed_ms);
            }
            None => {
                self.busy = Arc::new(vec![0; servers.len()]);
                self.followed_ms = 0;
            }
        }
        self.samples = Arc::new(servers);
        self.sampled_ms = at_ms;
    }

    /// What its servers use, as far as it is kept.
    pub(crate) fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// How busy each of its servers keeps the processors, in thousandths of one.
    pub(crate) fn busy_servers(&self) -> impl Iterator<Item = (&str, u64)> {
        self.samples.iter().map(|sample| sample.vm.as_str()).zip(self.busy.iter().map(|micro| micro / 1_000))
    }

    /// How busy they keep them together; none before they have been followed for so long that it says something, or if
    /// they are too many to be.
    pub(crate) fn busy_milli(&self) -> Option<u64> {
        let known = self.samples.len() == self.servers as usize && self.followed_ms >= 2 * load::AVERAGE_MS;
        known.then(|| self.busy.iter().sum::<u64>() / 1_000)
    }

    /// How much of what the node has is used, by its last beat.
    pub(crate) fn used(&self, inventory: &node::Inventory) -> Used {
        let processors = self.busy_milli().and_then(|busy| thousandths(busy, u64::from(inventory.vcpus) * 1_000));
        let written = self.disk_free_gib.map(|free| inventory.disk_gib.saturating_sub(free));
        Used {
            processors,
            memory: thousandths(self.memory_used_mib, inventory.memory_mib),
            disk: written.and_then(|written| thousandths(written, inventory.disk_gib)),
        }
    }

    fn folded(&self) -> Folded {
        let seen = if self.answers { node::State::Ready } else { node::State::Suspect };
        // A node without a document has no state yet: its inventory comes first.
        let news =
            News { state: self.documented.is_some_and(|state| state != seen), inventory: self.lacks_inventory() };
        if news.state || news.inventory { Folded::News(news) } else { Folded::Known }
    }

    fn lacks_inventory(&self) -> bool {
        self.inventory_of != Some(self.instance)
    }

    /// Takes note of what the node's document says.
    pub(crate) fn documented(&mut self, state: node::State) {
        self.documented = Some(state);
    }
}

#[cfg(test)]
mod tests;
