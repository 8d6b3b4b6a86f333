//! New key pairs, and key pairs of the crypto library as JWKs. Only this room calls the lower half.

use aws_lc_rs::{
    encoding::{AsBigEndian, AsDer, Curve25519SeedBin, EcPrivateKeyBin, Pkcs8V1Der},
    rsa::KeySize,
    signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{Alg, Jwk, JwkError};
use crate::crypto::jose::ec_signing;

/// Makes a private JWK with all its members. The crypto library's own generator draws the key.
///
/// `rsa_bits` is 2048, 3072, 4096 or 8192 and matters for RSA only. **RSA takes from 30 ms to seconds of computing**:
/// call it off the async threads.
///
/// # Errors
/// [`JwkError::Weak`] for another size, [`JwkError::Generate`] when the library fails.
pub fn generate(alg: Alg, rsa_bits: usize, kid: String, use_: &str) -> Result<Jwk, JwkError> {
    let name = Name { kid, use_, alg };
    match alg {
        Alg::EdDSA => ed_jwk(name, &Ed25519KeyPair::generate().map_err(|_| JwkError::Generate)?),
        Alg::ES256 | Alg::ES384 | Alg::ES512 => {
            let signing = ec_signing(alg).ok_or(JwkError::Unsupported)?;
            ec_jwk(name, &EcdsaKeyPair::generate(signing).map_err(|_| JwkError::Generate)?)
        }
        _ => {
            let size = match rsa_bits {
                2048 => KeySize::Rsa2048,
                3072 => KeySize::Rsa3072,
                4096 => KeySize::Rsa4096,
                8192 => KeySize::Rsa8192,
                _ => return Err(JwkError::Weak("2048, 3072, 4096 and 8192 bits can be made")),
            };
            let pair = RsaKeyPair::generate(size).map_err(|_| JwkError::Generate)?;
            let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(|_| JwkError::Generate)?;
            let info = pkcs8::PrivateKeyInfo::try_from(der.as_ref()).map_err(|_| JwkError::Generate)?;
            rsa_jwk(name, info.private_key)
        }
    }
}

/// What a key is called and meant for.
pub(super) struct Name<'a> {
    pub kid: String,
    pub use_: &'a str,
    pub alg: Alg,
}

impl Name<'_> {
    fn jwk(self, material: &[(&str, &[u8])]) -> Jwk {
        let mut members = Map::new();
        let mut put = |name: &str, value: &str| members.insert(name.to_owned(), Value::from(value));
        put("use", self.use_);
        put("kty", self.alg.kty());
        put("kid", &self.kid);
        if let Some(crv) = self.alg.crv() {
            put("crv", crv);
        }
        put("alg", self.alg.as_str());
        for (name, bytes) in material {
            put(name, &URL_SAFE_NO_PAD.encode(bytes));
        }
        Jwk(members)
    }
}

/// From the DER of a PKCS#1 private key.
pub(super) fn rsa_jwk(name: Name<'_>, der: &[u8]) -> Result<Jwk, JwkError> {
    let key = pkcs1::RsaPrivateKey::try_from(der).map_err(|_| JwkError::Format)?;
    Ok(name.jwk(&[
        ("n", key.modulus.as_bytes()),
        ("e", key.public_exponent.as_bytes()),
        ("d", key.private_exponent.as_bytes()),
        ("p", key.prime1.as_bytes()),
        ("q", key.prime2.as_bytes()),
        ("dp", key.exponent1.as_bytes()),
        ("dq", key.exponent2.as_bytes()),
        ("qi", key.coefficient.as_bytes()),
    ]))
}

/// From the DER of a PKCS#1 public key.
pub(super) fn rsa_public_jwk(name: Name<'_>, der: &[u8]) -> Result<Jwk, JwkError> {
    let key = pkcs1::RsaPublicKey::try_from(der).map_err(|_| JwkError::Format)?;
    Ok(name.jwk(&[("n", key.modulus.as_bytes()), ("e", key.public_exponent.as_bytes())]))
}

pub(super) fn ec_jwk(name: Name<'_>, pair: &EcdsaKeyPair) -> Result<Jwk, JwkError> {
    let private = AsBigEndian::<EcPrivateKeyBin<'_>>::as_be_bytes(&pair.private_key());
    let private = private.map_err(|_| JwkError::Invalid)?;
    ec_with(name, pair.public_key().as_ref(), Some(private.as_ref()))
}

/// From an uncompressed point (SEC 1 section 2.3.3) and, for a private key, its number of full length.
pub(super) fn ec_with(name: Name<'_>, point: &[u8], private: Option<&[u8]>) -> Result<Jwk, JwkError> {
    let field = name.alg.field_bytes();
    let Some((&4, xy)) = point.split_first() else { return Err(JwkError::Invalid) };
    let (x, y) = xy.split_at_checked(field).filter(|(_, y)| y.len() == field).ok_or(JwkError::Invalid)?;
    let mut material = vec![("x", x), ("y", y)];
    if let Some(private) = private {
        material.push(("d", private));
    }
    Ok(name.jwk(&material))
}

pub(super) fn ed_jwk(name: Name<'_>, pair: &Ed25519KeyPair) -> Result<Jwk, JwkError> {
    let seed = pair.seed().map_err(|_| JwkError::Invalid)?;
    let seed = AsBigEndian::<Curve25519SeedBin<'_>>::as_be_bytes(&seed).map_err(|_| JwkError::Invalid)?;
    Ok(name.jwk(&[("x", pair.public_key().as_ref()), ("d", seed.as_ref())]))
}

pub(super) fn ed_public_jwk(name: Name<'_>, x: &[u8]) -> Jwk {
    name.jwk(&[("x", x)])
}
