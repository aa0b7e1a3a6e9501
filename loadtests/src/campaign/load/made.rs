//! What a load writes, in turns: the cheapest document that a request makes at each service that has one. Nothing runs by
//! any of them.

use std::{collections::BTreeSet, time::Duration};

use watari_chassis::Bus;
use watari_contracts::{
    Service,
    firewall::{CreateFirewall, DeleteFirewall, ListFirewalls},
    image::{EditImage, ListImages},
    scheduler::{AddKey, DeleteKey, ListKeys},
};
use watari_model::{FirewallName, ImageName, KeyName};

use crate::requests::Waits;

/// How long looking for what was made, and clearing it away, may take for each question.
const LOOKING: Duration = Duration::from_secs(10);
/// How long a service has for what is asked once.
const ONCE: Duration = Duration::from_secs(1);
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMxdAgfcDWihODsMd0E+dEcsAxR7LJqwDhyGhI6p5rCh load@example.jp";
/// The image of every stage.
const IMAGE: &str = "mini";

/// What one request writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A public key.
    Key,
    /// A firewall group without rules. The network service has room for a thousand, more than a load makes before it ends.
    Firewall,
    /// What is said of an image.
    Image,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Key, Self::Firewall, Self::Image];

    /// That of the request with this number.
    pub(super) const fn of(number: usize) -> Self {
        Self::ALL[number % Self::ALL.len()]
    }

    /// The service that writes it.
    pub(super) const fn service(self) -> Service {
        match self {
            Self::Key => Service::Scheduler,
            Self::Firewall => Service::Network,
            Self::Image => Service::Image,
        }
    }
}

/// What was asked for of one kind, in this order.
#[derive(Debug)]
struct Asked<N> {
    /// Was acknowledged.
    there: Vec<N>,
    /// May have been done, or may still be.
    unsure: Vec<N>,
}

impl<N> Default for Asked<N> {
    fn default() -> Self {
        Self { there: Vec::new(), unsure: Vec::new() }
    }
}

impl<N> Asked<N> {
    /// Notes what came of a request, and gives it back.
    fn note(&mut self, name: N, acknowledged: bool) -> bool {
        if acknowledged {
            self.there.push(name)
        } else {
            self.unsure.push(name)
        }
        acknowledged
    }
}

/// What there is, by the services' own lists.
#[derive(Debug, Default)]
struct Listed {
    keys: BTreeSet<KeyName>,
    firewalls: BTreeSet<FirewallName>,
    /// What is said of the image.
    said: Option<String>,
}

/// All that was asked for.
#[derive(Debug, Default)]
pub(super) struct Made {
    keys: Asked<KeyName>,
    firewalls: Asked<FirewallName>,
    said: Asked<String>,
}

impl Made {
    /// Asks for one under a name that is its own; whether that was acknowledged. How long it took is noted, but for what is
    /// said of an image: that is asked once, and by nobody who waits.
    pub(super) async fn ask(&mut self, bus: &Bus, kind: Kind, name: &str, waits: &mut Waits) -> anyhow::Result<bool> {
        let request_id = Some(name.to_owned());
        match kind {
            Kind::Key => {
                let name: KeyName = name.parse()?;
                let add = AddKey { request_id, name: name.clone(), public_key: KEY.to_owned() };
                Ok(self.keys.note(name, waits.ask(bus, &add).await))
            }
            Kind::Firewall => {
                let name: FirewallName = name.parse()?;
                let create = CreateFirewall { request_id, name: name.clone(), rules: Vec::new() };
                Ok(self.firewalls.note(name, waits.ask(bus, &create).await))
            }
            Kind::Image => {
                // Asked again it might be done again, after what is said next.
                let said = bus.request_within(&saying(name)?, ONCE).await.is_ok();
                Ok(self.said.note(name.to_owned(), said))
            }
        }
    }

    /// How much was acknowledged.
    pub(super) const fn acknowledged(&self) -> usize {
        self.keys.there.len() + self.firewalls.there.len() + self.said.there.len()
    }

    /// What was acknowledged and is not listed.
    pub(super) async fn lost(&self, bus: &Bus) -> anyhow::Result<Vec<String>> {
        Ok(self.missing(&listed(bus).await?))
    }

    fn missing(&self, listed: &Listed) -> Vec<String> {
        let keys = self.keys.there.iter().filter(|name| !listed.keys.contains(*name)).map(ToString::to_string);
        let groups = self.firewalls.there.iter().filter(|name| !listed.firewalls.contains(*name));
        // Each text replaces the one before. What nobody has acknowledged may have come at any time since.
        let is_said = |text: &String| listed.said.as_ref() == Some(text);
        let newest = self.said.there.last().filter(|text| !is_said(text) && !self.said.unsure.iter().any(is_said));
        keys.chain(groups.map(ToString::to_string)).chain(newest.cloned()).collect()
    }

    /// Clears away what was made. What is left is told by its name, and is no harm; so is what is said of the image.
    pub(super) async fn clear(self, bus: &Bus) {
        for name in self.keys.there.into_iter().chain(self.keys.unsure) {
            let _ = bus.request_patiently(&DeleteKey { name }, LOOKING).await;
        }
        for name in self.firewalls.there.into_iter().chain(self.firewalls.unsure) {
            let _ = bus.request_patiently(&DeleteFirewall { name }, LOOKING).await;
        }
    }
}

fn saying(text: &str) -> anyhow::Result<EditImage> {
    Ok(EditImage {
        name: IMAGE.parse()?,
        os: None,
        version: None,
        description: Some(text.to_owned()),
        default_user: None,
        min_memory_mib: None,
        min_disk_gib: None,
        firmware: None,
    })
}

async fn listed(bus: &Bus) -> anyhow::Result<Listed> {
    let (mut listed, mut after) = (Listed::default(), None);
    loop {
        let page = bus.request_patiently(&ListKeys { after, limit: None }, LOOKING).await?;
        listed.keys.extend(page.keys.into_iter().map(|key| key.name));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let groups = bus.request_patiently(&ListFirewalls {}, LOOKING).await?;
    listed.firewalls.extend(groups.firewalls.into_iter().map(|group| group.name));
    let (wanted, images): (ImageName, _) = (IMAGE.parse()?, bus.request_patiently(&ListImages {}, LOOKING).await?);
    let image = images.images.into_iter().find(|image| image.name == wanted);
    listed.said = image.and_then(|image| image.about.description);
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_that_a_load_writes_to_has_its_turn() {
        let services: Vec<Service> = (0..4).map(|number| Kind::of(number).service()).collect();
        assert_eq!(services, [Service::Scheduler, Service::Network, Service::Image, Service::Scheduler]);
    }

    /// A key, a group and two texts were acknowledged; of what is called `unsure` nobody knows.
    fn made() -> Made {
        let mut made = Made::default();
        assert!(made.keys.note("key".parse().unwrap(), true) && !made.keys.note("unsure".parse().unwrap(), false));
        assert!(made.firewalls.note("group".parse().unwrap(), true));
        assert!(!made.firewalls.note("unsure".parse().unwrap(), false));
        for (text, acknowledged) in [("first", true), ("unsure", false), ("last", true)] {
            made.said.note(text.to_owned(), acknowledged);
        }
        made
    }

    fn listed(keys: &[&str], groups: &[&str], said: &str) -> Listed {
        Listed {
            keys: keys.iter().map(|name| name.parse().unwrap()).collect(),
            firewalls: groups.iter().map(|name| name.parse().unwrap()).collect(),
            said: Some(said.to_owned()),
        }
    }

    #[test]
    fn what_was_acknowledged_and_is_not_listed_is_lost_and_nothing_else() {
        let made = made();
        assert_eq!(made.acknowledged(), 4);
        assert!(made.missing(&listed(&["key"], &["group"], "last")).is_empty());
        assert!(made.missing(&listed(&["key", "unsure"], &["group", "unsure"], "unsure")).is_empty());
        assert_eq!(made.missing(&listed(&["unsure"], &["group"], "last")), ["key"]);
        assert_eq!(made.missing(&listed(&["key"], &["key"], "last")), ["group"]);
        assert_eq!(made.missing(&listed(&["key"], &["group"], "first")), ["last"], "what was replaced is back");
        assert_eq!(made.missing(&Listed::default()), ["key", "group", "last"]);
        assert!(Made::default().missing(&Listed::default()).is_empty());
    }
}
