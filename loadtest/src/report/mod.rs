//! What one run found, as a value.

pub mod table;

use std::borrow::Cow;
use std::collections::BTreeMap;

use hdrhistogram::{Counter, Histogram};
use serde::{Deserialize, Serialize};

use crate::tally;
use crate::watch::Reading;

/// One run of one scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub scenario: String,
    /// What is counted: requests, or whole flows, or rows.
    pub unit: Cow<'static, str>,
    /// `closed, 64 connections` or `open, 2000/s`.
    pub pace: String,
    pub seconds: f64,
    /// Units of work done (or rows inserted) inside the measured window.
    pub requests: u64,
    pub failed: u64,
    /// Successes a second.
    pub per_second: f64,
    /// Units really begun a second, and successes that really ended in the window, whenever they were due. Of an open
    /// loop that the server could not follow these are not what was asked.
    pub begun_per_second: f64,
    pub answered_per_second: f64,
    pub latency_ms: Latency,
    pub outcomes: BTreeMap<String, u64>,
    /// Kinds of units, or steps of one.
    pub parts: Vec<Part>,
    pub processes: BTreeMap<String, Cost>,
    pub postgres: Option<BTreeMap<String, f64>>,
}

/// Percentiles in milliseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p99_9: f64,
    pub max: f64,
}

impl Latency {
    /// From a histogram of microseconds.
    pub fn of<C: Counter>(histogram: &Histogram<C>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p99_9: at(0.999), max: histogram.max() as f64 / 1000.0 }
    }
}

/// One step of a unit of work, or one kind of units.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    pub name: Cow<'static, str>,
    pub count: u64,
    pub failed: u64,
    /// Successes a second.
    pub per_second: f64,
    pub latency_ms: Latency,
    /// How many took at most so many milliseconds and more than the bucket before.
    pub buckets: Vec<Bucket>,
}

/// A bar of a histogram.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Bucket {
    pub up_to_ms: f64,
    pub count: u64,
}

/// Upper bounds of buckets, in microseconds.
const BOUNDS: [u64; 15] = [
    250,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    600_000_000,
];

impl Part {
    pub fn of(name: &'static str, part: &tally::Part, seconds: f64) -> Self {
        let (count, latency) = (part.latency.len(), &part.latency);
        let mut below = 0;
        let bucket = |bound: u64| {
            let up_to = if bound > latency.max() { count } else { latency.count_between(0, bound) };
            let bucket = Bucket { up_to_ms: bound as f64 / 1000.0, count: up_to.saturating_sub(below) };
            below = up_to;
            bucket
        };
        Self {
            name: name.into(),
            count,
            failed: part.failed,
            per_second: (count - part.failed.min(count)) as f64 / seconds,
            latency_ms: Latency::of(latency),
            buckets: BOUNDS.into_iter().map(bucket).filter(|bucket| bucket.count > 0).collect(),
        }
    }
}

/// What a run cost one watched process.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Cost {
    pub cpu_seconds: f64,
    pub cpu_seconds_per_1000: f64,
    /// CPU seconds per second: 1.0 is one core.
    pub cores: f64,
    pub peak_rss_mb: f64,
}

/// The cost between two readings. A process that was not there at both ends is left out.
pub fn costs(
    before: &BTreeMap<String, Reading>,
    after: &BTreeMap<String, Reading>,
    requests: u64,
    seconds: f64,
) -> BTreeMap<String, Cost> {
    let thousands = (requests as f64 / 1000.0).max(f64::MIN_POSITIVE);
    after
        .iter()
        .filter_map(|(name, end)| {
            let cpu = (end.cpu_seconds - before.get(name)?.cpu_seconds).max(0.0);
            let cost = Cost {
                cpu_seconds: cpu,
                cpu_seconds_per_1000: if requests == 0 { 0.0 } else { cpu / thousands },
                cores: cpu / seconds.max(f64::MIN_POSITIVE),
                peak_rss_mb: end.rss_kb as f64 / 1024.0,
            };
            Some((name.clone(), cost))
        })
        .collect()
}

/// Why a run is worth nothing, if it is: nothing measured, too much failed, or a generator without idle time, which
/// measures itself.
pub fn warning(report: &Report) -> Option<String> {
    // What is measured there is the generator.
    let is_own = report.scenario.starts_with(crate::run_set::SIGN);
    // Refusals in a storm are what was asked for.
    let storm = report.parts.iter().any(|part| part.name == crate::scenarios::REFUSED);
    broken(report).filter(|_| !storm).or_else(|| {
        let cores = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
        let used = report.processes.get(crate::GENERATOR)?.cores;
        let own = || format!("the generator used {used:.1} of {cores:.0} cores: this figure is its own");
        (used > 0.8 * cores && !is_own).then(own)
    })
}

/// The warnings that are not about the generator.
pub fn broken(report: &Report) -> Option<String> {
    if report.requests == 0 {
        return Some("nothing was measured: raise --tokens or lower --warmup".to_owned());
    }
    (report.failed * 1000 > report.requests).then(|| format!("{} of {} failed", report.failed, report.requests))
}

/// A report for tests of what is computed from reports.
#[cfg(test)]
pub fn made_up(scenario: &str, per_second: f64, p99: f64) -> Report {
    Report {
        scenario: scenario.to_owned(),
        unit: "request".into(),
        pace: String::new(),
        seconds: 1.0,
        requests: 1,
        failed: 0,
        per_second,
        begun_per_second: per_second,
        answered_per_second: per_second,
        latency_ms: Latency { p50: p99, p90: p99, p99, p99_9: p99, max: p99 },
        outcomes: BTreeMap::new(),
        parts: Vec::new(),
        processes: BTreeMap::new(),
        postgres: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_every_sample_once() -> anyhow::Result<()> {
        let mut latency = Histogram::new_with_bounds(1, 600_000_000, 2)?;
        for micros in [100, 200, 700, 3_000, 40_000_000] {
            latency.record(micros)?;
        }
        let part = Part::of("a", &tally::Part { latency, failed: 1 }, 2.0);
        let found: Vec<_> = part.buckets.iter().map(|bucket| (bucket.up_to_ms, bucket.count)).collect();
        assert_eq!(found, [(0.25, 2), (1.0, 1), (5.0, 1), (600_000.0, 1)]);
        assert!((part.per_second - 2.0).abs() < f64::EPSILON);
        Ok(())
    }
}
