//! One product beside another on the same machine, in turns, never both under load: as each is shipped, and with the same
//! work asked of both. Any pair of servers that speak Hydra's API can be given; with one, only its side is run.

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cli::FairArgs;
use crate::http::Call;
use crate::http::connection::Wire;
use crate::measure::Bench;
use crate::private_jwk;
use crate::report::Report;
use crate::run_set::shown;
use crate::scenarios::Kind;
use crate::side::Side;
use crate::spread::Spread;
use crate::target::{Target, issue, machine};

/// The key sets that Hydra and Signet sign with.
const ACCESS_TOKENS: &str = "hydra.jwt.access-token";
const SETS: [&str; 2] = ["hydra.openid.id-token", ACCESS_TOKENS];
/// What is the same on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
pub enum Track {
    /// Each product as it is shipped.
    Defaults,
    /// The same work asked of both.
    Equalised,
}

impl Track {
    pub const fn title(self) -> &'static str {
        match self {
            Self::Defaults => "Defaults",
            Self::Equalised => "Equalised",
        }
    }

    /// What is set, for whoever starts the servers, and for the reader.
    pub const fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Defaults => &["a database each on the same PostgreSQL, TLS off, logs at errors only"],
            Self::Equalised => &[
                "a database each on the same PostgreSQL, TLS off, logs at errors only, tracing off",
                "`OAUTH2_HASHERS_ALGORITHM=pbkdf2`, `OAUTH2_HASHERS_PBKDF2_ITERATIONS=1`: nobody gains by remembering a secret",
                "the same signing key on both (`PUT /admin/keys/…`, done by `fair`), so the same algorithm and length",
                "`access_token_strategy` of every client set to the same by the driver",
                "`TTL_ACCESS_TOKEN=1h`, `TTL_ID_TOKEN=1h`, `TTL_REFRESH_TOKEN=720h`, `TTL_AUTH_CODE=10m`",
                "`OAUTH2_SESSION_ENCRYPT_AT_REST=true`; no cache of introspection (`REDIS_URL` not set)",
                "`max_conns` in the DSN: 16",
            ],
        }
    }
}

/// What a track has found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fair {
    pub track: Track,
    /// The algorithm of the key that both have, when one was given to them.
    pub key: Option<String>,
    pub sides: Vec<String>,
    pub runs: Vec<Run>,
}

/// One scenario at one side in one round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    pub side: String,
    pub round: usize,
    pub report: Report,
}

/// Takes turns: every scenario at one side, then at the other, in every round.
pub async fn run(bench: &Bench, args: &FairArgs) -> Result<Fair> {
    let (sides, track) = (&args.side, args.track);
    let key = (track == Track::Equalised).then(|| args.key.clone());
    if let Some(alg) = &key {
        give_key(sides, alg).await?;
    }
    let mut runs = Vec::new();
    for round in 1..=args.rounds {
        for kind in kinds(args) {
            for side in sides {
                println!("{}, round {round}:", side.name);
                let bench = bench.of_server(side.pid);
                bench.quiet().await;
                let report = shown(kind.run(&bench, &side.target).await?);
                runs.push(Run { side: side.name.clone(), round, report });
            }
        }
    }
    Ok(Fair { track, key, sides: sides.iter().map(|side| side.name.clone()).collect(), runs })
}

fn kinds(args: &FairArgs) -> Vec<Kind> {
    let opaque = || "opaque".to_owned();
    vec![
        Kind::ClientCredentials { strategy: opaque(), clients: 1, zipf: false },
        Kind::ClientCredentials { strategy: opaque(), clients: args.clients, zipf: true },
        Kind::ClientCredentials { strategy: "jwt".to_owned(), clients: 1, zipf: false },
        Kind::Introspect { strategy: opaque(), tokens: 1000, invalid: false },
        Kind::CodeFlow { remember: false },
        Kind::Refresh { id_token: true, duplicates: 0, chains: 4 },
        Kind::Revoke { kind: "access".to_owned(), tokens: Some(args.revoked) },
        Kind::Jwks,
        Kind::Discovery,
    ]
}

/// The same new key for all, in place of those they had.
async fn give_key(sides: &[Side], alg: &str) -> Result<()> {
    for set in SETS {
        let key = private_jwk::generate(alg, &kid(alg, set))?;
        for side in sides {
            let body = json!({"keys": [key]});
            let call = Call::json(Method::PUT, &side.target.admin, &format!("/admin/keys/{set}"), &body);
            Wire::default().ask(&call).await.with_context(|| format!("{} does not take the key", side.name))?;
        }
    }
    for side in sides {
        signs_with(&side.target, &kid(alg, ACCESS_TOKENS)).await.with_context(|| side.name.clone())?;
    }
    Ok(())
}

fn kid(alg: &str, set: &str) -> String {
    format!("load-test-{alg}-{set}")
}

/// An error when a server signs access tokens with another key.
async fn signs_with(target: &Target, kid: &str) -> Result<()> {
    let client = target.create_client(&machine("jwt")).await?;
    let token = issue(&mut Wire::default(), &target.token_call(&client)).await;
    target.forget(&[client]).await;
    let header = URL_SAFE_NO_PAD.decode(token?.split('.').next().unwrap_or_default())?;
    let header: Value = serde_json::from_slice(&header).context("the token is no JWT")?;
    if header.get("kid").and_then(Value::as_str) != Some(kid) {
        bail!("it was given the key {kid} and signs with {header}");
    }
    Ok(())
}

impl Fair {
    /// Scenarios and their units, in order.
    pub fn scenarios(&self) -> Vec<(&str, &str)> {
        let mut names: Vec<(&str, &str)> = Vec::new();
        for run in &self.runs {
            if !names.iter().any(|(name, _)| *name == run.report.scenario) {
                names.push((&run.report.scenario, &run.report.unit));
            }
        }
        names
    }

    /// What one side did, round by round.
    fn rates(&self, side: &str, scenario: &str) -> Vec<f64> {
        let of_both = |run: &&Run| run.side == side && run.report.scenario == scenario;
        self.runs.iter().filter(of_both).map(|run| run.report.per_second).collect()
    }

    pub fn spread(&self, side: &str, scenario: &str) -> Option<Spread> {
        Spread::of(self.rates(side, scenario))
    }

    /// How many times the second side the first was, round by round.
    pub fn ratio(&self, scenario: &str) -> Option<Spread> {
        let (first, second) = (self.sides.first()?, self.sides.get(1)?);
        Spread::shares(self.rates(first, scenario).into_iter().zip(self.rates(second, scenario)))
    }
}
