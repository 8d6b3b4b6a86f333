//! The scenarios worth publishing and the limits they are held against, round after round. The figures worth quoting
//! are the ratios: they were measured in the same minutes on the same machine.

pub mod hydra;
pub mod markdown;
pub mod plot;

use anyhow::Result;
use serde_json::Value;

use crate::bare::BareServer;
use crate::http::Call;
use crate::http::connection::Wire;
use crate::measure::Bench;
use crate::report::Report;
use crate::report::table::table;
use crate::scenarios::Kind;
use crate::target::Target;
use crate::watch::read_all;

/// Names of the reports the ratios are built from.
const BARE_HTTP: &str = "bare-http";
const OPAQUE: &str = "client-credentials opaque";
const JWT: &str = "client-credentials jwt";
const INTROSPECT: &str = "introspect opaque";
const REVOKE: &str = "revoke";
const CODE_FLOW: &str = "code-flow";
const MIXED: &str = "mixed";

/// Sizes of the set.
#[derive(Clone, Copy, Debug)]
pub struct SetSize {
    pub rounds: usize,
    pub introspected: usize,
    pub revoked: usize,
    pub revoked_refresh: usize,
    /// Rows a commit of the batched insert.
    pub batch: usize,
}

/// What a set has found.
pub struct Found {
    /// Every report, by round.
    pub rounds: Vec<Vec<Report>>,
    /// The server's signing algorithm, as its discovery document has it.
    pub alg: String,
    /// Megabytes of the watched process `server` before the first request.
    pub idle_mb: Option<f64>,
    /// Milliseconds from its start until it was ready, if somebody measured that.
    pub ready_ms: Option<f64>,
    pub batch: usize,
}

/// The bare handler, driven like a server.
pub async fn bare_http(bench: &Bench) -> Result<Report> {
    let server = BareServer::start()?;
    let bench = Bench { postgres: None, ..bench.watching("bare", server.pid()) };
    bench.http(BARE_HTTP, "request", server.source()).await
}

/// The scenarios of every round, in order. The latency of the two that matter most is measured at half of their
/// capacity as well.
fn kinds(size: SetSize) -> Vec<(Kind, bool)> {
    let client_credentials =
        |strategy: &str| Kind::ClientCredentials { strategy: strategy.to_owned(), clients: 1, zipf: false };
    let introspect = Kind::Introspect { strategy: "opaque".to_owned(), tokens: size.introspected, invalid: false };
    let revoke = |kind: &str, tokens| Kind::Revoke { kind: kind.to_owned(), tokens: Some(tokens) };
    let refresh = |id_token| Kind::Refresh { id_token, duplicates: 0, chains: 4 };
    vec![
        (client_credentials("opaque"), true),
        (client_credentials("jwt"), false),
        (introspect, true),
        (revoke("access", size.revoked), false),
        (revoke("refresh", size.revoked_refresh), false),
        (Kind::CodeFlow { remember: false }, false),
        (refresh(false), false),
        (refresh(true), false),
        (Kind::Userinfo { tokens: 200 }, false),
        (Kind::Jwks, false),
        (Kind::Discovery, false),
        (Kind::Mixed { tokens: size.introspected }, false),
    ]
}

async fn round(bench: &Bench, target: &Target, size: SetSize) -> Result<Vec<Report>> {
    let mut reports = vec![shown(bare_http(bench).await?)];
    if let Some(dsn) = &bench.postgres {
        reports.push(shown(bench.insert(dsn, 1, 1).await?));
        reports.push(shown(bench.insert(dsn, size.batch, 2).await?));
    }
    for (kind, at_half) in kinds(size) {
        let capacity = shown(kind.run(bench, target).await?);
        let half = bench.at_rate(capacity.per_second / 2.0);
        reports.push(capacity);
        if at_half {
            reports.push(shown(kind.run(&half, target).await?));
        }
    }
    Ok(reports)
}

/// Prints a report.
pub fn shown(report: Report) -> Report {
    print!("{}", table(&report));
    report
}

/// Runs the set.
pub async fn run(bench: &Bench, target: &Target, size: SetSize, ready_ms: Option<f64>) -> Result<Found> {
    let idle_mb = read_all(&bench.watched).get("server").map(|reading| reading.rss_kb as f64 / 1024.0);
    let alg = signing_algorithm(target).await?;
    let mut rounds = Vec::new();
    for number in 1..=size.rounds {
        println!("round {number} of {}", size.rounds);
        rounds.push(round(bench, target, size).await?);
    }
    Ok(Found { rounds, alg, idle_mb, ready_ms, batch: size.batch })
}

async fn signing_algorithm(target: &Target) -> Result<String> {
    let discovery = Call::get(&target.public, "/.well-known/openid-configuration");
    let found = Wire::default().ask(&discovery).await?;
    let algs = found.get("id_token_signing_alg_values_supported").and_then(Value::as_array);
    Ok(algs.and_then(|algs| algs.first()?.as_str()).unwrap_or("RS256").to_owned())
}

/// The lowest, the middle and the highest of some figures.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Spread {
    fn of(mut found: Vec<f64>) -> Option<Self> {
        found.sort_by(f64::total_cmp);
        // Of an even number the middle two.
        let median = f64::midpoint(*found.get(found.len().checked_sub(1)? / 2)?, *found.get(found.len() / 2)?);
        Some(Self { low: *found.first()?, median, high: *found.last()? })
    }
}

impl Found {
    /// Successes a second of a scenario, round by round. The first of a name is the closed loop.
    pub fn rates(&self, scenario: &str) -> Vec<f64> {
        self.rounds.iter().filter_map(|reports| rate(reports, scenario)).collect()
    }

    /// A scenario's rate as a share of another's of the same round.
    pub fn ratio(&self, scenario: &str, limit: &str) -> Option<Spread> {
        Spread::of(
            self.rounds.iter().filter_map(|reports| Some(rate(reports, scenario)? / rate(reports, limit)?)).collect(),
        )
    }

    /// Names of the closed-loop scenarios that drove the server, in order.
    fn scenarios(&self) -> Vec<(&str, &'static str)> {
        let mut names: Vec<(&str, &'static str)> = Vec::new();
        for report in self.rounds.iter().flatten().filter(|report| !report.scenario.starts_with("bare-")) {
            if !names.iter().any(|(name, _)| *name == report.scenario) {
                names.push((&report.scenario, report.unit));
            }
        }
        names
    }
}

fn rate(reports: &[Report], name: &str) -> Option<f64> {
    let found = reports.iter().find(|report| report.scenario == name)?.per_second;
    // A rate of nothing divides nothing.
    (found > 0.0).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_two_is_between_them() {
        let median = |found: &[f64]| Spread::of(found.to_vec()).map(|spread| (spread.low, spread.median, spread.high));
        assert_eq!(median(&[3.0, 1.0]), Some((1.0, 2.0, 3.0)));
        assert_eq!(median(&[5.0, 1.0, 4.0]), Some((1.0, 4.0, 5.0)));
        assert_eq!(median(&[]), None);
    }
}
