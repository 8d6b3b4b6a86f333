//! KeyManager: the single writer of keys. Creates the first ones, however many replicas start together; rotates by
//! schedule and on demand; publishes the snapshot that signing and JWKS read.

pub use super::key_ring::{ACCESS_TOKEN_SET, ID_TOKEN_SET, KeyRing, entity_tag};
pub use super::key_vault::{KeyError, KeyVault};

use super::key_ring::meta;
use super::mailbox::{Admitted, Alive, Ticket};
use crate::crypto::jwk::{Alg, Jwk, generate};
use crate::domain::key_ring::{ON_DEMAND_LEAD, Policy, Step, step};
use crate::domain::world::{Clock, Timestamp};
use crate::store::{Change, KeyChange, KeyRow, StoreError};
use crate::telemetry::audit::{self, AuditEvent, Facts, KeyFacts};
use crate::telemetry::labels;
use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, AtomicResponse, Context, Handler, Message, WrapFuture};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{broadcast, watch};
use tracing::{Instrument, Span};

/// How often the keys are looked at when the feed says nothing.
const TICK: Duration = Duration::from_secs(5);
/// How often keys under an older secret are sealed again after the boot. While the secrets change places, replicas
/// disagree on which is the newest; would each seal again whatever it finds, they would write against each other without
/// end. The boot of the last replica settles it, and what one of the earlier ones still wrote waits an hour.
const RESEAL: Duration = Duration::from_secs(3600);
/// Clocks that differ by more are worth a warning.
const APART: Duration = Duration::from_secs(1);

/// How keys are made and rotated.
#[derive(Clone, Debug)]
pub struct KeyPolicy {
    /// The algorithm of our own keys.
    pub alg: Alg,
    /// Length of RSA keys, in bits.
    pub rsa_bits: usize,
    /// When they change.
    pub rotation: Policy,
    /// Sets that are published beside our own.
    pub broadcast: Vec<String>,
}

/// Work that the actor and the boot share.
#[derive(Clone)]
pub struct Keys {
    /// Reads and seals.
    pub vault: KeyVault,
    /// How keys are made.
    pub policy: Arc<KeyPolicy>,
    /// Time. The store has its own, which decides.
    pub clock: Arc<dyn Clock>,
    /// The two are known to differ.
    pub apart: Arc<AtomicBool>,
}

impl Keys {
    fn sets(&self) -> Vec<String> {
        let own = [ID_TOKEN_SET, ACCESS_TOKEN_SET].map(str::to_owned);
        let more = self.policy.broadcast.iter().filter(|s| !own.contains(s)).cloned();
        own.iter().cloned().chain(more).collect()
    }

    /// Seals again what an older secret sealed, does what the rules ask for now, and reads the ring. For the boot.
    ///
    /// # Errors
    /// [`KeyError`]; then nothing was changed but perhaps the seals.
    pub async fn turn(&self) -> Result<KeyRing, KeyError> {
        self.reseal().await?;
        self.rule().await
    }

    /// Seals the keys of all sets under the newest secret.
    async fn reseal(&self) -> Result<(), KeyError> {
        let sets = self.vault.store.key_sets().await?;
        let rows = self.vault.store.keys(&sets).await?;
        if rows.iter().any(|row| self.vault.resealed(row).is_some()) {
            let vault = self.vault.clone();
            let decide = move |rows: &[KeyRow], _: Timestamp| {
                rows.iter().filter_map(|row| vault.resealed(row)).map(KeyChange::Put).collect()
            };
            self.vault.store.change_keys(&sets, Box::new(decide)).await?;
        }
        Ok(())
    }

    /// Does what the rules ask for now, and reads the ring.
    async fn rule(&self) -> Result<KeyRing, KeyError> {
        let (sets, ahead) = (self.sets(), self.ahead().await?);
        let mut rows = self.vault.store.keys(&sets).await?;
        for set in [ID_TOKEN_SET, ACCESS_TOKEN_SET] {
            let now = Timestamp::from_micros(self.clock.now().micros().saturating_sub(ahead));
            let due = due(&self.vault, set, &rows, now, &self.policy.rotation);
            if due.is_empty() {
                continue;
            }
            let wants_key = due.iter().any(|s| matches!(s, Step::Create { .. }));
            let fresh = if wants_key { Some(self.generate(set).await?) } else { None };
            let made = fresh.clone();
            let (vault, rotation) = (self.vault.clone(), self.policy.rotation);
            let decide = move |rows: &[KeyRow], now: Timestamp| {
                changes(set, self::due(&vault, set, rows, now, &rotation), now, fresh.clone())
            };
            self.vault.store.change_keys(&[set.to_owned()], Box::new(decide)).await?;
            rows = self.vault.store.keys(&sets).await?;
            // No two seals are alike: it is there only if ours went in, not another replica's.
            if let Some(made) = made.filter(|made| rows.iter().any(|row| row.sealed == made.sealed)) {
                rotated(&made);
            }
        }
        let keys: Vec<_> = rows.into_iter().filter_map(|row| self.vault.open(&row).map(|key| (row, key))).collect();
        let ring = KeyRing::of(&keys, self.clock.now(), ahead);
        self.export(&ring);
        Ok(ring)
    }

    /// By how many microseconds this process's clock is ahead of the store's. The operator hears of more than a second.
    async fn ahead(&self) -> Result<i64, KeyError> {
        let asked = self.clock.now();
        let theirs = self.vault.store.ping().await?;
        let took = self.clock.now().since(asked);
        let ahead = asked.plus(took / 2).micros().saturating_sub(theirs.micros());
        let seconds = ahead as f64 / 1e6;
        self.vault.metrics.clock_ahead(seconds);
        let apart = Duration::from_micros(ahead.unsigned_abs()) > APART + took;
        if apart && !self.apart.swap(apart, Ordering::Relaxed) {
            tracing::warn!(seconds, "this machine's clock is ahead of the database's by so much: set the clocks");
        }
        self.apart.store(apart, Ordering::Relaxed);
        Ok(ahead)
    }

    /// A sealed key made off the event loop: RSA takes a while.
    async fn generate(&self, set: &str) -> Result<KeyRow, KeyError> {
        let (alg, bits, kid) = (self.policy.alg, self.policy.rsa_bits, self.vault.entropy.uuid()?.to_string());
        let made = tokio::task::spawn_blocking(move || generate(alg, bits, kid, "sig")).await;
        let key = made.map_err(|e| KeyError::Internal(e.to_string()))??;
        let now = self.clock.now();
        self.vault.seal(set, &key, now, now)
    }

    fn export(&self, ring: &KeyRing) {
        let now = self.clock.now();
        for (name, label) in [(ID_TOKEN_SET, labels::KeySet::IdToken), (ACCESS_TOKEN_SET, labels::KeySet::AccessToken)]
        {
            self.vault.metrics.jwk_active(label, i64::try_from(ring.metas(name).len()).unwrap_or(i64::MAX));
            if let Some(key) = ring.signer(name, now) {
                let age = ring
                    .metas(name)
                    .iter()
                    .find(|m| m.kid == key.kid())
                    .map_or(Duration::ZERO, |m| now.since(m.created_at));
                self.vault.metrics.jwk_age(label, labels::Alg::from_name(key.alg().as_str()), age.as_secs_f64());
            }
        }
    }
}

fn rotated(key: &KeyRow) {
    let of = || KeyFacts { set: &key.set, kid: &key.kid, alg: &key.alg };
    audit::tell(AuditEvent::KeyRotated, || Facts { key: Some(of()), ..Facts::default() });
}

/// What the rules ask for a set. Only keys that can sign count as signers: a public, symmetric or unreadable key must
/// never pass for a successor, or the real signer would be retired in its favour.
fn due(vault: &KeyVault, set: &str, rows: &[KeyRow], now: Timestamp, policy: &Policy) -> Vec<Step> {
    let of_set: Vec<_> = rows.iter().filter(|row| row.set == set).map(|row| (row, vault.signs(row))).collect();
    let in_use = |wanted: Option<bool>| of_set.iter().any(|(row, signs)| row.retires_at.is_none() && *signs == wanted);
    if in_use(None) && !in_use(Some(true)) {
        // The keys are not gone, this process lacks the secret to open them: a new one would take their place for all.
        return Vec::new();
    }
    let ruled = of_set.iter().filter(|(row, signs)| row.retires_at.is_some() || *signs == Some(true));
    step(&ruled.map(|(row, _)| meta(row)).collect::<Vec<_>>(), now, policy)
}

/// The steps as changes. They are decided again under the lock, where another replica may have been first.
fn changes(set: &str, steps: Vec<Step>, now: Timestamp, mut fresh: Option<KeyRow>) -> Vec<KeyChange> {
    let set_name = || set.to_owned();
    steps
        .into_iter()
        .filter_map(|s| match s {
            Step::Create { activates_at } => {
                fresh.take().map(|row| KeyChange::Put(KeyRow { created_at: now, activates_at, ..row }))
            }
            Step::Retire { kid, at } => Some(KeyChange::Retire { set: set_name(), kid, at }),
            Step::Delete { kid } => Some(KeyChange::Delete { set: set_name(), kid }),
        })
        .collect()
}

/// Make a key in a set; the answer is the private key. A `kid` that the set has already is a conflict: a key in use is
/// never overwritten by making one.
#[derive(Message)]
#[rtype(result = "Result<Jwk, KeyError>")]
pub struct CreateKey {
    /// The set.
    pub set: String,
    /// Its algorithm.
    pub alg: Alg,
    /// Its id.
    pub kid: String,
    /// Its `use`.
    pub use_: String,
}

/// Write keys into a set; with `replace` it holds nothing else afterwards.
#[derive(Message)]
#[rtype(result = "Result<(), KeyError>")]
pub struct PutKeys {
    /// The set.
    pub set: String,
    /// The keys, each with a kid.
    pub keys: Vec<Jwk>,
    /// Delete what was there.
    pub replace: bool,
}

/// Delete one key, or with no `kid` the whole set.
#[derive(Message)]
#[rtype(result = "Result<(), KeyError>")]
pub struct DeleteKeys {
    /// The set.
    pub set: String,
    /// The key.
    pub kid: Option<String>,
}

/// The secrets have changed: seal all keys under the newest.
#[derive(Message)]
#[rtype(result = "Result<(), KeyError>")]
pub struct Reseal;

/// Stop.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Stop;

/// The actor.
pub struct KeyManager {
    keys: Keys,
    ring: watch::Sender<Arc<KeyRing>>,
    feed: Option<broadcast::Receiver<Change>>,
    /// How often a change of ours was published: tells a turn of the clock that it has read too early.
    written: u64,
    /// When keys were last sealed again.
    resealed_at: Timestamp,
    alive: Alive,
}

impl KeyManager {
    /// Publishes into `ring`, which holds what the boot found.
    pub fn new(keys: Keys, ring: watch::Sender<Arc<KeyRing>>, alive: Alive) -> Self {
        let feed = Some(keys.vault.store.changes());
        let resealed_at = keys.clock.now();
        Self { keys, ring, feed, written: 0, resealed_at, alive }
    }

    /// Waits for the feed or the clock, takes a turn, and books the next one.
    fn watch(&self, mut feed: broadcast::Receiver<Change>, ctx: &mut Context<Self>) {
        let wait = async move {
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                () = told(&mut feed) => {}
            }
            feed
        };
        ctx.spawn(wait.into_actor(self).map(|feed, this, ctx| this.look(feed, ctx)));
    }

    /// Takes a turn. What it read is older than what a writer published meanwhile, so then it looks again.
    fn look(&mut self, feed: broadcast::Receiver<Change>, ctx: &mut Context<Self>) {
        let (keys, written, now) = (self.keys.clone(), self.written, self.keys.clock.now());
        let reseal = now.since(self.resealed_at) >= RESEAL;
        if reseal {
            self.resealed_at = now;
        }
        let turn = async move { if reseal { keys.turn().await } else { keys.rule().await } };
        ctx.spawn(turn.into_actor(self).map(move |ring, this, ctx| {
            if this.written == written {
                this.publish(ring);
                this.watch(feed, ctx);
            } else {
                this.look(feed, ctx);
            }
        }));
    }

    /// A turn that failed leaves the old keys in use.
    fn publish(&self, ring: Result<KeyRing, KeyError>) {
        match ring {
            Ok(ring) if ring.is_empty() && !self.ring.borrow().is_empty() => {
                tracing::error!("the keys do not open with this process's secrets; the old ones stay in use");
            }
            Ok(ring) => {
                self.ring.send_replace(Arc::new(ring));
            }
            Err(error) => tracing::warn!(%error, "the keys could not be read; the old ones stay in use"),
        }
    }

    /// Does some work, then takes a turn and publishes, then answers: who asked sees his own change.
    fn then_publish<T: 'static>(
        &self,
        ticket: Ticket,
        span: Span,
        work: impl Future<Output = Result<T, KeyError>> + 'static,
    ) -> AtomicResponse<Self, Result<T, KeyError>> {
        let keys = self.keys.clone();
        let all = async move {
            let done = work.instrument(span).await;
            (done, keys.rule().await)
        };
        AtomicResponse::new(Box::pin(all.into_actor(self).map(|(done, ring), this, _| {
            this.written += 1;
            this.publish(ring);
            drop(ticket);
            done
        })))
    }

    /// When a key written now begins to sign.
    fn begins(set: &str, now: Timestamp) -> Timestamp {
        if [ID_TOKEN_SET, ACCESS_TOKEN_SET].contains(&set) { now.plus(ON_DEMAND_LEAD) } else { now }
    }
}

/// Ends when keys may have changed. A closed feed never ends: the clock goes on.
async fn told(feed: &mut broadcast::Receiver<Change>) {
    loop {
        match feed.recv().await {
            Ok(Change::Client(_)) => {}
            Ok(Change::Keys | Change::All) | Err(broadcast::error::RecvError::Lagged(_)) => return,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Actor for KeyManager {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(feed) = self.feed.take() {
            self.watch(feed, ctx);
        }
    }
}

impl Handler<Admitted<CreateKey>> for KeyManager {
    type Result = AtomicResponse<Self, Result<Jwk, KeyError>>;

    fn handle(&mut self, m: Admitted<CreateKey>, _: &mut Self::Context) -> Self::Result {
        let (vault, now, bits) = (self.keys.vault.clone(), self.keys.clock.now(), self.keys.policy.rsa_bits);
        let (CreateKey { set, alg, kid, use_ }, ticket, span) = m.open();
        self.then_publish(ticket, span, async move {
            let made = tokio::task::spawn_blocking(move || generate(alg, bits, kid, &use_)).await;
            let key = made.map_err(|e| KeyError::Internal(e.to_string()))??;
            let row = vault.seal(&set, &key, now, Self::begins(&set, now))?;
            let (id, mine) = (row.kid.clone(), row.clone());
            let add = move |rows: &[KeyRow], now: Timestamp| {
                let taken = rows.iter().any(|r| r.kid == id);
                if taken { Vec::new() } else { vec![KeyChange::Put(at(row.clone(), now))] }
            };
            let signs_for_us = [ID_TOKEN_SET, ACCESS_TOKEN_SET].contains(&set.as_str());
            let rows = vault.store.change_keys(&[set], Box::new(add)).await?;
            // No two seals are alike, so this row is there only if it was ours that went in.
            if !rows.iter().any(|r| r.sealed == mine.sealed) {
                return Err(StoreError::Conflict.into());
            }
            if signs_for_us {
                rotated(&mine);
            }
            Ok(key)
        })
    }
}

/// A row moved to the store's own present; its lead stays.
fn at(row: KeyRow, now: Timestamp) -> KeyRow {
    let lead = row.activates_at.since(row.created_at);
    KeyRow { created_at: now, activates_at: now.plus(lead), ..row }
}

/// When this very key was to begin, if the set has it already: replicas publish it, so it need not wait again, and a set
/// that is put back with one more key goes on signing as before.
fn known_since(vault: &KeyVault, found: &[KeyRow], key: &Jwk) -> Option<Timestamp> {
    let row = found.iter().find(|row| Some(row.kid.as_str()) == key.kid())?;
    let same = vault.open(row)?.thumbprint() == key.thumbprint();
    same.then_some(row.activates_at)
}

impl Handler<Admitted<PutKeys>> for KeyManager {
    type Result = AtomicResponse<Self, Result<(), KeyError>>;

    fn handle(&mut self, m: Admitted<PutKeys>, _: &mut Self::Context) -> Self::Result {
        let (vault, now) = (self.keys.vault.clone(), self.keys.clock.now());
        let (PutKeys { set, keys, replace }, ticket, span) = m.open();
        self.then_publish(ticket, span, async move {
            let begins = Self::begins(&set, now);
            let rows = keys.iter().map(|k| vault.seal(&set, k, now, begins)).collect::<Result<Vec<_>, _>>()?;
            let gone = replace.then(|| KeyChange::DeleteSet { set: set.clone() });
            let opener = vault.clone();
            // The first key of a list is the newest: one microsecond apart keeps the order.
            let put = move |found: &[KeyRow], now: Timestamp| {
                let dated = rows.iter().cloned().zip(&keys).rev().zip(0..).map(|((row, key), i)| {
                    let row = at(row, now.plus(Duration::from_micros(i)));
                    let activates_at =
                        known_since(&opener, found, key).map_or(row.activates_at, |was| was.min(row.activates_at));
                    KeyRow { activates_at, ..row }
                });
                gone.iter().cloned().chain(dated.map(KeyChange::Put)).collect()
            };
            vault.store.change_keys(&[set], Box::new(put)).await?;
            Ok(())
        })
    }
}

impl Handler<Admitted<DeleteKeys>> for KeyManager {
    type Result = AtomicResponse<Self, Result<(), KeyError>>;

    fn handle(&mut self, m: Admitted<DeleteKeys>, _: &mut Self::Context) -> Self::Result {
        let vault = self.keys.vault.clone();
        let (DeleteKeys { set, kid }, ticket, span) = m.open();
        self.then_publish(ticket, span, async move {
            let change = match kid {
                Some(kid) => KeyChange::Delete { set: set.clone(), kid },
                None => KeyChange::DeleteSet { set: set.clone() },
            };
            vault.store.change_keys(&[set], Box::new(move |_, _| vec![change.clone()])).await?;
            Ok(())
        })
    }
}

impl Handler<Admitted<Reseal>> for KeyManager {
    type Result = AtomicResponse<Self, Result<(), KeyError>>;

    fn handle(&mut self, m: Admitted<Reseal>, _: &mut Self::Context) -> Self::Result {
        let keys = self.keys.clone();
        self.resealed_at = keys.clock.now();
        let (_, ticket, span) = m.open();
        self.then_publish(ticket, span, async move { keys.reseal().await })
    }
}

impl Handler<Admitted<Stop>> for KeyManager {
    type Result = ();

    fn handle(&mut self, _: Admitted<Stop>, ctx: &mut Self::Context) {
        self.alive.farewell();
        ctx.stop();
    }
}

#[cfg(test)]
mod tests;
