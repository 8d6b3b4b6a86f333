//! What the tokens of a user say, and what settings, clients and hooks make of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use signet::crypto::jose::Unverified;
use signet::crypto::jwk::{Alg, parse_set};

use crate::harness::{Answer, Callee, Scrape, Web, World};

/// The claims of a JWT that our published keys have signed.
async fn verified(world: &World, jwt: &str) -> Value {
    let set = parse_set(&world.a.get("/.well-known/jwks.json").await.json());
    let claims = Unverified::parse(jwt).unwrap().verify(&set, &[Alg::RS256]);
    json!(claims.unwrap_or_else(|e| panic!("{e}: {jwt}")))
}

async fn exchanged(world: &World, web: &Web, more: &[(&str, &str)], consent: Value) -> Answer {
    let code = world.code_with(web, more, consent).await;
    let answer = world.a.exchange(web, &code, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.brief());
    answer
}

fn seconds(claims: &Value, from: &str) -> i64 {
    claims["exp"].as_i64().unwrap() - claims[from].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_token_is_what_openid_connect_says() {
    let world = World::sqlite(&[]).await;
    let web = world.web().await;
    let tokens = exchanged(&world, &web, &[], json!({"session": {"id_token": {"name": "Foo"}}})).await;
    let said = verified(&world, &tokens.get("id_token")).await;
    let half = &Sha256::digest(tokens.get("access_token"))[..16];
    assert_eq!(said["at_hash"], json!(URL_SAFE_NO_PAD.encode(half)));
    assert_eq!((&said["iss"], &said["aud"]), (&json!(world.issuer()), &json!([web.id])));
    assert_eq!((&said["sub"], &said["name"]), (&json!("a-user"), &json!("Foo")));
    assert_eq!(said["nonce"], json!("a-nonce-of-some-length"));
    assert_eq!(seconds(&said, "iat"), 3600);
    assert!(said["auth_time"].as_i64().unwrap() >= said["rat"].as_i64().unwrap());

    let info = world.a.userinfo(&tokens.get("access_token")).await;
    assert_eq!(info.header("content-type"), "application/json; charset=utf-8");
    let info = info.json();
    for name in ["sub", "name", "iss", "aud", "auth_time", "rat"] {
        assert_eq!(info[name], said[name], "{name}");
    }
    for name in ["nonce", "at_hash", "c_hash", "exp", "sid", "jti"] {
        assert!(info.get(name).is_none(), "{name}: {info}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn userinfo_is_signed_for_a_client_that_asks_for_it() {
    let world = World::sqlite(&[]).await;
    let web = world.web_with(json!({"userinfo_signed_response_alg": "RS256"})).await;
    let tokens = exchanged(&world, &web, &[], json!({"session": {"id_token": {"name": "Foo"}}})).await;
    let answers =
        [world.a.userinfo(&tokens.get("access_token")).await, world.a.userinfo(&tokens.get("access_token")).await];
    assert_eq!(answers[0].header("content-type"), "application/jwt");
    let said = [verified(&world, &answers[0].text).await, verified(&world, &answers[1].text).await];
    assert_eq!(
        (&said[0]["sub"], &said[0]["name"], &said[0]["aud"]),
        (&json!("a-user"), &json!("Foo"), &json!([web.id]))
    );
    assert!(said[0]["jti"].is_string() && said[0]["jti"] != said[1]["jti"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lifespans_for_all_for_one_client_and_for_each_grant() {
    let env = [("TTL_ACCESS_TOKEN", "10m"), ("TTL_ID_TOKEN", "20m"), ("TTL_REFRESH_TOKEN", "30m")];
    let world = World::sqlite(&env).await;
    let own = json!({
        "authorization_code_grant_access_token_lifespan": "1m", "authorization_code_grant_id_token_lifespan": "2m",
        "authorization_code_grant_refresh_token_lifespan": "3m", "refresh_token_grant_access_token_lifespan": "4m",
        "refresh_token_grant_id_token_lifespan": "5m", "refresh_token_grant_refresh_token_lifespan": "6m",
    });
    for (over, by_code, by_refresh) in [(json!({}), [10, 20, 30], [10, 20, 30]), (own, [1, 2, 3], [4, 5, 6])] {
        let web = world.web_with(over).await;
        let first = exchanged(&world, &web, &[], json!({})).await;
        let second = world.a.refresh(&web, &first.get("refresh_token"), &[]).await;
        for (tokens, minutes) in [(&first, by_code), (&second, by_refresh)] {
            assert_eq!(tokens.json()["expires_in"], json!(minutes[0] * 60));
            assert_eq!(seconds(&verified(&world, &tokens.get("id_token")).await, "iat"), minutes[1] * 60);
        }
        let seen = world.a.introspect(&second.get("refresh_token")).await.json();
        assert_eq!(seconds(&seen, "iat"), by_refresh[2] * 60);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_may_live_for_ever() {
    let world = World::sqlite(&[("TTL_REFRESH_TOKEN", "-1")]).await;
    let web = world.web().await;
    let tokens = exchanged(&world, &web, &[], json!({})).await;
    let seen = world.a.introspect(&tokens.get("refresh_token")).await.json();
    assert!(seen["active"] == true && seen.get("exp").is_none(), "{seen}");
    assert_eq!(world.a.refresh(&web, &tokens.get("refresh_token"), &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_access_token_may_be_signed_and_the_rest_stays_as_it_is() {
    let env = [("STRATEGIES_ACCESS_TOKEN", "jwt"), ("OAUTH2_ALLOWED_TOP_LEVEL_CLAIMS", "role")];
    let world = World::sqlite(&env).await;
    let web = world.web_with(json!({"audience": ["https://api.example.com"]})).await;
    let granted = json!({
        "grant_access_token_audience": ["https://api.example.com"], "session": {"access_token": {"role": "r"}},
    });
    let tokens = exchanged(&world, &web, &[("audience", "https://api.example.com")], granted).await;
    let said = verified(&world, &tokens.get("access_token")).await;
    assert_eq!((&said["sub"], &said["client_id"]), (&json!("a-user"), &json!(web.id)));
    assert_eq!((&said["aud"], &said["scp"]), (&json!(["https://api.example.com"]), &json!(["openid", "offline"])));
    assert_eq!((&said["role"], &said["ext"]), (&json!("r"), &json!({"role": "r"})));
    assert!(tokens.get("refresh_token").starts_with("ory_rt_"));
    let seen = world.a.introspect(&tokens.get("access_token")).await.json();
    assert_eq!((&seen["ext"]["role"], &seen["aud"]), (&json!("r"), &json!(["https://api.example.com"])));
    assert_eq!(world.a.userinfo(&tokens.get("access_token")).await.get("sub"), "a-user");
}

/// What the hooks answer, from one moment to the next.
fn hooks() -> (Callee, Arc<AtomicUsize>) {
    let mode = Arc::new(AtomicUsize::new(0));
    let shared = Arc::clone(&mode);
    let callee = Callee::start(move |question| {
        let claims = |plan: &str| {
            let evil = json!({"sub": "evil", "iss": "evil", "aud": "evil", "exp": 1, "active": false, "plan": plan});
            (200, json!({"session": {"access_token": evil, "id_token": evil}}).to_string())
        };
        match (shared.load(Ordering::SeqCst), question.head.starts_with("post /refresh")) {
            (0, false) => claims("silver"),
            (2, true) => claims("gold"),
            (3, true) => (403, String::new()),
            (4, false) => (500, String::new()),
            _ => (204, String::new()),
        }
    });
    (callee, mode)
}

async fn plans(world: &World, tokens: &Answer) -> [Value; 5] {
    let access = tokens.get("access_token");
    let seen = world.a.introspect(&access).await.json();
    let info = world.a.userinfo(&access).await.json();
    let id = verified(world, &tokens.get("id_token")).await;
    let refresh = world.a.introspect(&tokens.get("refresh_token")).await.json();
    assert!(seen["active"] == true && refresh["active"] == true, "{seen} {refresh}");
    assert_eq!([&seen["sub"], &info["sub"], &id["sub"], &refresh["sub"]], [&json!("a-user"); 4], "C16");
    assert_eq!((&id["iss"], &info["iss"]), (&json!(world.issuer()), &json!(world.issuer())), "C16");
    let role = seen["ext"]["role"].clone();
    [seen["ext"]["plan"].clone(), info["plan"].clone(), id["plan"].clone(), refresh["ext"]["plan"].clone(), role]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g07_c16_hooks_put_claims_into_every_token_and_into_those_after_it() {
    let (callee, mode) = hooks();
    let (token, refresh) = (format!("{}/token", callee.url), format!("{}/refresh", callee.url));
    let env = [("OAUTH2_TOKEN_HOOK", token.as_str()), ("OAUTH2_REFRESH_TOKEN_HOOK", refresh.as_str())];
    let world = World::sqlite(&env).await;
    let web = world.web().await;
    let granted = json!({"session": {"access_token": {"role": "r"}, "id_token": {"name": "Foo"}}});
    let first = exchanged(&world, &web, &[("scope", "openid offline read")], granted).await;
    let of = |plan: &str| [json!(plan), json!(plan), json!(plan), json!(plan), Value::Null];
    assert_eq!(plans(&world, &first).await, of("silver"), "the hook's claims stand in the place of the app's");

    let question = callee.questions().pop().unwrap();
    let asked: Value = serde_json::from_str(&question.body).unwrap();
    assert_eq!(asked["request"]["grant_types"], json!(["authorization_code"]));
    assert_eq!(asked["request"]["requested_scopes"], json!(["openid", "offline", "read"]));
    assert_eq!(asked["request"]["payload"], json!({"grant_type": ["authorization_code"]}));
    assert_eq!((&asked["session"]["extra"]["role"], &asked["session"]["client_id"]), (&json!("r"), &json!(web.id)));
    let claims = &asked["session"]["id_token"]["id_token_claims"];
    assert_eq!((&claims["sub"], &claims["ext"]["name"]), (&json!("a-user"), &json!("Foo")));
    for secret in [&web.secret, &first.get("access_token"), &first.get("refresh_token")] {
        assert!(!question.body.contains(secret.as_str()), "a secret is nobody's business");
    }

    mode.store(1, Ordering::SeqCst);
    let second = world.a.refresh(&web, &first.get("refresh_token"), &[]).await;
    assert_eq!(plans(&world, &second).await, of("silver"), "kept by both hooks");
    let heads: Vec<String> =
        callee.questions()[1..].iter().map(|q| q.head.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(heads, ["/refresh", "/token"], "the hook of refreshes first");
    let asked: Value = serde_json::from_str(&callee.questions()[1].body).unwrap();
    assert_eq!((&asked["subject"], &asked["client_id"]), (&json!("a-user"), &json!(web.id)));
    assert_eq!(asked["requester"]["grant_types"], json!(["refresh_token"]));
    assert_eq!(asked["granted_scopes"], json!(["openid", "offline", "read"]));

    mode.store(2, Ordering::SeqCst);
    let third = world.a.refresh(&web, &second.get("refresh_token"), &[]).await;
    mode.store(1, Ordering::SeqCst);
    let fourth = world.a.refresh(&web, &third.get("refresh_token"), &[]).await;
    assert_eq!(plans(&world, &fourth).await, of("gold"), "what a refresh changed stays changed");

    for (at, status, error) in [(3, 403, "access_denied"), (4, 500, "server_error")] {
        mode.store(at, Ordering::SeqCst);
        let answer = world.a.refresh(&web, &fourth.get("refresh_token"), &[]).await;
        assert_eq!((answer.status, answer.error().as_str()), (status, error), "{}", answer.brief());
    }
    let code = world.code(&web).await;
    assert_eq!(world.a.exchange(&web, &code, &[]).await.status, 500);
    mode.store(1, Ordering::SeqCst);
    assert_eq!(world.a.exchange(&web, &code, &[]).await.status, 200, "a failed hook costs no code");
    let answer = world.a.refresh(&web, &fourth.get("refresh_token"), &[]).await;
    assert_eq!(answer.status, 200, "nor a refresh token: {}", answer.brief());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_again_is_counted() {
    let env = [
        ("OAUTH2_GRANT_REFRESH_TOKEN_ROTATION_GRACE_PERIOD", "1h"),
        ("OAUTH2_GRANT_REFRESH_TOKEN_ROTATION_GRACE_REUSE_COUNT", "1"),
    ];
    let world = World::sqlite(&env).await;
    let web = world.web().await;
    let code = world.code(&web).await;
    assert_eq!(world.a.exchange(&web, &code, &[]).await.status, 200);
    assert_eq!(world.a.exchange(&web, &code, &[]).await.status, 400);
    let token = exchanged(&world, &web, &[], json!({})).await.get("refresh_token");
    for expected in [200, 200, 400] {
        assert_eq!(world.a.refresh(&web, &token, &[]).await.status, expected);
    }
    let metrics = Scrape::of(&world.a).await.0;
    for what in ["authorization_code", "refresh_token", "refresh_token_in_grace"] {
        let line = format!("signet_token_reuse_total{{what=\"{what}\"}} 1");
        assert!(metrics.contains(&line), "no {line}");
    }
}
