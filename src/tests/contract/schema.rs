//! The two dialects have the same tables and columns.

use super::{Fixture, sql_at};
use std::collections::BTreeSet;
use tokio_postgres::SimpleQueryMessage;

const POSTGRES: &str = "
    SELECT table_name || '.' || column_name FROM information_schema.columns
    WHERE table_schema = 'public' AND NOT (SELECT relispartition FROM pg_class WHERE oid = to_regclass(table_name::text))";
const SQLITE: &str = "
    SELECT t.name || '.' || c.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'";

#[tokio::test]
async fn both_dialects_have_the_same_columns() {
    let Some(postgres) = Fixture::postgres().await else { return };
    let rows = sql_at(&postgres.dsn, POSTGRES).await.unwrap();
    let there: BTreeSet<String> = rows
        .iter()
        .filter_map(|m| match m {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
        .collect();
    postgres.end().await;

    let sqlite = Fixture::file().await.unwrap();
    let path = sqlite.dsn.trim_start_matches("sqlite://").split('?').next().unwrap().to_owned();
    let db = rusqlite::Connection::open(path).unwrap();
    let mut statement = db.prepare(SQLITE).unwrap();
    let here: BTreeSet<String> = statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    assert!(here.len() > 40);
    assert_eq!(here, there);
    sqlite.end().await;
}
