//! Gates on what a request costs, that do not depend on the weather: heap allocations of the whole process, counted, and
//! the time of a request against that of a bare handler in the same process, with much room for noise.
//!
//! A test binary of its own, because its allocator counts: the server runs inside it, one request at a time, and the
//! caller reuses its buffers and so allocates nothing. Ceilings are only ever lowered.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test may panic")]

mod caller;
mod paths;
mod served;

use caller::Caller;
use paths::{PATHS, Path};
use served::Served;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::process::Command;
use std::time::{Duration, Instant};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Requests before it counts, and those that count.
const WARM: usize = 40;
const COUNTED: usize = 200;

/// Allocations of one unit, on average: the least of several rounds, for what the background does in one of them is not the
/// unit's. A little room for it is in the ceilings all the same.
fn allocations(path: &Path, caller: &mut Caller) -> f64 {
    let mut work = (path.prepare)(caller);
    (0..WARM).for_each(|_| work(caller));
    let rounds = (0..3).map(|_| {
        let before = HEAP.stats();
        (0..COUNTED).for_each(|_| work(caller));
        let after = HEAP.stats();
        after.allocations + after.reallocations - before.allocations - before.reallocations
    });
    rounds.min().unwrap_or_default() as f64 / COUNTED as f64
}

/// Median time of one unit.
fn median(of: &mut dyn FnMut(&mut Caller), caller: &mut Caller) -> Duration {
    let mut times: Vec<Duration> = (0..60)
        .map(|_| {
            let began = Instant::now();
            of(caller);
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// How often a bare handler could have answered meanwhile: the least of several rounds, each beside its own bare one.
fn cost(path: &Path, caller: &mut Caller) -> f64 {
    let mut work = (path.prepare)(caller);
    let mut bare = paths::bare;
    let rounds = (0..5).map(|_| {
        let bare = median(&mut bare, caller);
        median(&mut work, caller).as_secs_f64() / bare.as_secs_f64()
    });
    rounds.fold(f64::INFINITY, f64::min)
}

fn hold(store: &str, served: &Served) {
    let mut caller = Caller::to(served);
    let mut over = Vec::new();
    for path in PATHS {
        let (made, cost) = (allocations(path, &mut caller), cost(path, &mut caller));
        let limit = if store == "sqlite" { &path.on_sqlite } else { &path.on_postgres };
        println!(
            "{store:>8} {:<28} {made:>7.1} allocations (at most {:>4}), {cost:>5.1} bare requests (at most {})",
            path.name, limit.allocations, limit.bare
        );
        if made > limit.allocations || cost > limit.bare {
            over.push(path.name);
        }
    }
    assert!(over.is_empty(), "{store}: over the ceiling: {over:?}");
}

/// Names the store in a process that does nothing else.
const ON: &str = "SIGNET_GATES_ON";

/// Each store has a process of its own: nobody else allocates there.
#[test]
fn requests_cost_no_more_than_they_did() {
    match std::env::var(ON).ok().as_deref() {
        Some("sqlite") => hold("sqlite", &Served::sqlite()),
        Some(admin) => hold("postgres", &Served::postgres(admin)),
        None => {
            alone("sqlite");
            match std::env::var("SIGNET_TEST_POSTGRES").ok().filter(|dsn| !dsn.is_empty()) {
                Some(admin) => alone(&admin),
                None => {
                    assert!(
                        std::env::var_os("CI").is_none(),
                        "SIGNET_TEST_POSTGRES is not set: CI must run `make test`"
                    );
                    println!("SKIPPED on PostgreSQL: `make test` starts one");
                }
            }
        }
    }
}

fn alone(on: &str) {
    let this = std::env::current_exe().unwrap();
    let done = Command::new(this).args(["--nocapture"]).env(ON, on).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    said.lines().filter(|line| line.contains("allocations")).for_each(|line| println!("{line}"));
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
}
