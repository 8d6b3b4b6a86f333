//! The clients of a soak.

use std::sync::Arc;

use anyhow::Result;
use serde_json::{Value, json};

use crate::assertion;
use crate::flow::Flow;
use crate::target::{Target, TestClient, machine, web};

pub const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
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
    /// A device without a browser.
    pub tv: Arc<Flow>,
}

impl Clients {
    pub async fn register(target: &Target) -> Result<Self> {
        let key = assertion::Key::generate("ES256")?;
        let brief = with(machine("opaque"), &[("client_credentials_grant_access_token_lifespan", json!(BRIEF))]);
        let signer = [
            ("token_endpoint_auth_method", json!("private_key_jwt")),
            ("token_endpoint_auth_signing_alg", json!("ES256")),
            ("jwks", json!({"keys": [key.jwk()?]})),
        ];
        let tv = [("grant_types", json!([DEVICE, "refresh_token"])), ("redirect_uris", json!([]))];
        let users = target.create_client(&web()).await?;
        let device = target.create_client(&with(web(), &tv)).await?;
        Ok(Self {
            opaque: target.create_client(&machine("opaque")).await?,
            brief: target.create_client(&brief).await?,
            jwt: target.create_client(&machine("jwt")).await?,
            signer: target.create_client(&with(machine("opaque"), &signer)).await?,
            key,
            web: [false, true].map(|id_token| Arc::new(Flow::new(target, &users, id_token))),
            tv: Arc::new(Flow::new(target, &device, false)),
        })
    }
}

fn with(mut registration: Value, members: &[(&str, Value)]) -> Value {
    if let Some(all) = registration.as_object_mut() {
        all.extend(members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    }
    registration
}
