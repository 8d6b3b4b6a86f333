//! Family F, second part: what the app may answer, and flows that meet each other or wander.

use serde_json::{Value, json};

use super::browser_flow::is_signed_in;
use crate::harness::{Answer, Browser, Case, Server, Web, World, accept, cases, consented, decide, param};

const FAMILY: [Case; 4] = cases! {
    "F16" "the app signs somebody else in than the browser remembers" => other_subject,
    "F17" "the app grants what nobody asked for" => granted_too_much,
    "F18" "what a client says of itself is JSON to the app" => client_names,
    "F19" "ten tabs of one client in one browser all finish" => tabs,
};
super::on_both!(FAMILY);

const SCRIPT: &str = "<script>alert(1)</script>";

async fn other_subject(world: &World) {
    let web = world.web().await;
    let mut browser = Browser::default();
    browser.signed_in(&world.a, &web, &[], json!({"subject": "alice", "remember": true})).await;
    let page = browser.ask(&world.b, &web, &[]).await.location();
    let again = accept(&world.a, "login", &page, json!({"subject": "mallory"})).await;
    assert_eq!((param(&again, "prompt").as_str(), param(&again, "login_verifier").as_str()), ("login", ""), "{again}");
    let page = browser.go(&world.b, &again).await.location();
    assert_eq!(decide(&world.a, "login", &page, json!({})).await.json()["skip"], false, "who is it, then?");
}

async fn granted_too_much(world: &World) {
    let web = world.web_with(json!({"audience": ["https://api.example.com", "https://other.example.com"]})).await;
    let mut browser = Browser::default();
    let more = [("audience", "https://api.example.com")];
    let login = browser.ask(&world.a, &web, &more).await.location();
    for (field, value) in
        [("subject", json!("")), ("subject", Value::Null), ("remember_for", json!(-1)), ("subject", json!("a\0b"))]
    {
        let mut body = json!({"subject": "a-user", "remember": true});
        body[field] = value;
        let answer = decide(&world.b, "login/accept", &login, body).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, "invalid_request"), "{field}: {}", answer.brief());
    }
    let back = accept(&world.a, "login", &login, json!({"subject": "a-user"})).await;
    let consent = browser.go(&world.a, &back).await.location();
    for body in [
        json!({"grant_scope": ["openid", "read"]}),
        json!({"grant_scope": ["openid", "admin"]}),
        json!({"grant_access_token_audience": ["https://other.example.com"]}),
        json!({"grant_access_token_audience": ["https://evil.example"]}),
        json!({"grant_scope": ["openid"], "remember_for": -1}),
        json!({"grant_scope": "openid"}),
    ] {
        let answer = decide(&world.b, "consent/accept", &consent, body.clone()).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, "invalid_request"), "{body}: {}", answer.brief());
    }
    let large = json!({"grant_scope": ["openid"], "session": {"id_token": {"x": "y".repeat(5_000_000)}}});
    assert_eq!(decide(&world.b, "consent/accept", &consent, large).await.status, 413, "5 MB of claims");
    let done = consented(&world.b, &mut browser, &consent).await.location();
    assert!(!param(&done, "code").is_empty(), "the right grant still counts: {done}");
}

async fn client_names(world: &World) {
    let web = world.web_with(json!({"client_name": SCRIPT, "contacts": [SCRIPT]})).await;
    let mut browser = Browser::default();
    let login = browser.ask(&world.a, &web, &[]).await.location();
    is_json(&decide(&world.b, "login", &login, json!({})).await, &web);
    let back = accept(&world.a, "login", &login, json!({"subject": "a-user"})).await;
    let consent = browser.go(&world.a, &back).await.location();
    is_json(&decide(&world.b, "consent", &consent, json!({})).await, &web);
}

fn is_json(answer: &Answer, web: &Web) {
    assert_eq!((answer.status, answer.header("x-content-type-options").as_str()), (200, "nosniff"));
    assert!(answer.header("content-type").starts_with("application/json"), "{}", answer.brief());
    let client = answer.json()["client"].clone();
    assert_eq!((&client["client_name"], &client["contacts"]), (&json!(SCRIPT), &json!([SCRIPT])), "{client}");
    assert!(!answer.text.contains(&web.secret) && client["client_secret"].is_null(), "{client}");
}

async fn tabs(world: &World) {
    let web = world.web().await;
    let mut browser = Browser::default();
    let mut pages = Vec::new();
    for n in 0..10 {
        let state = format!("the-state-of-tab-{n}");
        let peer = if n % 2 == 0 { &world.a } else { &world.b };
        pages.push((browser.ask(peer, &web, &[("state", &state)]).await.location(), state));
    }
    let mut consents = Vec::new();
    for (page, state) in pages.into_iter().rev() {
        let back = accept(&world.b, "login", &page, json!({"subject": "a-user", "remember": true})).await;
        consents.push((browser.go(&world.a, &back).await.location(), state));
    }
    for (page, state) in consents {
        let done = consented(&world.a, &mut browser, &page).await.location();
        assert_eq!(param(&done, "state"), state);
        assert_eq!(world.b.exchange(&web, &param(&done, "code"), &[]).await.status, 200, "{state}: {done}");
    }
    assert!(is_signed_in(world, &mut browser, &web).await);
}

/// Every step of one flow at another replica, the last of which was started in the middle of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flow_wanders_over_three_replicas() {
    let Some(world) = World::postgres(&super::SETTINGS).await else { return };
    let web = world.web().await;
    let mut browser = Browser::default();
    let page = browser.ask(&world.a, &web, &[]).await.location();
    let back = accept(&world.b, "login", &page, json!({"subject": "a-user", "remember": true})).await;
    let page = browser.go(&world.a, &back).await.location();
    let third = Server::start(&world.database.dsn(), Some(&world.issuer()), &super::SETTINGS).await;
    let done = consented(&world.b, &mut browser, &page).await.location();
    let tokens = third.peer.exchange(&web, &param(&done, "code"), &[]).await;
    assert_eq!(tokens.status, 200, "{}", tokens.brief());
    assert!(world.a.is_active(&tokens.get("access_token")).await);
    assert_eq!(world.b.userinfo(&tokens.get("access_token")).await.get("sub"), "a-user");
}
