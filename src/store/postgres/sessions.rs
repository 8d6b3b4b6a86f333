//! Login sessions in PostgreSQL: remembered, extended, ended.
//!
//! Invariant: known sessions are held first, then new ones are inserted, each in the order of their ids.

use super::columns::Values;
use super::faults::Fault;
use super::rows::{self, Moment};
use super::{outbox, revoke};
use crate::store::{FlowVerdict, Login, LoginSession, Logout, LogoutDelivery};
use deadpool_postgres::GenericClient;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

const LOGIN: &str = "
    WITH a AS MATERIALIZED (
        SELECT * FROM unnest($2::uuid[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::uuid[],
            $8::timestamptz[], $9::uuid[], $10::text[], $11::text[], $12::text[]) WITH ORDINALITY
        AS a (id, subject, authenticated_at, expires_at, identity_provider_session_id, extended, until, ended,
            f_client_id, f_subject, forced, n)),
    h AS MATERIALIZED (
        SELECT k.id FROM (SELECT extended FROM a UNION SELECT ended FROM a ORDER BY 1) AS u (id) CROSS JOIN LATERAL (
            SELECT id FROM login_session WHERE login_session.id = u.id AND nid IS NOT DISTINCT FROM $1 AND ended_at IS NULL
            OFFSET 0 FOR UPDATE) k),
    o AS MATERIALIZED (
        SELECT DISTINCT ON (id) a.* FROM a WHERE id IS NOT NULL AND (SELECT count(*) FROM h) >= 0 ORDER BY id, n),
    s AS (
        INSERT INTO login_session (id, nid, subject, authenticated_at, expires_at, identity_provider_session_id)
        SELECT id, $1, subject, authenticated_at, expires_at, identity_provider_session_id FROM o ORDER BY id
        ON CONFLICT (id) DO NOTHING RETURNING id),
    w AS MATERIALIZED (
        SELECT a.* FROM a LEFT JOIN (SELECT o.n FROM o JOIN s ON s.id = o.id) r ON r.n = a.n
        WHERE a.id IS NULL OR r.n IS NOT NULL),
    m AS MATERIALIZED (
        SELECT id, max(until) AS until, bool_or(ends) AS ends FROM (
            SELECT extended AS id, until, false AS ends FROM w WHERE extended IS NOT NULL
            UNION ALL
            SELECT ended, NULL, true FROM w WHERE ended IS NOT NULL) x
        GROUP BY id),
    u AS (
        UPDATE login_session t
        SET ended_at = CASE WHEN m.ends THEN clock_timestamp() END,
            expires_at = CASE WHEN m.until IS NOT NULL AND t.expires_at > clock_timestamp() THEN m.until
                              ELSE t.expires_at END
        FROM m JOIN h ON h.id = m.id WHERE t.id = m.id),
    g AS (
        INSERT INTO forced_subject (nid, client_id, subject, forced)
        SELECT DISTINCT ON (f_client_id, f_subject) $1, f_client_id, f_subject, forced FROM w
        WHERE f_client_id IS NOT NULL ORDER BY f_client_id, f_subject, n DESC
        ON CONFLICT (nid, client_id, subject) DO UPDATE SET forced = excluded.forced)
    SELECT w.n IS NOT NULL FROM a LEFT JOIN w ON w.n = a.n ORDER BY a.n";

/// Logins by column; nulls for what a login leaves out.
#[derive(Default)]
struct LoginColumns<'a> {
    ids: Vec<Option<Uuid>>,
    subjects: Vec<Option<&'a str>>,
    authenticated: Vec<Option<Moment>>,
    expires: Vec<Option<Moment>>,
    providers: Vec<Option<&'a str>>,
    extended: Vec<Option<Uuid>>,
    until: Vec<Option<Moment>>,
    ended: Vec<Option<Uuid>>,
    forced_clients: Vec<Option<&'a str>>,
    forced_subjects: Vec<Option<&'a str>>,
    forced: Vec<Option<&'a str>>,
}

impl<'a> LoginColumns<'a> {
    fn of(logins: &[&'a Login]) -> Self {
        let mut by = Self::default();
        for login in logins {
            let (session, forced) = (login.remember.as_ref(), login.forced.as_ref());
            by.ids.push(session.map(|s| s.id));
            by.subjects.push(session.map(|s| s.subject.as_str()));
            by.authenticated.push(session.map(|s| Moment(s.authenticated_at)));
            by.expires.push(session.map(|s| Moment(s.expires_at)));
            by.providers.push(session.map(|s| s.identity_provider_session_id.as_str()));
            by.extended.push(login.extend.map(|(id, _)| id));
            by.until.push(login.extend.map(|(_, until)| Moment(until)));
            by.ended.push(login.ends);
            by.forced_clients.push(forced.map(|f| f.client_id.as_str()));
            by.forced_subjects.push(forced.map(|f| f.subject.as_str()));
            by.forced.push(forced.map(|f| f.forced.as_str()));
        }
        by
    }

    fn values(&self) -> [&(dyn ToSql + Sync); 11] {
        [
            &self.ids,
            &self.subjects,
            &self.authenticated,
            &self.expires,
            &self.providers,
            &self.extended,
            &self.until,
            &self.ended,
            &self.forced_clients,
            &self.forced_subjects,
            &self.forced,
        ]
    }
}

/// Writes logins; one whose session's id is taken was used before.
pub(super) async fn login_all(
    db: &impl GenericClient,
    nid: Uuid,
    orders: &[&Login],
) -> Result<Vec<FlowVerdict>, Fault> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let statement = db.prepare_cached(LOGIN).await?;
    let columns = LoginColumns::of(orders);
    let mut values: Values<'_> = vec![&nid];
    values.extend(columns.values());
    let verdict = |row: &tokio_postgres::Row| Ok(done_or_used(row.try_get(0)?));
    db.query(&statement, &values).await?.iter().map(verdict).collect()
}

/// Done, or it happened before.
pub(super) fn done_or_used(done: bool) -> FlowVerdict {
    if done { FlowVerdict::Done } else { FlowVerdict::Used }
}

const HOLD: &str = "
    SELECT k.id FROM (SELECT DISTINCT unnest($2::uuid[]) ORDER BY 1) AS u (id) CROSS JOIN LATERAL (
        SELECT id FROM login_session WHERE login_session.id = u.id AND nid IS NOT DISTINCT FROM $1
        OFFSET 0 FOR UPDATE) k";

/// Holds sessions until the transaction ends.
pub(super) async fn hold(db: &impl GenericClient, nid: Uuid, ids: &[Uuid]) -> Result<(), Fault> {
    if ids.is_empty() {
        return Ok(());
    }
    let statement = db.prepare_cached(HOLD).await?;
    db.query(&statement, &[&nid, &ids]).await?;
    Ok(())
}

/// Leaves a row for a session that was not remembered too. A session with a client that the order does not know stays;
/// nobody can become one while the caller holds its row. Of two in one batch the first one wins.
const LOGOUT: &str = "
    WITH a AS MATERIALIZED (
        SELECT * FROM unnest($2::uuid[], $3::text[], $4::timestamptz[]) WITH ORDINALITY AS a (id, subject, until, n)),
    k AS MATERIALIZED (SELECT * FROM unnest($5::bigint[], $6::text[]) AS k (n, client_id)),
    late AS MATERIALIZED (
        SELECT DISTINCT a.n FROM a CROSS JOIN LATERAL (
            SELECT client_id FROM consent
            WHERE consent.session_id = a.id AND consent.nid IS NOT DISTINCT FROM $1 AND consent.subject = a.subject OFFSET 0) c
        WHERE NOT EXISTS (SELECT FROM k WHERE k.n = a.n AND k.client_id = c.client_id)),
    o AS MATERIALIZED (
        SELECT DISTINCT ON (id) a.* FROM a WHERE NOT EXISTS (SELECT FROM late WHERE late.n = a.n) ORDER BY id, n),
    i AS (
        INSERT INTO login_session AS t (id, nid, subject, authenticated_at, expires_at, ended_at,
                                        identity_provider_session_id)
        SELECT id, $1, subject, clock_timestamp(), until, clock_timestamp(), '' FROM o ORDER BY id
        ON CONFLICT (id) DO UPDATE
        SET ended_at = clock_timestamp(), expires_at = greatest(t.expires_at, excluded.expires_at)
        WHERE t.ended_at IS NULL RETURNING t.id)
    SELECT i.id IS NOT NULL, late.n IS NOT NULL
    FROM a LEFT JOIN o ON o.n = a.n LEFT JOIN i ON i.id = o.id LEFT JOIN late ON late.n = a.n ORDER BY a.n";
const FAMILIES: &str = "SELECT id FROM consent WHERE session_id = ANY($2) AND nid IS NOT DISTINCT FROM $1";

/// Ends sessions, each once, with what was granted in them; and what is to be told goes into the outbox.
pub(super) async fn logout_all(
    db: &impl GenericClient,
    nid: Uuid,
    orders: &[&Logout],
) -> Result<Vec<FlowVerdict>, Fault> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = orders.iter().map(|o| o.session_id).collect();
    let subjects: Vec<&str> = orders.iter().map(|o| o.subject.as_str()).collect();
    let until: Vec<Moment> = orders.iter().map(|o| Moment(o.keep_until)).collect();
    let known = orders.iter().zip(1_i64..).flat_map(|(o, n)| o.clients.iter().map(move |client| (n, client.as_str())));
    let (places, clients): (Vec<i64>, Vec<&str>) = known.unzip();
    let statement = db.prepare_cached(LOGOUT).await?;
    let rows = db.query(&statement, &[&nid, &ids, &subjects, &until, &places, &clients]).await?;
    let verdict = |row: &tokio_postgres::Row| {
        let (done, late): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
        Ok(if late { FlowVerdict::ClientChanged } else { done_or_used(done) })
    };
    let verdicts = rows.iter().map(verdict).collect::<Result<Vec<_>, Fault>>()?;
    let winners = || orders.iter().zip(&verdicts).filter(|(_, v)| **v == FlowVerdict::Done).map(|(order, _)| *order);

    let revoked: Vec<Uuid> = winners().filter(|o| o.revoke_tokens).map(|o| o.session_id).collect();
    if !revoked.is_empty() {
        let statement = db.prepare_cached(FAMILIES).await?;
        let families = db.query(&statement, &[&nid, &revoked]).await?;
        let families = families.iter().map(|row| row.try_get(0)).collect::<Result<Vec<Uuid>, _>>()?;
        revoke::end_all(db, nid, &families).await?;
    }
    let deliveries: Vec<&LogoutDelivery> = winners().flat_map(|o| &o.deliveries).collect();
    outbox::insert_all(db, nid, &deliveries).await?;
    Ok(verdicts)
}

const BY_ID: &str = "
    SELECT id, subject, authenticated_at, expires_at, identity_provider_session_id FROM login_session
    WHERE id = $1 AND nid IS NOT DISTINCT FROM $2 AND ended_at IS NULL AND expires_at > clock_timestamp()";

/// The session of that id, unless it has ended.
pub(super) async fn by_id(db: &impl GenericClient, nid: Uuid, id: Uuid) -> Result<Option<LoginSession>, Fault> {
    let statement = db.prepare_cached(BY_ID).await?;
    db.query_opt(&statement, &[&id, &nid]).await?.as_ref().map(rows::login_session).transpose()
}

const END_OF_SUBJECT: &str = "
    WITH h AS MATERIALIZED (
        SELECT id FROM login_session
        WHERE nid = $1 AND subject = $2 AND ended_at IS NULL AND expires_at > clock_timestamp()
        ORDER BY id FOR UPDATE)
    UPDATE login_session SET ended_at = clock_timestamp() WHERE id = ANY(ARRAY(SELECT id FROM h))";

/// Ends every session of a subject; how many.
pub(super) async fn end_of_subject(db: &impl GenericClient, nid: Uuid, subject: &str) -> Result<u64, Fault> {
    let statement = db.prepare_cached(END_OF_SUBJECT).await?;
    Ok(db.execute(&statement, &[&nid, &subject]).await?)
}

const FORCED: &str = "SELECT forced FROM forced_subject WHERE nid = $1 AND client_id = $2 AND subject = $3";

/// The name a client was told to know a subject by.
pub(super) async fn forced(
    db: &impl GenericClient,
    nid: Uuid,
    client: &str,
    subject: &str,
) -> Result<Option<String>, Fault> {
    let statement = db.prepare_cached(FORCED).await?;
    Ok(db.query_opt(&statement, &[&nid, &client, &subject]).await?.map(|row| row.try_get(0)).transpose()?)
}
