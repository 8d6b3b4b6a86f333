//! PostgreSQL as a witness (its own counters before and after a run) and as a limit (how fast this disk commits).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::{Context, Result};
use tokio_postgres::{Client, NoTls};

use crate::drive::{Pace, Progress, Window};
use crate::tally::Tally;
use crate::work::Unit;

/// Names of what is counted.
pub const WRITES: &str = "write transactions";
pub const WAL: &str = "wal bytes";
pub const STATEMENTS: &str = "statements";

/// Opens a connection without TLS.
pub async fn connect(dsn: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(dsn, NoTls).await.context("cannot connect to --postgres")?;
    // Its error reaches the caller through the client.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

// Both are exact at the moment of asking. The counters of pg_stat_database are not: a backend publishes them up to a
// second late, ten when it is idle, which would charge the warm-up to the run.
const SERVER: &str = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint, \
     pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint";
// Transaction control is no statement of the application, and neither is this reading.
const CALLS: &str = "select coalesce(sum(s.calls), 0)::bigint, coalesce(sum(s.rows), 0)::bigint \
     from pg_stat_statements s join pg_database d on d.oid = s.dbid where d.datname = current_database() \
     and s.query !~* '^\\s*(begin|commit|rollback|start transaction|set|discard|select 1$)' \
     and s.query !~ 'pg_stat_|pg_current_snapshot'";

/// The counters, by name. Write transactions and WAL are the whole server's; `statements` and `rows` (returned or
/// changed) are the database's and need the extension `pg_stat_statements`.
pub async fn counters(client: &Client) -> Result<BTreeMap<String, i64>> {
    let row = client.query_one(SERVER, &[]).await.context("cannot read the counters of --postgres")?;
    let mut found = BTreeMap::from([(WRITES.to_owned(), row.get(0)), (WAL.to_owned(), row.get(1))]);
    if let Ok(row) = client.query_one(CALLS, &[]).await {
        found.extend([(STATEMENTS.to_owned(), row.get(0)), ("rows".to_owned(), row.get(1))]);
    }
    Ok(found)
}

/// The difference of two readings, per request.
pub fn per_request(
    before: &BTreeMap<String, i64>,
    after: &BTreeMap<String, i64>,
    requests: u64,
) -> BTreeMap<String, f64> {
    let each = |(name, end): (&String, &i64)| {
        let start = before.get(name)?;
        Some((name.clone(), (end - start) as f64 / requests.max(1) as f64))
    };
    after.iter().filter_map(each).collect()
}

const ROW: &str = "insert into signet_loadtest_scratch (id, data, at) values ($1, $2, $3)";
const ROWS: &str =
    "insert into signet_loadtest_scratch (id, data, at) select * from unnest($1::text[], $2::bytea[], $3::bigint[])";
const CREATE: &str = "drop table if exists signet_loadtest_scratch; \
     create table signet_loadtest_scratch (id text primary key, data bytea not null, at bigint not null)";
const DROP: &str = "drop table if exists signet_loadtest_scratch";
/// About the size of a token's row.
const ROW_BYTES: usize = 300;

/// Inserts rows of the size of a token into a scratch table, `batch` rows a commit, until the window ends. One sample
/// is one commit; the caller multiplies by `batch`.
pub async fn insert(dsn: &str, pace: Pace, batch: usize, window: Window, progress: Arc<Progress>) -> Result<Tally> {
    let mut workers = Vec::new();
    for worker in 0..pace.connections {
        let (client, progress) = (connect(dsn).await?, Arc::clone(&progress));
        workers.push(tokio::spawn(async move { insert_loop(&client, worker, batch, window, &progress).await }));
    }
    let mut total = Tally::new()?;
    for worker in workers {
        total.add(&worker.await??)?;
    }
    Ok(total)
}

/// Creates the scratch table.
pub async fn create_scratch(client: &Client) -> Result<()> {
    client.batch_execute(CREATE).await.context("cannot create the scratch table")
}

/// Drops the scratch table.
pub async fn drop_scratch(client: &Client) -> Result<()> {
    client.batch_execute(DROP).await.context("cannot drop the scratch table")
}

async fn insert_loop(
    client: &Client,
    worker: usize,
    batch: usize,
    window: Window,
    progress: &Progress,
) -> Result<Tally> {
    let statement = client.prepare(if batch == 1 { ROW } else { ROWS }).await?;
    let (mut tally, mut round) = (Tally::new()?, 0_u64);
    while Instant::now() < window.end && !progress.stop.load(Ordering::Relaxed) {
        // Spread over the index as a hash would be.
        let id = |n: usize| {
            format!("{:016x}", (round << 20 | n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
                + &format!("-{worker}-{round}-{n}")
        };
        let started = Instant::now();
        let outcome = if batch == 1 {
            client.execute(&statement, &[&id(0), &vec![7_u8; ROW_BYTES], &0_i64]).await
        } else {
            let ids: Vec<String> = (0..batch).map(id).collect();
            let data = vec![vec![7_u8; ROW_BYTES]; batch];
            client.execute(&statement, &[&ids, &data, &vec![0_i64; batch]]).await
        };
        round += 1;
        outcome.context("insert")?;
        progress.done.fetch_add(batch as u64, Ordering::Relaxed);
        if started >= window.measured {
            tally.record(&Unit::done("committed"), started.elapsed())?;
        }
    }
    Ok(tally)
}
