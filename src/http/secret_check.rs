//! Client secrets: verified off the event loop under a permit, remembered by keyed hash.
//!
//! A remembered secret costs a hash instead of a key derivation. The hash covers the stored hash too, so that a changed
//! secret forgets itself. An unknown client costs the time of a wrong secret.

use super::ApiError;
use crate::crypto::seal::{MacRing, Secrets};
use crate::crypto::secret_hash::{Hasher, verify};
use crate::domain::client::RegisteredClient;
use crate::domain::world::Entropy;
use lru::LruCache;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// A secret is remembered for this long.
const MEMORY: Duration = Duration::from_secs(600);
/// Secrets remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);
/// Checks that may wait for a permit; one more is answered 503.
const WAITING: usize = 64;

/// Checks client secrets.
pub struct SecretCheck {
    key: MacRing,
    remembered: Mutex<LruCache<[u8; 32], Instant>>,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    dummy: String,
}

impl SecretCheck {
    /// `permits` bounds the derivations under way; a dummy hash of the configured kind stands for unknown clients.
    ///
    /// # Errors
    /// [`ApiError`] without randomness, or for a hasher that cannot hash.
    pub fn new(hasher: Hasher, permits: Arc<Semaphore>, entropy: &dyn Entropy) -> Result<Self, ApiError> {
        let boot = hex::encode(entropy.bytes::<32>()?);
        let secrets = Secrets::new(&[boot]).map_err(|e| ApiError::Internal(e.to_string()))?;
        let dummy = hasher
            .hash(&hex::encode(entropy.bytes::<16>()?), &entropy.bytes()?)
            .map_err(|e| ApiError::Internal(e.to_string()))?;
        let remembered = Mutex::new(LruCache::new(REMEMBERED));
        Ok(Self { key: secrets.mac_ring("verified-secret"), remembered, permits, waiting: AtomicUsize::new(0), dummy })
    }

    /// Whether `secret` is the client's, or one of its rotated ones. `None` stands for an unknown client: never true.
    ///
    /// # Errors
    /// 503 when too many checks wait.
    pub async fn is_right(&self, client: Option<&RegisteredClient>, secret: &str) -> Result<bool, ApiError> {
        let hashes: Vec<String> = match client {
            Some(c) if !c.secret_hash.is_empty() => {
                std::iter::once(&c.secret_hash).chain(&c.rotated_secret_hashes).cloned().collect()
            }
            _ => vec![self.dummy.clone()],
        };
        let known = client.is_some_and(|c| !c.secret_hash.is_empty());
        let id = client.map_or("", |c| c.client.client_id.as_str());
        let tags: Vec<_> =
            hashes.iter().map(|h| self.key.tag(&[id.as_bytes(), h.as_bytes(), secret.as_bytes()])).collect();
        if known && self.remembers(&tags) {
            return Ok(true);
        }
        let right = self.derive(hashes, secret.to_owned()).await?;
        if let (true, Some(tag)) = (known, right.and_then(|i| tags.get(i))) {
            self.lock().put(*tag, Instant::now());
            return Ok(true);
        }
        Ok(false)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<[u8; 32], Instant>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remembers(&self, tags: &[[u8; 32]]) -> bool {
        let mut remembered = self.lock();
        tags.iter().any(|t| remembered.get(t).is_some_and(|since| since.elapsed() < MEMORY))
    }

    /// Which of the hashes is the secret's.
    async fn derive(&self, hashes: Vec<String>, secret: String) -> Result<Option<usize>, ApiError> {
        let overloaded = || ApiError::Unavailable("too many client secrets are being checked".to_owned());
        let place = Place::take(&self.waiting).ok_or_else(overloaded)?;
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| overloaded())?;
        drop(place);
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            hashes.iter().position(|h| verify(&secret, h))
        });
        work.await.map_err(|e| ApiError::Internal(e.to_string()))
    }
}

/// A place in the queue, given back when dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(queue: &'a AtomicUsize) -> Option<Self> {
        let place = Self(queue);
        (queue.fetch_add(1, Ordering::Relaxed) < WAITING).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
