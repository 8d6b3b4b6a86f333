//! So many tokens under load: of ten requests six are new tokens, three ask for tokens that are asked for all the time,
//! one refreshes. It ends when the tokens are issued; what counts is what the server then holds.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;

use super::Scenario;
use super::refresh::{Chains, OwnChains};
use crate::flow::Flow;
use crate::http::Call;
use crate::http::connection::Wire;
use crate::target::{Target, machine, web};
use crate::work::{Unit, Worker, sent};

/// Tokens that are asked for again and again.
const HOT: usize = 1000;
/// Requests of a turn, and how many of them are for a new token.
const TURN: u64 = 10;
const NEW: u64 = 6;

/// `count` tokens of one machine client.
pub async fn prepare(target: &Target, workers: usize, count: u64) -> Result<Scenario> {
    let (machine, users) = (target.create_client(&machine("opaque")).await?, target.create_client(&web()).await?);
    let hot = target.issue(&machine, HOT).await?;
    let chains = Chains::prepare(&Flow::new(target, &users, false), workers, 1).await?;
    let shared = Arc::new(Shared {
        token: target.token_call(&machine),
        hot: hot.iter().map(|token| target.introspection(token, "\"active\":true")).collect(),
        requests: requests(count),
    });
    let source = Arc::new(move |worker| {
        Box::new(Million { shared: Arc::clone(&shared), chains: chains.of(worker) }) as Box<dyn Worker>
    });
    Ok(Scenario::new(format!("{count} tokens"), source, vec![machine, users]))
}

/// Requests until so many tokens are issued.
fn requests(count: u64) -> u64 {
    count.div_ceil(NEW) * TURN
}

struct Shared {
    token: Call,
    hot: Vec<Call>,
    requests: u64,
}

struct Million {
    shared: Arc<Shared>,
    chains: OwnChains,
}

#[async_trait]
impl Worker for Million {
    async fn unit(&mut self, n: u64, wire: &mut Wire) -> Option<Unit> {
        if n >= self.shared.requests {
            return None;
        }
        let unit = match n % TURN {
            0..NEW => sent(wire, &self.shared.token).await.of_kind("client-credentials"),
            9 => Unit::of(&self.chains.refresh(wire).await, "200").of_kind("refresh"),
            _ => {
                let at = usize::try_from(n / TURN).unwrap_or_default() % self.shared.hot.len();
                sent(wire, self.shared.hot.get(at)?).await.of_kind("introspect")
            }
        };
        Some(unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_tokens_are_in_the_requests() {
        let new = |requests: u64| (0..requests).filter(|n| n % TURN < NEW).count() as u64;
        assert!(new(requests(1_000_000)) >= 1_000_000);
        assert!(new(requests(7)) >= 7);
    }
}
