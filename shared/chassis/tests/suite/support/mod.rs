//! What the chassis' tests have in common: a small resource, and processes at a test's bus.

#![allow(missing_docs, unreachable_pub, reason = "its items are for the other files of this program")]

use std::time::Duration;

use serde::{Deserialize, Serialize};
use watari_chassis::{Context, config::Common};
use watari_contracts::Service;
use watari_model::Document;

/// Longer than anything in these tests takes, even on a loaded machine.
pub const SOON: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thing {
    pub name: String,
    pub size: u64,
}

impl Thing {
    pub fn new(name: &str, size: u64) -> Self {
        Self { name: name.into(), size }
    }
}

impl Document for Thing {
    const BUCKET: &'static str = "things";
    fn key(&self) -> String {
        self.name.clone()
    }
}

pub async fn context(url: &str) -> Context {
    context_of(Service::Scheduler, url, |_| {}).await
}

pub async fn context_of(service: Service, url: &str, change: impl FnOnce(&mut Common)) -> Context {
    let mut settings = Common::at([url]).unwrap();
    change(&mut settings);
    Context::new(service, &settings).await.unwrap()
}

/// A metric's value, all its labels added up.
pub fn metric(ctx: &Context, name: &str) -> f64 {
    let families = ctx.metrics.gather();
    let metrics = families.iter().filter(|f| f.name() == name).flat_map(|f| f.get_metric());
    metrics.map(|m| m.get_counter().get_value() + m.get_gauge().get_value()).sum()
}
