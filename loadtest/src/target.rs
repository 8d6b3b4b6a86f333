//! The server under test, and what is made there before a run and deleted after it. Everything goes through the public
//! and the admin URL of a Hydra-compatible server, so any of them can be measured.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use hyper::Method;
use serde_json::{Value, json};

use crate::http::connection::Wire;
use crate::http::{Call, Origin};

/// Connections that prepare a run.
const HANDS: usize = 16;
/// The scope of tokens that no user granted.
pub const SCOPE: &str = "load";
/// Where codes are sent. Nobody listens there: the driver reads the redirect.
pub const CALLBACK: &str = "http://127.0.0.1:4446/callback";

/// The server under test.
#[derive(Clone, Debug)]
pub struct Target {
    pub public: Origin,
    pub admin: Origin,
}

/// A client of the server, made for one run.
#[derive(Clone, Debug)]
pub struct TestClient {
    pub id: String,
    pub secret: String,
}

/// A client that may use `client_credentials`.
pub fn machine(strategy: &str) -> Value {
    json!({
        "client_name": "signet-loadtest",
        "grant_types": ["client_credentials"],
        "scope": SCOPE,
        "token_endpoint_auth_method": "client_secret_basic",
        "access_token_strategy": strategy,
    })
}

/// A client that users sign in at, and that may use `client_credentials` too.
pub fn web() -> Value {
    json!({
        "client_name": "signet-loadtest",
        "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
        "response_types": ["code"],
        "redirect_uris": [CALLBACK],
        "scope": format!("openid offline {SCOPE}"),
        "token_endpoint_auth_method": "client_secret_basic",
        "access_token_strategy": "opaque",
    })
}

impl Target {
    /// Registers a client.
    pub async fn create_client(&self, registration: &Value) -> Result<TestClient> {
        create(&mut Wire::default(), &self.admin, registration).await
    }

    /// Registers many of one kind.
    pub async fn create_clients(&self, registration: &Value, count: usize) -> Result<Vec<TestClient>> {
        let (admin, registration) = (self.admin.clone(), registration.clone());
        by_hands(count, move |_, mut wire| {
            let (admin, registration) = (admin.clone(), registration.clone());
            async move { (create(&mut wire, &admin, &registration).await, wire) }
        })
        .await
    }

    /// Deletes clients; the server deletes their tokens with them. One that cannot must not cost the figures just
    /// measured.
    pub async fn forget(&self, clients: &[TestClient]) {
        let (admin, clients) = (self.admin.clone(), Arc::new(clients.to_vec()));
        let deleted = by_hands(clients.len(), move |n, mut wire| {
            let (admin, clients) = (admin.clone(), Arc::clone(&clients));
            async move { (delete(&mut wire, &admin, clients.get(n)).await, wire) }
        });
        if let Err(error) = deleted.await {
            eprintln!("clients of the load test were left behind: {error:#}");
        }
    }

    /// A request for a token by `client_credentials`.
    pub fn token_call(&self, client: &TestClient) -> Call {
        Call::form(&self.public, "/oauth2/token", format!("grant_type=client_credentials&scope={SCOPE}"))
            .basic(&client.id, &client.secret)
            .expecting("\"access_token\"")
    }

    /// Introspection of a token.
    pub fn introspection(&self, token: &str, expect: &'static str) -> Call {
        Call::form(&self.admin, "/admin/oauth2/introspect", format!("token={token}")).expecting(expect)
    }

    /// Revocation of a token.
    pub fn revocation(&self, client: &TestClient, token: &str) -> Call {
        Call::form(&self.public, "/oauth2/revoke", format!("token={token}")).basic(&client.id, &client.secret)
    }

    /// Issues `count` tokens, as fast as a few connections can.
    pub async fn issue(&self, client: &TestClient, count: usize) -> Result<Vec<String>> {
        eprintln!("issuing {count} tokens");
        self.issue_quietly(client, count).await
    }

    /// The same, when a progress bar is on.
    pub async fn issue_quietly(&self, client: &TestClient, count: usize) -> Result<Vec<String>> {
        let call = self.token_call(client);
        let issued = by_hands(count, move |_, mut wire| {
            let call = call.clone();
            async move { (issue(&mut wire, &call).await, wire) }
        });
        issued.await.context("cannot issue tokens")
    }
}

/// Requests one token and reads it.
pub async fn issue(wire: &mut Wire, call: &Call) -> Result<String> {
    let answer = wire.ask(call).await?;
    text(&answer, "access_token")
}

/// A member of an answer.
pub fn text(answer: &Value, name: &str) -> Result<String> {
    let found = answer.get(name).and_then(Value::as_str).map(str::to_owned);
    found.with_context(|| format!("no {name} in the answer"))
}

async fn create(wire: &mut Wire, admin: &Origin, registration: &Value) -> Result<TestClient> {
    let call = Call::json(Method::POST, admin, "/admin/clients", registration);
    let client = wire.ask(&call).await.context("cannot create a client")?;
    // Clients that sign have no secret.
    Ok(TestClient { id: text(&client, "client_id")?, secret: text(&client, "client_secret").unwrap_or_default() })
}

async fn delete(wire: &mut Wire, admin: &Origin, client: Option<&TestClient>) -> Result<()> {
    let Some(client) = client else { return Ok(()) };
    let mut call = Call::get(admin, &format!("/admin/clients/{}", client.id));
    call.method = Method::DELETE;
    let answer = wire.send(&call).await?;
    if answer.status >= 300 {
        bail!("deleting the client answered {}", answer.status);
    }
    Ok(())
}

/// Does `count` things on a few connections, each of which is handed on from one thing to the next.
pub async fn by_hands<T, F, Done>(count: usize, thing: F) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Fn(usize, Wire) -> Done + Clone + Send + 'static,
    Done: Future<Output = (Result<T>, Wire)> + Send,
{
    let hands = HANDS.min(count);
    let workers: Vec<_> = (0..hands)
        .map(|hand| {
            let thing = thing.clone();
            tokio::spawn(async move {
                let (mut wire, mut made) = (Wire::default(), Vec::new());
                for n in (hand..count).step_by(hands) {
                    let (done, back) = thing(n, wire).await;
                    wire = back;
                    made.push(done?);
                }
                anyhow::Ok(made)
            })
        })
        .collect();
    let mut all = Vec::with_capacity(count);
    for worker in workers {
        all.extend(worker.await??);
    }
    Ok(all)
}
