//! Families H and J on the routes that browsers come to: bytes, methods, paths, and the device's page.

use reqwest::Method;
use serde_json::json;

use crate::harness::{
    Answer, Browser, Case, Peer, Web, World, cases, consented, enter_user_code, param, raw, request, to_client, to_page,
};

const FAMILY: [Case; 8] = cases! {
    "H06" "parameters that are no text" => no_text,
    "H07" "methods that are not a browser's" => methods,
    "H08" "other spellings of the paths" => paths,
    "H09" "a body that is no form" => media_types,
    "H11" "far too many parameters" => many,
    "H16" "SQL in every parameter" => injection,
    "J02" "a device's page forgives five wrong codes" => guesses,
    "F01" "a device's verifier in another browser, and then in the right one" => other_browser,
};
super::on_both!(FAMILY);

const PAGES: [&str; 2] = ["/oauth2/auth", "/oauth2/sessions/logout"];

async fn no_text(world: &World) {
    let web = world.web().await;
    let good = format!("client_id={}&response_type=code&state=a-state-long-enough", web.id);
    for bad in ["x=%ff", "x=%c3%28", "state=%00", "x=%zz", "x=%", "%ff=x", "login_verifier=%00", "scope=a%00b"] {
        for path in PAGES {
            let answer = world.a.get(&format!("{path}?{good}&{bad}")).await;
            to_page(&answer, "invalid_request", &format!("{path} {bad}"));
            let body = format!("{good}&{bad}").replace("state=a-state-long-enough&state", "state");
            let request =
                world.a.to_public(Method::POST, path).header("content-type", "application/x-www-form-urlencoded");
            to_page(&Peer::send(request.body(body)).await, "invalid_request", &format!("POST {path} {bad}"));
        }
        to_page(&world.a.get(&format!("/oauth2/device/verify?{bad}")).await, "invalid_request", bad);
    }
    let request = world.a.to_public(Method::POST, "/oauth2/auth");
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(b"client_id=\xff".to_vec());
    to_page(&Peer::send(request).await, "invalid_request", "bytes");
}

async fn methods(world: &World) {
    for path in ["/oauth2/auth", "/oauth2/sessions/logout", "/oauth2/device/verify"] {
        for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::TRACE] {
            let answer = Peer::send(world.a.to_public(method.clone(), path)).await;
            assert!([404, 405].contains(&answer.status), "{method} {path}: {}", answer.brief());
        }
        let head = Peer::send(world.a.to_public(Method::HEAD, path)).await;
        assert!(head.status == 302 && head.text.is_empty(), "HEAD {path}: {}", head.brief());
    }
}

async fn paths(world: &World) {
    let web = world.web().await;
    let query = format!("client_id={}&response_type=code&state=a-state-long-enough", web.id);
    for path in [
        "/oauth2/%61uth",
        "//oauth2/auth",
        "/oauth2//auth",
        "/oauth2/./auth",
        "/oauth2/x/../auth",
        "/oauth2/auth;x",
        "/OAUTH2/AUTH",
    ] {
        let head = format!("GET {path}?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let public = world.a.public.clone();
        let read = move || raw(&public, head.as_bytes(), std::time::Duration::from_secs(5));
        let answer = tokio::task::spawn_blocking(read).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {}", answer.lines().next().unwrap_or_default());
        assert!(!answer.contains("login_challenge"), "{path}");
    }
    for path in
        ["/admin/oauth2/auth/requests/login", "/oauth2/auth/requests/login", "/admin/oauth2/auth/sessions/login"]
    {
        let answer = world.a.get(&format!("{path}?login_challenge=x&subject=a-user")).await;
        assert_eq!(answer.status, 404, "{path} on the public listener");
    }
}

async fn media_types(world: &World) {
    let web = world.web().await;
    let form = format!("client_id={}&response_type=code&state=a-state-long-enough", web.id);
    for path in PAGES {
        for kind in ["application/json", "text/plain", "multipart/form-data; boundary=x", ""] {
            let request = world.a.to_public(Method::POST, path).header("content-type", kind).body(form.clone());
            let answer = Peer::send(request).await;
            let told = answer.status == 302 && param(&answer.location(), "error") == "invalid_request";
            assert!(told || [400, 415].contains(&answer.status), "{path} {kind}: {}", answer.brief());
        }
        let large = world.a.form(path, &[("client_id", &web.id), ("state", &"s".repeat(100_000))], None).await;
        assert!([0, 413].contains(&large.status), "{path}: {}", large.brief());
    }
}

async fn many(world: &World) {
    let web = world.web().await;
    let names: Vec<String> = (0..300).map(|n| format!("k{n}")).collect();
    let mut query = request(&web, &[]);
    query.extend(names.iter().map(|name| (name.as_str(), "v")));
    to_page(&Browser::default().ask_raw(&world.a, &query).await, "invalid_request", "300 parameters");
    let mut query = request(&web, &[]);
    query.extend(names.iter().take(100).map(|name| (name.as_str(), "v")));
    let page = Browser::default().ask_raw(&world.a, &query).await.location();
    assert!(!param(&page, "login_challenge").is_empty(), "100 unknown ones are ignored: {page}");
}

async fn injection(world: &World) {
    let web = world.web().await;
    for text in [
        "' OR '1'='1",
        "\"; DROP TABLE client; --",
        "$1",
        "\\",
        "{\"$ne\":null}",
        "\u{e9}'\u{202e}",
        "${7*7}",
        "\u{1b}[31m\r\n",
    ] {
        for name in [
            "client_id",
            "redirect_uri",
            "response_type",
            "response_mode",
            "scope",
            "audience",
            "state",
            "nonce",
            "prompt",
            "max_age",
            "id_token_hint",
            "login_hint",
            "acr_values",
            "ui_locales",
            "claims",
            "display",
            "request",
            "request_uri",
            "code_challenge",
            "login_verifier",
            "consent_verifier",
        ] {
            let answer = Browser::default().ask(&world.a, &web, &[(name, text)]).await;
            assert!([200, 302, 303].contains(&answer.status), "{name}={text:?}: {}", answer.brief());
            assert!(
                answer.location().is_ascii() && !answer.location().contains(['\r', '\n', '\u{1b}']),
                "{name}={text:?}"
            );
        }
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("x", text).finish();
        let text = &query[2..];
        for name in ["logout_verifier", "id_token_hint", "post_logout_redirect_uri", "state"] {
            let answer = world.a.get(&format!("/oauth2/sessions/logout?{name}={text}")).await;
            assert_eq!(answer.status, 302, "{name}={text}: {}", answer.brief());
        }
        for kind in ["login", "consent", "logout"] {
            let path = format!("/admin/oauth2/auth/requests/{kind}?{kind}_challenge={text}");
            let answer = world.a.admin(Method::GET, &path, None).await;
            assert_eq!(answer.status, 404, "{kind}={text}: {}", answer.brief());
        }
    }
    let back = world.sign_in(&web, &[], json!({})).await;
    assert!(!param(&back, "code").is_empty(), "all is as it was: {back}");
}

async fn tv(world: &World) -> (Web, Answer) {
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    let tv = world.web_with(json!({"grant_types": [device, "refresh_token"], "redirect_uris": null})).await;
    let code = world.a.device(&tv, &[("scope", "openid offline")]).await;
    assert_eq!(code.status, 200, "{}", code.brief());
    (tv, code)
}

async fn guesses(world: &World) {
    let (_, code) = tv(world).await;
    let mut browser = Browser::default();
    let page = browser.get(&world.a, &format!("{}/oauth2/device/verify", world.a.public)).await.location();
    let path =
        format!("/admin/oauth2/auth/requests/device/accept?device_challenge={}", param(&page, "device_challenge"));
    for n in 0..8 {
        let peer = if n % 2 == 0 { &world.a } else { &world.b };
        let answer = peer.admin(Method::PUT, &path, Some(json!({"user_code": format!("BCDFGHJ{n}")}))).await;
        assert_eq!(answer.status, if n < 5 { 400 } else { 429 }, "guess {n}: {}", answer.brief());
    }
    let right = Some(json!({"user_code": code.get("user_code")}));
    assert_eq!(world.b.admin(Method::PUT, &path, right).await.status, 429, "the right one comes too late");
    let anew = enter_user_code(&world.b, &mut browser, &code.get("user_code")).await;
    assert!(anew.is_ok(), "on a new page it is taken");
}

async fn other_browser(world: &World) {
    let (tv, code) = tv(world).await;
    let mut browser = Browser::default();
    let next = enter_user_code(&world.a, &mut browser, &code.get("user_code")).await;
    let next = next.unwrap_or_else(|answer| panic!("{}", answer.brief()));
    let mut other = Browser::default();
    other.get(&world.a, &format!("{}/oauth2/device/verify", world.a.public)).await;
    for (what, mut who) in [("no cookie", Browser::default()), ("another cookie", other)] {
        to_page(&who.go(&world.b, &next).await, "request_forbidden", what);
    }
    let web = world.web().await;
    let verifier = param(&next, "device_verifier");
    let stolen = format!("{}/oauth2/device/verify?client_id={}&device_verifier={verifier}", world.b.public, web.id);
    to_page(&browser.clone().get(&world.b, &stolen).await, "access_denied", "for another client");
    let held = browser.clone();
    let page = browser.go(&world.b, &next).await.location();
    let back = crate::harness::accept(&world.a, "login", &page, json!({"subject": "a-user"})).await;
    to_page(&Browser::default().go(&world.b, &back).await, "request_forbidden", "login");
    let at_auth = browser.ask(&world.b, &web, &[("login_verifier", &param(&back, "login_verifier"))]).await;
    assert!(param(&at_auth.location(), "consent_challenge").is_empty(), "a device's flow is no client's");
    let page = browser.go(&world.a, &back).await.location();
    let done = consented(&world.b, &mut browser, &page).await;
    assert_eq!(done.status, 302, "{}", done.brief());
    let tokens = world.b.poll(&tv, &code.get("device_code")).await;
    assert_eq!(tokens.status, 200, "{}", tokens.brief());
    let again = held.clone().go(&world.a, &next).await.location();
    if !param(&again, "login_challenge").is_empty() {
        let mut thief = held.clone();
        let page = thief.go(&world.a, &next).await.location();
        let back = crate::harness::accept(&world.a, "login", &page, json!({"subject": "mallory"})).await;
        to_page(&thief.go(&world.a, &back).await, "access_denied", "a device that has its tokens");
    }
    assert!(world.a.is_active(&tokens.get("access_token")).await);
    to_client(&Browser::default().ask(&world.a, &web, &[("prompt", "none")]).await, "login_required", "nobody is in");
}

async fn all_guesses(world: &World) {
    let mut browser = Browser::default();
    let wrong = async |browser: &mut Browser| enter_user_code(&world.a, browser, "BCDFGHJK").await.unwrap_err().status;
    let mut statuses = Vec::new();
    for _ in 0..260 {
        statuses.push(wrong(&mut browser).await);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 400).count(), 250);
    assert_eq!(statuses.last(), Some(&429));
    let (_, code) = tv(world).await;
    let late = enter_user_code(&world.b, &mut browser, &code.get("user_code")).await;
    assert_eq!(late.unwrap_err().status, 429, "whoever it is");
    let login = json!({"subject": "a-user", "remember": true});
    browser.signed_in(&world.a, &world.web().await, &[], login).await;
    let known = enter_user_code(&world.b, &mut browser, &code.get("user_code")).await;
    assert!(known.is_ok(), "who has signed in may go on");
    let mut statuses = Vec::new();
    for _ in 0..22 {
        statuses.push(wrong(&mut browser).await);
    }
    assert_eq!(statuses.iter().position(|status| *status == 429), Some(20), "but not for ever: {statuses:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn j02_all_pages_together_forgive_some_hundred_wrong_codes() {
    all_guesses(&World::sqlite(&[]).await).await;
    if let Some(world) = World::postgres(&[]).await {
        all_guesses(&world).await;
    }
}
