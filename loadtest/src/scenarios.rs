//! The scenarios: what is prepared before the window opens, and what request number `n` is. Everything goes through
//! the public and the admin URL of a Hydra-compatible server, so any of them can be measured.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};

use crate::client::{Call, Connection, Origin};
use crate::drive::Source;

const PATIENCE: Duration = Duration::from_secs(30);
/// Connections that issue tokens before a run.
const ISSUERS: usize = 16;

/// The server under test.
#[derive(Clone, Debug)]
pub struct Target {
    pub public: Origin,
    pub admin: Origin,
}

/// A client of the server, made for one run.
#[derive(Clone, Debug)]
pub struct TestClient {
    id: String,
    secret: String,
}

impl Target {
    /// Registers a client that may use `client_credentials`.
    pub async fn create_client(&self, strategy: &str) -> Result<TestClient> {
        let body = json!({
            "client_name": "signet-loadtest",
            "grant_types": ["client_credentials"],
            "scope": "load",
            "token_endpoint_auth_method": "client_secret_basic",
            "access_token_strategy": strategy,
        });
        let mut call = Call::form(&self.admin, "/admin/clients", serde_json::to_vec(&body)?);
        call.content_type = "application/json";
        let client = send(&mut Connection::default(), &call).await.context("cannot create a client")?;
        let field =
            |name: &str| client.get(name).and_then(Value::as_str).map(str::to_owned).context("no client in the answer");
        Ok(TestClient { id: field("client_id")?, secret: field("client_secret")? })
    }

    /// Deletes a client; the server deletes its tokens with it.
    pub async fn delete_client(&self, client: &TestClient) -> Result<()> {
        let mut call = Call::form(&self.admin, &format!("/admin/clients/{}", client.id), Bytes::new());
        call.method = Method::DELETE;
        let answer = Connection::default().send(&call, PATIENCE).await?;
        if answer.status >= 300 {
            bail!("deleting the client answered {}", answer.status);
        }
        Ok(())
    }

    fn token_call(&self, client: &TestClient) -> Call {
        Call::form(&self.public, "/oauth2/token", "grant_type=client_credentials&scope=load")
            .basic(&client.id, &client.secret)
            .expecting("\"access_token\"")
    }

    /// Every request is one new token, the clients taking turns.
    pub fn client_credentials(&self, clients: &[TestClient]) -> Result<Source> {
        if clients.is_empty() {
            bail!("at least one client is needed");
        }
        let calls: Vec<Call> = clients.iter().map(|client| self.token_call(client)).collect();
        Ok(Arc::new(move |n| Some(calls.get(usize::try_from(n).ok()? % calls.len())?.clone())))
    }

    /// Introspects the tokens in turn.
    pub fn introspect(&self, tokens: &[String]) -> Result<Source> {
        if tokens.is_empty() {
            bail!("at least one token is needed");
        }
        let call = |token: &String| {
            Call::form(&self.admin, "/admin/oauth2/introspect", format!("token={token}")).expecting("\"active\":true")
        };
        let calls: Vec<Call> = tokens.iter().map(call).collect();
        Ok(Arc::new(move |n| Some(calls.get(usize::try_from(n).ok()? % calls.len())?.clone())))
    }

    /// Revokes every token once; the run ends when they are used up.
    pub fn revoke(&self, client: &TestClient, tokens: &[String]) -> Source {
        let call = |token: &String| {
            Call::form(&self.public, "/oauth2/revoke", format!("token={token}")).basic(&client.id, &client.secret)
        };
        let calls: Vec<Call> = tokens.iter().map(call).collect();
        Arc::new(move |n| calls.get(usize::try_from(n).ok()?).cloned())
    }

    /// Issues `count` tokens, as fast as a few connections can.
    pub async fn issue(&self, client: &TestClient, count: usize) -> Result<Vec<String>> {
        eprintln!("issuing {count} tokens");
        let workers: Vec<_> = (0..ISSUERS)
            .map(|worker| {
                let share = count / ISSUERS + usize::from(worker < count % ISSUERS);
                let call = self.token_call(client);
                tokio::spawn(async move { issue_share(&call, share).await })
            })
            .collect();
        let mut tokens = Vec::with_capacity(count);
        for worker in workers {
            tokens.extend(worker.await?.context("cannot issue tokens")?);
        }
        Ok(tokens)
    }
}

async fn issue_share(call: &Call, share: usize) -> Result<Vec<String>> {
    let (mut connection, mut tokens) = (Connection::default(), Vec::with_capacity(share));
    for _ in 0..share {
        let answer = send(&mut connection, call).await?;
        let token = answer.get("access_token").and_then(Value::as_str).context("no access_token in the answer")?;
        tokens.push(token.to_owned());
    }
    Ok(tokens)
}

async fn send(connection: &mut Connection, call: &Call) -> Result<Value> {
    let answer = connection.send(call, PATIENCE).await?;
    if !(200..300).contains(&answer.status) {
        let text = String::from_utf8_lossy(&answer.body).chars().take(300).collect::<String>();
        bail!("{} answered {}: {text}", call.path, answer.status);
    }
    serde_json::from_slice(&answer.body).context("the answer is not JSON")
}
