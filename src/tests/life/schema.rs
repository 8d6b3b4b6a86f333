//! A server on another release's schema, and a migration among traffic.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::harness::{Database, Peer, SECRET, Server, fresh, machine, postgres, run};

/// The ledger of migrations and the scripts up to number `last`, as an older binary has left them.
fn at_schema(last: usize, dialect: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(dialect);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let (number, bytes, now) =
        if dialect == "postgres" { ("bigint", "timestamptz", "now()") } else { ("INTEGER", "INTEGER", "0") };
    let mut sql = format!(
        "CREATE TABLE schema_migration
         (version {number} PRIMARY KEY NOT NULL, name text NOT NULL, checksum text NOT NULL, applied_at {bytes} NOT NULL);"
    );
    for (at, file) in files.iter().take(last).enumerate() {
        let (script, name) = (std::fs::read_to_string(file).unwrap(), file.file_stem().unwrap().to_string_lossy());
        let (name, sum) = (name.split_once('_').unwrap().1, hex::encode(Sha256::digest(&script)));
        sql += &format!("{script}; INSERT INTO schema_migration VALUES ({}, '{name}', '{sum}', {now});", at + 1);
    }
    sql
}

async fn apply(database: &Database, sql: &str) {
    match database {
        Database::Postgres { .. } => database.client().await.batch_execute(sql).await.unwrap(),
        Database::Sqlite { dir } => {
            rusqlite::Connection::open(dir.path().join("signet.sqlite")).unwrap().execute_batch(sql).unwrap();
        }
    }
}

/// `SIGNET_TEST_POSTGRES` may be absent, SQLite never is.
async fn databases() -> Vec<(Database, &'static str)> {
    let mut all = vec![(Database::sqlite(), "sqlite")];
    if let Some(admin) = postgres() {
        all.push((Database::postgres(&admin).await, "postgres"));
    }
    all
}

async fn registered(peer: &Peer) -> (String, String) {
    let (id, secret) = (fresh("machine"), fresh("secret"));
    peer.create(machine(&id, &secret)).await;
    (id, secret)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_an_older_schema_it_waits_and_goes_on_once_that_is_migrated() {
    for (database, dialect) in databases().await {
        apply(&database, &at_schema(2, dialect)).await;
        let mut server = Server::launch(&database.dsn(), None, &[]);
        let began = Instant::now();
        while server.peer.get("/health/alive").await.status != 200 {
            assert!(began.elapsed() < Duration::from_secs(30), "{dialect}: {}", server.said());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for _ in 0..20 {
            assert_eq!(server.peer.get("/health/ready").await.status, 503, "{dialect}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let why = server.peer.admin(reqwest::Method::GET, "/health/ready", None).await;
        assert!(why.text.contains("migrat"), "{dialect}: {}", why.brief());
        assert_eq!(server.peer.get("/health/alive").await.status, 200, "{dialect}: {}", server.said());
        if dialect == "sqlite" {
            drop(server); // its file is one process's
            Server::migrate(&database.dsn());
            server = Server::launch(&database.dsn(), None, &[]);
        } else {
            Server::migrate(&database.dsn());
        }
        server.wait_ready().await;
        let (id, secret) = registered(&server.peer).await;
        assert!(server.peer.is_active(&server.peer.token(&id, &secret).await).await, "{dialect}");
    }
}

/// A client and a token of now and a token of before.
async fn works(server: &Server, before: &str) {
    assert!(server.peer.is_ready().await, "{}", server.said());
    assert!(server.peer.is_active(before).await, "{}", server.said());
    let (id, secret) = registered(&server.peer).await;
    let token = server.peer.token(&id, &secret).await;
    assert!(server.peer.is_active(&token).await, "{}", server.said());
    let patch = json!([{"op": "replace", "path": "/client_name", "value": "another"}]);
    let patched = server.peer.admin(reqwest::Method::PATCH, &format!("/admin/clients/{id}"), Some(patch)).await;
    assert_eq!(patched.status, 200, "{}", patched.brief());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_newer_schema_it_is_ready_and_works() {
    const NEWER: &str = "
        CREATE TABLE of_later (id text PRIMARY KEY);
        ALTER TABLE client ADD COLUMN of_later text NOT NULL DEFAULT '';
        ALTER TABLE refresh_token ADD COLUMN of_later integer;
        INSERT INTO schema_migration VALUES (1000, 'of_later', 'a sum', APPLIED)";
    for (database, dialect) in databases().await {
        let dsn = database.dsn();
        Server::migrate(&dsn);
        let server = Server::start(&dsn, None, &[]).await;
        let (id, secret) = registered(&server.peer).await;
        let before = server.peer.token(&id, &secret).await;
        let mut servers = vec![server];
        if dialect == "sqlite" {
            servers.clear(); // its file is one process's
        }
        apply(&database, &NEWER.replace("APPLIED", if dialect == "postgres" { "now()" } else { "0" })).await;
        servers.push(Server::start(&dsn, None, &[]).await);
        for server in &servers {
            works(server, &before).await;
        }
        drop(servers);
        Server::migrate(&dsn);
        let told = run(&["migrate", "status", "-e", "--block"], &[("DSN", &dsn), ("SECRETS_SYSTEM", SECRET)]);
        assert!(told.status.success(), "{dialect}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_waits_for_a_long_reader_keeps_nobody_else_waiting() {
    const READ: &str = "SELECT count(*) FROM client";
    let Some(admin) = postgres() else { return };
    let database = Database::postgres(&admin).await;
    apply(&database, &at_schema(2, "postgres")).await;
    let (reader, other, dsn) = (database.client().await, database.client().await, database.dsn());
    reader.batch_execute(&format!("BEGIN; {READ}")).await.unwrap();
    let migrating = tokio::task::spawn_blocking(move || Server::migrate(&dsn));
    // As a server's statements do, the other gives up after a second.
    other.batch_execute("SET lock_timeout = '1s'").await.unwrap();
    let (began, mut waited) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(4) || waited < 2 {
        assert!(began.elapsed() < Duration::from_secs(30), "it came again and others met it: {waited}");
        let asked = Instant::now();
        other.batch_execute(READ).await.unwrap();
        waited += usize::from(asked.elapsed() > Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!migrating.is_finished());
    reader.batch_execute("COMMIT").await.unwrap();
    migrating.await.unwrap();
    other.batch_execute("SELECT has_remembered_consent FROM client").await.unwrap();
}
