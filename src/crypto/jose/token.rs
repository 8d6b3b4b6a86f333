//! Tokens from outside, and our own when they come back: read with suspicion, then verified against given keys.
//! Invariant: nothing here panics or works without bound, whatever the token says.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{JoseError, key::verify_once, strict};
use crate::crypto::jwk::{Alg, Jwk};

/// Bytes of the longest token that is read.
pub const MAX_TOKEN: usize = 16 * 1024;
/// Keys of one set that are tried on one token: a large set must not make a forged token dear to us.
const MAX_TRIES: usize = 32;
/// Beyond 2^53 a JSON number is no longer exact.
const MAX_TIME: i64 = 1 << 53;
/// Headers that change how a token is read (RFC 7515 section 4.1.11, RFC 7797, RFC 7516).
const REFUSED: [&str; 4] = ["crit", "b64", "zip", "enc"];

/// What this program uses of a JOSE header. `jku`, `x5u`, `jwk` and `x5c` are never followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Signature algorithm, as written.
    pub alg: String,
    /// Key id.
    pub kid: Option<String>,
    /// Media type of the token.
    pub typ: Option<String>,
}

/// A well-formed token whose signature nobody has checked.
#[derive(Clone)]
pub struct Unverified {
    /// The header.
    pub header: Header,
    claims: Claims,
    input: String,
    signature: Vec<u8>,
}

impl fmt::Debug for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unverified").field("header", &self.header).finish_non_exhaustive()
    }
}

impl Unverified {
    /// Takes a compact JWS apart: at most 16 KiB, exactly three parts of canonical base64url, JSON objects without
    /// duplicate members, and no header that changes its meaning.
    ///
    /// # Errors
    /// See [`JoseError`]; nothing is computed for a token that fails.
    pub fn parse(token: &str) -> Result<Self, JoseError> {
        if token.len() > MAX_TOKEN {
            return Err(JoseError::TooLong);
        }
        let mut parts = token.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(JoseError::Malformed);
        };
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| JoseError::Malformed)?;
        let input = format!("{header}.{claims}");
        let header = read_header(&object(header)?)?;
        Ok(Self { header, claims: Claims(object(claims)?), input, signature })
    }

    /// The claims of an unsigned token (`alg` `none`, an empty signature; RFC 7519 section 6); nothing for any other.
    /// Nobody vouches for them: only for request objects, which say no more than the browser could say itself.
    #[must_use]
    pub fn parse_unsigned(token: &str) -> Option<Claims> {
        let token = Self::parse(token).ok()?;
        (token.header.alg == "none" && token.signature.is_empty()).then_some(token.claims)
    }

    /// The claims, **which nobody has vouched for yet**: for finding out whose keys to ask, no more.
    #[must_use]
    pub const fn unverified_claims(&self) -> &Claims {
        &self.claims
    }

    /// Checks the signature. The header's `alg` must be in `allowed`. With a `kid` in the header only keys of that
    /// id are tried, without one every key of the right kind, but no more than 32. A key with another `alg`, or a `use` that is not
    /// `sig`, does not count.
    ///
    /// # Errors
    /// [`JoseError::Algorithm`], [`JoseError::NoKey`] or [`JoseError::Signature`].
    pub fn verify(&self, keys: &[Jwk], allowed: &[Alg]) -> Result<Claims, JoseError> {
        let alg: Alg = self.header.alg.parse().map_err(|_| JoseError::Algorithm)?;
        if !allowed.contains(&alg) {
            return Err(JoseError::Algorithm);
        }
        let mut verdict = JoseError::NoKey;
        for key in keys.iter().filter(|key| self.may_be_from(key, alg)).take(MAX_TRIES) {
            if verify_once(key, alg, self.input.as_bytes(), &self.signature) {
                return Ok(self.claims.clone());
            }
            verdict = JoseError::Signature;
        }
        Err(verdict)
    }

    /// Checks the signature with a key found by the caller through [`Header::kid`], parsed beforehand: the way for
    /// our own tokens.
    ///
    /// # Errors
    /// [`JoseError::Algorithm`] or [`JoseError::Signature`].
    pub fn verify_with(&self, key: &super::VerifyingKey) -> Result<Claims, JoseError> {
        let alg: Alg = self.header.alg.parse().map_err(|_| JoseError::Algorithm)?;
        if key.verify(alg, self.input.as_bytes(), &self.signature) {
            Ok(self.claims.clone())
        } else {
            Err(JoseError::Signature)
        }
    }

    fn may_be_from(&self, key: &Jwk, alg: Alg) -> bool {
        // A member of the wrong type is a mismatch, not an absence.
        let absent_or = |name: &str, want: &str| key.members().get(name).is_none_or(|value| value == want);
        key.kty() == alg.kty()
            && absent_or("alg", alg.as_str())
            && absent_or("use", "sig")
            && self.header.kid.as_deref().is_none_or(|kid| key.kid() == Some(kid))
    }
}

fn object(part: &str) -> Result<Map<String, Value>, JoseError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| JoseError::Malformed)?;
    strict::object(&bytes).ok_or(JoseError::Json)
}

fn read_header(members: &Map<String, Value>) -> Result<Header, JoseError> {
    if let Some(name) = REFUSED.into_iter().find(|name| members.contains_key(*name)) {
        return Err(JoseError::Header(name));
    }
    let text = |name: &'static str| match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(JoseError::Header(name)),
    };
    Ok(Header { alg: text("alg")?.ok_or(JoseError::Header("alg"))?, kid: text("kid")?, typ: text("typ")? })
}

/// The claims of a token.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Claims(pub Map<String, Value>);

impl Claims {
    /// A claim that is a string; nothing when it is absent or of another type.
    #[must_use]
    pub fn str(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// A NumericDate (RFC 7519 section 2) in whole seconds, rounded down. Absent is `None`.
    ///
    /// # Errors
    /// [`JoseError::Claim`] for anything that is not a number between -2^53 and 2^53: a bad date is never taken for
    /// an absent one.
    pub fn time(&self, name: &str) -> Result<Option<i64>, JoseError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let bad = || JoseError::Claim(name.to_owned());
        let seconds = match (value.as_i64(), value.as_f64()) {
            (Some(whole), _) => whole,
            (None, Some(float)) => whole_seconds(float).ok_or_else(bad)?,
            _ => return Err(bad()),
        };
        if (-MAX_TIME + 1..MAX_TIME).contains(&seconds) { Ok(Some(seconds)) } else { Err(bad()) }
    }

    /// `aud` as a list (RFC 7519 section 4.1.3): a string is a list of one, absent is empty.
    ///
    /// # Errors
    /// [`JoseError::Claim`] when it is neither a string nor a list of strings.
    pub fn audience(&self) -> Result<Vec<String>, JoseError> {
        let bad = || JoseError::Claim("aud".to_owned());
        match self.0.get("aud") {
            None => Ok(Vec::new()),
            Some(Value::String(one)) => Ok(vec![one.clone()]),
            Some(Value::Array(many)) => {
                many.iter().map(|item| item.as_str().map(ToOwned::to_owned).ok_or_else(bad)).collect()
            }
            Some(_) => Err(bad()),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked first")]
fn whole_seconds(float: f64) -> Option<i64> {
    (float.is_finite() && float.abs() < MAX_TIME as f64).then(|| float.floor() as i64)
}
