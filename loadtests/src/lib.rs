//! Load generators, the users' eyes, and the fault campaign.

mod answer;
mod beacon;
pub mod bench;
pub mod campaign;
mod chance;
mod faults;
pub mod gap;
pub mod lab;
pub mod requests;
pub mod scenarios;
mod standing;
pub mod users;
mod watch;
