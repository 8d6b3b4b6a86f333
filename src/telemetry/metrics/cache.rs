//! Metrics of the introspection cache.

use super::{By, FAST, Metrics, Table};
use crate::telemetry::labels::{CacheAnswer, CacheFault, NewsPath};
use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts};

pub(super) struct CacheTable {
    answers: By<IntCounter>,
    faults: IntCounterVec,
    failed: IntCounter,
    lag: HistogramVec,
    bypassed: IntGauge,
}

impl CacheTable {
    pub(super) fn new(table: &Table<'_>) -> Result<Self, prometheus::Error> {
        let answers = table.counters(
            Opts::new(
                "signet_introspection_cache_total",
                "Lookups in the introspection cache; all but local and redis went on to the database.",
            ),
            &["result"],
        )?;
        let this = Self {
            answers: By::label(&answers, CacheAnswer::ALL, CacheAnswer::as_str),
            faults: table.counters(
                Opts::new("signet_redis_faults_total", "Calls of Redis that brought nothing, by reason."),
                &["reason"],
            )?,
            failed: table.counter(
                "signet_revocation_news_failed_total",
                "Revocations that the other replicas could not be told of; they act within the staleness bound.",
            )?,
            lag: table.histograms(
                Opts::new(
                    "signet_revocation_lag_seconds",
                    "Seconds that a canary took through Redis: to this replica itself, or to a peer and back.",
                ),
                FAST,
                &["path"],
            )?,
            bypassed: table.gauge(
                "signet_introspection_cache_bypassed",
                "1 while every introspection asks the database because the news from Redis are not heard.",
            )?,
        };
        for fault in CacheFault::ALL {
            let _ = this.faults.with_label_values(&[fault.as_str()]);
        }
        for path in NewsPath::ALL {
            let _ = this.lag.with_label_values(&[path.as_str()]);
        }
        Ok(this)
    }
}

impl Metrics {
    /// Counts a lookup in the introspection cache.
    pub fn cache_answer(&self, answer: CacheAnswer) {
        self.cache.answers.with(answer.place(), |series| series.inc());
        self.cache.bypassed.set(i64::from(answer == CacheAnswer::Bypassed));
    }

    /// Counts a call of Redis that brought nothing.
    pub fn cache_fault(&self, fault: CacheFault) {
        self.cache.faults.with_label_values(&[fault.as_str()]).inc();
    }

    /// Counts a revocation that the other replicas were not told of.
    pub fn cache_invalidation_failed(&self) {
        self.cache.failed.inc();
    }

    /// Records how long a canary took, in seconds.
    pub fn cache_news_lag(&self, path: NewsPath, seconds: f64) {
        self.cache.lag.with_label_values(&[path.as_str()]).observe(seconds);
    }
}
