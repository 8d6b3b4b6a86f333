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

/// The longest pause after an attempt to connect that failed.
const PAUSE: Duration = Duration::from_millis(150);
/// How often a caller looks whether a connection has come back.
const LOOK: Duration = Duration::from_millis(5);
/// How often one who holds a connection looks whether it is still of use.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How often all connections may be thrown away.
const RENEWAL: Duration = Duration::from_secs(1);

/// What is known about connecting.
#[derive(Default)]
pub(super) struct Door {
    /// Until when nobody tries, and why.
    shut: Mutex<Option<(Instant, String)>>,
    renewal: Mutex<Renewal>,
}

/// Connections of before `last` are of no use, and from `due` on those of before that.
#[derive(Default)]
struct Renewal {
    last: Option<Instant>,
    due: Option<Instant>,
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

    /// A connection of that age is of no use, so those of before it are none: from now on, or, as it may stay like that,
    /// from the next time that is due.
    fn renew(&self, created: Instant) {
        if self.is_stale(created) {
            return;
        }
        let (now, mut renewal) = (Instant::now(), self.renewal.lock().unwrap_or_else(PoisonError::into_inner));
        match renewal.last.map(|at| at + RENEWAL).filter(|next| *next > now) {
            Some(next) => renewal.due = Some(next),
            None => renewal.last = Some(now),
        }
    }

    fn is_stale(&self, created: Instant) -> bool {
        let mut renewal = self.renewal.lock().unwrap_or_else(PoisonError::into_inner);
        if renewal.due.is_some_and(|due| due <= Instant::now()) {
            renewal.last = renewal.due.take();
        }
        renewal.last.is_some_and(|at| created < at)
    }

    /// Waits until a connection of that age is of no use.
    pub(super) async fn renewed(&self, created: Instant) {
        while !self.is_stale(created) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Hands out no connection that is of no use.
    pub(super) fn hook(self: &Arc<Self>) -> Hook {
        let door = Arc::clone(self);
        Hook::sync_fn(move |_, metrics| {
            let stale = door.is_stale(metrics.created);
            if stale { Err(HookError::message("the connection may be to another server than today's")) } else { Ok(()) }
        })
    }
}

impl Core {
    /// A connection for one verb.
    pub(super) async fn connection(&self) -> Result<Object, StoreError> {
        let began = Instant::now();
        let outcome = self.connection_until(began + deadline::left(WAIT)).await;
        self.metrics.db_connection_waited(began.elapsed().as_secs_f64());
        outcome
    }

    async fn connection_until(&self, until: Instant) -> Result<Object, StoreError> {
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
    pub(super) fn only_reads(&self, conn: &Object) {
        self.door.renew(Object::metrics(conn).created);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_renewed_too_soon_is_renewed_when_it_is_due() {
        let (door, first) = (Door::default(), Instant::now());
        assert!(!door.is_stale(first));
        door.renew(first);
        assert!(door.is_stale(first));
        let second = Instant::now();
        door.renew(first);
        door.renew(second);
        assert!(door.is_stale(first) && !door.is_stale(second), "not yet");
        std::thread::sleep(RENEWAL);
        assert!(door.is_stale(second) && !door.is_stale(Instant::now()));
        door.renew(second);
        assert!(door.is_stale(second), "what is known changes nothing");
    }

    #[test]
    fn after_a_failure_one_tries_and_the_others_hear_why() {
        let door = Door::default();
        assert!(door.shut().is_none() && !door.last_failed());
        door.failed(&StoreError::Unavailable("full".to_owned()));
        assert_eq!(door.shut().as_deref(), Some("full"));
        std::thread::sleep(PAUSE);
        assert!(door.shut().is_none(), "one may try");
        assert_eq!(door.shut().as_deref(), Some("full"), "and no other");
        door.connected();
        assert!(door.shut().is_none() && !door.last_failed());
    }
}
