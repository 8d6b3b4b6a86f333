//! Codes and consents in PostgreSQL: found, listed, revoked.

use super::faults::Fault;
use super::revoke;
use super::rows::{self, Moment};
use crate::domain::world::Timestamp;
use crate::store::{Consent, ConsentFilter, ConsentPage};
use deadpool_postgres::{GenericClient, Object};
use uuid::Uuid;

const PREVIOUS: &str = "
    SELECT id, client_id, subject, session_id, scope, audience, skipped, remember, remember_until, requested_at,
           handled_at, detail
    FROM consent
    WHERE nid = $1 AND client_id = $2 AND subject = $3 AND remember AND NOT skipped
          AND (remember_until IS NULL OR remember_until > clock_timestamp())
    ORDER BY handled_at DESC LIMIT 1";

/// The newest consent that may spare the user a question.
pub(super) async fn previous(
    db: &impl GenericClient,
    nid: Uuid,
    client: &str,
    subject: &str,
) -> Result<Option<Consent>, Fault> {
    let statement = db.prepare_cached(PREVIOUS).await?;
    db.query_opt(&statement, &[&nid, &client, &subject]).await?.as_ref().map(rows::consent).transpose()
}

/// The order is that of the one index that is to be taken. The number stands in the text, or the planner would reckon with a
/// tenth of all rows; and the time has two ends, or it would reckon with a third of them.
fn newest(limit: i64) -> String {
    format!(
        "SELECT * FROM (
            SELECT id, handled_at FROM consent WHERE nid = $1 AND handled_at BETWEEN $2 AND 'infinity'
            ORDER BY handled_at LIMIT {limit}) k
        ORDER BY handled_at, id"
    )
}

/// Consents granted since then, oldest first.
pub(super) async fn since(
    db: &impl GenericClient,
    nid: Uuid,
    since: Timestamp,
    limit: i64,
) -> Result<Vec<(Uuid, Timestamp)>, Fault> {
    let statement = db.prepare_cached(&newest(limit)).await?;
    let found = db.query(&statement, &[&nid, &Moment(since)]).await?;
    found.iter().map(|row| Ok((row.try_get("id")?, rows::moment(row, "handled_at")?))).collect()
}

const PAGE: &str = "
    SELECT id, client_id, subject, session_id, scope, audience, skipped, remember, remember_until, requested_at,
           handled_at, detail
    FROM consent
    WHERE nid = $1 AND subject = $2 AND NOT skipped
          AND (NOT remember OR remember_until IS NULL OR remember_until > clock_timestamp())
          AND ($3::uuid IS NULL OR session_id = $3)
          AND ($4::timestamptz IS NULL OR (handled_at, id) < ($4, $5::uuid))
    ORDER BY handled_at DESC, id DESC LIMIT $6";

/// A page of consents.
pub(super) async fn page(db: &impl GenericClient, nid: Uuid, page: &ConsentPage) -> Result<Vec<Consent>, Fault> {
    let statement = db.prepare_cached(PAGE).await?;
    let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
    let (at, id) = page.before.map(|(at, id)| (Moment(at), id)).unzip();
    let found = db.query(&statement, &[&nid, &page.subject, &page.session_id, &at, &id, &limit]).await?;
    found.iter().map(rows::consent).collect()
}

/// In the order of their ids, so that two deletions never wait for each other.
const OF_CLIENT: &str = "
    SELECT id FROM consent WHERE nid = $1 AND client_id = $2 AND subject = $3 ORDER BY id FOR UPDATE";
const OF_SUBJECT: &str = "SELECT id FROM consent WHERE nid = $1 AND subject = $2 ORDER BY id FOR UPDATE";

/// Holds what is there. Whoever grants on one of them has finished then, and what came of it is there when it is asked for
/// once more; whoever comes later waits and finds nothing to stand on.
async fn chosen(db: &impl GenericClient, nid: Uuid, filter: &ConsentFilter) -> Result<Vec<Uuid>, Fault> {
    let mut found = Vec::new();
    for _ in 0..2 {
        found = match filter {
            ConsentFilter::Id(id) => return Ok(vec![*id]),
            ConsentFilter::Client { subject, client_id } => {
                db.query(&db.prepare_cached(OF_CLIENT).await?, &[&nid, client_id, subject]).await?
            }
            ConsentFilter::Subject(subject) => {
                db.query(&db.prepare_cached(OF_SUBJECT).await?, &[&nid, subject]).await?
            }
        };
    }
    found.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

const DELETE: &str = "
    WITH h AS MATERIALIZED (
        SELECT k.id FROM (SELECT DISTINCT unnest($2::uuid[]) ORDER BY 1) AS u (id) CROSS JOIN LATERAL (
            SELECT id FROM consent WHERE consent.id = u.id AND nid IS NOT DISTINCT FROM $1 OFFSET 0 FOR UPDATE) k)
    DELETE FROM consent WHERE id = ANY(ARRAY(SELECT id FROM h))";

/// Revokes the families first: from then on nothing more is issued on the consents. How many were deleted.
pub(super) async fn revoke(conn: &mut Object, nid: Uuid, filter: &ConsentFilter) -> Result<u64, Fault> {
    let tx = conn.transaction().await?;
    let ids = chosen(&tx, nid, filter).await?;
    revoke::end_all(&tx, nid, &ids).await?;
    let statement = tx.prepare_cached(DELETE).await?;
    let gone = tx.execute(&statement, &[&nid, &ids]).await?;
    tx.commit().await?;
    Ok(gone)
}

const SUBJECT: &str = "
    SELECT c.subject FROM consent c
    WHERE c.session_id = $2 AND c.nid IS NOT DISTINCT FROM $1
      AND NOT EXISTS (SELECT FROM login_session s WHERE s.id = c.session_id AND s.ended_at IS NOT NULL)
    LIMIT 1";

/// Who granted something in a session that has not ended.
pub(super) async fn subject(db: &impl GenericClient, nid: Uuid, session: Uuid) -> Result<Option<String>, Fault> {
    let statement = db.prepare_cached(SUBJECT).await?;
    Ok(db.query_opt(&statement, &[&nid, &session]).await?.map(|row| row.try_get(0)).transpose()?)
}

const CLIENTS: &str = "
    SELECT DISTINCT client_id FROM consent
    WHERE session_id = $2 AND nid IS NOT DISTINCT FROM $1 AND subject = $3 ORDER BY client_id";

/// The clients that were granted something in a session.
pub(super) async fn clients(
    db: &impl GenericClient,
    nid: Uuid,
    session: Uuid,
    subject: &str,
) -> Result<Vec<String>, Fault> {
    let statement = db.prepare_cached(CLIENTS).await?;
    let found = db.query(&statement, &[&nid, &session, &subject]).await?;
    found.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
