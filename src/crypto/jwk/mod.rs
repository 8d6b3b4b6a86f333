//! JSON Web Keys (RFC 7517, 7518, 8037): reading, checking, thumbprints; making and importing them in the files below.
//! Any room may call it. Invariant: [`Jwk::public`] is the only way a key gets out to the world, and no `Debug` shows
//! key material.

mod alg;
mod generate;
mod import;

use std::fmt;

use aws_lc_rs::{rsa::PublicKeyComponents, signature as als};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

pub use alg::{Alg, UnknownAlg};
pub use generate::generate;
pub use import::{from_pem, import};

/// The members that make a key private or secret (RFC 7518 section 6, RFC 8037; `priv` is the AKP kind).
const PRIVATE: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// Why a key is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    /// A needed member is absent or is not what its RFC says.
    #[error("the key's member {0:?} is missing or malformed")]
    Member(&'static str),
    /// RSA below 2048 or above 8192 bits, or an exponent that is even, 1 or beyond 64 bits.
    #[error("the RSA key is too weak or its size is not supported: {0}")]
    Weak(&'static str),
    /// A public key was asked for, but this one holds private or secret members.
    #[error("the key contains a private part")]
    PrivatePart,
    /// A kind, curve or algorithm this program does not use.
    #[error("the key's kind, curve or algorithm is not supported")]
    Unsupported,
    /// The parts do not fit together, or the point is not on its curve.
    #[error("the key's parts do not form a valid key")]
    Invalid,
    /// Not a JWK, a set of them, PEM or DER.
    #[error("not a JSON Web Key, key set, PEM or DER key")]
    Format,
    /// The crypto library could not make a key.
    #[error("the key could not be generated")]
    Generate,
}

/// One JSON Web Key with all its members, known or not, in their order.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Jwk(Map<String, Value>);

impl fmt::Debug for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwk").field("kid", &self.kid()).field("kty", &self.kty()).finish_non_exhaustive()
    }
}

impl From<Map<String, Value>> for Jwk {
    fn from(members: Map<String, Value>) -> Self {
        Self(members)
    }
}

impl Jwk {
    /// All members, the private ones too.
    #[must_use]
    pub const fn members(&self) -> &Map<String, Value> {
        &self.0
    }

    /// All members, the private ones too, to be changed.
    pub const fn members_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.0
    }

    /// The key as a JSON value, the private members too.
    #[must_use]
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// Key id (RFC 7517 section 4.5).
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.text("kid")
    }

    /// The algorithm the key is meant for, as written (RFC 7517 section 4.4).
    #[must_use]
    pub fn alg(&self) -> Option<&str> {
        self.text("alg")
    }

    /// Key type (RFC 7517 section 4.1); empty when absent.
    #[must_use]
    pub fn kty(&self) -> &str {
        self.text("kty").unwrap_or_default()
    }

    /// Curve of an `EC` or `OKP` key.
    #[must_use]
    pub fn crv(&self) -> Option<&str> {
        self.text("crv")
    }

    /// Intended use, `sig` or `enc` (RFC 7517 section 4.2).
    #[must_use]
    pub fn use_(&self) -> Option<&str> {
        self.text("use")
    }

    /// The key without its private and secret members.
    #[must_use]
    pub fn public(&self) -> Self {
        let keep = |(name, _): &(&String, &Value)| !PRIVATE.contains(&name.as_str());
        Self(self.0.iter().filter(keep).map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// Whether the key holds private or secret members.
    #[must_use]
    pub fn is_private(&self) -> bool {
        PRIVATE.iter().any(|name| self.0.contains_key(*name))
    }

    /// Whether this is a shared secret (`oct`).
    #[must_use]
    pub fn is_symmetric(&self) -> bool {
        self.kty() == "oct"
    }

    /// The bytes of a base64url member. Padding, which some issuers add, is let through.
    pub(crate) fn bytes(&self, name: &'static str) -> Result<Vec<u8>, JwkError> {
        let text = self.text(name).ok_or(JwkError::Member(name))?;
        URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| JwkError::Member(name))
    }

    /// A base64url big-endian number without leading zeros.
    pub(crate) fn number(&self, name: &'static str) -> Result<Vec<u8>, JwkError> {
        let bytes: Vec<u8> = self.bytes(name)?.into_iter().skip_while(|byte| *byte == 0).collect();
        if bytes.is_empty() { Err(JwkError::Member(name)) } else { Ok(bytes) }
    }

    /// The SHA-256 thumbprint (RFC 7638, RFC 8037 section 2), base64url. Nothing for an unknown kind or an
    /// incomplete key.
    #[must_use]
    pub fn thumbprint(&self) -> Option<String> {
        // The members in the order of their names, as section 3 asks.
        let names: &[&str] = match self.kty() {
            "RSA" => &["e", "kty", "n"],
            "EC" => &["crv", "kty", "x", "y"],
            "OKP" => &["crv", "kty", "x"],
            "oct" => &["k", "kty"],
            "AKP" => &["alg", "kty", "pub"],
            _ => return None,
        };
        let member = |name: &&str| Some(((*name).to_owned(), Value::from(self.text(name)?)));
        let members: Map<_, _> = names.iter().map(member).collect::<Option<_>>()?;
        Some(URL_SAFE_NO_PAD.encode(Sha256::digest(Value::Object(members).to_string())))
    }

    /// Whether the key may be registered as somebody's public key: a real RSA, EC or Ed25519 key of good size, with
    /// nothing private in it.
    ///
    /// # Errors
    /// [`JwkError::PrivatePart`] first; [`JwkError::Unsupported`] for kinds this program does not use, which the
    /// caller may choose to let pass; others say what is wrong.
    pub fn check_public(&self) -> Result<(), JwkError> {
        if self.is_private() {
            return Err(JwkError::PrivatePart);
        }
        self.check_public_part()
    }

    /// Whether the key, private or public, may be imported: its public part as in [`Self::check_public`], and the
    /// private part belongs to it.
    ///
    /// # Errors
    /// As [`Self::check_public`], without [`JwkError::PrivatePart`].
    pub fn check(&self) -> Result<(), JwkError> {
        if self.is_symmetric() {
            return self.number("k").map(|_| ());
        }
        self.check_public_part()?;
        if self.is_private() { super::jose::check_pair(self) } else { Ok(()) }
    }

    fn check_public_part(&self) -> Result<(), JwkError> {
        match self.kty() {
            "RSA" => {
                let key = PublicKeyComponents { n: self.number("n")?, e: self.number("e")? };
                check_rsa(&key)?;
                key.to_parsed_public_key(&als::RSA_PKCS1_2048_8192_SHA256).map_err(|_| JwkError::Invalid)?;
                Ok(())
            }
            "EC" | "OKP" => {
                let alg = Alg::for_curve(self.crv()).ok_or(JwkError::Unsupported)?;
                if self.kty() != alg.kty() {
                    return Err(JwkError::Unsupported);
                }
                super::jose::parse_point(self, alg).map(|_| ())
            }
            "" => Err(JwkError::Member("kty")),
            _ => Err(JwkError::Unsupported),
        }
    }
}

/// Sizes and exponent. An exponent of 1 would make every message its own signature.
pub(crate) fn check_rsa(key: &PublicKeyComponents<Vec<u8>>) -> Result<(), JwkError> {
    let bits = key.n.first().map_or(0, |top| key.n.len() * 8 - top.leading_zeros() as usize);
    if bits < 2048 {
        return Err(JwkError::Weak("fewer than 2048 bits"));
    }
    if bits > 8192 {
        return Err(JwkError::Weak("more than 8192 bits"));
    }
    let odd = |number: &[u8]| number.last().is_some_and(|low| low & 1 == 1);
    if !odd(&key.n) {
        return Err(JwkError::Invalid);
    }
    if !odd(&key.e) || key.e == [1] || key.e.len() > 8 {
        return Err(JwkError::Weak("the exponent"));
    }
    Ok(())
}

/// The keys of a set, whatever their kinds. Entries that are not objects are left out, so that one odd entry never
/// costs the whole set. A value that is not a set gives nothing.
#[must_use]
pub fn parse_set(set: &Value) -> Vec<Jwk> {
    let keys = set.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    keys.iter().filter_map(Value::as_object).cloned().map(Jwk).collect()
}

#[cfg(test)]
pub(crate) mod tests;
