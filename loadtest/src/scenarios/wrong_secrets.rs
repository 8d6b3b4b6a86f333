//! Wrong secrets beside right ones: somebody guesses, and the honest must not feel it.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;

use super::Scenario;
use crate::chance;
use crate::http::Call;
use crate::http::connection::Wire;
use crate::report::Report;
use crate::target::{Target, TestClient, issue, machine};
use crate::work::{Unit, Worker, sent};

const RIGHT: &str = "right secret";
const WRONG: &str = "wrong secret";

/// `percent` of the requests have a wrong secret, another one each time, for the very client that the others are.
pub async fn prepare(target: &Target, percent: u8) -> Result<Scenario> {
    let client = target.create_client(&machine("opaque")).await?;
    let token = target.token_call(&client);
    // The secret was right once before anybody guesses, as in a service that has been up for a while.
    issue(&mut Wire::default(), &token).await?;
    let shared = Arc::new(Shared { target: target.clone(), client: client.clone(), token, percent });
    let source = Arc::new(move |_| Box::new(Guesser(Arc::clone(&shared))) as Box<dyn Worker>);
    let name = if percent == 0 { "right secrets only".to_owned() } else { format!("wrong-secrets {percent} %") };
    Ok(Scenario::new(name, source, vec![client]))
}

/// What the wrong ones cost the right ones, in a sentence.
pub fn compared(without: &Report, with: &Report) -> Option<String> {
    let p99 = |report: &Report| report.parts.iter().find(|part| part.name == RIGHT).map(|part| part.latency_ms.p99);
    let (before, beside) = (p99(without)?, p99(with)?);
    Some(format!("p99 of right secrets: {before:.2} ms alone, {beside:.2} ms beside wrong ones"))
}

struct Shared {
    target: Target,
    client: TestClient,
    token: Call,
    percent: u8,
}

struct Guesser(Arc<Shared>);

impl Guesser {
    /// A refusal is right. So is being told to wait: guessing must not be cheap for the guesser.
    async fn guess(&self, wire: &mut Wire) -> Unit {
        let client = TestClient { secret: chance::text(), ..self.0.client.clone() };
        let call = self.0.target.token_call(&client);
        match wire.send(&call).await {
            Ok(answer) if matches!(answer.status, 401 | 429 | 503) => Unit::done(format!("{WRONG}: {}", answer.status)),
            Ok(answer) => {
                wire.complain(&call, &answer);
                Unit::failed(format!("{WRONG}: {}", answer.status))
            }
            Err(error) => Unit { lost: true, ..Unit::failed(format!("{WRONG}: {error}")) },
        }
    }
}

#[async_trait]
impl Worker for Guesser {
    async fn unit(&mut self, n: u64, wire: &mut Wire) -> Option<Unit> {
        if chance::mixed(n) % 100 < u64::from(self.0.percent) {
            return Some(self.guess(wire).await.of_kind(WRONG));
        }
        Some(sent(wire, &self.0.token).await.of_kind(RIGHT))
    }
}
