//! What can be used once: codes, refresh tokens, assertions, device codes, verifiers.

use std::collections::HashSet;

use super::lives::{End, Lives, Why};
use super::{Seen, Uses, Verdict, at};
use crate::soak::history::{ACTIVE, FORBIDDEN, INVALID_GRANT, Key, Op, Outcome, Record, UNSENT};

fn successes(uses: &[&Record]) -> usize {
    uses.iter().filter(|record| record.outcome == Outcome::Ok).count()
}

fn first_key(uses: &[&Record]) -> Key {
    uses.first().map_or(Key::default(), |record| record.key)
}

pub fn code_once(seen: &Seen<'_>, lives: &Lives, uses: &Uses<'_>) -> Verdict {
    let rule = "a code succeeds once at most; answered twice, everything issued on it ends";
    let mut verdict = Verdict::new("I-1", rule);
    let mut answered_twice = HashSet::new();
    for of_code in uses.all(Op::Code) {
        verdict.case(successes(of_code) <= 1, || format!("{} succeeded twice", first_key(of_code)));
        let answered = of_code.iter().filter(|record| record.outcome != Outcome::Unknown && record.what != UNSENT);
        if answered.count() > 1 {
            answered_twice.extend(of_code.iter().map(|record| record.family));
        }
    }
    active_after_reuse(&mut verdict, seen, lives, &answered_twice);
    verdict
}

/// Nothing of these grants is active after the bound.
fn active_after_reuse(verdict: &mut Verdict, seen: &Seen<'_>, lives: &Lives, families: &HashSet<Key>) {
    for record in seen.records.iter().filter(|record| record.op == Op::Introspect && families.contains(&record.family))
    {
        let Some(life) = lives.get(record.key) else { continue };
        if let Some((by, _)) = lives.ended(life, |why| why == Why::Reused)
            && record.from > by + seen.bound
        {
            verdict.case(record.what != ACTIVE, || format!("{} active at {}", record.key, at(record.from)));
        }
    }
}

pub fn one_successor(uses: &Uses<'_>) -> Verdict {
    let mut verdict = Verdict::new("I-2", "a refresh token has one successor at most");
    for of_token in uses.all(Op::Refresh) {
        let successors: HashSet<_> = of_token.iter().filter_map(|record| record.refresh()).map(|t| t.key).collect();
        verdict.case(successors.len() <= 1, || format!("{} has {}", first_key(of_token), successors.len()));
    }
    verdict
}

/// A refusal needs a reason: another use that may have succeeded, or the end of the grant.
fn has_reason(refused: &Record, uses: &[&Record], lives: &Lives) -> bool {
    let used = |other: &&&Record| other.outcome != Outcome::Fail && other.from <= refused.to;
    // That others were refused the same is no reason.
    let ended = |end: &&End| end.from <= refused.to && !(end.why == Why::Reused && end.key == refused.key);
    uses.iter().find(used).is_some() || lives.family(refused.family).iter().find(ended).is_some()
}

fn is_refusal(record: &Record) -> bool {
    let refusals = [INVALID_GRANT, "access_denied", "jti_known", "invalid_client", FORBIDDEN];
    record.outcome == Outcome::Fail && refusals.contains(&record.what)
}

pub fn failure_consumes_nothing(seen: &Seen<'_>, lives: &Lives, uses: &Uses<'_>) -> Verdict {
    let rule = "what was not used still works: no refusal without another use or an end before it";
    let mut verdict = Verdict::new("I-8", rule);
    for record in seen.records {
        if matches!(record.op, Op::Code | Op::Refresh | Op::Assertion | Op::Device | Op::Verifier) {
            let reasoned = !is_refusal(record) || has_reason(record, uses.get(record.op, record.key), lives);
            verdict.case(reasoned, || {
                format!("{:?} {} was refused at {}: {}", record.op, record.key, at(record.from), record.what)
            });
        }
    }
    verdict
}

pub fn unknown_is_resolved(seen: &Seen<'_>, lives: &Lives, uses: &Uses<'_>) -> Verdict {
    let rule = "after an unknown outcome the retry succeeds or the grant is over; never two live chains";
    let mut verdict = Verdict::new("I-9", rule);
    let mut over = HashSet::new();
    for tries in uses.all(Op::Refresh).chain(uses.all(Op::Code)) {
        let Some(lost) = tries.iter().find(|record| record.outcome == Outcome::Unknown) else { continue };
        let later = tries.iter().filter(|record| record.from >= lost.to && !record.is_error());
        let later: Vec<_> = later.collect();
        if later.is_empty() {
            continue;
        }
        verdict.case(successes(tries) <= 1, || format!("{} succeeded twice", first_key(tries)));
        over.extend(later.iter().filter(|record| record.what == INVALID_GRANT).map(|record| record.family));
    }
    active_after_reuse(&mut verdict, seen, lives, &over);
    verdict.note = format!("{} answers to commits were swallowed", seen.lost_answers);
    verdict.case(seen.double_chains == 0, || {
        format!("{} grants have two refresh tokens in the database that could be used", seen.double_chains)
    });
    verdict
}

pub fn single_use(uses: &Uses<'_>) -> Verdict {
    let mut verdict = Verdict::new("I-10", "an assertion, a device code and a consent verifier succeed once at most");
    for op in [Op::Assertion, Op::Device, Op::Verifier] {
        for tries in uses.all(op) {
            verdict.case(successes(tries) <= 1, || format!("{op:?} {} succeeded twice", first_key(tries)));
        }
    }
    verdict
}

pub fn other_browser(seen: &Seen<'_>, uses: &Uses<'_>) -> Verdict {
    let rule = "a verifier without its cookie is refused, and the right browser still finishes";
    let mut verdict = Verdict::new("I-11", rule);
    for record in seen.records.iter().filter(|record| record.op == Op::VerifierElsewhere && !record.is_error()) {
        verdict.case(record.what == FORBIDDEN, || format!("{} at {}", record.what, at(record.from)));
        let tries = uses.get(Op::Verifier, record.key);
        let Some(first) = tries.iter().find(|right| right.from >= record.to) else { continue };
        let finished = first.outcome != Outcome::Fail || first.what == UNSENT;
        verdict.case(finished, || format!("then the right one was refused: {}", first.what));
    }
    verdict
}
