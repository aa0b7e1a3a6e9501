//! Forget a server that now runs elsewhere. Its disk stays until `remove`.

use watari_contracts::agent::{Domain, Release};
use watari_model::Refusal;

use super::cx::Cx;
use crate::{facts::Urgency, record::Disk};

const WANTED: &str = "release";

pub(super) async fn run(cx: &Cx, order: &Release) -> Result<(), Refusal> {
    let sight = cx.look(WANTED).await?;
    let Some(uuid) = cx.uuid.as_deref() else { return Ok(()) };
    match sight {
        Domain::Absent => {}
        Domain::Off(_) => {
            cx.node.hypervisor.undefine(cx.name()).await.map_err(|error| cx.refuse(&error))?;
        }
        other => return Err(cx.not_now(other, WANTED)),
    }
    let record = cx.record().await?;
    cx.unwire(&record).await?;
    let released = |record: &mut crate::record::Record| {
        record.passage = None;
        record.wired = false;
        if record.disk == Disk::Whole {
            record.disk = Disk::Leftover { generation: order.generation };
        }
    };
    cx.book.amend(uuid, Urgency::Soon, released).await?;
    // libvirt has just said so, and the process was seen gone before.
    cx.book.assert(Domain::Absent, Urgency::Soon).await;
    Ok(())
}
