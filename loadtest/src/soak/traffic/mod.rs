//! The traffic of a soak: of 100 units 50 are introspections, 20 refreshes, 15 client_credentials, 10 whole code flows,
//! and 5 what operators and attackers do.

mod attacks;
mod clients;
pub mod hand;
pub mod keepsakes;
mod machine;
pub mod pool;
mod sign_out;
mod user;

use std::sync::Arc;

use anyhow::{Result, bail};
use async_trait::async_trait;
use hyper::Method;
use serde_json::json;

pub use clients::Clients;
use hand::{Hand, Wants};

use super::history::{Key, Op};
use super::{BREATH, Stage};
use crate::chance;
use crate::http::Call;
use crate::http::connection::Wire;
use crate::work::{Unit, Worker};

/// An operator asks again so often for what nobody answered.
const TRIES: u32 = 20;
/// Coprime to 100: spreads the kinds over every hundred units.
const STRIDE: u64 = 37;

/// What a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Introspect,
    Refresh,
    Machine,
    CodeFlow,
    Attack,
}

impl Part {
    /// That of unit number `n`.
    fn of(n: u64) -> Self {
        match n % 100 * STRIDE % 100 {
            0..50 => Self::Introspect,
            50..70 => Self::Refresh,
            70..85 => Self::Machine,
            85..95 => Self::CodeFlow,
            _ => Self::Attack,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Introspect => "introspect",
            Self::Refresh => "refresh",
            Self::Machine => "client-credentials",
            Self::CodeFlow => "code-flow",
            Self::Attack => "admin-and-attacks",
        }
    }
}

/// Does one unit after another.
pub struct Mixer {
    pub stage: Arc<Stage>,
    /// Which unit is which depends on the seed.
    pub seed: u64,
    pub attacks: bool,
    /// For the second of two requests at once.
    pub other: Option<Wire>,
}

#[async_trait]
impl Worker for Mixer {
    async fn unit(&mut self, n: u64, wire: &mut Wire) -> Option<Unit> {
        let (stage, random) = (Arc::clone(&self.stage), chance::mixed(self.seed ^ n));
        let other = self.other.get_or_insert_with(|| wire.another());
        let (mut hand, mut second) = (Hand::new(&stage, wire), Hand::new(&stage, other));
        let part = Part::of(n);
        let done = match part {
            Part::Introspect => hand.introspect_any(random).await,
            Part::Refresh => hand.refresh_any(random).await,
            Part::Machine => hand.machine_token(random).await.map(drop),
            Part::CodeFlow => hand.sign_in().await.map(|chain| stage.pool.put(chain)),
            Part::Attack if self.attacks => attacks::one(&mut hand, &mut second, random).await,
            Part::Attack => hand.revoke_machine().await,
        };
        let unit = if done.is_some() { Unit::done("done") } else { Unit::failed("broken off") };
        Some(unit.of_kind(part.name()))
    }
}

impl Stage {
    /// Both sets of signing keys get a new key.
    pub async fn rotate(self: &Arc<Self>) -> Result<()> {
        let mut wire = Wire::default();
        for set in ["hydra.openid.id-token", "hydra.jwt.access-token"] {
            let body = json!({"alg": "ES256", "use": "sig"});
            let call = Call::json(Method::POST, &self.target.admin, &format!("/admin/keys/{set}"), &body);
            let (mut hand, of) = (Hand::new(self, &mut wire), (Op::Rotate, Key::of(set), Key::default()));
            let mut heard = hand.ask(of, &call, Wants::Success).await;
            // A fault may be on; one key more is no harm.
            for _ in 0..TRIES {
                if !heard.is_lost() {
                    break;
                }
                tokio::time::sleep(BREATH).await;
                heard = hand.ask(of, &call, Wants::Success).await;
            }
            if heard.ok().is_none() {
                bail!("no new key for {set}");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_units_hold_the_promised_shares() {
        for (part, share) in
            [(Part::Introspect, 50), (Part::Refresh, 20), (Part::Machine, 15), (Part::CodeFlow, 10), (Part::Attack, 5)]
        {
            assert_eq!((500..600).filter(|n| Part::of(*n) == part).count(), share, "{part:?}");
        }
    }
}
