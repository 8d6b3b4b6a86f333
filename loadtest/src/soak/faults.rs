//! The schedule of faults: a seed decides what happens when and to whom. A deck with every kind of fault is shuffled and
//! dealt to its end before it is shuffled again, so a long soak has seen all of them.

use std::time::Duration;

use serde::Serialize;

use crate::chance;
use crate::fault_proxy::Fault;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// On the way to Redis.
    RedisWay(Fault),
    RedisKilled,
    RedisFlushed,
    /// On the way to PostgreSQL.
    PostgresWay(Fault),
    /// Connections to PostgreSQL stay open and nothing passes there ever again; new ones are well.
    PostgresStranded,
    /// All connections of the replicas are ended, then one at a time.
    BackendsTerminated,
    /// PostgreSQL loses a process and recovers from its log.
    PostgresCrash,
    /// SIGKILL, and a new start.
    Kill,
    /// SIGTERM, and a new start.
    Terminate,
    /// SIGSTOP for two seconds.
    Stop,
    /// Both key sets get a new key.
    RotateKeys,
    /// All replicas get a new system secret, each with a new start.
    RotateSecret,
}

/// Whom it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum On {
    All,
    One(usize),
}

impl On {
    pub fn hits(self, number: usize) -> bool {
        self == Self::All || self == Self::One(number)
    }
}

/// Two faults at once are of different places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Redis,
    Postgres,
    Process,
    Keys,
}

/// A fault and its time, counted from the start of the soak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    pub at: Duration,
    pub lasts: Duration,
    pub kind: Kind,
    pub on: On,
}

impl Kind {
    fn place(self) -> Place {
        match self {
            Self::RedisWay(_) | Self::RedisKilled | Self::RedisFlushed => Place::Redis,
            Self::PostgresWay(_) | Self::PostgresStranded | Self::BackendsTerminated | Self::PostgresCrash => {
                Place::Postgres
            }
            Self::Kill | Self::Terminate | Self::Stop | Self::RotateSecret => Place::Process,
            Self::RotateKeys => Place::Keys,
        }
    }

    /// Whose errors it excuses when it hits these. What an operator does must cost nobody anything, and neither may Redis,
    /// whatever becomes of it. What a replica holds in PostgreSQL when its way there breaks, the others wait for.
    pub fn excuses(self, on: On) -> Option<On> {
        match (self.place(), self) {
            (Place::Redis | Place::Keys, _) | (_, Self::Terminate | Self::RotateSecret) => None,
            (Place::Postgres, _) => Some(On::All),
            (Place::Process, _) => Some(on),
        }
    }
}

impl std::fmt::Display for Planned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let way = |fault: Fault| match fault {
            Fault::None => "is well".to_owned(),
            Fault::Cut => "cut".to_owned(),
            Fault::Hang => "hangs".to_owned(),
            Fault::HangAnswers => "answers hang".to_owned(),
            Fault::Delay(span) => format!("slow by {} ms each way", span.as_millis()),
            Fault::Corrupt => "answers corrupt".to_owned(),
            Fault::LoseAnswer => "answers to commits lost".to_owned(),
        };
        match self.kind {
            Kind::RedisWay(fault) => write!(f, "Redis: {}", way(fault))?,
            Kind::RedisKilled => write!(f, "Redis: killed")?,
            Kind::RedisFlushed => write!(f, "Redis: flushed each second")?,
            Kind::PostgresWay(fault) => write!(f, "PostgreSQL: {}", way(fault))?,
            Kind::PostgresStranded => write!(f, "PostgreSQL: half-open connections")?,
            Kind::BackendsTerminated => write!(f, "PostgreSQL: connections terminated")?,
            Kind::PostgresCrash => write!(f, "PostgreSQL: crash and recovery")?,
            Kind::Kill => write!(f, "SIGKILL and new start")?,
            Kind::Terminate => write!(f, "SIGTERM and new start")?,
            Kind::Stop => write!(f, "SIGSTOP for two seconds")?,
            Kind::RotateKeys => write!(f, "new signing keys")?,
            Kind::RotateSecret => write!(f, "new system secret")?,
        }
        match self.on {
            On::One(number) => write!(f, ", replica {number}"),
            On::All if matches!(self.kind, Kind::RedisWay(_) | Kind::PostgresWay(_)) => write!(f, ", all replicas"),
            On::All => Ok(()),
        }
    }
}

/// What a schedule depends on.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub seed: u64,
    pub duration: Duration,
    pub replicas: usize,
    /// PostgreSQL may be made to crash.
    pub own_postgres: bool,
}

/// Numbers that follow from a seed.
struct Dice {
    seed: u64,
    thrown: u64,
}

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.thrown += 1;
        let number = chance::mixed(self.seed ^ chance::mixed(self.thrown));
        usize::try_from(number % n.max(1) as u64).unwrap_or_default()
    }

    /// A span between so many percent of another.
    fn span(&mut self, of: Duration, low: usize, high: usize) -> Duration {
        of * u32::try_from(low + self.below(high - low + 1)).unwrap_or(100) / 100
    }
}

fn deck(terms: &Terms, dice: &mut Dice) -> Vec<(Kind, On)> {
    let milliseconds = Duration::from_millis;
    let mut deck = Vec::new();
    let one = |dice: &mut Dice| On::One(dice.below(terms.replicas));
    for fault in [Fault::Cut, Fault::Hang, Fault::Delay(milliseconds(250)), Fault::Corrupt] {
        deck.extend([(Kind::RedisWay(fault), one(dice)), (Kind::RedisWay(fault), On::All)]);
    }
    for fault in [Fault::Cut, Fault::Hang, Fault::HangAnswers, Fault::Delay(milliseconds(50)), Fault::LoseAnswer] {
        deck.extend([(Kind::PostgresWay(fault), one(dice)), (Kind::PostgresWay(fault), On::All)]);
    }
    let whole = [Kind::RedisKilled, Kind::RedisFlushed, Kind::BackendsTerminated, Kind::RotateSecret];
    deck.extend(whole.into_iter().chain([Kind::RotateKeys; 2]).map(|kind| (kind, On::All)));
    if terms.own_postgres {
        deck.push((Kind::PostgresCrash, On::All));
    }
    for kind in [Kind::Kill, Kind::Kill, Kind::Terminate, Kind::Terminate, Kind::Stop, Kind::PostgresStranded] {
        deck.push((kind, one(dice)));
    }
    for last in (1..deck.len()).rev() {
        deck.swap(last, dice.below(last + 1));
    }
    deck
}

/// The faults of a soak in the order of their times. The first comes after a while, and the last has ended a while
/// before the end.
pub fn schedule(terms: &Terms) -> Vec<Planned> {
    let mut dice = Dice { seed: terms.seed, thrown: 0 };
    let every = (terms.duration / 50).clamp(Duration::from_secs(5), Duration::from_secs(40));
    let longest = (every / 5).clamp(Duration::from_secs(2), Duration::from_secs(8));
    let end = terms.duration.saturating_sub(every / 2 + longest);
    let (mut planned, mut cards, mut at) = (Vec::new(), Vec::new(), every / 2);
    while at < end {
        let (kind, on) = draw(&mut cards, terms, &mut dice);
        planned.push(Planned { at, lasts: dice.span(longest, 50, 100), kind, on });
        if dice.below(5) == 0 {
            let (other, on) = draw(&mut cards, terms, &mut dice);
            if other.place() == kind.place() {
                cards.push((other, on));
            } else {
                planned.push(Planned { at: at + longest / 4, lasts: dice.span(longest, 50, 100), kind: other, on });
            }
        }
        at += dice.span(every, 75, 150).max(longest * 2);
    }
    planned
}

fn draw(cards: &mut Vec<(Kind, On)>, terms: &Terms, dice: &mut Dice) -> (Kind, On) {
    if cards.is_empty() {
        *cards = deck(terms, dice);
    }
    cards.pop().unwrap_or((Kind::RotateKeys, On::All))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(seed: u64, seconds: u64) -> Terms {
        Terms { seed, duration: Duration::from_secs(seconds), replicas: 2, own_postgres: true }
    }

    #[test]
    fn a_seed_decides_and_half_an_hour_sees_every_fault() {
        let long = schedule(&terms(7, 1800));
        assert_eq!(long, schedule(&terms(7, 1800)));
        assert_ne!(long, schedule(&terms(8, 1800)));
        let mut dice = Dice { seed: 1, thrown: 0 };
        for (kind, _) in deck(&terms(1, 1800), &mut dice) {
            assert!(long.iter().any(|planned| planned.kind == kind), "{kind:?} of {} faults", long.len());
        }
        let last = long.iter().map(|planned| planned.at + planned.lasts).max();
        assert!(last.is_some_and(|last| last < Duration::from_secs(1790)), "{last:?}");
    }

    #[test]
    fn redis_and_operators_excuse_nothing_and_a_process_itself_alone() {
        let (one, mut dice) = (On::One(1), Dice { seed: 1, thrown: 0 });
        for (kind, _) in deck(&terms(1, 1800), &mut dice) {
            let excused = match kind {
                Kind::RedisWay(_) | Kind::RedisKilled | Kind::RedisFlushed => None,
                Kind::Terminate | Kind::RotateKeys | Kind::RotateSecret => None,
                Kind::Kill | Kind::Stop => Some(one),
                Kind::PostgresWay(_) | Kind::PostgresStranded | Kind::BackendsTerminated | Kind::PostgresCrash => {
                    Some(On::All)
                }
            };
            assert_eq!(kind.excuses(one), excused, "{kind:?}");
        }
    }

    #[test]
    fn a_short_soak_has_some_and_two_at_once_are_of_different_places() {
        for seed in 0..50 {
            let short = schedule(&terms(seed, 25));
            assert!((2..=9).contains(&short.len()), "{short:?}");
            for (one, other) in short.iter().zip(short.iter().skip(1)) {
                let together = other.at < one.at + one.lasts;
                assert!(!together || one.kind.place() != other.kind.place(), "{one:?} {other:?}");
            }
        }
    }
}
