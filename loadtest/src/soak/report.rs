//! The report of a soak, as markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use super::changes::SCALED;
use super::checker::Verdict;
use super::history::{Op, Outcome, Record, counted};
use super::play::Window;

const MINUTE: u64 = 60_000_000;

/// What a report says of the run itself.
#[derive(Default)]
pub struct Told {
    pub title: &'static str,
    pub seed: u64,
    pub rate: f64,
    pub replicas: u8,
    /// Of replicas that an operator ended.
    pub restarts: Option<u32>,
}

/// A verdict in one line.
pub fn line(verdict: &Verdict) -> String {
    let judged = if verdict.holds() { "holds" } else { "BROKEN" };
    let mut line = format!("{judged:<6} {:<14} {} ({} cases", verdict.name, verdict.rule, verdict.cases);
    if !verdict.holds() {
        let _ = write!(line, ", {} violations: {}", verdict.violations, verdict.shown.join("; "));
    }
    line + ")"
}

/// Writes the report.
pub fn write(told: &Told, records: &[Record], windows: &[Window], verdicts: &[Verdict], path: &Path) -> Result<()> {
    let mut out = String::new();
    head(&mut out, told, records, verdicts);
    scaled(&mut out, records, windows);
    rules(&mut out, verdicts);
    faults(&mut out, windows);
    operations(&mut out, records);
    minutes(&mut out, records, windows);
    std::fs::write(path, out).with_context(|| format!("cannot write {}", path.display()))
}

fn head(out: &mut String, told: &Told, records: &[Record], verdicts: &[Verdict]) {
    let seconds = records.iter().map(|record| record.to).max().unwrap_or_default() / 1_000_000;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let broken = verdicts.iter().filter(|verdict| !verdict.holds()).count();
    let judged = if broken == 0 { "every rule holds".to_owned() } else { format!("{broken} rules are broken") };
    let restarts = told.restarts.map(|count| format!(", {count} restarts")).unwrap_or_default();
    let _ = write!(
        out,
        "# {}: {judged}\n\n{} replicas, PostgreSQL, Redis, balancer and clients on one machine with {cores} cores \
         (Linux {}). Seed {}, {:.0} units of work a second, {} minutes {} seconds in all{restarts}, {} requests.\n",
        told.title,
        told.replicas,
        kernel.trim(),
        told.seed,
        told.rate,
        seconds / 60,
        seconds % 60,
        records.len()
    );
}

/// More replicas and fewer, with what was asked meanwhile.
fn scaled(out: &mut String, records: &[Record], windows: &[Window]) {
    let during = |window: &Window| {
        let meanwhile = records.iter().filter(|record| record.from <= window.to && record.to >= window.from);
        let (all, errors) =
            meanwhile.fold((0, 0), |(all, errors), one| (all + 1, errors + usize::from(one.is_error())));
        format!("{}, {all} requests meanwhile and {errors} without an answer", window.name)
    };
    let changes: Vec<_> = windows.iter().filter(|window| window.name.starts_with(SCALED)).map(during).collect();
    if !changes.is_empty() {
        let _ = writeln!(out, "\nScaled, all at once each time: {}.", changes.join("; "));
    }
}

fn rules(out: &mut String, verdicts: &[Verdict]) {
    out.push_str("\n## Rules\n\n| | rule | cases | verdict | |\n|---|---|---:|---|---|\n");
    for verdict in verdicts {
        let judged = match (verdict.holds(), verdict.cases) {
            (true, 0) => "no case".to_owned(),
            (true, _) => "holds".to_owned(),
            (false, _) => format!("**{} violations**", verdict.violations),
        };
        let _ =
            writeln!(out, "| {} | {} | {} | {judged} | {} |", verdict.name, verdict.rule, verdict.cases, verdict.note);
    }
    for verdict in verdicts.iter().filter(|verdict| !verdict.holds()) {
        let _ = writeln!(out, "\n{}, the first violations:\n", verdict.name);
        verdict.shown.iter().for_each(|shown| out.push_str(&format!("- {shown}\n")));
    }
}

fn faults(out: &mut String, windows: &[Window]) {
    if windows.is_empty() {
        return;
    }
    out.push_str("\n## Events\n\n| from, s | to, s | |\n|---:|---:|---|\n");
    for window in windows {
        let _ = writeln!(out, "| {:.1} | {:.1} | {} |", window.from as f64 / 1e6, window.to as f64 / 1e6, window.name);
    }
}

fn operations(out: &mut String, records: &[Record]) {
    out.push_str("\n## Operations\n\n| operation | outcomes | p50, ms | p99, ms |\n|---|---|---:|---:|\n");
    let mut outcomes: BTreeMap<Op, Vec<String>> = BTreeMap::new();
    for ((op, outcome, what), count) in counted(records) {
        let sort = match outcome {
            Outcome::Ok => "",
            Outcome::Fail => "refused: ",
            Outcome::Unknown => "unknown: ",
        };
        outcomes.entry(op).or_default().push(format!("{count} {sort}{what}"));
    }
    for (op, outcomes) in outcomes {
        let (p50, p99) = percentiles(records.iter().filter(|record| record.op == op));
        let _ = writeln!(out, "| {op:?} | {} | {p50:.1} | {p99:.1} |", outcomes.join(", "));
    }
}

fn minutes(out: &mut String, records: &[Record], windows: &[Window]) {
    out.push_str("\n## Minutes\n\n| minute | requests | without an answer | p50, ms | p99, ms | faults begun |\n");
    out.push_str("|---:|---:|---:|---:|---:|---|\n");
    let mut by_minute: BTreeMap<u64, Vec<&Record>> = BTreeMap::new();
    for record in records {
        by_minute.entry(record.from / MINUTE).or_default().push(record);
    }
    for (minute, of_minute) in by_minute {
        let (p50, p99) = percentiles(of_minute.iter().copied());
        let errors = of_minute.iter().filter(|record| record.is_error()).count();
        let begun: Vec<_> = windows.iter().filter(|window| window.from / MINUTE == minute).map(|w| &*w.name).collect();
        let _ =
            writeln!(out, "| {minute} | {} | {errors} | {p50:.1} | {p99:.1} | {} |", of_minute.len(), begun.join("; "));
    }
}

/// In milliseconds.
fn percentiles<'a>(records: impl Iterator<Item = &'a Record>) -> (f64, f64) {
    let mut took: Vec<u64> = records.map(|record| record.to - record.from).collect();
    took.sort_unstable();
    let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied().unwrap_or_default() as f64 / 1000.0;
    (at(0.5), at(0.99))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::history::{Key, UNSENT};

    fn record(from: u64, what: &'static str) -> Record {
        let (op, key, family, outcome) = (Op::Step, Key(1), Key(2), Outcome::Fail);
        Record { op, key, family, replica: None, from, to: from + 1, outcome, status: 503, what, gives: None }
    }

    #[test]
    fn more_replicas_and_fewer_are_told_with_what_was_asked_meanwhile() {
        let window = |from, name: &str| Window { from, to: from + 10, name: name.to_owned(), excuses: None };
        let windows =
            [window(10, "from 3 to 5 replicas"), window(30, "new signing keys"), window(50, "from 5 to 2 replicas")];
        let records = [record(5, UNSENT), record(12, "access_denied"), record(15, UNSENT), record(55, "access_denied")];
        let mut out = String::new();
        scaled(&mut out, &records, &windows);
        let wanted = "\nScaled, all at once each time: from 3 to 5 replicas, 2 requests meanwhile and 1 without an answer; \
                      from 5 to 2 replicas, 1 requests meanwhile and 0 without an answer.\n";
        assert_eq!(out, wanted);
        out.clear();
        scaled(&mut out, &records, windows.get(1..2).unwrap_or_default());
        assert_eq!(out, "");
    }
}
