//! Ballast: rows as a Signet database would hold them after months, put in by COPY. They belong to a client that does
//! not exist and no token of them was ever issued, so they cannot be introspected; they make tables and indexes large.

mod ballast;
mod indexes;

use std::io::IsTerminal as _;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Args;
use futures_util::SinkExt as _;
use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use self::ballast::{ENDING, Facts, TABLES, Table, is_ballast};
use crate::postgres;

/// Rows of one COPY.
const STEP: u64 = 50_000;
/// From so many rows on it is quicker to make the indexes again.
const MANY: u64 = 500_000;
/// Bytes of one message.
const MESSAGE: usize = 64 * 1024;
/// What is written at the same time: each line by a connection of its own.
const LANES: [&[Table]; 2] = [&[Table::RefreshToken, Table::TokenFamily], &[Table::AccessToken, Table::Consent]];
/// Megabytes of a table and of its indexes, its parts included, and the rows that are dead and not yet vacuumed.
const SIZES: &str = "
    SELECT name, (sum(pg_table_size(oid)) / 1048576.0)::float8, (sum(pg_indexes_size(oid)) / 1048576.0)::float8,
           sum(n_dead_tup)::bigint
    FROM (SELECT coalesce(pg_partition_root(c.oid), c.oid)::regclass::text AS name, c.oid, coalesce(n_dead_tup, 0) AS n_dead_tup
          FROM pg_class c LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid WHERE c.relkind = 'r') t
    WHERE name = ANY ($1::text[]) GROUP BY name ORDER BY name";

/// What the ballast is like.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Shape {
    /// Percent of the tokens whose time is over, to give the janitor work.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=100))]
    pub expired: u8,
    /// All access tokens are one machine client's: the most lopsided statistics a planner can meet.
    #[arg(long)]
    pub one_client: bool,
}

/// A table's size.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TableSize {
    pub name: String,
    pub rows_mb: f64,
    pub indexes_mb: f64,
    pub dead: i64,
}

/// Puts in the rows of these numbers, of each kind, and lets PostgreSQL settle.
pub async fn fill(dsn: &str, rows: Range<u64>, shape: Shape) -> Result<()> {
    fill_beside(dsn, rows, shape, async |_| Ok(())).await
}

/// The same, and after each step `beside` is told which share of the rows is there.
pub async fn fill_beside<F>(dsn: &str, rows: Range<u64>, shape: Shape, mut beside: F) -> Result<()>
where
    F: AsyncFnMut(f64) -> Result<()>,
{
    let client = postgres::connect(dsn).await?;
    let facts = Arc::new(Facts::read(&client, shape).await.context("cannot seed: is this a Signet database?")?);
    let many = rows.end.saturating_sub(rows.start) >= MANY;
    let put_away = if many { indexes::drop_secondary(&client, &TABLES).await? } else { Vec::new() };
    let filled = steps(dsn, rows, &facts, &mut beside).await;
    // Whatever happened, nobody must find a database without its indexes.
    indexes::create(&client, &put_away).await?;
    filled?;
    settle(dsn).await
}

async fn steps<F>(dsn: &str, rows: Range<u64>, facts: &Arc<Facts>, beside: &mut F) -> Result<()>
where
    F: AsyncFnMut(f64) -> Result<()>,
{
    let (began, total, mut next) = (Instant::now(), rows.end.saturating_sub(rows.start), rows.start);
    while next < rows.end {
        let last = (next + STEP).min(rows.end);
        let [one, two] = LANES.map(|lane| tokio::spawn(copy(dsn.to_owned(), lane, next..last, Arc::clone(facts))));
        one.await??;
        two.await??;
        let share = |row: u64| (row - rows.start) as f64 / total as f64;
        let (before, share) = (share(next), share(last));
        next = last;
        beside(share).await?;
        bar((before, share), next, began);
    }
    Ok(())
}

/// One connection's tables, one after the other.
async fn copy(dsn: String, tables: &'static [Table], rows: Range<u64>, facts: Arc<Facts>) -> Result<()> {
    let client = postgres::connect(&dsn).await?;
    // A lost tail of ballast is no loss.
    client.batch_execute("SET synchronous_commit = off").await?;
    for table in tables {
        let sink = client.copy_in::<_, Bytes>(table.copy()).await.context("cannot seed")?;
        let mut sink = std::pin::pin!(sink);
        let mut text = String::with_capacity(MESSAGE * 2);
        for n in rows.clone() {
            facts.line(*table, n, &mut text);
            if text.len() >= MESSAGE {
                sink.send(Bytes::from(std::mem::take(&mut text))).await.context("cannot seed")?;
            }
        }
        sink.send(Bytes::from(text)).await.context("cannot seed")?;
        sink.finish().await.context("cannot seed: is this ballast there already? Take it out with seed --remove")?;
    }
    Ok(())
}

/// How far it is; where nobody watches, a line for every tenth.
fn bar((before, share): (f64, f64), rows: u64, began: Instant) {
    let (tenths, left) = ((share * 10.0) as usize, began.elapsed().as_secs_f64() * (1.0 - share) / share);
    let line = format!("[{:<10}] {rows} rows of each kind, {left:.0} s left", "#".repeat(tenths));
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{line}{}", if share >= 1.0 { "\n" } else { "" });
    } else if tenths > (before * 10.0) as usize {
        eprintln!("{line}");
    }
}

/// Takes all ballast out.
pub async fn remove(dsn: &str) -> Result<()> {
    let client = postgres::connect(dsn).await?;
    for table in TABLES {
        let statement = format!("DELETE FROM {table} WHERE {}", is_ballast());
        client.execute(&statement, &[]).await.context("cannot remove the ballast")?;
    }
    settle(dsn).await?;
    eprintln!("ballast removed");
    Ok(())
}

/// Tokens whose time is over and that are still there.
pub async fn expired(client: &Client) -> Result<u64> {
    let mut sum = 0;
    for table in ENDING {
        let row = client.query_one(&format!("SELECT count(*) FROM {table} WHERE expires_at < now()"), &[]).await?;
        sum += u64::try_from(row.try_get::<_, i64>(0)?)?;
    }
    Ok(sum)
}

/// Takes out the tokens whose time is over, so that the janitor has nothing to do.
pub async fn remove_expired(dsn: &str) -> Result<()> {
    let client = postgres::connect(dsn).await?;
    for table in ENDING {
        client.execute(&format!("DELETE FROM {table} WHERE expires_at < now()"), &[]).await?;
    }
    settle(dsn).await
}

/// What an idle night would have done.
pub async fn settle(dsn: &str) -> Result<()> {
    let client = postgres::connect(dsn).await?;
    // Neither may run in a transaction, so each is a statement of its own. A role that is no superuser may be refused
    // the checkpoint.
    client.batch_execute(&format!("VACUUM (ANALYZE) {}", TABLES.join(", "))).await?;
    if let Err(error) = client.batch_execute("CHECKPOINT").await {
        eprintln!("no checkpoint: {error}");
    }
    Ok(())
}

/// The sizes of the seeded tables.
pub async fn sizes(client: &Client) -> Result<Vec<TableSize>> {
    let rows = client.query(SIZES, &[&TABLES.as_slice()]).await?;
    let table = |row: &tokio_postgres::Row| {
        let (name, rows_mb, indexes_mb, dead) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        Ok(TableSize { name, rows_mb, indexes_mb, dead })
    };
    rows.iter().map(table).collect()
}
