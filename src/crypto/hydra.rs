//! What Ory Hydra sealed, opened once so that it can be sealed anew: its private keys at rest.
//! For moving from there. Nothing here seals: one key for every purpose and no binding to a row is not ours to make more of.

use aes_gcm::{Aes256Gcm, KeyInit as _, aead::Aead as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

const NONCE: usize = 12;

/// Why a value does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HydraSealError {
    /// Not base64url of a nonce and a ciphertext.
    #[error("it is not a sealed value of Hydra's")]
    Malformed,
    /// Sealed under another secret, or changed since.
    #[error("none of the given secrets opens it")]
    UnknownSecret,
}

/// Hydra's `secrets.system`, in its order.
pub struct HydraSecrets(Vec<Aes256Gcm>);

impl HydraSecrets {
    /// Hydra's AES key is the SHA-256 of a secret's text.
    #[must_use]
    pub fn new(secrets: &[String]) -> Self {
        let cipher = |secret: &String| {
            let key: Zeroizing<[u8; 32]> = Zeroizing::new(Sha256::digest(secret.as_bytes()).into());
            Aes256Gcm::new((&*key).into())
        };
        Self(secrets.iter().map(cipher).collect())
    }

    /// Opens base64url of `nonce[12] ‖ ciphertext ‖ tag[16]`, AES-256-GCM without associated data.
    ///
    /// # Errors
    /// See [`HydraSealError`].
    pub fn open(&self, sealed: &str) -> Result<Zeroizing<Vec<u8>>, HydraSealError> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed.trim().trim_end_matches('='));
        let bytes = bytes.map_err(|_| HydraSealError::Malformed)?;
        let (nonce, body) = bytes.split_first_chunk::<NONCE>().ok_or(HydraSealError::Malformed)?;
        let open = |cipher: &Aes256Gcm| cipher.decrypt(&(*nonce).into(), body).ok();
        self.0.iter().find_map(open).map(Zeroizing::new).ok_or(HydraSealError::UnknownSecret)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    /// Made with Python's `cryptography`: AESGCM(sha256(secret)).encrypt(bytes(range(12)), b"a key", None).
    const SEALED: &str = "AAECAwQFBgcICQoLtNKCAz5ackqOllhwkV6ML-23B2vz";
    const SECRET: &str = "a-system-secret-of-hydra";

    fn secrets(list: &[&str]) -> HydraSecrets {
        HydraSecrets::new(&list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn what_another_program_sealed_opens_under_any_of_the_secrets() {
        for list in [&[SECRET][..], &["a-newer-secret", SECRET]] {
            assert_eq!(secrets(list).open(SEALED).unwrap().as_slice(), b"a key");
            assert_eq!(secrets(list).open(SEALED.trim_end_matches('=')).unwrap().as_slice(), b"a key");
        }
    }

    #[test]
    fn nothing_else_opens() {
        for list in [&[][..], &["a-newer-secret"]] {
            assert_eq!(secrets(list).open(SEALED).unwrap_err(), HydraSealError::UnknownSecret);
        }
        let changed = SEALED.replacen(SEALED.get(20..21).unwrap(), "_", 1);
        assert_eq!(secrets(&[SECRET]).open(&changed).unwrap_err(), HydraSealError::UnknownSecret);
        for odd in ["", "AAEC", "not base64!", "{\"kty\":\"RSA\"}"] {
            assert_eq!(secrets(&[SECRET]).open(odd).unwrap_err(), HydraSealError::Malformed, "{odd}");
        }
    }
}
