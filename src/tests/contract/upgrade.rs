//! What a database of before brings along: its tokens are found, read and ended after the migration.

use super::made::{rotate, rotating, told, valid};
use super::{created, later, migrate, new_database, now, open, options, sql_at};
use sha2::{Digest, Sha256};
use signet::domain::token::expiry_hour::{ExpiryHour, hash_in};
use signet::store::Verdict;
use uuid::Uuid;

macro_rules! before {
    ($dialect:literal) => {
        [
            (1, "init", include_str!(concat!("../../../migrations/", $dialect, "/0001_init.sql"))),
            (2, "flows", include_str!(concat!("../../../migrations/", $dialect, "/0002_flows.sql"))),
            (
                3,
                "remembered_consents",
                include_str!(concat!("../../../migrations/", $dialect, "/0003_remembered_consents.sql")),
            ),
        ]
    };
}

/// The ledger of migrations with one that is applied. Times are integers in SQLite.
fn applied(at: &str, (version, name, script): (i64, &str, &str)) -> String {
    let sum = hex::encode(Sha256::digest(script));
    format!("{script}; INSERT INTO schema_migration VALUES ({version}, '{name}', '{sum}', {at});")
}

/// A refresh token and the access token that came with it, and one that has expired.
fn rows(bytes: fn(&[u8]) -> String, id: &Uuid, (then, end, over): (&str, &str, &str)) -> String {
    let (id, text) = (bytes(id.as_bytes()), "'a', 's', '[]', '[]'");
    let access = |hash: u8, ends: &str| {
        let (key, session) = (bytes(&[hash; 32]), bytes(&[5, 0, 6]));
        format!("INSERT INTO access_token SELECT {key}, id, {id}, {text}, {then}, {ends}, {session} FROM network;")
    };
    let (refresh, former, none) = (bytes(&[2; 32]), bytes(&[1; 32]), bytes(&[]));
    format!(
        "{}{} INSERT INTO token_family SELECT {id}, id, 'a', 's', FALSE, NULL, 1 FROM network;
         INSERT INTO refresh_token
         SELECT {refresh}, id, {id}, {text}, {then}, {end}, NULL, 0, {former}, {none}, {none} FROM network;",
        access(1, end),
        access(3, over)
    )
}

async fn living_tokens_live_on(dsn: &str, family: Uuid) {
    migrate(dsn, &mut |_| true).await.unwrap();
    let store = open(options(dsn)).await.unwrap();
    let mut record = created(&store, "a").await;
    record.family_id = family;
    let old = ExpiryHour::NONE.before(&[1; 32]);
    let found = store.access_token(&old).await.unwrap().unwrap();
    assert_eq!((found.family_id, found.session.as_slice()), (family, &[5, 0, 6][..]));
    assert_eq!(hash_in(&found.signature), [1; 32], "what its session is sealed to");
    assert!(!valid(&store, &ExpiryHour::NONE.before(&[3; 32])).await);
    assert_eq!(store.refresh_token(&[2; 32]).await.unwrap().unwrap().token.access_token, old);
    let mut consent = super::made::consent(&record, "s");
    consent.id = family;
    let order = rotate(&record, &consent, [2; 32]);
    assert_eq!(told(&store, rotating(&order)).await, Verdict::Done);
    assert!(!valid(&store, &old).await, "it went with its refresh token");
    assert!(valid(&store, &order.access.signature).await);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_before_outlive_the_migration_in_postgresql() {
    let Some((dsn, database)) = new_database().await else { return };
    let family = Uuid::new_v4();
    let table =
        "CREATE TABLE schema_migration (version bigint PRIMARY KEY, name text, checksum text, applied_at timestamptz);";
    let scripts: String = before!("postgres").map(|script| applied("now()", script)).concat();
    let bytes = |bytes: &[u8]| match bytes.len() {
        16 => format!("'{}'::uuid", hex::encode(bytes)),
        _ => format!("'\\x{}'::bytea", hex::encode(bytes)),
    };
    let times = ("now()", "now() + interval '1 hour'", "now() - interval '1 hour'");
    sql_at(&dsn, &format!("{table}{scripts}{}", rows(bytes, &family, times))).await.unwrap();
    living_tokens_live_on(&dsn, family).await;
    super::admin(&format!("DROP DATABASE {database} WITH (FORCE)")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_before_outlive_the_migration_in_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let (path, family) = (dir.path().join("signet.db"), Uuid::new_v4());
    let table = "CREATE TABLE schema_migration (version INTEGER PRIMARY KEY NOT NULL, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT;";
    let scripts: String = before!("sqlite").map(|script| applied("0", script)).concat();
    let at = [now(), later(3600), super::earlier(3600)].map(|at| at.micros().to_string());
    let bytes = |bytes: &[u8]| format!("x'{}'", hex::encode(bytes));
    let rows = rows(bytes, &family, (&at[0], &at[1], &at[2]));
    rusqlite::Connection::open(&path).unwrap().execute_batch(&format!("{table}{scripts}{rows}")).unwrap();
    living_tokens_live_on(&format!("sqlite://{}", path.display()), family).await;
}
