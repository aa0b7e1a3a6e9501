//! A cluster of one server. NATS takes a new cluster for two servers at least, so that one alone never leads; it does
//! once a second has been there and its vote was taken away.

use serde_json::json;
use watari_contracts::permissions::SERVERS;

use super::{
    keeper::{PATIENCE, led, ordered},
    servers::{self, Founding},
};
use crate::{Bus, run::chain};

/// Does what is next until of the servers `founder` and `midwife` the first is a cluster by itself; whether it is.
/// `bus` is a connection to the system account.
///
/// # Errors
/// A sentence. It may be tried again, as long as it takes.
pub async fn found(bus: &Bus, founder: &str, midwife: &str) -> Result<bool, String> {
    let answers: Vec<servers::Answer> = bus.gather(SERVERS, &json!({}), PATIENCE).await.map_err(|e| chain(&e))?;
    match servers::founding(&answers, founder, midwife) {
        Founding::Waits => Ok(false),
        Founding::Leads => {
            let to = json!({"placement": {"preferred": founder}});
            led(ordered(bus, "$JS.API.META.LEADER.STEPDOWN".to_owned(), &to).await).map(|()| false)
        }
        Founding::Removes => {
            ordered(bus, "$JS.API.SERVER.REMOVE".to_owned(), &json!({"peer": midwife})).await.map(|()| false)
        }
        Founding::Done => Ok(true),
    }
}
