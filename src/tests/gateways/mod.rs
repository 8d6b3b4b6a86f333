//! The gateway listener: its answers, the requests that gateways are known to send, and real gateways in front of an API.

mod contracts;
mod listener;
mod programs;
mod real;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::harness::{Answer, Peer, World, basic, free_port};

/// The policies of every test here.
const POLICIES: &str = r#"{
    "read": {"scopes": {"all": ["read"]}},
    "any": {"scopes": {"any": ["admin", "write"]}},
    "api": {"audience": "https://api.example.com", "phantom": true, "headers": {"X-Auth-Tenant": "ext.tenant"}},
    "web": {"cookie": "at", "allow_preflight": true}}"#;

/// Signet with its gateway listener, and a resource server that may ask there.
struct Gate {
    world: World,
    /// Where the gateway listener answers.
    url: String,
    /// The resource server's id and secret.
    rs: (String, String),
}

impl Gate {
    /// On SQLite, with these settings besides.
    async fn start(env: &[(&str, &str)]) -> Self {
        let port = free_port().to_string();
        let own = [
            ("SERVE_GATEWAY_ENABLED", "true"),
            ("SERVE_GATEWAY_PORT", port.as_str()),
            ("GATEWAY_POLICIES", POLICIES),
            ("KEYS_ALGORITHM", "ES256"),
        ];
        let world = World::sqlite(&own.iter().chain(env).copied().collect::<Vec<_>>()).await;
        let rs = resource_server(&world.a).await;
        Self { world, url: format!("http://127.0.0.1:{port}"), rs }
    }

    fn to(&self, method: Method, path: &str) -> RequestBuilder {
        self.world.a.to(method, &format!("{}{path}", self.url))
    }

    /// A token of a fresh client for itself.
    async fn token(&self, scope: &str) -> String {
        self.token_with(scope, json!({})).await
    }

    /// The same of a client with some members replaced.
    async fn token_with(&self, scope: &str, over: Value) -> String {
        let (id, secret) = self.world.machine_with(over).await;
        token(&self.world.a, &id, &secret, scope).await
    }

    /// `GET /authz/{policy}` with a bearer token.
    async fn authz(&self, policy: &str, token: &str) -> Answer {
        Peer::send(self.to(Method::GET, &format!("/authz/{policy}")).bearer_auth(token)).await
    }

    /// Introspection by the resource server, with that `Accept`.
    async fn introspect(&self, token: &str, accept: &str) -> Answer {
        let request = self.to(Method::POST, "/oauth2/introspect").form(&[("token", token)]).header("accept", accept);
        Peer::send(request.header("authorization", basic(&self.rs.0, &self.rs.1))).await
    }
}

/// Registers a resource server: its id and secret.
async fn resource_server(peer: &Peer) -> (String, String) {
    peer.machine().await
}

/// An access token by client_credentials.
async fn token(peer: &Peer, id: &str, secret: &str, scope: &str) -> String {
    let form = [("grant_type", "client_credentials"), ("scope", scope), ("audience", "https://api.example.com")];
    let answer = peer.form("/oauth2/token", &form, Some((id, secret))).await;
    assert_eq!(answer.status, 200, "{}", answer.brief());
    answer.get("access_token")
}
