//! This crate's tests from outside, in one program: linking each by itself takes longer than running it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by unwrapping")]

mod cloud;
mod console;
mod dark;
mod disks;
mod first_boot;
mod handover;
mod outages;
mod policies;
mod projects;
mod relief;
mod rooms;
mod snapshots;
mod support;
mod traces;
mod uefi;
