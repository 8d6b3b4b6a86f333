//! Metrics of the runtimes that drive futures, read when somebody scrapes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::{Counter, IntGauge};
use tokio::runtime::Handle;

use super::{Grid, Metrics, Table};
use crate::telemetry::labels::Runtime;

pub(super) struct Runtimes {
    busy: Grid<Counter>,
    workers: Grid<IntGauge>,
    tasks: Grid<IntGauge>,
    watched: Mutex<Vec<Watched>>,
}

struct Watched {
    which: Runtime,
    handle: Handle,
    /// How busy it had been when it was looked at last.
    told: Duration,
}

impl Runtimes {
    pub(super) fn new(table: &Table) -> Result<Self, prometheus::Error> {
        let runtime = [Runtime::label("runtime")];
        Ok(Self {
            busy: table
                .seconds_counters(
                    "signet_runtime_busy_seconds_total",
                    "Seconds that threads of a runtime worked.",
                    &runtime,
                )?
                .all(),
            workers: table.gauges("signet_runtime_workers", "Threads of a runtime.", &runtime)?.all(),
            tasks: table.gauges("signet_runtime_tasks", "Tasks alive in a runtime.", &runtime)?.all(),
            watched: Mutex::default(),
        })
    }

    /// Brings the series up to date.
    pub(super) fn look(&self) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        for which in Runtime::ALL {
            let (mut workers, mut tasks) = (0, 0);
            for one in watched.iter_mut().filter(|one| one.which == *which) {
                let now = one.handle.metrics();
                let busy =
                    (0..now.num_workers()).map(|worker| now.worker_total_busy_duration(worker)).sum::<Duration>();
                let more = busy.saturating_sub(one.told).as_secs_f64();
                self.busy.with([which.place()], |series| series.inc_by(more));
                one.told = busy;
                workers += now.num_workers();
                tasks += now.num_alive_tasks();
            }
            let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
            self.workers.with([which.place()], |series| series.set(count(workers)));
            self.tasks.with([which.place()], |series| series.set(count(tasks)));
        }
    }
}

impl Metrics {
    /// Tells from now on of a runtime, by its handle; one that ends is told of as it was.
    pub fn watch_runtime(&self, which: Runtime, handle: Handle) {
        let mut watched = self.runtimes.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.push(Watched { which, handle, told: Duration::ZERO });
    }
}
