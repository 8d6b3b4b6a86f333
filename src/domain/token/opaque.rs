//! Opaque tokens: `ory_at_<key>.<signature>`, both base64url, 32 bytes each; an access token's key has the hour of its
//! end before its 32 random bytes, or not, if it was issued before there were hours.
//!
//! The signature is an HMAC over kind and key under a key of its own for each kind, so that a prefix cannot be
//! exchanged. It is checked before any query: a forged token costs no I/O. The database knows the token by a hash of
//! its signature alone.

use super::expiry_hour::{AccessKey, ExpiryHour};
use crate::crypto::seal::{MacRing, Secrets};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Access token (RFC 6749 §1.4).
    Access,
    /// Authorization code (RFC 6749 §1.3.1).
    Code,
    /// Refresh token (RFC 6749 §1.5).
    Refresh,
    /// Device code (RFC 8628 §3.2).
    Device,
    /// Registration access token (RFC 7592 §3). Hydra gives it the prefix of an access token.
    Registration,
}

impl TokenKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Access | Self::Registration => "ory_at_",
            Self::Code => "ory_ac_",
            Self::Refresh => "ory_rt_",
            Self::Device => "ory_dc_",
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Access => "at",
            Self::Code => "ac",
            Self::Refresh => "rt",
            Self::Device => "dc",
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

/// An access token made just now.
#[derive(Clone, PartialEq, Eq)]
pub struct MintedAccess {
    /// The token.
    pub token: String,
    /// The key of its row.
    pub key: AccessKey,
}

/// An access token of ours that somebody presented.
pub struct PresentedAccess {
    /// The key of its row.
    pub key: AccessKey,
    /// Which secret made it; 0 is the newest.
    pub generation: usize,
}

/// A token of ours that somebody presented.
pub struct Presented {
    /// The key of its row.
    pub signature: [u8; 32],
    /// Which secret made it; 0 is the newest.
    pub generation: usize,
    /// Its random part, which nothing in the database and no secret tells.
    pub key: Zeroizing<[u8; 32]>,
}

/// Makes and checks opaque tokens under the system secrets.
#[derive(Clone, Debug)]
pub struct Opaque {
    access: MacRing,
    code: MacRing,
    refresh: MacRing,
    device: MacRing,
    registration: MacRing,
}

/// Length of so many bytes in base64url without padding.
const fn encoded(bytes: usize) -> usize {
    (4 * bytes).div_ceil(3)
}

impl Opaque {
    /// Keys for every kind, derived from the system secrets: the first signs, all check.
    pub fn new(secrets: &Secrets) -> Self {
        Self {
            access: secrets.mac_ring("tok/at"),
            code: secrets.mac_ring("tok/ac"),
            refresh: secrets.mac_ring("tok/rt"),
            device: secrets.mac_ring("tok/dc"),
            registration: secrets.mac_ring("tok/rat"),
        }
    }

    const fn ring(&self, kind: TokenKind) -> &MacRing {
        match kind {
            TokenKind::Access => &self.access,
            TokenKind::Code => &self.code,
            TokenKind::Refresh => &self.refresh,
            TokenKind::Device => &self.device,
            TokenKind::Registration => &self.registration,
        }
    }

    /// Makes a token of 32 random bytes.
    pub fn mint(&self, kind: TokenKind, random: &[u8; 32]) -> Minted {
        self.make(kind, random)
    }

    /// Makes an access token of 32 random bytes that ends in that hour.
    pub fn mint_access(&self, hour: ExpiryHour, random: &[u8; 32]) -> MintedAccess {
        let Minted { token, signature } = self.make(TokenKind::Access, &hour.before(random));
        MintedAccess { token, key: hour.before(&signature) }
    }

    fn make(&self, kind: TokenKind, key: &[u8]) -> Minted {
        let tag = self.ring(kind).tag(&[kind.label().as_bytes(), key]);
        let mut token = String::with_capacity(kind.prefix().len() + encoded(key.len()) + 1 + encoded(tag.len()));
        token.push_str(kind.prefix());
        URL_SAFE_NO_PAD.encode_string(key, &mut token);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(tag, &mut token);
        Minted { token, signature: signature_hash(kind.label(), &tag) }
    }

    /// The row key of a token that we made, and which secret made it (0 is the newest); `None` for anything else. The
    /// prefix may be missing, as with Hydra.
    pub fn check(&self, kind: TokenKind, token: &str) -> Option<([u8; 32], usize)> {
        self.present(kind, token).map(|found| (found.signature, found.generation))
    }

    /// The same with the token's random part, for what is sealed under the token itself.
    pub fn present(&self, kind: TokenKind, token: &str) -> Option<Presented> {
        let (key, signature, generation) = self.verified(kind, token)?;
        Some(Presented { signature, generation, key })
    }

    /// The row key of an access token that we made, with an hour or without; `None` for anything else.
    pub fn present_access(&self, token: &str) -> Option<PresentedAccess> {
        let kind = TokenKind::Access;
        let (hour, (hash, generation)) = match self.verified::<34>(kind, token) {
            Some((key, hash, generation)) => (ExpiryHour::at_head_of(&key), (hash, generation)),
            None => (ExpiryHour::NONE, self.check(kind, token)?),
        };
        Some(PresentedAccess { key: hour.before(&hash), generation })
    }

    /// The key of a token that we made, the hash of its signature, and which secret made it.
    fn verified<const N: usize>(&self, kind: TokenKind, token: &str) -> Option<(Zeroizing<[u8; N]>, [u8; 32], usize)> {
        let body = token.strip_prefix(kind.prefix()).unwrap_or(token);
        if body.len() != encoded(N) + 1 + encoded(32) {
            return None;
        }
        let (key, tag) = body.split_once('.')?;
        let (key, tag) = (Zeroizing::new(decode::<N>(key)?), decode::<32>(tag)?);
        let generation = self.ring(kind).verify(&[kind.label().as_bytes(), key.as_slice()], &tag)?;
        Some((key, signature_hash(kind.label(), &tag), generation))
    }
}

/// Exactly so many bytes in canonical base64url.
fn decode<const N: usize>(part: &str) -> Option<[u8; N]> {
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

    #[test]
    fn c11_no_kind_passes_for_another_under_any_name() {
        let kinds =
            [TokenKind::Access, TokenKind::Code, TokenKind::Refresh, TokenKind::Device, TokenKind::Registration];
        let opaque = opaque(&["a-system-secret-of-some-length"]);
        for made in kinds {
            let token = opaque.mint(made, &[7; 32]);
            let bare = token.token.strip_prefix(made.prefix()).unwrap();
            let present = opaque.present(made, bare).unwrap();
            assert_eq!((present.signature, *present.key), (token.signature, [7; 32]));
            for other in kinds.into_iter().filter(|other| *other != made) {
                for name in [token.token.clone(), bare.to_owned(), format!("{}{bare}", other.prefix())] {
                    assert_eq!(opaque.check(other, &name), None, "{made:?} as {other:?}: {name}");
                }
            }
        }
    }

    #[test]
    fn an_access_token_keeps_its_hour_and_those_of_before_have_none() {
        let opaque = opaque(&["a-system-secret-of-some-length"]);
        let hour = ExpiryHour::of_number(7890);
        let (of_an_hour, of_before) = (opaque.mint_access(hour, &[7; 32]), opaque.mint(TokenKind::Access, &[7; 32]));
        assert_eq!(of_an_hour.token.len(), "ory_at_".len() + 46 + 1 + 43);
        let key = |token: &str| opaque.present_access(token).map(|found| found.key);
        assert_eq!(key(&of_an_hour.token), Some(of_an_hour.key));
        assert_eq!(ExpiryHour::at_head_of(&of_an_hour.key), hour);
        assert_eq!(key(of_an_hour.token.trim_start_matches("ory_at_")), Some(of_an_hour.key));
        assert_eq!(key(&of_before.token), Some(ExpiryHour::NONE.before(&of_before.signature)));
        assert_eq!(opaque.check(TokenKind::Access, &of_an_hour.token), None, "two forms, never mixed");
        // Another hour, or none, under the signature of this one.
        let (_, signature) = of_an_hour.token.split_once('.').unwrap();
        for forged in [&ExpiryHour::of_number(7891).before(&[7; 32])[..], &[7; 32]] {
            assert_eq!(key(&format!("ory_at_{}.{signature}", URL_SAFE_NO_PAD.encode(forged))), None);
        }
    }

    proptest! {
        #[test]
        fn any_other_access_token_is_refused(at in 0usize..97, to in "[A-Za-z0-9_.-]") {
            let opaque = opaque(&["a-system-secret-of-some-length"]);
            let token = opaque.mint_access(ExpiryHour::of_number(7890), &[9; 32]).token;
            let changed: String = token.chars().enumerate().map(|(i, c)| if i == at { to.chars().next().unwrap() } else { c }).collect();
            prop_assert_eq!(opaque.present_access(&changed).is_some(), changed == token);
        }

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
