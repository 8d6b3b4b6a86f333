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

/// The share of the peak at which the server counts as unloaded.
const UNLOADED: f64 = 0.1;

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
    /// So little that nothing waits.
    #[serde(default)]
    pub unloaded: Option<Report>,
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
    let unloaded = shown(kind.run(&bench.at_rate(peak.per_second * UNLOADED), target).await?);
    let storm = bench.with_connections(options.connections).at_rate(peak.per_second * options.factor);
    let (storm, probed) = probe::beside(target, kind.run(&storm, target)).await?;
    println!("health: {} asked, {} failed, p99 {:.1} ms", probed.asked, probed.failed, probed.latency_ms.p99);
    Ok(Round { peak, unloaded: Some(unloaded), storm: shown(storm), probed })
}

impl Round {
    /// What was really sent in that time, as a multiple of the peak.
    pub fn offered(&self) -> f64 {
        self.storm.begun_per_second / self.peak.per_second.max(f64::MIN_POSITIVE)
    }

    fn part(&self, name: &str) -> Option<&Part> {
        part(&self.storm, name)
    }

    /// The 99th percentile of those that got a token, in milliseconds.
    pub fn accepted_p99(&self) -> Option<f64> {
        Some(self.part(ACCEPTED)?.latency_ms.p99)
    }

    /// The same before the storm.
    pub fn unloaded_p99(&self) -> Option<f64> {
        Some(part(self.unloaded.as_ref()?, ACCEPTED)?.latency_ms.p99)
    }

    /// How many times the one is the other.
    pub fn slower(&self) -> Option<f64> {
        Some(self.accepted_p99()? / self.unloaded_p99().filter(|p99| *p99 > 0.0)?)
    }

    /// The median of the refusals.
    pub fn refused_p50(&self) -> Option<f64> {
        Some(self.part(REFUSED)?.latency_ms.p50)
    }

    /// Their 99th percentile.
    pub fn refused_p99(&self) -> Option<f64> {
        Some(self.part(REFUSED)?.latency_ms.p99)
    }
}

fn part<'a>(report: &'a Report, name: &str) -> Option<&'a Part> {
    report.parts.iter().find(|part| part.name == name)
}

impl Overload {
    /// Tokens a second that came while the storm was on, over those at the peak. One that came later is not counted:
    /// a queue that is worked off afterwards is no goodput.
    pub fn goodput(&self) -> Option<Spread> {
        Spread::shares(self.rounds.iter().map(|round| (round.storm.answered_per_second, round.peak.per_second)))
    }

    pub fn spread(&self, of: impl Fn(&Round) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(of))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::made_up;

    fn report(per_second: f64, begun_per_second: f64, answered_per_second: f64) -> Report {
        Report { begun_per_second, answered_per_second, ..made_up("storm", per_second, 1.0) }
    }

    #[test]
    fn tokens_that_come_after_the_storm_are_no_goodput() {
        let latency_ms = report(0.0, 0.0, 0.0).latency_ms;
        let probed = Probed { asked: 10, failed: 1, latency_ms };
        // All that was due got its token in the end, nine tenths of the peak while the storm was on.
        let round =
            Round { peak: report(100.0, 100.0, 100.0), unloaded: None, storm: report(1000.0, 950.0, 90.0), probed };
        assert_eq!(round.offered(), 9.5);
        assert_eq!(round.probed.answered(), 0.9);
        let strategy = "jwt".to_owned();
        let found = Overload { strategy, factor: 10.0, connections: 1, pinned: String::new(), rounds: vec![round] };
        assert_eq!(found.goodput(), Some(Spread::single(0.9)));
        assert_eq!(found.spread(Round::refused_p99), None);
    }

    #[test]
    fn who_gets_a_token_is_held_against_who_asks_an_idle_server() {
        let part = |name: &'static str, p99| {
            let latency_ms = made_up("a", 1.0, p99).latency_ms;
            Part { name: name.into(), count: 1, failed: 0, per_second: 1.0, latency_ms, buckets: Vec::new() }
        };
        let with = |parts| Report { parts, ..report(1.0, 1.0, 1.0) };
        let probed = Probed { asked: 1, failed: 0, latency_ms: made_up("a", 1.0, 1.0).latency_ms };
        let storm = with(vec![part(ACCEPTED, 30.0), part(REFUSED, 4.0)]);
        let round = Round { peak: with(Vec::new()), unloaded: Some(with(vec![part(ACCEPTED, 8.0)])), storm, probed };
        assert_eq!((round.slower(), round.refused_p50()), (Some(3.75), Some(4.0)));
        assert_eq!(Round { unloaded: None, ..round }.slower(), None);
    }
}
