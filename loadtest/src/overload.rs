//! Ten times what a server can carry. Its peak is found closed loop; then an open loop sends a multiple of it over so
//! many connections that those who are kept waiting delay nobody, and a probe asks for its health.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::cli::StormArgs;
use crate::measure::Bench;
use crate::probe::{self, Probed};
use crate::report::{Part, Report};
use crate::run_set::shown;
use crate::scenarios::{ACCEPTED, Kind, REFUSED};
use crate::spread::Spread;
use crate::target::Target;

/// Requests in flight among which the peak is looked for.
const PEAK: [usize; 2] = [16, 64];
/// Outcomes of requests that the generator did not get out.
const NEVER_SENT: &str = "never sent";

/// What it found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Overload {
    pub strategy: String,
    pub factor: f64,
    pub connections: usize,
    pub pinned: String,
    pub rounds: Vec<Round>,
}

/// One peak and the storm after it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Round {
    pub peak: Report,
    pub storm: Report,
    pub probed: Probed,
}

/// Runs all rounds.
pub async fn run(bench: &Bench, target: &Target, options: &StormArgs) -> Result<Overload> {
    let mut rounds = Vec::new();
    for _ in 0..options.rounds {
        rounds.push(round(bench, target, options).await?);
    }
    let StormArgs { strategy, factor, connections, pinned, .. } = options;
    let (strategy, pinned) = (strategy.clone(), pinned.clone());
    Ok(Overload { strategy, factor: *factor, connections: *connections, pinned, rounds })
}

async fn round(bench: &Bench, target: &Target, options: &StormArgs) -> Result<Round> {
    let kind = Kind::Storm { strategy: options.strategy.clone() };
    let mut peaks = Vec::new();
    for connections in PEAK {
        peaks.push(shown(kind.run(&bench.with_connections(connections), target).await?));
    }
    let peak = peaks.into_iter().max_by(|a, b| a.per_second.total_cmp(&b.per_second));
    let peak = anyhow::Context::context(peak, "no peak")?;
    let storm = bench.with_connections(options.connections).at_rate(peak.per_second * options.factor);
    let (storm, probed) = probe::beside(target, kind.run(&storm, target)).await?;
    println!("health: {} asked, {} failed, p99 {:.1} ms", probed.asked, probed.failed, probed.latency_ms.p99);
    Ok(Round { peak, storm: shown(storm), probed })
}

impl Round {
    /// What was sent, as a multiple of the peak.
    pub fn offered(&self) -> f64 {
        let never = self.storm.outcomes.get(NEVER_SENT).copied().unwrap_or(0);
        let sent = self.storm.requests.saturating_sub(never) as f64 / self.storm.seconds.max(f64::MIN_POSITIVE);
        sent / self.peak.per_second.max(f64::MIN_POSITIVE)
    }

    fn part(&self, name: &str) -> Option<&Part> {
        self.storm.parts.iter().find(|part| part.name == name)
    }

    /// The 99th percentile of those that got a token, in milliseconds.
    pub fn accepted_p99(&self) -> Option<f64> {
        Some(self.part(ACCEPTED)?.latency_ms.p99)
    }

    /// That of the refusals.
    pub fn refused_p99(&self) -> Option<f64> {
        Some(self.part(REFUSED)?.latency_ms.p99)
    }
}

impl Overload {
    /// Tokens a second in the storm over those at the peak.
    pub fn goodput(&self) -> Option<Spread> {
        Spread::shares(self.rounds.iter().map(|round| (round.storm.per_second, round.peak.per_second)))
    }

    pub fn spread(&self, of: impl Fn(&Round) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(of))
    }
}
