//! Family F, first part: what a flow's challenges and verifiers are good for, once, in one browser.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::harness::{
    Browser, Case, Web, World, accept, cases, consented, decide, enter_user_code, param, to_client, to_page,
};

const FAMILY: [Case; 6] = cases! {
    "F01" "a verifier in another browser, and then in the right one" => other_browser,
    "F02" "a challenge or verifier opens in its own place alone" => purposes,
    "F03" "a verifier that was used" => replay,
    "F03" "a login that nobody remembers, brought back at each replica" => replay_unremembered,
    "F04" "a login and a consent that are over lead to a new flow" => gone,
    "F05" "two answers to one login request: one counts" => two_subjects,
};
super::on_both!(FAMILY);

/// How many consents of this subject there are.
async fn consents(world: &World, subject: &str) -> usize {
    let path = format!("/admin/oauth2/auth/sessions/consent?subject={subject}");
    let answer = world.b.admin(Method::GET, &path, None).await;
    assert_eq!(answer.status, 200, "{}", answer.brief());
    answer.json().as_array().unwrap().len()
}

/// Whether the browser is signed in, as a client sees it.
pub(super) async fn is_signed_in(world: &World, browser: &mut Browser, web: &Web) -> bool {
    let answer = browser.clone().ask(&world.b, web, &[("prompt", "none")]).await;
    if answer.status == 302 {
        return !param(&answer.location(), "login_challenge").is_empty();
    }
    to_client(&answer, "login_required", "prompt=none");
    false
}

async fn other_browser(world: &World) {
    let web = world.web().await;
    let subject = crate::harness::fresh("f01");
    let (mut right, mut other) = (Browser::default(), Browser::default());
    other.ask(&world.a, &web, &[]).await;
    let page = right.ask(&world.a, &web, &[]).await.location();
    let login = json!({"subject": subject, "remember": true});
    let back = accept(&world.a, "login", &page, login).await;
    for peer in [&world.a, &world.b] {
        to_client(&Browser::default().go(peer, &back).await, "request_forbidden", "login, no cookie");
        to_client(&other.go(peer, &back).await, "request_forbidden", "login, another cookie");
    }
    assert!(!is_signed_in(world, &mut other, &web).await, "nobody is signed in by a refusal");
    let page = right.go(&world.b, &back).await.location();
    let back = accept(&world.a, "consent", &page, json!({"grant_scope": ["openid"], "remember": true})).await;
    for peer in [&world.a, &world.b] {
        to_client(&Browser::default().go(peer, &back).await, "request_forbidden", "consent, no cookie");
        to_client(&other.go(peer, &back).await, "request_forbidden", "consent, another cookie");
    }
    assert_eq!(consents(world, &subject).await, 0, "nothing was stored");
    let done = right.go(&world.b, &back).await.location();
    assert!(!param(&done, "code").is_empty(), "the right browser finishes: {done}");
    assert_eq!(world.a.exchange(&web, &param(&done, "code"), &[]).await.status, 200);
    assert_eq!(consents(world, &subject).await, 1);
}

/// One text of every purpose, and the browser that has begun their flows.
async fn one_of_each(world: &World, browser: &mut Browser, web: &Web) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    let mut keep = |name: &'static str, url: &str| {
        let text = param(url, name);
        assert!(!text.is_empty(), "no {name}: {url}");
        all.push((name, text));
    };
    let page = browser.ask(&world.a, web, &[]).await.location();
    keep("login_challenge", &page);
    let back = accept(&world.a, "login", &page, json!({"subject": "a-user", "remember": true})).await;
    let page = browser.go(&world.a, &back).await.location();
    keep("consent_challenge", &page);
    keep("consent_verifier", &accept(&world.a, "consent", &page, json!({"grant_scope": ["openid"]})).await);
    let page = browser.get(&world.a, &format!("{}/oauth2/sessions/logout", world.a.public)).await.location();
    keep("logout_challenge", &page);
    keep("logout_verifier", &decide(&world.a, "logout/accept", &page, json!({})).await.get("redirect_to"));
    let asked = browser.get(&world.a, &format!("{}/oauth2/device/verify", world.a.public)).await.location();
    keep("device_challenge", &asked);
    let device = world.a.device(web, &[("scope", "openid")]).await;
    let next = enter_user_code(&world.a, browser, &device.get("user_code")).await;
    keep("device_verifier", &next.unwrap_or_else(|answer| panic!("{}", answer.brief())));
    let page = browser.ask(&world.a, web, &[]).await.location();
    keep("login_verifier", &accept(&world.a, "login", &page, json!({"subject": "a-user"})).await);
    all
}

async fn purposes(world: &World) {
    let grants = ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"];
    let web = world.web_with(json!({"grant_types": grants})).await;
    let mut browser = Browser::default();
    let all = one_of_each(world, &mut browser, &web).await;
    assert_eq!(all.len(), 8);
    let kinds = ["login", "consent", "logout", "device"];
    for (slot, kind) in kinds.map(|kind| (format!("{kind}_challenge"), kind)) {
        for (name, text) in all.iter().filter(|(name, _)| *name != slot) {
            let path = format!("/admin/oauth2/auth/requests/{kind}/accept?{slot}={text}");
            let body = json!({"subject": "a-user", "user_code": "x", "grant_scope": []});
            let answer = world.b.admin(Method::PUT, &path, Some(body)).await;
            assert_eq!(answer.status, 404, "{name} as {slot}: {}", answer.brief());
        }
    }
    for (name, text) in &all {
        for slot in ["login_verifier", "consent_verifier"].iter().filter(|slot| *slot != name) {
            let answer = browser.clone().ask(&world.b, &web, &[(slot, text)]).await;
            to_client(&answer, "access_denied", &format!("{name} as {slot}"));
        }
        for (slot, path) in [("logout_verifier", "sessions/logout"), ("device_verifier", "device/verify")] {
            if slot != *name {
                let url = format!("{}/oauth2/{path}?client_id={}&{slot}={text}", world.b.public, web.id);
                to_page(&browser.clone().get(&world.b, &url).await, "access_denied", &format!("{name} as {slot}"));
            }
        }
    }
    for (slot, kind) in kinds.into_iter().take(3).map(|kind| (format!("{kind}_challenge"), kind)) {
        let text = &all.iter().find(|(name, _)| *name == slot).unwrap().1;
        let path = format!("/admin/oauth2/auth/requests/{kind}?{slot}={text}");
        let answer = world.b.admin(Method::GET, &path, None).await;
        assert!([200, 410].contains(&answer.status), "{slot} in its own place: {}", answer.brief());
    }
    for nonsense in ["abc", "%00", "", &"A".repeat(64), &"A".repeat(2_000)] {
        let path = format!("/admin/oauth2/auth/requests/login?login_challenge={nonsense}");
        let answer = world.b.admin(Method::GET, &path, None).await;
        assert!([400, 404].contains(&answer.status), "{nonsense:.20}: {}", answer.brief());
    }
}

async fn replay(world: &World) {
    let web = world.web().await;
    let mut browser = Browser::default();
    let page = browser.ask(&world.a, &web, &[]).await.location();
    let login = accept(&world.a, "login", &page, json!({"subject": "a-user", "remember": true})).await;
    let held = browser.clone();
    let page = browser.go(&world.a, &login).await.location();
    for peer in [&world.a, &world.b] {
        // With the cookie that the first use took away, as somebody who copied it would.
        to_client(&held.clone().go(peer, &login).await, "access_denied", "login again");
    }
    let consent = accept(&world.a, "consent", &page, json!({"grant_scope": ["openid", "offline"]})).await;
    let held = browser.clone();
    let done = browser.go(&world.a, &consent).await.location();
    for peer in [&world.a, &world.b] {
        to_client(&held.clone().go(peer, &consent).await, "access_denied", "consent again");
    }
    let tokens = world.b.exchange(&web, &param(&done, "code"), &[]).await;
    assert_eq!(tokens.status, 200, "a replay ends nothing: {}", tokens.brief());
}

async fn replay_unremembered(world: &World) {
    let web = world.web().await;
    let mut browser = Browser::default();
    let page = browser.ask(&world.a, &web, &[]).await.location();
    let login = accept(&world.a, "login", &page, json!({"subject": "a-user"})).await;
    let mut other = browser.clone();
    let first = browser.go(&world.a, &login).await.location();
    to_client(&other.clone().go(&world.a, &login).await, "access_denied", "at the same replica");
    let second = other.go(&world.b, &login).await;
    // Nothing was written that another replica could know of; what must be is that one grant comes of it.
    let mut codes = 0;
    let mut ends = vec![consented(&world.a, &mut browser, &first).await];
    if param(&second.location(), "consent_challenge").is_empty() {
        to_client(&second, "access_denied", "at the other replica");
    } else {
        ends.push(consented(&world.b, &mut other, &second.location()).await);
    }
    for end in ends {
        if param(&end.location(), "code").is_empty() {
            to_client(&end, "access_denied", "the second grant");
        } else {
            codes += 1;
        }
    }
    assert_eq!(codes, 1);
}

async fn gone(world: &World) {
    let web = world.web().await;
    let mut browser = Browser::default();
    let login = browser.ask(&world.a, &web, &[]).await.location();
    let open = decide(&world.b, "login", &login, json!({})).await;
    assert_eq!((open.status, &open.json()["skip"]), (200, &json!(false)), "{}", open.brief());
    let back = accept(&world.a, "login", &login, json!({"subject": "a-user"})).await;
    let consent = browser.go(&world.a, &back).await.location();
    consented(&world.a, &mut browser, &consent).await;
    for (what, page) in [("login", &login), ("consent", &consent)] {
        let answer = decide(&world.a, what, page, json!({})).await;
        assert_eq!(answer.status, 410, "{what}: {}", answer.brief());
        let anew = browser.go(&world.b, &answer.get("redirect_to")).await.location();
        assert!(!param(&anew, "login_challenge").is_empty(), "{what}: {anew}");
    }
}

async fn two_subjects(world: &World) {
    let web = world.web().await;
    let mut browser = Browser::default();
    let page = browser.ask(&world.a, &web, &[]).await.location();
    let [first, second] = ["alice", "mallory"].map(|subject| json!({"subject": subject, "remember": true}));
    let first = accept(&world.a, "login", &page, first).await;
    let second = accept(&world.b, "login", &page, second).await;
    let mut other = browser.clone();
    let consent = browser.go(&world.a, &first).await.location();
    to_client(&other.go(&world.b, &second).await, "access_denied", "the second answer");
    let shown = decide(&world.b, "consent", &consent, json!({})).await.json();
    assert_eq!(shown["subject"], "alice", "{shown}");
    let next = browser.ask(&world.b, &web, &[]).await.location();
    let shown = decide(&world.a, "login", &next, json!({})).await.json();
    assert_eq!((&shown["skip"], &shown["subject"]), (&json!(true), &json!("alice")), "{shown}");
}

/// F04: a challenge and a verifier that nobody answered in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f04_a_flow_that_took_too_long_is_over() {
    let world = World::sqlite(&[("TTL_LOGIN_CONSENT_REQUEST", "3s")]).await;
    let web = world.web().await;
    let (mut browser, mut second) = (Browser::default(), Browser::default());
    let login = browser.ask(&world.a, &web, &[]).await.location();
    let back = accept(&world.a, "login", &login, json!({"subject": "a-user"})).await;
    let consent = second.signed_in(&world.a, &web, &[], json!({"subject": "a-user"})).await;
    let granted = accept(&world.a, "consent", &consent, json!({"grant_scope": ["openid"]})).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    for (what, page) in [
        ("login", &login),
        ("login/accept", &login),
        ("login/reject", &login),
        ("consent", &consent),
        ("consent/accept", &consent),
    ] {
        let answer = decide(&world.a, what, page, json!({"subject": "a-user"})).await;
        assert_eq!(
            (answer.status, answer.error().as_str()),
            (401, "request_unauthorized"),
            "{what}: {}",
            answer.brief()
        );
    }
    to_client(&browser.go(&world.a, &back).await, "access_denied", "login");
    to_client(&second.go(&world.a, &granted).await, "access_denied", "consent");
}
