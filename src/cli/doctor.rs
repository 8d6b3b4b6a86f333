//! `doctor`: what is wrong with a set-up, and what mends it.
//!
//! Invariant: nothing is changed, no secret is printed, and the exit code says whether anything is wrong.

use std::time::Duration;

use anyhow::bail;
use serde_json::json;

use super::config::Files;
use super::output::{Format, Row, Show, one_line, say};
use crate::runtime::{self, Asked, CHECKS, Finding, Report, Severity};

/// `doctor`.
#[derive(Debug, clap::Args)]
pub struct Doctor {
    /// Base URL of the public listener [default: as the configuration binds it]
    #[arg(long, value_name = "URL")]
    public: Option<String>,
    /// Base URL of the admin listener [default: as the configuration binds it]
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// How many servers share the database
    #[arg(long, value_name = "N", default_value_t = 1)]
    replicas: usize,
    /// End with 1 for warnings too
    #[arg(long)]
    strict: bool,
    /// List every fault that is looked for, with its name and meaning
    #[arg(long)]
    list: bool,
    /// How long each answer may take
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = super::api::duration)]
    timeout: Duration,
    #[command(flatten)]
    pub files: Files,
    #[command(flatten)]
    show: Show,
}

/// Looks, tells, and ends with an error when there is one.
///
/// # Errors
/// Faults that were found.
pub async fn run(args: Doctor) -> anyhow::Result<()> {
    if args.list {
        return list(&args.show);
    }
    let url = |given: &Option<String>, flag: &str| {
        given.as_deref().map(|url| super::api::web_url(url, flag).map(|url| url.to_string())).transpose()
    };
    let asked = Asked {
        sources: args.files.sources(),
        public: url(&args.public, "--public")?,
        admin: url(&args.admin, "--admin")?,
        replicas: args.replicas,
        patience: args.timeout,
    };
    let report = runtime::examine(&asked).await?;
    if args.show.format == Format::Table && !args.show.quiet {
        say(&told(&report))?;
    } else {
        shown(&args.show, &report)?;
    }
    let count = |severity| report.findings.iter().filter(|f| f.severity == severity).count();
    match (count(Severity::Error), count(Severity::Warning)) {
        (0, 0) => Ok(()),
        (0, _) if !args.strict => Ok(()),
        (0, warnings) => bail!("doctor: {}", counted(warnings, "warning")),
        (errors, _) => bail!("doctor: {}", counted(errors, "error")),
    }
}

fn counted(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// The findings by group, each with its remedy, and their count.
fn told(report: &Report) -> String {
    let mut text = format!("Looked at {}.\n", report.looked_at.join(", "));
    let mut group = "";
    for finding in &report.findings {
        let here = finding.check.id().split('.').next().unwrap_or_default();
        if here != group {
            text.push_str(&format!("\n{here}\n"));
            group = here;
        }
        let mark = match finding.severity {
            Severity::Error => '✗',
            Severity::Warning => '!',
            Severity::Info => '·',
        };
        let Finding { check, place, what, fix, .. } = finding;
        text.push_str(&format!("  {mark} {} at {}: {}\n", check.id(), one_line(place), one_line(what)));
        text.push_str(&format!("      → {}\n", one_line(fix)));
    }
    let count = |severity| report.findings.iter().filter(|f| f.severity == severity).count();
    let (errors, warnings, infos) = (count(Severity::Error), count(Severity::Warning), count(Severity::Info));
    text.push_str(&match errors + warnings + infos {
        0 => "Nothing is wrong.".to_owned(),
        _ => format!("\n{}, {}, {infos} to know.", counted(errors, "error"), counted(warnings, "warning")),
    });
    text
}

fn shown(show: &Show, report: &Report) -> anyhow::Result<()> {
    let one = |f: &Finding| {
        json!({
            "id": f.check.id(), "severity": f.severity.as_str(), "what": f.what, "where": f.place, "fix": f.fix,
        })
    };
    let count = |severity| report.findings.iter().filter(|f| f.severity == severity).count();
    let json = json!({
        "errors": count(Severity::Error), "warnings": count(Severity::Warning), "infos": count(Severity::Info),
        "looked_at": report.looked_at,
        "findings": report.findings.iter().map(one).collect::<Vec<_>>(),
    });
    let row = |f: &Finding| Row { id: f.check.id().to_owned(), cells: Vec::new() };
    show.list(&[], &report.findings.iter().map(row).collect::<Vec<_>>(), &json, "")
}

fn list(show: &Show) -> anyhow::Result<()> {
    let cells =
        |check: &runtime::Check| [check.id(), check.severity().as_str(), check.meaning()].map(str::to_owned).to_vec();
    let rows: Vec<Row> = CHECKS.iter().map(|check| Row { id: check.id().to_owned(), cells: cells(check) }).collect();
    let one = |check: &runtime::Check| json!({"id": check.id(), "severity": check.severity().as_str(), "meaning": check.meaning()});
    let json = json!({"items": CHECKS.iter().map(one).collect::<Vec<_>>()});
    show.list(&["ID", "SEVERITY", "MEANING"], &rows, &json, "")
}
