//! How often and for how long a verb is tried.

use super::WAIT;
use crate::store::deadline;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// How often a transaction is tried when it loses against another one.
const TRIES: u32 = 3;
/// The longest pause before the second try; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(20);

/// A verb's tries, all of which share one deadline.
pub(super) struct Tries {
    made: u32,
    until: Instant,
    each: Duration,
}

impl Tries {
    /// The first of them; each may take so long.
    pub(super) fn first(each: Duration) -> Self {
        let all = deadline::left(each.saturating_add(WAIT));
        Self { made: 1, until: Instant::now() + all, each }
    }

    /// What is left for the present one.
    pub(super) fn span(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now()).min(self.each)
    }

    /// The pause before the next one, if there is a next one: those that collided must not meet again.
    pub(super) fn next(&mut self) -> Option<Duration> {
        let pause = jittered(PAUSE.saturating_mul(1 << (self.made - 1).min(8)));
        if self.made >= TRIES || pause >= self.span() {
            return None;
        }
        self.made += 1;
        Some(pause)
    }
}

/// Something between half of it and all of it. Chance enough to keep many from going in step, and no secret.
pub(super) fn jittered(span: Duration) -> Duration {
    let part = u32::try_from(RandomState::new().hash_one(()) % 1024).unwrap_or_default();
    span / 2 + span / 2 * part / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_three_tries_with_growing_pauses() {
        let mut tries = Tries::first(Duration::from_secs(1));
        let pauses: Vec<Duration> = std::iter::from_fn(|| tries.next()).collect();
        assert_eq!(pauses.len(), 2);
        for (pause, longest) in pauses.iter().zip([PAUSE, PAUSE * 2]) {
            assert!((longest / 2..=longest).contains(pause), "{pauses:?}");
        }
    }

    #[tokio::test]
    async fn no_try_begins_when_the_requests_time_is_over() {
        let within = deadline::within(Duration::from_millis(5), async { Tries::first(Duration::from_secs(1)).next() });
        assert_eq!(within.await, None);
    }

    #[test]
    fn pauses_differ() {
        let some: std::collections::HashSet<Duration> = (0..50).map(|_| jittered(PAUSE)).collect();
        assert!(some.len() > 10, "{some:?}");
    }
}
