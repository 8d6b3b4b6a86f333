//! What `quickstart` sets up for its demo: where the server sends people, and the client that they sign in to.

use anyhow::Context;
use reqwest::Method;
use serde_json::{Value, json};

use super::api::{Api, Body, Refused};
use crate::config::Settings;
use crate::http::demo::{CALLBACK, CLIENT_ID, SCOPE, START};

/// Where to begin, as a browser opens it.
pub fn start_page(settings: &Settings) -> String {
    format!("{}{START}", settings.urls.public.trim_end_matches('/'))
}

/// The settings that lead to the demo's pages; `base` is the public URL.
pub fn urls(base: &str) -> impl Iterator<Item = (&'static str, String)> {
    let base = base.trim_end_matches('/').to_owned();
    [
        ("urls.login", "/login"),
        ("urls.consent", "/consent"),
        ("urls.logout", "/logout"),
        ("urls.error", "/error"),
        ("urls.post_logout_redirect", ""),
        ("urls.device.verification", "/device"),
        ("urls.device.success", "/device/done"),
    ]
    .into_iter()
    .map(move |(key, page)| (key, format!("{base}{START}{page}")))
}

/// Makes the demo's client, or brings an earlier one up to date: the ports may be others now.
///
/// # Errors
/// When the server refuses.
pub async fn register(admin: &Api, start_page: &str) -> anyhow::Result<()> {
    let client = client(start_page)?;
    match admin.call(Method::PUT, &["admin", "clients", CLIENT_ID], &[], Body::Json(&client)).await {
        Ok(_) => Ok(()),
        Err(error) if error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == Some(404)) => {
            admin.call(Method::POST, &["admin", "clients"], &[], Body::Json(&client)).await.map(|_| ())
        }
        Err(error) => Err(error).context("the demo's client cannot be registered"),
    }
}

/// A public client: it has no secret to lose, and PKCE binds each code to the browser that asked for it.
fn client(start_page: &str) -> anyhow::Result<Value> {
    let base = start_page.strip_suffix(START).context("the demo's address")?;
    Ok(json!({
        "client_id": CLIENT_ID,
        "client_name": "Signet demo",
        "redirect_uris": [format!("{base}{CALLBACK}")],
        "post_logout_redirect_uris": [start_page],
        "grant_types": [
            "authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"
        ],
        "response_types": ["code"],
        "scope": SCOPE,
        "token_endpoint_auth_method": "none",
    }))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_pages_and_the_client_are_at_one_base() {
        let urls: Vec<_> = urls("http://localhost:1/").collect();
        assert!(urls.contains(&("urls.login", "http://localhost:1/demo/login".to_owned())), "{urls:?}");
        assert!(urls.contains(&("urls.post_logout_redirect", "http://localhost:1/demo".to_owned())), "{urls:?}");
        let client = client("http://localhost:1/demo").unwrap();
        assert_eq!(client["redirect_uris"], json!(["http://localhost:1/demo/callback"]));
        assert_eq!(client["post_logout_redirect_uris"], json!(["http://localhost:1/demo"]));
    }
}
