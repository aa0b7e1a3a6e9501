//! Answering: endpoints on the NATS Services API (ADR-32), so that `nats micro ls`, `info` and
//! `stats` show every one of them with its schema.
//!
//! The protocol's messages are async-nats' own types. Its service loop is not used: it answers
//! `$SRV` on any reply subject at all (so that one could make a service publish into `$JS.API`),
//! sends errors without a body, and does not forget endpoints that are stopped, as a standby must.

mod answer;
mod call;
mod endpoint;
mod registry;
mod reply;
mod survey;

use std::{sync::Arc, time::Instant};

use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use watari_contracts::{Command, Request, Service, permissions::LOOKING};
use watari_model::{NodeName, Refusal};

pub use answer::{Answer, Written};
pub use call::Call;
pub(crate) use reply::is_inbox;

use crate::{BusError, Context, Readiness, bus, lease::Leadership, run::chain};
use endpoint::{Endpoint, Standing};
use registry::Registry;

/// The endpoints of one service in this process.
pub struct Server {
    ctx: Context,
    service: Service,
    endpoints: Vec<Arc<Endpoint>>,
}

/// The endpoints of a [`Server`] that are commands to one node's agent.
pub struct Commands {
    server: Server,
    node: NodeName,
}

impl Server {
    /// A server without endpoints yet.
    #[must_use]
    pub fn new(ctx: &Context, service: Service) -> Self {
        Self { ctx: ctx.clone(), service, endpoints: Vec::new() }
    }

    /// Answers the requests of type `R` with `handler`, and handles what is told without a reply subject if it is
    /// [`Request::TOLD`]. A handler that panics is answered as
    /// [`Refusal::Internal`] and counted.
    #[must_use]
    pub fn endpoint<R, T, F, W>(mut self, handler: F) -> Self
    where
        R: Request,
        F: Fn(Call, R) -> W + Send + Sync + 'static,
        W: Future<Output = Result<T, Refusal>> + Send + 'static,
        T: Answer<R::Reply>,
    {
        debug_assert_eq!(R::OWNER, self.service, "{} belongs to another service", R::SUBJECT);
        let mut endpoint = Endpoint::new::<R, R::Reply, T, F, W>(R::SUBJECT, R::ABOUT, handler);
        endpoint.told = R::TOLD;
        self.endpoints.push(Arc::new(endpoint));
        self
    }

    /// From here on the endpoints are commands to the agent of `node`.
    #[must_use]
    pub fn commands(self, node: &NodeName) -> Commands {
        Commands { server: self, node: node.clone() }
    }

    /// Answers while this process leads, and not otherwise: a standby does not even subscribe, so
    /// that a request finds the primary or nobody. Ends when the process shuts down; requests in
    /// hand are finished as part of draining.
    ///
    /// # Errors
    /// [`BusError`] if a subscription is refused.
    pub async fn serve(self, mut leadership: watch::Receiver<Leadership>) -> Result<(), BusError> {
        let registry = self.register().await?;
        loop {
            let now = leadership.borrow_and_update().clone();
            let serving = match now.epoch() {
                Some(epoch) => {
                    let begun = Instant::now();
                    let serving = self.subscribe(&registry, Some(epoch)).await?;
                    self.ctx.ready.set(Readiness::Primary);
                    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                    tracing::info!(service = self.service.name(), epoch, took_ms, "answering");
                    Some(serving)
                }
                None => {
                    self.ctx.ready.set(Readiness::Standby);
                    None
                }
            };
            let going_on = tokio::select! {
                changed = leadership.changed() => changed.is_ok(),
                () = self.ctx.shutdown.cancelled() => false,
            };
            if let Some(serving) = serving {
                serving.cancel();
                registry.clear();
            }
            if !going_on {
                return Ok(());
            }
        }
    }

    /// Answers always: for a service without a lease. One that is to end before there ever was a connection waits for
    /// none.
    ///
    /// # Errors
    /// [`BusError`] if a subscription is refused.
    pub async fn serve_always(self) -> Result<(), BusError> {
        let shutdown = self.ctx.shutdown.clone();
        tokio::select! {
            biased;
            served = self.answer_always() => served,
            () = shutdown.cancelled() => Ok(()),
        }
    }

    async fn answer_always(self) -> Result<(), BusError> {
        let registry = self.register().await?;
        let serving = self.subscribe(&registry, None).await?;
        self.ctx.ready.set(Readiness::Serving);
        self.ctx.shutdown.cancelled().await;
        serving.cancel();
        Ok(())
    }

    async fn register(&self) -> Result<Arc<Registry>, BusError> {
        let registry = Arc::new(Registry::new(self.service, &self.ctx));
        registry::answer(&self.ctx, Arc::clone(&registry)).await?;
        Ok(registry)
    }

    /// Subscribes to every endpoint; cancelling what it returns ends the subscriptions.
    async fn subscribe(&self, registry: &Arc<Registry>, epoch: Option<u64>) -> Result<CancellationToken, BusError> {
        let serving = self.ctx.shutdown.child_token();
        let in_flight = Arc::new(Semaphore::new(self.ctx.limits.in_flight));
        let guard = serving.clone().drop_guard();
        for endpoint in &self.endpoints {
            let fault = |detail| BusError::NotSubscribed { subject: endpoint.subject.clone(), detail };
            let client = self.ctx.bus.client();
            let requests = client.queue_subscribe(endpoint.subject.clone(), registry::QUEUE.to_owned()).await;
            let requests = requests.map_err(|e| fault(chain(&e)))?;
            registry.add(endpoint);
            let (ctx, endpoint, registry) = (self.ctx.clone(), Arc::clone(endpoint), Arc::clone(registry));
            let (in_flight, serving) = (Arc::clone(&in_flight), serving.clone());
            let taker = Taker { ctx, endpoint, registry, in_flight, epoch, serving };
            self.ctx.spawn("endpoint", taker.take_all(requests));
        }
        // Whoever waits for readiness must find the endpoints subscribed.
        let flushed = self.ctx.bus.client().flush().await;
        flushed.map_err(|e| BusError::NotSubscribed { subject: self.service.name().to_owned(), detail: chain(&e) })?;
        guard.disarm();
        Ok(serving)
    }
}

/// Takes the requests of one endpoint out of its subscription.
struct Taker {
    ctx: Context,
    endpoint: Arc<Endpoint>,
    registry: Arc<Registry>,
    in_flight: Arc<Semaphore>,
    epoch: Option<u64>,
    serving: CancellationToken,
}

impl Taker {
    async fn take_all(self, mut requests: Subscriber) {
        loop {
            let message = tokio::select! {
                message = requests.next() => message,
                () = self.serving.cancelled() => None,
            };
            let Some(message) = message else { break };
            self.take(message).await;
        }
        // What had come by now is answered too: nobody else will.
        if requests.unsubscribe().await.is_ok() {
            while let Some(message) = requests.next().await {
                self.take(message).await;
            }
        }
    }

    async fn take(&self, message: Message) {
        // While all places are taken, requests wait in the subscription.
        let Ok(place) = Arc::clone(&self.in_flight).acquire_owned().await else { return };
        // A process that shuts down still leads; one that was overtaken does not.
        let overtaken = (self.serving.is_cancelled() && !self.ctx.shutdown.is_cancelled()) || !self.ctx.may_act();
        let standing = if overtaken { Standing::Overtaken } else { Standing::Answering { epoch: self.epoch } };
        let (ctx, endpoint, registry) = (self.ctx.clone(), Arc::clone(&self.endpoint), Arc::clone(&self.registry));
        let done = InHand::new(&ctx, is_waited_for(&endpoint.subject));
        self.ctx.tasks().spawn(async move {
            endpoint.answer(&ctx, &registry, message, standing).await;
            drop((place, done));
        });
    }
}

/// Whether a planned change of leaders waits for such a request to be finished. Whoever only looks needs no lease, and
/// may look for long.
fn is_waited_for(subject: &str) -> bool {
    !LOOKING.contains(&subject)
}

/// Counts a request as in hand until it is dropped, whatever becomes of its handler.
struct InHand {
    ctx: Context,
    waited_for: bool,
}

impl InHand {
    fn new(ctx: &Context, waited_for: bool) -> Self {
        ctx.in_hand().send_modify(|n| *n += usize::from(waited_for));
        ctx.counts().in_hand.inc();
        Self { ctx: ctx.clone(), waited_for }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.ctx.in_hand().send_modify(|n| *n = n.saturating_sub(usize::from(self.waited_for)));
        self.ctx.counts().in_hand.dec();
    }
}

impl Commands {
    /// Answers the commands of type `C` with `handler`.
    #[must_use]
    pub fn command<C, F, W>(mut self, handler: F) -> Self
    where
        C: Command,
        F: Fn(Call, C) -> W + Send + Sync + 'static,
        W: Future<Output = Result<C::Reply, Refusal>> + Send + 'static,
    {
        let subject = bus::command_subject::<C>(&self.node);
        self.server.endpoints.push(Arc::new(Endpoint::new::<C, C::Reply, C::Reply, F, W>(&subject, C::ABOUT, handler)));
        self
    }

    /// Back to the server, to serve.
    #[must_use]
    pub fn done(self) -> Server {
        self.server
    }
}

#[cfg(test)]
mod tests {
    use watari_contracts::scheduler::{ListSites, PromoteFrontEnd, RehearseOutage};

    use super::*;

    #[test]
    fn a_change_of_leaders_waits_for_requests_that_change_something_and_for_no_others() {
        assert!(is_waited_for(PromoteFrontEnd::SUBJECT));
        assert!(!is_waited_for(ListSites::SUBJECT) && !is_waited_for(RehearseOutage::SUBJECT));
    }
}
