//! What a set runs once and not in every round: variants of its scenarios whose point is what comes of them, more than how
//! many there are in a second.

use anyhow::Result;

use crate::measure::Bench;
use crate::report::Report;
use crate::run_set::{MEMORY, REDIS, SetSize, shown};
use crate::scenarios::Kind;
use crate::side::Side;
use crate::target::Target;

/// Workers of the staleness: what is asked for is how late a replica hears, not how late a busy machine answers.
const FEW: usize = 8;
/// Seconds after which a token that is still active is a failure.
const BOUND: f64 = 5.0;

fn kinds(size: SetSize) -> Vec<Kind> {
    let text = str::to_owned;
    vec![
        Kind::Introspect { strategy: text("opaque"), tokens: size.introspected, invalid: true },
        Kind::CodeFlow { remember: true },
        Kind::Refresh { id_token: false, duplicates: 5, chains: 4 },
        Kind::WrongSecrets { percent: 0 },
        Kind::WrongSecrets { percent: 10 },
        Kind::PrivateKeyJwt { alg: text("ES256"), assertions: size.assertions },
    ]
}

/// Runs them against the main server, and the staleness between two that share a Redis, when both are there.
pub async fn run(bench: &Bench, target: &Target, beside: &[Side], size: SetSize) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for kind in kinds(size) {
        bench.quiet().await;
        reports.push(shown(kind.run(bench, target).await?));
    }
    let side = |name| beside.iter().find(|side| side.name == name);
    if let (Some(redis), Some(memory)) = (side(REDIS), side(MEMORY)) {
        let kind = Kind::Staleness { other_admin: Some(memory.target.admin.url()), bound: BOUND };
        bench.quiet().await;
        reports.push(shown(kind.run(&bench.of_server(redis.pid).with_connections(FEW), &redis.target).await?));
    }
    Ok(reports)
}
