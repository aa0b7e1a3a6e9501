//! For tests only: real parts on free ports and in folders of their own, gone when dropped.

mod cluster;
mod nats;
mod ports;
mod postgres;
mod responder;
mod tempdir;
mod wait;

pub use cluster::NatsCluster;
pub use nats::NatsServer;
pub use ports::free_port;
pub use postgres::PostgresServer;
pub use responder::Responder;
pub use tempdir::TempDir;
pub use wait::{eventually, eventually_some};
