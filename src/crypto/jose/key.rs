//! Keys ready for use: parsed once, shared freely.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPairComponents, PublicKeyComponents},
    signature::{self as als, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, ParsedPublicKey, RsaKeyPair},
};
use serde::Serialize;
use zeroize::Zeroizing;

use super::JoseError;
use crate::crypto::jwk::{Alg, Jwk, JwkError, check_rsa};

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

struct Inner {
    alg: Alg,
    kid: String,
    pair: Pair,
    public: Jwk,
}

/// A private key that signs tokens. Cheap to clone.
#[derive(Clone)]
pub struct SigningKey(Arc<Inner>);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.0.kid).field("alg", &self.0.alg).finish_non_exhaustive()
    }
}

/// The header of our tokens; the order of the fields is their order on the wire.
#[derive(Serialize)]
struct OwnHeader<'a> {
    alg: Alg,
    kid: &'a str,
    typ: &'a str,
}

impl SigningKey {
    /// Reads a private key. Without `alg` an RSA key signs RS256; without `kid` it is called by its thumbprint.
    ///
    /// # Errors
    /// When the key is not private, not complete, or `alg` does not fit it.
    pub fn from_jwk(jwk: &Jwk) -> Result<Self, JwkError> {
        let alg = match jwk.alg() {
            Some(name) => name.parse().map_err(|_| JwkError::Unsupported)?,
            None => default_alg(jwk)?,
        };
        let pair = parse_pair(jwk, alg)?;
        let kid = jwk.kid().map(ToOwned::to_owned).or_else(|| jwk.thumbprint()).ok_or(JwkError::Invalid)?;
        Ok(Self(Arc::new(Inner { alg, kid, pair, public: jwk.public() })))
    }

    /// The key's id.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.0.kid
    }

    /// The algorithm it signs with.
    #[must_use]
    pub fn alg(&self) -> Alg {
        self.0.alg
    }

    /// Whether one signature takes so long (RSA over 2048 bits: milliseconds) that others must not wait behind it.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        matches!(&self.0.pair, Pair::Rsa(pair) if pair.public_modulus_len() > 256)
    }

    /// The public half, as it was written in the private JWK.
    #[must_use]
    pub fn public_jwk(&self) -> Jwk {
        self.0.public.clone()
    }

    /// Signs `claims` into a compact JWT with the header `alg`, `kid`, `typ`.
    ///
    /// # Errors
    /// [`JoseError::Sign`] when the claims do not serialise or the library fails.
    pub fn sign_jwt(&self, typ: &str, claims: &impl Serialize) -> Result<String, JoseError> {
        self.sign_payload(typ, serde_json::to_vec(claims).map_err(|_| JoseError::Sign)?)
    }

    /// The same of claims that are JSON already.
    ///
    /// # Errors
    /// [`JoseError::Sign`] when the library fails.
    pub fn sign_payload(&self, typ: &str, claims: Vec<u8>) -> Result<String, JoseError> {
        let header = OwnHeader { alg: self.0.alg, kid: &self.0.kid, typ };
        let mut token = biscuit::Compact::with_capacity(3);
        token.push(&serde_json::to_vec(&header).map_err(|_| JoseError::Sign)?).map_err(|_| JoseError::Sign)?;
        token.push(&claims).map_err(|_| JoseError::Sign)?;
        let signature = self.sign(token.encode().as_bytes())?;
        token.push(&signature).map_err(|_| JoseError::Sign)?;
        Ok(token.encode())
    }

    /// The raw signature over `input`.
    ///
    /// # Errors
    /// [`JoseError::Sign`] when the library fails.
    pub fn sign(&self, input: &[u8]) -> Result<Vec<u8>, JoseError> {
        let rng = SystemRandom::new();
        match &self.0.pair {
            Pair::Rsa(pair) => {
                let padding = rsa_signing(self.0.alg).ok_or(JoseError::Sign)?;
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &rng, input, &mut signature).map_err(|_| JoseError::Sign)?;
                Ok(signature)
            }
            Pair::Ec(pair) => pair.sign(&rng, input).map(|s| s.as_ref().to_vec()).map_err(|_| JoseError::Sign),
            Pair::Ed(pair) => pair.try_sign(input).map(|s| s.as_ref().to_vec()).map_err(|_| JoseError::Sign),
        }
    }
}

fn default_alg(jwk: &Jwk) -> Result<Alg, JwkError> {
    match jwk.kty() {
        "RSA" => Ok(Alg::RS256),
        _ => Alg::for_curve(jwk.crv()).ok_or(JwkError::Unsupported),
    }
}

/// Whether the private members belong to the public ones, whatever `alg` says.
pub fn check_pair(jwk: &Jwk) -> Result<(), JwkError> {
    parse_pair(jwk, default_alg(jwk)?).map(|_| ())
}

fn fits(jwk: &Jwk, alg: Alg) -> bool {
    jwk.kty() == alg.kty() && (alg.is_rsa() || jwk.crv() == alg.crv())
}

fn parse_pair(jwk: &Jwk, alg: Alg) -> Result<Pair, JwkError> {
    if !fits(jwk, alg) {
        return Err(JwkError::Unsupported);
    }
    if alg.is_rsa() {
        return parse_rsa_pair(jwk).map(Pair::Rsa);
    }
    let private = Zeroizing::new(jwk.bytes("d")?);
    match ec_signing(alg) {
        Some(signing) => EcdsaKeyPair::from_private_key_and_public_key(signing, &private, &point(jwk, alg)?)
            .map(Pair::Ec)
            .map_err(|_| JwkError::Invalid),
        None => Ed25519KeyPair::from_seed_and_public_key(&private, &point(jwk, alg)?)
            .map(Pair::Ed)
            .map_err(|_| JwkError::Invalid),
    }
}

fn parse_rsa_pair(jwk: &Jwk) -> Result<RsaKeyPair, JwkError> {
    let private = |name| jwk.number(name).map(Zeroizing::new);
    let public_key = PublicKeyComponents { n: jwk.number("n")?, e: jwk.number("e")? };
    check_rsa(&public_key)?;
    let (d, p, q) = (private("d")?, private("p")?, private("q")?);
    let (dp, dq, qi) = (private("dp")?, private("dq")?, private("qi")?);
    RsaKeyPair::from_components(&KeyPairComponents {
        public_key: PublicKeyComponents { n: public_key.n.as_slice(), e: public_key.e.as_slice() },
        d: d.as_slice(),
        p: p.as_slice(),
        q: q.as_slice(),
        dP: dp.as_slice(),
        dQ: dq.as_slice(),
        qInv: qi.as_slice(),
    })
    .map_err(|_| JwkError::Invalid)
}

/// `04 ‖ x ‖ y` for EC, whose coordinates have their full length (RFC 7518 section 6.2.1.2); `x` for Ed25519.
fn point(jwk: &Jwk, alg: Alg) -> Result<Vec<u8>, JwkError> {
    let coordinate = |name| {
        let bytes = jwk.bytes(name)?;
        if bytes.len() == alg.field_bytes() { Ok(bytes) } else { Err(JwkError::Member(name)) }
    };
    if alg == Alg::EdDSA {
        return coordinate("x");
    }
    let mut out = vec![4];
    out.extend(coordinate("x")?);
    out.extend(coordinate("y")?);
    Ok(out)
}

/// Parses the public point of an EC or Ed25519 key; refuses one off the curve.
pub fn parse_point(jwk: &Jwk, alg: Alg) -> Result<ParsedPublicKey, JwkError> {
    let verification: &'static dyn als::VerificationAlgorithm = match alg {
        Alg::ES256 => &als::ECDSA_P256_SHA256_FIXED,
        Alg::ES384 => &als::ECDSA_P384_SHA384_FIXED,
        Alg::ES512 => &als::ECDSA_P521_SHA512_FIXED,
        Alg::EdDSA => &als::ED25519,
        _ => return Err(JwkError::Unsupported),
    };
    ParsedPublicKey::new(verification, point(jwk, alg)?).map_err(|_| JwkError::Invalid)
}

/// The library's name of an EC algorithm; nothing for the others.
pub const fn ec_signing(alg: Alg) -> Option<&'static EcdsaSigningAlgorithm> {
    match alg {
        Alg::ES256 => Some(&als::ECDSA_P256_SHA256_FIXED_SIGNING),
        Alg::ES384 => Some(&als::ECDSA_P384_SHA384_FIXED_SIGNING),
        Alg::ES512 => Some(&als::ECDSA_P521_SHA512_FIXED_SIGNING),
        _ => None,
    }
}

fn rsa_signing(alg: Alg) -> Option<&'static dyn als::RsaEncoding> {
    Some(match alg {
        Alg::RS256 => &als::RSA_PKCS1_SHA256,
        Alg::RS384 => &als::RSA_PKCS1_SHA384,
        Alg::RS512 => &als::RSA_PKCS1_SHA512,
        Alg::PS256 => &als::RSA_PSS_SHA256,
        Alg::PS384 => &als::RSA_PSS_SHA384,
        Alg::PS512 => &als::RSA_PSS_SHA512,
        _ => return None,
    })
}

const fn rsa_verification(alg: Alg) -> Option<&'static als::RsaParameters> {
    Some(match alg {
        Alg::RS256 => &als::RSA_PKCS1_2048_8192_SHA256,
        Alg::RS384 => &als::RSA_PKCS1_2048_8192_SHA384,
        Alg::RS512 => &als::RSA_PKCS1_2048_8192_SHA512,
        Alg::PS256 => &als::RSA_PSS_2048_8192_SHA256,
        Alg::PS384 => &als::RSA_PSS_2048_8192_SHA384,
        Alg::PS512 => &als::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

/// A public key that verifies, for the one algorithm its JWK names or for each that its kind allows.
/// Cheap to clone.
#[derive(Clone)]
pub struct VerifyingKey(Arc<[(Alg, ParsedPublicKey)]>);

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(alg, _)| alg)).finish()
    }
}

impl VerifyingKey {
    /// Reads the public part of a key.
    ///
    /// # Errors
    /// When the key is of no use for verifying, weak, or not on its curve.
    pub fn from_jwk(jwk: &Jwk) -> Result<Self, JwkError> {
        let fitting = |alg: &Alg| fits(jwk, *alg) && jwk.alg().is_none_or(|name| name == alg.as_str());
        let parse = |alg| Ok((alg, parse_public(jwk, alg)?));
        let keys: Vec<_> = Alg::ALL.into_iter().filter(fitting).map(parse).collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(JwkError::Unsupported) } else { Ok(Self(keys.into())) }
    }

    /// Whether `signature` is this key's over `input`. False for an algorithm the key is not for.
    #[must_use]
    pub fn verify(&self, alg: Alg, input: &[u8], signature: &[u8]) -> bool {
        let key = self.0.iter().find(|(own, _)| *own == alg);
        key.is_some_and(|(_, key)| key.verify_sig(input, signature).is_ok())
    }
}

fn parse_public(jwk: &Jwk, alg: Alg) -> Result<ParsedPublicKey, JwkError> {
    let Some(parameters) = rsa_verification(alg) else { return parse_point(jwk, alg) };
    let key = PublicKeyComponents { n: jwk.number("n")?, e: jwk.number("e")? };
    check_rsa(&key)?;
    key.to_parsed_public_key(parameters).map_err(|_| JwkError::Invalid)
}

/// One verification with a key that is not kept: parses it for `alg` alone.
pub(super) fn verify_once(jwk: &Jwk, alg: Alg, input: &[u8], signature: &[u8]) -> bool {
    fits(jwk, alg) && parse_public(jwk, alg).is_ok_and(|key| key.verify_sig(input, signature).is_ok())
}
