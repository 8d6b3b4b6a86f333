//! One-way hashes of client secrets, in the forms Hydra stores them.
//! Slow on purpose: callers run them off the async threads. Invariant: no stored text, however odd, makes
//! [`verify`] panic or work without bound.

use std::num::NonZeroU32;

use argon2::PasswordVerifier as _;
use aws_lc_rs::pbkdf2;
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

const MAX_ITERATIONS: u32 = 10_000_000;
const MAX_BCRYPT_COST: u32 = 18;
const BCRYPT_BYTES: usize = 72;
const MAX_STORED: usize = 1024;
/// KiB; 1 GiB.
const MAX_ARGON2_MEMORY: u32 = 1 << 20;
const MAX_ARGON2_PASSES: u32 = 64;
const MAX_ARGON2_LANES: u32 = 64;

/// Why a secret could not be hashed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// bcrypt reads 72 bytes; what follows would be ignored in silence.
    #[error("the secret is {0} bytes long, but bcrypt uses only the first 72; take a shorter secret or pbkdf2")]
    TooLong(usize),
    /// Iterations or cost outside what can be verified again.
    #[error("the work factor {0} is out of range")]
    Work(u32),
}

/// How new secrets are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hasher {
    /// PBKDF2-HMAC-SHA256, 32 bytes.
    Pbkdf2 {
        /// Rounds, 1 to 10 000 000.
        iterations: u32,
    },
    /// bcrypt.
    Bcrypt {
        /// Base-2 logarithm of the rounds, 4 to 18.
        cost: u32,
    },
}

impl Hasher {
    /// Hashes `secret`. `salt` must be fresh random bytes.
    ///
    /// # Errors
    /// A secret over 72 bytes for bcrypt, or a work factor out of range.
    pub fn hash(&self, secret: &str, salt: &[u8; 16]) -> Result<String, HashError> {
        match *self {
            Self::Pbkdf2 { iterations } => {
                let rounds = rounds(iterations).ok_or(HashError::Work(iterations))?;
                let mut key = [0; 32];
                pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, secret.as_bytes(), &mut key);
                let (salt, key) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(key));
                Ok(format!("$pbkdf2-sha256$i={iterations},l=32${salt}${key}"))
            }
            Self::Bcrypt { cost } => {
                if secret.len() > BCRYPT_BYTES {
                    return Err(HashError::TooLong(secret.len()));
                }
                if cost > MAX_BCRYPT_COST {
                    return Err(HashError::Work(cost));
                }
                let parts = bcrypt::hash_with_salt(secret, cost, *salt).map_err(|_| HashError::Work(cost))?;
                Ok(parts.format_for_version(bcrypt::Version::TwoA))
            }
        }
    }
}

/// Whether `secret` is what `stored` was made from: PBKDF2 (SHA-1 and SHA-2), bcrypt, argon2i and argon2id.
/// A stored text of any other form, or one that asks for unreasonable work, is never a match.
#[must_use]
pub fn verify(secret: &str, stored: &str) -> bool {
    match Stored::read(stored) {
        Some(Stored::Pbkdf2 { algorithm, rounds, salt, key }) => {
            pbkdf2::verify(algorithm, rounds, &salt, secret.as_bytes(), &key).is_ok()
        }
        // Hydra compares with Go's bcrypt, which cuts a long secret here although it refuses one when hashing.
        Some(Stored::Bcrypt) => bcrypt::verify(secret, stored).unwrap_or(false),
        Some(Stored::Argon2) => argon2::Argon2::default().verify_password(secret.as_bytes(), stored).is_ok(),
        None => false,
    }
}

/// Whether [`verify`] can ever say yes to this stored text.
#[must_use]
pub fn is_verifiable(stored: &str) -> bool {
    Stored::read(stored).is_some()
}

/// A stored hash that can be verified with reasonable work.
enum Stored {
    Pbkdf2 { algorithm: pbkdf2::Algorithm, rounds: NonZeroU32, salt: Vec<u8>, key: Vec<u8> },
    Bcrypt,
    Argon2,
}

impl Stored {
    fn read(stored: &str) -> Option<Self> {
        if stored.len() > MAX_STORED || !stored.is_ascii() {
            return None;
        }
        match stored.strip_prefix('$')?.split_once('$')? {
            (name, rest) if name.starts_with("pbkdf2-") => Self::pbkdf2(name, rest),
            ("2a" | "2b" | "2y", rest) => Self::bcrypt(stored, rest),
            ("argon2i" | "argon2id", _) => Self::argon2(stored),
            _ => None,
        }
    }

    /// `rest` is `i=25000,l=32$<salt>$<key>`.
    fn pbkdf2(name: &str, rest: &str) -> Option<Self> {
        let algorithm = match name {
            "pbkdf2-sha1" => pbkdf2::PBKDF2_HMAC_SHA1,
            "pbkdf2-sha256" => pbkdf2::PBKDF2_HMAC_SHA256,
            "pbkdf2-sha384" => pbkdf2::PBKDF2_HMAC_SHA384,
            "pbkdf2-sha512" => pbkdf2::PBKDF2_HMAC_SHA512,
            _ => return None,
        };
        let mut parts = rest.split('$');
        let (parameters, salt, key) = (parts.next()?, parts.next()?, parts.next()?);
        let (iterations, length) = parameters.strip_prefix("i=")?.split_once(",l=")?;
        let salt = STANDARD_NO_PAD.decode(salt).ok()?;
        let key = STANDARD_NO_PAD.decode(key).ok()?;
        // A shorter key than 16 bytes would be a weak comparison; a zero-length one would match everything.
        if parts.next().is_some() || length.parse() != Ok(key.len()) || !(16..=128).contains(&key.len()) {
            return None;
        }
        Some(Self::Pbkdf2 { algorithm, rounds: rounds(iterations.parse().ok()?)?, salt, key })
    }

    fn bcrypt(stored: &str, rest: &str) -> Option<Self> {
        let cost = rest.get(..2)?.parse::<u32>().ok()?;
        (cost <= MAX_BCRYPT_COST && stored.parse::<bcrypt::HashParts>().is_ok()).then_some(Self::Bcrypt)
    }

    fn argon2(stored: &str) -> Option<Self> {
        let parsed = argon2::PasswordHash::new(stored).ok().filter(|parsed| parsed.hash.is_some())?;
        let params = argon2::Params::try_from(&parsed).ok()?;
        let bounded = params.m_cost() <= MAX_ARGON2_MEMORY
            && params.t_cost() <= MAX_ARGON2_PASSES
            && params.p_cost() <= MAX_ARGON2_LANES;
        bounded.then_some(Self::Argon2)
    }
}

fn rounds(iterations: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(iterations).filter(|n| n.get() <= MAX_ITERATIONS)
}

#[cfg(test)]
mod tests;
