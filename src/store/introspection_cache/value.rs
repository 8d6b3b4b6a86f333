//! What lies under a token's key in Redis, and how it is told apart from what somebody else put there.
//!
//! `version | kind | MAC | payload`. The MAC covers version, kind, the key and the payload, so that no value can be moved
//! to another token; what does not verify is as if it were not there.

use crate::crypto::seal::MacRing;
use crate::domain::world::Timestamp;
use crate::store::SignatureHash;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const VERSION: u8 = 1;
const ACTIVE: u8 = 1;
const ENDED: u8 = 0;
const MAC: usize = 32;
/// Clocks of replicas may differ by this much before their entries are refused.
const SKEW: Duration = Duration::from_secs(1);

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
    /// Whether it may still be told: neither older than `staleness`, nor from the future, nor of a token that ended.
    pub(super) fn is_fresh(&self, now: Timestamp, staleness: Duration) -> bool {
        self.expires_at > now && self.read_at.plus(staleness) > now && self.read_at <= now.plus(SKEW)
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

/// Prefixes a payload with its version, kind and MAC. `about` is the key it belongs to.
pub(super) fn seal(macs: &MacRing, kind: u8, about: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 + MAC + payload.len());
    bytes.extend([VERSION, kind]);
    bytes.extend(macs.tag(&[&[VERSION, kind], about, payload]));
    bytes.extend(payload);
    bytes
}

/// The kind and the payload of what [`seal`] made for this key; nothing for anything else.
pub(super) fn open<'a>(macs: &MacRing, about: &[u8], mut bytes: &'a [u8]) -> Option<(u8, &'a [u8])> {
    let [version, kind] = exact::<2>(&mut bytes)?;
    let mac = exact::<MAC>(&mut bytes)?;
    let whole = version == VERSION && macs.verify(&[&[version, kind], about, bytes], &mac).is_some();
    whole.then_some((kind, bytes))
}

/// The value for a live token.
pub(super) fn active(macs: &MacRing, key: &SignatureHash, answer: &Answer) -> Vec<u8> {
    seal(macs, ACTIVE, key, &answer.write())
}

/// The value for a token that has ended.
pub(super) fn tombstone(macs: &MacRing, key: &SignatureHash) -> Vec<u8> {
    seal(macs, ENDED, key, &[])
}

/// Reads a value; nothing if it is not ours, not of this token, or of a version that is not known here.
pub(super) fn read(macs: &MacRing, key: &SignatureHash, bytes: &[u8]) -> Option<Kept> {
    match open(macs, key, bytes)? {
        (ACTIVE, payload) => Some(Kept::Active(Arc::new(Answer::read(payload)?))),
        (ENDED, []) => Some(Kept::Ended),
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]
pub(super) mod tests {
    use super::*;
    use crate::crypto::seal::Secrets;
    use proptest::prelude::*;

    pub(in super::super) fn macs(secrets: &[&str]) -> MacRing {
        let secrets: Vec<String> = secrets.iter().map(|s| format!("{s}, long enough to be one")).collect();
        Secrets::new(&secrets).unwrap().mac_ring("test")
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
        let (old, both, other) = (macs(&["old"]), macs(&["new", "old"]), macs(&["other"]));
        let (key, said) = ([1; 32], answer(1000));
        let bytes = active(&old, &key, &said);
        assert_eq!(read(&both, &key, &bytes), Some(Kept::Active(Arc::new(said))));
        assert_eq!(read(&both, &key, &tombstone(&old, &key)), Some(Kept::Ended));
        assert_eq!(read(&other, &key, &bytes), None);
        assert_eq!(read(&old, &[2; 32], &bytes), None, "moved to another token");
        assert_eq!(read(&old, &key, &active(&both, &key, &answer(1000))), None, "a secret not yet known here");
    }

    #[test]
    fn no_changed_bit_is_believed() {
        let (ring, key) = (macs(&["one"]), [1; 32]);
        for whole in [active(&ring, &key, &answer(1000)), tombstone(&ring, &key)] {
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
        for (now, fresh) in [(998, false), (999, true), (1000, true), (1004, true), (1005, false)] {
            assert_eq!(said.is_fresh(Timestamp::from_secs(now), five), fresh, "{now}");
        }
        assert!(!said.is_fresh(Timestamp::from_secs(1000), Duration::ZERO), "nought turns it off");
        let ending = Answer { expires_at: Timestamp::from_secs(1002), ..said };
        assert!(!ending.is_fresh(Timestamp::from_secs(1002), five));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(read(&macs(&["one"]), &[0; 32], &bytes), None);
            let _ = Answer::read(&bytes);
        }
    }
}
