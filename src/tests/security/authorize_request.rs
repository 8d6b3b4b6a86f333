//! Family A, third part: request objects, ID token hints, and how the answer travels.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Answer, Browser, CALLBACK, Case, Peer, Web, World, accept, cases, consented, decide, enter_user_code, param,
    request, to_client, to_page,
};
use crate::jose::{Assertion, Key};

const FAMILY: [Case; 7] = cases! {
    "A12" "a verifier beside a request that was changed" => altered,
    "A15" "request objects of others, out of their time, unsigned or nested" => objects,
    "A16" "every answer names its issuer" => issuer,
    "A17" "a request by POST keeps its parameters, and no redirect asks the browser to post again" => posted,
    "A18" "a posted answer is text, and goes to one place" => form_post,
    "A21" "hints that are no ID token of ours, and one that expired" => hints,
    "A23" "a public client without an address of its own asks for consent each time" => consent_again,
};
super::on_both!(FAMILY);

async fn altered(world: &World) {
    let web = world.web_with(json!({"redirect_uris": [CALLBACK, "https://app.example/cb"]})).await;
    let more = [("code_challenge", "c".repeat(43)), ("code_challenge_method", "S256".to_owned())];
    let more = more.each_ref().map(|(n, v)| (*n, v.as_str()));
    let mut browser = Browser::default();
    let page = browser.ask(&world.a, &web, &more).await.location();
    let back = accept(&world.b, "login", &page, json!({"subject": "a-user"})).await;
    refused_when_altered(world, &mut browser, &web, &more, ("login_verifier", &back)).await;
    let page = browser.go(&world.a, &back).await.location();
    let back = accept(&world.b, "consent", &page, json!({"grant_scope": ["openid"]})).await;
    refused_when_altered(world, &mut browser, &web, &more, ("consent_verifier", &back)).await;
    let done = browser.go(&world.b, &back).await;
    assert!(!param(&done.location(), "code").is_empty(), "as it was it goes on: {}", done.location());
}

async fn refused_when_altered(
    world: &World,
    browser: &mut Browser,
    web: &Web,
    more: &[(&str, &str)],
    (name, back): (&str, &str),
) {
    let verifier = param(back, name);
    for (key, value) in [
        ("scope", "openid offline read"),
        ("redirect_uri", "https://app.example/cb"),
        ("code_challenge", &"d".repeat(43)),
        ("nonce", "another-nonce-of-some-length"),
        ("state", "another-state-of-some-length"),
        ("prompt", "login"),
        ("max_age", "10"),
    ] {
        let mut query = request(web, more);
        query.retain(|(n, _)| *n != key);
        query.extend([(key, value), (name, &verifier)]);
        to_page(&browser.ask_raw(&world.b, &query).await, "invalid_request", &format!("{name} with another {key}"));
    }
    let mut query = request(web, more);
    query.retain(|(n, _)| *n != "code_challenge" && *n != "code_challenge_method");
    query.push((name, &verifier));
    to_page(&browser.ask_raw(&world.b, &query).await, "invalid_request", "without PKCE");
    let implicit = [("response_type", "token"), (name, verifier.as_str())];
    let answer = browser.ask(&world.b, web, &implicit).await;
    to_client(&answer, "unsupported_response_type", "implicit on the way back");
}

async fn objects(world: &World) {
    let key = Key::rs256("k1");
    let web = world.web_with(json!({"jwks": {"keys": [key.public()]}, "request_object_signing_alg": "RS256"})).await;
    let other = world.web().await;
    let right = || Assertion::new(&web.id, &world.issuer()).claim("sub", Value::Null);
    let unsigned = Assertion::raw(r#"{"alg":"none"}"#, &right().claims(), |_| Vec::new());
    let rows: [(&str, &str, String); 12] = [
        ("alg none", "request_not_supported", unsigned),
        ("another client's", "invalid_request_object", right().claim("client_id", json!(other.id)).sign(&key)),
        ("by another client", "invalid_request_object", right().claim("iss", json!(other.id)).sign(&key)),
        (
            "for another server",
            "invalid_request_object",
            right().claim("aud", json!("https://evil.example")).sign(&key),
        ),
        ("over", "invalid_request_object", right().claim("exp", json!(1_000)).sign(&key)),
        ("not yet", "invalid_request_object", right().claim("nbf", json!(99_999_999_999_i64)).sign(&key)),
        ("a time as text", "invalid_request_object", right().claim("exp", json!("soon")).sign(&key)),
        ("nested", "invalid_request_object", right().claim("request_uri", json!("https://evil.example/")).sign(&key)),
        ("another key", "invalid_request_object", right().sign(&Key::rs256("k1"))),
        ("another alg", "invalid_request_object", right().sign(&Key::es256("k1"))),
        ("encrypted", "invalid_request_object", "e30.a.b.c.d".to_owned()),
        ("raw JSON", "invalid_request_object", right().claims()),
    ];
    for (what, error, object) in rows {
        to_client(&Browser::default().ask(&world.b, &web, &[("request", &object)]).await, error, what);
    }
    let good = right().claim("login_hint", json!("somebody")).sign(&key);
    let both = [("request", good.as_str()), ("request_uri", "https://app.example/r")];
    to_client(&Browser::default().ask(&world.b, &web, &both).await, "invalid_request", "both");
    let unregistered = [("request_uri", "http://169.254.169.254/latest/meta-data")];
    let answer = Browser::default().ask(&world.b, &web, &unregistered).await;
    to_client(&answer, "invalid_request_uri", "not registered");
    let away = right().claim("redirect_uri", json!("https://evil.example/")).sign(&key);
    to_page(&Browser::default().ask(&world.b, &web, &[("request", &away)]).await, "invalid_request", "away");
    let page = Browser::default().ask(&world.b, &web, &[("request", &good)]).await.location();
    let shown = decide(&world.a, "login", &page, json!({})).await.json();
    assert_eq!(shown["oidc_context"]["login_hint"], "somebody", "a right one counts: {shown}");
}

async fn issuer(world: &World) {
    let web = world.web().await;
    let metadata = world.b.get("/.well-known/openid-configuration").await.json();
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
    assert_eq!(metadata["issuer"], world.issuer());
    let done = world.sign_in(&web, &[], json!({})).await;
    let refused = Browser::default().ask(&world.b, &web, &[("prompt", "none")]).await.location();
    let page = Browser::default().ask(&world.b, &web, &[]).await.location();
    let no = decide(&world.a, "login/reject", &page, json!({"error": "access_denied"})).await.get("redirect_to");
    let rejected = Browser::default().go(&world.a, &no).await.location();
    for answer in [done, refused, rejected] {
        assert_eq!(param(&answer, "iss"), world.issuer(), "{answer}");
        assert_eq!(param(&answer, "state"), "a-state-of-some-length", "{answer}");
    }
}

/// Posts these parameters as the page of a client would.
async fn post(peer: &Peer, browser: &Browser, form: &[(&str, &str)]) -> Answer {
    let cookies = browser.cookies().iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("; ");
    Peer::send(peer.to_public(Method::POST, "/oauth2/auth").header("cookie", cookies).form(form)).await
}

async fn posted(world: &World) {
    let web = world.web().await;
    let mut browser = Browser::default();
    let form = request(&web, &[("state", "a state & more"), ("login_hint", "\u{e4}+b")]);
    let began = post(&world.a, &browser, &form).await;
    assert!([302, 303].contains(&began.status), "{}", began.brief());
    let cookie = began.header("set-cookie");
    let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
    browser.toss(name, value);
    let page = began.location();
    assert_eq!(decide(&world.b, "login", &page, json!({})).await.json()["oidc_context"]["login_hint"], "\u{e4}+b");
    let back = accept(&world.b, "login", &page, json!({"subject": "a-user"})).await;
    let page = browser.go(&world.a, &back).await.location();
    let done = consented(&world.b, &mut browser, &page).await;
    assert_eq!((done.status, param(&done.location(), "state").as_str()), (303, "a state & more"));
    assert_eq!(world.b.exchange(&web, &param(&done.location(), "code"), &[]).await.status, 200);
    let mut form = request(&web, &[]);
    for (wrong, status) in [(("scope", "nothing"), 303), (("redirect_uri", "https://evil.example"), 302)] {
        form.retain(|(name, _)| *name != wrong.0);
        form.push(wrong);
        assert_eq!(post(&world.a, &browser, &form).await.status, status, "{wrong:?}");
    }
}

async fn form_post(world: &World) {
    let web = world.web().await;
    let state = "\"><script>alert(1)</script>'&amp;\r\n";
    let more = [("response_mode", "form_post"), ("state", state)];
    let mut browser = Browser::default();
    let page = browser.signed_in(&world.a, &web, &more, json!({"subject": "a-user"})).await;
    let done = consented(&world.b, &mut browser, &page).await;
    let refused = Browser::default().ask(&world.a, &web, &[more[0], more[1], ("prompt", "none")]).await;
    for (answer, has) in [(done, "name=\"code\""), (refused, "value=\"login_required\"")] {
        assert_eq!(answer.status, 200, "{}", answer.brief());
        assert!(
            answer.text.contains(has) && answer.text.contains(&format!("action=\"{CALLBACK}\"")),
            "{}",
            answer.text
        );
        assert!(!answer.text.contains("<script>alert") && answer.text.contains("&quot;&gt;&lt;script&gt;"));
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("form-action http://127.0.0.1:9010"),
            "{policy}"
        );
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
    }
}

async fn hints(world: &World) {
    let web = world.web_with(json!({"authorization_code_grant_id_token_lifespan": "1s"})).await;
    let tokens = world.tokens(&web).await;
    let (ours, access) = (tokens.get("id_token"), tokens.get("access_token"));
    let (head, rest) = ours.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    let forged = Assertion::new(&web.id, &web.id).claim("iss", json!(world.issuer())).sign(&Key::rs256("k1"));
    let other = Assertion::new(&web.id, &web.id).claim("iss", json!("https://evil.example")).sign(&Key::rs256("k1"));
    let unsigned = format!("{}.{claims}.", crate::jose::b64(r#"{"alg":"none"}"#));
    let swapped = format!("{head}.{}.{signature}", crate::jose::b64(r#"{"sub":"somebody-else"}"#));
    for (what, hint) in [
        ("forged", forged.as_str()),
        ("another issuer's", &other),
        ("unsigned", &unsigned),
        ("other claims", &swapped),
        ("an access token", &access),
        ("no token", "abc"),
        ("dots", "..."),
    ] {
        to_client(&Browser::default().ask(&world.b, &web, &[("id_token_hint", hint)]).await, "invalid_request", what);
    }
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    let page = Browser::default().ask(&world.b, &web, &[("id_token_hint", &ours)]).await.location();
    let shown = decide(&world.a, "login", &page, json!({})).await.json();
    assert_eq!(shown["oidc_context"]["id_token_hint_claims"]["sub"], "a-user", "expired but ours: {shown}");
}

async fn consent_again(world: &World) {
    let public = json!({"token_endpoint_auth_method": "none", "client_secret": null,
        "redirect_uris": ["com.example.app:/cb", CALLBACK],
        "grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"]});
    let mut native = world.web_with(public).await;
    native.secret.clear();
    let confidential = world.web().await;
    for (web, uri, skips) in
        [(&confidential, CALLBACK, true), (&native, CALLBACK, true), (&native, "com.example.app:/cb", false)]
    {
        let challenge = "c".repeat(43);
        let more = [("redirect_uri", uri), ("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")];
        let back = world.sign_in(web, &more, json!({"remember": true})).await;
        assert!(!param(&back, "code").is_empty(), "{back}");
        let page = Browser::default().signed_in(&world.b, web, &more, json!({"subject": "a-user"})).await;
        assert_eq!(decide(&world.a, "consent", &page, json!({})).await.json()["skip"], skips, "{uri}");
    }
    let asked = [("client_id", native.id.as_str()), ("scope", "openid")];
    let device = world.a.form("/oauth2/device/auth", &asked, None).await;
    let mut browser = Browser::default();
    let next = enter_user_code(&world.a, &mut browser, &device.get("user_code")).await.expect("it is asked for");
    let page = browser.go(&world.a, &next).await.location();
    let next = accept(&world.a, "login", &page, json!({"subject": "a-user"})).await;
    let page = browser.go(&world.a, &next).await.location();
    assert_eq!(decide(&world.a, "consent", &page, json!({})).await.json()["skip"], false, "a device");
}
