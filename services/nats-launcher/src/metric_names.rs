//! The names of the launcher's metrics, and nothing else: they stand on the page of metrics as they stand here.

/// 1 while the host's NATS server answers.
pub(crate) const UP: &str = "watari_nats_up";
/// Clients that are connected to this NATS server.
pub(crate) const CONNECTIONS: &str = "watari_nats_connections";
/// Clients that this NATS server has cut off because they took too little of what was sent to them.
pub(crate) const SLOW: &str = "watari_nats_slow_consumers_total";
/// Bytes of JetStream on this NATS server, by kind: `file`, `memory`.
pub(crate) const BYTES: &str = "watari_nats_jetstream_bytes";
/// The most that they may become, likewise.
pub(crate) const LIMIT: &str = "watari_nats_jetstream_limit_bytes";
/// 1 while this NATS server knows who leads its cluster, so that there is a majority; always for a single one.
pub(crate) const HAS_LEADER: &str = "watari_nats_has_leader";
/// 1 while this NATS server leads its cluster.
pub(crate) const LEADS: &str = "watari_nats_leads";
/// Servers with a vote, by the word of the one that leads, by state: `current`, `behind`, `offline`.
pub(crate) const VOTERS: &str = "watari_nats_voters";
/// Writes that the copy furthest behind lacks, by stream, told by the NATS server that leads the stream.
pub(crate) const LAG: &str = "watari_nats_stream_lag";
/// Streams on this NATS server that nobody leads.
pub(crate) const LEADERLESS: &str = "watari_nats_streams_leaderless";
