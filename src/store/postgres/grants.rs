//! Consents granted with all that they issue, in PostgreSQL: a batch in one statement.
//!
//! Invariant: the client's row is shared before anything is written, and the session's, so that no grant follows its end
//! (whoever ends a session takes its row for update first), and that of the earlier consent that spared the question, for
//! the same reason; the insertion of the family, whose id is the consent's, decides which of two uses of one consent was the
//! first.

use super::columns::{AccessColumns, Values, distinct};
use super::faults::Fault;
use super::mixed;
use super::rows::{Moment, list_text};
use crate::store::upkeep::DECIDED_KEPT;
use crate::store::{AuthorizationCode, Consent, FlowVerdict, Grant};
use deadpool_postgres::GenericClient;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// A grant to a device takes the device's row first, then makes the family, which nobody else can hold.
const GRANT: &str = "
    WITH a AS MATERIALIZED (
        SELECT * FROM unnest($4::bigint[],
            $5::uuid[], $6::text[], $7::text[], $8::uuid[], $9::text[], $10::text[], $11::boolean[], $12::boolean[],
            $13::timestamptz[], $14::timestamptz[], $15::bytea[],
            $16::bytea[], $17::text[], $18::text[], $19::timestamptz[], $20::bytea[], $21::uuid[], $22::bytea[],
            $23::bytea[], $24::uuid[], $25::text[], $26::text[], $27::text[], $28::text[], $29::timestamptz[],
            $30::timestamptz[], $31::bytea[], $32::uuid[]) WITH ORDINALITY
        AS a (version,
            id, client_id, subject, session_id, scope, audience, skipped, remember, remember_until, requested_at, detail,
            code, redirect_uri, code_challenge, code_expires_at, code_session, flow_id, device_session,
            t_signature, t_family_id, t_client_id, t_subject, t_scope, t_audience, t_requested_at, t_expires_at,
            t_session, earlier, n)),
    c AS MATERIALIZED (
        SELECT k.* FROM unnest($2::text[]) AS u (id) CROSS JOIN LATERAL (
            SELECT id, version FROM client WHERE nid = $1 AND client.id = u.id OFFSET 0 FOR SHARE) k),
    s AS MATERIALIZED (
        SELECT k.* FROM (SELECT DISTINCT session_id FROM a ORDER BY 1) AS u (id) CROSS JOIN LATERAL (
            SELECT id, ended_at FROM login_session WHERE login_session.id = u.id AND nid IS NOT DISTINCT FROM $1
            OFFSET 0 FOR KEY SHARE) k
        WHERE (SELECT count(*) FROM c) >= 0),
    e AS MATERIALIZED (
        SELECT k.id FROM (SELECT DISTINCT earlier FROM a WHERE earlier IS NOT NULL ORDER BY 1) AS u (id) CROSS JOIN LATERAL (
            SELECT id FROM consent WHERE consent.id = u.id AND nid IS NOT DISTINCT FROM $1 AND remember
            OFFSET 0 FOR KEY SHARE) k
        WHERE (SELECT count(*) FROM s) >= 0),
    d AS MATERIALIZED (
        SELECT flow_id FROM device
        WHERE flow_id = ANY($21) AND nid IS NOT DISTINCT FROM $1 AND state = 'pending' AND expires_at > clock_timestamp()
              AND (SELECT count(*) FROM e) >= 0
        ORDER BY signature FOR UPDATE),
    x AS MATERIALIZED (
        SELECT a.id FROM a CROSS JOIN LATERAL (
            SELECT FROM consent WHERE consent.id = a.id OFFSET 0) k
        UNION
        SELECT a.id FROM a CROSS JOIN LATERAL (
            SELECT FROM token_family WHERE token_family.id = a.id OFFSET 0) t),
    o AS MATERIALIZED (
        SELECT DISTINCT ON (a.id) a.*
        FROM a JOIN c ON c.id = a.client_id AND c.version = a.version LEFT JOIN d ON d.flow_id = a.flow_id
        WHERE (a.flow_id IS NULL OR d.flow_id IS NOT NULL)
              AND NOT EXISTS (SELECT 1 FROM a b WHERE b.flow_id = a.flow_id AND b.n < a.n)
              AND a.id NOT IN (SELECT id FROM x)
              AND a.session_id NOT IN (SELECT id FROM s WHERE ended_at IS NOT NULL)
              AND (a.earlier IS NULL OR a.earlier IN (SELECT id FROM e))
        ORDER BY a.id, a.n),
    f AS (
        INSERT INTO token_family (id, nid, client_id, subject, shared, version)
        SELECT id, $1, client_id, subject, false, 1 FROM o ORDER BY id
        ON CONFLICT (id) DO NOTHING RETURNING id),
    w AS MATERIALIZED (SELECT o.* FROM o JOIN f ON f.id = o.id),
    k AS (
        INSERT INTO consent (id, nid, client_id, subject, session_id, scope, audience, skipped, remember,
                             remember_until, requested_at, handled_at, detail, sweep_after)
        SELECT id, $1, client_id, subject, session_id, scope, audience, skipped, remember, remember_until, requested_at,
               clock_timestamp(), detail,
               CASE WHEN NOT remember THEN kept.until
                    WHEN remember_until IS NOT NULL THEN greatest(remember_until, kept.until) END
        FROM w CROSS JOIN LATERAL (SELECT clock_timestamp() + $3::bigint * interval '1 microsecond') AS kept (until)),
    i AS (
        INSERT INTO authorization_code (signature, nid, family_id, client_id, redirect_uri, code_challenge, expires_at,
                                        session)
        SELECT code, $1, id, client_id, redirect_uri, code_challenge, code_expires_at, code_session
        FROM w WHERE code IS NOT NULL),
    t AS (
        INSERT INTO access_token (signature, nid, family_id, client_id, subject, scope, audience, requested_at,
                                  expires_at, session)
        SELECT t_signature, $1, t_family_id, t_client_id, t_subject, t_scope, t_audience, t_requested_at, t_expires_at,
               t_session
        FROM w WHERE t_signature IS NOT NULL),
    g AS (
        UPDATE device SET state = 'granted', family_id = w.id, session = w.device_session FROM w
        WHERE device.flow_id = w.flow_id AND device.nid IS NOT DISTINCT FROM $1)
    SELECT c.id IS NOT NULL, w.n IS NOT NULL,
           a.id IN (SELECT id FROM x),
           a.session_id IN (SELECT id FROM s WHERE ended_at IS NOT NULL),
           a.earlier IS NOT NULL AND a.earlier NOT IN (SELECT id FROM e)
    FROM a LEFT JOIN c ON c.id = a.client_id AND c.version = a.version LEFT JOIN w ON w.n = a.n
    ORDER BY a.n";

/// Consents by column.
#[derive(Default)]
struct ConsentColumns<'a> {
    ids: Vec<Uuid>,
    clients: Vec<&'a str>,
    subjects: Vec<&'a str>,
    sessions: Vec<Uuid>,
    scopes: Vec<String>,
    audiences: Vec<String>,
    skipped: Vec<bool>,
    remember: Vec<bool>,
    until: Vec<Option<Moment>>,
    requested: Vec<Moment>,
    details: Vec<&'a [u8]>,
}

impl<'a> ConsentColumns<'a> {
    fn of(consents: impl Iterator<Item = &'a Consent>) -> Self {
        let mut by = Self::default();
        for consent in consents {
            by.ids.push(consent.id);
            by.clients.push(&consent.client_id);
            by.subjects.push(&consent.subject);
            by.sessions.push(consent.session_id);
            by.scopes.push(list_text(&consent.scope));
            by.audiences.push(list_text(&consent.audience));
            by.skipped.push(consent.skipped);
            by.remember.push(consent.remember);
            by.until.push(consent.remember_until.map(Moment));
            by.requested.push(Moment(consent.requested_at));
            by.details.push(&consent.detail);
        }
        by
    }

    fn values(&self) -> [&(dyn ToSql + Sync); 11] {
        [
            &self.ids,
            &self.clients,
            &self.subjects,
            &self.sessions,
            &self.scopes,
            &self.audiences,
            &self.skipped,
            &self.remember,
            &self.until,
            &self.requested,
            &self.details,
        ]
    }
}

/// Codes by column; nulls where a grant has none. Family and client are those of the consent.
#[derive(Default)]
struct CodeColumns<'a> {
    signatures: Vec<Option<&'a [u8]>>,
    redirect_uris: Vec<Option<&'a str>>,
    challenges: Vec<Option<&'a str>>,
    expires: Vec<Option<Moment>>,
    sessions: Vec<Option<&'a [u8]>>,
}

impl<'a> CodeColumns<'a> {
    fn of(codes: impl Iterator<Item = Option<&'a AuthorizationCode>>) -> Self {
        let mut by = Self::default();
        for code in codes {
            by.signatures.push(code.map(|c| c.signature.as_slice()));
            by.redirect_uris.push(code.and_then(|c| c.redirect_uri.as_deref()));
            by.challenges.push(code.and_then(|c| c.code_challenge.as_deref()));
            by.expires.push(code.map(|c| Moment(c.expires_at)));
            by.sessions.push(code.map(|c| c.session.as_slice()));
        }
        by
    }

    fn values(&self) -> [&(dyn ToSql + Sync); 5] {
        [&self.signatures, &self.redirect_uris, &self.challenges, &self.expires, &self.sessions]
    }
}

/// Shares the clients' rows until the transaction ends.
pub(super) async fn hold_clients<'a>(
    db: &impl GenericClient,
    nid: Uuid,
    orders: impl Iterator<Item = &'a Grant>,
) -> Result<(), Fault> {
    let ids = distinct(orders.map(|o| o.consent.client_id.as_str()));
    if ids.is_empty() {
        return Ok(());
    }
    let statement = db.prepare_cached(mixed::CLIENTS).await?;
    db.query(&statement, &[&nid, &ids]).await?;
    Ok(())
}

/// Grants what is asked for, each consent once.
pub(super) async fn grant_all(
    db: &impl GenericClient,
    nid: Uuid,
    orders: &[&Grant],
) -> Result<Vec<FlowVerdict>, Fault> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let statement = db.prepare_cached(GRANT).await?;
    let locked = distinct(orders.iter().map(|o| o.consent.client_id.as_str()));
    let kept = i64::try_from(DECIDED_KEPT.as_micros()).unwrap_or(i64::MAX);
    let versions: Vec<i64> = orders.iter().map(|o| o.client_version).collect();
    let consents = ConsentColumns::of(orders.iter().map(|o| &o.consent));
    let codes = CodeColumns::of(orders.iter().map(|o| o.code.as_ref()));
    let flows: Vec<Option<Uuid>> = orders.iter().map(|o| o.device.as_ref().map(|(flow, _)| *flow)).collect();
    let sessions: Vec<Option<&[u8]>> = orders.iter().map(|o| o.device.as_ref().map(|(_, s)| s.as_slice())).collect();
    let tokens = AccessColumns::of(orders.iter().map(|o| o.access_token.as_ref()));
    let mut values: Values<'_> = vec![&nid, &locked, &kept, &versions];
    values.extend(consents.values());
    values.extend(codes.values());
    values.extend([&flows as &(dyn ToSql + Sync), &sessions]);
    values.extend(tokens.values());
    let earlier: Vec<Option<Uuid>> = orders.iter().map(|o| o.stands_on).collect();
    values.push(&earlier);
    let verdict = |row: &tokio_postgres::Row| {
        let told = |at| row.try_get::<_, bool>(at);
        let (current, done, taken, ended, revoked) = (told(0)?, told(1)?, told(2)?, told(3)?, told(4)?);
        Ok(match () {
            () if !current => FlowVerdict::ClientChanged,
            () if done => FlowVerdict::Done,
            () if taken => FlowVerdict::Used,
            () if ended => FlowVerdict::SessionEnded,
            () if revoked => FlowVerdict::ConsentRevoked,
            () => FlowVerdict::Used,
        })
    };
    db.query(&statement, &values).await?.iter().map(verdict).collect()
}
