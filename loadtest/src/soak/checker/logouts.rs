//! What the clients of a login session hear of its end (OpenID Connect Back-Channel Logout 1.0).

use std::collections::{HashMap, HashSet};

use super::machines::is_excused;
use super::{Seen, Verdict, at};
use crate::soak::history::{Key, Micros, Op, Outcome, RIGHT, Record};

/// Outside of faults a client is told within this time: the outbox is looked at each second, and a round may wait for
/// somebody slow.
const WITHIN: Micros = 10_000_000;
/// And again so long after it did not take it.
const AGAIN: [Micros; 2] = [2_000_000, 15_000_000];
/// Less than the slowest client takes.
const USER_WAITS: Micros = 3_000_000;

/// Among so many requests somebody signs out: one unit of work in a hundred does.
const SOMEBODY: usize = 10_000;

/// A login session and one of its clients.
type Pair = (Key, Key);

/// What is known of them.
struct Known<'a> {
    /// Requests that may have ended the session.
    logouts: HashMap<Key, Vec<&'a Record>>,
    /// Something was granted, and the subject to whom.
    granted: HashMap<Pair, Key>,
    /// Something may have been granted, which nobody told.
    may: HashSet<Pair>,
    told: HashMap<Pair, Vec<&'a Record>>,
}

impl<'a> Known<'a> {
    fn of(records: &'a [Record]) -> Self {
        let (mut logouts, mut told) = (HashMap::<_, Vec<_>>::new(), HashMap::<_, Vec<_>>::new());
        let (mut granted, mut may) = (HashMap::new(), HashSet::new());
        for record in records {
            if record.is_logout() && record.outcome != Outcome::Fail {
                logouts.entry(record.key).or_default().push(record);
            }
            let Some(session) = record.session() else { continue };
            let pair = (session.sid, session.client);
            match (record.op, record.outcome) {
                (Op::Told, _) => told.entry(pair).or_default().push(record),
                (_, Outcome::Ok) => drop(granted.insert(pair, session.subject)),
                _ => drop(may.insert(pair)),
            }
        }
        told.values_mut().for_each(|all| all.sort_by_key(|record| record.from));
        Self { logouts, granted, may, told }
    }

    fn told(&self, pair: Pair) -> &[&'a Record] {
        self.told.get(&pair).map(Vec::as_slice).unwrap_or_default()
    }

    /// The first request that surely ended a session; who asked again did not end it.
    fn ended(&self, sid: Key) -> Option<&'a Record> {
        let all = self.logouts.get(&sid)?;
        all.iter().filter(|record| record.outcome == Outcome::Ok).min_by_key(|record| record.to).copied()
    }
}

pub fn clients_are_told(seen: &Seen<'_>) -> Verdict {
    let rule = "every client of a login session that ends is told, rightly and until it takes it, and no other; the user \
                does not wait";
    let (mut verdict, known) = (Verdict::new("I-16", rule), Known::of(seen.records));
    for pair in known.granted.keys() {
        if let Some(logout) = known.ended(pair.0) {
            everybody(&mut verdict, seen, logout, known.told(*pair));
        }
    }
    for (pair, told) in &known.told {
        told.iter().for_each(|record| rightly(&mut verdict, &known, *pair, record));
        again(&mut verdict, seen, told);
    }
    for logout in
        known.logouts.values().flatten().filter(|logout| !is_excused(seen, logout.replica, logout.from, logout.to))
    {
        verdict.case(logout.to - logout.from <= USER_WAITS, || format!("the user waited at {}", at(logout.from)));
    }
    if verdict.cases == 0 && seen.records.len() >= SOMEBODY {
        verdict.case(false, || "nobody signed out".to_owned());
    }
    let (all, twice) = (known.told.values().map(Vec::len).sum::<usize>(), known.told.values().map(|told| taken(told)));
    let (sessions, twice) = (known.logouts.len(), twice.filter(|taken| *taken > 1).count());
    verdict.note = format!("{sessions} sessions ended, {all} tokens came, {twice} were taken more than once");
    verdict
}

fn taken(told: &[&Record]) -> usize {
    told.iter().filter(|record| record.outcome == Outcome::Ok).count()
}

/// One client of a session that surely ended.
fn everybody(verdict: &mut Verdict, seen: &Seen<'_>, logout: &Record, told: &[&Record]) {
    let (sid, by) = (logout.key, logout.to + WITHIN);
    verdict.case(taken(told) > 0, || format!("session {sid}, over at {}: {} tries", at(logout.to), told.len()));
    let in_time = told.first().is_some_and(|first| first.from <= by) || is_excused(seen, None, logout.from, by);
    verdict.case(in_time, || {
        let first = told.first().map_or("never".to_owned(), |first| at(first.from));
        format!("session {sid}, over at {}, was told {first}", at(logout.to))
    });
}

/// One logout token.
fn rightly(verdict: &mut Verdict, known: &Known<'_>, pair: Pair, token: &Record) {
    let (sid, time) = (token.key, at(token.from));
    verdict.case(token.what == RIGHT, || format!("session {sid}, a token at {time}: {}", token.what));
    let began = known.logouts.get(&sid).into_iter().flatten().map(|logout| logout.from).min();
    verdict.case(began.is_some_and(|began| began <= token.from), || format!("session {sid} had not ended at {time}"));
    let subject = token.session().map(|session| session.subject);
    let fits = known.granted.get(&pair).map_or(known.may.contains(&pair), |granted| Some(*granted) == subject);
    verdict.case(fits, || format!("session {sid}, a token at {time} to somebody else or of somebody else"));
}

/// What was not taken comes again.
fn again(verdict: &mut Verdict, seen: &Seen<'_>, told: &[&Record]) {
    for (n, (refused, wait)) in told.iter().zip(AGAIN).enumerate() {
        let by = refused.to + wait + WITHIN;
        if refused.outcome == Outcome::Ok || is_excused(seen, None, refused.from, by) {
            continue;
        }
        let next = told.get(n + 1);
        verdict.case(next.is_some_and(|next| next.from <= by), || {
            let next = next.map_or("never".to_owned(), |next| at(next.from));
            format!("session {}, refused at {}, came again {next}", refused.key, at(refused.to))
        });
    }
}
