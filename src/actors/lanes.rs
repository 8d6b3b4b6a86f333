//! Group commit, shared by the actors that write for many callers.
//!
//! Batches make themselves: while a lane is free a write goes at once, else it waits for the next commit with all that
//! came meanwhile. No timer, so no latency when idle. An answer comes after the commit.

use super::mailbox::{Admitted, Ticket};
use super::width::Width;
use crate::store::{Store, StoreError};
use crate::telemetry::traces;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use std::time::Instant;
use tokio::sync::oneshot;
use tracing::{Instrument, Span, debug_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Largest batch: the flat part of the measured curve begins near 100 rows.
const BATCH: usize = 256;
/// Members of a batch that was refused as a whole that are tried by themselves at once: one may have to wait for a row,
/// and the others do not wait for it.
const ALONE: usize = 4;

/// Somebody's write and who waits for it.
pub(super) struct Waiting<W, V> {
    write: W,
    /// The request's wait, so that its trace leads to the commit it shared.
    span: Span,
    /// When it was queued.
    since: Instant,
    reply: oneshot::Sender<Result<V, StoreError>>,
    ticket: Ticket,
}

impl<W, V> Waiting<W, V> {
    /// Ends the wait; what is traced ends before whoever waits goes on.
    fn answer(self, verdict: Result<V, StoreError>) {
        let Self { span, reply, ticket, .. } = self;
        drop(span);
        let _ = reply.send(verdict);
        drop(ticket);
    }
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

    /// Queues the write of a message; the answer to wait for.
    pub(super) fn push<M>(&mut self, m: Admitted<M>, write: impl FnOnce(M) -> W) -> Answer<V> {
        let (reply, answer) = oneshot::channel();
        let (msg, ticket, span) = m.open();
        self.queue.push(Waiting { write: write(msg), span, since: Instant::now(), reply, ticket });
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
        Some(self.queue.drain(..self.queue.len().min(BATCH)).collect())
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

/// What the spans of a commit are called.
pub(super) struct Names {
    /// The commit as one request sees it.
    pub(super) commit: &'static str,
    /// The commit itself.
    pub(super) batch: &'static str,
}

/// Opens the spans of a commit. Each traced request gets one of its own, in its own trace, that says which batch it was
/// in, how large that was, and where in it; the batch's, with what the database does below it, belongs to the first of
/// them, and is linked with all. Nothing for a batch that nobody traces.
pub(super) fn trace<W, V>(names: &Names, batch: &mut [Waiting<W, V>]) -> Span {
    let Some(first) = batch.iter().position(|waiting| !waiting.span.is_disabled()) else { return Span::none() };
    // Whole numbers that are signed arrive as numbers.
    let size = i64::try_from(batch.len()).unwrap_or(i64::MAX);
    for (position, waiting) in (0_i64..).zip(batch.iter_mut()).skip(first).filter(|(_, w)| !w.span.is_disabled()) {
        waiting.span = debug_span!(
            parent: &waiting.span,
            "actor.commit",
            otel.name = names.commit,
            signet.batch.size = size,
            signet.batch.position = position,
            signet.batch.wait = waiting.since.elapsed().as_secs_f64(),
        );
    }
    let mut traced = batch.iter().map(|waiting| &waiting.span).filter(|span| !span.is_disabled()).peekable();
    let parent = traced.peek().copied().and_then(Span::id);
    let all = debug_span!(parent: parent, "actor.batch", otel.name = names.batch, signet.batch.size = size);
    let id = traces::span_id(&all);
    for span in traced {
        traces::link(&all, span);
        span.set_attribute("signet.batch.id", id.clone());
    }
    all.set_attribute("signet.batch.id", id);
    all
}

/// Commits a batch and answers everyone in it. A batch that the database refuses as a whole, for what one of its
/// members holds or waits for, is tried member by member, so that one row fails alone; a database that is away answers
/// all.
pub(super) async fn commit<W, V, F>(batch: Vec<Waiting<W, V>>, span: Span, store: &dyn Store, write: F)
where
    W: Clone + Send + 'static,
    V: Clone + Send + 'static,
    F: for<'a> Fn(&'a dyn Store, &'a [W]) -> BoxFuture<'a, Result<Vec<V>, StoreError>>,
{
    let writes: Vec<W> = batch.iter().map(|w| w.write.clone()).collect();
    match write(store, &writes).instrument(span).await {
        Ok(verdicts) => {
            for (waiting, verdict) in batch.into_iter().zip(verdicts) {
                waiting.answer(Ok(verdict));
            }
        }
        Err(error) if writes.len() < 2 || matches!(error, StoreError::Unavailable(_)) => {
            for waiting in batch {
                if matches!(error, StoreError::Unavailable(_) | StoreError::Held(_)) {
                    traces::fail(&waiting.span, "unavailable");
                }
                waiting.answer(Err(error.clone()));
            }
        }
        Err(_) => {
            let write = &write;
            let one_by_one = futures_util::stream::iter(batch).for_each_concurrent(ALONE, |waiting| async move {
                let alone = write(store, std::slice::from_ref(&waiting.write)).instrument(waiting.span.clone());
                let verdict = alone
                    .await
                    .and_then(|v| v.first().cloned().ok_or_else(|| StoreError::Corrupt("no verdict".to_owned())));
                waiting.answer(verdict);
            });
            one_by_one.await;
        }
    }
}
