//! Hot introspection answers: in this process, then in Redis, else in the database. It may make us slower, never wrong.
//!
//! The one rule that everything rests on: an answer is told for at most `staleness` after the database was asked for it.
//! All else makes the usual case better than that. What ends a token is told to all replicas at once (`news`), and each
//! remembers what ended for as long as an older answer may be told (`ended`). A tombstone lies under a revoked token's
//! own key, and a fill writes only where nothing is, so that no late answer covers it. Who does not hear the news
//! (`ear`) tells nothing. Whatever cannot be read, verified or had in time is a read of the database.

mod address;
mod ear;
mod ended;
mod link;
mod local;
mod news;
mod survey;
mod value;

pub use address::FORMS;
pub use ended::Ended;
pub use survey::{RedisSurvey, survey};
pub use value::Answer;

use super::io::IoRuntime;
use super::{AccessKey, FlowVerdict, FlowWrite, OpenError, Revoked, Verdict, Write};
use crate::crypto::seal::{MacRing, Sealer};
use crate::domain::world::{Clock, Entropy, Timestamp};
use crate::telemetry::labels::{CacheAnswer, NewsPath};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces;
use address::Address;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ear::Ear;
use ended::Lately;
use link::{Doubt, Link};
use local::Local;
use news::News;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tracing::{Instrument, Span};
use value::{Kept, SKEW};

/// Beyond the staleness, for clocks that differ and messages under way.
const MARGIN: Duration = Duration::from_secs(2);
/// Fills that may wait; more are dropped.
const FILLS: usize = 4096;
/// News that may wait to be told again, and the pause between attempts.
const UNTOLD: usize = 1024;
const AGAIN: Duration = Duration::from_millis(100);
/// Canaries that may wait for their answer; each replica asks one peer a second.
const ECHOES: usize = 64;
/// Fills sent together.
const FILLS_AT_ONCE: usize = 64;

/// How to open the cache.
pub struct CacheOptions {
    /// One of [`FORMS`].
    pub url: String,
    /// What every key and channel begins with.
    pub prefix: String,
    /// How long Redis may take for one answer.
    pub timeout: Duration,
    /// How old an answer may be. Zero: none is kept.
    pub staleness: Duration,
    /// Answers kept in this process; nought for none.
    pub local_entries: usize,
    /// Seals what is kept.
    pub sealer: Sealer,
    /// Signs what replicas tell each other.
    pub macs: MacRing,
    /// Random bytes.
    pub entropy: Arc<dyn Entropy>,
    /// This replica among the others: any number but 0, another one each time.
    pub id: u64,
    /// The present moment.
    pub clock: Arc<dyn Clock>,
    /// Where hits and faults are counted.
    pub metrics: Arc<Metrics>,
}

/// What the tasks of the cache share with it.
struct Shared {
    link: Link,
    ear: Ear,
    lately: Lately,
    local: Option<Local>,
    sealer: Sealer,
    macs: MacRing,
    entropy: Arc<dyn Entropy>,
    /// News that could not be told yet.
    untold: mpsc::Sender<(Vec<Ended>, Instant)>,
    /// Answers to peers' canaries.
    echoes: mpsc::Sender<News>,
    prefix: String,
    staleness: Duration,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

/// The cache.
pub struct IntrospectionCache {
    shared: Arc<Shared>,
    fills: mpsc::Sender<(AccessKey, Arc<Answer>)>,
    io: IoRuntime,
}

impl IntrospectionCache {
    /// Starts connecting; a Redis that is away is no error.
    ///
    /// # Errors
    /// [`OpenError`] for a URL that makes no sense.
    pub fn open(options: CacheOptions) -> Result<Arc<Self>, OpenError> {
        let io = IoRuntime::start("cache-io", 1)?;
        let ((untold, late), (echoes, asked)) = (mpsc::channel(UNTOLD), mpsc::channel(ECHOES));
        let shared = Arc::new(Shared {
            link: Link::new(Address::parse(&options.url)?, options.timeout, Arc::clone(&options.metrics)),
            ear: Ear::new(options.id),
            lately: Lately::default(),
            local: Local::of(options.local_entries),
            sealer: options.sealer,
            macs: options.macs,
            entropy: options.entropy,
            untold,
            echoes,
            prefix: options.prefix,
            staleness: options.staleness,
            clock: options.clock,
            metrics: options.metrics,
        });
        let (fills, waiting) = mpsc::channel(FILLS);
        let each = || Arc::clone(&shared);
        let (linked, listening, singing, answering) = (each(), each(), each(), each());
        let (filling, telling) = (each(), each());
        io.keep(async move { linked.link.keep().await });
        io.keep(async move { ear::listen(&listening).await });
        io.keep(async move { ear::sing(&singing).await });
        io.keep(async move { ear::answer(&answering, asked).await });
        io.keep(async move { fill(&filling, waiting).await });
        io.keep(async move { tell_late(&telling, late).await });
        Ok(Arc::new(Self { shared, fills, io }))
    }

    /// The answer for the access token of that key, and whether it was in this process.
    ///
    /// # Errors
    /// Why there is none: ask the database.
    pub async fn get(&self, key: &AccessKey) -> Result<(Arc<Answer>, bool), CacheAnswer> {
        let shared = &self.shared;
        if !shared.may_tell() {
            shared.metrics.cache_answer(CacheAnswer::Bypassed);
            return Err(CacheAnswer::Bypassed);
        }
        if let Some(answer) = shared.at_hand(key) {
            shared.metrics.cache_answer(CacheAnswer::Local);
            return Ok((answer, true));
        }
        let found = shared.in_redis(key).await;
        shared.metrics.cache_answer(found.as_ref().err().copied().unwrap_or(CacheAnswer::Redis));
        let answer = found?;
        shared.keep_at_hand(key, &answer);
        Ok((answer, false))
    }

    /// The database knows no such token, and what Redis has could not be looked at: should it be an answer from before, it
    /// is not told here by and by.
    pub fn is_over(&self, key: &AccessKey) {
        self.shared.remember(&[Ended::Token(*key)]);
    }

    /// Keeps what the database said, unless something else is kept.
    pub fn fill(&self, key: &AccessKey, answer: Arc<Answer>) {
        let shared = &self.shared;
        if shared.may_tell() {
            shared.keep_at_hand(key, &answer);
            let _ = self.fills.try_send((*key, answer));
        }
    }

    /// Tells all replicas what ended. It is durable already: when nobody can be told, answers from before are told for
    /// `staleness` at most. Who is told does not depend on whether the caller waits.
    pub async fn ended(&self, all: Vec<Ended>) {
        if all.is_empty() || self.shared.staleness.is_zero() {
            return;
        }
        self.shared.remember(&all);
        let shared = Arc::clone(&self.shared);
        let tell = async move {
            if shared.bury(&all).await.is_err() {
                shared.metrics.cache_invalidation_failed();
                let _ = shared.untold.try_send((all, Instant::now() + shared.staleness));
            }
        };
        let span = if traces::inside_a_span() { Span::current() } else { Span::none() };
        let _ = self.io.handle().spawn(tell.instrument(span)).await;
    }

    /// Ends the tasks and the connection.
    pub fn close(&self) {
        self.io.close();
    }
}

impl Shared {
    /// Whether anything that is kept may be told: only by who has heard the news for as long as it can be old.
    fn may_tell(&self) -> bool {
        !self.staleness.is_zero() && self.ear.has_heard_for(self.staleness + SKEW)
    }

    fn holds(&self, key: &AccessKey, answer: &Answer) -> bool {
        answer.left(self.clock.now(), self.staleness).is_some() && !self.lately.covers(key, answer, Instant::now())
    }

    fn keep_at_hand(&self, key: &AccessKey, answer: &Arc<Answer>) {
        if let (Some(local), Some(left)) = (&self.local, answer.left(self.clock.now(), self.staleness)) {
            local.put(*key, Arc::clone(answer), left);
        }
    }

    fn at_hand(&self, key: &AccessKey) -> Option<Arc<Answer>> {
        let local = self.local.as_ref()?;
        let answer = local.get(key)?;
        if self.holds(key, &answer) {
            return Some(answer);
        }
        local.remove(key);
        None
    }

    async fn in_redis(&self, key: &AccessKey) -> Result<Arc<Answer>, CacheAnswer> {
        let bytes = match self.link.get(self.name(key).as_bytes()).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(CacheAnswer::Miss),
            Err(Doubt) => return Err(CacheAnswer::Fault),
        };
        match value::read(&self.sealer, key, &bytes) {
            Some(Kept::Active(answer)) if self.holds(key, &answer) => Ok(answer),
            Some(Kept::Active(_)) => Err(CacheAnswer::Old),
            Some(Kept::Ended) => Err(CacheAnswer::Tombstone),
            None => Err(CacheAnswer::Forged),
        }
    }

    fn name(&self, key: &AccessKey) -> String {
        let mut name = String::with_capacity(self.prefix.len() + 46);
        name.push_str(&self.prefix);
        name.push_str(":t:");
        URL_SAFE_NO_PAD.encode_string(key, &mut name);
        name
    }

    fn channel(&self) -> String {
        format!("{}:news", self.prefix)
    }

    fn publish(&self, news: &News) -> Vec<redis::Cmd> {
        let publish = |message| {
            let mut publish = redis::cmd("PUBLISH");
            publish.arg(self.channel()).arg(message);
            publish
        };
        news.write(&self.macs).into_iter().map(publish).collect()
    }

    async fn tell(&self, news: &News) -> Result<(), Doubt> {
        self.link.send("PUBLISH", self.publish(news)).await
    }

    /// Until when an answer from before this moment may be told somewhere.
    fn until(&self) -> Instant {
        Instant::now() + self.staleness + MARGIN
    }

    fn remember_anything(&self) {
        self.lately.add_all(self.until());
    }

    /// Remembers what ended for as long as an answer from before may be told.
    fn remember(&self, all: &[Ended]) {
        if let Some(local) = &self.local {
            for ended in all {
                if let Ended::Token(key) = ended {
                    local.remove(key);
                }
            }
        }
        self.lately.add(all, Instant::now(), self.until());
    }

    fn forget(&self) {
        if let Some(local) = &self.local {
            local.clear();
        }
    }

    /// Tombstones first, so that who has heard finds them.
    async fn bury(&self, all: &[Ended]) -> Result<(), Doubt> {
        let kept = u64::try_from((self.staleness + MARGIN).as_millis()).unwrap_or(u64::MAX);
        let tokens = all.iter().filter_map(|ended| if let Ended::Token(key) = ended { Some(key) } else { None });
        let mut commands: Vec<redis::Cmd> = tokens
            .filter_map(|key| {
                let mut set = redis::cmd("SET");
                let tombstone = value::tombstone(&self.sealer, &self.entropy.bytes().ok()?, key)?;
                set.arg(self.name(key)).arg(tombstone).arg("PX").arg(kept);
                Some(set)
            })
            .collect();
        let summary = if commands.is_empty() { "PUBLISH" } else { "SET PUBLISH" };
        commands.extend(self.publish(&News::Ended(all.to_vec())));
        self.link.send(summary, commands).await
    }

    /// The command that keeps an answer while it is fresh, if nothing is there.
    fn keep(&self, key: &AccessKey, answer: &Answer, now: Timestamp) -> Option<redis::Cmd> {
        let left = u64::try_from(answer.left(now, self.staleness)?.as_millis()).ok().filter(|left| *left > 0)?;
        if self.lately.covers(key, answer, Instant::now()) {
            return None;
        }
        let value = value::active(&self.sealer, &self.entropy.bytes().ok()?, key, answer)?;
        let mut set = redis::cmd("SET");
        set.arg(self.name(key)).arg(value).arg("NX").arg("PX").arg(left);
        Some(set)
    }

    fn lag(&self, path: NewsPath, seconds: Option<f64>) {
        if let Some(seconds) = seconds {
            self.metrics.cache_news_lag(path, seconds);
        }
    }
}

/// Sends fills, many together, for ever.
async fn fill(shared: &Shared, mut waiting: mpsc::Receiver<(AccessKey, Arc<Answer>)>) {
    let mut all = Vec::with_capacity(FILLS_AT_ONCE);
    while waiting.recv_many(&mut all, FILLS_AT_ONCE).await > 0 {
        let now = shared.clock.now();
        let commands: Vec<_> = all.drain(..).filter_map(|(key, answer)| shared.keep(&key, &answer, now)).collect();
        if !commands.is_empty() {
            let _ = shared.link.send("SET", commands).await;
        }
    }
}

/// Tells what could not be told at once, until it is of no use any more, for ever.
async fn tell_late(shared: &Shared, mut late: mpsc::Receiver<(Vec<Ended>, Instant)>) {
    while let Some((all, until)) = late.recv().await {
        while Instant::now() < until && shared.bury(&all).await.is_err() {
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// What a batch of token writes ended. Without verdicts nobody knows what was committed: then all that may have.
pub(super) fn ended_by_tokens(writes: &[Write], verdicts: Option<&[Verdict]>) -> Vec<Ended> {
    let mut all = Vec::new();
    for (at, write) in writes.iter().enumerate() {
        let verdict = verdicts.and_then(|verdicts| verdicts.get(at));
        let done = verdict.is_none_or(|verdict| matches!(verdict, Verdict::Done | Verdict::Revoked(_)));
        match write {
            Write::Revoke(order) if done => {
                if let Revoked::Access(key) = order.token {
                    all.push(Ended::Token(key));
                }
                if let Some(Verdict::Revoked(Some(id))) = verdict {
                    all.push(Ended::Family { id: *id, but: None });
                }
            }
            Write::RevokeFamily(id) => all.push(Ended::Family { id: *id, but: None }),
            Write::Rotate(order) if done => {
                all.push(Ended::Family { id: order.access.family_id, but: Some(order.access.signature) });
            }
            _ => {}
        }
    }
    all
}

/// The same of flows: a logout ends what was issued in its session, whatever else the subject keeps.
pub(super) fn ended_by_flows(writes: &[FlowWrite], verdicts: Option<&[FlowVerdict]>) -> Vec<Ended> {
    let done = |at| verdicts.is_none_or(|verdicts| verdicts.get(at) == Some(&FlowVerdict::Done));
    let ended = writes.iter().enumerate().filter_map(|(at, write)| match write {
        FlowWrite::Logout(order) if order.revoke_tokens && done(at) => {
            Some(Ended::Subject { subject: order.subject.clone(), client_id: None })
        }
        _ => None,
    });
    ended.collect()
}
