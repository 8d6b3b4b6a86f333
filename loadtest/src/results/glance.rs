//! The table at the top of the report.

use std::fmt::Write as _;

use super::goals::{Goal, Limit, Unit};
use crate::spread::Spread;

pub fn table(goals: &[Goal]) -> String {
    let mut text =
        "| path | measured (median, lowest to highest round) | limit | reached |\n|---|---|---|---|\n".to_owned();
    for goal in goals {
        let (found, reached) = match (goal.found, goal.reached()) {
            (Some(found), Some(true)) => (measured(found, goal.unit), "yes"),
            (Some(found), _) => (measured(found, goal.unit), "**no**"),
            (None, _) => ("not measured".to_owned(), "-"),
        };
        let limit = match goal.limit {
            Limit::AtLeast(limit) => format!("at least {}", figure(limit, goal.unit)),
            Limit::AtMost(limit) => format!("at most {}", figure(limit, goal.unit)),
            Limit::Below(limit) => format!("less than {}", figure(limit, goal.unit)),
        };
        let _ = writeln!(text, "| {} | {found} | {limit} | {reached} |", goal.path);
    }
    text
}

fn measured(found: Spread, unit: Unit) -> String {
    let median = figure(found.median, unit);
    if found.low == found.high {
        return median;
    }
    format!("{median} ({} to {})", figure(found.low, unit), figure(found.high, unit))
}

/// A figure with its unit.
fn figure(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Ratio if value >= 10.0 => format!("{value:.1}"),
        Unit::Ratio => format!("{value:.2}"),
        Unit::PerSecond => format!("{}/s", thousands(value)),
        Unit::Megabytes => format!("{value:.0} MB"),
        Unit::Milliseconds if value < 10.0 => format!("{value:.1} ms"),
        Unit::Milliseconds => format!("{value:.0} ms"),
    }
}

/// `12,345`.
pub fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(limit: Limit, unit: Unit, found: Option<Spread>) -> String {
        let goal = Goal { path: "a".to_owned(), limit, unit, found };
        table(&[goal]).lines().last().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_goal_is_reached_by_its_median() {
        let spread = |low, median, high| Some(Spread { low, median, high });
        let least = Limit::AtLeast(0.5);
        assert_eq!(
            line(least, Unit::Ratio, spread(0.4, 0.5, 0.6)),
            "| a | 0.50 (0.40 to 0.60) | at least 0.50 | yes |"
        );
        assert_eq!(
            line(least, Unit::Ratio, spread(0.4, 0.49, 0.6)),
            "| a | 0.49 (0.40 to 0.60) | at least 0.50 | **no** |"
        );
        let most = Limit::AtMost(40.0);
        assert_eq!(line(most, Unit::Megabytes, Some(Spread::single(40.0))), "| a | 40 MB | at most 40 MB | yes |");
        assert_eq!(
            line(most, Unit::Megabytes, spread(39.0, 41.0, 41.0)),
            "| a | 41 MB (39 MB to 41 MB) | at most 40 MB | **no** |"
        );
        let below = Limit::Below(5.0);
        assert_eq!(
            line(below, Unit::Milliseconds, Some(Spread::single(4.94))),
            "| a | 4.9 ms | less than 5.0 ms | yes |"
        );
        assert_eq!(
            line(below, Unit::Milliseconds, Some(Spread::single(5.0))),
            "| a | 5.0 ms | less than 5.0 ms | **no** |"
        );
        assert_eq!(
            line(Limit::AtLeast(15_000.0), Unit::PerSecond, None),
            "| a | not measured | at least 15,000/s | - |"
        );
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0.0, 999.0, 1000.0, 1_234_567.4].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
