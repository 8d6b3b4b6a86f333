//! `import hydra`: from a database of Hydra's into the one of these settings.
//!
//! Invariant: no secret is printed, and what could not be taken over is told and ends with 1.

use std::path::PathBuf;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::clients::bytes_of;
use super::config::{environment, refused};
use super::output::{Progress, Row, Show, text};
use crate::config::{self, Mode, Settings, Sources};
use crate::runtime::{self, HydraMove, HydraPart, HydraReport};

const HEADERS: [&str; 6] = ["PART", "NEW", "CHANGED", "SAME", "LEFT", "REFUSED"];
const FIELDS: [&str; 6] = ["part", "new", "changed", "same", "left", "refused"];
const REMARKS: [&str; 4] = ["PART", "ID", "WHAT", "WHY"];

/// `import hydra`.
#[derive(Debug, clap::Args)]
pub struct ImportHydra {
    /// DSN of Hydra's database: postgres://… or sqlite://…; it is only read
    #[arg(long, value_name = "DSN", env = "HYDRA_DSN", hide_env_values = true)]
    from: String,
    /// Hydra's secrets.system, all of them, separated by commas. Other users of this machine see a command's arguments, so
    /// better in the environment
    #[arg(long, value_name = "SECRET", env = "HYDRA_SECRETS_SYSTEM", hide_env_values = true, value_delimiter = ',')]
    secrets_system: Vec<String>,
    /// The same from a file, one secret on a line; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    secrets_system_file: Option<PathBuf>,
    /// Which parts: clients, keys, subjects, consents, issuers [default: all]
    #[arg(long, value_name = "PART", value_delimiter = ',', value_parser = part)]
    only: Vec<HydraPart>,
    /// Read and judge everything, write nothing
    #[arg(long)]
    dry_run: bool,
    /// A configuration file of the servers here, for dsn and secrets.system; the environment counts as well
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub config: Vec<PathBuf>,
    #[command(flatten)]
    show: Show,
}

fn part(text: &str) -> Result<HydraPart, String> {
    let named = HydraPart::ALL.into_iter().find(|part| part.part() == text.trim());
    named.ok_or_else(|| format!("use {}", HydraPart::ALL.map(HydraPart::part).join(", ")))
}

/// Moves, and prints what became of everything.
///
/// # Errors
/// Settings, databases and secrets that do not fit; things that could not be taken over, after they were told.
pub fn run(args: &ImportHydra) -> anyhow::Result<()> {
    let settings = settings(&args.config)?;
    let parts = HydraPart::ALL.into_iter().filter(|part| args.only.is_empty() || args.only.contains(part)).collect();
    let asked = HydraMove { settings, from: args.from.clone(), secrets: secrets(args)?, parts, dry_run: args.dry_run };
    if asked.parts.contains(&HydraPart::Keys) && asked.secrets.is_empty() {
        bail!(
            "Hydra's keys are sealed under its secrets.system: give it in HYDRA_SECRETS_SYSTEM or by \
             --secrets-system-file, or leave the keys out with --only"
        );
    }
    let pending = runtime::migration_status(&asked.settings.dsn)?.iter().filter(|step| !step.applied).count();
    if pending > 0 {
        bail!("{pending} migrations are pending here; run `migrate sql` first");
    }
    let mut line = Progress::begin();
    let report = runtime::move_from_hydra(&asked, |so_far| line.tell(|| format!("{} rows looked at", so_far.seen())));
    line.end();
    let report = report?;
    print(args, &report)?;
    match report.refused() {
        0 => Ok(()),
        1 => bail!("one thing could not be taken over; see above"),
        many => bail!("{many} things could not be taken over; see above"),
    }
}

fn secrets(args: &ImportHydra) -> anyhow::Result<Vec<String>> {
    let mut all = args.secrets_system.clone();
    if let Some(file) = &args.secrets_system_file {
        let text = String::from_utf8(bytes_of(file)?).with_context(|| file.display().to_string())?;
        all.extend(text.lines().map(str::to_owned));
    }
    all.retain(|secret| !secret.is_empty());
    Ok(all)
}

/// Only the database, its secret and the rules for clients are used, so the checks on everything else are those of
/// development. A secret that is made up would seal for nobody.
fn settings(files: &[PathBuf]) -> anyhow::Result<Settings> {
    let sources = Sources { files: files.to_vec(), env: environment(), flags: Vec::new(), mode: Mode::Dev };
    let settings = config::load(&sources).map_err(|faults| refused(&faults))?;
    if settings.secrets.made_up {
        bail!("secrets.system is not set: give the one of the servers here, as SECRETS_SYSTEM or in a file with -c");
    }
    if settings.dsn.trim() == "memory" {
        bail!("DSN=memory lives inside its server; a move needs a database that stays");
    }
    Ok(settings)
}

fn print(args: &ImportHydra, report: &HydraReport) -> anyhow::Result<()> {
    let json = shown(report, args.dry_run);
    let parts = rows(&json, "parts", &FIELDS);
    let remarks = rows(&json, "remarks", &["part", "id", "what", "why"]);
    let mut more = String::new();
    if !remarks.is_empty() {
        more.push_str(&format!("\n\n{}", Show::table(&REMARKS, &remarks)));
    }
    if args.dry_run {
        more.push_str("\n\nNothing was written.");
    }
    args.show.list(&HEADERS, &parts, &json, &more)
}

fn shown(report: &HydraReport, dry_run: bool) -> Value {
    let tally = |(part, t): (&HydraPart, &runtime::Tally)| {
        json!({
            "part": part.part(), "new": t.new, "changed": t.changed, "same": t.same, "left": t.left, "refused": t.refused,
        })
    };
    let remark = |r: &runtime::Remark| json!({"part": r.part.part(), "id": r.id, "what": r.what, "why": r.why});
    json!({
        "dry_run": dry_run,
        "parts": report.parts.iter().map(tally).collect::<Vec<_>>(),
        "remarks": report.remarks.iter().map(remark).collect::<Vec<_>>(),
    })
}

fn rows(json: &Value, list: &str, fields: &[&str]) -> Vec<Row> {
    let row = |item: &Value| {
        let cells: Vec<String> = fields.iter().map(|field| text(item, field)).collect();
        Row { id: cells.first().cloned().unwrap_or_default(), cells }
    };
    json.get(list).and_then(Value::as_array).map(|items| items.iter().map(row).collect()).unwrap_or_default()
}
