//! What must hold of a history, whatever failed meanwhile. Pure functions: each rule takes the history and gives a
//! verdict, with the number of cases on which it was checked.

mod consumed;
mod introspected;
mod lives;
mod logouts;
mod machines;
mod secrets;
mod signatures;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use serde::Serialize;

use super::history::{Key, Micros, Op, Record};
use super::jwks::Poll;
use super::play::Window;
use super::vitals::Vital;

pub use lives::Lives;
pub use machines::Rows;

/// Violations that a report shows.
const SHOWN: usize = 5;

/// What a rule found.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    pub name: &'static str,
    pub rule: &'static str,
    pub cases: usize,
    pub violations: usize,
    /// The first of them.
    pub shown: Vec<String>,
    /// What was measured.
    pub note: String,
}

impl Verdict {
    fn new(name: &'static str, rule: &'static str) -> Self {
        Self { name, rule, cases: 0, violations: 0, shown: Vec::new(), note: String::new() }
    }

    fn case(&mut self, holds: bool, what: impl FnOnce() -> String) {
        self.cases += 1;
        if !holds {
            self.violations += 1;
            if self.shown.len() < SHOWN {
                self.shown.push(what());
            }
        }
    }

    pub fn holds(&self) -> bool {
        self.violations == 0
    }
}

/// What was seen of a soak.
pub struct Seen<'a> {
    pub records: &'a [Record],
    pub windows: &'a [Window],
    pub polls: &'a [Poll],
    pub vitals: &'a [Vital],
    /// Open connections of the replicas to PostgreSQL at the end, and how many they may have.
    pub connections: (i64, i64),
    pub rows: &'a Rows,
    /// Grants with two refresh tokens that could be used.
    pub double_chains: i64,
    /// Answers of PostgreSQL to commits that were swallowed.
    pub lost_answers: usize,
    pub panics: &'a [String],
    /// Processes that were started.
    pub restarts: usize,
    /// What the replicas and the faults did not do as they should.
    pub failures: &'a [String],
    /// `introspection.staleness`.
    pub bound: Micros,
    /// No grace for refresh tokens.
    pub strict: bool,
    /// When everything that was issued was asked for once more.
    pub audit: Micros,
}

/// Every rule on a history.
pub fn check(seen: &Seen<'_>) -> Vec<Verdict> {
    let (lives, uses) = (Lives::of(seen.records, seen.strict), Uses::of(seen.records));
    vec![
        consumed::code_once(seen, &lives, &uses),
        consumed::one_successor(&uses),
        introspected::reuse_ends(seen, &lives),
        introspected::revoked_is_inactive(seen, &lives),
        introspected::death_is_final(seen),
        introspected::no_phantom(seen, &lives),
        introspected::issued_is_durable(seen, &lives),
        consumed::failure_consumes_nothing(seen, &lives, &uses),
        consumed::unknown_is_resolved(seen, &lives, &uses),
        consumed::single_use(&uses),
        consumed::other_browser(seen, &uses),
        signatures::verify(seen),
        secrets::all_open(seen),
        introspected::expiry(seen, &lives),
        introspected::claims(seen),
        logouts::clients_are_told(seen),
        introspected::nothing_lost(seen, &lives),
        machines::errors(seen),
        machines::behaviour(seen),
        machines::vitals(seen),
        machines::connections(seen),
        machines::rows(seen),
        machines::panics(seen),
    ]
}

/// The requests that presented each credential, in the order of their beginnings.
pub struct Uses<'a>(HashMap<(Op, Key), Vec<&'a Record>>);

impl<'a> Uses<'a> {
    pub fn of(records: &'a [Record]) -> Self {
        let mut uses: HashMap<_, Vec<_>> = HashMap::new();
        let used = [Op::Code, Op::Refresh, Op::Assertion, Op::Device, Op::Verifier];
        for record in records.iter().filter(|record| used.contains(&record.op)) {
            uses.entry((record.op, record.key)).or_default().push(record);
        }
        uses.values_mut().for_each(|all| all.sort_by_key(|record| record.from));
        Self(uses)
    }

    /// Those of one kind.
    fn all(&self, op: Op) -> impl Iterator<Item = &[&'a Record]> {
        self.0.iter().filter(move |((of, _), _)| *of == op).map(|(_, all)| all.as_slice())
    }

    fn get(&self, op: Op, key: Key) -> &[&'a Record] {
        self.0.get(&(op, key)).map(Vec::as_slice).unwrap_or_default()
    }
}

/// A time for a message.
fn at(time: Micros) -> String {
    format!("{:.3} s", time as f64 / 1e6)
}
