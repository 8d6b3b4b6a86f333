//! When each token of a history was born, and what ended it or may have ended it.

use std::collections::{HashMap, HashSet};

use crate::soak::history::{INVALID_GRANT, Key, Micros, Op, Outcome, Record};

/// `expires_in` is in whole seconds, of a time that the server took between the request and the answer.
const ROUNDED: Micros = 1_000_000;

/// Why something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its time was over.
    Expired,
    /// Its refresh token was used.
    Used,
    /// A refresh token or a code was presented again.
    Reused,
    /// A client or an operator said so.
    Revoked,
}

/// Something that ended a token: not before `from`, and surely `by` then, if it happened at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub from: Micros,
    pub by: Option<Micros>,
    pub why: Why,
    /// What was presented then.
    pub key: Key,
}

/// A token.
#[derive(Clone, Debug)]
pub struct Life {
    pub family: Key,
    /// When the answer was here in which it stood.
    pub born: Micros,
    ends: Vec<End>,
}

/// All tokens and grants.
#[derive(Debug, Default)]
pub struct Lives {
    tokens: HashMap<Key, Life>,
    families: HashMap<Key, Vec<End>>,
}

impl Lives {
    /// `strict`: a refresh ends the access token from before (no grace).
    pub fn of(records: &[Record], strict: bool) -> Self {
        let mut lives = Self::default();
        let mut siblings: HashMap<Key, Key> = HashMap::new();
        for record in records {
            lives.bear(record);
            if let (Some(refresh), Some(access)) = (record.refresh(), record.access()) {
                siblings.insert(refresh.key, access.key);
            }
        }
        let attempts = attempts(records);
        for record in records {
            lives.refreshed(record, siblings.get(&record.key).copied(), strict);
            lives.presented_again(record, &attempts);
        }
        let sessions = granted_in(records);
        for record in records {
            lives.revoked(record);
            lives.signed_out(record, &sessions);
        }
        lives
    }

    fn bear(&mut self, record: &Record) {
        for given in [record.access(), record.refresh()].into_iter().flatten() {
            // A token that no user granted is a grant of its own.
            let family = if record.family == Key::default() { given.key } else { record.family };
            let expiry = given.lives.map(|seconds| {
                let span = Micros::from(seconds) * 1_000_000;
                let (from, by) = ((record.from + span).saturating_sub(ROUNDED), Some(record.to + span));
                End { from, by, why: Why::Expired, key: given.key }
            });
            self.tokens.entry(given.key).or_insert(Life {
                family,
                born: record.to,
                ends: expiry.into_iter().collect(),
            });
        }
    }

    fn refreshed(&mut self, record: &Record, sibling: Option<Key>, strict: bool) {
        if record.op != Op::Refresh || record.outcome == Outcome::Fail {
            return;
        }
        let by = (record.outcome == Outcome::Ok && strict).then_some(record.to);
        for key in [Some(record.key), sibling].into_iter().flatten() {
            if let Some(life) = self.tokens.get_mut(&key) {
                life.ends.push(End { from: record.from, by, why: Why::Used, key: record.key });
            }
        }
    }

    /// A code or a refresh token is refused because it was used, or because its grant has ended: either way the grant
    /// is over then. Of a code that was sent more than once, an unknown one may have been the second.
    fn presented_again(&mut self, record: &Record, attempts: &HashMap<Key, usize>) {
        let again = attempts.get(&record.key).is_some_and(|count| *count > 1);
        let by = match (record.op, record.outcome) {
            (Op::Refresh, Outcome::Fail) if record.what == INVALID_GRANT => Some(record.to),
            (Op::Code, Outcome::Fail) if record.what == INVALID_GRANT => Some(record.to),
            (Op::Refresh | Op::Code, Outcome::Unknown) if again => None,
            _ => return,
        };
        let end = End { from: record.from, by, why: Why::Reused, key: record.key };
        self.families.entry(record.family).or_default().push(end);
    }

    fn revoked(&mut self, record: &Record) {
        let family = match record.op {
            Op::Revoke => self.tokens.get(&record.key).map_or(record.family, |life| life.family),
            Op::EndConsent | Op::EndClient => record.family,
            _ => return,
        };
        // A token that may have been over already when it was revoked takes nothing with it.
        let alone = record.op == Op::Revoke
            && self.tokens.get(&record.key).is_some_and(|life| life.ends.iter().any(|end| end.from <= record.to))
            && !self.is_refresh(record.key);
        let by = match record.outcome {
            Outcome::Ok if !alone => Some(record.to),
            Outcome::Ok | Outcome::Unknown => None,
            Outcome::Fail => return,
        };
        let end = End { from: record.from, by, why: Why::Revoked, key: record.key };
        self.families.entry(family).or_default().push(end);
    }

    /// All that was granted in a login session ends with it.
    fn signed_out(&mut self, record: &Record, sessions: &HashMap<Key, HashSet<Key>>) {
        if !record.is_logout() || record.outcome == Outcome::Fail {
            return;
        }
        let by = (record.outcome == Outcome::Ok).then_some(record.to);
        let end = End { from: record.from, by, why: Why::Revoked, key: record.key };
        for family in sessions.get(&record.key).into_iter().flatten() {
            self.families.entry(*family).or_default().push(end);
        }
    }

    /// Refresh tokens have no expiry that anybody is told.
    fn is_refresh(&self, key: Key) -> bool {
        self.tokens.get(&key).is_some_and(|life| life.ends.iter().all(|end| end.why != Why::Expired))
    }

    pub fn get(&self, key: Key) -> Option<&Life> {
        self.tokens.get(&key)
    }

    pub fn family(&self, key: Key) -> &[End] {
        self.families.get(&key).map(Vec::as_slice).unwrap_or_default()
    }

    /// All that ended a token or may have.
    pub fn ends<'a>(&'a self, life: &'a Life) -> impl Iterator<Item = End> + 'a {
        life.ends.iter().chain(self.family(life.family)).copied()
    }

    /// Whether anything may have ended it before that time.
    pub fn may_have_ended(&self, life: &Life, before: Micros) -> bool {
        self.ends(life).any(|end| end.from <= before)
    }

    /// The first thing that surely ended it, of the kinds that `fit`.
    pub fn ended(&self, life: &Life, fit: impl Fn(Why) -> bool) -> Option<(Micros, End)> {
        self.ends(life).filter(|end| fit(end.why)).filter_map(|end| Some((end.by?, end))).min_by_key(|(by, _)| *by)
    }
}

/// The grants of each login session, as far as ID tokens and the clients know.
fn granted_in(records: &[Record]) -> HashMap<Key, HashSet<Key>> {
    let mut grants: HashMap<Key, HashSet<Key>> = HashMap::new();
    for record in records.iter().filter(|record| record.op != Op::Told) {
        if let Some(session) = record.session() {
            grants.entry(session.sid).or_default().insert(record.family);
        }
    }
    grants
}

/// How often each code and refresh token was presented.
fn attempts(records: &[Record]) -> HashMap<Key, usize> {
    let mut attempts = HashMap::new();
    for record in records.iter().filter(|record| matches!(record.op, Op::Code | Op::Refresh)) {
        *attempts.entry(record.key).or_default() += 1;
    }
    attempts
}
