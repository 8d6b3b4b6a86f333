//! The verbs on flows in PostgreSQL.

use super::faults::Fault;
use super::rows::Moment;
use super::{PostgresStore, consents, devices, grants, outbox, partitions, run, sessions};
use crate::domain::token::expiry_hour::ExpiryHour;
use crate::domain::world::Timestamp;
use crate::store::{
    Attempt, Consent, ConsentFilter, ConsentPage, Delivered, DevicePoll, DeviceRequest, FlowStore, FlowVerdict,
    FlowWrite, FoundCode, Grant, Login, LoginSession, Logout, LogoutDelivery, OutboxDepth, SignatureHash, StoreError,
    UserCodeGuess,
};
use async_trait::async_trait;
use deadpool_postgres::{GenericClient, Object};
use std::time::Duration;
use uuid::Uuid;

/// Writes of a batch by kind, each with its place in the batch.
#[derive(Default)]
struct Kinds<'a> {
    logins: Vec<(usize, &'a Login)>,
    logouts: Vec<(usize, &'a Logout)>,
    grants: Vec<(usize, &'a Grant)>,
    denials: Vec<(usize, Uuid)>,
}

impl<'a> Kinds<'a> {
    fn of(writes: &'a [FlowWrite]) -> Self {
        let mut kinds = Self::default();
        for (at, write) in writes.iter().enumerate() {
            match write {
                FlowWrite::Login(order) => kinds.logins.push((at, order)),
                FlowWrite::Logout(order) => kinds.logouts.push((at, order)),
                FlowWrite::Grant(order) => kinds.grants.push((at, order)),
                FlowWrite::DenyDevice(flow) => kinds.denials.push((at, *flow)),
            }
        }
        kinds
    }

    /// Whether one statement writes it.
    fn is_plain(&self) -> bool {
        let there = [!self.logins.is_empty(), !self.grants.is_empty(), !self.denials.is_empty()];
        self.logouts.is_empty() && there.iter().filter(|there| **there).count() < 2
    }

    /// Holds the rows that several kinds may touch, in the one order there is: clients, then sessions.
    async fn hold(&self, db: &impl GenericClient, nid: Uuid) -> Result<(), Fault> {
        grants::hold_clients(db, nid, self.grants.iter().map(|(_, order)| *order)).await?;
        let known = self.logins.iter().flat_map(|(_, o)| [o.extend.map(|(id, _)| id), o.ends]).flatten();
        let granted = self.grants.iter().map(|(_, o)| o.consent.session_id);
        let ids: Vec<Uuid> = known.chain(self.logouts.iter().map(|(_, o)| o.session_id)).chain(granted).collect();
        sessions::hold(db, nid, &ids).await
    }

    /// One kind after the other; the verdicts in the order of the batch.
    async fn write(&self, db: &impl GenericClient, nid: Uuid) -> Result<Vec<FlowVerdict>, Fault> {
        let mut verdicts = Vec::new();
        let (at, orders): (Vec<usize>, Vec<&Login>) = self.logins.iter().copied().unzip();
        verdicts.extend(at.into_iter().zip(sessions::login_all(db, nid, &orders).await?));
        let (at, orders): (Vec<usize>, Vec<&Logout>) = self.logouts.iter().copied().unzip();
        verdicts.extend(at.into_iter().zip(sessions::logout_all(db, nid, &orders).await?));
        let (at, orders): (Vec<usize>, Vec<&Grant>) = self.grants.iter().copied().unzip();
        verdicts.extend(at.into_iter().zip(grants::grant_all(db, nid, &orders).await?));
        let (at, flows): (Vec<usize>, Vec<Uuid>) = self.denials.iter().copied().unzip();
        verdicts.extend(at.into_iter().zip(devices::deny_all(db, nid, &flows).await?));
        verdicts.sort_unstable_by_key(|(at, _)| *at);
        Ok(verdicts.into_iter().map(|(_, verdict)| verdict).collect())
    }
}

async fn write_once(conn: &mut Object, nid: Uuid, kinds: &Kinds<'_>) -> Result<Vec<FlowVerdict>, Fault> {
    if kinds.is_plain() {
        return kinds.write(&*conn, nid).await;
    }
    let tx = conn.transaction().await?;
    kinds.hold(&tx, nid).await?;
    let verdicts = kinds.write(&tx, nid).await?;
    tx.commit().await?;
    Ok(verdicts)
}

/// An hour that has no partition gets it, and the batch is written then: of the first try nothing is left.
async fn write(conn: &mut Object, nid: Uuid, kinds: &Kinds<'_>) -> Result<Vec<FlowVerdict>, Fault> {
    match write_once(conn, nid, kinds).await {
        Err(fault) if fault.is_without_partition() => {
            let issued = kinds.grants.iter().filter_map(|(_, order)| order.access_token.as_ref());
            partitions::make_missed(conn, issued.map(|token| ExpiryHour::at_head_of(&token.signature))).await?;
            write_once(conn, nid, kinds).await
        }
        answer => answer,
    }
}

const PUT_BODY: &str = "
    INSERT INTO flow_body (handle, nid, sealed, expires_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (handle) DO UPDATE SET sealed = excluded.sealed, expires_at = excluded.expires_at";

/// The same handle again replaces what was kept.
async fn put_body(conn: &Object, nid: Uuid, handle: &[u8], sealed: &[u8], expires_at: Timestamp) -> Result<(), Fault> {
    let statement = conn.prepare_cached(PUT_BODY).await?;
    conn.execute(&statement, &[&handle, &nid, &sealed, &Moment(expires_at)]).await?;
    Ok(())
}

const BODY: &str = "
    SELECT sealed FROM flow_body WHERE handle = $1 AND nid IS NOT DISTINCT FROM $2 AND expires_at > clock_timestamp()";

async fn body(conn: &Object, nid: Uuid, handle: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
    let statement = conn.prepare_cached(BODY).await?;
    Ok(conn.query_opt(&statement, &[&handle, &nid]).await?.map(|row| row.try_get(0)).transpose()?)
}

/// PostgreSQL has no NUL in text, so no row has it.
fn nowhere(texts: &[&str]) -> bool {
    texts.iter().any(|text| text.contains('\0'))
}

fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

#[async_trait]
impl FlowStore for PostgresStore {
    async fn write_flows(&self, batch: &[FlowWrite]) -> Result<Vec<FlowVerdict>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let (nid, kinds) = (self.nid().await?, Kinds::of(batch));
        run!(self, |conn| write(conn, nid, &kinds))
    }

    async fn login_session(&self, id: Uuid) -> Result<Option<LoginSession>, StoreError> {
        let nid = self.nid().await?;
        run!(self, |conn| sessions::by_id(&*conn, nid, id))
    }

    async fn previous_consent(&self, client_id: &str, subject: &str) -> Result<Option<Consent>, StoreError> {
        if nowhere(&[client_id, subject]) {
            return Ok(None);
        }
        let nid = self.nid().await?;
        run!(self, |conn| consents::previous(&*conn, nid, client_id, subject))
    }

    async fn forced_subject(&self, client_id: &str, subject: &str) -> Result<Option<String>, StoreError> {
        if nowhere(&[client_id, subject]) {
            return Ok(None);
        }
        let nid = self.nid().await?;
        run!(self, |conn| sessions::forced(&*conn, nid, client_id, subject))
    }

    async fn authorization_code(&self, signature: &SignatureHash) -> Result<Option<FoundCode>, StoreError> {
        self.codes.get(signature).await
    }

    async fn consents_since(&self, since: Timestamp, most: usize) -> Result<Vec<(Uuid, Timestamp)>, StoreError> {
        let nid = self.nid().await?;
        run!(self, |conn| consents::since(&*conn, nid, since, limit(most)))
    }

    async fn consents(&self, page: &ConsentPage) -> Result<Vec<Consent>, StoreError> {
        if nowhere(&[&page.subject]) {
            return Ok(Vec::new());
        }
        let nid = self.nid().await?;
        run!(self, |conn| consents::page(&*conn, nid, page))
    }

    async fn revoke_consents(&self, filter: &ConsentFilter) -> Result<u64, StoreError> {
        let texts: &[&str] = match filter {
            ConsentFilter::Id(_) => &[],
            ConsentFilter::Client { subject, client_id } => &[subject, client_id],
            ConsentFilter::Subject(subject) => &[subject],
        };
        if nowhere(texts) {
            return Ok(0);
        }
        let nid = self.nid().await?;
        run!(self, |conn| consents::revoke(conn, nid, filter))
    }

    async fn clients_of_session(&self, session_id: Uuid, subject: &str) -> Result<Vec<String>, StoreError> {
        if nowhere(&[subject]) {
            return Ok(Vec::new());
        }
        let nid = self.nid().await?;
        run!(self, |conn| consents::clients(&*conn, nid, session_id, subject))
    }

    async fn subject_of_session(&self, session_id: Uuid) -> Result<Option<String>, StoreError> {
        let nid = self.nid().await?;
        run!(self, |conn| consents::subject(&*conn, nid, session_id))
    }

    async fn end_sessions_of_subject(&self, subject: &str) -> Result<u64, StoreError> {
        if nowhere(&[subject]) {
            return Ok(0);
        }
        let nid = self.nid().await?;
        run!(self, |conn| sessions::end_of_subject(&*conn, nid, subject))
    }

    async fn put_flow_body(&self, handle: &[u8; 32], sealed: &[u8], expires_at: Timestamp) -> Result<(), StoreError> {
        let nid = self.nid().await?;
        run!(self, |conn| put_body(&*conn, nid, handle, sealed, expires_at))
    }

    async fn flow_body(&self, handle: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreError> {
        let nid = self.nid().await?;
        run!(self, |conn| body(&*conn, nid, handle))
    }

    async fn create_device(&self, device: &DeviceRequest, client_version: i64) -> Result<(), StoreError> {
        let nid = self.nid().await?;
        let made = run!(self, |conn| devices::create(&*conn, nid, device, client_version))?;
        if made { Ok(()) } else { Err(StoreError::client_changed()) }
    }

    async fn guess_user_code(&self, attempt: &Attempt) -> Result<UserCodeGuess, StoreError> {
        let nid = self.nid().await?;
        run!(self, |conn| devices::guess(conn, nid, attempt))
    }

    async fn poll_device(&self, signature: &SignatureHash, client_id: &str) -> Result<Option<DevicePoll>, StoreError> {
        let nid = self.nid().await?;
        run!(self, |conn| devices::poll(&*conn, nid, signature, client_id))
    }

    async fn claim_deliveries(&self, most: usize, lease: Duration) -> Result<Vec<LogoutDelivery>, StoreError> {
        let nid = self.nid().await?;
        run!(self, |conn| outbox::claim(&*conn, nid, limit(most), lease))
    }

    async fn settle_delivery(&self, delivery: &LogoutDelivery, outcome: Delivered) -> Result<(), StoreError> {
        let nid = self.nid().await?;
        run!(self, |conn| outbox::settle(&*conn, nid, delivery, outcome))
    }

    async fn outbox_depth(&self) -> Result<OutboxDepth, StoreError> {
        let nid = self.nid().await?;
        run!(self, |conn| outbox::depth(&*conn, nid))
    }
}
