//! What a set runs once, as markdown: its runs, and what came of those whose point is no rate.

use std::fmt::Write as _;

use crate::report::table::{MARKDOWN_HEADING, markdown_row};
use crate::report::{Report, warning};
use crate::scenarios::{INACTIVE_AFTER, compared};

pub fn section(once: &[Report]) -> String {
    if once.is_empty() {
        return String::new();
    }
    let mut text = format!("\n## Variants\n\nEach was run once.\n\n{MARKDOWN_HEADING}");
    once.iter().for_each(|report| text.push_str(&markdown_row(report)));
    text.push('\n');
    for (without, with) in once.iter().zip(once.iter().skip(1)) {
        if let Some(sentence) = compared(without, with) {
            let _ = writeln!(text, "- {sentence}");
        }
    }
    for report in once {
        if report.outcomes.len() > 1 {
            let each = report.outcomes.iter().map(|(name, count)| format!("{name}: {count}"));
            let _ = writeln!(text, "- {}: {}", report.scenario, each.collect::<Vec<_>>().join(", "));
        }
        for part in report.parts.iter().filter(|part| part.name == INACTIVE_AFTER) {
            let ms = part.latency_ms;
            let _ = writeln!(
                text,
                "- from the revocation's answer at one replica to the answer \"inactive\" of another with a local cache: p50 \
                 {:.2} ms, p99 {:.2} ms, at most {:.2} ms, of {} tokens",
                ms.p50, ms.p99, ms.max, part.count
            );
        }
        if let Some(warning) = warning(report) {
            let _ = writeln!(text, "- void: {} ({warning})", report.scenario);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Part, made_up};

    #[test]
    fn what_came_of_them_is_said() {
        assert_eq!(section(&[]), "");
        let part = |name, p99| {
            let latency_ms = made_up("a", 1.0, p99).latency_ms;
            Part { name, count: 7, failed: 0, per_second: 1.0, latency_ms, buckets: Vec::new() }
        };
        let with = |name, parts| Report { parts, ..made_up(name, 1.0, 1.0) };
        let mut twice = made_up("refresh, 5 % twice", 1.0, 1.0);
        twice.outcomes = [("200".to_owned(), 95), ("twice: 200 and 400".to_owned(), 5)].into();
        let text = section(&[
            with("right secrets only", vec![part("right secret".into(), 2.0)]),
            with("wrong-secrets 10 %", vec![part("right secret".into(), 3.0)]),
            twice,
            with("staleness", vec![part(INACTIVE_AFTER.into(), 4.0)]),
        ]);
        for line in [
            "- p99 of right secrets: 2.00 ms alone, 3.00 ms beside wrong ones\n",
            "- refresh, 5 % twice: 200: 95, twice: 200 and 400: 5\n",
            "p99 4.00 ms, at most 4.00 ms, of 7 tokens\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
