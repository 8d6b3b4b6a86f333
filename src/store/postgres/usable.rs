//! What a batch of token writes may use up, looked up before a `jti` is used for it.

use super::batch::jti;
use super::faults::Fault;
use super::rows;
use crate::store::{SignatureHash, Source, Write};
use deadpool_postgres::GenericClient;
use std::collections::HashMap;
use uuid::Uuid;

/// What a write uses up: a code or a refresh token of that client and family, or one replay of a refresh token.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Code(SignatureHash, String, Uuid),
    Device(SignatureHash, String, Uuid),
    Refresh(SignatureHash, String, Uuid),
    Replay(SignatureHash),
}

/// What that write uses up, if anything.
pub(super) fn key(write: &Write) -> Option<Key> {
    match write {
        Write::Redeem(order) => {
            let (client, family) = (order.access.client_id.clone(), order.access.family_id);
            Some(match order.source {
                Source::Code(key) => Key::Code(key, client, family),
                Source::Device(key) => Key::Device(key, client, family),
            })
        }
        Write::Rotate(order) => {
            Some(Key::Refresh(order.presented, order.access.client_id.clone(), order.access.family_id))
        }
        Write::Replay(order) => Some(Key::Replay(order.presented)),
        Write::Issue(_) | Write::Revoke(_) | Write::RevokeFamily(_) => None,
    }
}

/// What can be used, of codes, devices and refresh tokens, and how often used ones were replayed. Their families are
/// held, so it stays so.
const USABLE: &str = "
    SELECT 0 AS kind, t.signature, t.client_id, t.family_id, 0 AS replayed
    FROM authorization_code t
    CROSS JOIN LATERAL (SELECT revoked_at FROM token_family WHERE id = t.family_id OFFSET 0) f
    WHERE t.signature = ANY($2) AND t.nid IS NOT DISTINCT FROM $1
          AND t.spent_at IS NULL AND t.expires_at > clock_timestamp()
          AND f.revoked_at IS NULL
    UNION ALL
    SELECT 1, t.signature, t.client_id, t.family_id, 0 FROM device t
    CROSS JOIN LATERAL (SELECT revoked_at FROM token_family WHERE id = t.family_id OFFSET 0) f
    WHERE t.signature = ANY($2) AND t.nid IS NOT DISTINCT FROM $1
          AND t.state = 'granted' AND t.expires_at > clock_timestamp()
          AND f.revoked_at IS NULL
    UNION ALL
    SELECT CASE WHEN t.used_at IS NULL THEN 2 ELSE 3 END, t.signature, t.client_id, t.family_id, t.replayed
    FROM refresh_token t
    CROSS JOIN LATERAL (SELECT revoked_at FROM token_family WHERE id = t.family_id OFFSET 0) f
    WHERE t.signature = ANY($2) AND t.nid IS NOT DISTINCT FROM $1
          AND (t.expires_at IS NULL OR t.expires_at > clock_timestamp())
          AND f.revoked_at IS NULL";

/// How often each thing may still be used. `None` when no `jti` depends on it: then the statements that use them tell.
pub(super) async fn usable(
    db: &impl GenericClient,
    nid: Uuid,
    writes: &[Write],
) -> Result<Option<HashMap<Key, i64>>, Fault> {
    if !writes.iter().any(|w| jti(w).is_some() && key(w).is_some()) {
        return Ok(None);
    }
    let asked: HashMap<Key, i64> = writes.iter().filter_map(|w| Some((key(w)?, most(w)))).collect();
    let signatures: Vec<&[u8]> = asked.keys().map(signature).map(<[u8; 32]>::as_slice).collect();
    let statement = db.prepare_cached(USABLE).await?;
    let mut usable = HashMap::new();
    for row in db.query(&statement, &[&nid, &signatures]).await? {
        let (signature, client, family) =
            (rows::hash(&row, "signature")?, row.try_get("client_id")?, row.try_get("family_id")?);
        let key = match row.try_get::<_, i32>("kind")? {
            0 => Key::Code(signature, client, family),
            1 => Key::Device(signature, client, family),
            2 => Key::Refresh(signature, client, family),
            _ => Key::Replay(signature),
        };
        let replayed: i32 = row.try_get("replayed")?;
        if let Some(most) = asked.get(&key) {
            usable.insert(key, most - i64::from(replayed));
        }
    }
    Ok(Some(usable))
}

fn signature(key: &Key) -> &SignatureHash {
    match key {
        Key::Code(signature, ..) | Key::Device(signature, ..) | Key::Refresh(signature, ..) => signature,
        Key::Replay(signature) => signature,
    }
}

fn most(write: &Write) -> i64 {
    if let Write::Replay(order) = write { order.most.into() } else { 1 }
}
