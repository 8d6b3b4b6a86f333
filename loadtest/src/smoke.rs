//! Every scenario for a moment, to see that all of them work; the figures mean nothing.

use anyhow::{Result, bail};

use crate::measure::Bench;
use crate::report::{Report, broken};
use crate::scenarios::Kind;
use crate::seed::Shape;
use crate::target::Target;
use crate::{run_set, seed};

/// Rows of ballast, put in and taken out again.
const BALLAST: u64 = 2_000;

/// All of them, small.
pub fn kinds(other_admin: Option<String>) -> Vec<Kind> {
    let text = str::to_owned;
    let client_credentials =
        |strategy, clients, zipf| Kind::ClientCredentials { strategy: text(strategy), clients, zipf };
    let introspect = |strategy, invalid| Kind::Introspect { strategy: text(strategy), tokens: 40, invalid };
    let refresh = |id_token, duplicates| Kind::Refresh { id_token, duplicates, chains: 2 };
    let revoke = |kind, tokens| Kind::Revoke { kind: text(kind), tokens: Some(tokens) };
    let private_key_jwt = |alg| Kind::PrivateKeyJwt { alg: text(alg), assertions: 1000 };
    vec![
        client_credentials("opaque", 1, false),
        client_credentials("jwt", 1, false),
        client_credentials("opaque", 10, true),
        Kind::TokenRefused,
        introspect("opaque", false),
        introspect("jwt", false),
        introspect("opaque", true),
        Kind::CodeFlow { remember: false },
        Kind::CodeFlow { remember: true },
        refresh(false, 0),
        refresh(true, 0),
        refresh(false, 5),
        Kind::Userinfo { tokens: 20 },
        revoke("access", 2000),
        revoke("refresh", 200),
        Kind::Jwks,
        Kind::Discovery,
        Kind::Mixed { tokens: 40 },
        Kind::Million { tokens: 3_000 },
        Kind::WrongSecrets { percent: 10 },
        Kind::Storm { strategy: text("opaque") },
        private_key_jwt("ES256"),
        private_key_jwt("RS256"),
        Kind::Staleness { other_admin, bound: 5.0 },
    ]
}

/// Runs them; an error when one of them does not work.
pub async fn run(bench: &Bench, target: &Target, other_admin: Option<String>) -> Result<Vec<Report>> {
    let mut reports = vec![run_set::shown(run_set::bare_http(bench).await?)];
    for kind in kinds(other_admin) {
        reports.push(run_set::shown(kind.run(bench, target).await?));
    }
    if let Some(dsn) = &bench.postgres {
        seed::fill(dsn, 0..BALLAST, Shape { expired: 10, one_client: false }).await?;
        seed::remove(dsn).await?;
    }
    let faults: Vec<_> =
        reports.iter().filter_map(|report| Some(format!("{}: {}", report.scenario, broken(report)?))).collect();
    if !faults.is_empty() {
        bail!("not every scenario works: {}", faults.join("; "));
    }
    println!("{} scenarios work", reports.len());
    Ok(reports)
}
