//! What one run found, as a value, as a table and as a row of markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::watch::Reading;

/// One run of one scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub scenario: String,
    /// `closed, 64 connections` or `open, 2000/s`.
    pub pace: String,
    pub seconds: f64,
    /// Requests answered (or rows inserted) inside the measured window.
    pub requests: u64,
    pub failed: u64,
    /// Successes a second.
    pub per_second: f64,
    pub latency_ms: Latency,
    pub outcomes: BTreeMap<String, u64>,
    pub processes: BTreeMap<String, Cost>,
    pub postgres: Option<BTreeMap<String, f64>>,
}

/// Percentiles in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p99_9: f64,
    pub max: f64,
}

impl Latency {
    /// From a histogram of microseconds.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p99_9: at(0.999), max: histogram.max() as f64 / 1000.0 }
    }
}

/// What a run cost one watched process.
#[derive(Clone, Copy, Debug, Serialize)]
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

/// The table printed after a run.
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    let lat = report.latency_ms;
    let _ = writeln!(text, "{} ({}), {:.1} s measured", report.scenario, report.pace, report.seconds);
    let _ = writeln!(
        text,
        "  ok/s      {:>12.0}   requests {}   failed {}",
        report.per_second, report.requests, report.failed
    );
    let _ = writeln!(
        text,
        "  ms        p50 {:.2}   p90 {:.2}   p99 {:.2}   p99.9 {:.2}   max {:.2}",
        lat.p50, lat.p90, lat.p99, lat.p99_9, lat.max
    );
    for (outcome, count) in &report.outcomes {
        let _ = writeln!(text, "  outcome   {count:>12}   {outcome}");
    }
    for (name, cost) in &report.processes {
        let _ = writeln!(
            text,
            "  {name:<9} {:>12.3} CPU s per 1000 requests   {:.2} cores   {:.0} MB peak",
            cost.cpu_seconds_per_1000, cost.cores, cost.peak_rss_mb
        );
    }
    for (name, value) in report.postgres.iter().flatten() {
        let _ = writeln!(text, "  postgres  {value:>12.3} {name} per request");
    }
    if let Some(warning) = warning(report) {
        let _ = writeln!(text, "  WARNING   {warning}");
    }
    text
}

/// Why a run is worth nothing, if it is: nothing measured, too much failed, or a generator without idle time, which
/// measures itself.
pub fn warning(report: &Report) -> Option<String> {
    if report.requests == 0 {
        return Some("nothing was measured: raise --tokens or lower --warmup".to_owned());
    }
    if report.failed * 1000 > report.requests {
        return Some(format!("{} of {} failed", report.failed, report.requests));
    }
    let cores = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
    let used = report.processes.get(crate::GENERATOR)?.cores;
    (used > 0.8 * cores).then(|| format!("the generator used {used:.1} of {cores:.0} cores: this figure is its own"))
}

/// The heading of the markdown table of runs.
pub const MARKDOWN_HEADING: &str = "| scenario | pace | ok/s | p50 ms | p99 ms | p99.9 ms | failed | CPU s / 1000 requests | peak MB | statements / request |\n|---|---|---:|---:|---:|---:|---:|---|---|---:|\n";

/// One run as a row under [`MARKDOWN_HEADING`].
pub fn markdown_row(report: &Report) -> String {
    let each = |show: &dyn Fn(&Cost) -> String| {
        let parts: Vec<_> = report.processes.iter().map(|(name, cost)| format!("{name} {}", show(cost))).collect();
        parts.join(", ")
    };
    let statements = report.postgres.as_ref().and_then(|found| found.get("statements"));
    format!(
        "| {} | {} | {:.0} | {:.2} | {:.2} | {:.2} | {} | {} | {} | {} |\n",
        report.scenario,
        report.pace,
        report.per_second,
        report.latency_ms.p50,
        report.latency_ms.p99,
        report.latency_ms.p99_9,
        report.failed,
        each(&|cost| format!("{:.3}", cost.cpu_seconds_per_1000)),
        each(&|cost| format!("{:.0}", cost.peak_rss_mb)),
        statements.map_or_else(|| "-".to_owned(), |n| format!("{n:.3}")),
    )
}
