//! The pure heart: names, resources and their state machines. No async, no I/O, no clock.

pub mod document;
pub mod name;
pub mod refusal;
pub mod timestamp;

pub use document::Document;
pub use name::{GroupName, ImageName, MigrationId, NetworkName, NodeName, NotAName, OutageId, SegmentName, SiteName, VmName};
pub use refusal::Refusal;
pub use timestamp::Timestamp;
