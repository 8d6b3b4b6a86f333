//! What lies under a token's key in Redis, and how it is told apart from what somebody else put there.
//!
//! A value is sealed and bound to its key, so that nobody reads a user's claims there, writes others, or moves a value to
//! another token; what does not open is as if it were not there. Messages carry a MAC: they hold no claims.

use crate::crypto::seal::{MacRing, Sealer, aad};
use crate::domain::world::Timestamp;
use crate::store::AccessKey;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const VERSION: u8 = 1;
const ACTIVE: u8 = 1;
const ENDED: u8 = 0;
const MAC: usize = 32;
/// Clocks of replicas may differ by this much before their entries are refused.
pub(super) const SKEW: Duration = Duration::from_secs(1);

/// What an introspection of a live access token says, ready to be sent, with all that decides whether it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// When the database was asked: what ended before, it does not say.
    pub read_at: Timestamp,
    /// When the token ends.
    pub expires_at: Timestamp,
    /// The family of the token.
    pub family_id: Uuid,
    /// Its `client_id`.
    pub client_id: String,
    /// Its `sub`.
    pub subject: String,
    /// Its scope, judged after every lookup.
    pub scope: Vec<String>,
    /// The body of the answer (RFC 7662 §2.2).
    pub body: Bytes,
}

impl Answer {
    /// For how long it may still be told; nothing if it is from the future, older than `staleness`, or of a token that
    /// has run out.
    pub(super) fn left(&self, now: Timestamp, staleness: Duration) -> Option<Duration> {
        let ends = self.read_at.plus(staleness).min(self.expires_at);
        let left = ends.since(now).min(staleness);
        (!left.is_zero() && self.read_at <= now.plus(SKEW)).then_some(left)
    }

    fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128 + self.client_id.len() + self.subject.len() + self.body.len());
        bytes.extend(self.read_at.micros().to_be_bytes());
        bytes.extend(self.expires_at.micros().to_be_bytes());
        bytes.extend(self.family_id.as_bytes());
        for text in [&self.client_id, &self.subject, &self.scope.join(" ")] {
            put(&mut bytes, text.as_bytes());
        }
        bytes.extend(&self.body);
        bytes
    }

    fn read(mut bytes: &[u8]) -> Option<Self> {
        let rest = &mut bytes;
        Some(Self {
            read_at: Timestamp::from_micros(i64::from_be_bytes(exact(rest)?)),
            expires_at: Timestamp::from_micros(i64::from_be_bytes(exact(rest)?)),
            family_id: Uuid::from_bytes(exact(rest)?),
            client_id: text(rest)?,
            subject: text(rest)?,
            scope: text(rest)?.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect(),
            body: Bytes::copy_from_slice(rest),
        })
    }
}

/// What was found under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// The answer for a live token.
    Active(Arc<Answer>),
    /// The token has ended: a tombstone, which keeps late answers out.
    Ended,
}

/// Appends a length and the bytes.
pub(super) fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend(part);
}

/// Takes so many bytes off the front.
pub(super) fn exact<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

/// Takes what [`put`] appended.
pub(super) fn text(rest: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(u32::from_be_bytes(exact(rest)?)).ok()?;
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    String::from_utf8(head.to_vec()).ok()
}

/// A message with its MAC, once for each secret that is in use: who has only the older one must hear it too.
pub(super) fn signed(macs: &MacRing, payload: &[u8]) -> Vec<Vec<u8>> {
    let sign = |mac: [u8; MAC]| [&[VERSION], mac.as_slice(), payload].concat();
    macs.tags(&[&[VERSION], payload]).into_iter().map(sign).collect()
}

/// The payload of what [`signed`] made; nothing for anything else.
pub(super) fn verified<'a>(macs: &MacRing, mut bytes: &'a [u8]) -> Option<&'a [u8]> {
    let [version] = exact::<1>(&mut bytes)?;
    let mac = exact::<MAC>(&mut bytes)?;
    let whole = version == VERSION && macs.verify(&[&[version], bytes], &mac).is_some();
    whole.then_some(bytes)
}

/// The value for a live token. `salt` must be fresh random bytes, here and below.
pub(super) fn active(sealer: &Sealer, salt: &[u8; 32], key: &AccessKey, answer: &Answer) -> Option<Vec<u8>> {
    let plain = [&[VERSION, ACTIVE], answer.write().as_slice()].concat();
    sealer.seal(salt, &about(key), &plain).ok()
}

/// The value for a token that has ended.
pub(super) fn tombstone(sealer: &Sealer, salt: &[u8; 32], key: &AccessKey) -> Option<Vec<u8>> {
    sealer.seal(salt, &about(key), &[VERSION, ENDED]).ok()
}

fn about(key: &AccessKey) -> Vec<u8> {
    aad("redis", "introspection", key)
}

/// Reads a value; nothing if it is not ours, not of this token, or of a version that is not known here.
pub(super) fn read(sealer: &Sealer, key: &AccessKey, bytes: &[u8]) -> Option<Kept> {
    let opened = sealer.open(&about(key), bytes).ok()?;
    match opened.plain.as_slice() {
        [VERSION, ACTIVE, payload @ ..] => Some(Kept::Active(Arc::new(Answer::read(payload)?))),
        [VERSION, ENDED] => Some(Kept::Ended),
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]
pub(super) mod tests {
    use super::*;
    use crate::crypto::seal::Secrets;
    use proptest::prelude::*;

    const SALT: [u8; 32] = [9; 32];

    fn secrets(secrets: &[&str]) -> Secrets {
        let secrets: Vec<String> = secrets.iter().map(|s| format!("{s}, long enough to be one")).collect();
        Secrets::new(&secrets).unwrap()
    }

    pub(in super::super) fn macs(of: &[&str]) -> MacRing {
        secrets(of).mac_ring("test")
    }

    fn sealer(of: &[&str]) -> Sealer {
        secrets(of).sealer("test")
    }

    pub(in super::super) fn answer(read_at: i64) -> Answer {
        Answer {
            read_at: Timestamp::from_secs(read_at),
            expires_at: Timestamp::from_secs(read_at + 3600),
            family_id: Uuid::from_u128(7),
            client_id: "a client".to_owned(),
            subject: "größe".to_owned(),
            scope: vec!["read".to_owned(), "write".to_owned()],
            body: Bytes::from_static(b"{\"active\":true}"),
        }
    }

    #[test]
    fn a_value_is_read_by_those_who_share_a_secret_and_for_its_own_token_only() {
        let (old, both, other) = (sealer(&["old"]), sealer(&["new", "old"]), sealer(&["other"]));
        let (key, said) = ([1; 34], answer(1000));
        let bytes = active(&old, &SALT, &key, &said).unwrap();
        assert!(!bytes.windows(6).any(|part| part == b"active"), "nobody else reads it");
        assert_eq!(read(&both, &key, &bytes), Some(Kept::Active(Arc::new(said))));
        assert_eq!(read(&both, &key, &tombstone(&old, &SALT, &key).unwrap()), Some(Kept::Ended));
        assert_eq!(read(&other, &key, &bytes), None);
        assert_eq!(read(&old, &[2; 34], &bytes), None, "moved to another token");
        let newer = active(&both, &SALT, &key, &answer(1000)).unwrap();
        assert_eq!(read(&old, &key, &newer), None, "a secret not yet known here");
    }

    #[test]
    fn a_message_is_heard_by_all_who_share_a_secret() {
        let both = signed(&macs(&["new", "old"]), b"news");
        for (of, heard) in [("new", 1), ("old", 1), ("other", 0)] {
            let ring = macs(&[of]);
            assert_eq!(both.iter().filter(|one| verified(&ring, one) == Some(&b"news"[..])).count(), heard, "{of}");
        }
    }

    #[test]
    fn no_changed_bit_is_believed() {
        let (ring, key) = (sealer(&["one"]), [1; 34]);
        let values = [active(&ring, &SALT, &key, &answer(1000)), tombstone(&ring, &SALT, &key)];
        for whole in values.map(Option::unwrap) {
            for at in 0..whole.len() {
                let mut changed = whole.clone();
                changed[at] ^= 1;
                assert_eq!(read(&ring, &key, &changed), None, "byte {at}");
                assert_eq!(read(&ring, &key, &whole[..at]), None, "cut at {at}");
            }
        }
    }

    #[test]
    fn an_answer_is_fresh_for_a_while() {
        let (said, five) = (answer(1000), Duration::from_secs(5));
        for (now, left) in [(998, None), (999, Some(5)), (1000, Some(5)), (1004, Some(1)), (1005, None)] {
            assert_eq!(said.left(Timestamp::from_secs(now), five), left.map(Duration::from_secs), "{now}");
        }
        assert_eq!(said.left(Timestamp::from_secs(1000), Duration::ZERO), None, "nought turns it off");
        let ending = Answer { expires_at: Timestamp::from_secs(1002), ..said };
        assert_eq!(ending.left(Timestamp::from_secs(1001), five), Some(Duration::from_secs(1)));
        assert_eq!(ending.left(Timestamp::from_secs(1002), five), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(read(&sealer(&["one"]), &[0; 34], &bytes), None);
            prop_assert_eq!(verified(&macs(&["one"]), &bytes), None);
            let _ = Answer::read(&bytes);
        }
    }
}
