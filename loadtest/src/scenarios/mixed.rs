//! A day's traffic: of 100 units 60 are introspections, 25 client_credentials, 10 refreshes, 4 whole code flows and one
//! a revocation. Every kind is reported by itself.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::{Result, bail};
use async_trait::async_trait;

use super::Scenario;
use super::refresh::{Chains, OwnChains};
use crate::chance;
use crate::flow::Flow;
use crate::http::Call;
use crate::http::connection::Wire;
use crate::target::{Target, TestClient, machine, text, web};
use crate::work::{Unit, Worker, answered, sent};

/// Tokens of its own that a worker keeps for its revocations.
const KEPT: usize = 100;
/// Coprime to 100: spreads the kinds over every hundred units.
const STRIDE: u64 = 37;

/// What a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Introspect,
    ClientCredentials,
    Refresh,
    CodeFlow,
    Revoke,
}

impl Part {
    /// That of unit number `n`.
    fn of(n: u64) -> Self {
        match n % 100 * STRIDE % 100 {
            0..60 => Self::Introspect,
            60..85 => Self::ClientCredentials,
            85..95 => Self::Refresh,
            95..99 => Self::CodeFlow,
            _ => Self::Revoke,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Introspect => "introspect",
            Self::ClientCredentials => "client-credentials",
            Self::Refresh => "refresh",
            Self::CodeFlow => "code-flow",
            Self::Revoke => "revoke",
        }
    }
}

pub async fn prepare(target: &Target, workers: usize, tokens: usize) -> Result<Scenario> {
    if tokens == 0 {
        bail!("--tokens must be at least 1");
    }
    let machine = target.create_client(&machine("opaque")).await?;
    let users = target.create_client(&web()).await?;
    let live = target.issue(&machine, tokens).await?;
    let flow = Flow::new(target, &users, true);
    let chains = Chains::prepare(&flow, workers, 1).await?;
    let shared = Arc::new(Shared {
        token: target.token_call(&machine),
        introspections: live.iter().map(|token| target.introspection(token, "\"active\":true")).collect(),
        // Its own subjects, apart from those of the chains.
        flow: Flow::new(target, &users, true),
        client: machine.clone(),
        target: target.clone(),
    });
    let source = Arc::new(move |worker| {
        let (shared, chains) = (Arc::clone(&shared), chains.of(worker));
        Box::new(Mixer { shared, chains, own: VecDeque::new() }) as Box<dyn Worker>
    });
    Ok(Scenario { unit: "unit", ..Scenario::new("mixed", source, vec![machine, users]) })
}

struct Shared {
    target: Target,
    client: TestClient,
    token: Call,
    introspections: Vec<Call>,
    flow: Flow,
}

struct Mixer {
    shared: Arc<Shared>,
    chains: OwnChains,
    /// Tokens that this worker got and did not revoke yet.
    own: VecDeque<String>,
}

impl Mixer {
    /// Requests a token and keeps it.
    async fn token(&mut self, wire: &mut Wire) -> Unit {
        let (unit, answer) = answered(wire, &self.shared.token).await;
        let token = answer.map(|answer| serde_json::from_slice(&answer.body)).and_then(Result::ok);
        if let Some(Ok(token)) = token.map(|token| text(&token, "access_token")) {
            self.own.truncate(KEPT - 1);
            self.own.push_front(token);
        }
        unit
    }

    async fn revoke(&mut self, wire: &mut Wire) -> Unit {
        // The first of a worker: there is nothing yet to revoke.
        if self.own.is_empty() {
            let unit = self.token(wire).await;
            if !unit.ok {
                return unit;
            }
        }
        let token = self.own.pop_back().unwrap_or_default();
        sent(wire, &self.shared.target.revocation(&self.shared.client, &token)).await
    }

    async fn introspect(&self, n: u64, wire: &mut Wire) -> Unit {
        let calls = &self.shared.introspections;
        let at = usize::try_from(chance::mixed(n)).unwrap_or_default() % calls.len();
        match calls.get(at) {
            Some(call) => sent(wire, call).await,
            None => Unit::failed("nothing to introspect"),
        }
    }
}

#[async_trait]
impl Worker for Mixer {
    async fn unit(&mut self, n: u64, wire: &mut Wire) -> Option<Unit> {
        let part = Part::of(n);
        let unit = match part {
            Part::Introspect => self.introspect(n, wire).await,
            Part::ClientCredentials => self.token(wire).await,
            Part::Refresh => Unit::of(&self.chains.refresh(wire).await, "200"),
            Part::CodeFlow => {
                let flow = self.shared.flow.run(n, wire).await;
                // Its steps are a scenario of their own.
                wire.steps.clear();
                Unit::of(&flow, "flow")
            }
            Part::Revoke => self.revoke(wire).await,
        };
        Some(unit.of_kind(part.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_units_hold_the_promised_shares() {
        for (part, share) in [
            (Part::Introspect, 60),
            (Part::ClientCredentials, 25),
            (Part::Refresh, 10),
            (Part::CodeFlow, 4),
            (Part::Revoke, 1),
        ] {
            assert_eq!((500..600).filter(|n| Part::of(*n) == part).count(), share, "{part:?}");
        }
    }
}
