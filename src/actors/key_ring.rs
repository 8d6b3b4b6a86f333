//! The snapshot of the signing keys that every worker reads without a hop.

use crate::crypto::jose::{SigningKey, VerifyingKey};
use crate::crypto::jwk::Jwk;
use crate::domain::key_ring::{KeyMeta, signer};
use crate::domain::world::Timestamp;
use crate::store::KeyRow;
use bytes::Bytes;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// Signs ID tokens.
pub const ID_TOKEN_SET: &str = "hydra.openid.id-token";
/// Signs JWT access tokens.
pub const ACCESS_TOKEN_SET: &str = "hydra.jwt.access-token";

struct Set {
    metas: Vec<KeyMeta>,
    signers: HashMap<String, SigningKey>,
    verifiers: HashMap<String, VerifyingKey>,
}

/// The keys in use.
#[derive(Default)]
pub struct KeyRing {
    sets: HashMap<String, Set>,
    /// The public document, ready to send (RFC 7517 §5).
    pub jwks: Bytes,
    /// Its entity tag.
    pub etag: String,
    /// When it was read, by this process's clock.
    pub read_at: Timestamp,
    /// By how many microseconds that clock is ahead of the store's, which decides from when and until when a key is used.
    ahead: i64,
}

/// What the rules look at of a row.
pub fn meta(row: &KeyRow) -> KeyMeta {
    KeyMeta {
        kid: row.kid.clone(),
        created_at: row.created_at,
        activates_at: row.activates_at,
        retires_at: row.retires_at,
    }
}

/// The entity tag of a document (RFC 9110 §8.8.3): half of its SHA-256.
pub fn entity_tag(document: &[u8]) -> String {
    format!("\"{}\"", hex::encode(Sha256::digest(document).get(..16).unwrap_or_default()))
}

impl KeyRing {
    /// Parses the keys that are published at `read_at`, by a clock that is so many microseconds ahead of the store's.
    /// Symmetric keys are never published.
    pub fn of(keys: &[(KeyRow, Jwk)], read_at: Timestamp, ahead: i64) -> Self {
        let mut ring = Self { read_at, ahead, ..Self::default() };
        let now = ring.by_store(read_at);
        let mut public = Vec::new();
        for (row, jwk) in keys {
            let meta = meta(row);
            if !meta.is_published(now) || jwk.is_symmetric() {
                continue;
            }
            public.push(jwk.public());
            let set = ring.sets.entry(row.set.clone()).or_insert_with(|| Set {
                metas: Vec::new(),
                signers: HashMap::new(),
                verifiers: HashMap::new(),
            });
            if let Ok(key) = VerifyingKey::from_jwk(&jwk.public()) {
                set.verifiers.insert(row.kid.clone(), key);
            }
            if let Ok(key) = SigningKey::from_jwk(jwk) {
                set.signers.insert(row.kid.clone(), key);
                set.metas.push(meta);
            }
        }
        let document = json!({"keys": public}).to_string();
        ring.etag = entity_tag(document.as_bytes());
        ring.jwks = Bytes::from(document);
        ring
    }

    /// The key that signs for a set at this moment of this process's clock.
    pub fn signer(&self, set: &str, now: Timestamp) -> Option<&SigningKey> {
        let set = self.sets.get(set)?;
        set.signers.get(&signer(&set.metas, self.by_store(now))?.kid)
    }

    /// A moment of this process's clock by that of the store.
    const fn by_store(&self, ours: Timestamp) -> Timestamp {
        Timestamp::from_micros(ours.micros().saturating_sub(self.ahead))
    }

    /// The key that verifies a token of that `kid`.
    pub fn verifying(&self, set: &str, kid: &str) -> Option<&VerifyingKey> {
        self.sets.get(set)?.verifiers.get(kid)
    }

    /// What a set's signing keys are.
    pub fn metas(&self, set: &str) -> &[KeyMeta] {
        self.sets.get(set).map_or(&[], |s| &s.metas)
    }

    /// Whether one of our own sets has no key yet.
    pub fn is_empty(&self) -> bool {
        [ID_TOKEN_SET, ACCESS_TOKEN_SET].iter().any(|s| self.metas(s).is_empty())
    }
}
