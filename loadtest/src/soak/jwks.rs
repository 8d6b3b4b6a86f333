//! The signing keys that the replicas publish, looked at all the time, and the signatures of what they issue.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::fleet::Replica;
use super::history::{History, Key, Micros, Session, Signed};
use crate::http::Call;
use crate::http::connection::Wire;

/// Each replica is asked so often.
const EVERY: Duration = Duration::from_secs(1);

/// What a replica published at one moment.
#[derive(Clone, Debug)]
pub struct Poll {
    pub replica: u8,
    pub from: Micros,
    /// Hashes of every `kid`.
    pub kids: Vec<Key>,
}

/// Every key that was ever seen, and when each replica published which.
#[derive(Default)]
pub struct Jwks {
    keys: Mutex<HashMap<String, Arc<Vec<u8>>>>,
    pub polls: Mutex<Vec<Poll>>,
}

impl Jwks {
    /// Looks at a replica's keys for as long as the soak goes on.
    pub async fn watch(self: Arc<Self>, replica: Arc<Replica>, history: Arc<History>) -> Result<()> {
        let (mut wire, call) = (
            Wire::new(Duration::from_secs(3), Arc::default()),
            Call::get(&replica.origin()?, "/.well-known/jwks.json"),
        );
        loop {
            let from = history.now();
            if let Ok(document) = wire.ask(&call).await {
                let kids = self.learn(&document);
                let poll = Poll { replica: replica.number, from, kids };
                self.polls.lock().unwrap_or_else(PoisonError::into_inner).push(poll);
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    fn learn(&self, document: &Value) -> Vec<Key> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let all = document.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        all.iter()
            .filter_map(|jwk| {
                let kid = jwk.get("kid")?.as_str()?;
                if !keys.contains_key(kid) {
                    keys.insert(kid.to_owned(), Arc::new(point(jwk).ok()?));
                }
                Some(Key::of(kid))
            })
            .collect()
    }

    /// Looks at the signature of a JWT; with a key that is not known yet, `ask` fetches the document once more.
    pub async fn verify(&self, jwt: &str, wire: &mut Wire, ask: &Call) -> Option<Signed> {
        let kid = kid(jwt)?;
        if self.key(&kid).is_none()
            && let Ok(document) = wire.ask(ask).await
        {
            self.learn(&document);
        }
        let verified = self.key(&kid).is_some_and(|key| is_signed(jwt, &key).unwrap_or(false));
        Some(Signed { kid: Key::of(&kid), verified })
    }

    fn key(&self, kid: &str) -> Option<Arc<Vec<u8>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(kid).cloned()
    }
}

/// Header and claims of a JWT, whoever signed it; nothing for any other token.
pub fn parts(jwt: &str) -> Option<(Value, Value)> {
    let mut parts = jwt.split('.');
    let (head, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    let read = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    Some((read(head)?, read(claims)?))
}

/// The `kid` of a JWT.
fn kid(jwt: &str) -> Option<String> {
    let (head, _) = parts(jwt)?;
    Some(head.get("kid")?.as_str()?.to_owned())
}

/// The session that claims name, and to whom.
pub fn session(claims: &Value) -> Option<Session> {
    let key = |value: &Value| value.as_str().map(Key::of);
    let audience = claims.get("aud")?;
    let client = audience.get(0).unwrap_or(audience);
    Some(Session { sid: key(claims.get("sid")?)?, client: key(client)?, subject: key(claims.get("sub")?)? })
}

/// An uncompressed point: 4, then both coordinates.
fn point(jwk: &Value) -> Result<Vec<u8>> {
    let part = |name: &str| -> Result<Vec<u8>> {
        let text = jwk.get(name).and_then(Value::as_str).context("no key of a curve")?;
        Ok(URL_SAFE_NO_PAD.decode(text)?)
    };
    Ok([vec![4], part("x")?, part("y")?].concat())
}

fn is_signed(jwt: &str, key: &[u8]) -> Result<bool> {
    let (signed, signature) = jwt.rsplit_once('.').context("no JWT")?;
    let signature = URL_SAFE_NO_PAD.decode(signature)?;
    Ok(UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(signed.as_bytes(), &signature).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assertion;

    #[test]
    fn a_signature_is_of_its_text_and_its_key() -> Result<()> {
        let (key, other) = (assertion::Key::generate("ES256")?, assertion::Key::generate("ES256")?);
        let jwt = key.assertion("a-client", "an-audience")?;
        assert!(kid(&jwt).is_some() && kid("ory_at_x.y").is_none());
        assert!(is_signed(&jwt, &point(&key.jwk()?)?)?);
        assert!(!is_signed(&jwt, &point(&other.jwk()?)?)?);
        assert!(!is_signed(&jwt.replacen('.', ".A", 1), &point(&key.jwk()?)?)?);
        Ok(())
    }
}
