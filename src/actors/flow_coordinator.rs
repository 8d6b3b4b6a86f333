//! FlowCoordinator: every write of an authorization flow (remembered session, granted consent with its code, device
//! decision, logout), many flows in one commit (see `lanes`); the delivery of what a logout left in the
//! outbox; and the memory of flows that are over, so that their challenges answer 410 without a query.
//!
//! Invariant: the outbox is durable and a delivery is claimed before it is tried, so it is tried at least once whatever
//! dies; the memory is a courtesy: the rows decide.

use super::lanes::{self, Lanes, Names};
use super::mailbox::{Admitted, Alive};
use crate::domain::world::{Clock, Timestamp};
use crate::store::{Delivered, FlowVerdict, FlowWrite, LogoutDelivery, Store, StoreError};
use crate::telemetry::labels;
use crate::telemetry::metrics::Metrics;
use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, ResponseFuture, WrapFuture};
use async_trait::async_trait;
use futures_util::StreamExt;
use lru::LruCache;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use uuid::Uuid;

const SPANS: Names = Names { commit: "actor.flow_coordinator.commit", batch: "actor.flow_coordinator.batch" };

/// Write this, with whoever comes along.
#[derive(Message)]
#[rtype(result = "Result<FlowVerdict, StoreError>")]
pub struct Commit(pub FlowWrite);

/// Finish what is queued, then stop.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Drain;

/// Takes a logout token to its client. Lives in a room further right: it signs and speaks HTTP.
#[async_trait]
pub trait Courier: Send + Sync + 'static {
    /// Tries once, within its own deadline.
    async fn deliver(&self, delivery: &LogoutDelivery) -> Delivered;
}

/// How often the outbox is looked at, and other replicas' finished flows are read.
const ROUND: Duration = Duration::from_secs(1);
/// Nobody else tries a delivery within this time: longer than a try takes, and what is to be noted of it.
const LEASE: Duration = Duration::from_secs(20);
/// A database that is away is told so often what became of a delivery, a second apart: as long as it takes to start
/// again.
const NOTES: usize = 8;
/// Deliveries claimed at once, and under way at once.
const DELIVERIES: usize = 32;
/// Finished flows read at once.
const PAGE: usize = 10_000;
/// A consent may become visible this much after the moment it carries.
const OVERLAP: Duration = Duration::from_secs(10);
/// Nobody asked for a challenge for this long: no need to read.
const IDLE: Duration = Duration::from_secs(3600);

/// Flows that are over, newest first: as many as half an hour of heavy traffic leaves.
const MEMORY: NonZeroUsize = NonZeroUsize::new(200_000).expect("it is not zero");

/// Flows that are over, by the step that is over. Shared with the handlers.
pub struct Finished {
    logins: Mutex<LruCache<Uuid, ()>>,
    consents: Mutex<LruCache<Uuid, ()>>,
    logouts: Mutex<LruCache<Uuid, ()>>,
    asked_at: AtomicI64,
}

impl Default for Finished {
    fn default() -> Self {
        let empty = || Mutex::new(LruCache::new(MEMORY));
        Self { logins: empty(), consents: empty(), logouts: empty(), asked_at: AtomicI64::new(0) }
    }
}

fn note(set: &Mutex<LruCache<Uuid, ()>>, id: Uuid) {
    set.lock().unwrap_or_else(PoisonError::into_inner).put(id, ());
}

fn has(set: &Mutex<LruCache<Uuid, ()>>, id: Uuid) -> bool {
    set.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
}

impl Finished {
    /// The login of this flow came back.
    pub fn login(&self, flow: Uuid) {
        note(&self.logins, flow);
    }

    /// This consent was granted.
    pub fn consent(&self, consent: Uuid) {
        note(&self.consents, consent);
    }

    /// This login session was ended by a logout.
    pub fn logout(&self, session: Uuid) {
        note(&self.logouts, session);
    }

    /// Whether a login session is known to have ended by a logout.
    pub fn is_logout_over(&self, session: Uuid) -> bool {
        has(&self.logouts, session)
    }

    /// Whether the login of a flow, or the consent that follows it, is known to be over.
    pub fn is_login_over(&self, flow: Uuid, consent: Uuid, now: Timestamp) -> bool {
        has(&self.logins, flow) || self.is_consent_over(consent, now)
    }

    /// Whether a consent is known to be over.
    pub fn is_consent_over(&self, consent: Uuid, now: Timestamp) -> bool {
        self.asked_at.store(now.micros(), Ordering::Relaxed);
        has(&self.consents, consent)
    }

    fn is_idle(&self, now: Timestamp) -> bool {
        now.since(Timestamp::from_micros(self.asked_at.load(Ordering::Relaxed))) > IDLE
    }
}

/// What the actor works with.
pub struct Parts {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Delivers logout tokens.
    pub courier: Arc<dyn Courier>,
    /// Flows that are over.
    pub finished: Arc<Finished>,
}

/// The actor.
pub struct FlowCoordinator {
    parts: Parts,
    lanes: Lanes<FlowWrite, FlowVerdict>,
    /// Up to where finished flows were read.
    read_to: Timestamp,
    /// Something was in the outbox when it was counted last.
    outstanding: bool,
    /// A round is under way.
    in_round: bool,
    alive: Alive,
}

impl FlowCoordinator {
    /// An idle coordinator.
    pub fn new(parts: Parts, alive: Alive) -> Self {
        let read_to = parts.clock.now().minus(IDLE);
        Self { parts, lanes: Lanes::new(), read_to, outstanding: true, in_round: false, alive }
    }

    fn flush(&mut self, ctx: &mut Context<Self>) {
        while let Some(mut batch) = self.lanes.take() {
            let writes = batch.len();
            self.parts.metrics.actor_batch(labels::Actor::FlowCoordinator, u32::try_from(writes).unwrap_or(u32::MAX));
            let (store, span) = (Arc::clone(&self.parts.store), lanes::trace(&SPANS, &mut batch));
            let work =
                async move { lanes::commit(batch, span, &*store, |store, writes| store.write_flows(writes)).await };
            ctx.spawn(work.into_actor(self).map(move |(), this, ctx| {
                this.lanes.give_back(writes);
                this.flush(ctx);
            }));
        }
        // A delivery that is left half done would wait until its lease ends.
        if !self.in_round && self.lanes.is_drained() {
            self.alive.farewell();
            ctx.stop();
        }
    }

    /// One look at the outbox and at other replicas' finished flows, then the next one.
    fn round(&mut self, ctx: &mut Context<Self>) {
        self.in_round = true;
        let Parts { store, courier, metrics, finished, clock } = &self.parts;
        let (store, courier, metrics) = (Arc::clone(store), Arc::clone(courier), Arc::clone(metrics));
        let (idle, finished) = (finished.is_idle(clock.now()), Arc::clone(finished));
        let (since, outstanding) = (self.read_to.minus(OVERLAP), self.outstanding);
        let work = async move {
            let tried = empty_outbox(&*store, &*courier).await;
            let left = if tried || outstanding { count_outbox(&*store, &metrics).await } else { false };
            (left, if idle { None } else { read_finished(&*store, &finished, since).await })
        };
        ctx.spawn(work.into_actor(self).map(|(left, read_to), this, ctx| {
            this.outstanding = left;
            this.read_to = read_to.unwrap_or(this.read_to);
            this.in_round = false;
            this.flush(ctx);
            ctx.run_later(ROUND, |this, ctx| this.round(ctx));
        }));
    }
}

/// Tries what is due; whether anything was. What cannot be claimed or settled now is due again when its lease ends.
async fn empty_outbox(store: &dyn Store, courier: &dyn Courier) -> bool {
    let due = match store.claim_deliveries(DELIVERIES, LEASE).await {
        Ok(due) => due,
        Err(error) => {
            tracing::debug!(%error, "the outbox of logout tokens could not be read");
            return false;
        }
    };
    let tried = !due.is_empty();
    futures_util::stream::iter(due)
        .for_each_concurrent(DELIVERIES, |delivery| async move {
            let outcome = courier.deliver(&delivery).await;
            note_outcome(store, &delivery, outcome).await;
        })
        .await;
    tried
}

/// What is not noted is tried again, though its client may have taken it.
async fn note_outcome(store: &dyn Store, delivery: &LogoutDelivery, outcome: Delivered) {
    for left in (0..NOTES).rev() {
        match store.settle_delivery(delivery, outcome).await {
            Ok(()) => return,
            Err(_) if left > 0 => tokio::time::sleep(ROUND).await,
            Err(error) => {
                tracing::warn!(%error, client_id = delivery.client_id, "a logout token's outcome could not be noted");
            }
        }
    }
}

/// Exports how much is in the outbox; whether anything is, or nobody can say.
async fn count_outbox(store: &dyn Store, metrics: &Metrics) -> bool {
    let Ok(depth) = store.outbox_depth().await else { return true };
    metrics.logout_outbox(depth.waiting, depth.dead);
    depth.waiting + depth.dead > 0
}

/// Reads what other replicas granted; up to where.
async fn read_finished(store: &dyn Store, finished: &Finished, since: Timestamp) -> Option<Timestamp> {
    let page = store.consents_since(since, PAGE).await.ok()?;
    for (id, _) in &page {
        finished.consent(*id);
    }
    page.last().map(|(_, at)| *at)
}

impl Actor for FlowCoordinator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.round(ctx);
    }
}

impl Handler<Admitted<Commit>> for FlowCoordinator {
    type Result = ResponseFuture<Result<FlowVerdict, StoreError>>;

    fn handle(&mut self, m: Admitted<Commit>, ctx: &mut Self::Context) -> Self::Result {
        let answer = self.lanes.push(m, |Commit(write)| write);
        self.flush(ctx);
        answer
    }
}

impl Handler<Admitted<Drain>> for FlowCoordinator {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Admitted<Drain>, ctx: &mut Self::Context) -> Self::Result {
        let finished = self.lanes.drain();
        self.flush(ctx);
        Box::pin(async move {
            let _ = finished.await;
        })
    }
}
