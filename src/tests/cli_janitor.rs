//! `janitor` and `token flush`: what is over goes, as much as was asked, and nothing else.

use std::process::Output;
use std::time::Duration;

use crate::harness::{Database, Server, fresh, machine, postgres, run};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `count` tokens whose time is over, and one that lives; the server that issued them sweeps in an hour.
async fn planted(dsn: &str, count: usize) -> Server {
    Server::migrate(dsn);
    let env = [("TTL_ACCESS_TOKEN", "1s"), ("JANITOR_INTERVAL", "1h")];
    let server = Server::start(dsn, None, &env).await;
    let (short, long, secret) = (fresh("short"), fresh("long"), fresh("secret-of"));
    server.peer.create(machine(&short, &secret)).await;
    let mut lasting = machine(&long, &secret);
    lasting["client_credentials_grant_access_token_lifespan"] = "1h".into();
    server.peer.create(lasting).await;
    // The server's own janitor comes once, a second after the start.
    tokio::time::sleep(Duration::from_secs(2)).await;
    for _ in 0..count {
        server.peer.token(&short, &secret).await;
    }
    server.peer.token(&long, &secret).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    server
}

/// An hour of January 2026 with a token.
const OVER: &str = "
    CREATE TABLE access_token_0001 PARTITION OF access_token FOR VALUES FROM ('\\x0001') TO ('\\x0002');
    INSERT INTO access_token
    SELECT '\\x0001' || substr(signature, 3), nid, family_id, client_id, subject, scope, audience, requested_at,
           expires_at, session
    FROM access_token LIMIT 1";

/// Runs it; how many access tokens it says to have deleted.
fn deleted(args: &[&str], env: &[(&str, &str)]) -> (u64, Output) {
    let done = run(args, env);
    assert!(done.status.success(), "{args:?}: {}", text(&done.stderr));
    let said = text(&done.stdout);
    let row = said.lines().find(|line| line.starts_with("access_token")).unwrap_or_else(|| panic!("{said}"));
    (row.split('\t').next_back().unwrap().parse().unwrap(), done)
}

fn sweeps_what_was_asked(dsn: &str) {
    let env = [("DSN", dsn)];
    let (rows, done) = deleted(&["janitor", "--tokens", "--limit", "2", "--batch-size", "1", dsn], &[]);
    assert_eq!((rows, text(&done.stderr).as_str()), (2, "The limit was reached; there may be more.\n"));
    let ages = ["--keep-if-younger", "9h", "--access-lifespan", "9h", "--consent-request-lifespan", "9h"];
    let (rows, done) = deleted(&[&["janitor", "-e", "--tokens", "--batch-size", "2"], &ages[..]].concat(), &env);
    assert_eq!(rows, 3);
    let told = "Without effect: --keep-if-younger, --access-lifespan, --consent-request-lifespan. \
                Each row holds the time at which it is over.\n";
    assert_eq!(text(&done.stderr), told);
    let (rows, done) = deleted(&["janitor", "--requests", "--grants", dsn], &[]);
    assert_eq!((rows, text(&done.stderr).as_str()), (0, ""), "the living token stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_goes_from_sqlite() {
    let database = Database::sqlite();
    let dsn = database.dsn();
    let server = planted(&dsn, 5).await;
    let beside = run(&["janitor", "--tokens", &dsn], &[]);
    assert_eq!((beside.status.code(), text(&beside.stderr).lines().count()), (Some(1), 1), "{}", text(&beside.stderr));
    drop(server);
    tokio::task::spawn_blocking(move || sweeps_what_was_asked(&dsn)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_goes_from_postgresql_beside_a_running_server() {
    let Some(admin) = postgres() else { return };
    let database = Database::postgres(&admin).await;
    let dsn = database.dsn();
    let _server = planted(&dsn, 5).await;
    let client = database.client().await;
    // As they would lie if they had lived for long; and one more in an hour that is over.
    let lasted = "UPDATE access_token SET signature = '\\xffff' || substr(signature, 3) WHERE expires_at <= now()";
    assert_eq!(client.execute(lasted, &[]).await.unwrap(), 5);
    client.batch_execute(OVER).await.unwrap();
    tokio::task::spawn_blocking(move || sweeps_what_was_asked(&dsn)).await.unwrap();
    let rows = client.query_one("SELECT count(*) FROM access_token", &[]).await.unwrap();
    assert_eq!(rows.get::<_, i64>(0), 1);
    let over = client.query_one("SELECT to_regclass('access_token_0001') IS NULL", &[]).await.unwrap();
    assert!(over.get::<_, bool>(0), "the hour is gone");
}

#[test]
fn token_flush_is_the_same_for_tokens() {
    let database = Database::sqlite();
    let dsn = database.dsn();
    Server::migrate(&dsn);
    let (rows, done) = deleted(&["token", "flush", &dsn, "--min-age", "1h"], &[]);
    assert_eq!((rows, text(&done.stderr).starts_with("Without effect: --min-age.")), (0, true));
    let remote = run(&["token", "flush", "--endpoint", "http://127.0.0.1:4445"], &[]);
    assert_eq!(remote.status.code(), Some(1));
    assert!(text(&remote.stderr).contains("by itself"), "{}", text(&remote.stderr));
}

#[test]
fn what_it_cannot_do_is_one_clear_line() {
    let database = Database::sqlite();
    let dsn = database.dsn();
    for (args, told) in [
        (&["janitor", &dsn][..], "what should be deleted? Give --tokens, --requests or --grants"),
        (&["janitor", "--tokens"], "which database? Give its DSN"),
        (&["janitor", "--tokens", "memory"], "DSN=memory lives inside its server"),
        (&["janitor", "--tokens", &dsn], "migrations are pending; run `migrate sql` first"),
        (&["janitor", "--tokens", "postgres://u:hidden@127.0.0.1:9/d"], "PostgreSQL cannot be reached"),
    ] {
        let done = run(args, &[]);
        let wrote = text(&done.stderr);
        assert_eq!(
            (done.status.code(), wrote.lines().count(), text(&done.stdout).as_str()),
            (Some(1), 1, ""),
            "{wrote}"
        );
        assert!(wrote.contains(told) && !wrote.contains("hidden"), "{told}: {wrote}");
    }
}
