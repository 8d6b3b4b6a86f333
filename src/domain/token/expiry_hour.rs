//! The hour by whose end an access token has expired. It is a part of the token, under its signature, and the beginning
//! of the key of its row: so the row is found in its hour's partition without a search, and the whole partition can go
//! when the hour is over.

use crate::domain::world::Timestamp;
use std::time::Duration;

/// The key of an access token's row: its [`ExpiryHour`], then SHA-256 over the token's kind and signature.
pub type AccessKey = [u8; 34];

/// Number 0 is the hour that ends then: 2026-01-01T00:00Z.
const FIRST: i64 = 1_767_225_600;
const HOUR: i64 = 3600;
/// So many numbers there are; then they begin again, after almost seven and a half years, in June 2033. An hour counts
/// as over for the half of that time after its end.
const ROUND: i64 = u16::MAX as i64;

/// An hour, by its number; or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExpiryHour(u16);

impl ExpiryHour {
    /// Of tokens that live too long, and of all that were issued before there were hours.
    pub const NONE: Self = Self(u16::MAX);
    /// The longest life of a token that has an hour.
    pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

    /// The hour of a token.
    pub fn of(issued_at: Timestamp, expires_at: Timestamp) -> Self {
        if expires_at.since(issued_at) > Self::LONGEST { Self::NONE } else { Self::numbered(begun(expires_at) + 1) }
    }

    /// The hours of all tokens of that life that can be issued now, and within an hour from now.
    pub fn ahead(now: Timestamp, life: Duration) -> impl Iterator<Item = Self> {
        let last = begun(now.plus(life.min(Self::LONGEST))) + 2;
        (begun(now) + 1..=last).map(Self::numbered)
    }

    fn numbered(hour: i64) -> Self {
        // What is left of a division by 65535 is a number below it.
        u16::try_from(hour.rem_euclid(ROUND)).map_or(Self::NONE, Self)
    }

    /// Whether every token of this hour has expired.
    pub fn is_over(self, now: Timestamp) -> bool {
        self != Self::NONE && (begun(now) - i64::from(self.0)).rem_euclid(ROUND) < ROUND / 2
    }

    /// Its number: what keys and tokens of it begin with.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The hour of that number.
    pub const fn of_number(number: u16) -> Self {
        Self(number)
    }

    /// The hour before 32 bytes, as in a key and in a token.
    pub fn before(self, bytes: &[u8; 32]) -> [u8; 34] {
        let mut all = [0; 34];
        let (hour, rest) = all.split_at_mut(2);
        hour.copy_from_slice(&self.0.to_be_bytes());
        rest.copy_from_slice(bytes);
        all
    }

    /// The hour that [`Self::before`] put there.
    pub fn at_head_of(bytes: &[u8; 34]) -> Self {
        bytes.first_chunk().map_or(Self::NONE, |hour| Self(u16::from_be_bytes(*hour)))
    }
}

/// How many hours had begun by then.
const fn begun(at: Timestamp) -> i64 {
    (at.secs() - FIRST).div_euclid(HOUR)
}

/// The hash in a key: what tells a token from all others, whenever it ends.
pub fn hash_in(key: &AccessKey) -> &[u8] {
    key.split_at(2).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOON: Timestamp = Timestamp::from_secs(FIRST + 12 * HOUR);

    #[test]
    fn an_hour_is_over_when_its_last_token_is() {
        let of = |secs| ExpiryHour::of(NOON, Timestamp::from_secs(NOON.secs() + secs));
        assert_eq!([0, 1, 3599, 3600, 7199].map(|secs| of(secs).number()), [13, 13, 13, 14, 14]);
        let one = of(3599);
        assert!(
            !one.is_over(Timestamp::from_secs(NOON.secs() + 3599)) && one.is_over(NOON.plus(Duration::from_secs(3600)))
        );
        assert!(!ExpiryHour::NONE.is_over(NOON.plus(Duration::from_secs(1 << 40))));
    }

    #[test]
    fn who_lives_longer_than_a_day_has_none() {
        let day = NOON.plus(ExpiryHour::LONGEST);
        assert_eq!(ExpiryHour::of(NOON, day).number(), 37);
        assert_eq!(ExpiryHour::of(NOON, day.plus(Duration::from_micros(1))), ExpiryHour::NONE);
    }

    #[test]
    fn numbers_begin_again() {
        let last = Timestamp::from_secs(FIRST + (ROUND - 1) * HOUR);
        let before = last.minus(Duration::from_secs(1));
        let numbers: Vec<u16> = ExpiryHour::ahead(before, Duration::from_secs(3600)).map(ExpiryHour::number).collect();
        assert_eq!(numbers, [65534, 0, 1]);
        let first = ExpiryHour::of_number(0);
        assert!(!first.is_over(before) && !first.is_over(last));
        assert!(first.is_over(last.plus(Duration::from_secs(3600))) && ExpiryHour::of_number(65534).is_over(last));
    }

    proptest! {
        #[test]
        fn what_can_be_issued_has_its_hour_ahead(now in 0_i64..9_000_000_000, wait in 0_u64..3600, life in 0_u64..90_000) {
            let (now, life) = (Timestamp::from_secs(now), Duration::from_secs(life));
            let issued = now.plus(Duration::from_secs(wait));
            let hour = ExpiryHour::of(issued, issued.plus(life));
            prop_assert!(hour == ExpiryHour::NONE || ExpiryHour::ahead(now, life).any(|ahead| ahead == hour));
            prop_assert!(!hour.is_over(issued));
            prop_assert_eq!(ExpiryHour::at_head_of(&hour.before(&[7; 32])), hour);
        }
    }
}
