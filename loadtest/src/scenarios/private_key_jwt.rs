//! Clients that prove themselves with a signature: every request has an assertion of its own.

use anyhow::Result;
use serde_json::json;

use super::Scenario;
use crate::assertion::{Key, sign_many};
use crate::http::connection::Wire;
use crate::http::{Call, encoded};
use crate::target::{SCOPE, Target, machine, text};
use crate::work::once_each;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

pub async fn prepare(target: &Target, alg: &str, count: usize) -> Result<Scenario> {
    let key = Key::generate(alg)?;
    let mut registration = machine("opaque");
    if let Some(members) = registration.as_object_mut() {
        members.insert("token_endpoint_auth_method".to_owned(), "private_key_jwt".into());
        members.insert("token_endpoint_auth_signing_alg".to_owned(), alg.into());
        members.insert("jwks".to_owned(), json!({"keys": [key.jwk()?]}));
    }
    let client = target.create_client(&registration).await?;
    let discovery = Call::get(&target.public, "/.well-known/openid-configuration");
    let audience = text(&Wire::default().ask(&discovery).await?, "token_endpoint")?;
    let assertions = sign_many(key, &client.id, &audience, count).await?;
    let call = |assertion: &String| {
        let form = [
            ("grant_type", "client_credentials"),
            ("scope", SCOPE),
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", assertion),
        ];
        Call::form(&target.public, "/oauth2/token", encoded(&form)).expecting("\"access_token\"")
    };
    let source = once_each(assertions.iter().map(call).collect());
    Ok(Scenario { supply: Some(count), ..Scenario::new(format!("private-key-jwt {alg}"), source, vec![client]) })
}
