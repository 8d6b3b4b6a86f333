//! A batch of token writes: what kind it is, its columns, and the transaction for the kinds that take one.

use super::faults::Fault;
use super::rows::{Moment, list_text};
use super::tokens::{issue_all, revoke_all};
use crate::store::{Issue, JtiUse, Revoke, SignatureHash, Verdict, Write};
use deadpool_postgres::{GenericClient, Object};
use std::collections::{BTreeSet, HashMap, HashSet};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// What a batch is made of.
pub(super) enum Shape<'a> {
    /// Only issues without a `jti`: one statement.
    Issues(Vec<&'a Issue>),
    /// Only revocations without a `jti`: one statement.
    Revokes(Vec<&'a Revoke>),
    /// Anything else: one transaction.
    Mixed,
}

/// Sorts a batch by kind.
pub(super) fn shape<'a>(writes: &'a [Write]) -> Shape<'a> {
    let issue = |write: &'a Write| match write {
        Write::Issue(order) if order.jti.is_none() => Some(order),
        _ => None,
    };
    let revoke = |write: &'a Write| match write {
        Write::Revoke(order) if order.jti.is_none() => Some(order),
        _ => None,
    };
    if let Some(orders) = writes.iter().map(issue).collect() {
        return Shape::Issues(orders);
    }
    writes.iter().map(revoke).collect::<Option<_>>().map_or(Shape::Mixed, Shape::Revokes)
}

/// The verdict on an issue without a `jti`.
pub(super) fn verdict(written: &HashSet<SignatureHash>, order: &Issue) -> Verdict {
    if written.contains(&order.token.signature) { Verdict::Done } else { Verdict::ClientChanged }
}

/// Issues by column, as the statement takes them.
pub(super) struct Columns<'a> {
    locked: Vec<&'a str>,
    signatures: Vec<&'a [u8]>,
    families: Vec<Uuid>,
    clients: Vec<&'a str>,
    versions: Vec<i64>,
    subjects: Vec<&'a str>,
    scopes: Vec<String>,
    audiences: Vec<String>,
    requested: Vec<Moment>,
    expires: Vec<Moment>,
    sessions: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    /// Takes the orders apart.
    pub(super) fn of(orders: &[&'a Issue]) -> Self {
        let tokens = || orders.iter().map(|o| &o.token);
        Self {
            locked: distinct(orders.iter().map(|o| o.token.client_id.as_str())),
            signatures: tokens().map(|t| t.signature.as_slice()).collect(),
            families: tokens().map(|t| t.family_id).collect(),
            clients: tokens().map(|t| t.client_id.as_str()).collect(),
            versions: orders.iter().map(|o| o.client_version).collect(),
            subjects: tokens().map(|t| t.subject.as_str()).collect(),
            scopes: tokens().map(|t| list_text(&t.scope)).collect(),
            audiences: tokens().map(|t| list_text(&t.audience)).collect(),
            requested: tokens().map(|t| Moment(t.requested_at)).collect(),
            expires: tokens().map(|t| Moment(t.expires_at)).collect(),
            sessions: tokens().map(|t| t.session.as_slice()).collect(),
        }
    }

    /// The statement's values, in order.
    pub(super) fn values<'b>(&'b self, nid: &'b Uuid) -> [&'b (dyn ToSql + Sync); 12] {
        [
            nid,
            &self.locked,
            &self.signatures,
            &self.families,
            &self.clients,
            &self.versions,
            &self.subjects,
            &self.scopes,
            &self.audiences,
            &self.requested,
            &self.expires,
            &self.sessions,
        ]
    }
}

fn distinct<'a>(ids: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    ids.collect::<BTreeSet<_>>().into_iter().collect()
}

const LOCK: &str = "SELECT id, version FROM client WHERE nid = $1 AND id = ANY($2) ORDER BY id FOR SHARE";

/// The versions of these clients, which stay so until the transaction ends.
async fn lock(db: &impl GenericClient, nid: Uuid, writes: &[Write]) -> Result<HashMap<String, i64>, Fault> {
    let ids = distinct(writes.iter().filter_map(|write| match write {
        Write::Issue(order) => Some(order.token.client_id.as_str()),
        Write::Revoke(_) => None,
    }));
    let statement = db.prepare_cached(LOCK).await?;
    let found = db.query(&statement, &[&nid, &ids]).await?;
    found.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
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

fn jti(write: &Write) -> Option<&JtiUse> {
    match write {
        Write::Issue(order) => order.jti.as_ref(),
        Write::Revoke(order) => order.jti.as_ref(),
    }
}

/// Client versions first, so that a refused issue uses up no `jti`; then the `jti`; then what is left to write.
pub(super) async fn write_mixed(conn: &mut Object, nid: Uuid, writes: &[Write]) -> Result<Vec<Verdict>, Fault> {
    let tx = conn.transaction().await?;
    let versions = lock(&tx, nid, writes).await?;
    let current = |write: &Write| match write {
        Write::Issue(order) => versions.get(&order.token.client_id) == Some(&order.client_version),
        Write::Revoke(_) => true,
    };
    let asked: Vec<&JtiUse> = writes.iter().filter(|w| current(w)).filter_map(jti).collect();
    let mut won = use_jtis(&tx, nid, &asked).await?;
    let (mut issues, mut revokes, mut verdicts) = (Vec::new(), Vec::new(), Vec::with_capacity(writes.len()));
    for write in writes {
        verdicts.push(if !current(write) {
            Verdict::ClientChanged
        } else if jti(write).is_some_and(|j| !won.remove(&(j.client_id.clone(), j.jti.to_vec()))) {
            Verdict::JtiKnown
        } else {
            match write {
                Write::Issue(order) => issues.push(order),
                Write::Revoke(order) => revokes.push(order),
            }
            Verdict::Done
        });
    }
    if !issues.is_empty() {
        issue_all(&tx, nid, &issues).await?;
    }
    revoke_all(&tx, nid, &revokes).await?;
    tx.commit().await?;
    Ok(verdicts)
}
