//! Opaque tokens: `ory_at_<key>.<signature>`, both base64url, 32 bytes each.
//!
//! The signature is an HMAC over kind and key under a key of its own for each kind, so that a prefix cannot be
//! exchanged. It is checked before any query: a forged token costs no I/O. The database knows the token by a hash of
//! its signature alone.

use crate::crypto::seal::{MacRing, Secrets};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Access token (RFC 6749 §1.4).
    Access,
    /// Registration access token (RFC 7592 §3). Hydra gives it the prefix of an access token.
    Registration,
}

impl TokenKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Access | Self::Registration => "ory_at_",
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Access => "at",
            Self::Registration => "rat",
        }
    }
}

/// A token made just now: what the client gets and what the database gets.
#[derive(Clone, PartialEq, Eq)]
pub struct Minted {
    /// The token.
    pub token: String,
    /// The hash of its signature, the key of its row.
    pub signature: [u8; 32],
}

/// Makes and checks opaque tokens under the system secrets.
#[derive(Clone, Debug)]
pub struct Opaque {
    access: MacRing,
    registration: MacRing,
}

/// Length of 32 bytes in base64url without padding.
const PART: usize = 43;

impl Opaque {
    /// Keys for every kind, derived from the system secrets: the first signs, all check.
    pub fn new(secrets: &Secrets) -> Self {
        Self { access: secrets.mac_ring("tok/at"), registration: secrets.mac_ring("tok/rat") }
    }

    const fn ring(&self, kind: TokenKind) -> &MacRing {
        match kind {
            TokenKind::Access => &self.access,
            TokenKind::Registration => &self.registration,
        }
    }

    /// Makes a token of 32 random bytes.
    pub fn mint(&self, kind: TokenKind, random: &[u8; 32]) -> Minted {
        let tag = self.ring(kind).tag(&[kind.label().as_bytes(), random]);
        let mut token = String::with_capacity(kind.prefix().len() + 2 * PART + 1);
        token.push_str(kind.prefix());
        URL_SAFE_NO_PAD.encode_string(random, &mut token);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(tag, &mut token);
        Minted { token, signature: signature_hash(kind.label(), &tag) }
    }

    /// The row key of a token that we made, and which secret made it (0 is the newest); `None` for anything else. The
    /// prefix may be missing, as with Hydra.
    pub fn check(&self, kind: TokenKind, token: &str) -> Option<([u8; 32], usize)> {
        let body = token.strip_prefix(kind.prefix()).unwrap_or(token);
        if body.len() != 2 * PART + 1 {
            return None;
        }
        let (key, tag) = body.split_once('.')?;
        let (key, tag) = (decode(key)?, decode(tag)?);
        let generation = self.ring(kind).verify(&[kind.label().as_bytes(), &key], &tag)?;
        Some((signature_hash(kind.label(), &tag), generation))
    }
}

/// Exactly 32 bytes in canonical base64url.
fn decode(part: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(part).ok()?.try_into().ok()
}

/// SHA-256 over the kind and the signature of a token: the key of its row.
pub fn signature_hash(label: &str, signature: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(label).chain_update([0]).chain_update(signature).finalize().into()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn opaque(secrets: &[&str]) -> Opaque {
        Opaque::new(&Secrets::new(&secrets.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()).unwrap())
    }

    #[test]
    fn rotation_keeps_old_tokens_and_kinds_do_not_mix() {
        let (old, new) = ("an-old-system-secret-of-some-length", "a-new-system-secret-of-some-length");
        let token = opaque(&[old]).mint(TokenKind::Access, &[7; 32]);
        assert!(token.token.starts_with("ory_at_"));
        assert_eq!(opaque(&[new, old]).check(TokenKind::Access, &token.token), Some((token.signature, 1)));
        assert_eq!(opaque(&[new]).check(TokenKind::Access, &token.token), None);
        assert_eq!(opaque(&[old]).check(TokenKind::Registration, &token.token), None);
        let bare = token.token.trim_start_matches("ory_at_");
        assert_eq!(opaque(&[old]).check(TokenKind::Access, bare), Some((token.signature, 0)));
    }

    proptest! {
        #[test]
        fn any_other_text_is_refused(at in 0usize..94, to in "[A-Za-z0-9_.-]") {
            let opaque = opaque(&["a-system-secret-of-some-length"]);
            let token = opaque.mint(TokenKind::Access, &[9; 32]).token;
            let changed: String = token.chars().enumerate().map(|(i, c)| if i == at { to.chars().next().unwrap() } else { c }).collect();
            prop_assert_eq!(opaque.check(TokenKind::Access, &changed).is_some(), changed == token);
        }

        #[test]
        fn nothing_panics(text in ".{0,200}") {
            let _ = opaque(&["a-system-secret-of-some-length"]).check(TokenKind::Access, &text);
        }
    }
}
