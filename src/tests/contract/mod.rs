//! What every store must do, asked of every store: SQLite in memory, SQLite in a file, PostgreSQL.
//!
//! PostgreSQL needs `SIGNET_TEST_POSTGRES`, the DSN of a superuser; each test has a database of its own there.
//! `SIGNET_TEST_SQLITE_ONLY=1` leaves PostgreSQL out.

mod clients;
mod keys;
mod places;
mod schema;
mod tokens;
mod upkeep;

use signet::domain::world::{Clock, Timestamp};
use signet::store::{AccessToken, ClientRecord, Issue, JtiUse, OpenOptions, Store, Write, migrate, open};
use signet::telemetry::metrics::Metrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// The system's time: PostgreSQL has its own clock, so expiry is tested with tokens that have expired already.
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "a test needs the real present")]
        Timestamp::from_datetime(time::OffsetDateTime::now_utc())
    }
}

/// A migrated store of one kind, for one test.
struct Fixture {
    store: Arc<dyn Store>,
    dsn: String,
    database: Option<String>,
    _dir: Option<tempfile::TempDir>,
}

fn options(dsn: &str) -> OpenOptions {
    OpenOptions {
        dsn: dsn.to_owned(),
        max_conns: 12,
        statement_timeout: Duration::from_secs(10),
        clock: Arc::new(SystemClock),
        metrics: Metrics::new("test").unwrap(),
    }
}

impl Fixture {
    async fn memory() -> Option<Self> {
        let store = open(options("memory")).await.unwrap();
        Some(Self { store, dsn: "memory".to_owned(), database: None, _dir: None })
    }

    async fn file() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let dsn = format!("sqlite://{}?_fk=true", dir.path().join("signet.db").display());
        migrate(&dsn, &mut |_| true).await.unwrap();
        let store = open(options(&dsn)).await.unwrap();
        Some(Self { store, dsn, database: None, _dir: Some(dir) })
    }

    /// `None` when PostgreSQL is to be left out.
    async fn postgres() -> Option<Self> {
        let (dsn, database) = new_database().await?;
        migrate(&dsn, &mut |_| true).await.unwrap();
        let store = open(options(&dsn)).await.unwrap();
        Some(Self { store, dsn, database: Some(database), _dir: None })
    }

    async fn end(self) {
        self.store.close().await;
        if let Some(database) = self.database {
            admin(&format!("DROP DATABASE {database} WITH (FORCE)")).await;
        }
    }
}

fn admin_dsn() -> String {
    std::env::var("SIGNET_TEST_POSTGRES")
        .expect("set SIGNET_TEST_POSTGRES to the DSN of a PostgreSQL superuser, or SIGNET_TEST_SQLITE_ONLY=1")
}

/// Runs SQL as the superuser.
async fn admin(sql: &str) {
    sql_at(&admin_dsn(), sql).await.unwrap();
}

async fn sql_at(dsn: &str, sql: &str) -> Result<Vec<tokio_postgres::SimpleQueryMessage>, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(dsn, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    client.simple_query(sql).await
}

/// An empty database: its DSN and its name.
async fn new_database() -> Option<(String, String)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    if std::env::var_os("SIGNET_TEST_SQLITE_ONLY").is_some() {
        return None;
    }
    let name = format!("signet_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    admin(&format!("CREATE DATABASE {name}")).await;
    let mut url = url::Url::parse(&admin_dsn()).unwrap();
    url.set_path(&name);
    Some((url.to_string(), name))
}

fn now() -> Timestamp {
    SystemClock.now()
}

fn later(secs: u64) -> Timestamp {
    now().plus(Duration::from_secs(secs))
}

fn earlier(secs: u64) -> Timestamp {
    now().minus(Duration::from_secs(secs))
}

fn client(id: &str) -> ClientRecord {
    ClientRecord {
        id: id.to_owned(),
        name: "A name".to_owned(),
        owner: "An owner".to_owned(),
        document: r#"{"client_name":"A name"}"#.to_owned(),
        secret_hash: "hash".to_owned(),
        rotated_secret_hashes: vec!["older".to_owned(), "o\"ld".to_owned()],
        registration_token_hash: Some(vec![0, 1, 255]),
        family_id: Uuid::new_v4(),
        version: 1,
        created_at: now(),
        updated_at: now(),
    }
}

fn token(client: &ClientRecord, expires_at: Timestamp) -> AccessToken {
    let mut signature = [0; 32];
    signature[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    AccessToken {
        signature,
        family_id: client.family_id,
        client_id: client.id.clone(),
        subject: client.id.clone(),
        scope: vec!["read".to_owned(), "write".to_owned()],
        audience: vec!["https://a b/\"".to_owned()],
        requested_at: now(),
        expires_at,
        session: vec![0, 9, 0],
    }
}

fn issue(client: &ClientRecord) -> Issue {
    Issue { client_version: client.version, token: token(client, later(3600)), jti: None }
}

fn jti(client: &ClientRecord, byte: u8) -> JtiUse {
    JtiUse { client_id: client.id.clone(), jti: [byte; 32], expires_at: later(600) }
}

/// Writes that all must be done.
async fn done(store: &Arc<dyn Store>, writes: &[Write]) {
    let verdicts = store.write_tokens(writes).await.unwrap();
    assert_eq!(verdicts, vec![signet::store::Verdict::Done; writes.len()]);
}

async fn created(store: &Arc<dyn Store>, id: &str) -> ClientRecord {
    let record = client(id);
    store.create_client(&record).await.unwrap();
    record
}

/// Each test once for each kind of store.
macro_rules! contract {
    ($($room:ident: $($test:ident),+;)+) => {
        contract! { @kind memory $($room: $($test),+;)+ }
        contract! { @kind file $($room: $($test),+;)+ }
        contract! { @kind postgres $($room: $($test),+;)+ }
    };
    (@kind $kind:ident $($room:ident: $($test:ident),+;)+) => {
        mod $kind {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    if let Some(fixture) = super::Fixture::$kind().await {
                        super::$room::$test(&fixture.store).await;
                        fixture.end().await;
                    }
                }
            )+)+
        }
    };
}

contract! {
    clients: a_client_comes_back_whole, an_id_is_taken_once, clients_are_listed_by_page, a_replacement_needs_the_version,
        deleting_a_client_ends_its_tokens, deleting_while_issuing_leaves_no_valid_token, odd_ids_are_found_or_absent;
    tokens: a_token_comes_back_whole, an_expired_token_is_not_there, an_issue_needs_the_version, a_batch_has_a_verdict_each,
        a_jti_is_used_once, a_refused_issue_uses_no_jti, fifty_at_once_one_jti_one_winner, only_the_owner_revokes,
        a_revoked_token_stays_so, revoking_spares_the_others, revoking_at_once_is_done_for_all,
        deleting_all_tokens_spares_later_ones, deleting_tokens_of_nobody, many_dead_tokens_go_in_batches;
    keys: keys_come_back_newest_first, changes_are_applied_in_order, eight_openers_make_one_key, a_decision_for_nothing_writes_nothing;
    upkeep: the_schema_is_there, sweeping_takes_what_is_over, changes_are_told, an_end_is_an_end;
}
