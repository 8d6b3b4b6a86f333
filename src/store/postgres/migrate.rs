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
/// Shorter than the statements of a server wait: whoever comes while a migration waits for a lock waits behind it.
const LOCK_WITHIN: &str = "SET LOCAL lock_timeout = '500ms'";
/// How often each migration lets the others pass and tries again, for a minute.
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_secs(1);

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

/// Why a step was not done.
enum Stop {
    Fault(Fault),
    Open(OpenError),
}

impl From<Error> for Stop {
    fn from(fault: Error) -> Self {
        Self::Fault(fault.into())
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<OpenError> for Stop {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl Stop {
    /// Whether others were in the way, who may be gone the next time.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.is_lock_timeout() || fault.lost_race().is_some())
    }
}

/// Applies what is pending, each migration as a whole or not at all.
async fn apply(client: &mut Client) -> Result<Vec<Migration>, OpenError> {
    let mut tries = 0;
    loop {
        match step(client).await {
            Ok(true) => tries = 0,
            Ok(false) => break,
            Err(stop) if stop.may_pass() && tries < TRIES => {
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(stop) => return Err(failed(stop)),
        }
    }
    applied(client).await.map(|found| status(&found)).map_err(|e| open_error(&e))
}

/// Applies the first of what is pending, in a transaction: no lock of one migration is held while another is at work, or
/// waits. Without any, makes the hours of tokens that are issued soon; whether there was one. Whoever waited for another
/// migrator finds its work done.
async fn step(client: &mut Client) -> Result<bool, Stop> {
    let tx = client.transaction().await?;
    tx.query(LOCK, &[&LOCK_CLASS, &LOCK_MIGRATE]).await?;
    tx.batch_execute(LOCK_WITHIN).await?;
    tx.batch_execute(TABLE).await?;
    let next = pending(&applied(&tx).await?, text)?.first().copied();
    match next {
        Some(script) => {
            tx.batch_execute(script.postgres).await?;
            let sum = checksum(script.postgres);
            tx.execute(REMEMBER, &[&script.version, &script.name, &sum]).await?;
        }
        None => partitions::make_ahead(&tx, USUAL_LIFE).await?,
    }
    tx.commit().await?;
    Ok(next.is_some())
}

fn failed(stop: Stop) -> OpenError {
    match stop {
        stop if stop.may_pass() => OpenError::new(
            "a table is in use for long, and a migration does not keep its other users waiting",
            "end the oldest transaction in pg_stat_activity (ORDER BY xact_start) or wait for it, then run this again",
        ),
        Stop::Fault(Fault::Driver(fault)) => open_error(&fault),
        Stop::Fault(Fault::Corrupt(what)) => OpenError::new(what, "mend that and try again"),
        Stop::Open(error) => error,
    }
}

/// Hydra's tables have names in common with ours.
const IS_HYDRAS: &str = "SELECT to_regclass('hydra_client') IS NOT NULL AND to_regclass('json_web_key') IS NULL";

/// Refuses a database of Hydra's.
pub(super) async fn refuse_hydras(client: &Client) -> Result<(), OpenError> {
    let is_hydras =
        client.query_one(IS_HYDRAS, &[]).await.and_then(|row| row.try_get(0)).map_err(|e| open_error(&e))?;
    if is_hydras { Err(OpenError::of_hydra()) } else { Ok(()) }
}

async fn plan(client: &Client) -> Result<Vec<Migration>, OpenError> {
    refuse_hydras(client).await?;
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
pub(super) async fn connected<T, E: From<OpenError>>(
    dsn: &str,
    work: impl AsyncFnOnce(&mut Client) -> Result<T, E>,
) -> Result<T, E> {
    let dsn = Dsn::parse(dsn)?;
    let connecting = dsn.config.connect(tls::connector(&dsn.tls)?);
    let (mut client, connection) = match tokio::time::timeout(PATIENCE, connecting).await {
        Ok(outcome) => outcome.map_err(|e| open_error(&e))?,
        Err(_) => {
            return Err(E::from(OpenError::new(
                "PostgreSQL does not answer",
                "check host and port in the DSN, and that no firewall is in between",
            )));
        }
    };
    tokio::select! {
        biased;
        outcome = work(&mut client) => outcome,
        _ = connection => {
            Err(E::from(OpenError::new("the connection to PostgreSQL broke", "what was applied stays so; run it again")))
        }
    }
}
