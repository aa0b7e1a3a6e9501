//! The wire: every request, command, event, beat and subject. One file per owner.

pub mod address;
pub mod agent;
pub mod beat;
pub mod enrol;
pub mod firewall;
pub mod frontend;
pub mod history;
pub mod image;
pub mod monitor;
pub mod network;
pub mod permissions;
pub mod plan;
pub mod probe;
pub mod saving;
pub mod scheduler;
pub mod subjects;
pub mod upload;
pub mod wire;

pub use wire::{Command, ErrorBody, Payload, Request, Service};
