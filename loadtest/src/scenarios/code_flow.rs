//! The authorization code flow, whole: eight requests are one unit, each also reported by itself.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;

use super::Scenario;
use crate::flow::Flow;
use crate::http::connection::Wire;
use crate::target::{Target, web};
use crate::work::{Unit, Worker};

/// Every unit is a flow of a subject and a browser of its own.
pub async fn prepare(target: &Target, remember: bool) -> Result<Scenario> {
    let client = target.create_client(&web()).await?;
    let flow = Flow { remember, ..Flow::new(target, &client, true) };
    let name = if remember { "code-flow remembered" } else { "code-flow" };
    let source = Arc::new(move |_| Box::new(Flows(flow.clone())) as Box<dyn Worker>);
    Ok(Scenario { unit: "flow", ..Scenario::new(name, source, vec![client]) })
}

struct Flows(Flow);

#[async_trait]
impl Worker for Flows {
    async fn unit(&mut self, n: u64, wire: &mut Wire) -> Option<Unit> {
        Some(Unit::of(&self.0.run(n, wire).await, "tokens"))
    }
}
