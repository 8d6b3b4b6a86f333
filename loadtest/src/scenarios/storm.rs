//! Tokens from a server that may refuse: 503 with `Retry-After` is an answer, and no token. Both kinds are reported by
//! themselves.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;

use super::Scenario;
use crate::http::Call;
use crate::http::connection::Wire;
use crate::target::{Target, issue, machine};
use crate::work::{Unit, Worker, is_right};

pub const ACCEPTED: &str = "accepted";
pub const REFUSED: &str = "refused";

/// One client; its secret was right once before.
pub async fn prepare(target: &Target, strategy: &str) -> Result<Scenario> {
    let client = target.create_client(&machine(strategy)).await?;
    let call = target.token_call(&client);
    issue(&mut Wire::default(), &call).await?;
    let source = Arc::new(move |_| Box::new(Asker(call.clone())) as Box<dyn Worker>);
    Ok(Scenario::new(format!("storm {strategy}"), source, vec![client]))
}

struct Asker(Call);

#[async_trait]
impl Worker for Asker {
    async fn unit(&mut self, _: u64, wire: &mut Wire) -> Option<Unit> {
        Some(match wire.send(&self.0).await {
            Ok(answer) if is_right(&self.0, &answer) => Unit::done("200").of_kind(ACCEPTED),
            Ok(answer) if answer.status == 503 && !answer.header("retry-after").is_empty() => {
                Unit::failed("503").of_kind(REFUSED)
            }
            Ok(answer) => {
                wire.complain(&self.0, &answer);
                Unit::failed(answer.status.to_string())
            }
            Err(error) => Unit { lost: true, ..Unit::failed(error.to_string()) },
        })
    }
}
