//! Family A, second part: what an authorization request may say, refused before anybody signs in.

use serde_json::json;

use crate::harness::{Browser, CALLBACK, Case, Web, World, cases, param, request, to_client, to_page};

const FAMILY: [Case; 8] = cases! {
    "A11" "a parameter that comes twice, in the query or the body or in both" => twice,
    "A12" "a response type that the client may not use" => response_type,
    "A13" "a state that can be guessed" => state,
    "A14" "a nonce that can be guessed, or is missing where it must be" => nonce,
    "A19" "prompts that contradict, are unknown, or cannot be kept" => prompt,
    "A20" "an age that is none" => max_age,
    "A22" "scopes and audiences beyond the client's, or beyond all measure" => scope,
    "B06" "PKCE by anything but S256" => pkce,
};
super::on_both!(FAMILY);

/// Each of these is heard by the client before anybody signs in.
async fn heard(world: &World, web: &Web, rows: &[(&str, &[(&str, &str)])]) {
    for (error, more) in rows {
        let answer = Browser::default().ask(&world.b, web, more).await;
        let what = format!("{:?}", more.iter().map(|(n, v)| format!("{n}={v:.30}")).collect::<Vec<_>>());
        to_client(&answer, error, &what);
        assert_eq!(answer.header("set-cookie"), "", "{what}: no flow began");
    }
}

async fn twice(world: &World) {
    let web = world.web().await;
    let all = request(&web, &[]);
    for (name, value) in all.clone() {
        let mut query = all.clone();
        query.push((name, value));
        let doubled = Browser::default().ask_raw(&world.a, &query).await;
        let (path, form) = (format!("/oauth2/auth?{name}={value}"), all.clone());
        let split = world.b.form(&path.replace(' ', "+"), &form, None).await;
        let body = world.b.form("/oauth2/auth", &query, None).await;
        for answer in [doubled, split, body] {
            if ["client_id", "redirect_uri"].contains(&name) {
                to_page(&answer, "invalid_request", name);
            } else {
                to_client(&answer, "invalid_request", name);
            }
        }
    }
    let mut other = all;
    other.push(("redirect_uri", "https://evil.example/"));
    to_page(&Browser::default().ask_raw(&world.a, &other).await, "invalid_request", "two addresses");
}

async fn response_type(world: &World) {
    let web = world.web().await;
    let rows: [(&str, &[(&str, &str)]); 7] = [
        ("unsupported_response_type", &[("response_type", "")]),
        ("unsupported_response_type", &[("response_type", "token")]),
        ("unsupported_response_type", &[("response_type", "code id_token")]),
        ("unsupported_response_type", &[("response_type", "id_token token")]),
        ("unsupported_response_type", &[("response_type", "code code2")]),
        ("unsupported_response_type", &[("response_type", "none")]),
        ("unsupported_response_mode", &[("response_mode", "web_message")]),
    ];
    heard(world, &web, &rows).await;
    let hybrid = world
        .web_with(json!({
            "response_types": ["code", "code id_token", "token"],
            "grant_types": ["authorization_code", "implicit"],
        }))
        .await;
    let rows: [(&str, &[(&str, &str)]); 2] = [
        ("unsupported_response_mode", &[("response_type", "code id_token"), ("response_mode", "query")]),
        ("unsupported_response_mode", &[("response_type", "token"), ("response_mode", "query")]),
    ];
    heard(world, &hybrid, &rows).await;
    let registered_only = world.web_with(json!({"response_types": ["token"]})).await;
    heard(world, &registered_only, &[("unauthorized_client", &[("response_type", "token")])]).await;
}

async fn state(world: &World) {
    let web = world.web().await;
    heard(world, &web, &[("invalid_state", &[("state", "")]), ("invalid_state", &[("state", "1234567")])]).await;
    let long = "s".repeat(6_000);
    for state in ["12345678", "\"<>%0d%0a\r\nLocation: x", "a b+c&d=e#f%", "\u{e4}\u{1f600}\u{202e}", &long] {
        let back = world.sign_in(&web, &[("state", state)], json!({})).await;
        assert!(back.starts_with(CALLBACK) && back.is_ascii(), "{back}");
        assert_eq!(param(&back, "state"), state);
        assert!(!param(&back, "code").is_empty(), "{back}");
        let refused = Browser::default().ask(&world.b, &web, &[("state", state), ("scope", "nothing")]).await;
        assert_eq!(param(&refused.location(), "state"), state);
    }
}

async fn nonce(world: &World) {
    let web = world.web().await;
    heard(world, &web, &[("insufficient_entropy", &[("nonce", "1234567")])]).await;
    let hybrid = world
        .web_with(json!({
            "response_types": ["code id_token", "id_token"], "grant_types": ["authorization_code", "implicit"],
        }))
        .await;
    let rows: [(&str, &[(&str, &str)]); 3] = [
        ("invalid_request", &[("response_type", "code id_token"), ("nonce", "")]),
        ("invalid_request", &[("response_type", "id_token"), ("nonce", "")]),
        ("insufficient_entropy", &[("response_type", "id_token"), ("nonce", "short")]),
    ];
    heard(world, &hybrid, &rows).await;
}

async fn prompt(world: &World) {
    let web = world.web().await;
    let rows: [(&str, &[(&str, &str)]); 6] = [
        ("invalid_request", &[("prompt", "none login")]),
        ("invalid_request", &[("prompt", "none consent")]),
        ("invalid_request", &[("prompt", "sometimes")]),
        ("invalid_request", &[("prompt", "NONE")]),
        ("login_required", &[("prompt", "none")]),
        ("invalid_request", &[("display", "hologram")]),
    ];
    heard(world, &web, &rows).await;
    let mut browser = Browser::default();
    let login = json!({"subject": "a-user", "remember": true});
    let page = browser.signed_in(&world.a, &web, &[], login).await;
    assert!(!param(&page, "consent_challenge").is_empty(), "{page}");
    let silent = browser.ask(&world.b, &web, &[("prompt", "none")]).await.location();
    let back = crate::harness::accept(&world.a, "login", &silent, json!({"subject": "a-user"})).await;
    to_client(&browser.go(&world.b, &back).await, "consent_required", "nothing was ever granted");
}

async fn max_age(world: &World) {
    let web = world.web().await;
    for age in ["-1", "1e99", "abc", "1.5", "99999999999999999999", " 1", "0x10"] {
        heard(world, &web, &[("invalid_request", &[("max_age", age)])]).await;
    }
    let mut browser = Browser::default();
    browser.signed_in(&world.a, &web, &[], json!({"subject": "a-user", "remember": true})).await;
    let silent = [("prompt", "none"), ("max_age", "0")];
    to_client(&browser.ask(&world.b, &web, &silent).await, "login_required", "too old by now");
}

async fn scope(world: &World) {
    let web = world.web().await;
    let many = (0..300).map(|n| format!("read{n}")).collect::<Vec<_>>().join(" ");
    let audiences: Vec<(&str, &str)> = (0..201).map(|_| ("audience", "https://api.example.com")).collect();
    let rows: [(&str, &[(&str, &str)]); 8] = [
        ("invalid_scope", &[("scope", "openid admin")]),
        ("invalid_scope", &[("scope", "openid *")]),
        ("invalid_scope", &[("scope", "openid\toffline")]),
        ("invalid_scope", &[("scope", "openid read\u{7f}")]),
        ("invalid_scope", &[("scope", "OPENID")]),
        ("invalid_scope", &[("scope", &many)]),
        ("invalid_request", &[("audience", "https://evil.example")]),
        ("registration_not_supported", &[("registration", "{}")]),
    ];
    heard(world, &web, &rows).await;
    let mut query = request(&web, &[]);
    query.extend(audiences);
    to_client(&Browser::default().ask_raw(&world.b, &query).await, "invalid_request", "201 audiences");
    let huge = (0..10_000).map(|n| format!("read{n}")).collect::<Vec<_>>().join(" ");
    let answer = world.b.form("/oauth2/auth", &request(&web, &[("scope", &huge)]), None).await;
    assert!(answer.status == 413 || answer.location().contains("error=invalid_scope"), "{}", answer.brief());
    let answer = Browser::default().ask(&world.b, &web, &[("scope", &huge)]).await;
    assert!([0, 400, 414, 431].contains(&answer.status), "{}", answer.brief());
}

async fn pkce(world: &World) {
    let web = world.web().await;
    let (right, short) = ("c".repeat(43), "c".repeat(42));
    let rows: [(&str, &[(&str, &str)]); 6] = [
        ("invalid_request", &[("code_challenge", &right)]),
        ("invalid_request", &[("code_challenge", &right), ("code_challenge_method", "plain")]),
        ("invalid_request", &[("code_challenge", &right), ("code_challenge_method", "s256")]),
        ("invalid_request", &[("code_challenge", &right), ("code_challenge_method", "S512")]),
        ("invalid_request", &[("code_challenge", &short), ("code_challenge_method", "S256")]),
        ("invalid_request", &[("code_challenge_method", "S256")]),
    ];
    heard(world, &web, &rows).await;
}

/// B07: a client without a secret needs PKCE unless the operator says otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b07_a_public_client_needs_pkce() {
    let world = World::sqlite(&[]).await;
    let public = world.web_with(json!({"token_endpoint_auth_method": "none", "client_secret": null})).await;
    heard(&world, &public, &[("invalid_request", &[])]).await;
    let page = Browser::default().ask(&world.a, &world.web().await, &[]).await.location();
    assert!(!param(&page, "login_challenge").is_empty(), "one with a secret need not: {page}");
}
