//! What replicas tell each other through Redis: what ended, and canaries that show how long such news takes.

use super::ended::Ended;
use super::value;
use crate::crypto::seal::MacRing;
use crate::domain::world::Timestamp;

/// A message on the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// These ended.
    Ended(Vec<Ended>),
    /// A replica is here; `ask` is to answer.
    Canary {
        /// Who sends it.
        from: u64,
        /// Its number.
        number: u64,
        /// Who is to answer; nobody has the number 0.
        ask: u64,
        /// The sender's clock.
        clock: Timestamp,
    },
    /// Something that this version does not know: anything may have ended.
    Unknown,
    /// The answer to a canary.
    Echo {
        /// Whose canary it was.
        to: u64,
        /// Its number.
        number: u64,
    },
}

impl News {
    /// The message's bytes with their MAC, once for each secret in use.
    pub(super) fn write(&self, macs: &MacRing) -> Vec<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut numbers = |tag: u8, all: &[u64]| {
            bytes.push(tag);
            bytes.extend(all.iter().flat_map(|n| n.to_be_bytes()));
        };
        match self {
            Self::Canary { from, number, ask, clock } => {
                numbers(b'c', &[*from, *number, *ask, clock.micros().cast_unsigned()]);
            }
            Self::Echo { to, number } => numbers(b'e', &[*to, *number]),
            Self::Unknown => {}
            Self::Ended(all) => {
                bytes.push(b'x');
                for ended in all {
                    ended.write(&mut bytes);
                }
            }
        }
        value::signed(macs, &bytes)
    }

    /// Reads a message; nothing if it is not ours.
    pub(super) fn read(macs: &MacRing, bytes: &[u8]) -> Option<Self> {
        value::verified(macs, bytes).map(|payload| Self::parse(payload).unwrap_or(Self::Unknown))
    }

    fn parse(mut payload: &[u8]) -> Option<Self> {
        let number = |rest: &mut &[u8]| value::exact(rest).map(u64::from_be_bytes);
        let rest = &mut payload;
        Some(match value::exact(rest)? {
            [b'c'] => Self::Canary {
                from: number(rest)?,
                number: number(rest)?,
                ask: number(rest)?,
                clock: Timestamp::from_micros(number(rest)?.cast_signed()),
            },
            [b'e'] => Self::Echo { to: number(rest)?, number: number(rest)? },
            [b'x'] => {
                let mut all = Vec::new();
                while !rest.is_empty() {
                    all.push(Ended::read(rest)?);
                }
                Self::Ended(all)
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::macs;
    use super::*;

    #[test]
    fn news_travel_and_strangers_are_not_heard() {
        let (ring, both) = (macs(&["one"]), macs(&["newer", "one"]));
        let clock = Timestamp::from_secs(-5);
        for news in [
            News::Ended(vec![Ended::Token([1; 34]), Ended::Client("c".to_owned())]),
            News::Ended(Vec::new()),
            News::Canary { from: 1, number: 2, ask: 3, clock },
            News::Echo { to: 1, number: 2 },
        ] {
            let all = news.write(&both);
            assert_eq!(all.iter().filter_map(|bytes| News::read(&ring, bytes)).collect::<Vec<_>>(), [news]);
            assert!(all.iter().all(|bytes| News::read(&macs(&["other"]), bytes).is_none()));
        }
        let later = value::signed(&ring, b"?what a later version says");
        assert_eq!(News::read(&ring, &later.concat()), Some(News::Unknown));
    }
}
