//! The two loops. Closed: every connection sends its next request when the last one is answered. Open: request `i`
//! belongs at `start + i / rate` whatever the server does, and its latency counts from there, so that a stalled server
//! is charged for the requests it kept waiting.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use tokio::sync::Semaphore;

use crate::client::{Call, Connection};

/// How a run is driven.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Connections; in a closed loop also the number of requests in flight.
    pub connections: usize,
    /// Requests a second of an open loop; `None` is a closed loop.
    pub rate: Option<f64>,
    pub warmup: Duration,
    pub duration: Duration,
    pub timeout: Duration,
}

/// Request number `n`; `None` ends the run (its material is used up).
pub type Source = Arc<dyn Fn(u64) -> Option<Call> + Send + Sync>;

/// What one worker, and by addition a whole run, has seen inside the measured window.
pub struct Tally {
    pub latency: Histogram<u64>,
    pub outcomes: BTreeMap<String, u64>,
    pub failed: u64,
    pub last: Option<Instant>,
}

impl Tally {
    pub fn new() -> Result<Self> {
        // Microseconds, up to ten minutes, three digits.
        let latency = Histogram::new_with_bounds(1, 600_000_000, 3)?;
        Ok(Self { latency, outcomes: BTreeMap::new(), failed: 0, last: None })
    }

    pub fn record(&mut self, outcome: &str, ok: bool, took: Duration) {
        self.latency.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        *self.outcomes.entry(outcome.to_owned()).or_default() += 1;
        self.failed += u64::from(!ok);
        self.last = Some(Instant::now());
    }

    pub fn add(&mut self, other: &Self) -> Result<()> {
        self.latency.add(&other.latency)?;
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(outcome.clone()).or_default() += count;
        }
        self.failed += other.failed;
        self.last = self.last.max(other.last);
        Ok(())
    }
}

/// Counters the progress line reads while a run is on.
#[derive(Default)]
pub struct Progress {
    pub done: AtomicU64,
    pub failed: AtomicU64,
    pub stop: AtomicBool,
}

/// The clock of one run.
#[derive(Clone, Copy)]
pub struct Window {
    pub start: Instant,
    pub measured: Instant,
    pub end: Instant,
}

impl Window {
    pub fn new(pace: &Pace) -> Self {
        let start = Instant::now();
        Self { start, measured: start + pace.warmup, end: start + pace.warmup + pace.duration }
    }
}

struct Shared {
    source: Source,
    pace: Pace,
    window: Window,
    next: AtomicU64,
    progress: Arc<Progress>,
    due: Semaphore,
}

/// Drives a source to the end of the window; the workers' tallies added up.
pub async fn drive(source: Source, pace: Pace, window: Window, progress: Arc<Progress>) -> Result<Tally> {
    let shared = Arc::new(Shared { source, pace, window, next: AtomicU64::new(0), progress, due: Semaphore::new(0) });
    let workers: Vec<_> = (0..pace.connections)
        .map(|_| {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                match shared.pace.rate {
                    Some(rate) => open_loop(&shared, rate).await,
                    None => closed_loop(&shared).await,
                }
            })
        })
        .collect();
    if let Some(rate) = pace.rate {
        let shared = Arc::clone(&shared);
        std::thread::Builder::new().name("clock".into()).spawn(move || tick(&shared, rate))?;
    }
    let mut total = Tally::new()?;
    for worker in workers {
        total.add(&worker.await??)?;
    }
    Ok(total)
}

async fn closed_loop(shared: &Shared) -> Result<Tally> {
    let (mut connection, mut tally) = (Connection::default(), Tally::new()?);
    loop {
        let started = Instant::now();
        if started >= shared.window.end || shared.progress.stop.load(Ordering::Relaxed) {
            return Ok(tally);
        }
        let Some(call) = (shared.source)(shared.next.fetch_add(1, Ordering::Relaxed)) else { return Ok(tally) };
        one(shared, &mut connection, &mut tally, &call, started).await;
    }
}

fn requests_of(shared: &Shared, rate: f64) -> u64 {
    let seconds = (shared.pace.warmup + shared.pace.duration).as_secs_f64();
    // A rate is far below 2^52, and a fraction of a request is none.
    (rate * seconds) as u64
}

/// Lets request after request become due, from a thread that sleeps more precisely than a timer wheel does.
fn tick(shared: &Shared, rate: f64) {
    for n in 0..requests_of(shared, rate) {
        if shared.progress.stop.load(Ordering::Relaxed) {
            break;
        }
        let due = shared.window.start + Duration::from_secs_f64(n as f64 / rate);
        if let Some(wait) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(wait);
        }
        shared.due.add_permits(1);
    }
    // One more for every worker: each finds no request left and ends.
    shared.due.add_permits(shared.pace.connections);
}

async fn open_loop(shared: &Shared, rate: f64) -> Result<Tally> {
    let (mut connection, mut tally) = (Connection::default(), Tally::new()?);
    let total = requests_of(shared, rate);
    loop {
        shared.due.acquire().await?.forget();
        let n = shared.next.fetch_add(1, Ordering::Relaxed);
        if n >= total || shared.progress.stop.load(Ordering::Relaxed) {
            return Ok(tally);
        }
        let intended = shared.window.start + Duration::from_secs_f64(n as f64 / rate);
        if Instant::now() > shared.window.end + shared.pace.timeout {
            // The server is so far behind that this request was never sent: it waited at least this long.
            tally.record("never sent", false, intended.elapsed());
            continue;
        }
        let Some(call) = (shared.source)(n) else { return Ok(tally) };
        one(shared, &mut connection, &mut tally, &call, intended).await;
    }
}

async fn one(shared: &Shared, connection: &mut Connection, tally: &mut Tally, call: &Call, from: Instant) {
    let answer = connection.send(call, shared.pace.timeout).await;
    let took = from.elapsed();
    let (outcome, ok) = match &answer {
        Ok(answer) if !(200..300).contains(&answer.status) => (answer.status.to_string(), false),
        Ok(answer) if call.expect.is_some_and(|text| !contains(&answer.body, text)) => {
            (format!("{} with an unexpected body", answer.status), false)
        }
        Ok(answer) => (answer.status.to_string(), true),
        Err(error) => (error.to_string(), false),
    };
    shared.progress.done.fetch_add(1, Ordering::Relaxed);
    shared.progress.failed.fetch_add(u64::from(!ok), Ordering::Relaxed);
    if from >= shared.window.measured && from < shared.window.end {
        tally.record(&outcome, ok, took);
    }
    if answer.is_err() {
        // A server that refuses connections must not turn the generator into a busy loop.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn contains(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|window| window == text.as_bytes())
}
