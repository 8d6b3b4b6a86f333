//! All scenarios and the limits they are held against, round after round, and the markdown that says so. The figures
//! worth quoting are the ratios: they were measured in the same minutes on the same machine.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;

use crate::bare::BareServer;
use crate::drive::Pace;
use crate::measure::Bench;
use crate::report::{MARKDOWN_HEADING, Report, markdown_row, table, warning};
use crate::scenarios::{Target, TestClient};

/// Names of the reports the ratios are built from.
const BARE_HTTP: &str = "bare-http";
const OPAQUE: &str = "client-credentials opaque";
const JWT: &str = "client-credentials jwt";
const INTROSPECT: &str = "introspect opaque";
const REVOKE: &str = "revoke";

/// Sizes of the set.
#[derive(Clone, Copy, Debug)]
pub struct SetSize {
    pub rounds: usize,
    pub introspected: usize,
    pub revoked: usize,
    /// Rows a commit of the batched insert.
    pub batch: usize,
}

/// The bare handler, driven like a server.
pub async fn bare_http(bench: &Bench) -> Result<Report> {
    let server = BareServer::start()?;
    let bench = Bench { postgres: None, ..bench.watching("bare", server.pid()) };
    bench.http(BARE_HTTP, server.source()).await
}

/// `clients` clients taking turns at the token endpoint.
pub async fn client_credentials(bench: &Bench, target: &Target, strategy: &str, clients: usize) -> Result<Report> {
    let mut made = Vec::new();
    for _ in 0..clients {
        made.push(target.create_client(strategy).await?);
    }
    let report = bench.http(&format!("client-credentials {strategy}"), target.client_credentials(&made)?).await;
    for client in &made {
        forget(target, client).await;
    }
    report
}

/// `tokens` live tokens introspected in turn.
pub async fn introspect(bench: &Bench, target: &Target, strategy: &str, tokens: usize) -> Result<Report> {
    let client = target.create_client(strategy).await?;
    let issued = target.issue(&client, tokens).await?;
    let report = bench.http(&format!("introspect {strategy}"), target.introspect(&issued)?).await;
    forget(target, &client).await;
    report
}

/// `tokens` live tokens revoked, each once.
pub async fn revoke(bench: &Bench, target: &Target, tokens: usize) -> Result<Report> {
    let client = target.create_client("opaque").await?;
    let issued = target.issue(&client, tokens).await?;
    // Every token is good for one request: a long warm-up would leave none to measure.
    let pace = Pace { warmup: bench.pace.warmup.min(Duration::from_secs(1)), ..bench.pace };
    let bench = Bench { pace, ..bench.clone() };
    let report = bench.http(REVOKE, target.revoke(&client, &issued)).await;
    forget(target, &client).await;
    report
}

/// Deletes a client. A server that cannot must not cost the figures just measured.
async fn forget(target: &Target, client: &TestClient) {
    if let Err(error) = target.delete_client(client).await {
        eprintln!("a client of the load test was left behind: {error:#}");
    }
}

/// Every scenario once, in the same order each round: capacity in a closed loop, then the latency of the two that
/// matter most at half of it.
async fn round(bench: &Bench, target: &Target, size: SetSize) -> Result<Vec<Report>> {
    let mut reports = vec![shown(bare_http(bench).await?)];
    if let Some(dsn) = &bench.postgres {
        reports.push(shown(bench.insert(dsn, 1, 1).await?));
        reports.push(shown(bench.insert(dsn, size.batch, 2).await?));
    }
    let issued = shown(client_credentials(bench, target, "opaque", 1).await?);
    let half = bench.at_rate(issued.per_second / 2.0);
    reports.push(issued);
    reports.push(shown(client_credentials(&half, target, "opaque", 1).await?));
    reports.push(shown(client_credentials(bench, target, "jwt", 1).await?));
    let introspected = shown(introspect(bench, target, "opaque", size.introspected).await?);
    let half = bench.at_rate(introspected.per_second / 2.0);
    reports.push(introspected);
    reports.push(shown(introspect(&half, target, "opaque", size.introspected).await?));
    reports.push(shown(revoke(bench, target, size.revoked).await?));
    Ok(reports)
}

fn shown(report: Report) -> Report {
    print!("{}", table(&report));
    report
}

/// Runs the set and answers every report, by round.
pub async fn run(bench: &Bench, target: &Target, size: SetSize) -> Result<Vec<Vec<Report>>> {
    let mut rounds = Vec::new();
    for number in 1..=size.rounds {
        println!("round {number} of {}", size.rounds);
        rounds.push(round(bench, target, size).await?);
    }
    Ok(rounds)
}

/// The whole of a results file.
pub fn markdown(rounds: &[Vec<Report>], batch: usize) -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut text = format!(
        "# Load test results\n\nServer, database and generator shared one machine with {cores} cores, so absolute \
         figures are low; the ratios below compare runs of the same minutes.\n\n## Ratios\n\n\
         Median over the rounds, with the lowest and the highest.\n\n| what | ratio | range |\n|---|---:|---|\n"
    );
    let single = "bare-insert 1/commit".to_owned();
    let batched = format!("bare-insert {batch}/commit");
    for (scenario, limit) in [
        (OPAQUE, BARE_HTTP),
        (OPAQUE, single.as_str()),
        (OPAQUE, batched.as_str()),
        (JWT, BARE_HTTP),
        (INTROSPECT, BARE_HTTP),
        (REVOKE, BARE_HTTP),
        (batched.as_str(), single.as_str()),
    ] {
        if let Some((low, median, high)) = ratio(rounds, scenario, limit) {
            let _ = writeln!(text, "| {scenario} : {limit} | {median:.2} | {low:.2} to {high:.2} |");
        }
    }
    for (number, reports) in rounds.iter().enumerate() {
        let _ = write!(text, "\n## Round {}\n\n{MARKDOWN_HEADING}", number + 1);
        reports.iter().for_each(|report| text.push_str(&markdown_row(report)));
        for (report, warning) in reports.iter().filter_map(|report| Some((report, warning(report)?))) {
            let _ = writeln!(text, "\nVoid: {} ({warning}).", report.scenario);
        }
    }
    text
}

fn ratio(rounds: &[Vec<Report>], scenario: &str, limit: &str) -> Option<(f64, f64, f64)> {
    // The first of a name is the closed loop; a rate of nothing divides nothing.
    let rate = |reports: &[Report], name: &str| {
        let found = reports.iter().find(|report| report.scenario == name)?.per_second;
        (found > 0.0).then_some(found)
    };
    let mut found: Vec<f64> =
        rounds.iter().filter_map(|reports| Some(rate(reports, scenario)? / rate(reports, limit)?)).collect();
    found.sort_by(f64::total_cmp);
    Some((*found.first()?, *found.get(found.len() / 2)?, *found.last()?))
}
