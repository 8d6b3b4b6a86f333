//! Client secrets: verified off the event loop under a permit, remembered by keyed hash.
//!
//! A remembered secret costs a hash instead of a key derivation. The hash covers the stored hash too, so that a changed
//! secret forgets itself. An unknown client costs the time of a wrong secret.

use super::ApiError;
use crate::crypto::seal::{MacRing, Secrets};
use crate::crypto::secret_hash::{Hasher, verify};
use crate::domain::client::RegisteredClient;
use crate::domain::world::Entropy;
use crate::telemetry::traces;
use lru::LruCache;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OnceCell, Semaphore};
use tracing::Instrument;

/// A secret is remembered for this long.
const MEMORY: Duration = Duration::from_secs(600);
/// Secrets remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);
/// Checks that may wait for a permit; one more is answered 503.
const WAITING: usize = 64;
/// Checks of one client that may wait; one more is answered 429. An honest client is remembered after its first.
const WAITING_OF_ONE: usize = 8;

/// A derivation under way and its outcome, for all who wait for the same one.
type Flight = Arc<OnceCell<Option<usize>>>;

/// Checks client secrets.
pub struct SecretCheck {
    key: MacRing,
    remembered: Mutex<LruCache<[u8; 32], Instant>>,
    permits: Arc<Semaphore>,
    queue: Queue,
    flights: Mutex<HashMap<[u8; 32], Flight>>,
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
        Ok(Self {
            key: secrets.mac_ring("verified-secret"),
            remembered,
            permits,
            queue: Queue::default(),
            flights: Mutex::default(),
            dummy,
        })
    }

    /// Whether `secret` is the client's, or one of its rotated ones. `None` stands for an unknown client: never true.
    ///
    /// # Errors
    /// 429 when too many checks of this client wait, 503 when too many of all do.
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
        let right = self.derive_once(id, hashes, secret, tags.first().copied().unwrap_or_default()).await?;
        if let (true, Some(tag)) = (known, right.and_then(|i| tags.get(i))) {
            self.lock().put(*tag, Instant::now());
            return Ok(true);
        }
        Ok(false)
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<[u8; 32], Instant>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remembers(&self, tags: &[[u8; 32]]) -> bool {
        let mut remembered = self.lock();
        tags.iter().any(|t| remembered.get(t).is_some_and(|since| since.elapsed() < MEMORY))
    }

    /// Which of the hashes is the secret's, found out once for all who ask the same at the same time: the pods of one
    /// client that start together cost one derivation.
    async fn derive_once(
        &self,
        id: &str,
        hashes: Vec<String>,
        secret: &str,
        question: [u8; 32],
    ) -> Result<Option<usize>, ApiError> {
        let flight = {
            let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(flights.entry(question).or_default())
        };
        let waiting = flight.get_or_try_init(|| self.derive(id, hashes, secret.to_owned()));
        let found = waiting.instrument(traces::span("client.secret")).await.copied();
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&question);
        found
    }

    /// Which of the hashes is the secret's.
    async fn derive(&self, id: &str, hashes: Vec<String>, secret: String) -> Result<Option<usize>, ApiError> {
        let place = self.queue.take(id)?;
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|e| ApiError::Internal(e.to_string()))?;
        drop(place);
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            hashes.iter().position(|h| verify(&secret, h))
        });
        work.await.map_err(|e| ApiError::Internal(e.to_string()))
    }
}

/// The queue of checks: bounded as a whole, and for each client, so that who guesses one client's secret keeps nobody
/// else waiting.
#[derive(Default)]
struct Queue(Mutex<HashMap<String, usize>>);

/// A place in the queue, given back when dropped.
struct Place<'a> {
    queue: &'a Queue,
    client: String,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All who ask for unknown clients share the places of one.
    fn take(&self, client: &str) -> Result<Place<'_>, ApiError> {
        let mut waiting = self.lock();
        if waiting.values().sum::<usize>() >= WAITING {
            return Err(ApiError::Unavailable("too many client secrets are being checked".to_owned()));
        }
        let of_client = waiting.entry(client.to_owned()).or_default();
        if *of_client >= WAITING_OF_ONE {
            return Err(ApiError::TooMany("too many secrets of this client are being checked".to_owned()));
        }
        *of_client += 1;
        Ok(Place { queue: self, client: client.to_owned() })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.queue.lock();
        if let Some(n) = waiting.get_mut(&self.client) {
            *n -= 1;
            if *n == 0 {
                waiting.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn d15_who_guesses_one_secret_keeps_nobody_else_waiting() {
        let queue = Queue::default();
        let mut guesses: Vec<_> = (0..WAITING_OF_ONE).map(|_| queue.take("guessed").unwrap()).collect();
        assert!(matches!(queue.take("guessed"), Err(ApiError::TooMany(_))));
        let honest = queue.take("honest").unwrap();
        guesses.pop();
        assert!(queue.take("guessed").is_ok());
        drop((guesses, honest));
        assert!(queue.lock().is_empty());
        let all: Vec<_> = (0..WAITING).map(|i| queue.take(&i.to_string()).unwrap()).collect();
        let Err(ApiError::Unavailable(_)) = queue.take("one more") else { panic!("no bound") };
        drop(all);
    }
}
