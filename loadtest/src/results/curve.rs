//! The curve as markdown.

use std::fmt::Write as _;

use super::glance::thousands;
use crate::curve::Curve;
use crate::report::{Report, warning};

pub fn section(curves: &[Curve]) -> String {
    let mut text = "\n## From idle to full\n\nClosed loops over few and many connections, then open loops at shares of the best of \
                    them, where latency counts from the moment when a request was due. Milliseconds.\n\n| path | loop | \
                    ok/s | p50 | p90 | p99 | p99.9 | max | failed | cores |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---|\n"
        .to_owned();
    let mut void = String::new();
    for Curve { closed, open } in curves {
        let closed = closed.iter().map(|report| (report.pace.clone(), report));
        let open = open.iter().map(|(share, report)| (format!("{share} %: {}", report.pace), report));
        for (pace, report) in closed.chain(open) {
            row(&mut text, &pace, report);
            if let Some(warning) = warning(report) {
                let _ = writeln!(void, "\nVoid: {}, {pace} ({warning}).", report.scenario);
            }
        }
    }
    text + &void
}

fn row(text: &mut String, pace: &str, report: &Report) {
    let ms = report.latency_ms;
    let cores = report.processes.iter().map(|(name, cost)| format!("{name} {:.2}", cost.cores));
    let _ = writeln!(
        text,
        "| {} | {pace} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {} | {} |",
        report.scenario,
        thousands(report.per_second),
        ms.p50,
        ms.p90,
        ms.p99,
        ms.p99_9,
        ms.max,
        report.failed,
        cores.collect::<Vec<_>>().join(", ")
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::made_up;

    #[test]
    fn every_point_is_a_line_and_a_broken_one_is_void() {
        let point = |pace: &str, failed| Report { pace: pace.to_owned(), failed, ..made_up("refresh", 1200.0, 2.5) };
        let closed = vec![point("closed, 1 connections", 0), point("closed, 256 connections", 0)];
        let text = section(&[Curve { closed, open: vec![(70, point("open, 840/s", 1))] }]);
        for line in [
            "| refresh | closed, 1 connections | 1,200 | 2.50 | 2.50 | 2.50 | 2.50 | 2.50 | 0 |  |\n",
            "| refresh | closed, 256 connections | 1,200 |",
            "| refresh | 70 %: open, 840/s | 1,200 |",
            "Void: refresh, 70 %: open, 840/s (1 of 1 failed).",
        ] {
            assert!(text.contains(line), "{text}");
        }
        assert_eq!(text.matches("Void").count(), 1);
    }
}
