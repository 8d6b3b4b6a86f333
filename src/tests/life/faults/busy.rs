//! A database that is well and has no time: our own statements wait for others' locks, on all connections of a PostgreSQL
//! or on the one writer of a SQLite file.

use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Method;

use super::{HEALED, QUIET, Stand, healed, unavailable};
use crate::harness::{Answer, Database, Peer, Server, fresh, machine, postgres};

/// Connections of the server, whose statements wait for others' locks longer than they do by themselves.
const CONNS: &str = "&max_conns=4&lock_timeout=8000";
/// How long a connection is waited for, and a machine that does other things.
const WAIT: Duration = Duration::from_secs(1);
const ROOM: Duration = Duration::from_secs(1);

async fn in_time(what: &str, within: Duration, ask: impl Future<Output = Answer>) -> Answer {
    let began = Instant::now();
    let answer = ask.await;
    assert!(began.elapsed() < within, "{what}: it took {:?}", began.elapsed());
    answer
}

/// Changes a client many times at once; each waits for its row.
fn changes(peer: &Peer, id: &str) -> Vec<tokio::task::JoinHandle<Answer>> {
    let change = |_| {
        let (peer, id) = (peer.clone(), id.to_owned());
        tokio::spawn(async move {
            let path = format!("/admin/clients/{id}");
            peer.admin(Method::PUT, &path, Some(machine(&id, "another-secret"))).await
        })
    };
    (0..4).map(change).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_connections_wait_callers_are_told_in_time() {
    let Some(admin) = postgres() else { return };
    let stand = Stand::with(&admin, CONNS, &[("DB_STATEMENT_TIMEOUT", "8s")]).await;
    let (peer, (id, secret)) = (stand.peer(), stand.world.machine().await);
    let (locked, _) = stand.world.machine().await;
    let token = peer.token(&id, &secret).await;
    let db = stand.world.database.client().await;
    db.batch_execute(&format!("BEGIN; SELECT id FROM client WHERE id = '{locked}' FOR UPDATE")).await.unwrap();
    let changes = changes(peer, &locked);
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let look = stand.world.database.client().await;
    let until = Instant::now() + Duration::from_secs(5);
    while look.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) < 4 {
        assert!(Instant::now() < until, "not every connection waits");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..2 {
        let within = WAIT + ROOM;
        let (issued, seen, list) = tokio::join!(
            in_time("issue", within, peer.client_credentials(&id, &secret)),
            in_time("introspect", within, peer.introspect(&token)),
            in_time("list", within, peer.admin(Method::GET, "/admin/clients", None)),
        );
        unavailable("issue", &issued);
        unavailable("introspect", &seen);
        unavailable("list", &list);
        for path in ["/.well-known/jwks.json", "/.well-known/openid-configuration", "/health/alive"] {
            assert_eq!(in_time(path, ROOM, peer.get(path)).await.status, 200, "{path}");
        }
    }
    db.batch_execute("ROLLBACK").await.unwrap();
    healed("no lock", HEALED, async || peer.client_credentials(&id, &secret).await).await;
    assert!(peer.is_active(&token).await);
    for change in changes {
        let answer = change.await.unwrap();
        assert_eq!(answer.status, 200, "who has waited is served: {}", answer.brief());
    }
}

/// Both files as they lie there, opened elsewhere; what the check says, and how many tokens there are.
fn copy_of(file: &Path) -> (String, i64) {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy.sqlite");
    std::fs::copy(file, &copy).unwrap();
    std::fs::copy(file.with_extension("sqlite-wal"), copy.with_extension("sqlite-wal")).unwrap();
    let db = rusqlite::Connection::open(copy).unwrap();
    let one = |row: &rusqlite::Row<'_>| row.get(0);
    let checked = db.query_row("PRAGMA integrity_check", [], one).unwrap();
    (checked, db.query_row("SELECT count(*) FROM access_token", [], |row| row.get(0)).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sqlite_file_that_others_write_is_read_and_written_later() {
    let database = Database::sqlite();
    Server::migrate(&database.dsn());
    let server = Server::start(&database.dsn(), None, &QUIET).await;
    let (peer, id, secret) = (&server.peer, fresh("busy"), fresh("secret"));
    peer.create(machine(&id, &secret)).await;
    let mut tokens = Vec::new();
    for _ in 0..50 {
        tokens.push(peer.token(&id, &secret).await);
    }
    let file = database.dsn().trim_start_matches("sqlite://").split('?').next().unwrap().to_owned();
    let other = rusqlite::Connection::open(&file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let held = Instant::now();
    let (issued, revoked) = tokio::join!(
        in_time("issue", Duration::from_secs(4), peer.client_credentials(&id, &secret)),
        in_time("revoke", Duration::from_secs(4), peer.revoke(&tokens[0], &id, &secret)),
    );
    unavailable("issue", &issued);
    unavailable("revoke", &revoked);
    for token in &tokens {
        assert!(peer.is_active(token).await, "what is read needs no lock");
    }
    assert_eq!(copy_of(Path::new(&file)), ("ok".to_owned(), 50), "a copy while it serves");
    tokio::time::sleep(Duration::from_secs(3).saturating_sub(held.elapsed())).await;
    other.execute_batch("ROLLBACK").unwrap();
    healed("no lock", HEALED, async || peer.client_credentials(&id, &secret).await).await;
    assert_eq!(peer.revoke(&tokens[0], &id, &secret).await.status, 200);
    assert!(!peer.is_active(&tokens[0]).await && peer.is_active(&tokens[1]).await);
}
