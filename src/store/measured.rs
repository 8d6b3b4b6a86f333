//! A store that is watched: it times every verb, opens a span for it inside a traced request, and tells the introspection
//! cache what ended. `open` puts it around every store, so that nobody can forget it.
//!
//! Invariant: names and fields are constants; no id, no SQL text and no value reaches a metric or a span. Work that
//! belongs to no request (readiness, sweeps) opens no span: a trace of one span tells nobody anything.

use super::introspection_cache::{Ended, IntrospectionCache, ended_by_flows, ended_by_tokens};
use super::{
    AccessKey, AccessToken, Attempt, Change, ClientPage, ClientRecord, ClientStore, Consent, ConsentFilter,
    ConsentPage, Delivered, DevicePoll, DeviceRequest, FileSizes, FlowStore, FlowVerdict, FlowWrite, FoundCode,
    FoundRefresh, KeyDecision, KeyRow, KeyStore, LoginSession, LogoutDelivery, Migration, OutboxDepth, PoolStatus,
    Replaced, SignatureHash, Store, StoreError, Sweep, TokenStore, Upkeep, UserCodeGuess, Verdict, Write,
};
use crate::domain::world::Timestamp;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces;
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tracing::{Instrument, Span, debug_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

/// Every verb, by the name its series and its span have.
pub(super) const VERBS: [&str; 36] = [
    "access_token",
    "access_tokens",
    "authorization_code",
    "change_keys",
    "claim_deliveries",
    "client",
    "clients",
    "clients_of_session",
    "consents",
    "consents_since",
    "create_client",
    "create_device",
    "delete_client",
    "delete_tokens_of_client",
    "end_sessions_of_subject",
    "flow_body",
    "forced_subject",
    "guess_user_code",
    "key_sets",
    "keys",
    "login_session",
    "migrations",
    "note_remembered_consent",
    "outbox_depth",
    "ping",
    "poll_device",
    "previous_consent",
    "put_flow_body",
    "refresh_token",
    "replace_client",
    "revoke_consents",
    "settle_delivery",
    "subject_of_session",
    "sweep",
    "write_flows",
    "write_tokens",
];

/// The store inside, watched.
pub(super) struct Measured<S> {
    inner: S,
    system: &'static str,
    metrics: Arc<Metrics>,
    cache: Option<Arc<IntrospectionCache>>,
}

impl<S: Store> Measured<S> {
    /// Watches `inner`, whose database is `system` (OpenTelemetry's `db.system.name`).
    pub(super) fn new(
        inner: S,
        system: &'static str,
        metrics: Arc<Metrics>,
        cache: Option<Arc<IntrospectionCache>>,
    ) -> Self {
        Self { inner, system, metrics, cache }
    }

    /// Before anybody is answered.
    async fn ended(&self, all: impl FnOnce() -> Vec<Ended>) {
        if let Some(cache) = &self.cache {
            cache.ended(all()).await;
        }
    }
}

/// Runs one verb of the store inside. At debug level, so that a log at `info` does not pay for spans it never shows.
macro_rules! watched {
    ($self:ident.$verb:ident($($argument:expr),*)) => {
        watched!($self.$verb($($argument),*), |span| span.set_attribute("db.query.summary", stringify!($verb)))
    };
    // What there is to say of the work, to the span if there is one.
    ($self:ident.$verb:ident($($argument:expr),*), |$span:ident| $more:expr) => {{
        let _timer = $self.metrics.db_operation(stringify!($verb));
        let span = if !traces::inside_a_span() {
            Span::none()
        } else {
            let $span = debug_span!(
                concat!("store.", stringify!($verb)),
                otel.kind = "client",
                db.system.name = $self.system,
                db.operation.name = stringify!($verb),
            );
            $more;
            $span
        };
        let answer = $self.inner.$verb($($argument),*).instrument(span.clone()).await;
        match &answer {
            Err(StoreError::Unavailable(_) | StoreError::Held(_)) => traces::fail(&span, "unavailable"),
            Err(StoreError::Corrupt(_)) => traces::fail(&span, "corrupt"),
            _ => {}
        }
        answer
    }};
}

/// Says of a batch what is in it: kinds of writes, each once, and their number.
fn describe_batch<W>(span: &Span, verb: &str, batch: &[W], kind: fn(&W) -> &'static str) {
    let kinds: BTreeSet<&str> = batch.iter().map(kind).collect();
    let summary = kinds.iter().fold(verb.to_owned(), |all, kind| all + " " + kind);
    span.set_attribute("db.query.summary", summary);
    span.set_attribute("db.operation.batch.size", i64::try_from(batch.len()).unwrap_or(i64::MAX));
}

const fn kind_of_token_write(write: &Write) -> &'static str {
    match write {
        Write::Issue(_) => "issue",
        Write::Revoke(_) => "revoke",
        Write::Redeem(_) => "redeem",
        Write::Rotate(_) => "rotate",
        Write::Replay(_) => "replay",
        Write::RevokeFamily(_) => "revoke_family",
    }
}

const fn kind_of_flow_write(write: &FlowWrite) -> &'static str {
    match write {
        FlowWrite::Login(_) => "login",
        FlowWrite::Grant(_) => "grant",
        FlowWrite::DenyDevice(_) => "deny_device",
        FlowWrite::Logout(_) => "logout",
    }
}

#[async_trait]
impl<S: Store> ClientStore for Measured<S> {
    async fn create_client(&self, record: &ClientRecord) -> Result<(), StoreError> {
        watched!(self.create_client(record))
    }

    async fn client(&self, id: &str) -> Result<Option<ClientRecord>, StoreError> {
        watched!(self.client(id))
    }

    async fn clients(&self, page: &ClientPage) -> Result<Vec<ClientRecord>, StoreError> {
        watched!(self.clients(page))
    }

    async fn replace_client(&self, record: &ClientRecord, expected: i64) -> Result<Replaced, StoreError> {
        watched!(self.replace_client(record, expected))
    }

    async fn note_remembered_consent(&self, id: &str) -> Result<(), StoreError> {
        watched!(self.note_remembered_consent(id))
    }

    async fn delete_client(&self, id: &str) -> Result<bool, StoreError> {
        let ended = || vec![Ended::Client(id.to_owned())];
        // Before too: it may take long, end midway, or outlive its caller.
        self.ended(ended).await;
        let answer = watched!(self.delete_client(id));
        self.ended(ended).await;
        answer
    }
}

#[async_trait]
impl<S: Store> TokenStore for Measured<S> {
    async fn write_tokens(&self, batch: &[Write]) -> Result<Vec<Verdict>, StoreError> {
        let answer = watched!(self.write_tokens(batch), |span| {
            describe_batch(&span, "write_tokens", batch, kind_of_token_write);
        });
        self.ended(|| ended_by_tokens(batch, answer.as_deref().ok())).await;
        answer
    }

    async fn access_token(&self, signature: &AccessKey) -> Result<Option<AccessToken>, StoreError> {
        watched!(self.access_token(signature))
    }

    async fn access_tokens(&self, signatures: &[AccessKey]) -> Result<Vec<Option<AccessToken>>, StoreError> {
        watched!(self.access_tokens(signatures))
    }

    async fn refresh_token(&self, signature: &SignatureHash) -> Result<Option<FoundRefresh>, StoreError> {
        watched!(self.refresh_token(signature))
    }

    async fn delete_tokens_of_client(&self, client_id: &str, new_family: Uuid) -> Result<bool, StoreError> {
        let ended = || vec![Ended::Client(client_id.to_owned())];
        // Before too: it may take long, end midway, or outlive its caller.
        self.ended(ended).await;
        let answer = watched!(self.delete_tokens_of_client(client_id, new_family));
        self.ended(ended).await;
        answer
    }
}

#[async_trait]
impl<S: Store> FlowStore for Measured<S> {
    async fn write_flows(&self, batch: &[FlowWrite]) -> Result<Vec<FlowVerdict>, StoreError> {
        let answer = watched!(self.write_flows(batch), |span| {
            describe_batch(&span, "write_flows", batch, kind_of_flow_write);
        });
        self.ended(|| ended_by_flows(batch, answer.as_deref().ok())).await;
        answer
    }

    async fn login_session(&self, id: Uuid) -> Result<Option<LoginSession>, StoreError> {
        watched!(self.login_session(id))
    }

    async fn previous_consent(&self, client_id: &str, subject: &str) -> Result<Option<Consent>, StoreError> {
        watched!(self.previous_consent(client_id, subject))
    }

    async fn forced_subject(&self, client_id: &str, subject: &str) -> Result<Option<String>, StoreError> {
        watched!(self.forced_subject(client_id, subject))
    }

    async fn authorization_code(&self, signature: &SignatureHash) -> Result<Option<FoundCode>, StoreError> {
        watched!(self.authorization_code(signature))
    }

    async fn consents_since(&self, since: Timestamp, limit: usize) -> Result<Vec<(Uuid, Timestamp)>, StoreError> {
        watched!(self.consents_since(since, limit))
    }

    async fn consents(&self, page: &ConsentPage) -> Result<Vec<Consent>, StoreError> {
        watched!(self.consents(page))
    }

    async fn revoke_consents(&self, filter: &ConsentFilter) -> Result<u64, StoreError> {
        let ended = || vec![Ended::of_consents(filter)];
        // Before too: it may take long, end midway, or outlive its caller.
        self.ended(ended).await;
        let answer = watched!(self.revoke_consents(filter));
        self.ended(ended).await;
        answer
    }

    async fn clients_of_session(&self, session_id: Uuid, subject: &str) -> Result<Vec<String>, StoreError> {
        watched!(self.clients_of_session(session_id, subject))
    }

    async fn subject_of_session(&self, session_id: Uuid) -> Result<Option<String>, StoreError> {
        watched!(self.subject_of_session(session_id))
    }

    async fn end_sessions_of_subject(&self, subject: &str) -> Result<u64, StoreError> {
        watched!(self.end_sessions_of_subject(subject))
    }

    async fn put_flow_body(&self, handle: &[u8; 32], sealed: &[u8], expires_at: Timestamp) -> Result<(), StoreError> {
        watched!(self.put_flow_body(handle, sealed, expires_at))
    }

    async fn flow_body(&self, handle: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreError> {
        watched!(self.flow_body(handle))
    }

    async fn create_device(&self, device: &DeviceRequest, client_version: i64) -> Result<(), StoreError> {
        watched!(self.create_device(device, client_version))
    }

    async fn guess_user_code(&self, attempt: &Attempt) -> Result<UserCodeGuess, StoreError> {
        watched!(self.guess_user_code(attempt))
    }

    async fn poll_device(&self, signature: &SignatureHash, client_id: &str) -> Result<Option<DevicePoll>, StoreError> {
        watched!(self.poll_device(signature, client_id))
    }

    async fn claim_deliveries(&self, limit: usize, lease: Duration) -> Result<Vec<LogoutDelivery>, StoreError> {
        watched!(self.claim_deliveries(limit, lease))
    }

    async fn settle_delivery(&self, delivery: &LogoutDelivery, outcome: Delivered) -> Result<(), StoreError> {
        watched!(self.settle_delivery(delivery, outcome))
    }

    async fn outbox_depth(&self) -> Result<OutboxDepth, StoreError> {
        watched!(self.outbox_depth())
    }
}

#[async_trait]
impl<S: Store> KeyStore for Measured<S> {
    async fn keys(&self, sets: &[String]) -> Result<Vec<KeyRow>, StoreError> {
        watched!(self.keys(sets))
    }

    async fn key_sets(&self) -> Result<Vec<String>, StoreError> {
        watched!(self.key_sets())
    }

    async fn change_keys(&self, sets: &[String], decide: KeyDecision) -> Result<Vec<KeyRow>, StoreError> {
        watched!(self.change_keys(sets, decide))
    }
}

#[async_trait]
impl<S: Store> Upkeep for Measured<S> {
    async fn ping(&self) -> Result<Timestamp, StoreError> {
        watched!(self.ping())
    }

    async fn migrations(&self) -> Result<Vec<Migration>, StoreError> {
        watched!(self.migrations())
    }

    async fn sweep(&self, limit: usize) -> Result<Sweep, StoreError> {
        watched!(self.sweep(limit))
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.inner.changes()
    }

    fn pool(&self) -> Option<PoolStatus> {
        self.inner.pool()
    }

    fn files(&self) -> Option<FileSizes> {
        self.inner.files()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use crate::domain::world::Clock;
    use crate::store::{OpenOptions, open};

    struct Still;
    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(1_700_000_000_000_000)
        }
    }

    /// The operations of an exposition, and how many were counted.
    fn operations(text: &str) -> BTreeSet<(String, u64)> {
        let counts = text.lines().filter_map(|l| l.strip_prefix("db_client_operation_duration_seconds_count{"));
        counts
            .map(|l| {
                let (label, count) = l.split_once("\"} ").unwrap();
                (label.split_once('"').unwrap().1.to_owned(), count.parse().unwrap())
            })
            .collect()
    }

    /// Every verb on flows, once.
    async fn all_flows(store: &Arc<dyn Store>, now: Timestamp) {
        let id = Uuid::nil();
        store.write_flows(&[]).await.unwrap();
        store.login_session(id).await.unwrap();
        store.previous_consent("a", "b").await.unwrap();
        store.forced_subject("a", "b").await.unwrap();
        store.authorization_code(&[0; 32]).await.unwrap();
        store.consents_since(now, 1).await.unwrap();
        let page = ConsentPage { subject: String::new(), session_id: None, before: None, limit: 1 };
        store.consents(&page).await.unwrap();
        store.revoke_consents(&ConsentFilter::Id(id)).await.unwrap();
        store.clients_of_session(id, "b").await.unwrap();
        store.subject_of_session(id).await.unwrap();
        store.end_sessions_of_subject("b").await.unwrap();
        store.put_flow_body(&[0; 32], &[], now).await.unwrap();
        store.flow_body(&[0; 32]).await.unwrap();
        let device = DeviceRequest {
            signature: [0; 32],
            user_code: [0; 32],
            client_id: "nobody".to_owned(),
            scope: Vec::new(),
            audience: Vec::new(),
            requested_at: now,
            expires_at: now,
            interval: 5,
            flow_id: None,
        };
        store.create_device(&device, 1).await.unwrap_err();
        let attempt = Attempt {
            challenge: id,
            challenge_ends: now,
            most: 1,
            most_of_all: None,
            user_codes: Vec::new(),
            flow_id: id,
        };
        store.guess_user_code(&attempt).await.unwrap();
        store.poll_device(&[0; 32], "a").await.unwrap();
        store.claim_deliveries(1, Duration::ZERO).await.unwrap();
        let delivery = LogoutDelivery {
            id,
            client_id: "nobody".to_owned(),
            uri: String::new(),
            subject: String::new(),
            session_id: id,
            attempts: 0,
        };
        store.settle_delivery(&delivery, Delivered::Done).await.unwrap();
        store.outbox_depth().await.unwrap();
    }

    #[tokio::test]
    async fn every_verb_is_registered_and_counted_once() {
        let metrics = Metrics::new("test").unwrap();
        let options = OpenOptions {
            dsn: "memory".to_owned(),
            max_conns: 1,
            statement_timeout: Duration::from_secs(5),
            access_token_life: Duration::from_secs(3600),
            clock: Arc::new(Still),
            metrics: Arc::clone(&metrics),
            cache: None,
        };
        let store = open(options).await.unwrap();
        let with = |count: u64| VERBS.iter().map(|verb| ((*verb).to_owned(), count)).collect::<BTreeSet<_>>();

        let now = Still.now();
        let record = ClientRecord {
            id: "a".to_owned(),
            name: String::new(),
            owner: String::new(),
            document: "{}".to_owned(),
            secret_hash: String::new(),
            rotated_secret_hashes: Vec::new(),
            registration_token_hash: None,
            family_id: Uuid::nil(),
            has_remembered_consent: false,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        store.create_client(&record).await.unwrap();
        store.client("a").await.unwrap();
        store.clients(&ClientPage { limit: 1, ..ClientPage::default() }).await.unwrap();
        store.replace_client(&record, 1).await.unwrap();
        store.note_remembered_consent("a").await.unwrap();
        store.write_tokens(&[]).await.unwrap();
        store.access_token(&[0; 34]).await.unwrap();
        store.access_tokens(&[[0; 34]]).await.unwrap();
        store.delete_tokens_of_client("a", Uuid::max()).await.unwrap();
        store.refresh_token(&[0; 32]).await.unwrap();
        all_flows(&store, now).await;
        store.keys(&[]).await.unwrap();
        store.key_sets().await.unwrap();
        store.change_keys(&[], Box::new(|_, _| Vec::new())).await.unwrap();
        store.ping().await.unwrap();
        store.migrations().await.unwrap();
        store.sweep(1).await.unwrap();
        store.delete_client("a").await.unwrap();
        assert_eq!(operations(&metrics.render()), with(1));
    }
}
