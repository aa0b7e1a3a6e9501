//! Which UPSes answered when they were asked last.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use watari_contracts::monitor::UpsView;
use watari_model::SiteName;

use crate::settings::power::UpsName;

/// By site and name. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Roll(Arc<Mutex<BTreeMap<(SiteName, String), bool>>>);

impl Roll {
    /// Takes note of what came of asking one.
    pub(super) fn note(&self, site: &SiteName, ups: &UpsName, answers: bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert((site.clone(), ups.to_string()), answers);
    }

    /// All that have been asked.
    pub(crate) fn all(&self) -> Vec<UpsView> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let view = |((site, name), answers): (&(SiteName, String), &bool)| UpsView {
            site: site.clone(),
            name: name.clone(),
            answers: *answers,
        };
        all.iter().map(view).collect()
    }
}
