//! `migrate sql [up|status|down]` and `migrate status`: the plan, the question, the change.
//!
//! Invariant: nothing is changed before the plan was shown and somebody said yes.

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};

use super::config::{environment, refused};
use super::output::{Row, Show, say};
use crate::config::{self, Mode, Sources};
use crate::runtime::{self, MigrationPlan};

/// `migrate …`.
#[derive(Debug, clap::Subcommand)]
pub enum Migrate {
    /// Bring a database to this release's schema
    #[command(after_help = super::help::MIGRATE)]
    Sql(Sql),
    /// Show which migrations are applied
    #[command(after_help = super::help::MIGRATE_STATUS)]
    Status(Status),
}

/// Where the database is.
#[derive(Debug, Clone, clap::Args)]
pub struct Database {
    /// postgres://… or sqlite://…
    dsn: Option<String>,
    /// Take the DSN from the environment (DSN) or the configuration
    #[arg(short = 'e', long)]
    read_from_env: bool,
    /// A configuration file that names the DSN
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    config: Vec<PathBuf>,
}

/// Flags of an upward migration.
#[derive(Debug, clap::Args)]
pub struct Up {
    #[command(flatten)]
    database: Database,
    /// Do not ask
    #[arg(short = 'y', long)]
    yes: bool,
}

/// `migrate sql [dsn]`, or with a verb.
#[derive(Debug, clap::Args)]
pub struct Sql {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    up: Up,
}

/// `migrate sql …`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Apply what is pending
    #[command(after_help = super::help::MIGRATE)]
    Up(Up),
    /// Show which migrations are applied
    #[command(after_help = super::help::MIGRATE_STATUS)]
    Status(Status),
    /// Not offered: migrations go forward only
    #[command(after_help = super::help::MIGRATE_DOWN)]
    Down(Down),
}

/// Flags of `migrate status`.
#[derive(Debug, clap::Args)]
pub struct Status {
    #[command(flatten)]
    database: Database,
    /// Wait until nothing is pending
    #[arg(long)]
    block: bool,
}

/// Whatever `down` was given.
#[derive(Debug, clap::Args)]
pub struct Down {
    /// Not regarded
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<String>,
}

/// Runs one of them.
///
/// # Errors
/// No DSN, a database that cannot be reached, a "no" to the question.
pub fn run(command: Migrate) -> anyhow::Result<()> {
    match command {
        Migrate::Sql(Sql { verb: None, up }) => upward(&up),
        Migrate::Sql(Sql { verb: Some(Verb::Up(up)), up: before }) => {
            upward(&Up { database: up.database.after(before.database), yes: up.yes || before.yes })
        }
        Migrate::Sql(Sql { verb: Some(Verb::Status(args)), up: before }) => {
            status(&Status { database: args.database.after(before.database), block: args.block })
        }
        Migrate::Status(args) => status(&args),
        Migrate::Sql(Sql { verb: Some(Verb::Down(_)), .. }) => {
            bail!("migrations go forward only: to go back, restore the backup made before migrating")
        }
    }
}

impl Migrate {
    /// The configuration files nearest to the command's beginning.
    pub fn files(&mut self) -> &mut Vec<PathBuf> {
        match self {
            Self::Sql(sql) => {
                let before = &mut sql.up.database.config;
                match &mut sql.verb {
                    Some(Verb::Up(Up { database, .. }) | Verb::Status(Status { database, .. })) => {
                        before.append(&mut database.config);
                    }
                    Some(Verb::Down(_)) | None => {}
                }
                before
            }
            Self::Status(args) => &mut args.database.config,
        }
    }
}

impl Database {
    /// Flags may stand before the verb as well: `migrate sql -e up` is `migrate sql up -e`.
    fn after(mut self, before: Self) -> Self {
        self.dsn = self.dsn.or(before.dsn);
        self.read_from_env |= before.read_from_env;
        self.config.splice(0..0, before.config);
        self
    }

    /// The configuration files, in order.
    pub const fn files(&mut self) -> &mut Vec<PathBuf> {
        &mut self.config
    }

    /// Whether anything says where it is.
    pub fn is_named(&self) -> bool {
        self.dsn.is_some() || self.read_from_env || !self.config.is_empty()
    }

    /// The DSN, from wherever it is.
    ///
    /// # Errors
    /// When nothing names it, or a configuration has faults.
    pub fn dsn(&self) -> anyhow::Result<String> {
        match (&self.dsn, self.read_from_env || !self.config.is_empty()) {
            (Some(dsn), _) if !dsn.is_empty() => Ok(dsn.clone()),
            (_, true) => {
                // Only the DSN is used, so the checks on everything else are those of development.
                let sources =
                    Sources { files: self.config.clone(), env: environment(), flags: Vec::new(), mode: Mode::Dev };
                let settings = config::load(&sources).map_err(|faults| refused(&faults))?;
                Ok(settings.dsn.to_string())
            }
            _ => bail!("which database? Give its DSN as an argument, or -e to take it from the environment"),
        }
    }
}

fn upward(up: &Up) -> anyhow::Result<()> {
    let dsn = up.database.dsn()?;
    let pending = MigrationPlan::pending(&runtime::migration_status(&dsn)?);
    if pending > 0 && !up.yes && !std::io::stdin().is_terminal() {
        bail!("{pending} migrations are pending and nobody is here to ask; make a backup, then run this with --yes");
    }
    let mut said_no = false;
    let applied = runtime::migrate(&dsn, |plan| {
        let agreed = say(&table(plan)).is_ok() && (up.yes || plan.iter().all(|step| step.applied) || asked());
        said_no = !agreed;
        agreed
    })?;
    if said_no {
        bail!("nothing was changed");
    }
    say(&table(&applied))?;
    say("Successfully applied migrations!")
}

fn asked() -> bool {
    eprint!("Apply these migrations? Make a backup first. [y/N] ");
    let mut line = String::new();
    let read = std::io::stderr().flush().and_then(|()| std::io::stdin().lock().read_line(&mut line));
    read.is_ok() && matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

fn status(args: &Status) -> anyhow::Result<()> {
    let dsn = args.database.dsn()?;
    loop {
        match runtime::migration_status(&dsn) {
            Ok(plan) if !args.block || plan.iter().all(|step| step.applied) => return say(&table(&plan)),
            Ok(plan) => eprintln!("{} migrations are pending.", MigrationPlan::pending(&plan)),
            Err(error) if args.block => eprintln!("{error:#}"),
            Err(error) => return Err(error).context("the database cannot be asked"),
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn table(plan: &[MigrationPlan]) -> String {
    let row = |step: &MigrationPlan| {
        let state = if step.applied { "Applied" } else { "Pending" };
        Row { id: step.version.to_string(), cells: vec![step.version.to_string(), step.name.clone(), state.to_owned()] }
    };
    Show::table(&["VERSION", "NAME", "STATUS"], &plan.iter().map(row).collect::<Vec<_>>())
}
