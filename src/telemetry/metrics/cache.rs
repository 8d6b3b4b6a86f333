//! Metrics of the introspection cache.

use super::{Grid, Metrics, Table};
use crate::telemetry::labels::{CacheAnswer, CacheFault, Eviction, NewsPath};
use prometheus::{Histogram, IntCounter, IntGauge};

pub(super) struct CacheTable {
    answers: Grid<IntCounter>,
    faults: Grid<IntCounter>,
    evictions: Grid<IntCounter>,
    entries: IntGauge,
    failed: IntCounter,
    lag: Grid<Histogram>,
    bypassed: IntGauge,
}

impl CacheTable {
    pub(super) fn new(table: &Table) -> Result<Self, prometheus::Error> {
        Ok(Self {
            answers: table
                .counters(
                    "signet_introspection_cache_total",
                    "Lookups in the introspection cache; all but local and redis went on to the database.",
                    &[CacheAnswer::label("result")],
                )?
                .all(),
            faults: table
                .counters(
                    "signet_redis_faults_total",
                    "Calls of Redis that brought nothing, by reason.",
                    &[CacheFault::label("reason")],
                )?
                .all(),
            evictions: table
                .counters(
                    "signet_introspection_cache_evictions_total",
                    "Answers that left the tier inside the process.",
                    &[Eviction::label("reason")],
                )?
                .all(),
            entries: table
                .gauge("signet_introspection_cache_entries", "Answers kept in the tier inside the process.")?,
            failed: table.counter(
                "signet_revocation_news_failed_total",
                "Revocations that the other replicas could not be told of; they act within the staleness bound.",
            )?,
            lag: table
                .histograms(
                    "signet_revocation_lag_seconds",
                    "Seconds that a canary took through Redis: to this replica itself, or to a peer and back.",
                    LAG,
                    &[NewsPath::label("path")],
                )?
                .all(),
            bypassed: table.gauge(
                "signet_introspection_cache_bypassed",
                "1 while every introspection asks the database because the news from Redis are not heard.",
            )?,
        })
    }
}

/// Bucket bounds in seconds: an alert is set on five.
const LAG: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0];

impl Metrics {
    /// Counts a lookup in the introspection cache.
    pub fn cache_answer(&self, answer: CacheAnswer) {
        self.cache.answers.with([answer.place()], |series| series.inc());
    }

    /// Says how the cache is at this moment: whether everybody is sent on to the database, and how many answers the
    /// process itself keeps.
    pub fn cache_state(&self, bypassed: bool, entries: usize) {
        self.cache.bypassed.set(i64::from(bypassed));
        self.cache.entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
    }

    /// Counts an answer that left the tier inside the process.
    pub fn cache_eviction(&self, why: Eviction) {
        self.cache.evictions.with([why.place()], |series| series.inc());
    }

    /// Counts a call of Redis that brought nothing.
    pub fn cache_fault(&self, fault: CacheFault) {
        self.cache.faults.with([fault.place()], |series| series.inc());
    }

    /// Counts a revocation that the other replicas were not told of.
    pub fn cache_invalidation_failed(&self) {
        self.cache.failed.inc();
    }

    /// Records how long a canary took, in seconds.
    pub fn cache_news_lag(&self, path: NewsPath, seconds: f64) {
        self.cache.lag.with([path.place()], |series| series.observe(seconds));
    }
}
