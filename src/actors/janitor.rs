//! Janitor: deletes what is expired, in bounded batches, under the store's lease. Driven by the clock; nobody waits
//! for it. A batch that was full is followed by the next one after a pause that leaves room for traffic, and is as large as
//! a short transaction allows: traffic feels a long one.

use super::mailbox::{Admitted, Alive};
use crate::domain::world::Clock;
use crate::store::{Store, Sweep, SweepCounts};
use crate::telemetry::metrics::Metrics;
use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Stop.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Stop;

/// Shortest and longest pause between two batches while there is more, and how many times as long as a batch it is.
const BREATH: Duration = Duration::from_millis(50);
const LONGEST_BREATH: Duration = Duration::from_secs(1);
const REST: u32 = 9;
/// How long a batch should take, and how few rows are worth one.
const SHORT: Duration = Duration::from_millis(10);
const FEW: usize = 200;

/// How much is swept at a time, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From one sweep to the next.
    pub interval: Duration,
    /// Rows of each kind in one transaction, at most.
    pub batch: usize,
}

/// How many rows to take next, after a full batch of `rows` took so long.
fn next_batch(rows: usize, took: Duration, most: usize) -> usize {
    let next = if took > SHORT {
        rows / 2
    } else if took < SHORT / 2 {
        rows * 2
    } else {
        rows
    };
    next.max(FEW).min(most)
}

/// The pause after a full batch.
fn breath(took: Duration) -> Duration {
    took.saturating_mul(REST).clamp(BREATH, LONGEST_BREATH)
}

/// The actor.
pub struct Janitor {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    pace: Pace,
    rows: usize,
    alive: Alive,
}

impl Janitor {
    /// Sweeps at this pace.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>, pace: Pace, alive: Alive) -> Self {
        metrics.register_janitor_tables(&SweepCounts::TABLES);
        metrics.janitor_interval(pace.interval.as_secs_f64());
        Self { store, clock, metrics, pace, rows: FEW.min(pace.batch), alive }
    }

    fn book(&self, ctx: &mut Context<Self>, after: Duration) {
        ctx.run_later(after, |this, ctx| {
            let (store, batch, began) = (Arc::clone(&this.store), this.rows, Instant::now());
            let turn = async move { store.sweep(batch).await }.into_actor(this).map(move |swept, this, ctx| {
                let next = this.note(swept, began.elapsed());
                this.book(ctx, next);
            });
            ctx.spawn(turn);
        });
    }

    /// Exports what happened; when to come again.
    fn note(&mut self, swept: Result<Sweep, crate::store::StoreError>, took: Duration) -> Duration {
        match swept {
            Ok(Sweep::Swept(n)) => {
                self.metrics.janitor_leader(true);
                for (table, rows) in n.by_table() {
                    self.metrics.janitor_deleted(table, rows);
                    let full = usize::try_from(rows).is_ok_and(|rows| rows >= self.rows);
                    self.metrics.janitor_backlog(table, full && table != SweepCounts::IN_HOURS);
                }
                #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit a float")]
                self.metrics.janitor_swept(self.clock.now().secs() as f64, took.as_secs_f64());
                if !n.more {
                    return self.pace.interval;
                }
                self.rows = next_batch(self.rows, took, self.pace.batch);
                breath(took)
            }
            Ok(Sweep::Elsewhere) => {
                self.metrics.janitor_leader(false);
                SweepCounts::TABLES.iter().for_each(|table| self.metrics.janitor_backlog(table, false));
                self.pace.interval
            }
            Err(error) => {
                tracing::warn!(%error, "expired rows were not swept");
                self.pace.interval
            }
        }
    }
}

impl Actor for Janitor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.book(ctx, self.pace.interval.min(Duration::from_secs(1)));
    }
}

impl Handler<Admitted<Stop>> for Janitor {
    type Result = ();

    fn handle(&mut self, _: Admitted<Stop>, ctx: &mut Self::Context) {
        self.alive.farewell();
        ctx.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_as_large_as_a_short_transaction_allows() {
        let ms = Duration::from_millis;
        let mut rows = FEW;
        for _ in 0..5 {
            rows = next_batch(rows, ms(3), 1000);
        }
        assert_eq!(rows, 1000, "quick ones grow up to what the operator allows");
        assert_eq!(next_batch(rows, ms(7), 1000), 1000);
        assert_eq!(next_batch(rows, ms(40), 1000), 500);
        assert_eq!(next_batch(FEW, ms(900), 1000), FEW);
        assert_eq!(next_batch(50, ms(900), 50), 50, "the operator's word counts");
        assert_eq!((breath(ms(1)), breath(ms(20)), breath(ms(900))), (ms(50), ms(180), ms(1000)));
    }
}
