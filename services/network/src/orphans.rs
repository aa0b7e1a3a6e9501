//! Ports whose server is gone, as when the scheduler died between asking for a port and writing
//! the server down. They are given back, late and with suspicion: an absent document is no proof,
//! for a bucket can be lost as a whole.

use std::{collections::HashMap, sync::Arc};

use watari_chassis::Entry;
use watari_model::{network::Port, vm::Vm};

/// At most this part of all ports is given back at once.
const LARGEST_PART: usize = 3;

/// What is to be done about ports without a server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Give these back, by key.
    Release(Vec<String>),
    /// Something is wrong with the servers' bucket rather than with the ports: give back nothing.
    Alarm(String),
}

/// Since when each port has had no server, by key, in boot-time milliseconds, as one tenure saw it.
#[derive(Debug, Default)]
pub(crate) struct Suspicion {
    epoch: u64,
    since: HashMap<String, u64>,
}

/// What is known of the servers.
pub(crate) trait Servers {
    /// Whether the bucket has any.
    fn any(&self) -> bool;
    /// A server's document.
    fn get(&self, key: &str) -> Option<Arc<Entry<Vm>>>;
    /// Whether the server's document is there but cannot be read.
    fn is_unreadable(&self, key: &str) -> bool;
}

impl Suspicion {
    /// How many ports have no server at present.
    pub(crate) fn count(&self) -> usize {
        self.since.len()
    }

    /// Forgets what an earlier tenure saw: others have decided since, and a port may be another server's by now.
    pub(crate) fn in_tenure(&mut self, epoch: u64) -> &mut Self {
        if self.epoch != epoch {
            *self = Self { epoch, since: HashMap::new() };
        }
        self
    }

    /// Looks at all ports. One is given back when it has had no server for `patience_ms`.
    pub(crate) fn judge<'a>(
        &mut self,
        ports: impl ExactSizeIterator<Item = (&'a String, &'a Port)>,
        servers: &impl Servers,
        now: u64,
        patience_ms: u64,
    ) -> Verdict {
        let all = ports.len();
        let mut since = HashMap::new();
        for (key, _) in ports.filter(|(_, port)| !is_used(port, servers)) {
            since.insert(key.clone(), self.since.get(key).copied().unwrap_or(now));
        }
        self.since = since;
        let expired: Vec<String> = self
            .since
            .iter()
            .filter(|(_, since)| now.saturating_sub(**since) >= patience_ms)
            .map(|(k, _)| k.clone())
            .collect();
        if expired.is_empty() {
            return Verdict::Release(expired);
        }
        if !servers.any() {
            return Verdict::Alarm(format!("{} ports stand, but there is not one server", all));
        }
        // One may always go, or a small cloud would keep it for ever.
        if expired.len() > (all / LARGEST_PART).max(1) {
            return Verdict::Alarm(format!("{} of {all} ports have lost their servers", expired.len()));
        }
        Verdict::Release(expired)
    }
}

/// Whether the port's server exists, is still the same one, and does not say that it has another
/// address on that network.
fn is_used(port: &Port, servers: &impl Servers) -> bool {
    if servers.is_unreadable(port.vm.as_str()) {
        return true;
    }
    let Some(server) = servers.get(port.vm.as_str()) else { return false };
    if server.value.uuid != port.vm_uuid {
        return false;
    }
    let mut nics = server.value.spec.nics.iter().filter(|nic| nic.network == port.network).peekable();
    nics.peek().is_none() || nics.any(|nic| nic.address == port.address)
}

#[cfg(test)]
#[path = "orphans_tests.rs"]
mod tests;
