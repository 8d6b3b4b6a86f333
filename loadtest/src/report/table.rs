//! A report as the text that is printed, and as a row of markdown.

use std::fmt::Write as _;

use super::{Cost, Part, Report, warning};
use crate::postgres::{STATEMENTS, WAL, WRITES};
use crate::scenarios::INACTIVE_AFTER;

/// The table printed after a run.
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    let (lat, unit) = (report.latency_ms, &report.unit);
    let _ = writeln!(text, "{} ({}), {:.1} s measured", report.scenario, report.pace, report.seconds);
    let _ = writeln!(
        text,
        "  ok/s      {:>12.0}   {unit}s {}   failed {}",
        report.per_second, report.requests, report.failed
    );
    let _ = writeln!(
        text,
        "  ms        p50 {:.2}   p90 {:.2}   p99 {:.2}   p99.9 {:.2}   max {:.2}",
        lat.p50, lat.p90, lat.p99, lat.p99_9, lat.max
    );
    report.parts.iter().for_each(|part| text.push_str(&part_lines(part)));
    for (outcome, count) in &report.outcomes {
        let _ = writeln!(text, "  outcome   {count:>12}   {outcome}");
    }
    for (name, cost) in &report.processes {
        let _ = writeln!(
            text,
            "  {name:<9} {:>12.3} CPU s per 1000 {unit}s   {:.2} cores   {:.0} MB peak",
            cost.cpu_seconds_per_1000, cost.cores, cost.peak_rss_mb
        );
    }
    for (name, value) in report.postgres.iter().flatten() {
        let _ = writeln!(text, "  postgres  {value:>12.3} {name} per {unit}");
    }
    if let Some(warning) = warning(report) {
        let _ = writeln!(text, "  WARNING   {warning}");
    }
    text
}

fn part_lines(part: &Part) -> String {
    let (lat, failed) = (part.latency_ms, part.failed);
    let mut text = format!(
        "  part      {:>12.0}/s p50 {:.2}   p99 {:.2}   max {:.2}   failed {failed}   {}\n",
        part.per_second, lat.p50, lat.p99, lat.max, part.name
    );
    if part.name == INACTIVE_AFTER {
        let most = part.buckets.iter().map(|bucket| bucket.count).max().unwrap_or(1).max(1);
        for bucket in &part.buckets {
            let bar = "#".repeat(usize::try_from(bucket.count * 40 / most).unwrap_or(0));
            let _ = writeln!(text, "  {:>10} ms {:>9}   {bar}", bucket.up_to_ms, bucket.count);
        }
    }
    text
}

/// The heading of the markdown table of runs.
pub const MARKDOWN_HEADING: &str = "| scenario | pace | ok/s | p50 ms | p99 ms | p99.9 ms | failed | CPU s / 1000 | peak MB | statements each | writing transactions each | WAL bytes each |\n|---|---|---:|---:|---:|---:|---:|---|---|---:|---:|---:|\n";

/// One run as a row under [`MARKDOWN_HEADING`].
pub fn markdown_row(report: &Report) -> String {
    let each = |show: &dyn Fn(&Cost) -> String| {
        let parts: Vec<_> = report.processes.iter().map(|(name, cost)| format!("{name} {}", show(cost))).collect();
        parts.join(", ")
    };
    let counted = |name: &str, digits: usize| {
        let found = report.postgres.as_ref().and_then(|found| found.get(name));
        found.map_or_else(|| "-".to_owned(), |n| format!("{n:.digits$}"))
    };
    format!(
        "| {} | {} | {:.0} | {:.2} | {:.2} | {:.2} | {} | {} | {} | {} | {} | {} |\n",
        report.scenario,
        report.pace,
        report.per_second,
        report.latency_ms.p50,
        report.latency_ms.p99,
        report.latency_ms.p99_9,
        report.failed,
        each(&|cost| format!("{:.3}", cost.cpu_seconds_per_1000)),
        each(&|cost| format!("{:.0}", cost.peak_rss_mb)),
        counted(STATEMENTS, 3),
        counted(WRITES, 3),
        counted(WAL, 0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::made_up;

    #[test]
    fn a_row_has_what_the_database_counted_and_a_cell_for_every_heading() {
        let mut report = made_up("a", 1.0, 1.0);
        let ends = |report: &Report, end: &str| markdown_row(report).ends_with(end);
        assert!(ends(&report, "| - | - | - |\n"), "{}", markdown_row(&report));
        let found = [(WRITES, 0.0123), (WAL, 456.7), (STATEMENTS, 1.5)];
        report.postgres = Some(found.map(|(name, value)| (name.to_owned(), value)).into());
        assert!(ends(&report, "| 1.500 | 0.012 | 457 |\n"), "{}", markdown_row(&report));
        for line in MARKDOWN_HEADING.lines() {
            assert_eq!(line.matches('|').count(), markdown_row(&report).matches('|').count());
        }
    }
}
