//! Boot order: store, keys, actors, then everything the handlers share.

use super::reload::{self, Held};
use super::rules;
use super::system::OsEntropy;
use crate::actors::flow_coordinator::{self, Finished, FlowCoordinator};
use crate::actors::janitor::{self, Janitor, Pace};
use crate::actors::key_manager::{self, KeyManager, KeyRing, KeyVault, Keys};
use crate::actors::mailbox::{Alive, Mailbox};
use crate::actors::token_issuer::{Drain, TokenIssuer};
use crate::config::Settings;
use crate::crypto::seal::Secrets;
use crate::domain::token::opaque::Opaque;
use crate::domain::user_code::UserCodes;
use crate::domain::world::{Clock, Entropy};
use crate::http::demo::Demo;
use crate::http::jwks_uri::JwksCache;
use crate::http::logout_courier::LogoutCourier;
use crate::http::outbound::Outbound;
use crate::http::public::well_known::Metadata;
use crate::http::secret_check::SecretCheck;
use crate::http::{App, Rotation};
use crate::store::introspection_cache::{CacheOptions, IntrospectionCache};
use crate::store::{self, OpenOptions, Store};
use crate::telemetry::labels;
use crate::telemetry::metrics::Metrics;
use actix::Actor;
use anyhow::{Context, anyhow};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Writes that may wait at once: what two lanes finish in half of the patience.
const ISSUER_TICKETS: usize = 4096;
/// How long a write may take.
const ISSUER_PATIENCE: Duration = Duration::from_secs(4);
/// How long a change of keys may take: RSA-4096 is slow.
const KEYS_PATIENCE: Duration = Duration::from_secs(20);

/// A process that is up, without its listeners.
pub struct Up {
    /// What the handlers share.
    pub app: Arc<App>,
    /// The secrets behind what they hold.
    pub held: Held,
    janitor: Mailbox<Janitor>,
}

impl Up {
    /// Stops the actors in reverse order, each after its work, and closes the store.
    pub async fn down(self) {
        let _ = self.janitor.ask(janitor::Stop).await;
        let _ = self.app.key_manager.ask(key_manager::Stop).await;
        let _ = self.app.issuer.ask(Drain).await;
        let _ = self.app.flows.ask(flow_coordinator::Drain).await;
        self.app.store.close().await;
        if let Some(cache) = &self.app.introspections {
            cache.close();
        }
    }
}

/// Starts everything but the listeners. The database may be away or without a schema: the process is then up, alive
/// and not ready.
///
/// # Errors
/// For settings that cannot work.
pub async fn up(settings: &Settings, metrics: Arc<Metrics>, clock: Arc<dyn Clock>) -> anyhow::Result<Up> {
    let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
    let held = Held::of(&settings.secrets).context("secrets")?;
    let secrets = &held.system;
    let introspections = cache(settings, secrets, &entropy, &clock, &metrics)?;
    let store = store::open(OpenOptions {
        dsn: settings.dsn.clone(),
        max_conns: settings.db.max_conns,
        statement_timeout: settings.db.statement_timeout,
        access_token_life: settings.ttl.access_token,
        clock: Arc::clone(&clock),
        metrics: Arc::clone(&metrics),
        cache: introspections.clone(),
    })
    .await?;
    reload::count(&settings.secrets, &metrics);
    metrics.jwk_rotation(settings.keys.rotation_interval.as_secs_f64());
    let rotation = Arc::new(Rotation::default());
    let alive = |actor| Alive::new(rotation.dead.clone(), actor, Arc::clone(&metrics));

    let vault = KeyVault {
        store: Arc::clone(&store),
        sealer: secrets.sealer("jwk"),
        entropy: Arc::clone(&entropy),
        metrics: Arc::clone(&metrics),
    };
    let keys = Keys {
        vault: vault.clone(),
        policy: Arc::new(rules::key_policy(settings)?),
        clock: Arc::clone(&clock),
        apart: Arc::default(),
    };
    let (ring, published) = watch::channel(Arc::new(first_ring(&keys).await));
    let manager = KeyManager::new(keys, ring, alive(labels::Actor::KeyManager)).start();
    let key_manager = Mailbox::new(manager, labels::Actor::KeyManager, 64, KEYS_PATIENCE, Arc::clone(&metrics));

    let issuer = TokenIssuer::new(Arc::clone(&store), Arc::clone(&metrics), alive(labels::Actor::TokenIssuer)).start();
    let issuer =
        Mailbox::new(issuer, labels::Actor::TokenIssuer, ISSUER_TICKETS, ISSUER_PATIENCE, Arc::clone(&metrics));
    let outbound = Arc::new(Outbound::new(rules::reach(settings)).map_err(|e| anyhow!("{e}"))?);
    let finished = Arc::new(Finished::default());
    let courier = Arc::new(LogoutCourier {
        issuer: settings.urls.issuer.clone(),
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy),
        keys: published.clone(),
        outbound: Arc::clone(&outbound),
        provider_headers: rules::provider_headers(settings),
        metrics: Arc::clone(&metrics),
    });
    let flows = FlowCoordinator::new(
        flow_coordinator::Parts {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            courier,
            finished: Arc::clone(&finished),
        },
        alive(labels::Actor::FlowCoordinator),
    );
    let flows = Mailbox::new(
        flows.start(),
        labels::Actor::FlowCoordinator,
        ISSUER_TICKETS,
        ISSUER_PATIENCE,
        Arc::clone(&metrics),
    );
    let janitor = start_janitor(settings, &store, &clock, &metrics, alive(labels::Actor::Janitor));

    let hasher = rules::hasher(settings);
    let half = std::thread::available_parallelism().map_or(1, |n| n.get().div_ceil(2));
    let hash_permits = Arc::new(Semaphore::new(half));
    let secret_check = SecretCheck::new(hasher, Arc::clone(&hash_permits), &*entropy, Arc::clone(&metrics))
        .map_err(|e| anyhow!("{e}"))?;
    let app = App {
        opaque: Opaque::new(secrets),
        user_codes: UserCodes::new(rules::user_codes(settings)?, secrets),
        flows_sealer: secrets.sealer("flow"),
        cookies: held.cookie.sealer("cookie"),
        csrf: held.cookie.mac_ring("cookie/csrf"),
        flows,
        finished,
        sessions: secrets.sealer("row/session"),
        page_tokens: held.pagination.sealer("page"),
        issuer,
        key_manager,
        key_vault: vault,
        metadata: Metadata::default(),
        keys: published,
        hasher,
        hash_permits,
        sign_permits: Arc::new(Semaphore::new(half)),
        secrets: secret_check,
        hook_permits: Semaphore::new(crate::http::hook::AT_ONCE),
        jwks: JwksCache::new(Arc::clone(&outbound), Arc::clone(&metrics)),
        outbound,
        rules: rules::rules(settings),
        rotation,
        store,
        introspections,
        admission: rules::admission(settings, &metrics),
        clock,
        entropy,
        metrics,
    };
    // So that the metrics tell the truth before anybody asks whether we are ready.
    for (check, why) in crate::http::health::checks(&app).await {
        tracing::warn!(check = check.as_str(), why, "not ready yet");
    }
    Ok(Up { app: Arc::new(app), held, janitor })
}

/// The introspection cache, if there is a Redis.
fn cache(
    settings: &Settings,
    secrets: &Secrets,
    entropy: &Arc<dyn Entropy>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Option<Arc<IntrospectionCache>>> {
    let redis = &settings.redis;
    let Some(url) = &redis.url else { return Ok(None) };
    let cache = IntrospectionCache::open(CacheOptions {
        url: url.clone(),
        prefix: redis.prefix.clone(),
        timeout: redis.timeout,
        staleness: redis.staleness,
        local_entries: redis.local_entries,
        sealer: secrets.sealer("cache/introspection"),
        macs: secrets.mac_ring("cache/news"),
        entropy: Arc::clone(entropy),
        id: u64::from_be_bytes(entropy.bytes()?).max(1),
        clock: Arc::clone(clock),
        metrics: Arc::clone(metrics),
    })?;
    Ok(Some(cache))
}

/// The demo of a server whose public and admin listeners answer at these URLs.
pub fn demo(up: &Up, (public, admin): &(String, String)) -> Arc<Demo> {
    Arc::new(Demo::new(Arc::clone(&up.app), public, admin, up.held.system.mac_ring("demo")))
}

/// The keys as they are, made if there are none. Without a database the ring is empty and the manager goes on trying.
async fn first_ring(keys: &Keys) -> KeyRing {
    match keys.turn().await {
        Ok(ring) => ring,
        Err(error) => {
            tracing::warn!(%error, "there are no keys yet: the database is away or has no schema");
            KeyRing::default()
        }
    }
}

fn start_janitor(
    settings: &Settings,
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
    alive: Alive,
) -> Mailbox<Janitor> {
    let batch = usize::try_from(settings.janitor.batch_size).unwrap_or(usize::MAX);
    let pace = Pace { interval: settings.janitor.interval, batch };
    let janitor = Janitor::new(Arc::clone(store), Arc::clone(clock), Arc::clone(metrics), pace, alive);
    Mailbox::new(janitor.start(), labels::Actor::Janitor, 4, Duration::from_secs(5), Arc::clone(metrics))
}
