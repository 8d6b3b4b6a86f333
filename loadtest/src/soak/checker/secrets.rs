//! What was issued, sealed or signed under one system secret, while the replicas go over to another.

use super::{Seen, Verdict, at};
use crate::soak::history::{Key, Op, Outcome, Record};

pub fn all_open(seen: &Seen<'_>) -> Verdict {
    let rule = "whatever is made under a system secret opens on every replica at every step of its rotation";
    let mut verdict = Verdict::new("I-13", rule);
    let changes: Vec<_> = seen.records.iter().filter(|record| record.op == Op::Secret).collect();
    let mut across = 0;
    for record in seen.records.iter().filter(|record| !record.is_error()) {
        match record.op {
            Op::Open => {
                across += usize::from(newest(&changes, record).is_some_and(|newest| newest != record.family));
                verdict.case(record.outcome == Outcome::Ok, || told(record));
            }
            // A challenge, a verifier or a cookie of a flow.
            Op::Step => verdict.case(record.outcome == Outcome::Ok, || told(record)),
            _ => {}
        }
    }
    verdict.note = format!("{} starts with another list, {across} opened under another newest secret", changes.len());
    verdict
}

/// The newest secret of the replica that was asked.
fn newest(changes: &[&Record], asked: &Record) -> Option<Key> {
    let known = changes.iter().filter(|change| change.replica == asked.replica && change.to <= asked.from);
    known.max_by_key(|change| change.to).map(|change| change.key)
}

fn told(record: &Record) -> String {
    let replica = record.replica.map_or("no replica".to_owned(), |number| format!("replica {number}"));
    format!(
        "{:?} at {}, {replica}: {} {} answered {}",
        record.op,
        at(record.from),
        record.what,
        record.key,
        record.status
    )
}
