//! For tests only: real parts on free ports and in folders of their own, gone when dropped.

mod cluster;
mod dice;
pub mod facts;
mod nats;
mod network;
pub mod orders;
mod ports;
mod postgres;
mod responder;
mod s3;
mod tempdir;
mod wait;

pub use cluster::NatsCluster;
pub use dice::Dice;
pub use nats::NatsServer;
pub use network::{in_a_machine_of_its_own, in_a_network_of_its_own};
pub use ports::free_port;
pub use postgres::PostgresServer;
pub use responder::Responder;
pub use s3::S3Server;
pub use tempdir::TempDir;
pub use wait::{eventually, eventually_some};
