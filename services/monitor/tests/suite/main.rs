//! This crate's tests from outside, in one program: linking each by itself takes longer than running it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by unwrapping")]

mod alerts;
mod fencing;
mod harness;
mod history;
mod nodes;
mod probes;
mod ups;
