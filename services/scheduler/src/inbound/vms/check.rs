//! Whether what is asked of a new server makes sense, before anything is stored.

use std::{fmt::Display, num::NonZeroU32};

use watari_contracts::scheduler::CreateVm;
use watari_model::{
    Refusal, Said, SiteName,
    firewall::MOST_GROUPS,
    image::State,
    outage::Scope,
    said,
    size::GIB,
    userdata,
    vm::{Base, DISK_GIB, Login, MEMORY_MIB, MOST_DOWNTIME_SECONDS, MOST_PROBES, Probe, Size, VCPUS},
};

use super::super::{Desk, check_request_id, find, out_of_range};
use crate::core::{Snapshot, disks, projects};

/// The highest priority.
const MOST_PRIORITY: u8 = 100;
/// The longest label key or value, as Kubernetes has it.
const MOST_LABEL: usize = 63;
/// So many characters of what stands twice are shown.
const MOST_SHOWN: usize = 80;

fn spread(range: &std::ops::RangeInclusive<u64>, unit: &str) -> Said {
    Said::between(range.start(), format!("{} {unit}", range.end()))
}

/// Checks that a list has at most so many entries, and each once.
pub(super) fn check_list<T: PartialEq + Display>(
    field: &str,
    list: impl ExactSizeIterator<Item = T>,
    most: usize,
) -> Result<(), Refusal> {
    if list.len() > most {
        let entries = if most == 1 { "entry" } else { "entries" };
        return Err(out_of_range(field, list.len(), said!("at most {most} {entries}", "{most} 個以下")));
    }
    let mut seen = Vec::new();
    for one in list {
        if seen.contains(&one) {
            let value = one.to_string().chars().take(MOST_SHOWN).collect();
            return Err(Refusal::Repeated { field: field.to_owned(), value });
        }
        seen.push(one);
    }
    Ok(())
}

/// Checks how a server is to be asked from outside.
pub(super) fn check_probes(probes: &[Probe]) -> Result<(), Refusal> {
    check_list("probes", probes.iter(), MOST_PROBES)
}

/// Checks that a server may be so large at all.
pub(super) fn check_size(size: Size) -> Result<(), Refusal> {
    if !VCPUS.contains(&size.vcpus) {
        return Err(out_of_range("vcpus", size.vcpus, Said::between(VCPUS.start(), VCPUS.end())));
    }
    if !MEMORY_MIB.contains(&size.memory_mib) {
        return Err(out_of_range("memory_mib", size.memory_mib, spread(&MEMORY_MIB, "MiB")));
    }
    if !DISK_GIB.contains(&size.disk_gib) {
        return Err(out_of_range("disk_gib", size.disk_gib, spread(&DISK_GIB, "GiB")));
    }
    Ok(())
}

/// Checks that a priority is one.
pub(super) fn check_priority(priority: u8) -> Result<(), Refusal> {
    if priority > MOST_PRIORITY {
        return Err(out_of_range("priority", priority, Said::between(0, MOST_PRIORITY)));
    }
    Ok(())
}

/// Checks that a server may stand still for so long.
pub(super) fn check_max_downtime(seconds: u32) -> Result<(), Refusal> {
    if seconds > MOST_DOWNTIME_SECONDS {
        return Err(out_of_range("max_downtime_seconds", seconds, Said::between(0, MOST_DOWNTIME_SECONDS)));
    }
    Ok(())
}

impl Desk {
    /// Checks everything that needs no other document.
    pub(super) fn check_sizes(&self, request: &CreateVm) -> Result<(), Refusal> {
        check_request_id(request.request_id.as_deref())?;
        let CreateVm { vcpus, memory_mib, disk_gib, .. } = *request;
        check_size(Size { vcpus, memory_mib, disk_gib })?;
        check_priority(request.priority)?;
        check_max_downtime(request.max_downtime_seconds.map_or(0, NonZeroU32::get))?;
        check_list("networks", request.networks.iter().map(|nic| &nic.network), self.servers.networks)?;
        check_list("groups", request.groups.iter().map(|membership| &membership.group), self.servers.groups)?;
        check_list("keys", request.keys.iter(), self.servers.keys)?;
        check_list("firewalls", request.firewalls.iter(), MOST_GROUPS)?;
        check_list("node_labels", request.node_labels.keys(), self.servers.labels)?;
        check_probes(&request.probes)?;
        for text in request.node_labels.iter().flat_map(|(key, value)| [key, value]) {
            if text.is_empty() || text.len() > MOST_LABEL || !text.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(out_of_range(
                    "node_labels",
                    text,
                    said!("1 to {MOST_LABEL} printable ASCII characters", "表示できる ASCII 文字 1～{MOST_LABEL} 個"),
                ));
            }
        }
        if let Some(text) = &request.user_data {
            userdata::check(&text.0)?;
        }
        Ok(())
    }

    /// Checks that some node could hold it, were that empty: what is full today may have room tomorrow.
    pub(super) fn check_ever_fits(&self, request: &CreateVm) -> Result<(), Refusal> {
        let CreateVm { vcpus, memory_mib, disk_gib, .. } = *request;
        self.rooms().could_hold(&request.name, Size { vcpus, memory_mib, disk_gib })
    }

    /// What is under the kept disk that the server is to begin with, if it is to begin with one, the UUID of the
    /// server that the disk was of, and with how many GiB its project is counted for it already. The server is where the
    /// disk is, and its disk as large.
    pub(super) fn check_disk(&self, request: &mut CreateVm) -> Result<Option<(Base, String, u64)>, Refusal> {
        let Some(name) = request.disk.clone() else { return Ok(None) };
        let disk = name.to_string();
        let snap = self.executor.view();
        let Some(kept) = disks::named(&snap, &name) else { return Err(disks::missing(&snap, &name)) };
        if let Some(vm) = disks::taker(&snap, kept.uuid) {
            return Err(Refusal::DiskInUse { disk, vm: vm.name.to_string() });
        }
        let base = kept.disk.base.clone();
        if base.image != request.image {
            return Err(Refusal::DiskOfImage { disk, image: base.image.to_string() });
        }
        request.disk_gib = request.disk_gib.max(kept.disk.disk_gib);
        if request.site.is_none() {
            request.site = Some(kept.node.site.clone());
        }
        let is_own = projects::project_of(&kept) == request.project;
        let counted_gib = if is_own { kept.disk.counted_gib() } else { 0 };
        Ok(Some((base, kept.uuid.to_owned(), counted_gib)))
    }

    /// The image under the disk, if servers can be made from it and it fits on the disk.
    pub(super) async fn check_image(&self, request: &CreateVm) -> Result<Base, Refusal> {
        let name = request.image.to_string();
        let Some(entry) = find(&self.stores().images, &name).await? else {
            return Err(Refusal::ImageUnknown { image: name });
        };
        let image = &entry.value;
        let Some(stored) = image.stored.clone().filter(|_| image.state == State::Ready) else {
            return Err(Refusal::ImageNotReady { image: name, state: image.state.word().to_owned() });
        };
        let needs = stored.virtual_size_bytes.div_ceil(GIB).max(image.about.min_disk_gib.unwrap_or(0));
        if request.disk_gib < needs {
            let (image_gib, disk_gib) = (needs.to_string(), request.disk_gib.to_string());
            return Err(Refusal::DiskTooSmall { image: name, image_gib, disk_gib });
        }
        if let Some(least) = image.about.min_memory_mib.filter(|least| request.memory_mib < *least) {
            let (image_mib, memory_mib) = (least.to_string(), request.memory_mib.to_string());
            return Err(Refusal::MemoryTooSmall { image: name, image_mib, memory_mib });
        }
        let firmware = image.about.firmware;
        Ok(Base { image: request.image.clone(), sha256: stored.sha256, format: stored.format, firmware })
    }

    /// The keys themselves: from now on the server has its own copy.
    pub(super) async fn check_keys(&self, request: &CreateVm) -> Result<Vec<Login>, Refusal> {
        let mut logins = Vec::with_capacity(request.keys.len());
        for name in &request.keys {
            let entry = find(&self.stores().keys, name.as_str()).await?;
            let entry = entry.ok_or_else(|| Refusal::KeyUnknown { key: name.to_string() })?;
            logins.push(Login { name: name.clone(), key: entry.value.key.clone() });
        }
        Ok(logins)
    }

    pub(super) async fn check_networks(&self, request: &CreateVm) -> Result<(), Refusal> {
        for nic in &request.networks {
            if find(&self.stores().networks, nic.network.as_str()).await?.is_none() {
                return Err(Refusal::NetworkUnknown { network: nic.network.to_string() });
            }
        }
        Ok(())
    }

    pub(super) async fn check_firewalls(&self, request: &CreateVm) -> Result<(), Refusal> {
        for name in &request.firewalls {
            if find(&self.stores().firewalls, name.as_str()).await?.is_none() {
                return Err(Refusal::FirewallUnknown { firewall: name.to_string() });
            }
        }
        Ok(())
    }

    /// Where the server will belong: as asked, or where the most memory is free. Recorded once.
    pub(super) fn choose_home(&self, snap: &Snapshot, request: &CreateVm) -> Result<SiteName, Refusal> {
        let draining = |site: &SiteName| {
            let scope = Scope::Site(site.clone());
            snap.outages.values().map(|entry| &entry.value).find(|o| o.state.drains() && o.scope == scope)
        };
        if let Some(site) = &request.site {
            if !snap.sites.contains_key(site.as_str()) {
                return Err(Refusal::SiteUnknown { site: site.to_string() });
            }
            return match draining(site) {
                Some(o) => Err(Refusal::SiteDraining { site: site.to_string(), outage: o.id.to_string() }),
                None => Ok(site.clone()),
            };
        }
        let rooms = self.rooms();
        let open = snap.sites.values().map(|entry| &entry.value.name).filter(|site| draining(site).is_none());
        let best = open.max_by_key(|site| (rooms.free_memory(site.as_str()), std::cmp::Reverse((*site).clone())));
        best.cloned().ok_or_else(|| Refusal::NoRoom {
            vm: request.name.to_string(),
            detail: Said::new("every site is being evacuated or is evacuated", "どのサイトも退避中か退避済みです"),
            help: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_bounded_and_what_stands_in_it_twice_is_told_in_a_sentence() {
        assert_eq!(check_list("after", ["web", "db"].iter(), 2), Ok(()));
        let twice = check_list("after", ["web", "db", "web"].iter(), 3).unwrap_err();
        assert_eq!((twice.code(), twice.english().cause.as_str()), ("request.repeated", "after names web twice"));
        assert_eq!(twice.japanese().cause, "after に web が 2 回指定されています");
        for (most, told) in [(1, "at most 1 entry"), (2, "at most 2 entries")] {
            let long = check_list("keys", ["a", "b", "c"].iter(), most).unwrap_err();
            assert!(long.code() == "request.out-of-range" && long.english().remedy.contains(told), "{long}");
        }
    }
}
