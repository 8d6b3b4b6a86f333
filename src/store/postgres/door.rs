//! The way to the pool's connections, which are shut out, thrown away and made anew here.
//!
//! Invariant: a PostgreSQL that lets nobody in is not run over by those who try, and what is known to be of no use is
//! handed to nobody.

use super::tries::jittered;
use super::{Core, WAIT, faults};
use crate::store::{StoreError, deadline};
use deadpool_postgres::{Hook, HookError, Object, PoolError, TimeoutType, Timeouts};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The longest pause after an attempt to connect that failed.
const PAUSE: Duration = Duration::from_millis(150);
/// How often a caller looks whether a connection has come back.
const LOOK: Duration = Duration::from_millis(5);
/// How often all connections may be thrown away.
const RENEWAL: Duration = Duration::from_secs(1);

/// What is known about connecting.
#[derive(Default)]
pub(super) struct Door {
    /// Until when nobody tries, and why.
    shut: Mutex<Option<(Instant, String)>>,
    /// Connections of before are of no use.
    renewed: Mutex<Option<Instant>>,
    renewal: Notify,
}

impl Door {
    fn last_failed(&self) -> bool {
        self.shut.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Why not to try now. When a pause is over one caller may, and the others wait for how it goes.
    fn shut(&self) -> Option<String> {
        let mut shut = self.shut.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, why) = shut.as_mut()?;
        if Instant::now() < *until {
            return Some(why.clone());
        }
        *until = Instant::now() + jittered(PAUSE);
        None
    }

    fn failed(&self, why: &StoreError) {
        let why = if let StoreError::Unavailable(why) = why { why.clone() } else { why.to_string() };
        let until = Instant::now() + jittered(PAUSE);
        *self.shut.lock().unwrap_or_else(PoisonError::into_inner) = Some((until, why));
    }

    fn connected(&self) {
        *self.shut.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// From now on connections of before are of no use; not too often, for that may be how it stays.
    fn renew(&self) {
        let mut renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        if renewed.is_none_or(|at| at.elapsed() >= RENEWAL) {
            *renewed = Some(Instant::now());
            self.renewal.notify_waiters();
        }
    }

    /// Waits until connections of before are of no use.
    pub(super) async fn renewed(&self) {
        self.renewal.notified().await;
    }

    /// Hands out no connection that is of no use.
    pub(super) fn hook(self: &Arc<Self>) -> Hook {
        let door = Arc::clone(self);
        Hook::sync_fn(move |_, metrics| {
            let renewed = *door.renewed.lock().unwrap_or_else(PoisonError::into_inner);
            let stale = renewed.is_some_and(|at| metrics.created < at);
            if stale { Err(HookError::message("the connection is to another server than today's")) } else { Ok(()) }
        })
    }
}

impl Core {
    /// A connection for one verb.
    pub(super) async fn connection(&self) -> Result<Object, StoreError> {
        let until = Instant::now() + deadline::left(WAIT);
        loop {
            self.make_do(until).await?;
            let wait = until.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return Err(StoreError::Unavailable("there was no time left to wait for a connection".to_owned()));
            }
            let timeouts = Timeouts { wait: Some(wait), ..self.pool.timeouts() };
            match self.pool.timeout_get(&timeouts).await {
                Ok(conn) => {
                    if Object::metrics(&conn).recycle_count == 0 {
                        self.door.connected();
                    }
                    return Ok(conn);
                }
                Err(fault) => {
                    let failed = matches!(fault, PoolError::Backend(_) | PoolError::Timeout(TimeoutType::Create));
                    let error = faults::pool_error(fault);
                    if !failed {
                        return Err(error);
                    }
                    self.door.failed(&error);
                }
            }
        }
    }

    /// When connecting has just failed, those connections that there are must do.
    async fn make_do(&self, until: Instant) -> Result<(), StoreError> {
        while self.door.last_failed() {
            let pool = self.pool.status();
            if pool.available > 0 {
                break;
            }
            let Some(why) = self.door.shut() else { break };
            if pool.size == 0 || Instant::now() >= until {
                return Err(StoreError::Unavailable(why));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// A connection that did not answer in time. Whatever it was doing, nobody knows: the next caller must not get it,
    /// nor any of those from which nothing was heard since, for the network may have lost them all.
    pub(super) fn was_silent(&self, conn: Object) {
        drop(Object::take(conn));
        self.pool.retain(|_, metrics| metrics.last_used() < self.deadline);
    }

    /// A server that only reads: after a failover the writing one may be elsewhere, and what is read here is old.
    pub(super) fn only_reads(&self) {
        self.door.renew();
    }
}
