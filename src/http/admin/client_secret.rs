//! Making and hashing client secrets. The handlers that set one call it.
//! Invariant: hashing, slow on purpose, runs off the web workers and only so many at a time.

use crate::crypto::secret_hash::HashError;
use crate::domain::client_metadata::MetadataError;
use crate::domain::error::OAuthError;
use crate::domain::world::{Entropy, NoEntropy};
use crate::http::{ApiError, App};
use actix_web::web;
use std::sync::Arc;

const ALPHABET: &[u8; 66] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
/// 26 of 66 characters hold 157 bits.
const LENGTH: usize = 26;

/// A new secret: 26 characters, each as likely as any other.
///
/// # Errors
/// When there are no random bytes.
pub fn generate(entropy: &dyn Entropy) -> Result<String, NoEntropy> {
    let mut secret = String::with_capacity(LENGTH);
    while secret.len() < LENGTH {
        // Three alphabets fill 198 of a byte's values; the rest is thrown away, or some characters would come more often.
        let fair = entropy.bytes::<64>()?.into_iter().filter(|byte| *byte < 198);
        let picked = fair.filter_map(|byte| ALPHABET.get(usize::from(byte) % ALPHABET.len()).copied().map(char::from));
        secret.extend(picked.take(LENGTH - secret.len()));
    }
    Ok(secret)
}

/// The hash to store for a secret.
///
/// # Errors
/// 400 for a secret that the algorithm cannot take whole; 503 without random bytes.
pub async fn hash(app: &App, secret: &str) -> Result<String, ApiError> {
    let salt = app.entropy.bytes::<16>()?;
    let permit = Arc::clone(&app.hash_permits).acquire_owned().await;
    let permit = permit.map_err(|e| ApiError::Internal(e.to_string()))?;
    let (hasher, secret) = (app.hasher, secret.to_owned());
    let hashed = web::block(move || {
        let _held_while_hashing = permit;
        hasher.hash(&secret, &salt)
    });
    match hashed.await.map_err(|e| ApiError::Internal(e.to_string()))? {
        Ok(hash) => Ok(hash),
        Err(e @ HashError::TooLong(_)) => {
            Err(OAuthError::from(MetadataError::field(format!("Field client_secret: {e}."))).into())
        }
        Err(e) => Err(ApiError::Internal(e.to_string())),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    struct Counting(std::sync::atomic::AtomicU8);

    impl Entropy for Counting {
        fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
            out.fill_with(|| self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
            Ok(())
        }
    }

    #[test]
    fn every_character_comes_as_often() {
        let source = Counting(std::sync::atomic::AtomicU8::new(190));
        let secret = generate(&source).unwrap();
        // 190..198 are the last eight of the third alphabet, 198..=255 are skipped but for those of the next draw.
        assert_eq!(secret.len(), LENGTH);
        assert!(secret.starts_with("6789-_.~"), "{secret}");
        assert!(secret.bytes().all(|byte| ALPHABET.contains(&byte)));
    }
}
