//! What the machines did: errors outside of faults, memory, connections, rows, panics.

use std::collections::{BTreeMap, BTreeSet};

use super::{Seen, Verdict, at};
use crate::soak::history::{Micros, Op, Outcome, Record};
use crate::soak::play::Window;
use crate::soak::vitals::Vital;

/// After the end of a fault errors are still excused for so long.
const AFTER: Micros = 5_000_000;
/// A process that lived shorter says nothing about growth.
const LONG_ENOUGH: Micros = 300_000_000;

/// Rows at the end, by table.
pub type Rows = BTreeMap<String, i64>;

pub fn errors(seen: &Seen<'_>) -> Verdict {
    let mut verdict = Verdict::new("no errors", "outside of faults, and 5 s after, every request has a proper answer");
    let excused = |record: &Record| is_excused(seen, record.replica, record.from, record.to);
    for record in seen.records.iter().filter(|record| !excused(record)) {
        verdict.case(!record.is_error(), || {
            let replica = record.replica.map_or("no replica".to_owned(), |number| format!("replica {number}"));
            format!("{:?} at {}: {} {}, {replica}", record.op, at(record.from), record.status, record.what)
        });
    }
    let excused: Vec<_> = seen.records.iter().filter(|record| record.is_error() && excused(record)).collect();
    let late = excused.iter().map(|record| healing(record, seen.windows)).max().unwrap_or_default() as f64 / 1e6;
    verdict.note =
        format!("{} errors are excused by faults, the last begun {late:.1} s after its fault", excused.len());
    verdict
}

/// Whether a fault that excuses this replica (who is unknown: any), or the time after one, was between these times.
pub fn is_excused(seen: &Seen<'_>, replica: Option<u8>, from: Micros, to: Micros) -> bool {
    seen.windows.iter().any(|window| window.excuses(replica) && from <= window.to + AFTER && to >= window.from)
}

/// How long after the end of a fault a request began; nothing for one that met a fault itself.
fn healing(record: &Record, windows: &[Window]) -> Micros {
    let after = windows.iter().filter(|window| window.excuses(record.replica) && record.to >= window.from);
    after.map(|window| record.from.saturating_sub(window.to)).min().unwrap_or_default()
}

/// Faults that could not be played, a replica that did not start or end as it should.
pub fn behaviour(seen: &Seen<'_>) -> Verdict {
    let mut verdict = Verdict::new("processes", "every replica starts, ends with 0 after SIGTERM, and heals");
    verdict.cases = seen.restarts + seen.windows.len();
    for failure in seen.failures {
        verdict.case(false, || failure.clone());
    }
    verdict
}

pub fn vitals(seen: &Seen<'_>) -> Verdict {
    let rule = "memory, open files and threads of a process stay as they are";
    let mut verdict = Verdict::new("flat", rule);
    let lives: BTreeSet<_> = seen.vitals.iter().map(|vital| (vital.replica, vital.life)).collect();
    let mut most = (0, 0, 0);
    for vital in seen.vitals {
        most = (most.0.max(vital.rss_kb), most.1.max(vital.fds), most.2.max(vital.threads));
    }
    for (replica, life) in lives {
        let of_life: Vec<_> = seen.vitals.iter().filter(|v| (v.replica, v.life) == (replica, life)).collect();
        let span = of_life.last().map_or(0, |last| last.at) - of_life.first().map_or(0, |first| first.at);
        if span < LONG_ENOUGH {
            continue;
        }
        type Measure = fn(&Vital) -> u64;
        let measures: [(&str, Measure, u64); 3] =
            [("KB", |v| v.rss_kb, 8 * 1024), ("files", |v| v.fds, 16), ("threads", |v| v.threads, 4)];
        for (unit, measure, slack) in measures {
            let values: Vec<u64> = of_life.iter().map(|vital| measure(vital)).collect();
            let (middle, last) = thirds(&values);
            verdict.case(last <= middle + middle / 10 + slack, || {
                format!("replica {replica}, process {life}: {middle} {unit} became {last}")
            });
        }
    }
    verdict.note = format!("at most {} MB, {} files, {} threads", most.0 / 1024, most.1, most.2);
    verdict
}

/// The medians of the second and of the last third.
fn thirds(values: &[u64]) -> (u64, u64) {
    let third = values.len() / 3;
    let median = |from: usize, to: usize| {
        let mut part = values.get(from..to).unwrap_or_default().to_vec();
        part.sort_unstable();
        part.get(part.len() / 2).copied().unwrap_or_default()
    };
    (median(third, 2 * third), median(2 * third, values.len()))
}

pub fn connections(seen: &Seen<'_>) -> Verdict {
    let mut verdict = Verdict::new("connections", "the replicas hold no more connections than their pools may");
    let (open, most) = seen.connections;
    verdict.case(open <= most, || format!("{open} connections at the end, {most} are allowed"));
    verdict.note = format!("{open} of {most} at the end");
    verdict
}

/// A row for whatever was issued and lives, or may have been issued; what has ended may be gone, and what is over must.
pub fn rows(seen: &Seen<'_>) -> Verdict {
    let mut verdict = Verdict::new("rows", "the tables hold no more rows than what was issued and is not over");
    let end = seen.records.last().map_or(0, |record| record.to);
    let mut notes = Vec::new();
    for (table, rows) in seen.rows {
        let most = seen.records.iter().filter(|record| makes(record, table, end)).count();
        verdict.case(usize::try_from(*rows).is_ok_and(|rows| rows <= most), || {
            format!("{table} has {rows} rows, {most} are explained")
        });
        notes.push(format!("{table} {rows} of {most}"));
    }
    verdict.note = notes.join(", ");
    verdict
}

/// How long after its time a row may still be there: the janitor comes every 10 s.
const SWEPT: Micros = 60_000_000;

/// Whether a request may have made a row that is still there.
fn makes(record: &Record, table: &str, end: Micros) -> bool {
    let user = matches!(record.op, Op::Code | Op::Refresh | Op::Device);
    let machine = matches!(record.op, Op::Token | Op::Assertion);
    let done = record.outcome != Outcome::Fail;
    match table {
        "access_token" => {
            let over = record
                .access()
                .and_then(|given| given.lives)
                .is_some_and(|seconds| record.to + Micros::from(seconds) * 1_000_000 + SWEPT < end);
            (user || machine) && done && !over
        }
        "refresh_token" => user && done,
        "authorization_code" | "consent" => record.op == Op::Verifier && done,
        "assertion_jti" => record.op == Op::Assertion && done,
        _ => false,
    }
}

pub fn panics(seen: &Seen<'_>) -> Verdict {
    let mut verdict = Verdict::new("no panics", "no replica panics");
    verdict.case(seen.panics.is_empty(), || seen.panics.join("; "));
    verdict
}
