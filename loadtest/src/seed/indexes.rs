//! Indexes put away while very many rows come in. Those of primary keys stay, so that the server keeps working.

use anyhow::{Context, Result};
use tokio_postgres::Client;

/// Definitions of those that hold no constraint; a partitioned one stands for its parts.
const FOUND: &str = "
    SELECT i.indexrelid::regclass::text, i.indrelid::regclass::text, replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ')
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = ANY ($1::text[]::regclass[]) AND NOT c.relispartition
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
    ORDER BY 1";

/// Drops them; the statements that bring them back. The table is locked first, as every statement of the server begins with
/// it: a lock on one part's index after the other would meet one of theirs.
pub async fn drop_secondary(client: &Client, tables: &[&str]) -> Result<Vec<String>> {
    let rows = client.query(FOUND, &[&tables]).await.context("cannot list the indexes")?;
    let mut back = Vec::new();
    for row in rows {
        let (name, table, definition): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let drop = format!("BEGIN; LOCK TABLE {table}; DROP INDEX {name}; COMMIT");
        client.batch_execute(&drop).await.with_context(|| format!("cannot drop {name}"))?;
        back.push(definition);
    }
    Ok(back)
}

/// Brings them back.
pub async fn create(client: &Client, definitions: &[String]) -> Result<()> {
    client.batch_execute("SET maintenance_work_mem = '512MB'").await?;
    for (number, definition) in definitions.iter().enumerate() {
        eprintln!("index {} of {}: {definition}", number + 1, definitions.len());
        client.batch_execute(definition).await.with_context(|| format!("cannot run {definition}"))?;
    }
    Ok(())
}
