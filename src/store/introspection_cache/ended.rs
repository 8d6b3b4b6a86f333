//! What ended lately: kept by every replica for as long as an answer from before may be told.

use super::value::{self, Answer};
use crate::store::{AccessKey, ConsentFilter};
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// More ends than this at once are not told apart any more: until they are over, nothing is believed.
const MOST: usize = 200_000;
/// How often what is over is looked for.
const ROUND: Duration = Duration::from_secs(1);

/// Tokens that are valid no more, by what they have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// One access token.
    Token(AccessKey),
    /// All of a family, but for one that was issued in exchange.
    Family {
        /// The family.
        id: Uuid,
        /// The one that lives.
        but: Option<AccessKey>,
    },
    /// All of a client.
    Client(String),
    /// All of a subject, or those that one client has of it.
    Subject {
        /// The subject.
        subject: String,
        /// The client.
        client_id: Option<String>,
    },
}

impl Ended {
    /// What revoking these consents ends.
    pub(in crate::store) fn of_consents(filter: &ConsentFilter) -> Self {
        match filter {
            ConsentFilter::Id(id) => Self::Family { id: *id, but: None },
            ConsentFilter::Client { subject, client_id } => {
                Self::Subject { subject: subject.clone(), client_id: Some(client_id.clone()) }
            }
            ConsentFilter::Subject(subject) => Self::Subject { subject: subject.clone(), client_id: None },
        }
    }

    /// The one of a family that lives.
    const fn but(&self) -> Option<AccessKey> {
        if let Self::Family { but, .. } = self { *but } else { None }
    }

    /// Appends it to a message.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Token(key) => {
                bytes.push(b't');
                bytes.extend(key);
            }
            Self::Family { id, but } => {
                bytes.push(if but.is_some() { b'r' } else { b'f' });
                bytes.extend(id.as_bytes());
                bytes.extend(but.iter().flatten());
            }
            Self::Client(id) => {
                bytes.push(b'c');
                value::put(bytes, id.as_bytes());
            }
            Self::Subject { subject, client_id } => {
                bytes.push(if client_id.is_some() { b'u' } else { b's' });
                value::put(bytes, subject.as_bytes());
                if let Some(id) = client_id {
                    value::put(bytes, id.as_bytes());
                }
            }
        }
    }

    /// Takes one off a message.
    pub(super) fn read(rest: &mut &[u8]) -> Option<Self> {
        Some(match value::exact(rest)? {
            [b't'] => Self::Token(value::exact(rest)?),
            [b'f'] => Self::Family { id: Uuid::from_bytes(value::exact(rest)?), but: None },
            [b'r'] => Self::Family { id: Uuid::from_bytes(value::exact(rest)?), but: Some(value::exact(rest)?) },
            [b'c'] => Self::Client(value::text(rest)?),
            [b's'] => Self::Subject { subject: value::text(rest)?, client_id: None },
            [b'u'] => Self::Subject { subject: value::text(rest)?, client_id: Some(value::text(rest)?) },
            _ => return None,
        })
    }
}

#[derive(Default)]
struct Table {
    /// By a hash of what ended: two with the same hash only cost a read of the database.
    by: HashMap<u64, (Option<AccessKey>, Instant)>,
    pruned: Option<Instant>,
    /// Too many to be told apart, until then.
    all_until: Option<Instant>,
}

/// What ended lately.
pub(super) struct Lately {
    hasher: RandomState,
    began: Instant,
    table: RwLock<Table>,
    /// Milliseconds after `began` from when on nothing in the table matters any more: until the next end, nobody need look.
    over: AtomicU64,
}

impl Default for Lately {
    fn default() -> Self {
        let (hasher, table) = (RandomState::new(), RwLock::default());
        Self { hasher, began: Instant::now(), table, over: AtomicU64::new(0) }
    }
}

impl Lately {
    fn hash(&self, of: &Ended) -> u64 {
        match of {
            Ended::Token(key) => self.hasher.hash_one((0, key)),
            Ended::Family { id, .. } => self.family(id),
            Ended::Client(id) => self.hasher.hash_one((2, id.as_str())),
            Ended::Subject { subject, client_id } => self.subject(subject, client_id.as_deref()),
        }
    }

    fn family(&self, id: &Uuid) -> u64 {
        self.hasher.hash_one((1, id))
    }

    fn subject(&self, subject: &str, client_id: Option<&str>) -> u64 {
        self.hasher.hash_one((3, subject, client_id))
    }

    fn since_began(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }

    fn matters_until(&self, until: Instant) {
        self.over.fetch_max(self.since_began(until).saturating_add(1), Ordering::Release);
    }

    /// Remembers them until then.
    pub(super) fn add(&self, all: &[Ended], now: Instant, until: Instant) {
        if all.is_empty() {
            return;
        }
        let entries: Vec<_> = all.iter().map(|ended| (self.hash(ended), ended.but())).collect();
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if table.pruned.is_none_or(|at| at + ROUND < now) {
            table.pruned = Some(now);
            table.by.retain(|_, (_, until)| *until > now);
            table.all_until = table.all_until.filter(|until| *until > now);
        }
        for (hash, but) in entries {
            if table.by.len() >= MOST {
                table.by.clear();
                table.all_until = Some(until);
            }
            let entry = table.by.entry(hash).or_insert((but, until));
            // Two exchanges in one family: which came last, messages cannot tell.
            *entry = (entry.0.filter(|earlier| but == Some(*earlier)), until);
        }
        self.matters_until(until);
    }

    /// Anything may have ended: nothing from before is believed until then.
    pub(super) fn add_all(&self, until: Instant) {
        self.table.write().unwrap_or_else(PoisonError::into_inner).all_until = Some(until);
        self.matters_until(until);
    }

    /// Whether the token of an answer has ended since it was given.
    pub(super) fn covers(&self, key: &AccessKey, answer: &Answer, now: Instant) -> bool {
        if self.over.load(Ordering::Acquire) <= self.since_began(now) {
            return false;
        }
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        if table.all_until.is_some_and(|until| until > now) {
            return true;
        }
        let client = self.hasher.hash_one((2, answer.client_id.as_str()));
        let (token, subject) = (self.hasher.hash_one((0, key)), answer.subject.as_str());
        let all = [
            token,
            self.family(&answer.family_id),
            client,
            self.subject(subject, None),
            self.subject(subject, Some(&answer.client_id)),
        ];
        all.iter().filter_map(|hash| table.by.get(hash)).any(|(but, until)| *until > now && but.as_ref() != Some(key))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]
mod tests {
    use super::super::value::tests::answer;
    use super::*;

    const KEY: AccessKey = [1; 34];

    fn all() -> Vec<Ended> {
        let (subject, client_id) = ("größe".to_owned(), "a client".to_owned());
        vec![
            Ended::Token(KEY),
            Ended::Family { id: Uuid::from_u128(7), but: None },
            Ended::Family { id: Uuid::from_u128(7), but: Some([2; 34]) },
            Ended::Client(client_id.clone()),
            Ended::Subject { subject: subject.clone(), client_id: None },
            Ended::Subject { subject, client_id: Some(client_id) },
        ]
    }

    #[test]
    fn each_kind_of_end_covers_its_tokens_for_its_time() {
        let (now, said) = (Instant::now(), answer(1000));
        let later = now + Duration::from_secs(7);
        for ended in all() {
            let lately = Lately::default();
            assert!(!lately.covers(&KEY, &said, now));
            lately.add(std::slice::from_ref(&ended), now, later);
            assert!(lately.covers(&KEY, &said, now), "{ended:?}");
            assert!(!lately.covers(&KEY, &said, later), "{ended:?} is over");
            let other = Answer {
                family_id: Uuid::from_u128(8),
                client_id: "another".to_owned(),
                subject: "somebody".to_owned(),
                ..said.clone()
            };
            assert!(!lately.covers(&[3; 34], &other, now), "{ended:?} is not theirs");
        }
    }

    #[test]
    fn the_one_issued_in_exchange_lives_until_another_comes() {
        let (lately, now, said) = (Lately::default(), Instant::now(), answer(1000));
        let later = now + Duration::from_secs(7);
        let exchange = |but| Ended::Family { id: said.family_id, but };
        lately.add(&[exchange(Some(KEY))], now, later);
        lately.add(&[exchange(Some(KEY))], now, later);
        assert!(!lately.covers(&KEY, &said, now) && lately.covers(&[2; 34], &said, now));
        lately.add(&[exchange(Some([2; 34]))], now, later);
        assert!(lately.covers(&KEY, &said, now) && lately.covers(&[2; 34], &said, now));
    }

    #[test]
    fn too_many_ends_cover_everything_for_a_while() {
        let (lately, now, said) = (Lately::default(), Instant::now(), answer(1000));
        let later = now + Duration::from_secs(7);
        let family = |n: u128| Ended::Family { id: Uuid::from_u128(n << 8), but: None };
        lately.add(&(0..=MOST as u128).map(family).collect::<Vec<_>>(), now, later);
        assert!(lately.covers(&KEY, &said, now));
        let (after, until) = (later + ROUND, later + ROUND + ROUND);
        lately.add(&[Ended::Token([9; 34])], after, until);
        assert!(!lately.covers(&KEY, &said, after));
        assert_eq!(lately.table.read().unwrap().by.len(), 1, "what is over is forgotten");
        lately.add_all(until + ROUND);
        assert!(lately.covers(&KEY, &said, until) && !lately.covers(&KEY, &said, until + ROUND));
    }

    #[test]
    fn what_ended_travels() {
        let mut bytes = Vec::new();
        for ended in all() {
            ended.write(&mut bytes);
        }
        let (mut rest, mut read) = (bytes.as_slice(), Vec::new());
        while let Some(ended) = Ended::read(&mut rest) {
            read.push(ended);
        }
        assert_eq!((read, rest), (all(), &[][..]));
        for length in 0..bytes.len() {
            let mut cut = &bytes[..length];
            while Ended::read(&mut cut).is_some() {}
        }
    }
}
