//! Family F, third part: what a browser remembers, its cookies, and the headers that guard it.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::browser_flow::is_signed_in;
use crate::harness::{
    Answer, Browser, Case, Database, Server, World, accept, cases, consented, decide, param, to_client,
};

const FAMILY: [Case; 7] = cases! {
    "F06" "a cookie that somebody knew before the login is worth nothing after it" => fixation,
    "F07" "a cookie's attributes over plain http" => attributes,
    "F08" "cookies of others under the names of ours" => tossed,
    "F11" "no redirect tells where it came from" => redirects,
    "F20" "a remembered login ends at the server when its time is over" => expiry,
    "F22" "a session that ends while a flow is under way grants nothing more" => ended_meanwhile,
    "F23" "a consent that is revoked while a flow is under way spares no question" => revoked_meanwhile,
};
super::on_both!(FAMILY);

/// The session cookie, which is the one that no flow has.
fn session_cookie(browser: &Browser) -> (String, String) {
    let found = browser.cookies().iter().find(|(name, _)| name.contains("session"));
    found.cloned().unwrap_or_else(|| panic!("no session: {:?}", browser.cookies()))
}

async fn fixation(world: &World) {
    let web = world.web().await;
    let mut browser = Browser::default();
    let login = json!({"subject": "a-user", "remember": true});
    browser.signed_in(&world.a, &web, &[], login.clone()).await;
    let (name, before) = session_cookie(&browser);
    let mut thief = Browser::default();
    thief.toss(&name, &before);
    assert!(is_signed_in(world, &mut thief, &web).await, "until then the copy is as good");
    browser.signed_in(&world.b, &web, &[("prompt", "login")], login.clone()).await;
    assert_ne!(session_cookie(&browser).1, before);
    assert!(is_signed_in(world, &mut browser, &web).await);
    assert!(!is_signed_in(world, &mut thief, &web).await, "the old one is dead");
    let mut planted = Browser::default();
    planted.toss(&name, &before);
    planted.signed_in(&world.a, &web, &[], login).await;
    let mut thief = Browser::default();
    thief.toss(&name, &before);
    assert!(!is_signed_in(world, &mut thief, &web).await, "a planted id is not the new session's");
}

/// The cookies that an answer sets, as they are written.
fn set(answer: &Answer) -> Vec<String> {
    answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

/// Every cookie of one flow and its session.
async fn all_cookies(peer: &crate::harness::Peer, web: &crate::harness::Web) -> Vec<String> {
    let mut browser = Browser::default();
    let begun = browser.ask(peer, web, &[]).await;
    let mut all = set(&begun);
    let login = json!({"subject": "a-user", "remember": true, "remember_for": 60});
    let back = accept(peer, "login", &begun.location(), login).await;
    let signed_in = browser.go(peer, &back).await;
    all.extend(set(&signed_in));
    all.extend(set(&consented(peer, &mut browser, &signed_in.location()).await));
    all.extend(set(&browser.get(peer, &format!("{}/oauth2/device/verify", peer.public)).await));
    all
}

async fn attributes(world: &World) {
    let web = world.web().await;
    let all = all_cookies(&world.a, &web).await;
    assert!(all.len() >= 6, "{all:#?}");
    for cookie in &all {
        for part in ["; HttpOnly", "; SameSite=Lax", "; Path=/"] {
            assert!(cookie.contains(part), "{part}: {cookie}");
        }
        assert!(!cookie.contains("Domain") && !cookie.contains("Secure"), "{cookie}");
    }
    assert!(all.iter().any(|c| c.contains("session") && c.contains("Max-Age=60")), "{all:#?}");
}

async fn tossed(world: &World) {
    let web = world.web().await;
    let mut browser = Browser::default();
    let page = browser.ask(&world.a, &web, &[]).await.location();
    let back = accept(&world.a, "login", &page, json!({"subject": "a-user", "remember": true})).await;
    let (csrf, tag) = browser.cookies()[0].clone();
    browser.toss(&csrf, "c29tZXRoaW5n");
    browser.toss(&csrf, &"x".repeat(5_000));
    let consent = browser.go(&world.b, &back).await.location();
    assert!(!param(&consent, "consent_challenge").is_empty(), "ours is found among others: {consent}");
    let (session, id) = session_cookie(&browser);
    browser.toss(&session, &tag);
    browser.toss(&session, "%00\"<>");
    assert!(is_signed_in(world, &mut browser, &web).await, "the session is found among others");
    let mut other = Browser::default();
    for value in [tag.as_str(), "", "AAAA", &"A".repeat(4_097), &id[..id.len() - 2]] {
        other.toss(&session, value);
        assert!(!is_signed_in(world, &mut other, &web).await, "{value:.20}");
    }
    let page = other.ask(&world.a, &web, &[]).await.location();
    let back = accept(&world.a, "login", &page, json!({"subject": "a-user"})).await;
    let (csrf, _) = other.cookies().iter().find(|(name, _)| name.contains("login_csrf")).unwrap().clone();
    let mut swapped = Browser::default();
    swapped.toss(&csrf, &id);
    to_client(&swapped.go(&world.b, &back).await, "request_forbidden", "a session's value as a flow's");
}

async fn redirects(world: &World) {
    let web = world.web().await;
    let mut browser = Browser::default();
    let begun = browser.ask(&world.a, &web, &[]).await;
    let refused = browser.ask(&world.a, &web, &[("prompt", "none")]).await;
    let error = browser.ask(&world.a, &web, &[("redirect_uri", "https://evil.example/")]).await;
    let logout = browser.get(&world.a, &format!("{}/oauth2/sessions/logout", world.a.public)).await;
    for answer in [begun, refused, error, logout] {
        let to = answer.location();
        assert!(!to.is_empty(), "{}", answer.brief());
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{to}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{to}");
        assert!(answer.header("cache-control").contains("no-store"), "{to}");
        assert_eq!(answer.header("strict-transport-security"), "", "{to}: the issuer is plain http");
        assert!(!answer.text.contains('<'), "{to}: {}", answer.text);
    }
    // F15: what the request says of its host is nobody's address.
    for (name, value) in
        [("host", "evil.example"), ("x-forwarded-host", "evil.example"), ("x-forwarded-proto", "https")]
    {
        let url = format!("/oauth2/auth?client_id={}&response_type=code&state=a-state-long-enough", web.id);
        let answer = crate::harness::Peer::send(world.a.to_public(Method::GET, &url).header(name, value)).await;
        let page = answer.location();
        let shown = decide(&world.b, "login", &page, json!({})).await;
        assert!(!page.contains("evil") && !shown.text.contains("evil"), "{name}: {page} {}", shown.brief());
        let back = accept(&world.a, "login", &page, json!({"subject": "a-user"})).await;
        assert!(back.starts_with(&world.issuer()), "{name}: {back}");
    }
}

async fn expiry(world: &World) {
    let web = world.web().await;
    let mut browser = Browser::default();
    let login = json!({"subject": "a-user", "remember": true, "remember_for": 2});
    browser.signed_in(&world.a, &web, &[], login).await;
    session_cookie(&browser);
    assert!(is_signed_in(world, &mut browser, &web).await);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(!is_signed_in(world, &mut browser, &web).await, "the cookie is still sent");
    let page = browser.ask(&world.a, &web, &[]).await.location();
    assert_eq!(decide(&world.b, "login", &page, json!({})).await.json()["skip"], false);
}

async fn ended_meanwhile(world: &World) {
    let web = world.web().await;
    let login = json!({"subject": "ends-meanwhile", "remember": true});
    let mut browser = Browser::default();
    browser.signed_in(&world.a, &web, &[], login.clone()).await;
    // Known already, or known from this login on: both wait at the consent page when the session is revoked.
    let known = browser.signed_in(&world.a, &web, &[], login.clone()).await;
    let mut other = Browser::default();
    let new = other.signed_in(&world.a, &web, &[], login).await;
    let path = "/admin/oauth2/auth/sessions/login?subject=ends-meanwhile";
    assert_eq!(world.b.admin(Method::DELETE, path, None).await.status, 204);
    to_client(&consented(&world.b, &mut browser, &known).await, "login_required", "a session from before");
    to_client(&consented(&world.b, &mut other, &new).await, "login_required", "a session of this login");
}

async fn revoked_meanwhile(world: &World) {
    let web = world.web().await;
    let login = json!({"subject": "revokes-meanwhile", "remember": true});
    let mut browser = Browser::default();
    let page = browser.signed_in(&world.a, &web, &[], login.clone()).await;
    let granted = json!({"grant_scope": ["openid", "offline"], "remember": true});
    let back = accept(&world.a, "consent", &page, granted).await;
    assert!(!param(&browser.go(&world.a, &back).await.location(), "code").is_empty());
    // Two that need not be asked; one was granted when the consent is revoked, the other one waits.
    let mut spared = async || {
        let page = browser.signed_in(&world.a, &web, &[], login.clone()).await;
        assert_eq!(decide(&world.b, "consent", &page, json!({})).await.json()["skip"], true, "{page}");
        (browser.clone(), page)
    };
    let ((mut first, page), (mut second, waits)) = (spared().await, spared().await);
    let code = param(&consented(&world.b, &mut first, &page).await.location(), "code");
    let tokens = world.b.exchange(&web, &code, &[]).await;
    assert_eq!(tokens.status, 200, "{}", tokens.brief());
    let path = format!("/admin/oauth2/auth/sessions/consent?subject=revokes-meanwhile&client={}", web.id);
    assert_eq!(world.b.admin(Method::DELETE, &path, None).await.status, 204);
    assert!(!world.a.is_active(&tokens.get("access_token")).await, "what it spared goes with it");
    to_client(&consented(&world.b, &mut second, &waits).await, "consent_required", "a consent from before");
    let page = second.signed_in(&world.b, &web, &[], login).await;
    assert_eq!(decide(&world.a, "consent", &page, json!({})).await.json()["skip"], false);
    assert!(!param(&consented(&world.a, &mut second, &page).await.location(), "code").is_empty());
}

/// F07, F11: where the issuer is https, cookies go over TLS alone and browsers are told to use nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f07_f11_over_https() {
    let database = Database::sqlite();
    Server::migrate(&database.dsn());
    for (mode, same_site) in [("None", "None"), ("Lax", "Lax"), ("Strict", "Strict")] {
        let env = [("SERVE_COOKIES_SAME_SITE_MODE", mode), ("SERVE_COOKIES_SECURE", "true")];
        let server = Server::start(&database.dsn(), Some("https://id.example.com/"), &env).await;
        let peer = &server.peer;
        let web = crate::harness::Web { id: crate::harness::fresh("web"), secret: "some-secret".to_owned() };
        peer.create(
            json!({"client_id": web.id, "client_secret": web.secret, "redirect_uris": [crate::harness::CALLBACK],
            "scope": "openid offline"}),
        )
        .await;
        for cookie in all_cookies(peer, &web).await {
            for part in ["; HttpOnly", "; Secure", "; Path=/", &format!("; SameSite={same_site}")] {
                assert!(cookie.contains(part), "{mode} {part}: {cookie}");
            }
            assert!(!cookie.contains("Domain"), "{cookie}");
        }
        for path in ["/oauth2/auth?client_id=x", "/oauth2/fallbacks/error", "/.well-known/jwks.json", "/nothing"] {
            let answer = peer.get(path).await;
            assert_eq!(answer.header("strict-transport-security"), "max-age=31536000", "{path}: {}", answer.status);
        }
        let admin = peer.admin(Method::GET, "/admin/clients", None).await;
        assert_eq!(admin.header("strict-transport-security"), "", "the admin listener may well be plain http");
    }
}
