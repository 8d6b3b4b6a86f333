//! The registry on a store whose loads wait for the test: which load answers whom.

use super::*;
use crate::domain::world::Timestamp;
use crate::store::{
    AccessKey, AccessToken, Attempt, ClientPage, ClientStore, Consent, ConsentFilter, ConsentPage, Delivered,
    DevicePoll, DeviceRequest, FlowStore, FlowVerdict, FlowWrite, FoundCode, FoundRefresh, KeyDecision, KeyRow,
    KeyStore, LoginSession, LogoutDelivery, Migration, OutboxDepth, Replaced, SignatureHash, Sweep, TokenStore, Upkeep,
    UserCodeGuess, Verdict, Write,
};
use async_trait::async_trait;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// Has one client. A load sees the version of the moment when it begins, and ends when the gate lets it.
struct Gated {
    version: AtomicI64,
    loads: AtomicUsize,
    gate: Semaphore,
    feed: broadcast::Sender<Change>,
}

fn away<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("not in this test".to_owned()))
}

#[async_trait]
impl ClientStore for Gated {
    async fn client(&self, id: &str) -> Result<Option<ClientRecord>, StoreError> {
        let version = self.version.load(Ordering::SeqCst);
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        Ok(Some(ClientRecord {
            id: id.to_owned(),
            name: String::new(),
            owner: String::new(),
            document: "{}".to_owned(),
            secret_hash: String::new(),
            rotated_secret_hashes: Vec::new(),
            registration_token_hash: None,
            family_id: Uuid::nil(),
            has_remembered_consent: false,
            version,
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
        }))
    }

    async fn create_client(&self, _: &ClientRecord) -> Result<(), StoreError> {
        away()
    }

    async fn clients(&self, _: &ClientPage) -> Result<Vec<ClientRecord>, StoreError> {
        away()
    }

    async fn replace_client(&self, _: &ClientRecord, _: i64) -> Result<Replaced, StoreError> {
        away()
    }

    async fn note_remembered_consent(&self, _: &str) -> Result<(), StoreError> {
        away()
    }

    async fn delete_client(&self, _: &str) -> Result<bool, StoreError> {
        away()
    }
}

#[async_trait]
impl TokenStore for Gated {
    async fn write_tokens(&self, _: &[Write]) -> Result<Vec<Verdict>, StoreError> {
        away()
    }

    async fn access_token(&self, _: &AccessKey) -> Result<Option<AccessToken>, StoreError> {
        away()
    }

    async fn access_tokens(&self, _: &[AccessKey]) -> Result<Vec<Option<AccessToken>>, StoreError> {
        away()
    }

    async fn refresh_token(&self, _: &SignatureHash) -> Result<Option<FoundRefresh>, StoreError> {
        away()
    }

    async fn delete_tokens_of_client(&self, _: &str, _: Uuid) -> Result<bool, StoreError> {
        away()
    }
}

#[async_trait]
impl FlowStore for Gated {
    async fn write_flows(&self, _: &[FlowWrite]) -> Result<Vec<FlowVerdict>, StoreError> {
        away()
    }

    async fn login_session(&self, _: Uuid) -> Result<Option<LoginSession>, StoreError> {
        away()
    }

    async fn previous_consent(&self, _: &str, _: &str) -> Result<Option<Consent>, StoreError> {
        away()
    }

    async fn forced_subject(&self, _: &str, _: &str) -> Result<Option<String>, StoreError> {
        away()
    }

    async fn authorization_code(&self, _: &SignatureHash) -> Result<Option<FoundCode>, StoreError> {
        away()
    }

    async fn consents_since(&self, _: Timestamp, _: usize) -> Result<Vec<(Uuid, Timestamp)>, StoreError> {
        away()
    }

    async fn consents(&self, _: &ConsentPage) -> Result<Vec<Consent>, StoreError> {
        away()
    }

    async fn revoke_consents(&self, _: &ConsentFilter) -> Result<u64, StoreError> {
        away()
    }

    async fn clients_of_session(&self, _: Uuid, _: &str) -> Result<Vec<String>, StoreError> {
        away()
    }

    async fn subject_of_session(&self, _: Uuid) -> Result<Option<String>, StoreError> {
        away()
    }
    async fn end_sessions_of_subject(&self, _: &str) -> Result<u64, StoreError> {
        away()
    }

    async fn put_flow_body(&self, _: &[u8; 32], _: &[u8], _: Timestamp) -> Result<(), StoreError> {
        away()
    }

    async fn flow_body(&self, _: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreError> {
        away()
    }

    async fn create_device(&self, _: &DeviceRequest, _: i64) -> Result<(), StoreError> {
        away()
    }

    async fn guess_user_code(&self, _: &Attempt) -> Result<UserCodeGuess, StoreError> {
        away()
    }

    async fn poll_device(&self, _: &SignatureHash, _: &str) -> Result<Option<DevicePoll>, StoreError> {
        away()
    }

    async fn claim_deliveries(&self, _: usize, _: Duration) -> Result<Vec<LogoutDelivery>, StoreError> {
        away()
    }

    async fn settle_delivery(&self, _: &LogoutDelivery, _: Delivered) -> Result<(), StoreError> {
        away()
    }

    async fn outbox_depth(&self) -> Result<OutboxDepth, StoreError> {
        away()
    }
}

#[async_trait]
impl KeyStore for Gated {
    async fn keys(&self, _: &[String]) -> Result<Vec<KeyRow>, StoreError> {
        away()
    }

    async fn key_sets(&self) -> Result<Vec<String>, StoreError> {
        away()
    }

    async fn change_keys(&self, _: &[String], _: KeyDecision) -> Result<Vec<KeyRow>, StoreError> {
        away()
    }
}

#[async_trait]
impl Upkeep for Gated {
    async fn ping(&self) -> Result<Timestamp, StoreError> {
        away()
    }

    async fn migrations(&self) -> Result<Vec<Migration>, StoreError> {
        away()
    }

    async fn sweep(&self, _: usize) -> Result<Sweep, StoreError> {
        away()
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.feed.subscribe()
    }

    async fn close(&self) {}
}

fn registry() -> (Arc<Gated>, Clients) {
    let (feed, _) = broadcast::channel(8);
    let gate = Semaphore::new(0);
    let store = Arc::new(Gated { version: AtomicI64::new(1), loads: AtomicUsize::new(0), gate, feed });
    let clients = Clients::start(store.clone(), CancellationToken::new(), Metrics::new("test").unwrap());
    (store, clients)
}

/// Asks on a task of its own; the version it is told.
fn ask(clients: &Clients, fresh: bool) -> tokio::task::JoinHandle<i64> {
    let clients = clients.clone();
    actix_web::rt::spawn(async move {
        let found = if fresh { clients.get_fresh("a").await } else { clients.get("a").await };
        found.unwrap().unwrap().version
    })
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

#[actix_web::test]
async fn who_asks_for_a_fresh_client_never_joins_an_older_load() {
    let (store, clients) = registry();
    let old = [ask(&clients, false), ask(&clients, false)];
    settle().await;
    store.version.store(2, Ordering::SeqCst);
    let fresh = [ask(&clients, true), ask(&clients, true)];
    settle().await;
    store.gate.add_permits(2);
    for asked in old {
        assert_eq!(asked.await.unwrap(), 1);
    }
    for asked in fresh {
        assert_eq!(asked.await.unwrap(), 2);
    }
    assert_eq!(store.loads.load(Ordering::SeqCst), 2, "each load is shared");
    assert_eq!(ask(&clients, false).await.unwrap(), 2, "the fresh one is on the shelf");
}

#[actix_web::test]
async fn who_asks_after_a_change_was_heard_never_joins_an_older_load() {
    let (store, clients) = registry();
    let old = ask(&clients, false);
    settle().await;
    store.version.store(2, Ordering::SeqCst);
    store.feed.send(Change::Client("a".to_owned())).unwrap();
    settle().await;
    let later = ask(&clients, false);
    settle().await;
    store.gate.add_permits(3);
    assert_eq!((old.await.unwrap(), later.await.unwrap()), (1, 2));
    assert!(clients.has_changed("a", 1).await.unwrap());
}
