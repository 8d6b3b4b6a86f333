//! Access tokens issued to clients for themselves, in PostgreSQL.
//!
//! Invariant: who issues holds the client's row in share mode from the comparison of its version until the commit, so
//! that a change of the client or its deletion waits, and whoever issues later sees it.

use super::columns::{AccessColumns, Values, distinct};
use super::faults::Fault;
use super::rows;
use crate::store::{Issue, Verdict};
use deadpool_postgres::GenericClient;
use std::collections::HashSet;
use uuid::Uuid;

/// The rows are locked in the order of their ids, so that two batches never wait for each other.
const ISSUE: &str = "
    WITH c AS MATERIALIZED (
        SELECT k.* FROM unnest($2::text[]) AS u (id) CROSS JOIN LATERAL (
            SELECT id, version FROM client WHERE nid = $1 AND client.id = u.id OFFSET 0 FOR SHARE) k)
    INSERT INTO access_token (signature, nid, family_id, client_id, subject, scope, audience, requested_at, expires_at,
                              session)
    SELECT a.signature, $1, a.family_id, a.client_id, a.subject, a.scope, a.audience, a.requested_at, a.expires_at,
           a.session
    FROM unnest($3::bigint[], $4::bytea[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[],
                $10::timestamptz[], $11::timestamptz[], $12::bytea[])
         AS a (version, signature, family_id, client_id, subject, scope, audience, requested_at, expires_at, session)
    JOIN c ON c.id = a.client_id AND c.version = a.version
    RETURNING signature";

/// Issues what is asked for by clients that have not changed.
pub(super) async fn issue_all(db: &impl GenericClient, nid: Uuid, orders: &[&Issue]) -> Result<Vec<Verdict>, Fault> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let statement = db.prepare_cached(ISSUE).await?;
    let locked = distinct(orders.iter().map(|o| o.token.client_id.as_str()));
    let versions: Vec<i64> = orders.iter().map(|o| o.client_version).collect();
    let tokens = AccessColumns::of(orders.iter().map(|o| Some(&o.token)));
    let mut values: Values<'_> = vec![&nid, &locked, &versions];
    values.extend(tokens.values());
    let rows = db.query(&statement, &values).await?;
    let written = rows.iter().map(|row| rows::access_key(row, "signature")).collect::<Result<HashSet<_>, _>>()?;
    let verdict = |o: &&Issue| {
        if written.contains(&o.token.signature) { Verdict::Done } else { Verdict::ClientChanged }
    };
    Ok(orders.iter().map(verdict).collect())
}
