//! `smoke`: a server does what it is for, shown on a throw-away client. What `helm test` runs.
//!
//! Invariant: nothing of it is left behind, however it ends: the clients it made are deleted, and their tokens with them.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use reqwest::ClientBuilder;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::config::Files;
use super::output::{Format, Row, Show, say};
use super::smoke_calls::Server;
use crate::config::{self, Settings, Sources};
use crate::crypto::jose::Unverified;
use crate::crypto::jwk::{Alg, Jwk};
use crate::runtime::probe::{self, Probe};

/// `smoke`.
#[derive(Debug, clap::Args)]
pub struct Smoke {
    /// Base URL of the public listener [default: HYDRA_URL, else as the configuration binds it]
    #[arg(long, env = "HYDRA_URL", value_name = "URL")]
    public: Option<String>,
    /// Base URL of the admin listener [default: HYDRA_ADMIN_URL, else as the configuration binds it]
    #[arg(long, env = "HYDRA_ADMIN_URL", value_name = "URL")]
    admin: Option<String>,
    /// The issuer that discovery must name, to the letter [default: urls.self.issuer, where it is set]
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// How long a revoked token may still be called active [default: introspection.staleness]
    #[arg(long, value_name = "DURATION", value_parser = super::api::duration)]
    staleness: Option<Duration>,
    /// How long to wait until both listeners are ready
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = super::api::duration)]
    wait: Duration,
    /// How long each answer may take
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = super::api::duration)]
    timeout: Duration,
    /// Accept any TLS certificate. Only for tests
    #[arg(long)]
    skip_tls_verify: bool,
    /// Tell the server that TLS ended before it (`X-Forwarded-Proto: https`)
    #[arg(long)]
    fake_tls_termination: bool,
    #[command(flatten)]
    pub files: Files,
    #[command(flatten)]
    show: Show,
}

/// One step that was taken.
struct Step {
    id: &'static str,
    what: String,
    took: Duration,
    fault: Option<String>,
}

/// The steps so far.
struct Steps {
    all: Vec<Step>,
    /// Told as they are taken, not at the end.
    live: bool,
}

/// A step failed; the steps know which.
struct Failed;

/// Runs all steps.
///
/// # Errors
/// The step that failed.
pub async fn run(args: Smoke) -> anyhow::Result<()> {
    let server = server(&args)?;
    let live = args.show.format == Format::Table && !args.show.quiet;
    let (mut steps, mut made) = (Steps { all: Vec::new(), live }, Vec::new());
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let interrupted = tokio::select! {
        _ = walk(&server, &mut steps, &mut made) => false,
        _ = term.recv() => true,
        _ = int.recv() => true,
    };
    if !made.is_empty() {
        let _ = steps.take("clients-deleted", "the throw-away clients are deleted", server.delete(&made)).await;
    }
    let failed = steps.all.iter().find(|step| step.fault.is_some());
    if !live {
        report(&args.show, &steps, failed.is_none() && !interrupted)?;
    }
    match failed {
        Some(step) => bail!("smoke: {} failed", step.id),
        None if interrupted => bail!("smoke: ended by a signal"),
        None if live => say(&format!("{} of {} steps done", steps.all.len(), steps.all.len())),
        None => Ok(()),
    }
}

fn report(show: &Show, steps: &Steps, ok: bool) -> anyhow::Result<()> {
    let one = |step: &Step| json!({"id": step.id, "what": step.what, "ok": step.fault.is_none(), "ms": millis(step.took), "why": step.fault});
    let json = json!({"ok": ok, "steps": steps.all.iter().map(one).collect::<Vec<_>>()});
    let rows: Vec<Row> = steps.all.iter().map(|step| Row { id: step.id.to_owned(), cells: Vec::new() }).collect();
    show.list(&[], &rows, &json, "")
}

/// Whole milliseconds.
pub fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Steps {
    /// Takes a step. What it gives comes with a word on what was seen.
    async fn take<T>(
        &mut self,
        id: &'static str,
        what: &str,
        work: impl Future<Output = anyhow::Result<(T, String)>>,
    ) -> Result<T, Failed> {
        let began = Instant::now();
        let done = work.await;
        let (what, fault) = match &done {
            Ok((_, seen)) if seen.is_empty() => (what.to_owned(), None),
            Ok((_, seen)) => (format!("{what}: {seen}"), None),
            Err(error) => (what.to_owned(), Some(format!("{error:#}"))),
        };
        let step = Step { id, what, took: began.elapsed(), fault };
        if self.live {
            let (mark, why) = match &step.fault {
                None => ('✓', String::new()),
                Some(why) => ('✗', format!(": {why}")),
            };
            // A reader that left early is no reason to leave clients behind.
            let _ = say(&format!("{mark} {}{why} ({} ms)", step.what, millis(step.took)));
        }
        self.all.push(step);
        done.map(|(given, _)| given).map_err(|_| Failed)
    }
}

async fn walk(server: &Server, steps: &mut Steps, made: &mut Vec<String>) -> Result<(), Failed> {
    steps.take("public-ready", "the public listener is ready", server.ready(&server.public)).await?;
    steps.take("admin-ready", "the admin listener is ready", server.ready(&server.admin)).await?;
    let issuer = steps.take("discovery", "discovery names the issuer", server.discovery()).await?;
    let keys = steps.take("jwks", "there are public keys", server.jwks()).await?;

    let (id, secret) = (throw_away("signet-smoke"), throw_away("secret"));
    made.push(id.clone());
    steps.take("client", "a throw-away client is made", server.client(&id, &secret, "")).await?;
    let token = steps.take("token", "it gets an access token", server.token(&id, &secret)).await?;
    steps.take("active", "introspection says active", server.active(&token, &id, &issuer)).await?;
    steps.take("revoked", "the token is revoked", server.revoke(&token, &id, &secret)).await?;
    steps.take("inactive", "introspection says inactive", server.inactive(&token)).await?;

    let id = format!("{id}-jwt");
    made.push(id.clone());
    steps.take("jwt-client", "a client of signed tokens is made", server.client(&id, &secret, "jwt")).await?;
    let token = steps.take("jwt-token", "it gets a signed access token", server.token(&id, &secret)).await?;
    let verified = async { verified(&token, &keys, &id, &issuer) };
    steps.take("jwt-verified", "the public keys verify it", verified).await?;
    steps.take("jwt-active", "introspection says active", server.active(&token, &id, &issuer)).await
}

fn throw_away(prefix: &str) -> String {
    format!("{prefix}-{}", uuid::Uuid::new_v4().simple())
}

/// The token is signed by one of the keys, and says who it is for and from.
fn verified(token: &str, keys: &[Jwk], id: &str, issuer: &str) -> anyhow::Result<((), String)> {
    let read = Unverified::parse(token)?;
    let kid = read.header.kid.clone().unwrap_or_default();
    let claims = read.verify(keys, &Alg::ALL).with_context(|| format!("key {kid:?}"))?;
    ensure!(claims.str("iss") == Some(issuer), "its iss is {:?}, not {issuer:?}", claims.str("iss"));
    ensure!(claims.str("client_id") == Some(id), "its client_id is {:?}", claims.str("client_id"));
    Ok(((), format!("{} by {kid}", read.header.alg)))
}

fn server(args: &Smoke) -> anyhow::Result<Server> {
    let sources = args.files.sources();
    let (settings, _) = config::despite_faults(&sources);
    let how =
        || -> ClientBuilder { probe::builder(args.timeout).tls_danger_accept_invalid_certs(args.skip_tls_verify) };
    let side = |given: &Option<String>, flag: &str, listener| match given.as_deref().filter(|url| !url.is_empty()) {
        Some(url) => Probe::to(super::api::web_url(url, flag)?.as_str(), how),
        None => Probe::of(listener, how),
    };
    Ok(Server {
        public: side(&args.public, "--public", &settings.serve.public)?,
        admin: side(&args.admin, "--admin", &settings.serve.admin)?,
        issuer: args.issuer.clone().or_else(|| configured_issuer(&sources, &settings)),
        staleness: args.staleness.unwrap_or(settings.redis.staleness),
        wait: args.wait,
        fake_tls_termination: args.fake_tls_termination,
    })
}

fn configured_issuer(sources: &Sources, settings: &Settings) -> Option<String> {
    let rows = config::status(sources);
    let row = rows.iter().find(|row| row.key == "urls.self.issuer")?;
    (!matches!(row.source.as_str(), "not set" | "from serve.public")).then(|| settings.urls.issuer.clone())
}
