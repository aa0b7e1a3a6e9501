//! This crate's tests from outside, in one program: linking each by itself takes longer than running it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by unwrapping")]

mod asking;
mod backup;
mod calendar;
mod command;
mod completion;
mod console;
mod declared;
mod doctor;
mod forms;
mod growing;
mod joining;
mod journal;
mod manual;
mod narrow;
mod next_steps;
mod permissions;
mod report;
mod requests;
mod screenshot;
mod setup;
mod slips;
mod snapshots;
mod spellings;
mod support;
mod units;
mod upload;
mod waiting;
