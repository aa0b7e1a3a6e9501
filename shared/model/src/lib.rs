//! The pure heart: names, resources and their state machines. No async, no I/O, no clock.

pub mod address;
pub mod admission;
pub mod disk;
pub mod document;
pub mod firewall;
pub mod frontend;
pub mod image;
pub mod isolation;
pub mod key;
pub mod migration;
pub mod name;
pub mod network;
pub mod node;
pub mod outage;
pub mod project;
pub mod qcow2;
pub mod refusal;
mod said;
pub mod site;
pub mod size;
pub mod timestamp;
pub mod userdata;
pub mod vm;
pub mod word;

pub use document::Document;
pub use name::{
    DiskName, FirewallName, GroupName, HostName, ImageName, KeyName, MigrationId, NetworkName, NodeName, NotAName,
    OutageId, ProjectName, SegmentName, SiteName, SnapshotName, VmName,
};
pub use refusal::Refusal;
pub use said::{Said, filled};
pub use timestamp::Timestamp;
