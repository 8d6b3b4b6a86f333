//! Keys from the outside: JWK, JWK set, PEM and DER (PKCS#1, PKCS#8, SEC 1, SubjectPublicKeyInfo).
//! For the command line. Invariant: every key handed back has passed [`Jwk::check`].

use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{
    Alg, Jwk, JwkError,
    generate::{Name, ec_jwk, ec_with, ed_jwk, ed_public_jwk, rsa_jwk, rsa_public_jwk},
    parse_set,
};
use crate::crypto::jose::ec_signing;

const RSA: &str = "1.2.840.113549.1.1.1";
const EC: &str = "1.2.840.10045.2.1";
const ED25519: &str = "1.3.101.112";
const EC_ALGS: [Alg; 3] = [Alg::ES256, Alg::ES384, Alg::ES512];

/// Reads every key in `bytes`: a JWK, a JWK set, PEM with one or more keys, or the DER of one key. A key from PEM or
/// DER gets `use` `sig`, its thumbprint as `kid`, and as `alg` RS256 or what its curve says.
///
/// # Errors
/// [`JwkError::Format`] when it is none of these; otherwise what is wrong with the first bad key.
pub fn import(bytes: &[u8]) -> Result<Vec<Jwk>, JwkError> {
    if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
        return from_json(&value);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if text.contains("-----BEGIN ") => from_pem(text),
        _ => Ok(vec![from_der("", bytes)?]),
    }
}

fn from_json(value: &Value) -> Result<Vec<Jwk>, JwkError> {
    let keys = match value {
        Value::Object(members) if members.contains_key("kty") => vec![Jwk(members.clone())],
        _ => parse_set(value),
    };
    if keys.is_empty() {
        return Err(JwkError::Format);
    }
    keys.iter().try_for_each(Jwk::check)?;
    Ok(keys)
}

/// Reads the PEM blocks (RFC 7468) of `text`. Blocks of EC parameters are skipped.
///
/// # Errors
/// As [`import`].
pub fn from_pem(text: &str) -> Result<Vec<Jwk>, JwkError> {
    let mut keys = Vec::new();
    for block in text.split("-----BEGIN ").skip(1) {
        let (label, rest) = block.split_once("-----").ok_or(JwkError::Format)?;
        let (body, _) = rest.split_once("-----END ").ok_or(JwkError::Format)?;
        if label == "EC PARAMETERS" {
            continue;
        }
        let body: String = body.split_ascii_whitespace().collect();
        keys.push(from_der(label, &STANDARD.decode(body).map_err(|_| JwkError::Format)?)?);
    }
    if keys.is_empty() { Err(JwkError::Format) } else { Ok(keys) }
}

/// `label` is what the PEM says the DER is; empty to try everything.
fn from_der(label: &str, der: &[u8]) -> Result<Jwk, JwkError> {
    let mut jwk = match label {
        "PRIVATE KEY" => pkcs8_key(der),
        "RSA PRIVATE KEY" => rsa_jwk(name(Alg::RS256), der),
        "EC PRIVATE KEY" => sec1_key(der),
        "PUBLIC KEY" => spki_key(der),
        "RSA PUBLIC KEY" => rsa_public_jwk(name(Alg::RS256), der),
        "" => pkcs8_key(der)
            .or_else(|_| rsa_jwk(name(Alg::RS256), der))
            .or_else(|_| spki_key(der))
            .or_else(|_| rsa_public_jwk(name(Alg::RS256), der))
            .or_else(|_| sec1_key(der))
            .map_err(|_| JwkError::Format),
        _ => Err(JwkError::Unsupported),
    }?;
    jwk.check()?;
    let kid = jwk.thumbprint().ok_or(JwkError::Invalid)?;
    jwk.members_mut().insert("kid".to_owned(), Value::from(kid));
    Ok(jwk)
}

/// The kid is set once the key is known.
const fn name(alg: Alg) -> Name<'static> {
    Name { kid: String::new(), use_: "sig", alg }
}

fn pkcs8_key(der: &[u8]) -> Result<Jwk, JwkError> {
    let info = pkcs8::PrivateKeyInfo::try_from(der).map_err(|_| JwkError::Format)?;
    match info.algorithm.oid.to_string().as_str() {
        RSA => rsa_jwk(name(Alg::RS256), info.private_key),
        EC => sec1_key(der),
        ED25519 => {
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| JwkError::Invalid)?;
            ed_jwk(name(Alg::EdDSA), &pair)
        }
        _ => Err(JwkError::Unsupported),
    }
}

/// An EC private key, bare (RFC 5915) or in PKCS#8. The curve that accepts it is its curve.
fn sec1_key(der: &[u8]) -> Result<Jwk, JwkError> {
    let read = |alg: Alg| {
        let pair = EcdsaKeyPair::from_private_key_der(ec_signing(alg)?, der).ok()?;
        ec_jwk(name(alg), &pair).ok()
    };
    EC_ALGS.into_iter().find_map(read).ok_or(JwkError::Unsupported)
}

fn spki_key(der: &[u8]) -> Result<Jwk, JwkError> {
    let info = pkcs8::SubjectPublicKeyInfoRef::try_from(der).map_err(|_| JwkError::Format)?;
    let key = info.subject_public_key.as_bytes().ok_or(JwkError::Format)?;
    match info.algorithm.oid.to_string().as_str() {
        RSA => rsa_public_jwk(name(Alg::RS256), key),
        ED25519 => Ok(ed_public_jwk(name(Alg::EdDSA), key)),
        EC => {
            let alg = EC_ALGS.into_iter().find(|alg| key.len() == 1 + 2 * alg.field_bytes());
            ec_with(name(alg.ok_or(JwkError::Unsupported)?), key, None)
        }
        _ => Err(JwkError::Unsupported),
    }
}
