//! The way to Redis: one connection for all, its own runtime, little patience, and breakers that spare a dead server.
//!
//! Invariant: nobody waits here longer than the timeout, and while a breaker is open nobody waits for its server at all. A
//! cluster has a breaker for each part of its slots, so that a dead member is neither hidden by the others nor takes them
//! with it.

use super::address::Address;
use crate::store::deadline;
use crate::telemetry::labels::CacheFault;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces;
use arc_swap::ArcSwapOption;
use futures_util::FutureExt;
use redis::aio::MultiplexedConnection;
use redis::cluster_async::ClusterConnection;
use redis::{Arg, AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tracing::{Instrument, Span, debug_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Failures in a row that open the breaker.
const FAILURES: u32 = 5;
/// How long an open breaker lets nobody through; then one may try.
const OPEN: Duration = Duration::from_secs(1);
/// How long one server may take to be connected to, and all that are asked in turn (sentinels, members of a cluster).
const CONNECT: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);
/// A connection that lived so long was a good one.
const STEADY: Duration = Duration::from_secs(10);
/// Slots of a cluster, and how many of them share a breaker: a member has ranges of adjacent ones.
const SLOTS: u16 = 16_384;
const PART: u16 = 256;
/// Pauses between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

#[derive(Clone)]
enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    async fn ask<T: FromRedisValue>(self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::One(mut one) => command.query_async(&mut one).await,
            Self::Cluster(mut all) => command.query_async(&mut all).await,
        }
    }
}

/// Redis did not answer, or not in time, or nonsense: the database knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt;

/// The way to Redis.
pub(super) struct Link {
    address: Address,
    timeout: Duration,
    current: ArcSwapOption<Connection>,
    broken: Notify,
    /// One for each part of a cluster's slots; a single server has one.
    breakers: Vec<Breaker>,
    metrics: Arc<Metrics>,
}

impl Link {
    pub(super) fn new(address: Address, timeout: Duration, metrics: Arc<Metrics>) -> Self {
        let (current, broken) = (ArcSwapOption::empty(), Notify::new());
        let parts = if address.is_cluster() { SLOTS / PART } else { 1 };
        let breakers = (0..parts).map(|_| Breaker::new()).collect();
        Self { address, timeout, current, broken, breakers, metrics }
    }

    pub(super) const fn address(&self) -> &Address {
        &self.address
    }

    /// Keeps a connection for ever.
    pub(super) async fn keep(&self) {
        let mut pause = FIRST_PAUSE;
        loop {
            match tokio::time::timeout(PATIENCE, self.connect()).await {
                Ok(Ok(connection)) => {
                    let since = Instant::now();
                    // What was said of the connection before is not said of this one.
                    let _ = self.broken.notified().now_or_never();
                    self.current.store(Some(Arc::new(connection)));
                    self.broken.notified().await;
                    // What is left of a cluster serves until it is connected to anew.
                    if !self.address.is_cluster() {
                        self.current.store(None);
                    }
                    if since.elapsed() > STEADY {
                        pause = FIRST_PAUSE;
                    }
                }
                Ok(Err(fault)) => tracing::debug!(%fault, "no connection to Redis"),
                Err(_) => tracing::debug!("no connection to Redis in time"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn connect(&self) -> RedisResult<Connection> {
        if let Some(cluster) = self.address.cluster(CONNECT) {
            return Ok(Connection::Cluster(cluster?.get_async_connection().await?));
        }
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(None);
        let client = self.address.client(0).await?;
        let mut one = client.get_multiplexed_async_connection_with_config(&config).await?;
        // One that is too slow already is no better than none. A refusal is an answer too: a user may lack the right.
        let ping = redis::cmd("PING");
        let answer = tokio::time::timeout(self.timeout, ping.query_async::<redis::Value>(&mut one)).await;
        match answer {
            Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
            Ok(Err(fault)) if fault.is_io_error() || fault.is_connection_dropped() => Err(fault),
            Ok(_) => Ok(Connection::One(one)),
        }
    }

    /// What lies under a key.
    pub(super) async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Doubt> {
        let mut get = redis::cmd("GET");
        get.arg(key);
        let ask = self.patiently(key, async |connection| connection.ask(&get).await);
        ask.instrument(span("GET", 1)).await
    }

    /// Sends commands, in order, and waits until all are done. `summary` names them, without values. To a cluster each goes
    /// for itself: what one member does not take, the others do.
    pub(super) async fn send(&self, summary: &'static str, commands: Vec<Cmd>) -> Result<(), Doubt> {
        let span = span(summary, commands.len());
        async {
            if self.address.is_cluster() {
                let each = commands.iter().map(|command| self.send_one(command));
                return futures_util::future::join_all(each).await.into_iter().collect();
            }
            let mut pipe = Pipeline::with_capacity(commands.len());
            for command in commands {
                pipe.add_command(command).ignore();
            }
            let send = self.patiently(&[], async |connection| match connection {
                Connection::One(mut one) => pipe.query_async(&mut one).await,
                Connection::Cluster(mut all) => pipe.query_async(&mut all).await,
            });
            send.await
        }
        .instrument(span)
        .await
    }

    async fn send_one(&self, command: &Cmd) -> Result<(), Doubt> {
        let key = match command.args_iter().nth(1) {
            Some(Arg::Simple(key)) => key,
            _ => &[],
        };
        self.patiently(key, async |connection| connection.ask::<redis::Value>(command).await).await.map(drop)
    }

    /// The breaker of whoever has that key.
    fn breaker(&self, key: &[u8]) -> Option<&Breaker> {
        let part = if self.breakers.len() > 1 { slot(key) / PART } else { 0 };
        self.breakers.get(usize::from(part))
    }

    async fn patiently<T>(&self, key: &[u8], work: impl AsyncFnOnce(Connection) -> RedisResult<T>) -> Result<T, Doubt> {
        let Some(breaker) = self.breaker(key).filter(|breaker| breaker.lets_through()) else {
            return Err(self.fault(CacheFault::Open));
        };
        let Some(connection) = self.current.load_full() else {
            breaker.failed();
            return Err(self.fault(CacheFault::Away));
        };
        let span = deadline::left(self.timeout);
        if span.is_zero() {
            return Err(self.fault(CacheFault::Late));
        }
        match tokio::time::timeout(span, work((*connection).clone())).await {
            Ok(Ok(answer)) => {
                breaker.close();
                Ok(answer)
            }
            Ok(Err(fault)) => {
                match Refusal::of(&fault) {
                    Refusal::InWords => breaker.close(),
                    Refusal::Lost => self.failed(breaker, true, &connection),
                    Refusal::Unclear => self.failed(breaker, false, &connection),
                }
                tracing::debug!(%fault, "Redis refused");
                Err(self.fault(CacheFault::Refused))
            }
            // Who had less time than Redis may take says nothing about Redis.
            Err(_) if span < self.timeout => Err(self.fault(CacheFault::Late)),
            Err(_) => {
                self.failed(breaker, false, &connection);
                Err(self.fault(CacheFault::Late))
            }
        }
    }

    /// A connection that failed again and again is replaced: it may be half open.
    fn failed(&self, breaker: &Breaker, lost: bool, connection: &Arc<Connection>) {
        let opened = breaker.failed();
        let is_current = self.current.load().as_ref().is_some_and(|current| Arc::ptr_eq(current, connection));
        if (lost || opened) && is_current {
            self.broken.notify_one();
        }
    }

    fn fault(&self, fault: CacheFault) -> Doubt {
        self.metrics.cache_fault(fault);
        traces::failed(fault.as_str());
        Doubt
    }
}

/// What an error says of the connection that it came over.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// The server answered: a key of another kind, no room, no right. The connection is as good as any.
    InWords,
    /// It is of no use any more, or its server takes no writes: another one does.
    Lost,
    /// Nobody can say.
    Unclear,
}

impl Refusal {
    fn of(fault: &RedisError) -> Self {
        let demoted = matches!(fault.code(), Some("READONLY" | "MASTERDOWN" | "LOADING"));
        if demoted || fault.is_unrecoverable_error() || fault.is_connection_dropped() {
            return Self::Lost;
        }
        match fault.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension => Self::InWords,
            _ => Self::Unclear,
        }
    }
}

/// The slot of a key in a cluster: CRC-16/XMODEM of it, or of what its first braces enclose.
fn slot(key: &[u8]) -> u16 {
    let tag = || {
        let (_, rest) = key.split_at_checked(key.iter().position(|byte| *byte == b'{')? + 1)?;
        let (tag, _) = rest.split_at_checked(rest.iter().position(|byte| *byte == b'}')?)?;
        (!tag.is_empty()).then_some(tag)
    };
    let shift = |crc: u16| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
    let hashed = tag().unwrap_or(key);
    let crc = hashed.iter().fold(0, |crc: u16, byte| (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| shift(crc)));
    crc % SLOTS
}

/// The span of one exchange with Redis, inside of a request that is traced.
fn span(summary: &'static str, commands: usize) -> Span {
    if !traces::inside_a_span() {
        return Span::none();
    }
    let operation = if commands > 1 { "PIPELINE" } else { summary };
    let span = debug_span!(
        "redis",
        otel.name = operation,
        otel.kind = "client",
        db.system.name = "redis",
        db.operation.name = operation,
        db.query.summary = summary,
    );
    if commands > 1 {
        span.set_attribute("db.operation.batch.size", i64::try_from(commands).unwrap_or(i64::MAX));
    }
    span
}

/// Counts failures in a row; after some it lets one through each second.
struct Breaker {
    began: Instant,
    failures: AtomicU32,
    /// Milliseconds after `began` when the next one may try.
    open_until: AtomicU64,
}

impl Breaker {
    fn new() -> Self {
        Self { began: Instant::now(), failures: AtomicU32::new(0), open_until: AtomicU64::new(0) }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lets_through(&self) -> bool {
        if self.failures.load(Ordering::Relaxed) < FAILURES {
            return true;
        }
        let (now, until) = (self.now(), self.open_until.load(Ordering::Relaxed));
        let next = now.saturating_add(u64::try_from(OPEN.as_millis()).unwrap_or(u64::MAX));
        now >= until && self.open_until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Whether it is open now.
    fn failed(&self) -> bool {
        let failures = self.failures.load(Ordering::Relaxed).saturating_add(1);
        self.failures.store(failures, Ordering::Relaxed);
        if failures == FAILURES {
            let until = self.now().saturating_add(u64::try_from(OPEN.as_millis()).unwrap_or(u64::MAX));
            self.open_until.store(until, Ordering::Relaxed);
        }
        failures >= FAILURES
    }

    fn close(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    /// A Redis that greets, and never answers a question.
    fn silent() -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("redis://{}/", listener.local_addr().unwrap());
        let greet = |mut stream: std::net::TcpStream| {
            let mut part = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut part) {
                let said = part.get(..length).unwrap_or_default();
                let asked = said.windows(3).any(|word| word == b"GET");
                let commands = if asked { 0 } else { said.iter().filter(|byte| **byte == b'*').count() };
                let _ = stream.write_all("+OK\r\n".repeat(commands).as_bytes());
            }
        };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || greet(stream));
            }
        });
        url
    }

    #[tokio::test]
    async fn who_never_answers_is_waited_for_a_moment_and_then_not_at_all() {
        let (timeout, room) = (Duration::from_millis(20), Duration::from_millis(80));
        let metrics = Metrics::new("test").unwrap();
        let link = Link::new(Address::parse(&silent()).unwrap(), timeout, Arc::clone(&metrics));
        link.current.store(Some(Arc::new(link.connect().await.unwrap())));
        for n in 1..=FAILURES {
            let began = Instant::now();
            assert!(link.get(b"key").await.is_err());
            let took = began.elapsed();
            assert!((timeout..timeout + room).contains(&took), "question {n} took {took:?}");
        }
        let began = Instant::now();
        for _ in 0..50 {
            assert!(link.get(b"key").await.is_err() && link.send("SET", vec![redis::cmd("SET")]).await.is_err());
        }
        assert!(began.elapsed() < room, "the breaker is open, and yet they took {:?}", began.elapsed());
        let text = metrics.render();
        for (reason, times) in [("late", FAILURES), ("breaker_open", 100)] {
            let line = format!("signet_redis_faults_total{{reason=\"{reason}\"}} {times}\n");
            assert!(text.contains(&line), "{line}");
        }
    }

    #[test]
    fn slots_are_those_of_redis() {
        let known: [(&[u8], u16); 6] = [
            (b"123456789", 0x31C3),
            (b"foo", 12_182),
            (b"a{foo}b", 12_182),
            (b"foo{}", 5_542),
            (b"{", 4_092),
            (b"", 0),
        ];
        for (key, expected) in known {
            assert_eq!(slot(key), expected, "{}", String::from_utf8_lossy(key));
        }
    }

    #[test]
    fn what_a_server_says_in_words_is_not_held_against_its_connection() {
        let io = |kind| RedisError::from(std::io::Error::from(kind));
        let said = |text: &'static str| RedisError::from((ErrorKind::Extension, text));
        assert_eq!(Refusal::of(&said("WRONGTYPE")), Refusal::InWords);
        assert_eq!(Refusal::of(&(redis::ServerErrorKind::NoPerm.into(), "").into()), Refusal::InWords);
        assert_eq!(Refusal::of(&(redis::ServerErrorKind::ReadOnly.into(), "").into()), Refusal::Lost);
        assert_eq!(Refusal::of(&(ErrorKind::Parse, "").into()), Refusal::Lost);
        assert_eq!(Refusal::of(&io(std::io::ErrorKind::BrokenPipe)), Refusal::Lost);
        assert_eq!(Refusal::of(&(ErrorKind::UnexpectedReturnType, "").into()), Refusal::Unclear);
    }

    #[test]
    fn a_breaker_opens_after_some_failures_and_lets_one_try() {
        let breaker = Breaker::new();
        for n in 1..=FAILURES {
            assert!(breaker.lets_through(), "before failure {n}");
            assert_eq!(breaker.failed(), n == FAILURES);
        }
        assert!(!breaker.lets_through());
        breaker.open_until.store(0, Ordering::Relaxed);
        assert!(breaker.lets_through(), "one may try");
        assert!(!breaker.lets_through(), "and no other");
        breaker.close();
        assert!(breaker.lets_through() && breaker.lets_through());
    }
}
