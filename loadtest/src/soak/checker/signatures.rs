//! Every JWT verifies against the keys that every replica publishes.

use std::collections::HashMap;

use super::{Seen, Verdict, at};
use crate::soak::history::{Key, Micros};

pub fn verify(seen: &Seen<'_>) -> Verdict {
    let rule = "every JWT verifies, and every replica publishes its key from its first signature on";
    let mut verdict = Verdict::new("I-12", rule);
    // For each key the beginning of the first request whose answer it signed.
    let mut first: HashMap<Key, Micros> = HashMap::new();
    for record in seen.records {
        for signed in record.gives.iter().flat_map(|gives| &gives.signed) {
            verdict.case(signed.verified, || format!("a JWT of {} does not verify", at(record.to)));
            let known = first.entry(signed.kid).or_insert(record.from);
            *known = record.from.min(*known);
        }
    }
    for (kid, since) in &first {
        for poll in seen.polls.iter().filter(|poll| poll.from >= *since) {
            verdict.case(poll.kids.contains(kid), || {
                format!("replica {} at {} without {kid}, which signs since {}", poll.replica, at(poll.from), at(*since))
            });
        }
    }
    verdict.note = format!("{} keys signed", first.len());
    verdict
}
