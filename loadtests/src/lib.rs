//! Load generators, the users' eyes, and the fault campaign.

pub mod bench;
pub mod campaign;
pub mod gap;
pub mod lab;
pub mod requests;
pub mod scenarios;
pub mod users;
