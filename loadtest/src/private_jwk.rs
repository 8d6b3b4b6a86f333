//! A new signing key with its private half as a JWK, to give the same one to two servers.

use anyhow::{Context, Result, bail};
use aws_lc_rs::encoding::{AsBigEndian as _, AsDer as _, EcPrivateKeyBin};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Members of an RSA key in the order of RFC 8017, appendix A.1.2, after the version.
const RSA: [&str; 8] = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];
const INTEGER: u8 = 2;
const OCTETS: u8 = 4;
const SEQUENCE: u8 = 0x30;

/// A key for `ES256` or `RS256` (of 2048 bits).
pub fn generate(alg: &str, kid: &str) -> Result<Value> {
    let mut jwk = match alg {
        "ES256" => es256()?,
        "RS256" => rs256()?,
        other => bail!("{other} is not made here"),
    };
    let members = jwk.as_object_mut().context("no object")?;
    members.extend([("use", "sig"), ("kid", kid), ("alg", alg)].map(|(name, value)| (name.to_owned(), value.into())));
    Ok(jwk)
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn es256() -> Result<Value> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let private: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes()?;
    // An uncompressed point: 4, then both coordinates.
    let point = pair.public_key().as_ref().split_first().context("no point")?.1;
    let (x, y) = point.split_at(point.len() / 2);
    Ok(json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y), "d": encode(private.as_ref())}))
}

fn rs256() -> Result<Value> {
    let der = RsaKeyPair::generate(KeySize::Rsa2048)?.as_der()?;
    // PKCS#8: version, algorithm, and in a string of octets the key of RFC 8017.
    let mut outer = Der(Der(der.as_ref()).take(SEQUENCE)?);
    outer.take(INTEGER)?;
    outer.take(SEQUENCE)?;
    let mut key = Der(Der(outer.take(OCTETS)?).take(SEQUENCE)?);
    key.take(INTEGER)?;
    let mut jwk = json!({"kty": "RSA"});
    for name in RSA {
        let number = key.take(INTEGER)?;
        // A leading zero only says that the number is positive.
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        jwk.as_object_mut().context("no object")?.insert(name.to_owned(), encode(number).into());
    }
    Ok(jwk)
}

/// What is left of an encoding.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next element, which must be of this kind.
    fn take(&mut self, kind: u8) -> Result<&'a [u8]> {
        let (found, rest) = self.0.split_first().context("the encoding ends early")?;
        let (first, rest) = rest.split_first().context("the encoding ends early")?;
        // A long length says in how many bytes it follows.
        let digits = if *first < 0x80 { 0 } else { usize::from(first & 0x7f) };
        let (long, rest) = rest.split_at_checked(digits).context("the encoding ends early")?;
        let short = if digits == 0 { usize::from(*first) } else { 0 };
        let length = long.iter().fold(short, |sum, byte| sum << 8 | usize::from(*byte));
        let (content, rest) = rest.split_at_checked(length).context("the encoding ends early")?;
        if *found != kind {
            bail!("another kind of element: {found}");
        }
        self.0 = rest;
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
    use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256};

    fn number(jwk: &Value, name: &str) -> Option<Vec<u8>> {
        URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok()
    }

    #[test]
    fn an_rsa_key_signs_what_its_public_half_verifies() -> Result<()> {
        let jwk = generate("RS256", "a")?;
        let part = |name| number(&jwk, name).context("a member is missing");
        let public_key = PublicKeyComponents { n: part("n")?, e: part("e")? };
        assert_eq!(public_key.n.len(), 256);
        let (d, p, q) = (part("d")?, part("p")?, part("q")?);
        let private = KeyPairComponents {
            public_key: PublicKeyComponents { n: public_key.n.clone(), e: public_key.e.clone() },
            d,
            p,
            q,
            dP: part("dp")?,
            dQ: part("dq")?,
            qInv: part("qi")?,
        };
        let mut signature = vec![0; 256];
        RsaKeyPair::from_components(&private)?.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            b"text",
            &mut signature,
        )?;
        public_key.verify(&RSA_PKCS1_2048_8192_SHA256, b"text", &signature)?;
        assert!(public_key.verify(&RSA_PKCS1_2048_8192_SHA256, b"other", &signature).is_err());
        Ok(())
    }

    #[test]
    fn an_elliptic_key_has_three_numbers_of_32_bytes() -> Result<()> {
        let jwk = generate("ES256", "a")?;
        assert!(["x", "y", "d"].iter().all(|name| number(&jwk, name).is_some_and(|bytes| bytes.len() == 32)));
        assert!(generate("none", "a").is_err());
        Ok(())
    }

    #[test]
    fn an_encoding_that_ends_early_is_refused() {
        for wrong in [&[][..], &[2], &[2, 1], &[2, 0x82, 1], &[4, 1, 0]] {
            assert!(Der(wrong).take(INTEGER).is_err(), "{wrong:?}");
        }
        assert_eq!(Der(&[2, 1, 9, 7]).take(INTEGER).ok(), Some(&[9][..]));
    }
}
