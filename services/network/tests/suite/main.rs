//! This crate's tests from outside, in one program: linking each by itself takes longer than running it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by unwrapping")]

mod addresses;
mod allocation;
mod firewalls;
mod harness;
mod networks;
mod plans;
