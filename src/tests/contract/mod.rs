//! What every store must do, asked of every store: SQLite in memory, SQLite in a file, PostgreSQL.
//!
//! PostgreSQL needs `SIGNET_TEST_POSTGRES`, the DSN of a superuser; each test has a database of its own there.
//! `SIGNET_TEST_SQLITE_ONLY=1` leaves PostgreSQL out.

/// Asks again while the store had no connection, or no lock in time: then nothing was done. It happens on a busy machine.
macro_rules! patiently {
    ($asked:expr) => {
        loop {
            match $asked {
                Err(signet::store::StoreError::Held(_)) => {}
                Err(signet::store::StoreError::Unavailable(why))
                    if ["is busy", "connecting to"].iter().any(|sign| why.contains(sign)) => {}
                answer => break answer,
            }
        }
    };
}

mod clients;
mod consents;
mod devices;
mod exchange;
mod keys;
mod logins;
mod made;
mod outbox;
mod partitions;
mod places;
mod races;
mod refresh;
mod schema;
mod statements;
mod sweep;
mod tap;
mod tokens;
mod upgrade;
mod upkeep;
mod waits;

use signet::domain::token::expiry_hour::ExpiryHour;
use signet::domain::world::{Clock, Timestamp};
use signet::store::{AccessToken, ClientRecord, Issue, JtiUse, OpenOptions, Store, Verdict, Write, migrate, open};
use signet::telemetry::metrics::Metrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// The system's time, or later. PostgreSQL has its own clock: there all that is stored is made older instead.
#[derive(Default)]
struct MovedClock {
    /// Microseconds.
    ahead: AtomicI64,
}

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "a test needs the real present")]
        let present = Timestamp::from_datetime(time::OffsetDateTime::now_utc());
        present.plus(Duration::from_micros(self.ahead.load(Ordering::SeqCst).unsigned_abs()))
    }
}

/// Makes every moment in the database earlier by so many seconds.
const OLDER: &str = "
    DO $$ DECLARE c record; BEGIN
        FOR c IN SELECT table_name, column_name FROM information_schema.columns
                 WHERE table_schema = 'public' AND data_type = 'timestamp with time zone'
                     AND NOT (SELECT relispartition FROM pg_class WHERE oid = to_regclass(table_name::text)) LOOP
            EXECUTE format('UPDATE %I SET %I = %I - make_interval(secs => SECS)', c.table_name, c.column_name,
                           c.column_name);
        END LOOP;
    END $$";

/// A migrated store of one kind, for one test.
struct Fixture {
    store: Arc<dyn Store>,
    clock: Arc<MovedClock>,
    dsn: String,
    database: Option<String>,
    _dir: Option<tempfile::TempDir>,
}

fn options(dsn: &str) -> OpenOptions {
    OpenOptions {
        dsn: dsn.to_owned(),
        max_conns: 12,
        statement_timeout: Duration::from_secs(10),
        access_token_life: Duration::from_secs(3600),
        clock: Arc::new(MovedClock::default()),
        metrics: Metrics::new("test").unwrap(),
        cache: None,
    }
}

impl Fixture {
    async fn memory() -> Option<Self> {
        Some(Self::at("memory", None, None).await)
    }

    async fn file() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let dsn = format!("sqlite://{}?_fk=true", dir.path().join("signet.db").display());
        migrate(&dsn, &mut |_| true).await.unwrap();
        Some(Self::at(&dsn, None, Some(dir)).await)
    }

    /// `None` when PostgreSQL is to be left out.
    async fn postgres() -> Option<Self> {
        let (dsn, database) = new_database().await?;
        migrate(&dsn, &mut |_| true).await.unwrap();
        Some(Self::at(&dsn, Some(database), None).await)
    }

    async fn at(dsn: &str, database: Option<String>, dir: Option<tempfile::TempDir>) -> Self {
        let clock = Arc::new(MovedClock::default());
        let clock_of_store: Arc<dyn Clock> = Arc::<MovedClock>::clone(&clock);
        let store = open(OpenOptions { clock: clock_of_store, ..options(dsn) }).await.unwrap();
        Self { store, clock, dsn: dsn.to_owned(), database, _dir: dir }
    }

    /// Lets time pass for the store: what was written before is older by so much.
    async fn pass(&self, secs: u32) {
        if self.database.is_some() {
            sql_at(&self.dsn, &OLDER.replace("SECS", &secs.to_string())).await.unwrap();
        } else {
            self.clock.ahead.fetch_add(i64::from(secs) * 1_000_000, Ordering::SeqCst);
        }
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
    MovedClock::default().now()
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
        has_remembered_consent: false,
        version: 1,
        created_at: now(),
        updated_at: now(),
    }
}

/// One without an hour: what has expired is deleted in every store alike.
fn token(client: &ClientRecord, expires_at: Timestamp) -> AccessToken {
    let mut hash = [0; 32];
    hash[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    AccessToken {
        signature: ExpiryHour::NONE.before(&hash),
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
    let done = |verdict: &Verdict| matches!(verdict, Verdict::Done | Verdict::Revoked(_));
    assert!(verdicts.len() == writes.len() && verdicts.iter().all(done), "{verdicts:?}");
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

/// As `contract!`, for tests that let time pass.
macro_rules! in_time {
    ($($room:ident: $($test:ident),+;)+) => {
        in_time! { @kind memory_in_time memory $($room: $($test),+;)+ }
        in_time! { @kind file_in_time file $($room: $($test),+;)+ }
        in_time! { @kind postgres_in_time postgres $($room: $($test),+;)+ }
    };
    (@kind $name:ident $kind:ident $($room:ident: $($test:ident),+;)+) => {
        mod $name {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    if let Some(fixture) = super::Fixture::$kind().await {
                        super::$room::$test(&fixture).await;
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
    exchange: a_code_is_redeemed_once, a_code_is_for_one_client_and_family, a_code_ends_by_time_and_with_its_family,
        redeeming_needs_the_version, two_uses_of_one_code_in_a_batch, a_redemption_without_refresh_token,
        an_exchange_uses_a_jti_only_if_it_is_done, every_kind_of_write_shares_a_batch, a_device_code_is_redeemed_once,
        a_token_of_a_lost_family_is_not_valid;
    refresh: a_refresh_token_is_used_once, a_rotation_spares_or_ends_access_tokens_of_its_family,
        a_refresh_token_is_for_one_client_and_family, a_refresh_token_ends_by_time_or_never,
        replays_are_counted_up_to_the_most, revoking_a_refresh_token_ends_its_family,
        revoking_an_access_token_ends_its_family, a_family_is_revoked_but_no_shared_one;
    logins: a_login_is_remembered, a_login_comes_once_and_else_writes_nothing, a_login_without_memory_is_always_done,
        a_session_is_extended_and_ended, a_subject_has_the_last_name_it_was_given, a_logout_is_done_once,
        a_logout_that_knows_not_all_clients_is_decided_again, a_logout_ends_what_was_granted_in_its_session,
        a_logout_may_spare_what_was_granted, sessions_of_a_subject_end_together, kinds_of_flows_share_a_batch;
    consents: a_grant_comes_back_whole, a_grant_is_done_once, a_grant_needs_the_version,
        a_grant_needs_a_session_that_has_not_ended, a_grant_needs_the_consent_it_stands_on, a_client_knows_of_remembered_consents,
        a_stale_grant_spoils_no_fresh_one, the_newest_remembered_consent_is_found, consents_are_listed_by_page,
        consents_since_a_moment_come_oldest_first, revoking_consents_ends_all_that_stands_on_them,
        clients_of_a_session_come_once, a_client_takes_all_of_it_away, deleting_a_clients_tokens_leaves_its_consents,
        a_client_with_many_families_is_deleted, a_key_that_is_taken_is_a_conflict;
    devices: a_user_code_is_taken_until_it_ends, a_device_needs_the_clients_version, a_user_code_is_entered_once,
        wrong_guesses_are_counted_by_challenge, wrong_guesses_are_counted_together, a_user_code_of_two_devices_is_nobodys,
        a_device_is_decided_once, two_decisions_on_one_device_in_a_batch,
        an_ended_device_is_not_decided;
    outbox: claims_at_once_share_the_outbox, a_flow_is_kept_for_its_time;
    races: one_of_many_redeems_a_code, one_of_many_uses_a_refresh_token, batches_of_the_same_exchanges_end,
        a_revoked_refresh_token_has_no_living_successor, a_revoked_family_has_no_living_token,
        a_revoked_consent_has_no_living_token, a_logout_leaves_no_living_token, one_of_many_grants_a_consent,
        no_grant_outlives_its_client, no_grant_outlives_the_consent_it_stands_on, guesses_at_once_are_counted_one_by_one, one_of_many_flows_gets_a_device,
        one_of_many_asks_with_a_user_code, a_session_begins_once_and_ends_once, replays_at_once_are_counted_one_by_one;
    keys: keys_come_back_newest_first, changes_are_applied_in_order, eight_openers_make_one_key, a_decision_for_nothing_writes_nothing;
    upkeep: the_schema_is_there, sweeping_takes_what_is_over, changes_are_told, an_end_is_an_end;
}

in_time! {
    devices: one_who_polls_too_fast_must_wait_longer;
    outbox: a_delivery_is_claimed_by_one_and_settled;
    sweep: what_is_over_goes_batch_by_batch, a_consent_goes_when_nothing_stands_on_it,
        a_remembered_consent_stays_while_it_is_remembered, a_revoked_family_keeps_its_id_for_a_while,
        a_revoked_consent_goes_with_its_family, looking_at_consents_takes_batches_too, a_consent_whose_token_never_ends_stays,
        a_used_token_that_would_never_end_goes_after_a_while,
        rows_under_way_hold_their_consent;
}
