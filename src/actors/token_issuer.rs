//! TokenIssuer: every write of a token. Many callers, one commit, each its own verdict.
//!
//! Batches make themselves: while a lane is free a write goes at once, else it waits for the next commit with all that
//! came meanwhile. No timer, so no latency when idle. Called by the handlers of `http/public`; an answer comes after
//! the commit.

use super::mailbox::{Admitted, Alive, Ticket};
use crate::store::{Store, StoreError, Verdict, Write};
use crate::telemetry::labels;
use crate::telemetry::metrics::Metrics;
use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, ResponseFuture, WrapFuture};
use std::sync::Arc;
use tokio::sync::oneshot;
use tracing::{Instrument, Span, debug_span};

/// Write this, with whoever comes along.
#[derive(Message)]
#[rtype(result = "Result<Verdict, StoreError>")]
pub struct Commit(pub Write);

/// Finish what is queued, then stop.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Drain;

/// Largest batch: the flat part of the measured curve begins near 100 rows.
const BATCH: usize = 256;
/// Commits under way at once. A second lane fills while the first waits for the disk.
const LANES: usize = 2;

struct Waiting {
    write: Write,
    /// The request that waits, so that its trace leads to the commit it shared.
    span: Span,
    reply: oneshot::Sender<Result<Verdict, StoreError>>,
    _ticket: Ticket,
}

/// The actor.
pub struct TokenIssuer {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    queue: Vec<Waiting>,
    lanes_free: usize,
    draining: Vec<oneshot::Sender<()>>,
    alive: Alive,
}

impl TokenIssuer {
    /// An idle issuer.
    pub fn new(store: Arc<dyn Store>, metrics: Arc<Metrics>, alive: Alive) -> Self {
        Self { store, metrics, queue: Vec::new(), lanes_free: LANES, draining: Vec::new(), alive }
    }

    fn flush(&mut self, ctx: &mut Context<Self>) {
        while self.lanes_free > 0 && !self.queue.is_empty() {
            let batch: Vec<Waiting> = self.queue.drain(..self.queue.len().min(BATCH)).collect();
            self.lanes_free -= 1;
            self.metrics.actor_batch(labels::Actor::TokenIssuer, u32::try_from(batch.len()).unwrap_or(u32::MAX));
            let span = shared_span(&batch);
            let work = commit(Arc::clone(&self.store), batch).instrument(span).into_actor(self).map(|(), this, ctx| {
                this.lanes_free += 1;
                this.flush(ctx);
            });
            ctx.spawn(work);
        }
        if self.queue.is_empty() && self.lanes_free == LANES && !self.draining.is_empty() {
            self.alive.farewell();
            for waiter in self.draining.drain(..) {
                let _ = waiter.send(());
            }
            ctx.stop();
        }
    }
}

/// The span of a commit: a child of the first traced request in it, with a link from it to each of the others.
fn shared_span(batch: &[Waiting]) -> Span {
    let mut traced = batch.iter().map(|w| &w.span).filter(|span| !span.is_disabled());
    let Some(first) = traced.next() else { return Span::none() };
    let span = debug_span!(parent: first, "actor.token_issuer.commit", batch = batch.len());
    for other in traced {
        span.follows_from(other);
    }
    span
}

/// Commits a batch and answers everyone in it. A batch that the database refuses as a whole, for what one of its
/// members holds, is tried member by member, so that one bad row fails alone; a database that is away answers all.
async fn commit(store: Arc<dyn Store>, batch: Vec<Waiting>) {
    let writes: Vec<Write> = batch.iter().map(|w| w.write.clone()).collect();
    match store.write_tokens(&writes).await {
        Ok(verdicts) => {
            for (waiting, verdict) in batch.into_iter().zip(verdicts) {
                let _ = waiting.reply.send(Ok(verdict));
            }
        }
        Err(StoreError::Unavailable(why)) => {
            for waiting in batch {
                let _ = waiting.reply.send(Err(StoreError::Unavailable(why.clone())));
            }
        }
        Err(_) => {
            for waiting in batch {
                let one = store.write_tokens(std::slice::from_ref(&waiting.write)).await;
                let verdict =
                    one.and_then(|v| v.first().copied().ok_or_else(|| StoreError::Corrupt("no verdict".to_owned())));
                let _ = waiting.reply.send(verdict);
            }
        }
    }
}

impl Actor for TokenIssuer {
    type Context = Context<Self>;
}

impl Handler<Admitted<Commit>> for TokenIssuer {
    type Result = ResponseFuture<Result<Verdict, StoreError>>;

    fn handle(&mut self, m: Admitted<Commit>, ctx: &mut Self::Context) -> Self::Result {
        let (reply, answer) = oneshot::channel();
        self.queue.push(Waiting { write: m.msg.0, span: m.span, reply, _ticket: m.ticket });
        self.flush(ctx);
        Box::pin(
            async move { answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the issuer ended".to_owned()))) },
        )
    }
}

impl Handler<Admitted<Drain>> for TokenIssuer {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Admitted<Drain>, ctx: &mut Self::Context) -> Self::Result {
        let (done, finished) = oneshot::channel();
        self.draining.push(done);
        self.flush(ctx);
        Box::pin(async move {
            let _ = finished.await;
        })
    }
}
