//! `config status` and `config validate`, and how every command here finds its settings.
//!
//! Invariant: faults are told all at once, and no secret is printed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::bail;
use serde_json::json;

use super::output::{Row, Show, say};
use crate::config::{self, Fault, Mode, Sources};

/// Where configuration files are.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Files {
    /// A configuration file (.yaml, .yml, .json or .toml); may be repeated, a later one wins
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Check as `serve --dev` would
    #[arg(long)]
    pub dev: bool,
}

/// `config …`.
#[derive(Debug, clap::Subcommand)]
pub enum Config {
    /// Every key: its value, where that came from, and whether it acts
    #[command(after_help = super::help::CONFIG_STATUS)]
    Status {
        /// Where to look.
        #[command(flatten)]
        files: Files,
        /// How to print.
        #[command(flatten)]
        show: Show,
    },
    /// Check the configuration as `serve` would, and name every fault
    #[command(after_help = super::help::CONFIG)]
    Validate {
        /// Where to look.
        #[command(flatten)]
        files: Files,
    },
}

impl Files {
    /// These files, the environment, and nothing from flags but `--dev`.
    pub fn sources(&self) -> Sources {
        let mode = if self.dev { Mode::Dev } else { Mode::Production };
        let flags = if self.dev { vec![("dev".to_owned(), "true".to_owned())] } else { Vec::new() };
        Sources { files: self.config.clone(), env: environment(), flags, mode }
    }
}

impl Config {
    /// The configuration files, in order.
    pub fn files(&mut self) -> &mut Vec<PathBuf> {
        let (Self::Status { files, .. } | Self::Validate { files }) = self;
        &mut files.config
    }
}

/// The environment; what is not UTF-8 cannot be a setting.
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// All faults as one error.
pub fn refused(faults: &[Fault]) -> anyhow::Error {
    let lines: String = faults.iter().map(|fault| format!("\n  {fault}")).collect();
    let count = if faults.len() == 1 { "one fault".to_owned() } else { format!("{} faults", faults.len()) };
    anyhow::anyhow!("the configuration has {count}:{lines}")
}

/// Runs `config status` or `config validate`.
///
/// # Errors
/// The faults found by `validate`.
pub fn run(command: Config) -> anyhow::Result<()> {
    match command {
        Config::Status { files, show } => status(&files.sources(), &show),
        Config::Validate { files } => {
            let faults = config::validate(&files.sources());
            if !faults.is_empty() {
                bail!(refused(&faults));
            }
            say("The configuration is valid.")
        }
    }
}

fn status(sources: &Sources, show: &Show) -> anyhow::Result<()> {
    let keys = config::status(sources);
    let rows: Vec<Row> = keys
        .iter()
        .map(|key| Row {
            id: key.key.to_owned(),
            cells: vec![key.key.to_owned(), key.value.clone(), key.source.clone(), key.effect.to_string()],
        })
        .collect();
    let one = |key: &config::StatusRow| json!({"key": key.key, "value": key.value, "source": key.source, "effect": key.effect.to_string(), "doc": key.doc});
    let json = json!({"items": keys.iter().map(one).collect::<Vec<_>>()});
    show.list(&["KEY", "VALUE", "SOURCE", "EFFECT"], &rows, &json, "")
}
