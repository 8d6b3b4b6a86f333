//! The schema of an SQLite file.

use super::Place;
use crate::store::migrate::{Applied, Ask, Script, checksum, pending, status};
use crate::store::{Migration, OpenError};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS schema_migration (
        version    INTEGER PRIMARY KEY NOT NULL,
        name       TEXT    NOT NULL,
        checksum   TEXT    NOT NULL,
        applied_at INTEGER NOT NULL
    ) STRICT";
const HAS_TABLE: &str = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migration'";
/// Hydra's tables have names in common with ours.
const IS_HYDRAS: &str = "
    SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'hydra_client')
       AND NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'json_web_key')";
const APPLIED: &str = "SELECT version, checksum FROM schema_migration ORDER BY version";
const REMEMBER: &str = "
    INSERT INTO schema_migration (version, name, checksum, applied_at)
    VALUES (?1, ?2, ?3, CAST(unixepoch('subsec') * 1000000 AS INTEGER))";

pub(super) fn text(script: &Script) -> &'static str {
    script.sqlite
}

/// Every migration that the database has.
pub(super) fn applied(db: &Connection) -> rusqlite::Result<Vec<Applied>> {
    if db.query_row(HAS_TABLE, [], |_| Ok(())).optional()?.is_none() {
        return Ok(Vec::new());
    }
    db.prepare(APPLIED)?.query_map([], |row| Ok(Applied { version: row.get(0)?, checksum: row.get(1)? }))?.collect()
}

/// Every migration this binary knows, and whether the database has it.
pub(super) fn known(db: &Connection) -> rusqlite::Result<Vec<Migration>> {
    Ok(status(&applied(db)?))
}

/// Refuses a database of Hydra's.
pub(super) fn refuse_hydras(db: &Connection) -> Result<(), OpenError> {
    let is_hydras = db.query_row(IS_HYDRAS, [], |row| row.get(0)).map_err(failed)?;
    if is_hydras { Err(OpenError::of_hydra()) } else { Ok(()) }
}

/// Applies what is pending, as a whole or not at all.
pub(super) fn apply(db: &mut Connection) -> Result<Vec<Migration>, OpenError> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    for script in pending(&applied(&tx).map_err(failed)?, text)? {
        let run = || -> rusqlite::Result<()> {
            tx.execute_batch(TABLE)?;
            tx.execute_batch(script.sqlite)?;
            let sum = checksum(script.sqlite);
            tx.execute(REMEMBER, params![script.version, script.name, sum]).map(drop)
        };
        run().map_err(failed)?;
    }
    let after = known(&tx).map_err(failed)?;
    tx.commit().map_err(failed)?;
    Ok(after)
}

fn failed(fault: rusqlite::Error) -> OpenError {
    OpenError::new(
        format!("the SQLite schema could not be read or changed ({fault})"),
        "nothing was changed; try again",
    )
}

/// Applies what is pending, if `ask` agrees.
pub(in crate::store) fn migrate(place: &Place, ask: &mut Ask<'_>) -> Result<Vec<Migration>, OpenError> {
    let before = migration_status(place)?;
    if before.iter().all(|m| m.applied) || !ask(&before) {
        return Ok(before);
    }
    let _lock = place.lock()?;
    apply(&mut place.connect()?)
}

/// The state of the schema; a file that is not there has none, memory always has all.
pub(in crate::store) fn migration_status(place: &Place) -> Result<Vec<Migration>, OpenError> {
    match place {
        Place::Memory => Ok(status(&[]).into_iter().map(|m| Migration { applied: true, ..m }).collect()),
        Place::File(path) if !path.exists() => Ok(status(&[])),
        Place::File(_) => {
            let db = place.connect_read_only()?;
            refuse_hydras(&db)?;
            pending(&applied(&db).map_err(failed)?, text)?;
            known(&db).map_err(failed)
        }
    }
}
