//! A batch of token writes by kind: one statement for a batch of one kind without any `jti`.

use super::exchange::{redeem_all, replay_all, rotate_all};
use super::faults::Fault;
use super::issue::issue_all;
use super::revoke::{end_all, revoke_all};
use crate::store::{AccessToken, Issue, JtiUse, Redeem, Replay, Revoke, Rotate, Verdict, Write};
use deadpool_postgres::GenericClient;
use uuid::Uuid;

/// The single use that a write asks for.
pub(super) fn jti(write: &Write) -> Option<&JtiUse> {
    match write {
        Write::Issue(order) => order.jti.as_ref(),
        Write::Revoke(order) => order.jti.as_ref(),
        Write::Redeem(order) => order.jti.as_ref(),
        Write::Rotate(order) => order.jti.as_ref(),
        Write::Replay(order) => order.jti.as_ref(),
        Write::RevokeFamily(_) => None,
    }
}

/// The access token that a write issues.
pub(super) fn issued(write: &Write) -> Option<&AccessToken> {
    match write {
        Write::Issue(order) => Some(&order.token),
        Write::Redeem(order) => Some(&order.access),
        Write::Rotate(order) => Some(&order.access),
        Write::Revoke(_) | Write::Replay(_) | Write::RevokeFamily(_) => None,
    }
}

/// Whether the batch can be one statement.
pub(super) fn is_plain(writes: &[Write]) -> bool {
    let Some(first) = writes.first() else { return true };
    let kind = std::mem::discriminant(first);
    writes.iter().all(|w| std::mem::discriminant(w) == kind && jti(w).is_none())
}

/// Writes of a batch by kind, each with its place in the batch.
#[derive(Default)]
pub(super) struct Kinds<'a> {
    ended: Vec<(usize, Uuid)>,
    revokes: Vec<(usize, &'a Revoke)>,
    replays: Vec<(usize, &'a Replay)>,
    redeems: Vec<(usize, &'a Redeem)>,
    rotates: Vec<(usize, &'a Rotate)>,
    issues: Vec<(usize, &'a Issue)>,
}

impl<'a> Kinds<'a> {
    /// Sorts writes by kind.
    pub(super) fn of(writes: impl Iterator<Item = (usize, &'a Write)>) -> Self {
        let mut kinds = Self::default();
        for (at, write) in writes {
            match write {
                Write::RevokeFamily(family) => kinds.ended.push((at, *family)),
                Write::Revoke(order) => kinds.revokes.push((at, order)),
                Write::Replay(order) => kinds.replays.push((at, order)),
                Write::Redeem(order) => kinds.redeems.push((at, order)),
                Write::Rotate(order) => kinds.rotates.push((at, order)),
                Write::Issue(order) => kinds.issues.push((at, order)),
            }
        }
        kinds
    }

    /// One statement for each kind that is there, what ends something first: the verdicts, each with its place.
    pub(super) async fn write(&self, db: &impl GenericClient, nid: Uuid) -> Result<Vec<(usize, Verdict)>, Fault> {
        let mut verdicts = Vec::new();
        let (at, families): (Vec<usize>, Vec<Uuid>) = self.ended.iter().copied().unzip();
        end_all(db, nid, &families).await?;
        verdicts.extend(at.into_iter().map(|at| (at, Verdict::Done)));
        let (at, orders): (Vec<usize>, Vec<&Revoke>) = self.revokes.iter().copied().unzip();
        let ended = revoke_all(db, nid, &orders).await?;
        verdicts.extend(at.into_iter().zip(ended.into_iter().map(Verdict::Revoked)));
        let (at, orders): (Vec<usize>, Vec<&Replay>) = self.replays.iter().copied().unzip();
        verdicts.extend(at.into_iter().zip(replay_all(db, nid, &orders).await?));
        let (at, orders): (Vec<usize>, Vec<&Redeem>) = self.redeems.iter().copied().unzip();
        verdicts.extend(at.into_iter().zip(redeem_all(db, nid, &orders).await?));
        let (at, orders): (Vec<usize>, Vec<&Rotate>) = self.rotates.iter().copied().unzip();
        verdicts.extend(at.into_iter().zip(rotate_all(db, nid, &orders).await?));
        let (at, orders): (Vec<usize>, Vec<&Issue>) = self.issues.iter().copied().unzip();
        verdicts.extend(at.into_iter().zip(issue_all(db, nid, &orders).await?));
        Ok(verdicts)
    }
}

/// Verdicts in the order of the batch.
pub(super) fn in_order(mut verdicts: Vec<(usize, Verdict)>) -> Vec<Verdict> {
    verdicts.sort_unstable_by_key(|(at, _)| *at);
    verdicts.into_iter().map(|(_, verdict)| verdict).collect()
}
