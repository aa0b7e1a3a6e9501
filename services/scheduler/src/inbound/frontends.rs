//! Where the control plane is led from.

use std::time::Duration;

use watari_chassis::{Patience, WriteError, clock};
use watari_contracts::{
    Service,
    frontend::{AskStanding, STANDING, Standing},
    scheduler::PromoteFrontEnd,
};
use watari_model::{Refusal, SiteName, frontend::Primacy};

use super::{Desk, TRIES, check_request_id, find, newest, unwritten};
use crate::core::missing_at;

/// How long processes have to say how they stand.
const STANDINGS: Patience = Patience { total: Duration::from_millis(800), quiet: Duration::from_millis(250) };

impl Desk {
    pub(super) async fn promote_front_end(self, request: PromoteFrontEnd) -> Result<Primacy, Refusal> {
        check_request_id(request.request_id.as_deref())?;
        self.check_site(&request.site).await?;
        let _turn = self.turns.take("frontends").await;
        let frontends = &self.stores().frontends;
        let mut entry = find(frontends, Primacy::KEY).await?;
        for _ in 0..TRIES {
            let known = entry.as_ref().map(|entry| &entry.value);
            let repeated = request.request_id.is_some() && known.is_some_and(|k| k.request_id == request.request_id);
            if let Some(known) = known.filter(|k| repeated || (k.site == request.site && k.home == request.site)) {
                return Ok(known.clone());
            }
            self.check_standbys(&request.site).await?;
            let wished = Primacy {
                v: 1,
                site: request.site.clone(),
                home: request.site.clone(),
                request_id: request.request_id.clone(),
                changed_at: clock::now(),
            };
            let written = match &entry {
                Some(entry) => frontends.update(&wished, entry.revision).await,
                None => frontends.create(&wished).await,
            };
            match written {
                Ok(_) => return Ok(wished),
                Err(WriteError::Conflict { .. } | WriteError::Exists { .. }) => {
                    entry = newest(frontends, Primacy::KEY).await?;
                }
                Err(error) => return Err(unwritten(&error)),
            }
        }
        Err(Refusal::NoAnswer { who: "the bus".to_owned() })
    }

    async fn check_standbys(&self, site: &SiteName) -> Result<(), Refusal> {
        let bus = &self.executor.ctx.bus;
        let standings: Result<Vec<Standing>, _> = bus.gather(STANDING, &AskStanding {}, STANDINGS).await;
        let standings = standings.map_err(|_| Refusal::NoAnswer { who: "the bus".to_owned() })?;
        let missing = missing_at(&standings, site, &Service::OF_FRONT);
        if missing.is_empty() {
            return Ok(());
        }
        let services = missing.into_iter().map(Service::name).collect::<Vec<_>>().join(", ");
        Err(Refusal::NoStandby { site: site.to_string(), services })
    }
}
