//! What lies in an SQLite file.

use super::migrate::{applied, refuse_hydras, text};
use super::{Place, rows};
use crate::crypto::seal::{HEAD, MARK};
use crate::domain::world::Timestamp;
use crate::store::migrate::{pending, status};
use crate::store::survey::{ENDING, Sealed, Survey};
use crate::store::{Migration, OpenError};
use rusqlite::Connection;
use std::time::Instant;

const KEYS: &str = "SELECT * FROM json_web_key ORDER BY created_at DESC, set_id, kid";

fn overdue(db: &Connection, before: Timestamp) -> rusqlite::Result<Vec<(String, Timestamp)>> {
    let mut found = Vec::new();
    for table in ENDING.iter().chain(&["access_token"]) {
        let first: Option<i64> = db.query_row(&format!("SELECT min(expires_at) FROM {table}"), [], |row| row.get(0))?;
        if let Some(first) = first.map(Timestamp::from_micros).filter(|first| *first < before) {
            found.push(((*table).to_owned(), first));
        }
    }
    Ok(found)
}

fn seals(db: &Connection) -> rusqlite::Result<Vec<Sealed>> {
    let (mut all, (from, length)) = (Vec::new(), MARK);
    for table in ["access_token", "refresh_token", "authorization_code", "device"] {
        let sql = format!(
            "SELECT substr(session, {from}, {length}), count(*), CASE WHEN count(expires_at) = count(*) THEN max(expires_at) END
             FROM {table} WHERE length(session) > {HEAD} AND substr(session, 1, 1) = x'01'
                 AND (expires_at IS NULL OR expires_at > CAST(unixepoch('subsec') * 1000000 AS INTEGER)) GROUP BY 1"
        );
        let mut statement = db.prepare(&sql)?;
        let found = statement.query_map([], |row| {
            let until = row.get::<_, Option<i64>>(2)?.map(Timestamp::from_micros);
            Ok(Sealed { table: table.to_owned(), mark: row.get(0)?, rows: row.get(1)?, until })
        })?;
        for sealed in found {
            all.push(sealed?);
        }
    }
    Ok(all)
}

fn look(db: &Connection, before: Timestamp, count_seals: bool) -> rusqlite::Result<Survey> {
    let began = Instant::now();
    let version: String = db.query_row("SELECT sqlite_version()", [], |row| row.get(0))?;
    let has = applied(db)?;
    let mut found = Survey {
        version: format!("SQLite {version}"),
        round_trip: began.elapsed(),
        migrations: status(&has),
        altered: pending(&has, text).err().map(|e| e.to_string()),
        seals: Some(Vec::new()),
        ..Survey::default()
    };
    if Migration::pending(&found.migrations) == 0 {
        found.keys = db.prepare(KEYS)?.query_map([], rows::key)?.collect::<rusqlite::Result<_>>()?;
        found.overdue = overdue(db, before)?;
        if count_seals {
            found.seals = Some(seals(db)?);
        }
    }
    Ok(found)
}

/// Looks into the file; in memory there is nothing to look into, and in no file there is no schema.
pub(in crate::store) fn survey(place: &Place, before: Timestamp, count_seals: bool) -> Result<Survey, OpenError> {
    let nothing =
        |migrations| Survey { version: "SQLite".to_owned(), migrations, seals: Some(Vec::new()), ..Survey::default() };
    match place {
        Place::Memory => Ok(nothing(Vec::new())),
        Place::File(path) if !path.exists() => Ok(nothing(status(&[]))),
        Place::File(_) => {
            let unreadable =
                |e| OpenError::new(format!("the SQLite file cannot be read ({e})"), "is it a database of Signet's?");
            let db = place.connect_read_only()?;
            refuse_hydras(&db)?;
            look(&db, before, count_seals).map_err(unreadable)
        }
    }
}
