//! The names of every process's metrics, and nothing else: they stand on the page of metrics as they stand here.

/// Requests answered, by endpoint and code ("ok" or a refusal's).
pub const REQUESTS: &str = "watari_requests_total";
/// Time from taking a request to having answered it, by endpoint.
pub const REQUEST_SECONDS: &str = "watari_request_duration_seconds";
/// Requests that are being answered. The most is `limits.in_flight`; further ones wait.
pub const IN_HAND: &str = "watari_requests_in_hand";
/// Handlers that panicked, by endpoint.
pub const PANICS: &str = "watari_request_panics_total";
/// Messages dropped because their reply subject is no inbox.
pub const EVIL_REPLIES: &str = "watari_reply_subjects_refused_total";
/// Time of one turn of a loop, by loop.
pub const LOOP_SECONDS: &str = "watari_loop_duration_seconds";
/// Turns of a loop that failed, by loop.
pub const LOOP_ERRORS: &str = "watari_loop_errors_total";
/// 1 while connected to NATS.
pub const BUS_CONNECTED: &str = "watari_bus_connected";
/// Messages dropped because a subscription's queue was full.
pub const BUS_DROPPED: &str = "watari_bus_slow_consumer_total";
/// Documents that cannot be read, by bucket.
pub const UNREADABLE: &str = "watari_documents_unreadable";
/// Documents that are gone without having been deleted, by bucket. Never zero is an alarm.
pub const VANISHED: &str = "watari_documents_vanished";
/// Full re-lists of a bucket, by bucket and outcome.
pub const RELISTS: &str = "watari_bucket_relists_total";
/// Buckets that were found made anew, their contents lost, by bucket.
pub const REMADE: &str = "watari_bucket_remade_total";
/// 1 while this process leads, by service.
pub const PRIMARY: &str = "watari_lease_primary";
/// Always 1; its labels say which program this is, of which version, and which start of it (`process`).
pub const BUILD: &str = "watari_build_info";
/// The epoch of this process's tenure, by service; 0 while it does not lead.
pub const EPOCH: &str = "watari_lease_epoch";
/// Memory that the process has resident.
pub const PROCESS_RESIDENT: &str = "process_resident_memory_bytes";
/// Processor time that the process has spent, its own and the kernel's for it.
pub const PROCESS_CPU: &str = "process_cpu_seconds_total";
/// Threads of the process.
pub const PROCESS_THREADS: &str = "process_threads";
/// Files that the process has open.
pub const PROCESS_FILES: &str = "process_open_fds";
/// When the process started, in Unix time.
pub const PROCESS_START: &str = "process_start_time_seconds";
