//! What only SQLite does: it fills up, and its one writer outlives a job that panics.

use super::{Place, SqliteStore};
use crate::domain::world::{Clock, Timestamp};
use crate::store::{ClientRecord, ClientStore, KeyStore, OpenOptions, StoreError, Upkeep};
use std::sync::Arc;
use std::time::Duration;

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_800_000_000)
    }
}

async fn memory() -> SqliteStore {
    let statement_timeout = Duration::from_secs(5);
    let metrics = crate::telemetry::metrics::Metrics::new("test").unwrap();
    let clock = Arc::new(Still);
    let options = OpenOptions {
        dsn: "memory".to_owned(),
        max_conns: 1,
        statement_timeout,
        access_token_life: statement_timeout,
        clock,
        metrics,
        cache: None,
    };
    SqliteStore::open(Place::Memory, &options).await.unwrap()
}

fn client(id: &str, document: String) -> ClientRecord {
    ClientRecord {
        id: id.to_owned(),
        name: String::new(),
        owner: String::new(),
        document,
        secret_hash: String::new(),
        rotated_secret_hashes: Vec::new(),
        registration_token_hash: None,
        family_id: uuid::Uuid::new_v4(),
        has_remembered_consent: false,
        version: 1,
        created_at: Still.now(),
        updated_at: Still.now(),
    }
}

#[tokio::test]
async fn a_full_database_is_unavailable_and_not_corrupt() {
    let store = Arc::new(memory().await);
    store.create_client(&client("before", "{}".to_owned())).await.unwrap();
    let cap = |pages: i64| {
        store.write(move |db, _, _| db.pragma_update(None, "max_page_count", pages).map_err(super::faults::store_error))
    };
    cap(1).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for turn in 0..20 {
        let store = Arc::clone(&store);
        tasks.spawn(async move { store.create_client(&client(&turn.to_string(), "x".repeat(50_000))).await });
    }
    for answer in tasks.join_all().await {
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    }
    cap(1_000_000).await.unwrap();
    store.create_client(&client("0", "{}".to_owned())).await.unwrap();
    assert!(store.client("before").await.unwrap().is_some());
    assert!(store.client("1").await.unwrap().is_none());
}

#[tokio::test]
async fn a_panicking_decision_changes_nothing_and_ends_nobody() {
    let store = memory().await;
    let answer = store.change_keys(&["a".to_owned()], Box::new(|_, _| panic!("a decision"))).await;
    assert!(matches!(answer, Err(StoreError::Corrupt(_))), "{answer:?}");
    store.ping().await.unwrap();
}

#[test]
fn a_dsn_names_its_place() {
    for memory in [":memory:", "file::memory:?cache=shared", "file:x?mode=memory"] {
        assert_eq!(Place::parse(memory).unwrap(), Place::Memory);
    }
    for (dsn, path) in [("/var/a%20b.db?_fk=true", "/var/a b.db"), ("rel.db", "rel.db"), ("file:/x.db", "/x.db")] {
        assert_eq!(Place::parse(dsn).unwrap(), Place::File(path.into()));
    }
    assert!(Place::parse("").is_err() && Place::parse("?_fk=true").is_err());
}

#[test]
fn a_new_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let place = Place::File(dir.path().join("signet.sqlite"));
    let db = place.connect().unwrap();
    db.execute_batch("CREATE TABLE t (x)").unwrap();
    let (file, wal) = place.files().unwrap();
    for path in [file, wal] {
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
    place.connect().unwrap();
}
