//! The names of the scheduler's metrics, and nothing else: they stand on the page of metrics as they stand here.

/// Actions done, by verb and outcome.
pub(crate) const ACTIONS: &str = "watari_scheduler_actions_total";
/// Alarms told: what should not be, and is left alone.
pub(crate) const ALARMS: &str = "watari_scheduler_alarms_total";
/// Servers by state.
pub(crate) const VMS: &str = "watari_scheduler_vms";
/// Servers that are to run and stand still on their nodes for no order.
pub(crate) const VMS_STILL: &str = "watari_scheduler_servers_standing_still";
/// Migrations ended, by how.
pub(crate) const MIGRATIONS: &str = "watari_scheduler_migrations_total";
/// Migrations ended that were to relieve an overloaded node, by how.
pub(crate) const RELIEFS: &str = "watari_scheduler_reliefs_total";
/// How long an arrived copy stood paused until it was resumed: the price of the paused protocol.
pub(crate) const PAUSE_SECONDS: &str = "watari_scheduler_migration_pause_seconds";
/// How long a server stood still by QEMU's account.
pub(crate) const DOWNTIME_SECONDS: &str = "watari_scheduler_migration_downtime_seconds";
/// Bytes that travelled in migrations that completed, by kind: `memory`, `disk`.
pub(crate) const MIGRATION_BYTES: &str = "watari_scheduler_migration_bytes_total";
/// How long migrations that completed took, from the start of copying to the server seen running at the target.
pub(crate) const MIGRATION_SECONDS: &str = "watari_scheduler_migration_duration_seconds";
/// How long deciding takes.
pub(crate) const DECIDE_SECONDS: &str = "watari_scheduler_decide_seconds";
/// Outages by how they stand: proposed, scheduled, under way, paused.
pub(crate) const OUTAGES: &str = "watari_scheduler_outages";
/// Of the next scheduled outage of a site: its servers, by what would become of them now: `leaves`, `stays`,
/// `by-policy` (it stays because somebody wants it so), `off`.
pub(crate) const OUTAGE_SERVERS: &str = "watari_scheduler_outage_servers";
/// When its evacuation begins, in Unix time: `… - time()` is how long that is from now.
pub(crate) const OUTAGE_BEGINS: &str = "watari_scheduler_outage_begins_timestamp_seconds";
/// When its power goes, in Unix time.
pub(crate) const OUTAGE_POWER_OFF: &str = "watari_scheduler_outage_power_off_timestamp_seconds";
/// How long its evacuation would take by what travelled the last times; absent while that is not known.
pub(crate) const OUTAGE_ESTIMATED: &str = "watari_scheduler_outage_estimated_seconds";
/// Bytes of base images that would travel in its evacuation besides, since no other site has them.
pub(crate) const OUTAGE_BASES: &str = "watari_scheduler_outage_base_bytes";
/// Its servers that could not leave, by the code of the reason.
pub(crate) const OUTAGE_REASONS: &str = "watari_scheduler_outage_staying_servers";
/// Its servers that could leave, but of whom something is to be said beforehand, by its code: `outage.too-busy` is one that writes
/// faster than its copy travels.
pub(crate) const OUTAGE_WARNINGS: &str = "watari_scheduler_outage_warned_servers";
/// Of a hundred of its servers that have to leave, so many could: 100 if all could.
pub(crate) const OUTAGE_SCORE: &str = "watari_scheduler_outage_readiness_score";
/// Actions that are being done: orders to agents, writes of documents. The most is `orders.in_flight`.
pub(crate) const ACTIONS_IN_HAND: &str = "watari_scheduler_actions_in_hand";
/// Migrations that are not over, by state.
pub(crate) const MIGRATIONS_UNDER_WAY: &str = "watari_scheduler_migrations_under_way";
/// Bytes of memory and disk of the migrations that copy, `sent` and `left`, by their sources' last words.
pub(crate) const TRANSFER_BYTES: &str = "watari_scheduler_transfer_bytes";
/// How fast all migrations that copy send, in bytes a second.
pub(crate) const TRANSFER_RATE: &str = "watari_scheduler_transfer_bytes_per_second";
/// How fast the servers that are being copied write to their memory, in bytes a second.
pub(crate) const TRANSFER_DIRTIED: &str = "watari_scheduler_transfer_dirtied_bytes_per_second";
/// 1 for how a site stands: `active`, or the state of its outage: `evacuating`, `evacuated`, `returning`.
pub(crate) const SITE_STATE: &str = "watari_scheduler_site_state";
/// Servers of a site's outage that is under way, by how far they are: `moved`, `moving`, `waiting`, `failed`.
pub(crate) const EVACUATION_SERVERS: &str = "watari_scheduler_evacuation_servers";
/// How long leaving a site still takes by what travelled the last times: 0 if nobody is leaving, absent while it is not
/// known.
pub(crate) const EVACUATION_LEFT: &str = "watari_scheduler_evacuation_left_seconds";
/// When the power of a site that is being left, or was, goes, in Unix time; absent where nobody has said.
pub(crate) const EVACUATION_POWER_OFF: &str = "watari_scheduler_evacuation_power_off_timestamp_seconds";
/// Servers of a site by what would become of them if it were emptied now: `leaves`, `stays`, `by-policy` (it stays
/// because somebody wants it so), `off`.
pub(crate) const READY_SERVERS: &str = "watari_scheduler_readiness_servers";
/// Of a hundred servers of a site that would have to leave if it were emptied now, so many could: 100 if all could.
pub(crate) const READY_SCORE: &str = "watari_scheduler_readiness_score";
/// How long emptying a site would take now by what travelled the last times; absent while that is not known.
pub(crate) const READY_SECONDS: &str = "watari_scheduler_readiness_seconds";
/// What a project has, whether its servers run or not, by kind: `servers`, `vcpus`, `memory_bytes`, `disk_bytes`, and of
/// the last what is `kept_disk_bytes`, `snapshots_bytes`.
pub(crate) const PROJECT_USED: &str = "watari_scheduler_project_used";
/// What a project may have, by the first four of these kinds; absent where there is no bound.
pub(crate) const PROJECT_QUOTA: &str = "watari_scheduler_project_quota";
