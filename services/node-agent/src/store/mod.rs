//! SQL, and nothing else: the journal in a SQLite file.

mod journal;
mod lease;
mod plan;
mod tables;

pub use journal::{Accepted, Journal, JournalError, Key, Unfinished};
pub use lease::KeptLease;
