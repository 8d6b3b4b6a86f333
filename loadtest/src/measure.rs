//! Runs one scenario inside its window and reads every meter at both ends of the measured part.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::assertion::Key;
use crate::drive::{Pace, Progress, Window, drive};
use crate::report::{Latency, Part, Report, costs};
use crate::run_set::SIGN;
use crate::tally::Tally;
use crate::watch::{Reading, Watched, read_all};
use crate::work::Source;
use crate::{postgres, sign};

/// The name of the server among the watched processes.
pub const SERVER: &str = "server";

/// Who uses so little of a core for so long is quiet.
const QUIET: f64 = 0.04;
const QUIET_FOR: Duration = Duration::from_millis(500);
/// What is shorter measures nothing.
const MOMENT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The meters and the pace of a run.
#[derive(Clone, Debug)]
pub struct Bench {
    pub pace: Pace,
    pub watched: Vec<Watched>,
    pub postgres: Option<String>,
}

impl Bench {
    /// With another process to watch.
    pub fn watching(&self, name: &str, pid: u32) -> Self {
        let mut bench = self.clone();
        bench.watched.push(Watched { name: name.to_owned(), pid, family: true });
        bench
    }

    /// The same meters with another process as the server.
    pub fn of_server(&self, pid: Option<u32>) -> Self {
        let mut bench = self.clone();
        bench.watched.retain(|watched| watched.name != SERVER);
        bench.watched.extend(pid.map(|pid| Watched { name: SERVER.to_owned(), pid, family: true }));
        bench
    }

    /// The same meters for so long, and a quarter of it before.
    pub fn lasting(&self, seconds: f64) -> Self {
        let duration = Duration::try_from_secs_f64(seconds).unwrap_or(self.pace.duration);
        Self { pace: Pace { duration, warmup: duration / 4, ..self.pace }, ..self.clone() }
    }

    /// The same meters with so many connections.
    pub fn with_connections(&self, connections: usize) -> Self {
        Self { pace: Pace { connections, ..self.pace }, ..self.clone() }
    }

    /// The same meters around an open loop.
    pub fn at_rate(&self, rate: f64) -> Self {
        Self { pace: Pace { rate: Some(rate.max(1.0).round()), ..self.pace }, ..self.clone() }
    }

    /// Waits until the watched processes have nothing left to do of what came before, such as the tokens of deleted
    /// clients, for a minute at most. A moment of a scenario is no measurement, and does not wait.
    pub async fn quiet(&self) {
        if self.pace.duration < MOMENT {
            return;
        }
        let spent = || -> f64 { read_all(&self.watched).values().map(|reading| reading.cpu_seconds).sum() };
        let deadline = Instant::now() + LONGEST_WAIT;
        let mut before = spent();
        while Instant::now() < deadline {
            tokio::time::sleep(QUIET_FOR).await;
            let now = spent();
            if now - before < QUIET * QUIET_FOR.as_secs_f64() {
                break;
            }
            before = now;
        }
    }

    fn pace_name(&self) -> String {
        match self.pace.rate {
            Some(rate) => format!("open, {rate}/s"),
            None => format!("closed, {} connections", self.pace.connections),
        }
    }

    /// Drives workers that speak HTTP and reports; `unit` is what one of their units of work is called.
    pub async fn http(&self, scenario: &str, unit: &'static str, source: Source) -> Result<Report> {
        let (window, progress) = (Window::new(&self.pace), Arc::new(Progress::default()));
        let work = drive(source, self.pace, window, Arc::clone(&progress));
        self.run((scenario, unit, 1), window, progress, work).await
    }

    /// Inserts rows straight into PostgreSQL and reports rows; latency is that of a commit.
    pub async fn insert(&self, dsn: &str, batch: usize, connections: usize) -> Result<Report> {
        let client = postgres::connect(dsn).await?;
        postgres::create_scratch(&client).await?;
        let bench = Self { pace: Pace { connections, rate: None, ..self.pace }, ..self.clone() };
        let (window, progress) = (Window::new(&bench.pace), Arc::new(Progress::default()));
        let work = postgres::insert(dsn, bench.pace, batch, window, Arc::clone(&progress));
        let name = format!("bare-insert {batch}/commit");
        let report = bench.run((&name, "row", batch as u64), window, progress, work).await;
        postgres::drop_scratch(&client).await?;
        report
    }

    /// Signs on every core and reports signatures a second: what no server of JWTs can be faster than.
    pub async fn sign(&self, alg: &str) -> Result<Report> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let pace = Pace { connections: threads, rate: None, ..self.pace };
        let bench = Self { pace, postgres: None, ..self.clone() };
        let (key, window, progress) = (Key::generate(alg)?, Window::new(&pace), Arc::new(Progress::default()));
        let work = sign::on_threads(key, threads, window, Arc::clone(&progress));
        bench.run((&format!("{SIGN}{alg}"), "signature", 1), window, progress, work).await
    }

    /// Runs a scenario, each sample of which stands for so many units.
    async fn run(
        &self,
        (scenario, unit, per_sample): (&str, &'static str, u64),
        window: Window,
        progress: Arc<Progress>,
        work: impl Future<Output = Result<Tally>>,
    ) -> Result<Report> {
        let to_the_end = async {
            let tally = work.await;
            // Ends the meters too when the material was used up, or the work failed, before the window closed.
            progress.stop.store(true, Ordering::Relaxed);
            tally
        };
        let (tally, meters) = tokio::join!(to_the_end, self.meter(scenario, window, &progress));
        let (tally, meters) = (tally?, meters?);
        let ended = tally.last.map_or(window.end, |last| last.min(window.end));
        let seconds = ended.duration_since(window.measured).as_secs_f64().max(0.001);
        let requests = tally.latency.len() * per_sample;
        let failed = tally.failed * per_sample;
        Ok(Report {
            scenario: scenario.to_owned(),
            unit: unit.into(),
            pace: self.pace_name(),
            seconds,
            requests,
            failed,
            per_second: (requests - failed) as f64 / seconds,
            begun_per_second: tally.begun as f64 / seconds,
            answered_per_second: tally.answered as f64 / seconds,
            latency_ms: Latency::of(&tally.latency),
            outcomes: tally.outcomes,
            parts: tally.parts.iter().map(|(name, part)| Part::of(name, part, seconds)).collect(),
            processes: costs(&meters.before, &meters.after, meters.requests, meters.seconds),
            postgres: meters.postgres.map(|(before, after)| postgres::per_request(&before, &after, meters.requests)),
        })
    }

    /// Waits through the window beside the work. Costs are divided by the requests answered between the two readings,
    /// which is not quite the number that was started in the window.
    async fn meter(&self, scenario: &str, window: Window, progress: &Progress) -> Result<Meters> {
        let mut watched = self.watched.clone();
        watched.push(Watched::generator());
        let client = match &self.postgres {
            Some(dsn) => Some(postgres::connect(dsn).await?),
            None => None,
        };
        wait_until(window.measured, scenario, "warm-up", progress).await;
        let (before, done, started) = (read_all(&watched), progress.done.load(Ordering::Relaxed), Instant::now());
        let database = match &client {
            Some(client) => Some(postgres::counters(client).await?),
            None => None,
        };
        let peaks = self.sample(&watched, window.end, scenario, progress).await;
        let (mut after, seconds) = (read_all(&watched), started.elapsed().as_secs_f64());
        let requests = progress.done.load(Ordering::Relaxed) - done;
        for (name, reading) in &mut after {
            reading.rss_kb = reading.rss_kb.max(peaks.get(name).copied().unwrap_or(0));
        }
        let postgres = match (client, database) {
            (Some(client), Some(start)) => Some((start, postgres::counters(&client).await?)),
            _ => None,
        };
        Ok(Meters { before, after, requests, seconds, postgres })
    }

    async fn sample(
        &self,
        watched: &[Watched],
        end: Instant,
        scenario: &str,
        progress: &Progress,
    ) -> BTreeMap<String, u64> {
        let mut peaks: BTreeMap<String, u64> = BTreeMap::new();
        while Instant::now() < end && !progress.stop.load(Ordering::Relaxed) {
            wait_until(end.min(Instant::now() + Duration::from_secs(1)), scenario, "measure", progress).await;
            for (name, reading) in read_all(watched) {
                let peak = peaks.entry(name).or_default();
                *peak = reading.rss_kb.max(*peak);
            }
        }
        peaks
    }
}

struct Meters {
    before: BTreeMap<String, Reading>,
    after: BTreeMap<String, Reading>,
    requests: u64,
    seconds: f64,
    postgres: Option<(BTreeMap<String, i64>, BTreeMap<String, i64>)>,
}

/// Sleeps, keeps the progress line moving, and turns Ctrl-C into an early end.
async fn wait_until(end: Instant, scenario: &str, phase: &str, progress: &Progress) {
    while Instant::now() < end && !progress.stop.load(Ordering::Relaxed) {
        let before = (progress.done.load(Ordering::Relaxed), Instant::now());
        let pause = Duration::from_secs(1).min(end.saturating_duration_since(Instant::now()));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = tokio::signal::ctrl_c() => progress.stop.store(true, Ordering::Relaxed),
        }
        let done = progress.done.load(Ordering::Relaxed);
        let rate = (done - before.0) as f64 / before.1.elapsed().as_secs_f64();
        if std::io::stderr().is_terminal() {
            let failed = progress.failed.load(Ordering::Relaxed);
            eprint!("\r\x1b[K{scenario}: {phase}, {done} done, {rate:.0}/s, {failed} failed");
        }
    }
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}
