//! Listening to the other replicas, and knowing whether one still hears: only who hears may tell what Redis keeps.

use super::Shared;
use super::news::News;
use super::value::SKEW;
use crate::domain::world::Timestamp;
use crate::telemetry::labels::NewsPath;
use futures_util::StreamExt;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Time between canaries.
const BEAT: Duration = Duration::from_secs(1);
/// Without one's own canary for so long, nothing is heard.
const DEAF: Duration = Duration::from_secs(3);
/// How long a peer that was heard is asked to answer.
const PEER: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);
/// How long a subscription may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A moment that has not come.
const NEVER: u64 = u64::MAX;

/// What this replica hears.
pub(super) struct Ear {
    id: u64,
    began: Instant,
    /// Milliseconds after `began` since when everything was heard; [`NEVER`] while nothing is.
    since: AtomicU64,
    /// Milliseconds after `began` when the last canary came back.
    heard: AtomicU64,
    /// Milliseconds after `began` until when a peer's clock is known to be ahead of ours.
    skewed_until: AtomicU64,
    canary: Mutex<(u64, Instant)>,
    peers: Mutex<HashMap<u64, Instant>>,
}

impl Ear {
    pub(super) fn new(id: u64) -> Self {
        let began = Instant::now();
        let (since, heard) = (AtomicU64::new(NEVER), AtomicU64::new(0));
        let skewed_until = AtomicU64::new(0);
        Self { id, began, since, heard, skewed_until, canary: Mutex::new((0, began)), peers: Mutex::default() }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(NEVER)
    }

    /// Whether all news of the last `span` were heard, as far as anybody can know.
    pub(super) fn has_heard_for(&self, span: Duration) -> bool {
        let now = self.now();
        if self.is_deaf(now) || self.skewed_until.load(Ordering::Acquire) > now {
            return false;
        }
        let since = self.since.load(Ordering::Acquire);
        since != NEVER && now.saturating_sub(since) >= millis(span)
    }

    fn is_deaf(&self, now: u64) -> bool {
        now.saturating_sub(self.heard.load(Ordering::Acquire)) > millis(DEAF)
    }

    /// One's own canary came back: after a silence, hearing begins anew.
    fn heard_itself(&self) {
        let now = self.now();
        if self.since.load(Ordering::Acquire) == NEVER || self.is_deaf(now) {
            self.since.store(now, Ordering::Release);
        }
        self.heard.store(now, Ordering::Release);
    }

    /// A peer whose clock is ahead of ours writes answers that seem fresh for too long.
    fn judge_clock(&self, theirs: Timestamp, ours: Timestamp) {
        if theirs > ours.plus(SKEW) {
            let now = self.now();
            if self.skewed_until.swap(now.saturating_add(millis(PEER)), Ordering::AcqRel) <= now {
                let ahead = theirs.since(ours);
                tracing::warn!(
                    ?ahead,
                    "a replica's clock is ahead: introspections are not cached here; set the clocks"
                );
            }
        }
    }

    fn lost(&self) {
        self.since.store(NEVER, Ordering::Release);
    }

    /// The next canary; it asks each peer in turn.
    fn next_canary(&self, clock: Timestamp) -> News {
        let mut canary = self.canary.lock().unwrap_or_else(PoisonError::into_inner);
        *canary = (canary.0 + 1, Instant::now());
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.retain(|_, heard| heard.elapsed() < PEER);
        let mut ids: Vec<u64> = peers.keys().copied().collect();
        ids.sort_unstable();
        let turn = usize::try_from(canary.0).unwrap_or_default().checked_rem(ids.len());
        let ask = turn.and_then(|turn| ids.get(turn).copied()).unwrap_or_default();
        News::Canary { from: self.id, number: canary.0, ask, clock }
    }

    /// How long ago that canary was sent, if it is the last one.
    fn age(&self, number: u64) -> Option<f64> {
        let canary = self.canary.lock().unwrap_or_else(PoisonError::into_inner);
        (canary.0 == number).then(|| canary.1.elapsed().as_secs_f64())
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(NEVER)
}

/// Sends a canary every second, for ever.
pub(super) async fn sing(shared: &Shared) {
    loop {
        let _ = shared.tell(&shared.ear.next_canary(shared.clock.now())).await;
        tokio::time::sleep(BEAT).await;
    }
}

/// Listens for ever. While nothing is heard, nothing that Redis keeps is told.
pub(super) async fn listen(shared: &Shared) {
    for attempt in 0.. {
        if let Err(fault) = hear(shared, attempt).await {
            tracing::debug!(%fault, "nothing is heard from Redis");
        }
        shared.ear.lost();
        shared.forget();
        tokio::time::sleep(PAUSE).await;
    }
}

async fn hear(shared: &Shared, attempt: usize) -> Result<(), redis::RedisError> {
    let late = || redis::RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
    let subscribe = async {
        let mut channel = shared.link.address().client(attempt).await?.get_async_pubsub().await?;
        channel.subscribe(shared.channel()).await?;
        redis::RedisResult::Ok(channel)
    };
    let mut channel = tokio::time::timeout(PATIENCE, subscribe).await.map_err(|_| late())??;
    let mut messages = channel.on_message();
    loop {
        let message = tokio::time::timeout(DEAF, messages.next()).await.map_err(|_| late())?;
        let Some(message) = message else { return Ok(()) };
        heard(shared, message.get_payload_bytes());
    }
}

/// Takes one message. Nothing is waited for here: the next one may be news.
fn heard(shared: &Shared, message: &[u8]) {
    match News::read(&shared.macs, message) {
        Some(News::Ended(all)) => shared.remember(&all),
        Some(News::Canary { from, number, .. }) if from == shared.ear.id => {
            // Only the last one: who hears an older one hears everything too late.
            if let Some(age) = shared.ear.age(number) {
                shared.ear.heard_itself();
                shared.lag(NewsPath::Own, Some(age));
            }
        }
        Some(News::Canary { from, number, ask, clock }) => {
            shared.ear.judge_clock(clock, shared.clock.now());
            shared.ear.peers.lock().unwrap_or_else(PoisonError::into_inner).insert(from, Instant::now());
            if ask == shared.ear.id {
                let _ = shared.echoes.try_send(News::Echo { to: from, number });
            }
        }
        Some(News::Echo { to, number }) if to == shared.ear.id => {
            shared.lag(NewsPath::Peer, shared.ear.age(number));
        }
        Some(News::Echo { .. }) => {}
        Some(News::Unknown) => shared.remember_anything(),
        None => tracing::debug!("a message that no replica sent"),
    }
}

/// Answers the canaries that ask this replica, for ever.
pub(super) async fn answer(shared: &Shared, mut echoes: mpsc::Receiver<News>) {
    while let Some(echo) = echoes.recv().await {
        let _ = shared.tell(&echo).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hearing_begins_with_ones_own_canary_and_ends_when_it_is_lost() {
        let ear = Ear::new(1);
        assert!(!ear.has_heard_for(Duration::ZERO));
        ear.heard_itself();
        assert!(ear.has_heard_for(Duration::ZERO) && !ear.has_heard_for(Duration::from_secs(60)));
        let second = Timestamp::from_secs;
        ear.judge_clock(second(1001), second(1000));
        assert!(ear.has_heard_for(Duration::ZERO), "so much may differ");
        ear.judge_clock(second(1003), second(1000));
        assert!(!ear.has_heard_for(Duration::ZERO), "a peer's clock is ahead");
        ear.skewed_until.store(0, Ordering::Release);
        ear.lost();
        assert!(!ear.has_heard_for(Duration::ZERO));
    }

    #[test]
    fn canaries_are_numbered_and_ask_each_peer_in_turn() {
        let (ear, clock) = (Ear::new(1), Timestamp::from_secs(1000));
        assert_eq!(ear.next_canary(clock), News::Canary { from: 1, number: 1, ask: 0, clock });
        for peer in [8, 9] {
            if let Ok(mut peers) = ear.peers.lock() {
                peers.insert(peer, Instant::now());
            }
        }
        let asked = [ear.next_canary(clock), ear.next_canary(clock)];
        let expected = [8, 9].map(|ask| News::Canary { from: 1, number: if ask == 8 { 2 } else { 3 }, ask, clock });
        assert_eq!(asked, expected);
        assert!(ear.age(3).is_some() && ear.age(2).is_none());
    }
}
