//! `serve all|public|admin`: flags and environment become settings, settings become a server.
//!
//! Invariant: a flag from v1 that relaxes a check never relaxes more than it did there.

use std::path::PathBuf;

use anyhow::bail;

use super::config::{environment, refused};
use crate::config::{self, Fault, Mode, Settings, Sources};
use crate::runtime::{self, Reload, Which};

/// Which listeners, and how. The flags may stand before or after the listeners' name.
#[derive(Debug, clap::Args)]
pub struct Serve {
    #[command(subcommand)]
    listeners: Listeners,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    flags: Flags,
}

/// `serve …`.
#[derive(Debug, clap::Subcommand)]
pub enum Listeners {
    /// Both listeners
    #[command(after_help = super::help::SERVE)]
    All(Files),
    /// The public listener: token, revocation, discovery
    #[command(after_help = super::help::SERVE_PUBLIC)]
    Public(Files),
    /// The admin listener: clients, keys, introspection
    #[command(after_help = super::help::SERVE_ADMIN)]
    Admin(Files),
}

/// Where configuration files are.
#[derive(Debug, Default, clap::Args)]
pub struct Files {
    /// A configuration file (.yaml, .yml, .json or .toml); may be repeated, a later one wins
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    config: Vec<PathBuf>,
}

/// Flags of every `serve`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Flags {
    /// For development: http issuers and a made-up system secret are taken
    #[arg(long, global = true)]
    dev: bool,
    /// v1: serve plain HTTP and take an http issuer
    #[arg(long, global = true)]
    dangerous_force_http: bool,
    /// v1: accepted, without effect; plain http redirect URLs are judged client by client
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, value_name = "URLS")]
    dangerous_allow_insecure_redirect_urls: Vec<String>,
    /// Accepted: nothing is reported to anybody
    #[arg(long, global = true)]
    sqa_opt_out: bool,
    /// v1: accepted; nothing is reported to anybody
    #[arg(long, global = true)]
    disable_telemetry: bool,
}

impl Serve {
    /// The configuration files, in order.
    pub fn files(&mut self) -> &mut Vec<PathBuf> {
        let (Listeners::All(after) | Listeners::Public(after) | Listeners::Admin(after)) = &mut self.listeners;
        self.files.config.append(&mut after.config);
        &mut self.files.config
    }
}

/// Serves until a signal.
///
/// # Errors
/// Faults of the configuration; a server that cannot start or that broke.
pub fn run(mut command: Serve) -> anyhow::Result<()> {
    let (which, name) = match command.listeners {
        Listeners::All(_) => (Which::All, "all"),
        Listeners::Public(_) => (Which::Public, "public"),
        Listeners::Admin(_) => (Which::Admin, "admin"),
    };
    let files = std::mem::take(command.files());
    let settings = settings(&command.flags, files.clone())?;
    if name != "all" && settings.dsn.trim() == "memory" {
        bail!(
            "DSN=memory lives in one process: `serve {name}` alone would share it with nobody; \
             use `serve all`, or a postgres:// or sqlite:// DSN"
        );
    }
    let (flags, all_files) = (command.flags, sources(&Flags::default(), files.clone(), environment()).all_files());
    let load = move || self::settings(&flags, files.clone()).map_err(|faults| format!("{faults:#}"));
    runtime::serve(settings, which, Reload { files: all_files, load: Box::new(load) })
}

fn settings(flags: &Flags, files: Vec<PathBuf>) -> anyhow::Result<Settings> {
    let sources = sources(flags, files, environment());
    let mut faults = strict_secrets(flags, &sources);
    match config::load(&sources) {
        Ok(settings) if faults.is_empty() => Ok(settings),
        Ok(_) => Err(refused(&faults)),
        Err(others) => {
            faults.extend(others.into_iter().filter(|fault| flags.dev || !fault.key.starts_with("secrets.")));
            Err(refused(&faults))
        }
    }
}

fn sources(flags: &Flags, files: Vec<PathBuf>, env: std::collections::BTreeMap<String, String>) -> Sources {
    let mut overrides = Vec::new();
    if flags.dev {
        overrides.push(("dev".to_owned(), "true".to_owned()));
    }
    if flags.dangerous_force_http {
        let tls = ["serve.public.tls.enabled", "serve.admin.tls.enabled"];
        overrides.extend(tls.map(|key| (key.to_owned(), "false".to_owned())));
    }
    let mode = if flags.dev || flags.dangerous_force_http { Mode::Dev } else { Mode::Production };
    Sources { files, env, flags: overrides, mode }
}

/// v1's flag is about http alone: a missing or an example's system secret stays refused.
fn strict_secrets(flags: &Flags, sources: &Sources) -> Vec<Fault> {
    let production = Sources { mode: Mode::Production, ..sources.clone() };
    let mut faults = config::validate(&production);
    faults.retain(|fault| fault.key.starts_with("secrets."));
    if flags.dev { Vec::new() } else { faults }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn seed_env(secret: Option<&str>) -> BTreeMap<String, String> {
        let mut env = BTreeMap::from([
            ("DSN".to_owned(), "memory".to_owned()),
            ("URLS_SELF_ISSUER".to_owned(), "http://127.0.0.1:9000/".to_owned()),
        ]);
        env.extend(secret.map(|secret| ("SECRETS_SYSTEM".to_owned(), secret.to_owned())));
        env
    }

    fn flags(dev: bool, dangerous_force_http: bool) -> Flags {
        Flags { dev, dangerous_force_http, ..Flags::default() }
    }

    fn faults(flags: &Flags, secret: Option<&str>) -> Vec<String> {
        let sources = sources(flags, Vec::new(), seed_env(secret));
        let mut all = strict_secrets(flags, &sources);
        all.extend(config::validate(&sources));
        all.into_iter().map(|fault| fault.key).collect()
    }

    #[test]
    fn force_http_takes_an_http_issuer_but_no_missing_secret() {
        let secret = Some("u8Bv2kQ0xWm5Zr7Tn4Ld9Hc3Pj6Ys1Ga");
        assert!(faults(&flags(false, true), secret).is_empty());
        for secret in [None, Some("short"), Some("youReallyNeedToChangeThis")] {
            let told = faults(&flags(false, true), secret);
            assert!(!told.is_empty() && told.iter().all(|key| key == "secrets.system"), "{secret:?}: {told:?}");
        }
        assert!(faults(&flags(true, false), None).is_empty());
        assert!(!faults(&flags(false, false), secret).is_empty());
    }
}
