//! The verbs on flows in SQLite.

use super::faults::store_error;
use super::{SqliteStore, consents, devices, outbox, sessions};
use crate::domain::world::Timestamp;
use crate::store::{
    Attempt, Consent, ConsentFilter, ConsentPage, Delivered, DevicePoll, DeviceRequest, FlowStore, FlowVerdict,
    FlowWrite, FoundCode, LoginSession, LogoutDelivery, OutboxDepth, SignatureHash, StoreError, UserCodeGuess,
};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use std::time::Duration;
use uuid::Uuid;

fn write(db: &Connection, nid: &[u8], write: &FlowWrite, now: Timestamp) -> rusqlite::Result<FlowVerdict> {
    match write {
        FlowWrite::Login(order) => sessions::login(db, nid, order, now),
        FlowWrite::Grant(order) => consents::grant(db, nid, order, now),
        FlowWrite::Logout(order) => sessions::logout(db, nid, order, now),
        FlowWrite::DenyDevice(flow) => {
            Ok(if devices::deny(db, nid, flow, now)? { FlowVerdict::Done } else { FlowVerdict::Used })
        }
    }
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

const PUT_BODY: &str = "
    INSERT INTO flow_body (handle, nid, sealed, expires_at) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (handle) DO UPDATE SET sealed = excluded.sealed, expires_at = excluded.expires_at";

/// The same handle again replaces what was kept.
fn put_body(
    db: &Connection,
    nid: &[u8],
    handle: &[u8; 32],
    sealed: &[u8],
    expires_at: Timestamp,
) -> rusqlite::Result<()> {
    db.prepare_cached(PUT_BODY)?.execute(params![handle, nid, sealed, expires_at.micros()]).map(drop)
}

const BODY: &str = "SELECT sealed FROM flow_body WHERE handle = ?1 AND nid = ?2 AND expires_at > ?3";

fn body(db: &Connection, nid: &[u8], handle: &[u8; 32], now: Timestamp) -> rusqlite::Result<Option<Vec<u8>>> {
    db.prepare_cached(BODY)?.query_row(params![handle, nid, now.micros()], |row| row.get(0)).optional()
}

#[async_trait]
impl FlowStore for SqliteStore {
    async fn write_flows(&self, batch: &[FlowWrite]) -> Result<Vec<FlowVerdict>, StoreError> {
        let batch = batch.to_vec();
        self.write(move |db, world, _| {
            let (nid, now) = (world.nid(db)?, world.now());
            batch.iter().map(|order| write(db, nid, order, now).map_err(store_error)).collect()
        })
        .await
    }

    async fn login_session(&self, id: Uuid) -> Result<Option<LoginSession>, StoreError> {
        self.read(move |db, world| sessions::by_id(db, world.nid(db)?, id, world.now()).map_err(store_error)).await
    }

    async fn previous_consent(&self, client_id: &str, subject: &str) -> Result<Option<Consent>, StoreError> {
        let (client, subject) = (client_id.to_owned(), subject.to_owned());
        self.read(move |db, world| {
            consents::previous(db, world.nid(db)?, &client, &subject, world.now()).map_err(store_error)
        })
        .await
    }

    async fn forced_subject(&self, client_id: &str, subject: &str) -> Result<Option<String>, StoreError> {
        let (client, subject) = (client_id.to_owned(), subject.to_owned());
        self.read(move |db, world| sessions::forced(db, world.nid(db)?, &client, &subject).map_err(store_error)).await
    }

    async fn authorization_code(&self, signature: &SignatureHash) -> Result<Option<FoundCode>, StoreError> {
        let signature = *signature;
        self.read(move |db, world| consents::code(db, world.nid(db)?, &signature, world.now()).map_err(store_error))
            .await
    }

    async fn consents_since(&self, since: Timestamp, limit: usize) -> Result<Vec<(Uuid, Timestamp)>, StoreError> {
        self.read(move |db, world| consents::since(db, world.nid(db)?, since, limit).map_err(store_error)).await
    }

    async fn consents(&self, page: &ConsentPage) -> Result<Vec<Consent>, StoreError> {
        let page = page.clone();
        self.read(move |db, world| consents::page(db, world.nid(db)?, &page, world.now()).map_err(store_error)).await
    }

    async fn revoke_consents(&self, filter: &ConsentFilter) -> Result<u64, StoreError> {
        let filter = filter.clone();
        self.write(move |db, world, _| {
            consents::revoke(db, world.nid(db)?, &filter, world.now()).map(count).map_err(store_error)
        })
        .await
    }

    async fn clients_of_session(&self, session_id: Uuid, subject: &str) -> Result<Vec<String>, StoreError> {
        let subject = subject.to_owned();
        self.read(move |db, world| consents::clients(db, world.nid(db)?, session_id, &subject).map_err(store_error))
            .await
    }

    async fn subject_of_session(&self, session_id: Uuid) -> Result<Option<String>, StoreError> {
        self.read(move |db, world| consents::subject(db, world.nid(db)?, session_id).map_err(store_error)).await
    }

    async fn end_sessions_of_subject(&self, subject: &str) -> Result<u64, StoreError> {
        let subject = subject.to_owned();
        self.write(move |db, world, _| {
            sessions::end_of_subject(db, world.nid(db)?, &subject, world.now()).map(count).map_err(store_error)
        })
        .await
    }

    async fn put_flow_body(&self, handle: &[u8; 32], sealed: &[u8], expires_at: Timestamp) -> Result<(), StoreError> {
        let (handle, sealed) = (*handle, sealed.to_vec());
        self.write(move |db, world, _| put_body(db, world.nid(db)?, &handle, &sealed, expires_at).map_err(store_error))
            .await
    }

    async fn flow_body(&self, handle: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreError> {
        let handle = *handle;
        self.read(move |db, world| body(db, world.nid(db)?, &handle, world.now()).map_err(store_error)).await
    }

    async fn create_device(&self, device: &DeviceRequest, client_version: i64) -> Result<(), StoreError> {
        let device = device.clone();
        self.write(move |db, world, _| devices::create(db, world.nid(db)?, &device, client_version, world.now())).await
    }

    async fn guess_user_code(&self, attempt: &Attempt) -> Result<UserCodeGuess, StoreError> {
        let attempt = attempt.clone();
        self.write(move |db, world, _| devices::guess(db, world.nid(db)?, &attempt, world.now()).map_err(store_error))
            .await
    }

    async fn poll_device(&self, signature: &SignatureHash, client_id: &str) -> Result<Option<DevicePoll>, StoreError> {
        let (signature, client) = (*signature, client_id.to_owned());
        self.write(move |db, world, _| {
            devices::poll(db, world.nid(db)?, &signature, &client, world.now()).map_err(store_error)
        })
        .await
    }

    async fn claim_deliveries(&self, limit: usize, lease: Duration) -> Result<Vec<LogoutDelivery>, StoreError> {
        self.write(move |db, world, _| {
            outbox::claim(db, world.nid(db)?, limit, lease, world.now()).map_err(store_error)
        })
        .await
    }

    async fn settle_delivery(&self, delivery: &LogoutDelivery, outcome: Delivered) -> Result<(), StoreError> {
        let (id, attempts) = (delivery.id, delivery.attempts);
        self.write(move |db, world, _| {
            outbox::settle(db, world.nid(db)?, (id, attempts), outcome, world.now()).map_err(store_error)
        })
        .await
    }

    async fn outbox_depth(&self) -> Result<OutboxDepth, StoreError> {
        self.read(move |db, world| outbox::depth(db, world.nid(db)?).map_err(store_error)).await
    }
}
