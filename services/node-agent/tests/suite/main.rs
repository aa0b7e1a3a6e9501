//! The agent and its parts without QEMU, in one program: linking each by itself takes longer than running it.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by unwrapping")]

mod bus;
mod images;
mod journal;
