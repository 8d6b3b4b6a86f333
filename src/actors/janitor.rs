//! Janitor: deletes what is expired, in bounded batches, under the store's lease. Driven by the clock; nobody waits
//! for it. A batch that was full is followed by the next one after a pause that leaves room for traffic.

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

/// Pause between two batches while there is more.
const BREATH: Duration = Duration::from_millis(100);

/// How much is swept at a time, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From one sweep to the next.
    pub interval: Duration,
    /// Rows of each kind in one transaction.
    pub batch: usize,
}

/// The actor.
pub struct Janitor {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    pace: Pace,
    alive: Alive,
}

impl Janitor {
    /// Sweeps at this pace.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>, pace: Pace, alive: Alive) -> Self {
        metrics.register_janitor_tables(&SweepCounts::default().by_table().map(|(table, _)| table));
        Self { store, clock, metrics, pace, alive }
    }

    fn book(&self, ctx: &mut Context<Self>, after: Duration) {
        ctx.run_later(after, |this, ctx| {
            let (store, batch, began) = (Arc::clone(&this.store), this.pace.batch, Instant::now());
            let turn = async move { store.sweep(batch).await }.into_actor(this).map(move |swept, this, ctx| {
                let next = this.note(swept, began.elapsed());
                this.book(ctx, next);
            });
            ctx.spawn(turn);
        });
    }

    /// Exports what happened; when to come again.
    fn note(&self, swept: Result<Sweep, crate::store::StoreError>, took: Duration) -> Duration {
        match swept {
            Ok(Sweep::Swept(n)) => {
                self.metrics.janitor_leader(true);
                for (table, rows) in n.by_table() {
                    self.metrics.janitor_deleted(table, rows);
                }
                #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit a float")]
                self.metrics.janitor_swept(self.clock.now().secs() as f64, took.as_secs_f64());
                if n.more { BREATH } else { self.pace.interval }
            }
            Ok(Sweep::Elsewhere) => {
                self.metrics.janitor_leader(false);
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
