//! `healthcheck`: is the server of this machine ready? For `HEALTHCHECK` of an image and probes that run a command, where
//! there is no shell and no curl.
//!
//! Invariant: the answer is the exit code and one line, within the time that was given.

use std::time::Duration;

use anyhow::bail;
use serde_json::Value;

use super::config::Files;
use super::output::{one_line, say};
use crate::config;
use crate::runtime::probe::{self, Heard, Probe};

/// `healthcheck`.
#[derive(Debug, clap::Args)]
pub struct Healthcheck {
    /// Base URL of the listener to ask [default: the admin listener, as the configuration binds it]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Ask the public listener, as the configuration binds it
    #[arg(long, conflicts_with = "url")]
    public: bool,
    /// Ask whether the process answers at all, not whether it can work
    #[arg(long)]
    alive: bool,
    /// How long the answer may take
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = super::api::duration)]
    timeout: Duration,
    #[command(flatten)]
    pub files: Files,
}

/// Asks.
///
/// # Errors
/// Whatever is not a 200: the server's reasons, or why there was no answer.
pub async fn run(args: Healthcheck) -> anyhow::Result<()> {
    let how = || probe::builder(args.timeout);
    let probe = match &args.url {
        Some(url) => {
            let url = super::api::web_url(url, "--url")?;
            Probe::to(url.as_str(), || how().no_proxy().tls_danger_accept_invalid_certs(true))?
        }
        None => {
            let (settings, _) = config::despite_faults(&args.files.sources());
            let serve = settings.serve;
            Probe::of(if args.public { &serve.public } else { &serve.admin }, how)?
        }
    };
    let (path, word) = if args.alive { ("/health/alive", "alive") } else { ("/health/ready", "ready") };
    let asked = format!("{}{path}", probe.base());
    match probe.get(path).await {
        Ok(answer) if answer.status == 200 => say(&format!("{word}: {asked} ({} ms)", answer.took.as_millis())),
        Ok(answer) => bail!("not {word}: {asked} says {}", reasons(&answer)),
        Err(error) => bail!("not {word}: {asked}: {error}"),
    }
}

/// The checks that failed and why, or the answer itself.
pub fn reasons(answer: &Heard) -> String {
    let told = answer.json();
    let Some(errors) = told.get("errors").and_then(Value::as_object) else { return answer.brief() };
    let each = errors.iter().map(|(check, why)| format!("{check}: {}", why.as_str().unwrap_or_default()));
    one_line(&format!("{} ({})", answer.status, each.collect::<Vec<_>>().join("; ")))
}
