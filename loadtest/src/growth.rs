//! What a large database costs: the same scenarios before seeding and after each step of it.

use anyhow::{Result, bail};

use crate::measure::Bench;
use crate::report::Report;
use crate::scenarios::Kind;
use crate::seed::Shape;
use crate::target::Target;
use crate::{postgres, run_set, seed};

/// How it is done.
pub struct Options {
    /// Rows of each kind, smallest first.
    pub rows: Vec<u64>,
    /// The ballast stays.
    pub keep: bool,
    pub shape: Shape,
}

/// What touches the tables that grow.
fn kinds() -> [Kind; 3] {
    [
        Kind::ClientCredentials { strategy: "opaque".to_owned(), clients: 1, zipf: false },
        Kind::Introspect { strategy: "opaque".to_owned(), tokens: 5_000, invalid: false },
        Kind::Refresh { id_token: false, duplicates: 0, chains: 4 },
    ]
}

/// Runs the scenarios at every size, smallest first, and prints what share of the first throughput is left.
pub async fn run(bench: &Bench, target: &Target, dsn: &str, options: &Options) -> Result<Vec<Report>> {
    if !options.rows.is_sorted() {
        bail!("--rows must begin with the smallest");
    }
    let client = postgres::connect(dsn).await?;
    let (mut reports, mut seeded) = (step(bench, target, 0).await?, 0);
    let first: Vec<f64> = reports.iter().map(|report| report.per_second).collect();
    let mut lines = vec![line(0, &reports, &first, seed::size(&client).await?)];
    for rows in &options.rows {
        seed::fill(&client, seeded..*rows, options.shape).await?;
        seeded = *rows;
        let found = step(bench, target, seeded).await?;
        lines.push(line(seeded, &found, &first, seed::size(&client).await?));
        reports.extend(found);
    }
    println!(
        "| rows of each kind | client_credentials | introspection | refresh | tables and indexes, MB | dead rows |"
    );
    println!("|---:|---:|---:|---:|---:|---:|");
    lines.iter().for_each(|line| println!("{line}"));
    if !options.keep {
        seed::remove(&client).await?;
    }
    Ok(reports)
}

async fn step(bench: &Bench, target: &Target, rows: u64) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for kind in kinds() {
        let mut report = kind.run(bench, target).await?;
        report.scenario = format!("{}, {rows} rows of ballast", report.scenario);
        reports.push(run_set::shown(report));
    }
    Ok(reports)
}

fn line(rows: u64, reports: &[Report], first: &[f64], (megabytes, dead): (f64, i64)) -> String {
    let share = |(report, first): (&Report, &f64)| {
        format!("{:.0}/s ({:.2} of before)", report.per_second, report.per_second / first.max(f64::MIN_POSITIVE))
    };
    let shares: Vec<_> = reports.iter().zip(first).map(share).collect();
    format!("| {rows} | {} | {megabytes:.0} | {dead} |", shares.join(" | "))
}
