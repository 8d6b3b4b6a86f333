//! The token endpoint without the store: the right client with the right secret asks for a scope that it may not have.
//! Everything is done that a token costs, up to the point where it would be minted and written.

use anyhow::Result;
use async_trait::async_trait;

use super::Scenario;
use crate::http::Call;
use crate::http::connection::Wire;
use crate::target::{Target, issue, machine};
use crate::work::{Unit, Worker, contains};

/// A scope that no client of the load test may have.
const FORM: &str = "grant_type=client_credentials&scope=forbidden";
const REFUSAL: &str = "invalid_scope";

pub async fn prepare(target: &Target) -> Result<Scenario> {
    let client = target.create_client(&machine("opaque")).await?;
    // The secret was right once before, as in a service that has been up for a while.
    issue(&mut Wire::default(), &target.token_call(&client)).await?;
    let call = Call::form(&target.public, "/oauth2/token", FORM).basic(&client.id, &client.secret);
    let source = std::sync::Arc::new(move |_| Box::new(Asker(call.clone())) as Box<dyn Worker>);
    Ok(Scenario::new("token-refused", source, vec![client]))
}

struct Asker(Call);

#[async_trait]
impl Worker for Asker {
    async fn unit(&mut self, _: u64, wire: &mut Wire) -> Option<Unit> {
        Some(match wire.send(&self.0).await {
            Ok(answer) if answer.status == 400 && contains(&answer.body, REFUSAL) => Unit::done("400"),
            Ok(answer) => {
                wire.complain(&self.0, &answer);
                Unit::failed(answer.status.to_string())
            }
            Err(error) => Unit { lost: true, ..Unit::failed(error.to_string()) },
        })
    }
}
