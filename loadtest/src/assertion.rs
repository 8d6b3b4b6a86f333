//! Client assertions (RFC 7523): a key pair, its JWK and JWTs signed with it. They are signed before the run, on every
//! core, because an RSA signature costs the generator more than the request costs the server.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::chance;

/// How long an assertion is good: longer than a run.
const LIFETIME: u64 = 3600;
const KID: &str = "load-test";

/// A key pair that signs.
pub enum Key {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

impl Key {
    /// A new one.
    pub fn generate(alg: &str) -> Result<Self> {
        match alg {
            "ES256" => Ok(Self::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?)),
            "RS256" => Ok(Self::Rs256(RsaKeyPair::generate(KeySize::Rsa2048)?)),
            other => bail!("{other} is not signed here"),
        }
    }

    pub fn alg(&self) -> &'static str {
        match self {
            Self::Es256(_) => "ES256",
            Self::Rs256(_) => "RS256",
        }
    }

    /// Its public half.
    pub fn jwk(&self) -> Result<Value> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match self {
            Self::Es256(pair) => {
                // An uncompressed point: 4, then both coordinates.
                let point = pair.public_key().as_ref().split_first().context("no point")?.1;
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)})
            }
            Self::Rs256(pair) => {
                let public = pair.public_key();
                let (n, e) = (public.modulus(), public.exponent());
                json!({"kty": "RSA", "n": encode(n.big_endian_without_leading_zero()),
                    "e": encode(e.big_endian_without_leading_zero())})
            }
        };
        let members = jwk.as_object_mut().context("no object")?;
        members.extend([("use", "sig"), ("kid", KID), ("alg", self.alg())].map(|(k, v)| (k.to_owned(), v.into())));
        Ok(jwk)
    }

    /// A signature over a text.
    pub fn sign(&self, text: &str) -> Result<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::Es256(pair) => Ok(pair.sign(&random, text.as_bytes())?.as_ref().to_vec()),
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)?;
                Ok(signature)
            }
        }
    }

    /// An assertion that `client` is itself.
    pub fn assertion(&self, client: &str, audience: &str) -> Result<String> {
        let now = seconds()?;
        let header = json!({"alg": self.alg(), "kid": KID, "typ": "JWT"});
        let claims = json!({"iss": client, "sub": client, "aud": audience, "jti": chance::text(), "iat": now,
            "exp": now + LIFETIME});
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(&signed)?);
        Ok(format!("{signed}.{signature}"))
    }
}

/// Since the epoch, as claims have it.
#[expect(clippy::disallowed_methods, reason = "the claims of a JWT are of the real time")]
pub fn seconds() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

/// Signs `count` assertions, on every core.
pub async fn sign_many(key: Key, client: &str, audience: &str, count: usize) -> Result<Vec<String>> {
    eprintln!("signing {count} assertions with {}", key.alg());
    let (key, threads) = (Arc::new(key), std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let workers: Vec<_> = (0..threads)
        .map(|thread| {
            let (key, client, audience) = (Arc::clone(&key), client.to_owned(), audience.to_owned());
            let share = (thread..count).step_by(threads).count();
            tokio::task::spawn_blocking(move || {
                (0..share).map(|_| key.assertion(&client, &audience)).collect::<Result<Vec<_>>>()
            })
        })
        .collect();
    let mut all = Vec::with_capacity(count);
    for worker in workers {
        all.extend(worker.await.map_err(|error| anyhow!(error))??);
    }
    Ok(all)
}
