//! The core against a simulated world: agents, a bus, libvirt's ways of failing, and time.

mod agent;
pub(crate) mod campus;
mod confirmed;
mod copies;
mod deadlines;
mod dependencies;
pub(crate) mod documents;
mod faults;
mod fencing;
mod flow;
mod growing;
mod invariants;
mod isolation;
mod mirror;
mod model;
mod orders;
mod rehearsing;
mod scenarios;
mod scheduler;
mod sim;
mod standstill;
mod stories;
mod sweep;
mod wishes;
mod worlds;
