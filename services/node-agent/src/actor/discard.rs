//! Destroy the copy that a migration made here, and its disk.
//!
//! The rules let this pass only where this node was never granted the generation that the source
//! has, so that whatever is here, in whatever state, is not the server.

use watari_contracts::agent::{Discard, Domain};
use watari_model::Refusal;

use super::{cx::Cx, remove::delete};
use crate::{
    facts::Urgency,
    layers::{keep, stack},
    record::Disk,
};

const WANTED: &str = "discard";

pub(super) async fn run(cx: &Cx, order: &Discard) -> Result<(), Refusal> {
    let sight = cx.look(WANTED).await?;
    let Some(uuid) = cx.uuid.as_deref() else { return Ok(()) };
    let record = cx.record().await?;
    // A later migration is under way: of this one nothing is left.
    if matches!(&record.disk, Disk::Copy { migration, .. } if *migration != order.migration) {
        return Ok(());
    }
    match sight {
        Domain::Absent => {}
        Domain::Off(_) => cx.node.hypervisor.undefine(cx.name()).await.map_err(|error| cx.refuse(&error))?,
        _ => {
            cx.force_off(uuid).await?;
            cx.node.hypervisor.undefine(cx.name()).await.map_err(|error| cx.refuse(&error))?;
        }
    }
    cx.unwire(&record).await?;
    if matches!(record.disk, Disk::Copy { .. }) {
        delete(&stack::top(&cx.node.layout, &record)).await?;
        // They were sent ahead, and the next try wants them again.
        let (of, layers) = (uuid.to_owned(), record.stack.layers.clone());
        keep::aside(&cx.node, move |layout| keep::stow(layout, &of, &layers)).await?;
        keep::tell(&cx.node).await;
        delete(&cx.node.layout.seed(uuid)).await?;
        delete(&cx.node.layout.variables(uuid)).await?;
    }
    cx.node.room.release(uuid);
    let gone = |record: &mut crate::record::Record| {
        record.passage = None;
        record.wired = false;
        if matches!(record.disk, Disk::Copy { .. }) {
            record.disk = Disk::None;
            record.clear_layers();
        }
    };
    cx.book.amend(uuid, Urgency::Soon, gone).await?;
    cx.book.look().await;
    Ok(())
}
