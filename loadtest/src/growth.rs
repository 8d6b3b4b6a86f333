//! What a large database costs: the same scenarios at every size, tokens that nobody asked for in a long time among
//! them, and at the last size the latency with and without a janitor that has work.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::measure::Bench;
use crate::report::Report;
use crate::scenarios::{Kind, introspect_cold};
use crate::seed::{Shape, TableSize};
use crate::spread::Spread;
use crate::target::{Target, TestClient, machine};
use crate::{postgres, run_set, seed};

const BUFFERS: &str =
    "select current_setting('shared_buffers'), pg_size_bytes(current_setting('shared_buffers'))::bigint";
/// Seconds.
const PATIENCE: u32 = 60;

/// How it is done.
#[derive(Clone, Debug)]
pub struct Options {
    /// Rows of each kind, smallest first.
    pub rows: Vec<u64>,
    pub rounds: usize,
    /// Live tokens that are asked for once in a long while, at most.
    pub cold: u64,
    /// Expired rows of each kind that the janitor is given in every round; 0 leaves it out.
    pub expired: u64,
    /// The ballast stays.
    pub keep: bool,
    pub shape: Shape,
}

/// What it found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Growth {
    pub sizes: Vec<Size>,
    pub shared_buffers: String,
    /// The same as a number.
    #[serde(default)]
    pub buffers_mb: f64,
    pub janitor: Vec<Swept>,
}

/// One size of the database.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Size {
    pub rows: u64,
    pub cold: u64,
    pub tables: Vec<TableSize>,
    pub rounds: Vec<Vec<Report>>,
}

/// The latency of an open loop without and with a janitor at work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Swept {
    pub without: Report,
    pub with: Report,
    /// Expired tokens that went during the second run.
    pub rows: u64,
}

struct Cold {
    client: TestClient,
    tokens: Vec<String>,
}

impl Cold {
    /// So many tokens in all.
    async fn reach(&mut self, target: &Target, count: usize) -> Result<()> {
        let missing = count.saturating_sub(self.tokens.len());
        if missing > 0 {
            self.tokens.extend(target.issue_quietly(&self.client, missing).await?);
        }
        Ok(())
    }
}

/// Runs all sizes, smallest first, and what remains of the ballast is taken out.
pub async fn run(bench: &Bench, target: &Target, dsn: &str, options: &Options) -> Result<Growth> {
    if !options.rows.is_sorted() || options.rows.is_empty() {
        bail!("--rows must begin with the smallest");
    }
    let client = postgres::connect(dsn).await?;
    let mut cold = Cold { client: target.create_client(&long_lived()?).await?, tokens: Vec::new() };
    let (mut sizes, mut seeded) = (Vec::new(), 0);
    for rows in &options.rows {
        // Among the ballast, not behind it: all pages of the table hold some.
        let wanted = options.cold.min(*rows) as f64;
        seed::fill_beside(dsn, seeded..*rows, options.shape, async |share| {
            cold.reach(target, (wanted * share) as usize).await
        })
        .await?;
        seeded = *rows;
        calm(target).await?;
        sizes.push(size(bench, target, &client, &cold, (seeded, options.rounds)).await?);
    }
    let janitor = janitor(bench, target, (dsn, &client), &sizes, options).await?;
    let row = client.query_one(BUFFERS, &[]).await?;
    let (shared_buffers, buffers_mb) = (row.try_get(0)?, row.try_get::<_, i64>(1)? as f64 / 1048576.0);
    if !options.keep {
        seed::remove(dsn).await?;
    }
    target.forget(&[cold.client]).await;
    Ok(Growth { sizes, shared_buffers, buffers_mb, janitor })
}

/// Waits until the server takes a change again: while indexes came back it waited for locks, and may still do.
async fn calm(target: &Target) -> Result<()> {
    for _ in 0..PATIENCE {
        match target.create_client(&machine("opaque")).await {
            Ok(client) => {
                target.forget(&[client]).await;
                return Ok(());
            }
            Err(error) => eprintln!("not yet: {error:#}"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    bail!("the server takes no change {PATIENCE} seconds after the seeding")
}

/// Its tokens must outlive the seeding.
fn long_lived() -> Result<Value> {
    let mut client = machine("opaque");
    let members = client.as_object_mut().context("no object")?;
    members.insert("client_credentials_grant_access_token_lifespan".to_owned(), json!("24h"));
    Ok(client)
}

async fn size(
    bench: &Bench,
    target: &Target,
    client: &Client,
    cold: &Cold,
    (rows, rounds): (u64, usize),
) -> Result<Size> {
    let tables = seed::sizes(client).await?;
    let mut found = Vec::new();
    for _ in 0..rounds {
        let mut reports = vec![run_set::bare_http(bench).await?];
        for kind in kinds() {
            bench.quiet().await;
            reports.push(kind.run(bench, target).await?);
        }
        bench.quiet().await;
        reports.push(introspect_cold(target, &cold.tokens)?.run(bench, target).await?);
        for report in &mut reports {
            report.scenario.push_str(&format!(", {rows} rows"));
        }
        found.push(reports.into_iter().map(run_set::shown).collect());
    }
    Ok(Size { rows, cold: cold.tokens.len() as u64, tables, rounds: found })
}

/// What touches the tables that grow.
pub fn kinds() -> [Kind; 3] {
    [
        Kind::ClientCredentials { strategy: "opaque".to_owned(), clients: 1, zipf: false },
        Kind::Introspect { strategy: "opaque".to_owned(), tokens: 1_000, invalid: false },
        Kind::Refresh { id_token: false, duplicates: 0, chains: 4 },
    ]
}

/// Half of what the last size could do, with nothing to sweep and then with very much.
async fn janitor(
    bench: &Bench,
    target: &Target,
    (dsn, client): (&str, &Client),
    sizes: &[Size],
    options: &Options,
) -> Result<Vec<Swept>> {
    let mut found = Vec::new();
    let (Some(last), true) = (sizes.last(), options.expired > 0) else { return Ok(found) };
    let [kind, ..] = kinds();
    let capacity = Spread::of(last.rates(run_set::OPAQUE)).context("nothing was measured")?;
    let open = bench.at_rate(capacity.median / 2.0);
    for round in 0..options.rounds as u64 {
        seed::remove_expired(dsn).await?;
        let without = run_set::shown(kind.run(&open, target).await?);
        let from = last.rows + round * options.expired;
        seed::fill(dsn, from..from + options.expired, Shape { expired: 100, ..options.shape }).await?;
        let before = seed::expired(client).await?;
        let with = run_set::shown(kind.run(&open, target).await?);
        let rows = before.saturating_sub(seed::expired(client).await?);
        println!("the janitor swept {rows} tokens meanwhile");
        found.push(Swept { without, with, rows });
    }
    Ok(found)
}

impl Size {
    /// Successes a second of a scenario, round by round.
    pub fn rates(&self, scenario: &str) -> Vec<f64> {
        let rate = |reports: &Vec<Report>| {
            reports
                .iter()
                .find(|report| report.scenario.split(", ").next() == Some(scenario))
                .map(|report| report.per_second)
        };
        self.rounds.iter().filter_map(rate).collect()
    }
}

impl Growth {
    /// Whether the indexes of the last size do not fit into shared_buffers; nothing when nothing is known of either.
    pub fn outgrows_buffers(&self) -> Option<bool> {
        let indexes: f64 = self.sizes.last()?.tables.iter().map(|table| table.indexes_mb).sum();
        (self.buffers_mb > 0.0 && indexes > 0.0).then_some(indexes > self.buffers_mb)
    }

    /// What of the throughput at the first size is left at the last.
    pub fn left(&self, scenario: &str) -> Option<Spread> {
        let (first, last) = (self.sizes.first()?, self.sizes.last()?);
        Spread::shares(last.rates(scenario).into_iter().zip(first.rates(scenario)))
    }

    /// The same with every rate taken as a share of the bare handler's in its round: without what the machine itself did
    /// between the sizes.
    pub fn left_of_bare(&self, scenario: &str) -> Option<Spread> {
        let shares = |size: &Size| -> Vec<f64> {
            let both = size.rates(scenario).into_iter().zip(size.rates(run_set::BARE_HTTP));
            both.filter(|(_, bare)| *bare > 0.0).map(|(rate, bare)| rate / bare).collect()
        };
        let (first, last) = (self.sizes.first()?, self.sizes.last()?);
        Spread::shares(shares(last).into_iter().zip(shares(first)))
    }

    /// The 99th percentile with a janitor at work over that without; nothing when it had no work.
    pub fn janitor_p99(&self) -> Option<Spread> {
        let worked = self.janitor.iter().filter(|swept| swept.rows > 0);
        Spread::shares(worked.map(|swept| (swept.with.latency_ms.p99, swept.without.latency_ms.p99)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(rows: u64, rates: &[f64]) -> Size {
        let report = |rate: &f64| {
            let name = format!("{}, {rows} rows", run_set::OPAQUE);
            let bare = format!("{}, {rows} rows", run_set::BARE_HTTP);
            // A machine that is half as fast later on.
            let speed = if rows > 10 { 512.0 } else { 1024.0 };
            vec![crate::report::made_up(&bare, speed, 1.0), crate::report::made_up(&name, *rate, 1.0)]
        };
        Size { rows, cold: 0, tables: Vec::new(), rounds: rates.iter().map(report).collect() }
    }

    #[test]
    fn what_is_left_is_the_last_size_against_the_first_round_by_round() {
        let sizes = vec![size(10, &[100.0, 200.0]), size(100, &[5.0, 5.0]), size(1000, &[80.0, 180.0])];
        let growth = Growth { sizes, ..Growth::default() };
        assert_eq!(growth.left(run_set::OPAQUE), Spread::of([0.8, 0.9]));
        assert_eq!(growth.left_of_bare(run_set::OPAQUE), Spread::of([1.6, 1.8]));
        assert_eq!(growth.left("refresh"), None);
    }

    #[test]
    fn a_janitor_without_work_proves_nothing() {
        let swept = |rows, p99| {
            let of = |p99| crate::report::made_up("a", 1.0, p99);
            Swept { without: of(10.0), with: of(p99), rows }
        };
        let growth = |janitor| Growth { janitor, ..Growth::default() };
        assert_eq!(growth(vec![swept(0, 10.0)]).janitor_p99(), None);
        assert_eq!(growth(vec![swept(0, 99.0), swept(5, 11.0)]).janitor_p99(), Some(Spread::single(1.1)));
    }
}
