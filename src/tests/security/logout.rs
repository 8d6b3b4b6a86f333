//! Family F, fourth part: signing out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::browser_flow::is_signed_in;
use crate::harness::{
    Answer, Browser, Callee, Case, Peer, Web, World, accept, cases, claims, consented, decide, param, to_client,
    to_page,
};
use crate::jose::{Assertion, Key, b64};

const FAMILY: [Case; 5] = cases! {
    "F12" "a logout that leads where the client never said" => elsewhere,
    "F13" "a link that signs out asks first" => asks_first,
    "F03" "a logout verifier that was used ends no newer session" => replay,
    "F21" "a login verifier replayed after a logout brings no session back" => no_revival,
    "F14" "a client that does not listen keeps nobody signed in, and hears of it later" => deaf,
};
super::on_both!(FAMILY);

const OUT: &str = "http://127.0.0.1:9010/signed-out";

/// A browser that is signed in, and its ID token.
async fn signed_in(world: &World, more: Value) -> (Web, Browser, String) {
    let mut over = json!({"post_logout_redirect_uris": [OUT]});
    for (key, value) in more.as_object().unwrap() {
        over[key] = value.clone();
    }
    let web = world.web_with(over).await;
    let mut browser = Browser::default();
    let page = browser.signed_in(&world.a, &web, &[], json!({"subject": "a-user", "remember": true})).await;
    let done = consented(&world.a, &mut browser, &page).await.location();
    let tokens = world.b.exchange(&web, &param(&done, "code"), &[]).await;
    assert_eq!(tokens.status, 200, "{}", tokens.brief());
    (web, browser, tokens.get("id_token"))
}

async fn logout(peer: &Peer, browser: &mut Browser, query: &[(&str, &str)]) -> Answer {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    browser.get(peer, &format!("{}/oauth2/sessions/logout?{query}", peer.public)).await
}

/// The address with the app's yes to a logout page.
async fn agreed(peer: &Peer, page: &str) -> String {
    let answer = decide(peer, "logout/accept", page, json!({})).await;
    assert_eq!(answer.status, 200, "{page}: {}", answer.brief());
    answer.get("redirect_to")
}

async fn elsewhere(world: &World) {
    let (web, mut browser, hint) = signed_in(world, json!({})).await;
    let (_, _, other) = signed_in(world, json!({"post_logout_redirect_uris": ["http://127.0.0.1:9010/others"]})).await;
    let (head, rest) = hint.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    let forged = Assertion::new("a-user", &web.id).claim("iss", json!(world.issuer())).sign(&Key::rs256("k1"));
    let unsigned = format!("{}.{claims}.", b64(r#"{"alg":"none"}"#));
    let swapped = format!("{head}.{}.{signature}", b64(r#"{"sub":"somebody-else"}"#));
    let evil = "https://evil.example/";
    for query in [
        vec![("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", evil)],
        vec![("id_token_hint", &hint), ("post_logout_redirect_uri", "http://127.0.0.1:9010/signed-out/")],
        vec![("id_token_hint", &hint), ("post_logout_redirect_uri", "http://127.0.0.1:9011/signed-out")],
        vec![("id_token_hint", &hint), ("post_logout_redirect_uri", OUT), ("post_logout_redirect_uri", OUT)],
        vec![("id_token_hint", &other), ("post_logout_redirect_uri", OUT)],
        vec![("id_token_hint", &forged), ("post_logout_redirect_uri", OUT)],
        vec![("id_token_hint", &unsigned)],
        vec![("id_token_hint", &swapped)],
        vec![("id_token_hint", "abc")],
        vec![("post_logout_redirect_uri", OUT)],
        vec![("post_logout_redirect_uri", OUT), ("state", "x")],
        vec![("post_logout_redirect_uri", OUT), ("client_id", &web.id)],
    ] {
        let answer = logout(&world.b, &mut browser, &query).await;
        to_page(&answer, "invalid_request", &format!("{query:.60?}"));
    }
    to_page(&logout(&world.b, &mut browser, &[("logout_verifier", "abc")]).await, "access_denied", "no verifier");
    assert!(is_signed_in(world, &mut browser, &web).await, "no refusal signed anybody out");
    let alone = logout(&world.a, &mut browser, &[("state", "some-state")]).await.location();
    assert!(!param(&alone, "logout_challenge").is_empty(), "state alone: {alone}");
    let form = [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", evil)];
    to_page(&world.b.form("/oauth2/sessions/logout", &form, None).await, "invalid_request", "by POST");
    let right = [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", OUT), ("state", "a&b=c#d")];
    let page = logout(&world.a, &mut browser, &right).await.location();
    let back = agreed(&world.b, &page).await;
    let done = browser.go(&world.a, &back).await.location();
    assert!(done.starts_with(&format!("{OUT}?")) && param(&done, "state") == "a&b=c#d", "{done}");
    assert!(!is_signed_in(world, &mut browser, &web).await);
}

async fn asks_first(world: &World) {
    let (web, mut browser, hint) = signed_in(world, json!({})).await;
    for query in [vec![], vec![("id_token_hint", hint.as_str())]] {
        let page = logout(&world.a, &mut browser, &query).await.location();
        let shown = decide(&world.b, "logout", &page, json!({})).await;
        assert_eq!((shown.status, shown.get("subject").as_str()), (200, "a-user"), "{}", shown.brief());
        assert!(is_signed_in(world, &mut browser, &web).await, "asking ends nothing");
        let no = decide(&world.b, "logout/reject", &page, json!({})).await;
        assert_eq!(no.status, 204, "{}", no.brief());
        assert!(is_signed_in(world, &mut browser, &web).await, "no is no");
    }
    let page = logout(&world.a, &mut browser, &[]).await.location();
    let back = agreed(&world.b, &page).await;
    Browser::default().go(&world.a, &back).await;
    assert!(is_signed_in(world, &mut browser, &web).await, "a link from elsewhere, in a browser without the session");
    browser.go(&world.b, &back).await;
    assert!(!is_signed_in(world, &mut browser, &web).await);
}

async fn replay(world: &World) {
    let (web, mut browser, hint) = signed_in(world, json!({})).await;
    let mut links = Vec::new();
    for query in [vec![], vec![("id_token_hint", hint.as_str())]] {
        let page = logout(&world.a, &mut browser, &query).await.location();
        links.push(agreed(&world.a, &page).await);
    }
    browser.go(&world.a, &links[0]).await;
    assert!(!is_signed_in(world, &mut browser, &web).await);
    browser.signed_in(&world.b, &web, &[], json!({"subject": "a-user", "remember": true})).await;
    for link in &links {
        for peer in [&world.a, &world.b] {
            browser.go(peer, link).await;
            assert!(is_signed_in(world, &mut browser, &web).await, "{link:.80}");
        }
    }
}

async fn no_revival(world: &World) {
    let (web, mut browser) = (world.web().await, Browser::default());
    let page = browser.ask(&world.a, &web, &[]).await.location();
    let back = accept(&world.a, "login", &page, json!({"subject": "a-user", "remember": true})).await;
    let mut thief = browser.clone();
    browser.go(&world.a, &back).await;
    let mut copy = browser.clone();
    let page = logout(&world.b, &mut browser, &[]).await.location();
    let out = agreed(&world.b, &page).await;
    browser.go(&world.b, &out).await;
    for peer in [&world.a, &world.b] {
        to_client(&thief.clone().go(peer, &back).await, "access_denied", "the login again");
    }
    thief.go(&world.a, &back).await;
    for who in [&mut thief, &mut copy, &mut browser] {
        assert!(!is_signed_in(world, who, &web).await, "{:?}", who.cookies());
    }
}

async fn deaf(world: &World) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let client = Callee::start(move |_| {
        let first = counted.fetch_add(1, Ordering::Relaxed) == 0;
        if first {
            std::thread::sleep(Duration::from_secs(3));
        }
        (if first { 500 } else { 200 }, String::new())
    });
    let (web, mut browser, _) = signed_in(world, json!({"backchannel_logout_uri": client.url})).await;
    let page = logout(&world.a, &mut browser, &[]).await.location();
    let back = agreed(&world.a, &page).await;
    let began = Instant::now();
    let done = browser.go(&world.a, &back).await;
    assert!(began.elapsed() < Duration::from_secs(2), "the user waited {:?}", began.elapsed());
    assert_eq!(done.status, 302, "{}", done.brief());
    assert!(!is_signed_in(world, &mut browser, &web).await);
    let began = Instant::now();
    while asked.load(Ordering::Relaxed) < 2 {
        assert!(began.elapsed() < Duration::from_secs(60), "told {} times", client.questions().len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for question in client.questions() {
        assert!(question.body.starts_with("logout_token="), "{question:?}");
    }
}

/// F24: the identity provider's own session ends with the remembered login that it stands behind.
async fn provider(world: impl AsyncFnOnce(&[(&str, &str)]) -> Option<World>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let provider = Callee::start(move |question| {
        let known = !question.head.starts_with("delete /base/admin/sessions/unknown");
        let first = counted.fetch_add(1, Ordering::Relaxed) == 0;
        (
            if first {
                500
            } else if known {
                204
            } else {
                404
            },
            String::new(),
        )
    });
    let (url, headers) = (format!("{}/base/", provider.url), r#"{"Authorization": "Bearer some-token"}"#);
    let settings = [("URLS_IDENTITY_PROVIDER_URL", url.as_str()), ("URLS_IDENTITY_PROVIDER_HEADERS", headers)];
    let Some(world) = world(&[super::SETTINGS.as_slice(), &settings].concat()).await else { return };
    let web = world.web().await;
    let mut sid = String::new();
    for (session, remember, by_operator) in
        [("", true, false), ("not-remembered", false, false), ("its/own", true, false), ("unknown", true, true)]
    {
        let login = json!({"subject": "a-user", "remember": remember, "identity_provider_session_id": session});
        let mut browser = Browser::default();
        let page = browser.signed_in(&world.a, &web, &[], login).await;
        let code = param(&consented(&world.a, &mut browser, &page).await.location(), "code");
        let hint = world.b.exchange(&web, &code, &[]).await.get("id_token");
        if by_operator {
            sid = claims(&hint)["sid"].as_str().unwrap().to_owned();
            let path = format!("/admin/oauth2/auth/sessions/login?sid={sid}");
            assert_eq!(world.b.admin(Method::DELETE, &path, None).await.status, 204);
        } else {
            let page = logout(&world.b, &mut browser, &[("id_token_hint", &hint)]).await.location();
            let back = agreed(&world.b, &page).await;
            browser.go(&world.a, &back).await;
        }
    }
    let told = |session: &str| {
        let line = format!("delete /base/admin/sessions/{session} http");
        provider.questions().iter().filter(|question| question.head.starts_with(&line)).count()
    };
    let began = Instant::now();
    while told("its%2fown") + told("unknown") < 3 {
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", provider.questions());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Who was told once, and answered, is told no more; nor is anybody of a session that is none of the provider's.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(provider.questions().len(), 3, "{:?}", provider.questions());
    for question in provider.questions() {
        assert!(question.head.contains("authorization: bearer some-token\r\n"), "{question:?}");
        assert!(question.body.is_empty() && !question.head.contains(&sid), "{question:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f24_the_identity_providers_session_ends_too_on_sqlite() {
    provider(async |env| Some(World::sqlite(env).await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f24_the_identity_providers_session_ends_too_on_two_replicas() {
    provider(World::postgres).await;
}
