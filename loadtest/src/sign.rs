//! The limit of a server of JWTs: signatures on every core, with the library that the server signs with.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::Result;

use crate::assertion::Key;
use crate::drive::{Progress, Window};
use crate::tally::Tally;
use crate::work::Unit;

/// About as long as the header and the claims of an access token.
const CLAIMS: &str = "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.";
const LENGTH: usize = 480;

/// Signs on so many threads until the window ends.
pub async fn on_threads(key: Key, threads: usize, window: Window, progress: Arc<Progress>) -> Result<Tally> {
    let key = Arc::new(key);
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (key, progress) = (Arc::clone(&key), Arc::clone(&progress));
            tokio::task::spawn_blocking(move || on_one(&key, window, &progress))
        })
        .collect();
    let mut total = Tally::new()?;
    for worker in workers {
        total.add(&worker.await??)?;
    }
    Ok(total)
}

fn on_one(key: &Key, window: Window, progress: &Progress) -> Result<Tally> {
    let (mut tally, text) = (Tally::new()?, CLAIMS.repeat(LENGTH / CLAIMS.len()));
    loop {
        let started = Instant::now();
        if started >= window.end || progress.stop.load(Ordering::Relaxed) {
            return Ok(tally);
        }
        key.sign(&text)?;
        progress.done.fetch_add(1, Ordering::Relaxed);
        if started >= window.measured {
            tally.record(&Unit::done("signed"), started.elapsed())?;
        }
    }
}
