//! A PostgreSQL database of Hydra's, read in one transaction that sees one moment and may not write.

use super::faults;
use super::migrate::connected;
use crate::store::OpenError;
use crate::store::hydra::{BATCH, HydraRow, HydraTable, check, no_network};
use serde_json::Value;
use tokio_postgres::{Error, Transaction};
use uuid::Uuid;

/// A table that is not there has no columns.
const COLUMNS: &str = "
    SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped";
/// Hydra itself serves the first of its networks.
const NETWORK: &str = "SELECT id FROM networks ORDER BY created_at, id LIMIT 1";

async fn columns(tx: &Transaction<'_>, table: &str) -> Result<Vec<String>, Error> {
    tx.query(COLUMNS, &[&table]).await?.iter().map(|row| row.try_get(0)).collect()
}

async fn network(tx: &Transaction<'_>) -> Result<Uuid, OpenError> {
    if columns(tx, "networks").await.map_err(failed)?.is_empty() {
        return Err(no_network());
    }
    let row = tx.query_opt(NETWORK, &[]).await.map_err(failed)?.ok_or_else(no_network)?;
    row.try_get(0).map_err(failed)
}

/// Whoever reads needs no more than `SELECT`.
fn failed(fault: Error) -> OpenError {
    match fault.as_db_error() {
        Some(db) if db.code().code() == "42501" => OpenError::new(
            format!("PostgreSQL says: {} (SQLSTATE 42501)", db.message()),
            "the user of this DSN needs SELECT on Hydra's tables",
        ),
        _ => faults::open_error(&fault),
    }
}

/// Reads the tables in batches.
pub(in crate::store) async fn read_hydra<E, F>(dsn: &str, tables: &[HydraTable], take: &mut F) -> Result<(), E>
where
    E: From<OpenError>,
    F: AsyncFnMut(HydraTable, Vec<HydraRow>) -> Result<(), E>,
{
    connected(dsn, async |client| {
        let begin = client.build_transaction().isolation_level(tokio_postgres::IsolationLevel::RepeatableRead);
        let tx = begin.read_only(true).start().await.map_err(failed)?;
        // Hydra 1 has no networks, so the clients are looked at first.
        for table in [HydraTable::Clients].iter().chain(tables) {
            check(*table, &columns(&tx, table.name()).await.map_err(failed)?)?;
        }
        let nid = network(&tx).await?;
        for table in tables {
            let sql = format!("SELECT to_jsonb(t) FROM {} t WHERE nid = $1 {}", table.name(), table.chosen());
            let statement = tx.prepare(&sql).await.map_err(failed)?;
            let portal = tx.bind(&statement, &[&nid]).await.map_err(failed)?;
            loop {
                let rows = tx.query_portal(&portal, i32::try_from(BATCH).unwrap_or(i32::MAX)).await.map_err(failed)?;
                if rows.is_empty() {
                    break;
                }
                let read = |row: &tokio_postgres::Row| match row.try_get(0)? {
                    Value::Object(columns) => Ok(columns),
                    _ => Ok(HydraRow::new()),
                };
                let batch = rows.iter().map(read).collect::<Result<Vec<_>, Error>>().map_err(failed)?;
                take(*table, batch).await?;
            }
        }
        Ok(())
    })
    .await
}
