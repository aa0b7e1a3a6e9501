//! The wire: every request, command, event, beat and subject. One file per owner.

pub mod wire;

pub use wire::{Command, ErrorBody, Payload, Request, Service};
