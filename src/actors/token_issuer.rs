//! TokenIssuer: every write of a token. Many callers, one commit, each its own verdict (see `lanes`). Called by
//! the handlers of `http/public`.

use super::lanes::{self, Lanes, Names};
use super::mailbox::{Admitted, Alive};
use crate::store::{Store, StoreError, Verdict, Write};
use crate::telemetry::labels;
use crate::telemetry::metrics::Metrics;
use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, ResponseFuture, WrapFuture};
use std::sync::Arc;

const SPANS: Names = Names { commit: "actor.token_issuer.commit", batch: "actor.token_issuer.batch" };

/// Write this, with whoever comes along.
#[derive(Message)]
#[rtype(result = "Result<Verdict, StoreError>")]
pub struct Commit(pub Write);

/// Finish what is queued, then stop.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Drain;

/// The actor.
pub struct TokenIssuer {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    lanes: Lanes<Write, Verdict>,
    alive: Alive,
}

impl TokenIssuer {
    /// An idle issuer.
    pub fn new(store: Arc<dyn Store>, metrics: Arc<Metrics>, alive: Alive) -> Self {
        Self { store, metrics, lanes: Lanes::new(), alive }
    }

    fn flush(&mut self, ctx: &mut Context<Self>) {
        while let Some(mut batch) = self.lanes.take() {
            let writes = batch.len();
            self.metrics.actor_batch(labels::Actor::TokenIssuer, u32::try_from(writes).unwrap_or(u32::MAX));
            let (store, span) = (Arc::clone(&self.store), lanes::trace(&SPANS, &mut batch));
            let work =
                async move { lanes::commit(batch, span, &*store, |store, writes| store.write_tokens(writes)).await };
            ctx.spawn(work.into_actor(self).map(move |(), this, ctx| {
                this.lanes.give_back(writes);
                this.flush(ctx);
            }));
        }
        if self.lanes.is_drained() {
            self.alive.farewell();
            ctx.stop();
        }
    }
}

impl Actor for TokenIssuer {
    type Context = Context<Self>;
}

impl Handler<Admitted<Commit>> for TokenIssuer {
    type Result = ResponseFuture<Result<Verdict, StoreError>>;

    fn handle(&mut self, m: Admitted<Commit>, ctx: &mut Self::Context) -> Self::Result {
        let answer = self.lanes.push(m, |Commit(write)| write);
        self.flush(ctx);
        answer
    }
}

impl Handler<Admitted<Drain>> for TokenIssuer {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Admitted<Drain>, ctx: &mut Self::Context) -> Self::Result {
        let finished = self.lanes.drain();
        self.flush(ctx);
        Box::pin(async move {
            let _ = finished.await;
        })
    }
}
