//! The names of the image service's metrics, and nothing else: they stand on the page of metrics as they stand here.

/// Bytes taken from uploads.
pub(crate) const RECEIVED: &str = "watari_image_received_bytes_total";
/// Imports that ended, by outcome: "ready" or the refusal's code.
pub(crate) const IMPORTS: &str = "watari_image_imports_total";
/// Time of an import's parts, by part: receiving one request's bytes, flushing the rest of them to the disk, checking the
/// file, shelving it, and keeping it (in an object store if there is one, and in its document).
pub(crate) const IMPORT_SECONDS: &str = "watari_image_import_seconds";
/// Bytes fetched from other front ends.
pub(crate) const COPIED: &str = "watari_image_copied_bytes_total";
/// Copies that ended, by outcome.
pub(crate) const COPIES: &str = "watari_image_copies_total";
/// Bytes served to nodes and other front ends.
pub(crate) const SERVED: &str = "watari_image_served_bytes_total";
/// Bytes of all images on this front end.
pub(crate) const STORED: &str = "watari_image_stored_bytes";
/// Ready images that not every site has, on its front end's disk or in an object store that outlasts the other campus.
/// Never zero for long is an alarm: the next evacuation will be slow.
pub(crate) const LONELY: &str = "watari_image_lonely";
/// Files on this front end that no image names.
pub(crate) const ORPHANS: &str = "watari_image_orphans";
/// Files whose contents were found damaged.
pub(crate) const DAMAGED: &str = "watari_image_damaged_total";
/// Whether the object store was away at the last look: 1 or 0; 0 where there is none.
pub(crate) const STORE_AWAY: &str = "watari_image_store_away";
/// Bytes sent to the object store.
pub(crate) const STORE_SENT: &str = "watari_image_store_sent_bytes_total";
/// Objects in the store that no image names.
pub(crate) const STORE_ORPHANS: &str = "watari_image_store_orphans";
