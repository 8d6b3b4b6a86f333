//! Logout tokens to deliver, in PostgreSQL.

use super::faults::Fault;
use super::rows::{self, int};
use crate::store::{Delivered, LogoutDelivery, OutboxDepth};
use deadpool_postgres::GenericClient;
use std::time::Duration;
use uuid::Uuid;

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

const INSERT: &str = "
    INSERT INTO logout_delivery (id, nid, client_id, uri, subject, session_id, attempts, next_at, dead, created_at)
    SELECT a.id, $1, a.client_id, a.uri, a.subject, a.session_id, a.attempts, clock_timestamp(), false,
           clock_timestamp()
    FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::integer[])
         AS a (id, client_id, uri, subject, session_id, attempts)";

/// Puts deliveries into the outbox, due at once.
pub(super) async fn insert_all(db: &impl GenericClient, nid: Uuid, all: &[&LogoutDelivery]) -> Result<(), Fault> {
    if all.is_empty() {
        return Ok(());
    }
    let statement = db.prepare_cached(INSERT).await?;
    let ids: Vec<Uuid> = all.iter().map(|d| d.id).collect();
    let clients: Vec<&str> = all.iter().map(|d| d.client_id.as_str()).collect();
    let uris: Vec<&str> = all.iter().map(|d| d.uri.as_str()).collect();
    let subjects: Vec<&str> = all.iter().map(|d| d.subject.as_str()).collect();
    let sessions: Vec<Uuid> = all.iter().map(|d| d.session_id).collect();
    let attempts: Vec<i32> = all.iter().map(|d| int(d.attempts)).collect();
    db.execute(&statement, &[&nid, &ids, &clients, &uris, &subjects, &sessions, &attempts]).await?;
    Ok(())
}

const CLAIM: &str = "
    UPDATE logout_delivery
    SET next_at = clock_timestamp() + $3::bigint * interval '1 microsecond'
    WHERE id = ANY(ARRAY(
        SELECT id FROM logout_delivery WHERE NOT dead AND next_at <= (SELECT clock_timestamp()) AND nid = $1
        ORDER BY next_at LIMIT $2 FOR UPDATE SKIP LOCKED))
    RETURNING id, client_id, uri, subject, session_id, attempts";

/// Takes deliveries that are due.
pub(super) async fn claim(
    db: &impl GenericClient,
    nid: Uuid,
    limit: i64,
    lease: Duration,
) -> Result<Vec<LogoutDelivery>, Fault> {
    let statement = db.prepare_cached(CLAIM).await?;
    db.query(&statement, &[&nid, &limit, &micros(lease)]).await?.iter().map(rows::delivery).collect()
}

const DONE: &str = "DELETE FROM logout_delivery WHERE id = $1 AND nid = $2";
/// A try fails once, however often its end is said.
const RETRY: &str = "
    UPDATE logout_delivery
    SET next_at = clock_timestamp() + $4::bigint * interval '1 microsecond', attempts = attempts + 1
    WHERE id = $1 AND nid = $2 AND attempts = $3";
const DEAD: &str = "UPDATE logout_delivery SET dead = true WHERE id = $1 AND nid = $2 AND attempts = $3";

/// Says what became of a delivery.
pub(super) async fn settle(
    db: &impl GenericClient,
    nid: Uuid,
    LogoutDelivery { id, attempts, .. }: &LogoutDelivery,
    outcome: Delivered,
) -> Result<(), Fault> {
    let tried = int(*attempts);
    match outcome {
        Delivered::Done => db.execute(&db.prepare_cached(DONE).await?, &[id, &nid]).await?,
        Delivered::Retry(after) => {
            db.execute(&db.prepare_cached(RETRY).await?, &[id, &nid, &tried, &micros(after)]).await?
        }
        Delivered::Dead => db.execute(&db.prepare_cached(DEAD).await?, &[id, &nid, &tried]).await?,
    };
    Ok(())
}

const DEPTH: &str = "
    SELECT count(*) FILTER (WHERE NOT dead), count(*) FILTER (WHERE dead) FROM logout_delivery WHERE nid = $1";

/// How many are not done.
pub(super) async fn depth(db: &impl GenericClient, nid: Uuid) -> Result<OutboxDepth, Fault> {
    let statement = db.prepare_cached(DEPTH).await?;
    let row = db.query_one(&statement, &[&nid]).await?;
    let (waiting, dead): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    Ok(OutboxDepth { waiting: waiting.unsigned_abs(), dead: dead.unsigned_abs() })
}
