//! The metric table: one registry per process, built at boot and passed by `Arc`; every room to the right of telemetry
//! may record into it. Invariant: label values come from [`super::labels`] or are compile-time constants, every series
//! an alert could use exists from the first scrape, and a scrape reads memory only.

mod admission;
mod cache;
mod engine;
mod flows;
mod http;
mod oauth;
mod upkeep;

use std::sync::Arc;

pub use engine::DbTimer;
pub use http::{ActiveRequest, HttpSample};
use prometheus::core::{Collector, Metric, MetricVec, MetricVecBuilder};
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

/// Bucket bounds in seconds for work that is answered from memory or by one statement.
const FAST: &[f64] = &[0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];
/// Bucket bounds in seconds for whole requests; 0.025 and 0.25 are exact because objectives are set on them.
const REQUEST: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Bucket bounds in bytes: powers of four.
const BYTES: &[f64] = &[256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0];
/// Bucket bounds for counts of messages in one commit: powers of two.
const BATCH: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// Every metric of the process.
pub struct Metrics {
    registry: Registry,
    http: http::HttpTable,
    oauth: oauth::OauthTable,
    flows: flows::FlowTable,
    cache: cache::CacheTable,
    admission: admission::AdmissionTable,
    engine: engine::EngineTable,
    upkeep: upkeep::UpkeepTable,
}

impl Metrics {
    /// Builds the table with all series at zero. `version` is the release, shown in `signet_build_info`.
    ///
    /// # Errors
    /// Only when two metrics of the table share a name, which the tests rule out.
    pub fn new(version: &str) -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        let table = Table { registry: &registry };
        let (http, oauth) = (http::HttpTable::new(&table, version)?, oauth::OauthTable::new(&table)?);
        let (flows, cache) = (flows::FlowTable::new(&table)?, cache::CacheTable::new(&table)?);
        let admission = admission::AdmissionTable::new(&table)?;
        let (engine, upkeep) = (engine::EngineTable::new(&table)?, upkeep::UpkeepTable::new(&table, version)?);
        registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(Arc::new(Self { registry, http, oauth, flows, cache, admission, engine, upkeep }))
    }

    /// The Prometheus text exposition (format 0.0.4, `text/plain; version=0.0.4`).
    #[must_use]
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// The series of a metric with one label, found by the label's place instead of its text: for hot paths.
struct By<T>(Vec<T>);

impl<T> By<T> {
    /// Every series of `values`, which exist from now on.
    fn of<L: Copy>(values: &[L], series: impl Fn(L) -> T) -> Self {
        Self(values.iter().map(|value| series(*value)).collect())
    }

    /// The series of a metric whose one label has these values.
    fn label<L: Copy, B: MetricVecBuilder<M = T>>(of: &MetricVec<B>, values: &[L], text: fn(L) -> &'static str) -> Self
    where
        T: Metric,
    {
        Self::of(values, |value| of.with_label_values(&[text(value)]))
    }

    fn with(&self, place: usize, record: impl FnOnce(&T)) {
        if let Some(series) = self.0.get(place) {
            record(series);
        }
    }
}

/// Registers metrics while the table is built; one method per shape.
struct Table<'a> {
    registry: &'a Registry,
}

impl Table<'_> {
    fn add<M: Collector + Clone + 'static>(&self, metric: M) -> Result<M, prometheus::Error> {
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.add(IntCounter::new(name, help)?)
    }
    fn counters(&self, opts: Opts, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.add(IntCounterVec::new(opts, labels)?)
    }
    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.add(IntGauge::new(name, help)?)
    }
    fn seconds_gauge(&self, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
        self.add(Gauge::new(name, help)?)
    }
    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }
    fn seconds_gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
        self.add(GaugeVec::new(Opts::new(name, help), labels)?)
    }
    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
        self.add(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
    }
    fn histograms(&self, opts: Opts, buckets: &[f64], labels: &[&str]) -> Result<HistogramVec, prometheus::Error> {
        self.add(HistogramVec::new(HistogramOpts::from(opts).buckets(buckets.to_vec()), labels)?)
    }
}

#[cfg(test)]
mod tests;
