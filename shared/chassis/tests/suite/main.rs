//! This crate's tests from outside, in one program: linking each by itself takes longer than running it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by unwrapping")]

mod bucket;
mod bus;
mod lease;
mod looper;
mod mirror;
mod permissions;
mod process;
mod server;
mod support;
