//! What introspection said, held against what the tokens went through.

use std::collections::HashMap;

use super::lives::{Life, Lives, Why};
use super::{Seen, Verdict, at};
use crate::soak::history::{ACTIVE, INACTIVE, Key, Micros, Op, Outcome, Record, SOMEBODY_ELSES};

/// How far a token may outlive its time: times are told in whole seconds.
const SKEW: Micros = 1_000_000;

/// Introspections of tokens that are known.
fn seen_lives<'a>(seen: &Seen<'a>, lives: &'a Lives) -> impl Iterator<Item = (&'a Record, &'a Life)> {
    let answered = seen.records.iter().filter(|record| record.is(Op::Introspect, Outcome::Ok));
    answered.filter_map(|record| Some((record, lives.get(record.key)?)))
}

/// Whoever asks later than the bound after such an end must hear "inactive".
fn after(verdict: &mut Verdict, seen: &Seen<'_>, lives: &Lives, fit: fn(Why) -> bool, phantoms: bool) {
    for (record, life) in seen_lives(seen, lives) {
        let Some((by, end)) = lives.ended(life, fit) else { continue };
        if (life.born >= end.from) == phantoms && record.from > by + seen.bound {
            verdict.case(record.what == INACTIVE, || {
                let late = (record.from - by) as f64 / 1e6;
                format!("{} was {} at {}, {late:.1} s after {:?}", record.key, record.what, at(record.from), end.why)
            });
        }
    }
}

pub fn reuse_ends(seen: &Seen<'_>, lives: &Lives) -> Verdict {
    let mut verdict = Verdict::new("I-3", "after a reuse that was refused, no token of the grant is active");
    after(&mut verdict, seen, lives, |why| why == Why::Reused, false);
    verdict
}

pub fn revoked_is_inactive(seen: &Seen<'_>, lives: &Lives) -> Verdict {
    let mut verdict = Verdict::new("I-4", "what was revoked, or replaced by a refresh, is inactive after the bound");
    after(&mut verdict, seen, lives, |why| matches!(why, Why::Revoked | Why::Used), false);
    verdict
}

/// Tokens whose issue raced the end of their grant.
pub fn no_phantom(seen: &Seen<'_>, lives: &Lives) -> Verdict {
    let mut verdict = Verdict::new("I-6", "nothing that is issued while or after its grant ends is valid");
    after(&mut verdict, seen, lives, |why| matches!(why, Why::Revoked | Why::Reused), true);
    for record in seen.records.iter().filter(|record| record.is(Op::Refresh, Outcome::Ok)) {
        let ended = lives.family(record.family).iter().filter_map(|end| end.by).min();
        if let Some(by) = ended {
            verdict
                .case(record.from <= by, || format!("a refresh at {} of a grant over at {}", at(record.from), at(by)));
        }
    }
    verdict
}

pub fn death_is_final(seen: &Seen<'_>) -> Verdict {
    let mut verdict = Verdict::new("I-5", "once inactive anywhere, a token is active nowhere after the bound");
    let mut died: HashMap<Key, Micros> = HashMap::new();
    let answered = || seen.records.iter().filter(|record| record.is(Op::Introspect, Outcome::Ok));
    for record in answered().filter(|record| record.what == INACTIVE) {
        let first = died.entry(record.key).or_insert(record.to);
        *first = record.to.min(*first);
    }
    for record in answered() {
        if let Some(died) = died.get(&record.key)
            && record.from > died + seen.bound
        {
            verdict.case(record.what == INACTIVE, || {
                format!("{} was inactive at {} and {} at {}", record.key, at(*died), record.what, at(record.from))
            });
        }
    }
    verdict
}

pub fn issued_is_durable(seen: &Seen<'_>, lives: &Lives) -> Verdict {
    let mut verdict = Verdict::new("I-7", "a token that a client has seen is active until something may have ended it");
    alive(&mut verdict, seen, lives, 0);
    verdict
}

pub fn nothing_lost(seen: &Seen<'_>, lives: &Lives) -> Verdict {
    let rule = "every token that was acknowledged, and neither ended nor expired, is active when all is over";
    let mut verdict = Verdict::new("nothing lost", rule);
    alive(&mut verdict, seen, lives, seen.audit);
    verdict
}

fn alive(verdict: &mut Verdict, seen: &Seen<'_>, lives: &Lives, since: Micros) {
    for (record, life) in seen_lives(seen, lives) {
        if record.from >= since && !lives.may_have_ended(life, record.to) {
            verdict.case(record.what == ACTIVE, || {
                format!("{} of {} was {} at {}", record.key, at(life.born), record.what, at(record.from))
            });
        }
    }
}

/// What is kept in a cache has its time with it: the bound is no excuse.
pub fn expiry(seen: &Seen<'_>, lives: &Lives) -> Verdict {
    let mut verdict = Verdict::new("I-14", "nothing is accepted after its time, whatever a cache holds");
    for (record, life) in seen_lives(seen, lives) {
        if let Some((by, _)) = lives.ended(life, |why| why == Why::Expired)
            && record.from > by + SKEW
        {
            verdict.case(record.what == INACTIVE, || format!("{} over at {}: {}", record.key, at(by), record.what));
        }
    }
    verdict
}

/// That stale answers end with the bound is I-3 to I-6.
pub fn claims(seen: &Seen<'_>) -> Verdict {
    let mut verdict = Verdict::new("I-15", "no answer has another token's claims, and what nobody issued is nothing");
    for record in seen.records.iter().filter(|record| record.op == Op::Introspect && record.outcome == Outcome::Ok) {
        verdict.case(record.what != SOMEBODY_ELSES, || format!("{} at {}", record.key, at(record.from)));
    }
    for record in seen.records.iter().filter(|record| record.op == Op::Garbage && record.outcome != Outcome::Unknown) {
        let refused = record.what == INACTIVE || record.outcome == Outcome::Fail;
        verdict.case(refused, || format!("garbage was {} at {}", record.what, at(record.from)));
    }
    verdict
}
