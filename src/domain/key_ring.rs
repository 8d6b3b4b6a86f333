//! The life of signing keys: published before use, newest active signs, retired after the last token that needs it.

use super::world::Timestamp;
use std::time::Duration;

/// What the rules look at of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMeta {
    /// `kid`.
    pub kid: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Not used for signing before.
    pub activates_at: Timestamp,
    /// No longer published from then on.
    pub retires_at: Option<Timestamp>,
}

/// How keys are rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// A signer is replaced after this time; zero: never by itself.
    pub rotation_interval: Duration,
    /// A successor is published for this long before it signs.
    pub publish_lead: Duration,
    /// The longest life of a token signed by these keys.
    pub longest_token: Duration,
}

/// A key made by an operator waits this long before it signs, so that every replica publishes it first: replicas hear
/// of it in milliseconds, and look every five seconds should the feed fail.
pub const ON_DEMAND_LEAD: Duration = Duration::from_secs(10);

/// Tolerated difference between clocks.
const SKEW: Duration = Duration::from_secs(300);

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make a key that signs from then on.
    Create {
        /// When it begins to sign.
        activates_at: Timestamp,
    },
    /// Stop publishing this key at that time.
    Retire {
        /// `kid`.
        kid: String,
        /// When.
        at: Timestamp,
    },
    /// Delete this key; its time is over.
    Delete {
        /// `kid`.
        kid: String,
    },
}

impl KeyMeta {
    /// Whether verifiers should know this key.
    pub fn is_published(&self, now: Timestamp) -> bool {
        self.retires_at.is_none_or(|at| now < at)
    }

    /// Whether it may sign: begun and with no successor.
    pub fn may_sign(&self, now: Timestamp) -> bool {
        self.retires_at.is_none() && self.activates_at <= now
    }

    /// Who is newer: the later made, then the later begun, then by id, so that all replicas agree. Not the later begun
    /// first, or a successor that waits already would soon take over from a key that an operator made after it.
    fn rank(&self) -> (Timestamp, Timestamp, &str) {
        (self.created_at, self.activates_at, &self.kid)
    }
}

/// The key that signs. If operators took every active one away, the newest that is published signs.
pub fn signer(keys: &[KeyMeta], now: Timestamp) -> Option<&KeyMeta> {
    let newest = |fit: fn(&KeyMeta, Timestamp) -> bool| keys.iter().filter(|k| fit(k, now)).max_by_key(|k| k.rank());
    newest(KeyMeta::may_sign).or_else(|| newest(KeyMeta::is_published))
}

/// What to do now. Applying the steps and asking again gives nothing new.
pub fn step(keys: &[KeyMeta], now: Timestamp, policy: &Policy) -> Vec<Step> {
    let mut steps: Vec<Step> =
        keys.iter().filter(|k| !k.is_published(now)).map(|k| Step::Delete { kid: k.kid.clone() }).collect();
    let Some(current) = keys.iter().filter(|k| k.may_sign(now)).max_by_key(|k| k.rank()) else {
        if !keys.iter().any(|k| k.retires_at.is_none()) {
            steps.push(Step::Create { activates_at: now });
        }
        return steps;
    };
    let over = current.activates_at.plus(policy.longest_token).plus(SKEW);
    let older = |k: &&KeyMeta| k.retires_at.is_none() && k.rank() < current.rank();
    steps.extend(keys.iter().filter(older).map(|k| {
        let kid = k.kid.clone();
        if over <= now { Step::Delete { kid } } else { Step::Retire { kid, at: over } }
    }));
    let due = policy.rotation_interval > Duration::ZERO
        && now.since(current.activates_at) + policy.publish_lead >= policy.rotation_interval;
    let successor = |k: &KeyMeta| k.retires_at.is_none() && k.activates_at > now && k.rank() > current.rank();
    let waiting = keys.iter().any(successor);
    if due && !waiting {
        steps.push(Step::Create { activates_at: now.plus(policy.publish_lead) });
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: u64 = 86_400;

    fn policy() -> Policy {
        Policy {
            rotation_interval: Duration::from_secs(90 * DAY),
            publish_lead: Duration::from_secs(DAY),
            longest_token: Duration::from_secs(3600),
        }
    }

    fn apply(keys: &mut Vec<KeyMeta>, steps: Vec<Step>, now: Timestamp, made: &mut u32) {
        for s in steps {
            match s {
                Step::Create { activates_at } => {
                    *made += 1;
                    keys.push(KeyMeta { kid: format!("k{made}"), created_at: now, activates_at, retires_at: None });
                }
                Step::Retire { kid, at } => {
                    keys.iter_mut().filter(|k| k.kid == kid).for_each(|k| k.retires_at = Some(at))
                }
                Step::Delete { kid } => keys.retain(|k| k.kid != kid),
            }
        }
    }

    proptest! {
        /// However time passes, there is a signer; it is published, was published for the lead before it signed
        /// (unless it is the first), and what it signed verifies for the life of a token.
        #[test]
        fn rotation_never_signs_with_an_unknown_key(gaps in proptest::collection::vec(1u64..20 * DAY, 1..60)) {
            let (mut keys, mut now, mut made) = (Vec::new(), Timestamp::from_secs(1_000_000), 0);
            let mut signed: Vec<(String, Timestamp)> = Vec::new();
            for gap in gaps {
                let steps = step(&keys, now, &policy());
                apply(&mut keys, steps, now, &mut made);
                prop_assert!(step(&keys, now, &policy()).is_empty());
                let Some(s) = signer(&keys, now) else { return Err(TestCaseError::fail("no signer")) };
                prop_assert!(s.is_published(now));
                prop_assert!(s.kid == "k1" || now.since(s.created_at) >= policy().publish_lead);
                signed.push((s.kid.clone(), now));
                let alive = signed.iter().filter(|(_, at)| now.since(*at) < policy().longest_token);
                for (kid, _) in alive {
                    prop_assert!(keys.iter().any(|k| k.kid == *kid && k.is_published(now)));
                }
                now = now.plus(Duration::from_secs(gap));
            }
        }
    }

    proptest! {
        /// Whatever operators make and delete at odd times: one signer that every replica agrees on, a published one,
        /// and no step ends the only key that signs.
        #[test]
        fn operators_never_end_the_only_signer(acts in proptest::collection::vec((0u8..4, 1u64..2 * DAY), 1..60)) {
            let (mut keys, mut now, mut made) = (Vec::<KeyMeta>::new(), Timestamp::from_secs(1_000_000), 0);
            for (act, gap) in acts {
                match act {
                    0 => keys.push(KeyMeta { kid: format!("o{}", now.micros()), created_at: now, activates_at: now.plus(ON_DEMAND_LEAD), retires_at: None }),
                    1 => { let _ = keys.pop(); }
                    2 => keys.clear(),
                    _ => {}
                }
                let steps = step(&keys, now, &policy());
                let retired = |kid: &str| steps.iter().any(|s| matches!(s, Step::Retire { kid: k, .. } | Step::Delete { kid: k } if k == kid));
                let active: Vec<_> = keys.iter().filter(|k| k.may_sign(now)).map(|k| k.kid.clone()).collect();
                prop_assert!(active.is_empty() || active.iter().any(|kid| !retired(kid)));
                apply(&mut keys, steps, now, &mut made);
                let mut mixed = keys.clone();
                mixed.reverse();
                prop_assert!(signer(&keys, now).is_some_and(|k| k.is_published(now)));
                prop_assert_eq!(signer(&keys, now).map(|k| &k.kid), signer(&mixed, now).map(|k| &k.kid));
                now = now.plus(Duration::from_secs(gap));
            }
        }
    }

    #[test]
    fn an_operators_key_is_not_displaced_by_a_successor_that_waits() {
        let (now, day) = (Timestamp::from_secs(100_000_000), Duration::from_secs(DAY));
        let key = |kid: &str, created_at, activates_at| KeyMeta {
            kid: kid.to_owned(),
            created_at,
            activates_at,
            retires_at: None,
        };
        let old = key("old", now.minus(day * 89), now.minus(day * 89));
        let waiting = key("waiting", now.minus(day / 2), now.plus(day / 2));
        let mine = key("mine", now, now.plus(ON_DEMAND_LEAD));
        let mut keys = vec![old, waiting, mine];
        assert_eq!(signer(&keys, now).map(|k| k.kid.as_str()), Some("old"));
        let mut moment = now.plus(ON_DEMAND_LEAD);
        while moment < now.plus(day * 88) {
            let steps = step(&keys, moment, &policy());
            assert!(!steps.iter().any(|s| matches!(s, Step::Create { .. })), "{steps:?}");
            apply(&mut keys, steps, moment, &mut 0);
            assert_eq!(signer(&keys, moment).map(|k| k.kid.as_str()), Some("mine"));
            moment = moment.plus(day / 4);
        }
        assert_eq!(keys.len(), 1, "the others have gone");
        let due = now.plus(day * 89).plus(ON_DEMAND_LEAD);
        assert_eq!(step(&keys, due, &policy()), [Step::Create { activates_at: due.plus(day) }], "its own successor");
    }

    #[test]
    fn an_operators_key_signs_after_the_lead_and_the_old_one_retires() {
        let now = Timestamp::from_secs(1_000_000);
        let key = |kid: &str, at: Timestamp| KeyMeta {
            kid: kid.to_owned(),
            created_at: at,
            activates_at: at,
            retires_at: None,
        };
        let mut keys = vec![key("old", now), KeyMeta { activates_at: now.plus(ON_DEMAND_LEAD), ..key("new", now) }];
        assert_eq!(signer(&keys, now).map(|k| k.kid.as_str()), Some("old"));
        assert!(step(&keys, now, &policy()).is_empty());
        let later = now.plus(ON_DEMAND_LEAD);
        assert_eq!(signer(&keys, later).map(|k| k.kid.as_str()), Some("new"));
        let steps = step(&keys, later, &policy());
        assert_eq!(steps, [Step::Retire { kid: "old".to_owned(), at: later.plus(Duration::from_secs(3900)) }]);
        apply(&mut keys, steps, later, &mut 0);
        let after = later.plus(Duration::from_secs(4000));
        assert_eq!(step(&keys, after, &policy()), [Step::Delete { kid: "old".to_owned() }]);
    }
}
