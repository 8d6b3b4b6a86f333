//! The schema of a PostgreSQL database.

use super::dsn::Dsn;
use super::faults::{Fault, open_error};
use super::{LOCK_CLASS, LOCK_MIGRATE, partitions, tls};
use crate::store::migrate::{Applied, Ask, Script, checksum, pending, status};
use crate::store::{Migration, OpenError};
use std::time::Duration;
use tokio_postgres::{Client, Error, GenericClient};

/// How long connecting may take in all, with every host of the DSN.
const PATIENCE: Duration = Duration::from_secs(15);

/// Access tokens live so long unless somebody says otherwise, which the program does when it runs.
const USUAL_LIFE: Duration = Duration::from_secs(3600);

const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS schema_migration (
        version    bigint      PRIMARY KEY,
        name       text        NOT NULL,
        checksum   text        NOT NULL,
        applied_at timestamptz NOT NULL
    )";
const HAS_TABLE: &str = "SELECT to_regclass('schema_migration') IS NOT NULL";
const APPLIED: &str = "SELECT version, checksum FROM schema_migration ORDER BY version";
const REMEMBER: &str = "
    INSERT INTO schema_migration (version, name, checksum, applied_at) VALUES ($1, $2, $3, clock_timestamp())";
const LOCK: &str = "SELECT pg_advisory_xact_lock($1, $2)";

pub(super) fn text(script: &Script) -> &'static str {
    script.postgres
}

/// Every migration that the database has.
pub(super) async fn applied(db: &impl GenericClient) -> Result<Vec<Applied>, Error> {
    if !db.query_one(HAS_TABLE, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(Vec::new());
    }
    let rows = db.query(APPLIED, &[]).await?;
    rows.iter().map(|row| Ok(Applied { version: row.try_get(0)?, checksum: row.try_get(1)? })).collect()
}

/// Every migration this binary knows, and whether the database has it.
pub(super) async fn known(conn: &deadpool_postgres::Object) -> Result<Vec<Migration>, Fault> {
    let client: &Client = conn;
    Ok(status(&applied(client).await?))
}

/// Applies what is pending, as a whole or not at all. Whoever waited for the lock finds nothing left to do.
async fn apply(client: &mut Client) -> Result<Vec<Migration>, OpenError> {
    let tx = client.transaction().await.map_err(|e| open_error(&e))?;
    tx.query(LOCK, &[&LOCK_CLASS, &LOCK_MIGRATE]).await.map_err(|e| open_error(&e))?;
    tx.batch_execute(TABLE).await.map_err(|e| open_error(&e))?;
    let before = applied(&tx).await.map_err(|e| open_error(&e))?;
    for script in pending(&before, text)? {
        tx.batch_execute(script.postgres).await.map_err(|e| open_error(&e))?;
        let sum = checksum(script.postgres);
        tx.execute(REMEMBER, &[&script.version, &script.name, &sum]).await.map_err(|e| open_error(&e))?;
    }
    partitions::make_ahead(&tx, USUAL_LIFE).await.map_err(failed)?;
    let after = status(&applied(&tx).await.map_err(|e| open_error(&e))?);
    tx.commit().await.map_err(|e| open_error(&e))?;
    Ok(after)
}

fn failed(fault: Fault) -> OpenError {
    match fault {
        Fault::Driver(fault) => open_error(&fault),
        Fault::Corrupt(what) => OpenError::new(what, "nothing was changed; mend that and try again"),
    }
}

async fn plan(client: &Client) -> Result<Vec<Migration>, OpenError> {
    let found = applied(client).await.map_err(|e| open_error(&e))?;
    pending(&found, text)?;
    Ok(status(&found))
}

/// Applies what is pending, if `ask` agrees.
pub(in crate::store) async fn migrate(dsn: &str, ask: &mut Ask<'_>) -> Result<Vec<Migration>, OpenError> {
    connected(dsn, async |client| {
        let before = plan(client).await?;
        if before.iter().all(|m| m.applied) || !ask(&before) {
            return Ok(before);
        }
        apply(client).await
    })
    .await
}

/// The state of the schema.
pub(in crate::store) async fn migration_status(dsn: &str) -> Result<Vec<Migration>, OpenError> {
    connected(dsn, async |client| plan(client).await).await
}

/// Runs the work on a connection of its own, driving both.
pub(super) async fn connected<T>(
    dsn: &str,
    work: impl AsyncFnOnce(&mut Client) -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    let dsn = Dsn::parse(dsn)?;
    let connecting = dsn.config.connect(tls::connector(&dsn.tls)?);
    let (mut client, connection) = match tokio::time::timeout(PATIENCE, connecting).await {
        Ok(outcome) => outcome.map_err(|e| open_error(&e))?,
        Err(_) => {
            return Err(OpenError::new(
                "PostgreSQL does not answer",
                "check host and port in the DSN, and that no firewall is in between",
            ));
        }
    };
    tokio::select! {
        biased;
        outcome = work(&mut client) => outcome,
        _ = connection => Err(OpenError::new("the connection to PostgreSQL broke", "nothing was changed; try again")),
    }
}
