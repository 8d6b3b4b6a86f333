//! JSON Web Keys in PostgreSQL.

use super::faults::Fault;
use super::rows::{self, Moment};
use super::{LOCK_CLASS, LOCK_KEYS, PostgresStore, feed, run};
use crate::domain::world::Timestamp;
use crate::store::{Change, KeyChange, KeyDecision, KeyRow, KeyStore, StoreError};
use async_trait::async_trait;
use deadpool_postgres::{GenericClient, Object};
use uuid::Uuid;

const OF_SETS: &str = "
    SELECT set_id, kid, alg, sealed, created_at, activates_at, retires_at
    FROM json_web_key WHERE nid = $1 AND set_id = ANY($2)
    ORDER BY created_at DESC, set_id, kid";

async fn of_sets(db: &impl GenericClient, nid: Uuid, sets: &[String]) -> Result<Vec<KeyRow>, Fault> {
    let statement = db.prepare_cached(OF_SETS).await?;
    db.query(&statement, &[&nid, &sets]).await?.iter().map(rows::key).collect()
}

const SETS: &str = "SELECT DISTINCT set_id FROM json_web_key WHERE nid = $1 ORDER BY set_id";

async fn sets(db: &impl GenericClient, nid: Uuid) -> Result<Vec<String>, Fault> {
    let statement = db.prepare_cached(SETS).await?;
    db.query(&statement, &[&nid]).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

const PUT: &str = "
    INSERT INTO json_web_key (nid, set_id, kid, alg, sealed, created_at, activates_at, retires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (nid, set_id, kid) DO UPDATE SET alg = excluded.alg, sealed = excluded.sealed,
        created_at = excluded.created_at, activates_at = excluded.activates_at, retires_at = excluded.retires_at";
const RETIRE: &str = "UPDATE json_web_key SET retires_at = $4 WHERE nid = $1 AND set_id = $2 AND kid = $3";
const DELETE: &str = "DELETE FROM json_web_key WHERE nid = $1 AND set_id = $2 AND kid = $3";
const DELETE_SET: &str = "DELETE FROM json_web_key WHERE nid = $1 AND set_id = $2";

async fn apply(db: &impl GenericClient, nid: Uuid, change: &KeyChange) -> Result<u64, Fault> {
    let written = match change {
        KeyChange::Put(key) => {
            let statement = db.prepare_cached(PUT).await?;
            let (created, activates) = (Moment(key.created_at), Moment(key.activates_at));
            let retires = key.retires_at.map(Moment);
            db.execute(&statement, &[&nid, &key.set, &key.kid, &key.alg, &key.sealed, &created, &activates, &retires])
                .await?
        }
        KeyChange::Retire { set, kid, at } => {
            let statement = db.prepare_cached(RETIRE).await?;
            db.execute(&statement, &[&nid, set, kid, &Moment(*at)]).await?
        }
        KeyChange::Delete { set, kid } => {
            let statement = db.prepare_cached(DELETE).await?;
            db.execute(&statement, &[&nid, set, kid]).await?
        }
        KeyChange::DeleteSet { set } => {
            let statement = db.prepare_cached(DELETE_SET).await?;
            db.execute(&statement, &[&nid, set]).await?
        }
    };
    Ok(written)
}

const LOCK: &str = "SELECT pg_advisory_xact_lock($1, $2)";
const NOW: &str = "SELECT clock_timestamp()";

async fn now(db: &impl GenericClient) -> Result<Timestamp, Fault> {
    let statement = db.prepare_cached(NOW).await?;
    Ok(db.query_one(&statement, &[]).await?.try_get::<_, Moment>(0)?.0)
}

/// The keys afterwards, and whether they changed.
async fn change(
    conn: &mut Object,
    nid: Uuid,
    sets: &[String],
    decide: &mut KeyDecision,
) -> Result<(Vec<KeyRow>, bool), Fault> {
    let tx = conn.transaction().await?;
    let statement = tx.prepare_cached(LOCK).await?;
    tx.query(&statement, &[&LOCK_CLASS, &LOCK_KEYS]).await?;
    let found = of_sets(&tx, nid, sets).await?;
    let orders = decide(&found, now(&tx).await?);
    if orders.is_empty() {
        return Ok((found, false));
    }
    for order in &orders {
        apply(&tx, nid, order).await?;
    }
    feed::notify(&tx, feed::KEYS).await?;
    let after = of_sets(&tx, nid, sets).await?;
    tx.commit().await?;
    Ok((after, true))
}

#[async_trait]
impl KeyStore for PostgresStore {
    async fn keys(&self, sets: &[String]) -> Result<Vec<KeyRow>, StoreError> {
        let nid = self.nid().await?;
        run!(self, |conn| of_sets(&*conn, nid, sets))
    }

    async fn key_sets(&self) -> Result<Vec<String>, StoreError> {
        let nid = self.nid().await?;
        run!(self, |conn| sets(&*conn, nid))
    }

    async fn change_keys(&self, sets: &[String], mut decide: KeyDecision) -> Result<Vec<KeyRow>, StoreError> {
        let nid = self.nid().await?;
        let (keys, changed) = run!(self, |conn| change(conn, nid, sets, &mut decide))?;
        if changed {
            self.tell(Change::Keys);
        }
        Ok(keys)
    }
}
