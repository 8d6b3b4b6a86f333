//! The two loops. Closed: every worker begins its next unit of work when the last one is answered. Open: unit `i`
//! belongs at `start + i / rate` whatever the server does, and its latency counts from there, so that a stalled server
//! is charged for those it kept waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::sync::Semaphore;

use crate::http::connection::Wire;
use crate::tally::Tally;
use crate::work::{Source, Unit, Worker};

/// How a run is driven.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Workers; in a closed loop also the number of units of work in flight.
    pub connections: usize,
    /// Requests a second of an open loop; `None` is a closed loop.
    pub rate: Option<f64>,
    pub warmup: Duration,
    pub duration: Duration,
    pub timeout: Duration,
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
    /// Whether a moment is in the measured part.
    fn holds(&self, moment: Instant) -> bool {
        moment >= self.measured && moment < self.end
    }

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
    complaints: Arc<AtomicU32>,
    due: Semaphore,
}

/// Drives a source to the end of the window; the workers' tallies added up.
pub async fn drive(source: Source, pace: Pace, window: Window, progress: Arc<Progress>) -> Result<Tally> {
    let (next, complaints, due) = (AtomicU64::new(0), Arc::default(), Semaphore::new(0));
    let shared = Arc::new(Shared { source, pace, window, next, progress, complaints, due });
    let workers: Vec<_> = (0..pace.connections)
        .map(|number| {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                let lane = Lane::new(&shared, number)?;
                match shared.pace.rate {
                    Some(rate) => open_loop(lane, rate).await,
                    None => closed_loop(lane).await,
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

/// One worker with its connections and what it has seen.
struct Lane<'a> {
    shared: &'a Shared,
    worker: Box<dyn Worker>,
    wire: Wire,
    tally: Tally,
}

impl<'a> Lane<'a> {
    fn new(shared: &'a Shared, number: usize) -> Result<Self> {
        let wire = Wire::new(shared.pace.timeout, Arc::clone(&shared.complaints));
        Ok(Self { shared, worker: (shared.source)(number), wire, tally: Tally::new()? })
    }

    /// Does unit number `n`, whose latency counts from `from`; false when there is no such unit.
    async fn one(&mut self, n: u64, from: Instant) -> Result<bool> {
        let begun = Instant::now();
        let Some(unit) = self.worker.unit(n, &mut self.wire).await else { return Ok(false) };
        let (took, shared) = (from.elapsed(), self.shared);
        self.tally.begun += u64::from(shared.window.holds(begun));
        self.tally.answered += u64::from(unit.ok && shared.window.holds(Instant::now()));
        shared.progress.done.fetch_add(1, Ordering::Relaxed);
        shared.progress.failed.fetch_add(u64::from(!unit.ok), Ordering::Relaxed);
        let measured = shared.window.holds(from);
        if measured {
            self.tally.record(&unit, took)?;
        }
        for step in self.wire.steps.drain(..).filter(|_| measured) {
            self.tally.part(&step)?;
        }
        if unit.lost {
            // A server that refuses connections must not turn the generator into a busy loop.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(true)
    }
}

async fn closed_loop(mut lane: Lane<'_>) -> Result<Tally> {
    loop {
        let (started, shared) = (Instant::now(), lane.shared);
        if started >= shared.window.end || shared.progress.stop.load(Ordering::Relaxed) {
            return Ok(lane.tally);
        }
        if !lane.one(shared.next.fetch_add(1, Ordering::Relaxed), started).await? {
            return Ok(lane.tally);
        }
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

async fn open_loop(mut lane: Lane<'_>, rate: f64) -> Result<Tally> {
    let shared = lane.shared;
    let total = requests_of(shared, rate);
    loop {
        shared.due.acquire().await?.forget();
        let n = shared.next.fetch_add(1, Ordering::Relaxed);
        if n >= total || shared.progress.stop.load(Ordering::Relaxed) {
            return Ok(lane.tally);
        }
        let intended = shared.window.start + Duration::from_secs_f64(n as f64 / rate);
        if Instant::now() > shared.window.end + shared.pace.timeout {
            // The server is so far behind that this request was never sent: it waited at least this long.
            lane.tally.record(&Unit::failed("never sent"), intended.elapsed())?;
            continue;
        }
        if !lane.one(n, intended).await? {
            return Ok(lane.tally);
        }
    }
}
