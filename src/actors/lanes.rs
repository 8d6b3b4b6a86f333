//! Group commit, shared by the actors that write for many callers.
//!
//! Batches make themselves: while a lane is free a write goes at once, else it waits for the next commit with all that
//! came meanwhile. No timer, so no latency when idle. An answer comes after the commit.

use super::mailbox::Ticket;
use super::width::Width;
use crate::store::{Store, StoreError};
use futures_util::future::BoxFuture;
use std::time::Instant;
use tokio::sync::oneshot;
use tracing::{Span, debug_span};

/// Largest batch: the flat part of the measured curve begins near 100 rows.
const BATCH: usize = 256;

/// Somebody's write and who waits for it.
pub(super) struct Waiting<W, V> {
    write: W,
    /// The request that waits, so that its trace leads to the commit it shared.
    span: Span,
    reply: oneshot::Sender<Result<V, StoreError>>,
    ticket: Ticket,
}

/// The answer to one write.
pub(super) type Answer<V> = BoxFuture<'static, Result<V, StoreError>>;

/// What waits, and how many commits may still begin.
pub(super) struct Lanes<W, V> {
    queue: Vec<Waiting<W, V>>,
    under_way: usize,
    width: Width,
    draining: Vec<oneshot::Sender<()>>,
}

impl<W: Clone + Send + 'static, V: Clone + Send + 'static> Lanes<W, V> {
    /// Idle.
    pub(super) const fn new() -> Self {
        Self { queue: Vec::new(), under_way: 0, width: Width::new(), draining: Vec::new() }
    }

    /// Queues a write; the answer to wait for.
    pub(super) fn push(&mut self, write: W, span: Span, ticket: Ticket) -> Answer<V> {
        let (reply, answer) = oneshot::channel();
        self.queue.push(Waiting { write, span, reply, ticket });
        Box::pin(async move {
            answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the process is stopping".to_owned())))
        })
    }

    /// The next batch, if there is one and a lane is free; the lane is taken.
    pub(super) fn take(&mut self) -> Option<Vec<Waiting<W, V>>> {
        if self.under_way >= self.width.lanes() || self.queue.is_empty() {
            return None;
        }
        self.under_way += 1;
        let mut batch: Vec<_> = self.queue.drain(..self.queue.len().min(BATCH)).collect();
        batch.iter_mut().for_each(|waiting| waiting.ticket.begin());
        Some(batch)
    }

    /// A commit of so many writes has ended.
    pub(super) fn give_back(&mut self, writes: usize) {
        self.under_way -= 1;
        self.width.committed(Instant::now(), writes, !self.queue.is_empty());
    }

    /// Asks to be told when nothing is left.
    pub(super) fn drain(&mut self) -> oneshot::Receiver<()> {
        let (done, finished) = oneshot::channel();
        self.draining.push(done);
        finished
    }

    /// Whether somebody asked to be told and nothing is left; tells them.
    pub(super) fn is_drained(&mut self) -> bool {
        if !self.queue.is_empty() || self.under_way > 0 || self.draining.is_empty() {
            return false;
        }
        for waiter in self.draining.drain(..) {
            let _ = waiter.send(());
        }
        true
    }
}

/// The span of a batch's commit: a child of the first traced request in it, with a link from it to each of the others.
pub(super) fn span<W, V>(name: &'static str, batch: &[Waiting<W, V>]) -> Span {
    let mut traced = batch.iter().map(|w| &w.span).filter(|span| !span.is_disabled());
    let Some(first) = traced.next() else { return Span::none() };
    let span = debug_span!(parent: first, "actor.commit", otel.name = name, batch = batch.len());
    for other in traced {
        span.follows_from(other);
    }
    span
}

/// Commits a batch and answers everyone in it. A batch that the database refuses as a whole, for what one of its
/// members holds, is tried member by member, so that one bad row fails alone; a database that is away answers all.
pub(super) async fn commit<W, V, F>(batch: Vec<Waiting<W, V>>, store: &dyn Store, write: F)
where
    W: Clone + Send + 'static,
    V: Clone + Send + 'static,
    F: for<'a> Fn(&'a dyn Store, &'a [W]) -> BoxFuture<'a, Result<Vec<V>, StoreError>>,
{
    let writes: Vec<W> = batch.iter().map(|w| w.write.clone()).collect();
    match write(store, &writes).await {
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
                let one = write(store, std::slice::from_ref(&waiting.write)).await;
                let verdict =
                    one.and_then(|v| v.first().cloned().ok_or_else(|| StoreError::Corrupt("no verdict".to_owned())));
                let _ = waiting.reply.send(verdict);
            }
        }
    }
}
