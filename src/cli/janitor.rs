//! `janitor` and v1's `token flush`: what has expired is deleted now, by hand.
//!
//! A running server does the same by itself; this is for a database whose servers are down, and for the scripts that
//! called it. Invariant: only rows go whose own time is over.

use std::path::PathBuf;

use anyhow::bail;

use super::migrate::Database;
use super::output::{Progress, Row, Show, say};
use crate::runtime;

/// `janitor`.
#[derive(Debug, clap::Args)]
pub struct Janitor {
    #[command(flatten)]
    database: Database,
    /// Delete expired tokens
    #[arg(long)]
    tokens: bool,
    /// Delete login and consent requests that are over
    #[arg(long)]
    requests: bool,
    /// Delete trusted issuers that are over
    #[arg(long)]
    grants: bool,
    #[command(flatten)]
    pace: Pace,
    #[command(flatten)]
    ages: Ages,
}

/// How much.
#[derive(Debug, clap::Args)]
struct Pace {
    /// At most so many rows of each kind
    #[arg(long, default_value_t = 10_000, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// So many rows of each kind in one transaction
    #[arg(long, default_value_t = 100, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: u32,
}

/// Hydra counts from when a row was made; here every row knows its end.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Accepted, without effect: each row holds the time at which it is over")]
struct Ages {
    /// Hydra: the age that a row must have reached
    #[arg(long, value_name = "DURATION")]
    keep_if_younger: Option<String>,
    /// Hydra: the age at which an access token goes
    #[arg(long, value_name = "DURATION")]
    access_lifespan: Option<String>,
    /// Hydra: the age at which a refresh token goes
    #[arg(long, value_name = "DURATION")]
    refresh_lifespan: Option<String>,
    /// Hydra: the age at which a login or consent request goes
    #[arg(long, value_name = "DURATION")]
    consent_request_lifespan: Option<String>,
}

/// `token flush`.
#[derive(Debug, clap::Args)]
pub struct Flush {
    #[command(flatten)]
    database: Database,
    /// Accepted, without effect: each token holds the time at which it is over
    #[arg(long, value_name = "DURATION")]
    min_age: Option<String>,
    /// Accepted for older scripts: the database is asked, not a server
    #[arg(long, hide = true)]
    endpoint: Option<String>,
    #[command(flatten)]
    pace: Pace,
}

impl Janitor {
    /// The configuration files, in order.
    pub const fn files(&mut self) -> &mut Vec<PathBuf> {
        self.database.files()
    }
}

impl Flush {
    /// The configuration files, in order.
    pub const fn files(&mut self) -> &mut Vec<PathBuf> {
        self.database.files()
    }
}

/// Runs `janitor`.
///
/// # Errors
/// No DSN, nothing to delete named, a database that cannot be used.
pub fn run(args: &Janitor) -> anyhow::Result<()> {
    if !(args.tokens || args.requests || args.grants) {
        bail!("what should be deleted? Give --tokens, --requests or --grants, or several of them");
    }
    let of = &args.ages;
    without_effect(&[
        ("--keep-if-younger", &of.keep_if_younger),
        ("--access-lifespan", &of.access_lifespan),
        ("--refresh-lifespan", &of.refresh_lifespan),
        ("--consent-request-lifespan", &of.consent_request_lifespan),
    ]);
    sweep(&args.database.dsn()?, &args.pace)
}

/// Runs `token flush`.
///
/// # Errors
/// No DSN, a database that cannot be used.
pub fn flush(args: &Flush) -> anyhow::Result<()> {
    if args.endpoint.is_some() && !args.database.is_named() {
        bail!(
            "the server deletes expired tokens by itself; to do it by hand, give the database's DSN, \
             or -e to take it from the environment"
        );
    }
    without_effect(&[("--min-age", &args.min_age)]);
    sweep(&args.database.dsn()?, &args.pace)
}

fn without_effect(flags: &[(&str, &Option<String>)]) {
    let given: Vec<&str> = flags.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| *name).collect();
    if !given.is_empty() {
        eprintln!("Without effect: {}. Each row holds the time at which it is over.", given.join(", "));
    }
}

fn sweep(dsn: &str, pace: &Pace) -> anyhow::Result<()> {
    if dsn.trim() == "memory" {
        bail!("DSN=memory lives inside its server, which sweeps it; there is nothing to reach from here");
    }
    let pending = runtime::MigrationPlan::pending(&runtime::migration_status(dsn)?);
    if pending > 0 {
        bail!("{pending} migrations are pending; run `migrate sql` first");
    }
    let mut line = Progress::begin();
    let swept = runtime::sweep(dsn, pace.batch_size, pace.limit, |so_far| {
        line.tell(|| format!("{} rows deleted", so_far.total()))
    });
    line.end();
    let swept = swept?;
    let row =
        |(kind, rows): &(&str, u64)| Row { id: (*kind).to_owned(), cells: vec![(*kind).to_owned(), rows.to_string()] };
    say(&Show::table(&["DELETED", "ROWS"], &swept.kinds().iter().map(row).collect::<Vec<_>>()))?;
    if swept.reached(pace.limit) {
        eprintln!("The limit was reached; there may be more.");
    }
    Ok(())
}
