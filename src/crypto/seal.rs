//! The system secrets and what is derived from them: sealed records and message tags.
//! Any room may call it. Invariant: a key serves one purpose, named by its label, and one record never shares an
//! AES key with another. The list may change while it is in use: whatever was derived from it changes with it.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use aes_gcm::{
    Aes256Gcm, KeyInit as _,
    aead::{Aead as _, Payload},
};
use arc_swap::ArcSwap;
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

const KDF_SALT: &[u8] = b"signet/kdf/v1";
const VERSION: u8 = 1;
const KID: usize = 4;
const SALT: usize = 32;
const TAG: usize = 16;
/// Bytes of an envelope before the sealed ones.
pub const HEAD: usize = 1 + KID + SALT;
/// Where the secret's mark stands in an envelope, counted from 1 as SQL does, and its length.
pub const MARK: (usize, usize) = (2, KID);
/// Fixed, because the key itself is fresh for every record (see [`Sealer::seal`]).
const NONCE: [u8; 12] = [0; 12];

type Key = Zeroizing<[u8; 32]>;

/// Why a list of system secrets is not usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// The list has no entry.
    #[error("the list of system secrets is empty")]
    Empty,
    /// An entry is the empty string.
    #[error("a system secret is blank")]
    Blank,
}

/// Why a sealed value could not be made or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not an envelope of this program: too short or another version.
    #[error("not a sealed value")]
    Malformed,
    /// Sealed under a secret that is no longer in the list.
    #[error("sealed under a system secret that is not in the list")]
    UnknownKey,
    /// The value or what it is bound to (table, column, row) was changed.
    #[error("the sealed value was changed or moved")]
    Tampered,
}

/// The rotating list of system secrets, newest first. The newest seals, every one opens. A clone is the same list, and
/// keeps all that was derived from it.
#[derive(Clone)]
pub struct Secrets(Arc<Mutex<List>>);

struct List {
    keys: Vec<Key>,
    /// What is to change with the list.
    derived: Vec<Derived>,
}

enum Derived {
    Seals(&'static str, Arc<ArcSwap<Vec<SealKey>>>),
    Macs(&'static str, Arc<ArcSwap<Vec<Hmac<Sha256>>>>),
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({} hidden)", self.0.lock().unwrap_or_else(PoisonError::into_inner).keys.len())
    }
}

impl Secrets {
    /// Takes the secrets as configured, newest first.
    ///
    /// # Errors
    /// When the list or one of its entries is empty.
    pub fn new(secrets: &[String]) -> Result<Self, SecretsError> {
        Ok(Self(Arc::new(Mutex::new(List { keys: extracted(secrets)?, derived: Vec::new() }))))
    }

    /// Puts another list in the place of this one: from now on every sealer and ring that was derived from it seals and
    /// signs under the new first secret, and opens and checks under the new ones alone.
    ///
    /// # Errors
    /// As [`Self::new`]; then nothing has changed.
    pub fn replace(&self, secrets: &[String]) -> Result<(), SecretsError> {
        let keys = extracted(secrets)?;
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for derived in &list.derived {
            match derived {
                Derived::Seals(label, to) => to.store(Arc::new(seal_keys(&keys, label))),
                Derived::Macs(label, to) => to.store(Arc::new(mac_keys(&keys, label))),
            }
        }
        list.keys = keys;
        Ok(())
    }

    /// A sealer for one purpose. Two labels never share a key.
    #[must_use]
    pub fn sealer(&self, label: &'static str) -> Sealer {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = Arc::new(ArcSwap::from_pointee(seal_keys(&list.keys, label)));
        list.derived.push(Derived::Seals(label, Arc::clone(&keys)));
        Sealer(keys)
    }

    /// Message tags for one purpose. Two labels never share a key.
    #[must_use]
    pub fn mac_ring(&self, label: &'static str) -> MacRing {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = Arc::new(ArcSwap::from_pointee(mac_keys(&list.keys, label)));
        list.derived.push(Derived::Macs(label, Arc::clone(&keys)));
        MacRing(keys)
    }
}

fn extracted(secrets: &[String]) -> Result<Vec<Key>, SecretsError> {
    if secrets.is_empty() {
        return Err(SecretsError::Empty);
    }
    let extract = |secret: &String| {
        if secret.is_empty() {
            return Err(SecretsError::Blank);
        }
        let (prk, _) = Hkdf::<Sha256>::extract(Some(KDF_SALT), secret.as_bytes());
        Ok(Zeroizing::new(prk.into()))
    };
    secrets.iter().map(extract).collect()
}

fn seal_keys(keys: &[Key], label: &str) -> Vec<SealKey> {
    keys.iter().map(|prk| SealKey::derive(prk, label)).collect()
}

fn mac_keys(keys: &[Key], label: &str) -> Vec<Hmac<Sha256>> {
    let of = |prk: &Key| {
        let key: Key = expand(prk, &[b"v1|", label.as_bytes()]);
        keyed(key.as_slice())
    };
    keys.iter().map(of).collect()
}

/// HKDF-Expand of a 32-byte key to at most 32 bytes.
fn expand<const N: usize>(key: &Key, info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 32, "one block of HKDF-SHA256") }
    let mut out = Zeroizing::new([0; N]);
    // One block of T(1) = HMAC(key, info ‖ 0x01), RFC 5869 section 2.3; written out because it cannot fail.
    let mut mac = keyed(key.as_slice());
    info.iter().for_each(|part| mac.update(part));
    mac.update(&[1]);
    let block: Key = Zeroizing::new(mac.finalize().into_bytes().into());
    out.iter_mut().zip(block.iter()).for_each(|(to, from)| *to = *from);
    out
}

/// HMAC-SHA256 keyed with up to one block, which every key here is.
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0_u8; 64]);
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    <Hmac<Sha256> as hmac::KeyInit>::new((&*block).into())
}

#[derive(Clone)]
struct SealKey {
    key: Key,
    kid: [u8; KID],
}

impl SealKey {
    fn derive(prk: &Key, label: &str) -> Self {
        let kid = expand::<KID>(prk, &[b"v1|kid|", label.as_bytes()]);
        Self { key: expand(prk, &[b"v1|", label.as_bytes()]), kid: *kid }
    }

    fn record(&self, salt: &[u8]) -> Aes256Gcm {
        let key: Key = expand(&self.key, &[b"rec", salt]);
        Aes256Gcm::new((&*key).into())
    }
}

/// Seals and opens records of one purpose.
#[derive(Clone)]
pub struct Sealer(Arc<ArcSwap<Vec<SealKey>>>);

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({} hidden)", self.0.load().len())
    }
}

/// What [`Sealer::open`] found.
#[derive(Debug)]
pub struct Opened {
    /// The plain bytes, wiped when dropped.
    pub plain: Zeroizing<Vec<u8>>,
    /// The index of the secret that opened it. 0 is the newest; anything else is worth sealing again.
    pub generation: usize,
}

impl Sealer {
    /// A sealer whose key is derived from `material`, at least 32 random bytes that whoever opens must bring along: no
    /// system secret opens what it seals.
    #[must_use]
    pub fn from_key_material(material: &[u8], label: &'static str) -> Self {
        let (prk, _) = Hkdf::<Sha256>::extract(Some(KDF_SALT), material);
        Self(Arc::new(ArcSwap::from_pointee(vec![SealKey::derive(&Zeroizing::new(prk.into()), label)])))
    }

    /// Seals `plain`, bound to `aad` (see [`aad`]). `salt` must be fresh random bytes.
    ///
    /// The envelope is `version ‖ kid[4] ‖ salt[32] ‖ ciphertext ‖ tag[16]`. AES-GCM with random 96-bit nonces may
    /// seal only 2^32 records under one key. Here every record has its own key, expanded from a 256-bit salt, and
    /// so a fixed nonce is safe and there is no such limit.
    ///
    /// # Errors
    /// Only [`SealError::Malformed`], for a value beyond AES-GCM's 64 GiB.
    pub fn seal(&self, salt: &[u8; 32], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let keys = self.0.load();
        let newest = keys.first().ok_or(SealError::UnknownKey)?;
        let payload = Payload { msg: plain, aad };
        let body = newest.record(salt).encrypt(&NONCE.into(), payload).map_err(|_| SealError::Malformed)?;
        let mut sealed = Vec::with_capacity(HEAD + body.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&newest.kid);
        sealed.extend_from_slice(salt);
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }

    /// Opens what [`Sealer::seal`] made under any secret still in the list and with the same `aad`.
    ///
    /// # Errors
    /// See [`SealError`].
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Opened, SealError> {
        let (&version, rest) = sealed.split_first().ok_or(SealError::Malformed)?;
        let (kid, rest) = rest.split_at_checked(KID).ok_or(SealError::Malformed)?;
        let (salt, body) = rest.split_at_checked(SALT).ok_or(SealError::Malformed)?;
        if version != VERSION || body.len() < TAG {
            return Err(SealError::Malformed);
        }
        let mut verdict = SealError::UnknownKey;
        for (generation, key) in self.0.load().iter().enumerate().filter(|(_, key)| key.kid == kid) {
            if let Ok(plain) = key.record(salt).decrypt(&NONCE.into(), Payload { msg: body, aad }) {
                return Ok(Opened { plain: Zeroizing::new(plain), generation });
            }
            verdict = SealError::Tampered;
        }
        Err(verdict)
    }

    /// The mark that each secret of the list leaves on what it seals, newest first: what stands at [`MARK`] of an
    /// envelope. Tells which secret sealed a record without opening it.
    #[must_use]
    pub fn marks(&self) -> Vec<[u8; KID]> {
        self.0.load().iter().map(|key| key.kid).collect()
    }
}

/// What a sealed column is bound to, each part prefixed with its length, so that a value cannot be moved to another
/// table, column or row.
#[must_use]
pub fn aad(table: &str, column: &str, row: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(24 + table.len() + column.len() + row.len());
    for part in [table.as_bytes(), column.as_bytes(), row] {
        out.extend_from_slice(&(part.len() as u64).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

/// HMAC-SHA256 tags of one purpose. Cheap to clone and to share between threads: the keys are set up once.
#[derive(Clone)]
pub struct MacRing(Arc<ArcSwap<Vec<Hmac<Sha256>>>>);

impl fmt::Debug for MacRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MacRing({} hidden)", self.0.load().len())
    }
}

impl MacRing {
    /// The tag of `parts` under the newest secret. Each part is prefixed with its length: `["ab", "c"]` and
    /// `["a", "bc"]` differ.
    #[must_use]
    pub fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.0.load().first().map_or([0; 32], |key| tag_with(key, parts))
    }

    /// The tag of `parts` under every secret, newest first.
    #[must_use]
    pub fn tags(&self, parts: &[&[u8]]) -> Vec<[u8; 32]> {
        self.0.load().iter().map(|key| tag_with(key, parts)).collect()
    }

    /// The generation (0 is the newest) of the secret that made `tag`, or nothing. Compares in constant time.
    #[must_use]
    pub fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> Option<usize> {
        self.0.load().iter().position(|key| tag_with(key, parts).as_slice().ct_eq(tag).into())
    }
}

fn tag_with(key: &Hmac<Sha256>, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = key.clone();
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests;
