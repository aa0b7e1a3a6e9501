//! The disks that were kept of deleted servers: from when until when each was there.

use std::collections::BTreeMap;

use sqlx::{AnyConnection, Row};
use watari_model::{Document, ProjectName, disk::KeptDisk, node::Node};

use super::{Change, Store, StoreError, nanos, plain, read::moment, signed};
use crate::history::usage::Meter;

/// Notes which disks a node keeps by a write of its document. In whatever order writes are told, a disk is there until the
/// first write without it after the last that has it.
pub(super) async fn note(connection: &mut AnyConnection, change: &Change) -> Result<(), StoreError> {
    if change.bucket != Node::BUCKET {
        return Ok(());
    }
    if let Some(disks) = told(change.document.as_deref()) {
        stand(connection, &change.key, nanos(change.at), &disks).await?;
    }
    // Of what was told before this, the write after it says what of this has gone.
    let next = sqlx::query(
        "SELECT at_ns, deleted, document FROM events WHERE bucket = $1 AND key = $2 AND at_ns > $3
         ORDER BY at_ns, revision LIMIT 1",
    )
    .bind(&change.bucket)
    .bind(&change.key)
    .bind(nanos(change.at))
    .fetch_optional(&mut *connection)
    .await?;
    let Some(next) = next else { return Ok(()) };
    let (at_ns, deleted, document): (i64, i64, Option<String>) = (next.try_get(0)?, next.try_get(1)?, next.try_get(2)?);
    // One that was too large to be kept has no document either.
    let known = deleted == 1 || document.is_some();
    match told(document.as_deref()).filter(|_| known) {
        Some(disks) => stand(connection, &change.key, at_ns, &disks).await,
        None => Ok(()),
    }
}

/// The kept disks in a node's document; none if it is not to be read. A node that is gone has taken all along.
fn told(document: Option<&str>) -> Option<BTreeMap<String, KeptDisk>> {
    match document {
        Some(text) => serde_json::from_str::<Node>(text).ok().map(|node| node.inventory.disks),
        None => Some(BTreeMap::new()),
    }
}

/// Notes that these are what a node keeps at a moment.
async fn stand(
    connection: &mut AnyConnection,
    node: &str,
    at_ns: i64,
    disks: &BTreeMap<String, KeptDisk>,
) -> Result<(), StoreError> {
    for (uuid, disk) in disks {
        let project = disk.project.clone().unwrap_or_default();
        sqlx::query(
            "INSERT INTO kept (node, uuid, vm, project, disk_gib, kept_ns, seen_ns, gone_ns)
             VALUES ($1, $2, $3, $4, $5, $6, $7, NULL)
             ON CONFLICT (node, uuid, kept_ns) DO UPDATE SET
                 seen_ns = CASE WHEN excluded.seen_ns > kept.seen_ns THEN excluded.seen_ns ELSE kept.seen_ns END,
                 gone_ns = CASE WHEN excluded.seen_ns >= kept.gone_ns THEN NULL ELSE kept.gone_ns END",
        )
        .bind(node)
        .bind(plain(uuid))
        .bind(disk.vm.as_str())
        .bind(project.as_str())
        .bind(signed(disk.counted_gib()))
        .bind(nanos(disk.kept_at))
        .bind(at_ns)
        .execute(&mut *connection)
        .await?;
    }
    sqlx::query("UPDATE kept SET gone_ns = $1 WHERE node = $2 AND seen_ns < $1 AND (gone_ns IS NULL OR gone_ns > $1)")
        .bind(at_ns)
        .bind(node)
        .execute(connection)
        .await?;
    Ok(())
}

impl Store {
    /// Shows the meter the disks that were kept of servers of one name.
    pub(super) async fn kept(&self, name: &str, meter: &mut Meter) -> Result<(), StoreError> {
        let rows = sqlx::query(
            "SELECT project, disk_gib, kept_ns, gone_ns FROM kept
             WHERE vm = $1 AND kept_ns < $2 AND (gone_ns IS NULL OR gone_ns > $3)",
        )
        .bind(name)
        .bind(nanos(meter.until))
        .bind(nanos(meter.from))
        .fetch_all(&self.pool)
        .await?;
        for row in rows {
            let (project, disk_gib): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            let (since, end): (i64, Option<i64>) = (row.try_get(2)?, row.try_get(3)?);
            let project: ProjectName = project.parse().unwrap_or_default();
            meter.keep(project, disk_gib.unsigned_abs(), moment(since), end.map(moment));
        }
        Ok(())
    }
}
