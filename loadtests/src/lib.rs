//! Load generators, the users' eyes, and the fault campaign.

pub mod gap;
pub mod users;
