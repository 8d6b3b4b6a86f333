//! How long a revoked token lives on at another replica: issue at one, introspect at the other (which may now remember
//! it), revoke at the first, and ask the other until it says inactive.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use async_trait::async_trait;

use super::Scenario;
use crate::http::Origin;
use crate::http::connection::{Step, Wire};
use crate::target::{Target, TestClient, machine, text};
use crate::work::{Unit, Worker, is_right, is_success};

/// Pause between two questions.
const PAUSE: Duration = Duration::from_millis(1);
/// The part with the times from the revocation's answer to the answer "inactive".
pub const INACTIVE_AFTER: &str = "5 time to inactive";

/// The name of the scenario.
pub const STALENESS: &str = "staleness";

pub async fn prepare(target: &Target, other_admin: Origin, bound: Duration) -> Result<Scenario> {
    let client = target.create_client(&machine("opaque")).await?;
    let other = Target { admin: other_admin, ..target.clone() };
    let shared = Arc::new(Shared { target: target.clone(), other, client: client.clone(), bound });
    let source = Arc::new(move |_| Box::new(Watcher(Arc::clone(&shared))) as Box<dyn Worker>);
    Ok(Scenario { unit: "token", ..Scenario::new(STALENESS, source, vec![client]) })
}

struct Shared {
    target: Target,
    /// The other replica; only its admin side is asked.
    other: Target,
    client: TestClient,
    bound: Duration,
}

struct Watcher(Arc<Shared>);

impl Watcher {
    /// Takes one token through its life; how many times the other replica still called it active.
    async fn life(&self, wire: &mut Wire) -> Result<u32> {
        let Shared { target, other, client, bound } = &*self.0;
        let answer = wire.step("1 token", &target.token_call(client), is_success).await?;
        let token = text(&serde_json::from_slice(&answer.body)?, "access_token")?;
        let active = other.introspection(&token, "\"active\":true");
        for name in ["2 first introspection", "3 second introspection"] {
            wire.step(name, &active, |answer| is_right(&active, answer)).await?;
        }
        wire.step("4 revoke", &target.revocation(client, &token), is_success).await?;
        let (revoked, inactive) = (Instant::now(), other.introspection(&token, "\"active\":false"));
        let mut stale = 0;
        loop {
            let answer = wire.send(&inactive).await?;
            if is_right(&inactive, &answer) {
                wire.steps.push(Step { name: INACTIVE_AFTER, took: revoked.elapsed(), ok: true });
                return Ok(stale);
            }
            if !is_right(&active, &answer) {
                bail!("the other replica answered {}", answer.status);
            }
            if revoked.elapsed() > *bound {
                bail!("still active after {:.0} s", bound.as_secs_f64());
            }
            stale += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[async_trait]
impl Worker for Watcher {
    async fn unit(&mut self, _: u64, wire: &mut Wire) -> Option<Unit> {
        Some(match self.life(wire).await {
            Ok(0) => Unit::done("inactive at once"),
            Ok(_) => Unit::done("active at first"),
            Err(error) => Unit { lost: true, ..Unit::failed(error.to_string()) },
        })
    }
}
