//! A batch of token writes of several kinds, or with a `jti`: one transaction.
//!
//! Invariant: all rows that decide are held before anything is written, clients first, then families; only then is a
//! `jti` used up, and only by a write that will be done.

use super::batch::{Kinds, in_order, jti};
use super::columns::distinct;
use super::faults::Fault;
use super::rows::Moment;
use super::usable::{Key, key, usable};
use crate::store::{JtiUse, Revoked, Verdict, Write};
use deadpool_postgres::{GenericClient, Object};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// The client and the version of it that a write stands on.
fn client(write: &Write) -> Option<(&str, i64)> {
    match write {
        Write::Issue(order) => Some((&order.token.client_id, order.client_version)),
        Write::Redeem(order) => Some((&order.access.client_id, order.client_version)),
        Write::Rotate(order) => Some((&order.access.client_id, order.client_version)),
        Write::Revoke(_) | Write::Replay(_) | Write::RevokeFamily(_) => None,
    }
}

/// Shares the rows of clients, in the order of their ids, until the transaction ends.
pub(super) const CLIENTS: &str = "
    SELECT k.* FROM unnest($2::text[]) AS u (id) CROSS JOIN LATERAL (
        SELECT id, version FROM client WHERE nid = $1 AND client.id = u.id OFFSET 0 FOR SHARE) k";

/// The versions of the clients, which stay so until the transaction ends.
async fn clients(db: &impl GenericClient, nid: Uuid, writes: &[Write]) -> Result<HashMap<String, i64>, Fault> {
    let ids = distinct(writes.iter().filter_map(client).map(|(id, _)| id));
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let statement = db.prepare_cached(CLIENTS).await?;
    let found = db.query(&statement, &[&nid, &ids]).await?;
    found.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// The families that are named, and those of the tokens that are named.
const FAMILIES: &str = "
    SELECT f.id FROM (
        SELECT unnest($2::uuid[])
        UNION SELECT t.family_id FROM unnest($3::bytea[]) AS k (signature) CROSS JOIN LATERAL (
            SELECT family_id FROM access_token WHERE access_token.signature = k.signature OFFSET 0) t
        UNION SELECT family_id FROM refresh_token WHERE signature = ANY($4)
        ORDER BY 1) AS u (id)
    CROSS JOIN LATERAL (
        SELECT id FROM token_family WHERE token_family.id = u.id AND nid IS NOT DISTINCT FROM $1 AND NOT shared
        OFFSET 0 FOR UPDATE) f";

/// Holds the families of all that is to be used or revoked until the transaction ends.
async fn hold_families(db: &impl GenericClient, nid: Uuid, writes: &[Write]) -> Result<(), Fault> {
    let (mut families, mut access, mut refresh) = (Vec::new(), Vec::<&[u8]>::new(), Vec::<&[u8]>::new());
    for write in writes {
        match write {
            Write::Issue(_) => {}
            Write::Redeem(order) => families.push(order.access.family_id),
            Write::Rotate(order) => families.push(order.access.family_id),
            Write::RevokeFamily(family) => families.push(*family),
            Write::Replay(order) => refresh.push(&order.presented),
            Write::Revoke(order) => match &order.token {
                Revoked::Access(key) => access.push(key),
                Revoked::Refresh(key) => refresh.push(key),
            },
        }
    }
    if families.is_empty() && access.is_empty() && refresh.is_empty() {
        return Ok(());
    }
    let statement = db.prepare_cached(FAMILIES).await?;
    db.query(&statement, &[&nid, &families, &access, &refresh]).await?;
    Ok(())
}

/// In the order of the key, so that two batches never wait for each other.
const USE_JTIS: &str = "
    INSERT INTO assertion_jti (nid, client_id, jti, expires_at)
    SELECT $1, a.client_id, a.jti, a.expires_at
    FROM unnest($2::text[], $3::bytea[], $4::timestamptz[]) AS a (client_id, jti, expires_at)
    ORDER BY a.client_id COLLATE \"C\", a.jti
    ON CONFLICT DO NOTHING RETURNING client_id, jti";

/// Uses them up; those that were not used before.
async fn use_jtis(db: &impl GenericClient, nid: Uuid, jtis: &[&JtiUse]) -> Result<HashSet<(String, Vec<u8>)>, Fault> {
    if jtis.is_empty() {
        return Ok(HashSet::new());
    }
    let statement = db.prepare_cached(USE_JTIS).await?;
    let clients: Vec<&str> = jtis.iter().map(|j| j.client_id.as_str()).collect();
    let hashes: Vec<&[u8]> = jtis.iter().map(|j| j.jti.as_slice()).collect();
    let ends: Vec<Moment> = jtis.iter().map(|j| Moment(j.expires_at)).collect();
    let won = db.query(&statement, &[&nid, &clients, &hashes, &ends]).await?;
    won.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Decides on the writes that are left, round by round: one whose `jti` was known leaves what it wanted to use to the
/// next. What remains is to be written.
async fn decide<'a>(
    db: &impl GenericClient,
    nid: Uuid,
    mut open: Vec<(usize, &'a Write)>,
    usable: Option<HashMap<Key, i64>>,
    verdicts: &mut Vec<(usize, Verdict)>,
) -> Result<Vec<(usize, &'a Write)>, Fault> {
    let judged = usable.is_some();
    let (mut usable, mut accepted) = (usable.unwrap_or_default(), Vec::new());
    while !open.is_empty() {
        let (mut tried, mut later) = (Vec::new(), Vec::new());
        let mut left = usable.clone();
        for (at, write) in open {
            let Some(key) = key(write).filter(|_| judged) else {
                tried.push((at, write));
                continue;
            };
            if usable.get(&key).is_none_or(|n| *n < 1) {
                verdicts.push((at, Verdict::Used));
            } else if let Some(n) = left.get_mut(&key).filter(|n| **n > 0) {
                *n -= 1;
                tried.push((at, write));
            } else {
                later.push((at, write));
            }
        }
        let asked: Vec<&JtiUse> = tried.iter().filter_map(|(_, w)| jti(w)).collect();
        let mut won = use_jtis(db, nid, &asked).await?;
        for (at, write) in tried {
            if jti(write).is_some_and(|j| !won.remove(&(j.client_id.clone(), j.jti.to_vec()))) {
                verdicts.push((at, Verdict::JtiKnown));
                continue;
            }
            if let Some(n) = key(write).and_then(|key| usable.get_mut(&key)) {
                *n -= 1;
            }
            accepted.push((at, write));
        }
        open = later;
    }
    Ok(accepted)
}

/// Writes a batch in one transaction.
pub(super) async fn write_mixed(conn: &mut Object, nid: Uuid, writes: &[Write]) -> Result<Vec<Verdict>, Fault> {
    let tx = conn.transaction().await?;
    let versions = clients(&tx, nid, writes).await?;
    hold_families(&tx, nid, writes).await?;
    let usable = usable(&tx, nid, writes).await?;
    let current = |w: &Write| client(w).is_none_or(|(id, version)| versions.get(id) == Some(&version));
    let (open, stale): (Vec<_>, Vec<_>) = writes.iter().enumerate().partition(|(_, w)| current(w));
    let mut verdicts: Vec<_> = stale.into_iter().map(|(at, _)| (at, Verdict::ClientChanged)).collect();
    let accepted = decide(&tx, nid, open, usable, &mut verdicts).await?;
    verdicts.extend(Kinds::of(accepted.into_iter()).write(&tx, nid).await?);
    tx.commit().await?;
    Ok(in_order(verdicts))
}
