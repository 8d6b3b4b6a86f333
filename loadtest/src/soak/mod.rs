//! Hours of traffic with faults: replicas of the server behind a balancer, each with its own way to PostgreSQL and Redis.
//! All that the clients saw is held against what the server promises. `rolling` restarts the replicas in turn under the
//! same traffic, with another list of system secrets each time, and has more of them and fewer; `skew` replaces them by
//! another release and back. Both allow no error at all.

mod balancer;
mod changes;
mod checker;
mod faults;
mod fleet;
mod history;
mod jwks;
mod options;
mod play;
mod receiver;
mod report;
mod secrets;
mod stage;
mod stores;
mod traffic;
mod vitals;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::drive::{Pace, Progress, Window, drive};
use crate::work::{Source, Worker};
use checker::{Rows, Seen};
use history::Micros;
use options::FleetArgs;
pub use options::{RollingArgs, SkewArgs, SoakArgs};
use report::Told;
use stage::{Setting, Stage};
use traffic::Mixer;

/// `introspection.staleness` of the replicas, the server's default.
const BOUND: Duration = Duration::from_secs(5);
/// How long the capacity is measured, and with how many requests at once.
const CAPACITY_TAKES: Duration = Duration::from_secs(5);
const CAPACITY_WORKERS: usize = 16;
/// Units of work a second, unless the command line asks for more: all that is seen stays in memory.
const MOST: f64 = 300.0;
/// Longer than the server's own deadline of 10 s.
const TIMEOUT: Duration = Duration::from_secs(15);
/// So much later the balancer hears that a replica ends, as of an endpoint of Kubernetes.
const LAG: Duration = Duration::from_secs(1);
/// Between two restarts.
const BREATH: Duration = Duration::from_millis(500);
/// Connections of a replica: a pool of 8, one that listens, one that holds a lease.
const CONNECTIONS: i64 = 10;
const TABLES: [&str; 6] =
    ["access_token", "refresh_token", "authorization_code", "consent", "assertion_jti", "logout_delivery"];

/// What holds for every command.
pub struct Terms {
    pub dsn: String,
    pub rate: Option<f64>,
    pub workers: usize,
    pub duration: Duration,
}

/// Runs a soak; an error when a rule was broken.
pub async fn soak(args: &SoakArgs, terms: &Terms) -> Result<()> {
    let grace = ("OAUTH2_GRANT_REFRESH_TOKEN_ROTATION_GRACE_PERIOD".to_owned(), format!("{}s", args.grace));
    let stage = set(&args.fleet, (args.replicas, 0), terms, (LAG, vec![grace, drained()])).await?;
    let rate = rate(&stage, &args.fleet, terms).await?;
    let plan = faults::schedule(&faults::Terms {
        seed: args.fleet.seed,
        duration: terms.duration,
        replicas: stage.replicas.len(),
        own_postgres: args.own_postgres,
    });
    println!("seed {}, {} faults, {rate:.0} units of work a second", args.fleet.seed, plan.len());
    let faults = async {
        play::play(&stage, plan, tokio::time::Instant::now()).await;
    };
    let progress = Arc::new(Progress::default());
    let pace = Pace { rate: Some(rate), ..pace(terms.workers, terms.duration) };
    let traffic = run(&stage, &args.fleet, pace, &progress, true);
    tokio::join!(traffic, faults).0?;
    let told = Told { title: "Soak", seed: args.fleet.seed, rate, replicas: args.replicas, restarts: None };
    conclude(&stage, &args.fleet, told, args.grace == 0, &args.markdown).await
}

/// Restarts all replicas in turn, then has more of them and fewer; an error when a request failed.
pub async fn rolling(args: &RollingArgs, terms: &Terms) -> Result<()> {
    if args.fewest == 0 {
        bail!("--fewest must be at least 1");
    }
    let most = args.most.max(args.fewest);
    let stage = set(&args.fleet, (args.replicas, most), terms, (LAG, vec![drained()])).await?;
    println!("{} rounds of {} restarts", args.times, args.replicas);
    let changes = async {
        for round in 1..=args.times {
            stage.change_secrets().await.with_context(|| format!("round {round}"))?;
            println!("{:>8.1} s  round {round} is done", stage.history.now() as f64 / 1e6);
        }
        for to in [args.most, args.fewest, args.replicas] {
            stage.scale(to).await?;
        }
        Ok(())
    };
    let told = Told { title: "Rolling restarts", seed: args.fleet.seed, replicas: args.replicas, ..Told::default() };
    flawless(&stage, (&args.fleet, terms), told, changes, &args.markdown).await
}

/// Two releases as one fleet, forward and back; an error when a request failed.
pub async fn skew(args: &SkewArgs, terms: &Terms) -> Result<()> {
    let (old, new) = (stage::absolute(&args.signet_old)?, stage::absolute(&args.fleet.signet)?);
    let first = FleetArgs { signet: old.clone(), ..args.fleet.clone() };
    let stage = set(&first, (args.replicas, 0), terms, (LAG, vec![drained()])).await?;
    println!("{} beside {}", new.display(), old.display());
    let told = Told { title: "Two releases", seed: args.fleet.seed, replicas: args.replicas, ..Told::default() };
    flawless(&stage, (&args.fleet, terms), told, stage.upgrade(&old, &new), &args.markdown).await
}

/// Replicas that end serve longer than the balancer sends them requests.
fn drained() -> (String, String) {
    ("SERVE_SHUTDOWN_DRAIN_DELAY".to_owned(), format!("{}ms", (LAG * 2).as_millis()))
}

/// Traffic during changes that excuse nothing.
async fn flawless(
    stage: &Arc<Stage>,
    (args, terms): (&FleetArgs, &Terms),
    told: Told,
    changes: impl Future<Output = Result<()>>,
    markdown: &Path,
) -> Result<()> {
    let rate = rate(stage, args, terms).await?;
    println!("{rate:.0} units of work a second");
    let progress = Arc::new(Progress::default());
    let changes = async {
        if let Err(error) = changes.await {
            stage.log.failed(format!("{error:#}"));
        }
        tokio::time::sleep(BREATH).await;
        progress.stop.store(true, Ordering::Relaxed);
    };
    let longest = Duration::from_secs(24 * 3600);
    let pace = Pace { rate: Some(rate), ..pace(terms.workers, longest) };
    let traffic = run(stage, args, pace, &progress, true);
    tokio::join!(traffic, changes).0?;
    let starts: u32 = stage.replicas.iter().map(|replica| replica.lives.load(Ordering::Relaxed)).sum();
    let restarts = Some(starts.saturating_sub(u32::from(told.replicas)));
    conclude(stage, args, Told { rate, restarts, ..told }, true, markdown).await
}

/// Replicas at the beginning and at most; how late the balancer hears of an end, and settings of all.
async fn set(
    args: &FleetArgs,
    (replicas, most): (u8, u8),
    terms: &Terms,
    (lag, settings): (Duration, Vec<(String, String)>),
) -> Result<Arc<Stage>> {
    let stage = Stage::set(Setting { args, replicas, most, lag, dsn: terms.dsn.clone(), settings }).await?;
    stage.watch((terms.duration / 300).clamp(Duration::from_secs(1), Duration::from_secs(30)));
    Ok(stage)
}

fn pace(connections: usize, duration: Duration) -> Pace {
    Pace { connections, rate: None, warmup: Duration::ZERO, duration, timeout: TIMEOUT }
}

/// That of the command line, or a share of what the machine can do.
async fn rate(stage: &Arc<Stage>, args: &FleetArgs, terms: &Terms) -> Result<f64> {
    if let Some(rate) = terms.rate {
        return Ok(rate);
    }
    let progress = Arc::new(Progress::default());
    run(stage, args, pace(CAPACITY_WORKERS, CAPACITY_TAKES), &progress, false).await?;
    let capacity = progress.done.load(Ordering::Relaxed) as f64 / CAPACITY_TAKES.as_secs_f64();
    println!("{capacity:.0} units of work a second is what this machine can do now");
    Ok((capacity * args.share).clamp(1.0, MOST))
}

/// Drives the traffic and tells of it.
async fn run(stage: &Arc<Stage>, args: &FleetArgs, pace: Pace, progress: &Arc<Progress>, attacks: bool) -> Result<()> {
    let (shared, seed) = (Arc::clone(stage), args.seed);
    let source: Source = Arc::new(move |_| {
        Box::new(Mixer { stage: Arc::clone(&shared), seed, attacks, other: None }) as Box<dyn Worker>
    });
    let work = drive(source, pace, Window::new(&pace), Arc::clone(progress));
    tokio::select! {
        tally = work => tally.map(drop),
        () = tell(stage, progress) => Ok(()),
    }
}

/// A line every few seconds, for ever. Ctrl-C ends the traffic early.
async fn tell(stage: &Arc<Stage>, progress: &Arc<Progress>) {
    const EVERY: Duration = Duration::from_secs(5);
    let (start, mut before) = (Instant::now(), stage.history.counts(usize::MAX).0);
    let mut done = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = tokio::signal::ctrl_c() => progress.stop.store(true, Ordering::Relaxed),
        }
        let (requests, errors) = stage.history.counts(before);
        let units = progress.done.load(Ordering::Relaxed);
        let rate = (units - done) as f64 / EVERY.as_secs_f64();
        println!(
            "{:>8.1} s  {rate:.0} units/s, {units} in {:.0} s, {} requests, {errors} without an answer; {}",
            stage.history.now() as f64 / 1e6,
            start.elapsed().as_secs_f64(),
            requests - before,
            stage.log.current()
        );
        (before, done) = (requests, units);
    }
}

/// Lets everything settle, asks for every token once more, and judges.
async fn conclude(stage: &Arc<Stage>, args: &FleetArgs, told: Told, strict: bool, markdown: &Path) -> Result<()> {
    tokio::time::sleep(BOUND + Duration::from_secs(1)).await;
    stage.outbox().await?;
    let (audit, connections) = (stage.history.now(), stage.database.connections().await?);
    stage.audit().await?;
    let mut rows = Rows::new();
    for table in TABLES {
        rows.insert(table.to_owned(), stage.database.rows(table).await?);
    }
    let records = stage.history.take();
    if let Some(path) = &args.history {
        history::write(&records, path)?;
    }
    let mut windows = stage.log.windows.lock().unwrap_or_else(PoisonError::into_inner).clone();
    windows.sort_by_key(|window| window.from);
    let started = |replica: &Arc<fleet::Replica>| replica.lives.load(Ordering::Relaxed) as usize;
    let double_chains = stage.database.double_chains().await?;
    let verdicts = checker::check(&Seen {
        records: &records,
        windows: &windows,
        polls: &stage.jwks.polls.lock().unwrap_or_else(PoisonError::into_inner),
        vitals: &stage.vitals.seen.lock().unwrap_or_else(PoisonError::into_inner),
        connections: (connections, CONNECTIONS * i64::from(told.replicas)),
        rows: &rows,
        double_chains,
        lost_answers: stage.replicas.iter().map(|replica| replica.postgres.lost()).sum(),
        restarts: stage.replicas.iter().map(started).sum(),
        panics: &stage.panics(),
        failures: &stage.failures(),
        bound: Micros::try_from(BOUND.as_micros())?,
        strict,
        audit,
    });
    report::write(&told, &records, &windows, &verdicts, markdown)?;
    verdicts.iter().for_each(|verdict| println!("{}", report::line(verdict)));
    println!("written to {}", markdown.display());
    let broken = verdicts.iter().filter(|verdict| !verdict.holds()).count();
    if broken > 0 {
        bail!("{broken} rules were broken; the logs of the replicas are in {}", stage.dir.display());
    }
    if args.logs.is_none() {
        let _ = std::fs::remove_dir_all(&stage.dir);
    }
    Ok(())
}
