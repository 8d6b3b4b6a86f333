//! The clients of a soak.

use std::sync::Arc;

use anyhow::Result;
use serde_json::{Value, json};

use crate::assertion;
use crate::flow::Flow;
use crate::target::{Target, TestClient, machine, web};

pub const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// Where clients hear of logouts: users never sign out at the first.
const PATHS: [&str; 3] = ["web", "one", "two"];
/// Where a browser goes after a logout. Nobody listens there.
pub const SIGNED_OUT: &str = "http://127.0.0.1:4446/signed-out";
/// How long the tokens live that are to run out during the soak.
const BRIEF: &str = "15s";

/// Registered once, before everything.
pub struct Clients {
    pub opaque: TestClient,
    /// Its tokens live for seconds.
    pub brief: TestClient,
    pub jwt: TestClient,
    /// Proves itself with signed assertions.
    pub signer: TestClient,
    pub key: assertion::Key,
    /// Users sign in there, with an ID token and without.
    pub web: [Arc<Flow>; 2],
    /// Users sign in at both with one browser, and out.
    pub out: [Arc<Flow>; 2],
    /// A device without a browser.
    pub tv: Arc<Flow>,
}

impl Clients {
    /// `receiver` is the port that hears of logouts, each client at a path of its own.
    pub async fn register(target: &Target, receiver: u16) -> Result<Self> {
        let key = assertion::Key::generate("ES256")?;
        let brief = with(machine("opaque"), &[("client_credentials_grant_access_token_lifespan", json!(BRIEF))]);
        let signer = [
            ("token_endpoint_auth_method", json!("private_key_jwt")),
            ("token_endpoint_auth_signing_alg", json!("ES256")),
            ("jwks", json!({"keys": [key.jwk()?]})),
        ];
        let tv = [("grant_types", json!([DEVICE, "refresh_token"])), ("redirect_uris", json!([]))];
        let listens = |path: &str| {
            let uri = format!("http://127.0.0.1:{receiver}/{path}");
            with(web(), &[("backchannel_logout_uri", json!(uri)), ("post_logout_redirect_uris", json!([SIGNED_OUT]))])
        };
        let [users, one, two] = [listens(PATHS[0]), listens(PATHS[1]), listens(PATHS[2])];
        let users = target.create_client(&users).await?;
        let out = [target.create_client(&one).await?, target.create_client(&two).await?];
        let device = target.create_client(&with(web(), &tv)).await?;
        Ok(Self {
            opaque: target.create_client(&machine("opaque")).await?,
            brief: target.create_client(&brief).await?,
            jwt: target.create_client(&machine("jwt")).await?,
            signer: target.create_client(&with(machine("opaque"), &signer)).await?,
            key,
            web: [false, true].map(|id_token| Arc::new(Flow::new(target, &users, id_token))),
            out: out.map(|client| Arc::new(Flow::new(target, &client, true))),
            tv: Arc::new(Flow::new(target, &device, false)),
        })
    }
}

impl Clients {
    /// Who listens at a path of the receiver.
    pub fn at(&self, path: &str) -> Option<&str> {
        let ids = [&self.web[0], &self.out[0], &self.out[1]].map(|flow| flow.client.id.as_str());
        PATHS.iter().zip(ids).find(|(known, _)| **known == path).map(|(_, id)| id)
    }
}

fn with(mut registration: Value, members: &[(&str, Value)]) -> Value {
    if let Some(all) = registration.as_object_mut() {
        all.extend(members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    }
    registration
}
