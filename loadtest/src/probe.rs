//! Somebody who asks for the server's health while others load it, as a load balancer does.

use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::http::Call;
use crate::http::connection::Wire;
use crate::report::Latency;
use crate::target::Target;

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(50);
/// A load balancer gives up by then.
const PATIENCE: Duration = Duration::from_secs(2);
const LONGEST: u64 = 60_000_000;

/// What the probe saw.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Probed {
    pub asked: u64,
    /// Those that were not answered 200 in time.
    pub failed: u64,
    pub latency_ms: Latency,
}

impl Probed {
    /// The share that was answered.
    pub fn answered(&self) -> f64 {
        self.asked.saturating_sub(self.failed) as f64 / self.asked.max(1) as f64
    }
}

/// Asks in turn whether the server lives and whether it is ready, until `work` is done; what both found.
pub async fn beside<T>(target: &Target, work: impl Future<Output = Result<T>>) -> Result<(T, Probed)> {
    let (done, is_done) = tokio::sync::watch::channel(false);
    let worked = async {
        let found = work.await;
        // Nobody listens when the probe has failed.
        let _ = done.send(true);
        found
    };
    let (found, probed) = tokio::join!(worked, probe(target, is_done));
    Ok((found?, probed?))
}

async fn probe(target: &Target, mut done: tokio::sync::watch::Receiver<bool>) -> Result<Probed> {
    let calls = ["/health/alive", "/health/ready"].map(|path| Call::get(&target.public, path));
    let (mut wire, mut latency) =
        (Wire::new(PATIENCE, std::sync::Arc::default()), Histogram::<u64>::new_with_bounds(1, LONGEST, 3)?);
    let mut failed = 0;
    for call in calls.iter().cycle() {
        let started = Instant::now();
        let answer = wire.send(call).await;
        failed += u64::from(!answer.is_ok_and(|answer| answer.status == 200));
        latency.saturating_record(u64::try_from(started.elapsed().as_micros()).unwrap_or(LONGEST));
        if tokio::time::timeout(PAUSE, done.wait_for(|done| *done)).await.is_ok() {
            break;
        }
    }
    Ok(Probed { asked: latency.len(), failed, latency_ms: Latency::of(&latency) })
}
