//! The process: everything that Watari's services have in common, so that each of them is only
//! its own concern.
//!
//! | part | gives |
//! | --- | --- |
//! | [`run`] | a service's whole `main`: settings, logs, bus, listener, work, drain, exit code |
//! | [`Context`] | what every part of a process shares |
//! | [`Bus`] | requests, commands, beats and subscriptions over NATS |
//! | [`Bucket`], [`Mirror`] | documents with compare-and-set, and a watched copy in memory |
//! | [`lease`] | one primary, fenced by an epoch |
//! | [`Keeper`] | NATS' own streams, servers and majority |
//! | [`Server`] | endpoints on the NATS Services API |
//! | [`looper`] | the loop that is woken by change and tick, watched by [`Pulse`] |
//! | [`codec`] | beats as bytes |
//! | [`backups`] | how old the newest is |
//! | [`certificates`] | when they end |
//! | [`program`] | what is common to programs that services run |
//! | [`room`] | how much a file system still takes |
//! | [`sparse`] | where files have holes |
//! | [`clock`] | the only place where a clock is read |

mod act;
pub mod backups;
mod bound;
mod bucket;
mod bus;
pub mod certificates;
pub mod clock;
pub mod codec;
pub mod config;
mod context;
pub mod http;
pub mod lease;
pub mod looper;
pub mod metric_names;
pub mod metrics;
mod mirror;
mod options;
mod process;
pub mod program;
mod pulse;
mod quorum;
mod ready;
pub mod room;
mod run;
mod server;
pub mod sparse;
mod supervisor;
pub mod telemetry;

pub use act::asker;
pub use bound::{Bounded, Placed};
pub use bucket::{
    Bucket, Chest, Entry, Past, PastWrite, Reach, ReadError, Revision, Shape, Stopped, Unreadable, WriteError,
};
pub use bus::{Bus, BusError, BusSettings, CallError, Initial, Listening, Message, Messages, Patience};
pub use config::{ConfigError, Validate};
pub use context::{Context, Drained, instance};
pub use lease::{Leadership, Lease, LeaseDocument};
pub use looper::Wake;
pub use mirror::{Mirror, Snapshot};
pub use options::Options;
pub use prometheus;
pub use pulse::Pulse;
pub use quorum::{
    Electorate, Keeper, KeeperKeys, Membership, NatsHost, Recovery, Unfit, electorate, found, generation, membership,
    recover, recovery,
};
pub use ready::{Readiness, Ready};
pub use run::{StartError, run, run_with};
pub use server::{Answer, Call, Server, Written};
pub use telemetry::trace::TraceParent;
pub use tokio_util::sync::CancellationToken;
