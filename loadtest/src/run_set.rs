//! The scenarios worth publishing and the limits they are held against, round after round. The figures worth quoting
//! are the ratios: they were measured in the same minutes on the same machine.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bare::BareServer;
use crate::http::Call;
use crate::http::connection::Wire;
use crate::measure::Bench;
use crate::once;
use crate::report::Report;
use crate::report::table::table;
use crate::scenarios::{INACTIVE_AFTER, Kind, STALENESS};
use crate::side::Side;
use crate::spread::Spread;
use crate::target::Target;

/// Names of the reports the ratios are built from.
pub const BARE_HTTP: &str = "bare-http";
/// What the limits of signatures begin with.
pub const SIGN: &str = "sign ";
pub const SINGLE: &str = "bare-insert 1/commit";
pub const REFUSED: &str = "token-refused";
pub const OPAQUE: &str = "client-credentials opaque";
pub const FROM_POSTGRES: &str = "introspect from PostgreSQL";
pub const FROM_REDIS: &str = "introspect from Redis";
pub const FROM_MEMORY: &str = "introspect from memory";
pub const REVOKE: &str = "revoke";
pub const REFRESH: &str = "refresh";
pub const MIXED: &str = "mixed";
pub const DOCUMENTS: [(&str, &str); 2] = [("jwks", "bare-get jwks"), ("discovery", "bare-get discovery")];
/// Servers beside the main one, by the names that `--beside` gives them.
pub const REDIS: &str = "redis";
pub const MEMORY: &str = "local";
const RS256: &str = "rs256";

/// Sizes of the set.
#[derive(Clone, Copy, Debug)]
pub struct SetSize {
    pub rounds: usize,
    pub introspected: usize,
    pub revoked: usize,
    pub revoked_refresh: usize,
    /// Signed assertions.
    pub assertions: usize,
    /// Rows a commit of the batched insert.
    pub batch: usize,
}

/// What a set has found.
#[derive(Serialize, Deserialize)]
pub struct Found {
    /// Every report, by round.
    pub rounds: Vec<Vec<Report>>,
    /// What was run once, after the rounds.
    #[serde(default)]
    pub once: Vec<Report>,
    pub batch: usize,
}

/// A scenario of a round.
struct Step {
    kind: Kind,
    /// The server beside the main one that it is run against.
    on: Option<&'static str>,
    name: Name,
    /// Its latency is measured at half of its capacity as well.
    half: bool,
}

/// What a scenario is called in the set.
enum Name {
    Own,
    Other(&'static str),
    /// Its own name and the algorithm that the server signs with.
    Signed,
}

fn step(kind: Kind) -> Step {
    Step { kind, on: None, name: Name::Own, half: false }
}

fn signed(kind: Kind, on: Option<&'static str>) -> Step {
    Step { on, name: Name::Signed, ..step(kind) }
}

/// The scenarios of every round, in order.
fn steps(size: SetSize) -> Vec<Step> {
    let client_credentials =
        |strategy: &str| Kind::ClientCredentials { strategy: strategy.to_owned(), clients: 1, zipf: false };
    let introspect = |on, name| {
        let kind = Kind::Introspect { strategy: "opaque".to_owned(), tokens: size.introspected, invalid: false };
        Step { on, name: Name::Other(name), half: true, ..step(kind) }
    };
    let revoke = |kind: &str, tokens| step(Kind::Revoke { kind: kind.to_owned(), tokens: Some(tokens) });
    let refresh = |id_token| Kind::Refresh { id_token, duplicates: 0, chains: 4 };
    let flow = || Kind::CodeFlow { remember: false };
    vec![
        step(Kind::TokenRefused),
        Step { half: true, ..step(client_credentials("opaque")) },
        signed(client_credentials("jwt"), None),
        signed(client_credentials("jwt"), Some(RS256)),
        introspect(None, FROM_POSTGRES),
        introspect(Some(REDIS), FROM_REDIS),
        introspect(Some(MEMORY), FROM_MEMORY),
        revoke("access", size.revoked),
        revoke("refresh", size.revoked_refresh),
        signed(flow(), None),
        signed(flow(), Some(RS256)),
        step(refresh(false)),
        signed(refresh(true), None),
        signed(refresh(true), Some(RS256)),
        step(Kind::Userinfo { tokens: 200 }),
        step(Kind::Jwks),
        step(Kind::Discovery),
        step(Kind::Mixed { tokens: size.introspected }),
    ]
}

/// The bare handler of tokens, driven like a server.
pub async fn bare_http(bench: &Bench) -> Result<Report> {
    bench.quiet().await;
    let server = BareServer::start(0)?;
    bare(bench, &server).http(BARE_HTTP, "request", server.source()).await
}

/// The bare handler of a document as large as this one of the server.
async fn bare_get(bench: &Bench, target: &Target, kind: &Kind, name: &str) -> Result<Report> {
    let path = if matches!(kind, Kind::Jwks) { "/.well-known/jwks.json" } else { DISCOVERY };
    let document = Wire::default().send(&Call::get(&target.public, path)).await?.body.len();
    let server = BareServer::start(document)?;
    bare(bench, &server).http(name, "request", server.document()).await
}

fn bare(bench: &Bench, server: &BareServer) -> Bench {
    Bench { postgres: None, ..bench.of_server(None).watching("bare", server.pid()) }
}

async fn limits(bench: &Bench, size: SetSize) -> Result<Vec<Report>> {
    let mut reports = vec![shown(bare_http(bench).await?)];
    if let Some(dsn) = &bench.postgres {
        reports.push(shown(bench.insert(dsn, 1, 1).await?));
        reports.push(shown(bench.insert(dsn, size.batch, 2).await?));
    }
    for alg in ["ES256", "RS256"] {
        reports.push(shown(bench.sign(alg).await?));
    }
    Ok(reports)
}

async fn round(bench: &Bench, target: &Target, beside: &[Side], size: SetSize) -> Result<Vec<Report>> {
    let mut reports = limits(bench, size).await?;
    for step in steps(size) {
        let (target, bench) = match step.on {
            None => (target, bench.clone()),
            Some(name) => {
                let Some(side) = beside.iter().find(|side| side.name == name) else { continue };
                (&side.target, bench.of_server(side.pid))
            }
        };
        if let Some(bare) = step.document() {
            reports.push(shown(bare_get(&bench, target, &step.kind, bare).await?));
        }
        reports.extend(step.run(&bench, target).await?);
    }
    Ok(reports)
}

impl Step {
    /// The name of the bare handler that a document is held against.
    fn document(&self) -> Option<&'static str> {
        let at = match self.kind {
            Kind::Jwks => 0,
            Kind::Discovery => 1,
            _ => return None,
        };
        DOCUMENTS.get(at).map(|(_, bare)| *bare)
    }

    async fn run(&self, bench: &Bench, target: &Target) -> Result<Vec<Report>> {
        let suffix = match self.name {
            Name::Signed => format!(" {}", signing_algorithm(target).await?),
            _ => String::new(),
        };
        let named = |mut report: Report| {
            match self.name {
                Name::Other(name) => name.clone_into(&mut report.scenario),
                _ => report.scenario.push_str(&suffix),
            }
            shown(report)
        };
        bench.quiet().await;
        let mut reports = vec![named(self.kind.run(bench, target).await?)];
        let half = reports.first().map_or(0.0, |capacity| capacity.per_second / 2.0);
        if self.half {
            bench.quiet().await;
            reports.push(named(self.kind.run(&bench.at_rate(half), target).await?));
        }
        Ok(reports)
    }
}

/// Prints a report.
pub fn shown(report: Report) -> Report {
    print!("{}", table(&report));
    report
}

/// Runs the set against a server and those beside it.
pub async fn run(bench: &Bench, target: &Target, beside: &[Side], size: SetSize) -> Result<Found> {
    let mut rounds = Vec::new();
    for number in 1..=size.rounds {
        println!("round {number} of {}", size.rounds);
        rounds.push(round(bench, target, beside, size).await?);
    }
    println!("what is run once");
    let once = once::run(bench, target, beside, size).await?;
    Ok(Found { rounds, once, batch: size.batch })
}

const DISCOVERY: &str = "/.well-known/openid-configuration";

async fn signing_algorithm(target: &Target) -> Result<String> {
    let found = Wire::default().ask(&Call::get(&target.public, DISCOVERY)).await?;
    let algs = found.get("id_token_signing_alg_values_supported").and_then(Value::as_array);
    Ok(algs.and_then(|algs| algs.first()?.as_str()).unwrap_or("RS256").to_owned())
}

impl Found {
    /// Successes a second of a scenario, round by round. The first of a name is the closed loop.
    pub fn rates(&self, scenario: &str) -> Vec<f64> {
        self.rounds.iter().filter_map(|reports| rate(reports, scenario)).collect()
    }

    /// A scenario's rate as a share of another's of the same round.
    pub fn ratio(&self, scenario: &str, limit: &str) -> Option<Spread> {
        let both = |reports: &Vec<Report>| Some((rate(reports, scenario)?, rate(reports, limit)?));
        Spread::shares(self.rounds.iter().filter_map(both))
    }

    /// How long another replica called a token active after its revocation: the 99th percentile, in milliseconds.
    pub fn inactive_p99(&self) -> Option<Spread> {
        let parts = self.once.iter().filter(|report| report.scenario == STALENESS).flat_map(|report| &report.parts);
        Spread::of(parts.filter(|part| part.name == INACTIVE_AFTER).map(|part| part.latency_ms.p99))
    }

    /// Names of the closed-loop scenarios that drove the server, in order.
    pub fn scenarios(&self) -> Vec<(&str, &str)> {
        let limit = |name: &str| name.starts_with("bare-") || name.starts_with(SIGN);
        let mut names: Vec<(&str, &str)> = Vec::new();
        for report in self.rounds.iter().flatten().filter(|report| !limit(&report.scenario)) {
            if !names.iter().any(|(name, _)| *name == report.scenario) {
                names.push((&report.scenario, &report.unit));
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
    use crate::report::made_up;

    #[test]
    fn a_ratio_is_of_the_same_round_and_the_first_of_a_name() {
        let round = |ours, half, bare| {
            vec![made_up(BARE_HTTP, bare, 1.0), made_up(OPAQUE, ours, 1.0), made_up(OPAQUE, half, 1.0)]
        };
        let rounds = vec![round(50.0, 25.0, 100.0), round(40.0, 20.0, 50.0), vec![made_up(BARE_HTTP, 70.0, 1.0)]];
        let found = Found { rounds, once: Vec::new(), batch: 1 };
        assert_eq!(found.ratio(OPAQUE, BARE_HTTP), Spread::of([0.5, 0.8]));
        assert_eq!(found.rates(OPAQUE), [50.0, 40.0]);
        assert_eq!(found.ratio(REFUSED, BARE_HTTP), None);
        assert_eq!(found.scenarios(), [(OPAQUE, "request")]);
    }
}
