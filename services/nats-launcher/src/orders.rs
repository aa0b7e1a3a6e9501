//! What this host's server is told to do, and asking the others how it stands.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};
use watari_chassis::{Bus, BusError, Electorate, Membership, electorate, membership};
use watari_contracts::frontend::{Duty, NatsOrder, nats_orders};

use crate::{Settings, say};

/// Between two tries at what may be otherwise in a moment.
const PAUSE: Duration = Duration::from_secs(1);
/// How long one question to the others may take.
const ASKED: Duration = Duration::from_secs(4);

/// A connection that is made, and made again, beside everything else.
pub(crate) struct Orders {
    bus: watch::Receiver<Option<Bus>>,
    heard: mpsc::Receiver<Duty>,
}

impl Orders {
    /// Begins to connect and to listen.
    pub(crate) fn follow(settings: &Settings) -> Self {
        let (connected, bus) = watch::channel(None);
        // Orders are repeated; one that finds no place is not missed.
        let (hear, heard) = mpsc::channel(1);
        let (host, settings) = (settings.host.clone(), settings.bus());
        tokio::spawn(async move {
            let mut told = false;
            let bus = loop {
                match Bus::connect(&settings).await {
                    Ok(bus) => break bus,
                    // The others learn of a host that has joined within seconds; clocks and certificates are mended.
                    Err(error @ (BusError::Refused { .. } | BusError::Tls { .. })) => {
                        if !std::mem::replace(&mut told, true) {
                            say(&format!("{error}; it is tried again"));
                        }
                        sleep(PAUSE).await;
                    }
                    Err(error) => return say(&format!("no orders will be heard: {error}")),
                }
            };
            connected.send_replace(Some(bus.clone()));
            let mut orders = match bus.subscribe(&nats_orders(&host)).await {
                Ok(orders) => orders,
                Err(error) => return say(&format!("no orders will be heard: {error}")),
            };
            while let Some(message) = orders.next().await {
                if let Ok(order) = serde_json::from_slice::<NatsOrder>(&message.payload)
                    && order.host == host
                {
                    let _ = hear.try_send(order.duty);
                }
            }
        });
        Self { bus, heard }
    }

    /// Whether the server called `name` has a vote, as far as can be learnt within `bound`.
    pub(crate) async fn membership(&mut self, name: &str, bound: Duration) -> Membership {
        let asked = async { Some(membership(&self.connected().await?, name).await) };
        timeout(bound, asked).await.ok().flatten().unwrap_or(Membership::Unknown)
    }

    /// Who has a vote and who is there, as far as can be learnt within `bound`.
    pub(crate) async fn electorate(&mut self, bound: Duration) -> Electorate {
        let asked = async { electorate(&self.connected().await?).await.ok() };
        timeout(bound, asked).await.ok().flatten().unwrap_or_default()
    }

    async fn connected(&mut self) -> Option<Bus> {
        self.bus.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// Waits until the others say that somebody leads, and whether the server called `name` has a vote.
    pub(crate) async fn led(&mut self, name: &str) -> Membership {
        loop {
            match self.membership(name, ASKED).await {
                Membership::Unknown => sleep(PAUSE).await,
                known => return known,
            }
        }
    }

    /// The next order.
    pub(crate) async fn next(&mut self) -> Duty {
        match self.heard.recv().await {
            Some(duty) => duty,
            None => std::future::pending().await,
        }
    }

    /// Waits for this order.
    pub(crate) async fn told(&mut self, duty: Duty) {
        while self.next().await != duty {}
    }
}
