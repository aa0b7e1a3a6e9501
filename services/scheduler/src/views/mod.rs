//! Documents and sights as people and programs see them.

mod disks;
mod keys;
mod migrations;
mod outages;
mod projects;
mod rehearsals;
mod sites;
mod vms;

pub(crate) use disks::disk;
pub(crate) use keys::key;
pub(crate) use migrations::migration;
pub(crate) use outages::{outage, plan, planned};
pub(crate) use projects::{project, unbounded_project};
pub(crate) use rehearsals::rehearsal;
pub(crate) use sites::site;
pub(crate) use vms::{Whereabouts, vm, weight, whereabouts};
