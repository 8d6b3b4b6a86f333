//! Opening, migrating, and what happens when the database is not as it should be.

use super::{Fixture, admin, created, new_database, options, sql_at};
use signet::store::{Change, Migration, StoreError, migrate, migration_status, open};
use std::time::{Duration, Instant};

fn all_applied(migrations: &[Migration]) -> bool {
    !migrations.is_empty() && migrations.iter().all(|m| m.applied)
}

#[tokio::test]
async fn an_unmigrated_file_is_opened_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let dsn = format!("sqlite://{}", dir.path().join("a b.db").display()).replace(' ', "%20");
    assert!(!all_applied(&migration_status(&dsn).await.unwrap()));
    assert!(!dir.path().join("a b.db").exists());
    let store = open(options(&dsn)).await.unwrap();
    store.ping().await.unwrap();
    assert!(!all_applied(&store.migrations().await.unwrap()));
    let answer = store.client("a").await;
    assert!(matches!(&answer, Err(StoreError::Unavailable(why)) if why.contains("schema")), "{answer:?}");
    let refused = migrate(&dsn, &mut |_| true).await.unwrap_err().to_string();
    assert!(refused.contains("in use"), "{refused}");
    store.close().await;
    assert!(!all_applied(&migrate(&dsn, &mut |_| false).await.unwrap()));
    assert!(all_applied(&migrate(&dsn, &mut |_| true).await.unwrap()));
    assert!(all_applied(&migrate(&dsn, &mut |_| panic!("asked for nothing")).await.unwrap()));
    assert!(all_applied(&migration_status(&dsn).await.unwrap()));
    assert!(dir.path().join("a b.db").exists());
}

#[tokio::test]
async fn a_file_has_one_server_and_keeps_what_it_was_told() {
    let fixture = Fixture::file().await.unwrap();
    let record = created(&fixture.store, "a").await;
    let second = open(options(&fixture.dsn)).await.err().unwrap().to_string();
    assert!(second.contains("in use"), "{second}");
    fixture.store.close().await;
    let again = open(options(&fixture.dsn)).await.unwrap();
    assert_eq!(again.client("a").await.unwrap(), Some(record));
    again.close().await;
    fixture.end().await;
}

#[tokio::test]
async fn dsns_that_make_no_sense_are_refused_without_their_password() {
    for dsn in [
        "",
        "mysql://u:hunter2@h/db",
        "sqlite://",
        "sqlite:///no/such/directory/file.db",
        "postgres://u:hunter2@h:port/db",
        "postgres://u:hunter2@h/db?sslmode=perhaps",
        "postgres://u:hunter2@h/db?sslmode=verify-full&sslrootcert=/no/such/file",
        "postgres://u:hunter2@h/db?max_conns=many",
    ] {
        let told = open(options(dsn)).await.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(told.len() > 20 && !told.contains("hunter2"), "{dsn}: {told}");
    }
}

#[tokio::test]
async fn an_unreachable_server_is_told_within_seconds() {
    let began = Instant::now();
    let told = migrate("postgres://u:hunter2@127.0.0.1:1/db", &mut |_| true).await.unwrap_err().to_string();
    assert!(told.contains("cannot be reached") && !told.contains("hunter2"), "{told}");
    let store = open(options("postgres://u:hunter2@127.0.0.1:1/db")).await.unwrap();
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
    assert!(began.elapsed() < Duration::from_secs(8));
    store.close().await;
}

#[tokio::test]
async fn two_migrators_at_once_are_both_content() {
    let Some((dsn, name)) = new_database().await else { return };
    let (mut yes, mut too) = (|_: &[Migration]| true, |_: &[Migration]| true);
    let (one, two) = tokio::join!(migrate(&dsn, &mut yes), migrate(&dsn, &mut too));
    assert!(all_applied(&one.unwrap()) && all_applied(&two.unwrap()));
    assert!(all_applied(&migration_status(&dsn).await.unwrap()));
    admin(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
}

#[tokio::test]
async fn the_schema_may_come_after_the_server() {
    let Some((dsn, name)) = new_database().await else { return };
    let store = open(options(&dsn)).await.unwrap();
    store.ping().await.unwrap();
    assert!(!all_applied(&store.migrations().await.unwrap()));
    let answer = store.client("a").await;
    assert!(matches!(&answer, Err(StoreError::Unavailable(why)) if why.contains("schema")), "{answer:?}");
    migrate(&dsn, &mut |_| true).await.unwrap();
    created(&store, "a").await;
    store.close().await;
    admin(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
}

#[tokio::test]
async fn odd_passwords_work_percent_encoded() {
    for (turn, password) in ["p@ss/w:rd#?&=%20+x", "a b'c\"d\\e$f`g!~*()[]{}|<>;,", "größe-秘密"].iter().enumerate()
    {
        let Some((dsn, name)) = new_database().await else { return };
        let role = format!("odd_{}_{turn}", std::process::id());
        admin(&format!("CREATE ROLE {role} SUPERUSER LOGIN PASSWORD '{}'", password.replace('\'', "''"))).await;
        let mut url = url::Url::parse(&dsn).unwrap();
        url.set_username(&role).unwrap();
        let encoded: String = password.bytes().map(|b| format!("%{b:02X}")).collect();
        url.set_password(Some(&encoded)).unwrap();
        url.query_pairs_mut().append_pair("max_idle_conns", "4").append_pair("max_conn_lifetime", "30m");
        assert!(all_applied(&migrate(url.as_str(), &mut |_| true).await.unwrap()));
        admin(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
        admin(&format!("DROP ROLE {role}")).await;
    }
}

#[tokio::test]
async fn broken_connections_heal_and_the_feed_says_all() {
    let Some(fixture) = Fixture::postgres().await else { return };
    let record = created(&fixture.store, "a").await;
    let mut feed = fixture.store.changes();
    // The feed's own first connection may still be on its way.
    tokio::time::sleep(Duration::from_millis(300)).await;
    while feed.try_recv().is_ok() {}
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sql_at(&fixture.dsn, kill).await.unwrap();
    let all = async { while feed.recv().await.unwrap() != Change::All {} };
    tokio::time::timeout(Duration::from_secs(10), all).await.unwrap();
    assert_eq!(fixture.store.client("a").await.unwrap(), Some(record));
    fixture.end().await;
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_given_up() {
    let Some(fixture) = Fixture::postgres().await else { return };
    let mut slow = options(&fixture.dsn);
    slow.statement_timeout = Duration::from_millis(200);
    let store = open(slow).await.unwrap();
    let record = created(&store, "a").await;
    let held = sql_at(&fixture.dsn, "BEGIN; LOCK TABLE client IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(1.5); COMMIT");
    let asked = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let began = Instant::now();
        assert!(matches!(store.client("a").await, Err(StoreError::Unavailable(_))));
        assert!(began.elapsed() < Duration::from_secs(1));
    };
    let (held, ()) = tokio::join!(held, asked);
    held.unwrap();
    assert_eq!(store.client("a").await.unwrap(), Some(record));
    store.close().await;
    fixture.end().await;
}
