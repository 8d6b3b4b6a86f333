//! Key sets of clients at their `jwks_uri`: fetched once for all who wait, kept for a while, fetched again on a miss at
//! most once a minute, so that random key ids cause no storm.

use super::ApiError;
use super::outbound::Outbound;
use crate::crypto::jose::{Claims, JoseError, Unverified};
use crate::crypto::jwk::{Alg, Jwk, parse_set};
use crate::domain::client::Client;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::telemetry::labels::{Hook, HookOutcome};
use crate::telemetry::metrics::Metrics;
use lru::LruCache;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A set is used for this long without asking again.
const KEPT: Duration = Duration::from_secs(300);
/// A set is fetched again for a key that is not in it at most this often.
const AGAIN: Duration = Duration::from_secs(60);
/// Keys that could not be read again for this long may have been taken back.
const TRUSTED: Duration = Duration::from_secs(3600);
/// Largest set, in bytes.
const LIMIT: usize = 256 * 1024;
/// Requests that may wait for one set.
const WAITING: usize = 32;
/// Sets kept.
const SETS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1_023);

#[derive(Default)]
struct Entry {
    keys: Arc<[Jwk]>,
    tried: Option<Instant>,
    /// When it was read last.
    read: Option<Instant>,
    good: bool,
}

/// The cache.
pub struct JwksCache {
    outbound: Arc<Outbound>,
    metrics: Arc<Metrics>,
    sets: Mutex<LruCache<String, Arc<tokio::sync::Mutex<Entry>>>>,
}

impl JwksCache {
    /// An empty cache. Every fetch is counted.
    pub fn new(outbound: Arc<Outbound>, metrics: Arc<Metrics>) -> Self {
        Self { outbound, metrics, sets: Mutex::new(LruCache::new(SETS)) }
    }

    /// Checks a token's signature with a client's keys: its own set, or the one at its `jwks_uri`, which is read again
    /// when what is kept does not fit. The inner result is the signature's.
    ///
    /// # Errors
    /// `invalid_client`, one text for whatever went wrong: the answer is no port scanner. 429 when many wait for it.
    pub async fn verify(
        &self,
        client: &Client,
        token: &Unverified,
        allowed: &[Alg],
    ) -> Result<Result<Claims, JoseError>, ApiError> {
        if client.jwks_uri.is_empty() {
            return Ok(token.verify(&parse_set(&client.jwks), allowed));
        }
        let kept = token.verify(&self.get(&client.jwks_uri, false).await?, allowed);
        if kept.is_ok() {
            return Ok(kept);
        }
        Ok(token.verify(&self.get(&client.jwks_uri, true).await?, allowed))
    }

    /// The keys at `uri`. `missed` says that the kept ones do not fit.
    async fn get(&self, uri: &str, missed: bool) -> Result<Arc<[Jwk]>, ApiError> {
        let entry = {
            let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(sets.get_or_insert(uri.to_owned(), Arc::default))
        };
        // One holder, the map, and those who wait: a server that hangs must not collect them.
        if Arc::strong_count(&entry) > WAITING + 2 {
            return Err(ApiError::TooMany("the client's jwks_uri is slow".to_owned()));
        }
        let mut entry = entry.lock().await;
        let age = entry.tried.map(|t| t.elapsed());
        let stale = age.is_none_or(|a| a > if missed || !entry.good { AGAIN } else { KEPT });
        if stale {
            let began = Instant::now();
            entry.tried = Some(began);
            let fetched = self.outbound.fetch(uri, LIMIT).await;
            let fetched = fetched.and_then(|b| serde_json::from_slice(&b).map_err(|e| e.to_string()));
            let outcome = if fetched.is_ok() { HookOutcome::Ok } else { HookOutcome::Error };
            self.metrics.webhook(Hook::JwksUri, outcome, began.elapsed().as_secs_f64());
            match fetched {
                Ok(set) => (entry.keys, entry.good, entry.read) = (parse_set(&set).into(), true, entry.tried),
                Err(error) => {
                    tracing::warn!(%error, "a client's jwks_uri could not be read");
                    entry.good = false;
                }
            }
        }
        if entry.keys.is_empty() || entry.read.is_none_or(|read| read.elapsed() > TRUSTED) {
            return Err(OAuthError::new(
                ErrorCode::InvalidClient,
                "The keys at the OAuth 2.0 Client's 'jwks_uri' could not be used.",
            )
            .into());
        }
        Ok(Arc::clone(&entry.keys))
    }
}
