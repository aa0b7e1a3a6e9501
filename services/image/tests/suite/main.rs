//! This crate's tests from outside, in one program: linking each by itself takes longer than running it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by unwrapping")]

mod access;
mod bounds;
mod copies;
mod downloads;
mod edits;
mod harness;
mod imports;
mod saves;
mod skips;
mod store;
