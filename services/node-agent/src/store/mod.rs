//! SQL, and nothing else: the journal in a SQLite file.

mod journal;

pub use journal::{Accepted, Journal, JournalError, Key, Unfinished};
