//! A key's view.

use watari_contracts::scheduler::KeyView;
use watari_model::key::Key;

/// A key with what people know it by.
pub(crate) fn key(key: &Key) -> KeyView {
    KeyView {
        name: key.name.clone(),
        algorithm: key.key.algorithm().to_owned(),
        fingerprint: key.key.fingerprint(),
        comment: key.key.comment().to_owned(),
        public_key: key.key.to_string(),
        created_at: key.created_at,
    }
}
