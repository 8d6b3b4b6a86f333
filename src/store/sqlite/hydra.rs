//! An SQLite file of Hydra's, read in one transaction.

use super::Place;
use crate::store::OpenError;
use crate::store::hydra::{BATCH, HydraRow, HydraTable, check, no_network};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Rows, Statement};
use serde_json::{Value, json};

const COLUMNS: &str = "SELECT name FROM pragma_table_xinfo(?1)";
const NETWORK: &str = "SELECT CAST(id AS TEXT) FROM networks ORDER BY created_at, id LIMIT 1";

fn columns(db: &Connection, table: &str) -> Result<Vec<String>, OpenError> {
    let read = || db.prepare(COLUMNS)?.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>();
    read().map_err(failed)
}

fn network(db: &Connection) -> Result<String, OpenError> {
    if columns(db, "networks")?.is_empty() {
        return Err(no_network());
    }
    db.query_row(NETWORK, [], |row| row.get(0)).optional().map_err(failed)?.ok_or_else(no_network)
}

fn failed(fault: rusqlite::Error) -> OpenError {
    OpenError::new(format!("the SQLite file cannot be read ({fault})"), "is it a database of Hydra's?")
}

fn value(of: ValueRef<'_>) -> Value {
    match of {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => json!(number),
        ValueRef::Real(number) => json!(number),
        ValueRef::Text(text) | ValueRef::Blob(text) => Value::from(String::from_utf8_lossy(text)),
    }
}

/// The next rows; none at the end.
fn batch(names: &[String], rows: &mut Rows<'_>) -> rusqlite::Result<Vec<HydraRow>> {
    let mut found = Vec::new();
    while found.len() < BATCH
        && let Some(row) = rows.next()?
    {
        let column = |(at, name): (usize, &String)| Ok((name.clone(), value(row.get_ref(at)?)));
        found.push(names.iter().enumerate().map(column).collect::<rusqlite::Result<_>>()?);
    }
    Ok(found)
}

/// Reads the tables in batches.
pub(in crate::store) async fn read_hydra<E, F>(place: &Place, tables: &[HydraTable], take: &mut F) -> Result<(), E>
where
    E: From<OpenError>,
    F: AsyncFnMut(HydraTable, Vec<HydraRow>) -> Result<(), E>,
{
    let mut db = place.connect_read_only()?;
    let tx = db.transaction().map_err(failed)?;
    for table in [HydraTable::Clients].iter().chain(tables) {
        check(*table, &columns(&tx, table.name())?)?;
    }
    let nid = network(&tx)?;
    for table in tables {
        let sql = format!("SELECT * FROM {} WHERE CAST(nid AS TEXT) = ?1 {}", table.name(), table.chosen());
        let mut statement: Statement<'_> = tx.prepare(&sql).map_err(failed)?;
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query([&nid]).map_err(failed)?;
        loop {
            let found = batch(&names, &mut rows).map_err(failed)?;
            if found.is_empty() {
                break;
            }
            take(*table, found).await?;
        }
    }
    Ok(())
}
