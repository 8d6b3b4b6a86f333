//! The scenarios: what each prepares before the window opens, and what its workers do in it.

mod code_flow;
mod million;
mod mixed;
mod private_key_jwt;
mod refresh;
mod refused;
mod single;
mod staleness;
mod storm;
mod wrong_secrets;

use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;

use crate::drive::Pace;
use crate::http::Origin;
use crate::measure::Bench;
use crate::report::Report;
use crate::target::{Target, TestClient};
use crate::work::Source;

pub use single::{COLD, introspect_cold};
pub use staleness::{INACTIVE_AFTER, STALENESS};
pub use storm::{ACCEPTED, REFUSED};
pub use wrong_secrets::compared;

/// A scenario and its sizes, as the command line names them.
#[derive(Clone, Debug, Subcommand)]
pub enum Kind {
    /// One new token a request, by client_credentials.
    ClientCredentials {
        /// Form of the tokens: opaque or jwt (signed with the server's own algorithm).
        #[arg(long, default_value = "opaque", value_parser = ["opaque", "jwt"])]
        strategy: String,
        /// Clients that take turns.
        #[arg(long, default_value_t = 1)]
        clients: usize,
        /// Clients do not take turns: the k-th asks in proportion to 1/k.
        #[arg(long)]
        zipf: bool,
    },
    /// The token endpoint without the store: a right client asks for a scope it may not have and is refused.
    TokenRefused,
    /// Introspection of live tokens, issued before the run.
    Introspect {
        /// Form of the tokens.
        #[arg(long, default_value = "opaque", value_parser = ["opaque", "jwt"])]
        strategy: String,
        /// Tokens that take turns.
        #[arg(long, default_value_t = 1000)]
        tokens: usize,
        /// Tokens that must be called inactive instead: garbage, tampered with, expired, and of a deleted client.
        #[arg(long)]
        invalid: bool,
    },
    /// The whole authorization code flow with PKCE, login and consent: eight requests are one unit.
    CodeFlow {
        /// The app asks for login and consent to be remembered.
        #[arg(long)]
        remember: bool,
    },
    /// Chains of refresh tokens from real flows: each request sends the newest.
    Refresh {
        /// The scope openid was granted too, so every answer has an ID token.
        #[arg(long)]
        id_token: bool,
        /// Percent of the requests that are sent twice at once; the chain is replaced after that.
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=100))]
        duplicates: u8,
        /// Chains of each connection.
        #[arg(long, default_value_t = 4)]
        chains: usize,
    },
    /// GET /userinfo with access tokens of real flows.
    Userinfo {
        /// Tokens that take turns, each from a flow before the run.
        #[arg(long, default_value_t = 200)]
        tokens: usize,
    },
    /// Revocation of live tokens, each once; the run ends early when they are used up.
    Revoke {
        /// Which kind of token.
        #[arg(long, default_value = "access", value_parser = ["access", "refresh"])]
        kind: String,
        /// Tokens prepared before the run: 50000 access tokens, or 5000 refresh tokens (each from a flow of its own).
        #[arg(long)]
        tokens: Option<usize>,
    },
    /// GET /.well-known/jwks.json.
    Jwks,
    /// GET /.well-known/openid-configuration.
    Discovery,
    /// 60 % introspection, 25 % client_credentials, 10 % refresh, 4 % code flow, 1 % revocation.
    Mixed {
        /// Tokens for introspection.
        #[arg(long, default_value_t = 1000)]
        tokens: usize,
    },
    /// So many new tokens, with introspection and refreshes between them; ends when they are issued.
    Million {
        /// Tokens by client_credentials.
        #[arg(long, default_value_t = 1_000_000)]
        tokens: u64,
    },
    /// Client_credentials with wrong secrets beside the right ones; run without them first, then with them.
    WrongSecrets {
        /// Percent of the requests with a wrong secret.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(..=100))]
        percent: u8,
    },
    /// Client_credentials from a server that may answer 503: tokens and refusals by themselves.
    Storm {
        /// Form of the tokens.
        #[arg(long, default_value = "opaque", value_parser = ["opaque", "jwt"])]
        strategy: String,
    },
    /// Client_credentials with private_key_jwt; the run ends early when the assertions are used up.
    PrivateKeyJwt {
        /// What signs the assertions.
        #[arg(long, default_value = "ES256", value_parser = ["ES256", "RS256"])]
        alg: String,
        /// Assertions signed before the run.
        #[arg(long, default_value_t = 50_000)]
        assertions: usize,
    },
    /// How long another replica calls a token active after this one revoked it.
    Staleness {
        /// Admin URL of the other replica; without it the same server is asked.
        #[arg(long, value_name = "URL")]
        other_admin: Option<String>,
        /// Seconds after which a token that is still active is a failure.
        #[arg(long, default_value_t = 5.0)]
        bound: f64,
    },
}

/// A scenario that is ready to run.
pub struct Scenario {
    pub name: String,
    /// What one unit of work is called.
    pub unit: &'static str,
    pub source: Source,
    /// Deleted after the run.
    pub clients: Vec<TestClient>,
    /// Units there is material for, if it can be used up.
    pub supply: Option<usize>,
}

impl Scenario {
    fn new(name: impl Into<String>, source: Source, clients: Vec<TestClient>) -> Self {
        Self { name: name.into(), unit: "request", source, clients, supply: None }
    }

    /// Runs it and cleans up.
    pub async fn run(self, bench: &Bench, target: &Target) -> Result<Report> {
        // Material for one request each: a long warm-up would leave none to measure. Fifty thousand last a second.
        let most = |supply: usize| Duration::from_secs_f64(supply as f64 / 50_000.0).min(Duration::from_secs(1));
        let warmup = self.supply.map_or(bench.pace.warmup, |supply| bench.pace.warmup.min(most(supply)));
        let bench = Bench { pace: Pace { warmup, ..bench.pace }, ..bench.clone() };
        let report = bench.http(&self.name, self.unit, self.source).await;
        target.forget(&self.clients).await;
        report
    }
}

impl Kind {
    /// Prepares it for that many workers.
    pub async fn prepare(&self, target: &Target, workers: usize) -> Result<Scenario> {
        match self {
            Self::ClientCredentials { strategy, clients, zipf } => {
                single::client_credentials(target, strategy, *clients, *zipf).await
            }
            Self::TokenRefused => refused::prepare(target).await,
            Self::Introspect { strategy, tokens, invalid: false } => {
                single::introspect(target, strategy, *tokens).await
            }
            Self::Introspect { strategy, tokens, invalid: true } => single::invalid(target, strategy, *tokens).await,
            Self::CodeFlow { remember } => code_flow::prepare(target, *remember).await,
            Self::Refresh { id_token, duplicates, chains } => {
                let options = refresh::Options { id_token: *id_token, duplicates: *duplicates, chains: *chains };
                refresh::prepare(target, workers, options).await
            }
            Self::Userinfo { tokens } => single::userinfo(target, *tokens).await,
            Self::Revoke { kind, tokens } if kind == "refresh" => {
                single::revoke_refresh(target, tokens.unwrap_or(5_000)).await
            }
            Self::Revoke { tokens, .. } => single::revoke_access(target, tokens.unwrap_or(50_000)).await,
            Self::Jwks => single::jwks(target),
            Self::Discovery => single::discovery(target),
            Self::Mixed { tokens } => mixed::prepare(target, workers, *tokens).await,
            Self::Million { tokens } => million::prepare(target, workers, *tokens).await,
            Self::WrongSecrets { percent } => wrong_secrets::prepare(target, *percent).await,
            Self::Storm { strategy } => storm::prepare(target, strategy).await,
            Self::PrivateKeyJwt { alg, assertions } => private_key_jwt::prepare(target, alg, *assertions).await,
            Self::Staleness { other_admin, bound } => {
                let other = other_admin.as_deref().map_or(Ok(target.admin.clone()), Origin::parse)?;
                staleness::prepare(target, other, Duration::try_from_secs_f64(*bound)?).await
            }
        }
    }

    /// Prepares and runs it.
    pub async fn run(&self, bench: &Bench, target: &Target) -> Result<Report> {
        self.prepare(target, bench.pace.connections).await?.run(bench, target).await
    }
}
