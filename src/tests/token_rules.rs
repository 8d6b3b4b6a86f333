//! What the settings and a client's own say about tokens: the hook, lifespans, strategies, keys elsewhere.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Callee, Peer, Scrape, Server, claims};
use crate::jose::{Assertion, Key};

async fn ask(peer: &Peer, (id, secret): &(String, String), more: &[(&str, &str)]) -> Answer {
    let form: Vec<_> = [("grant_type", "client_credentials")].iter().chain(more).copied().collect();
    peer.form("/oauth2/token", &form, Some((id, secret))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g07_c16_the_hook_adds_claims_and_can_replace_none() {
    let hook = Callee::start(|_| {
        let claims =
            json!({"tenant": "t1", "active": false, "sub": "evil", "client_id": "evil", "exp": 1, "aud": ["evil"]});
        (200, json!({"session": {"access_token": claims, "id_token": {}}}).to_string())
    });
    let env = [
        ("OAUTH2_TOKEN_HOOK_URL", hook.url.as_str()),
        ("OAUTH2_TOKEN_HOOK_AUTH_TYPE", "api_key"),
        ("OAUTH2_TOKEN_HOOK_AUTH_CONFIG_IN", "header"),
        ("OAUTH2_TOKEN_HOOK_AUTH_CONFIG_NAME", "X-Hook-Key"),
        ("OAUTH2_TOKEN_HOOK_AUTH_CONFIG_VALUE", "hook-password"),
    ];
    let server = Server::start("memory", None, &env).await;
    for strategy in ["opaque", "jwt"] {
        let who = server.peer.machine_with(json!({"access_token_strategy": strategy})).await;
        let answer = ask(&server.peer, &who, &[("scope", "read")]).await;
        assert_eq!(answer.status, 200, "{}", answer.brief());
        let seen = server.peer.introspect(&answer.get("access_token")).await.json();
        assert_eq!((&seen["active"], &seen["sub"], &seen["client_id"]), (&json!(true), &json!(who.0), &json!(who.0)));
        assert_eq!((&seen["ext"]["tenant"], &seen["aud"]), (&json!("t1"), &json!([])));
        if strategy == "jwt" {
            let claims = claims(&answer.get("access_token"));
            assert_eq!((&claims["sub"], &claims["ext"]["tenant"]), (&json!(who.0), &json!("t1")));
        }
        let question = hook.questions().pop().unwrap();
        assert!(question.head.contains("x-hook-key: hook-password"), "{}", question.head);
        let body: Value = serde_json::from_str(&question.body).unwrap();
        assert_eq!(body["request"]["client_id"], json!(who.0));
        assert_eq!(body["request"]["granted_scopes"], json!(["read"]));
        assert_eq!(body["request"]["grant_types"], json!(["client_credentials"]));
        assert!(!question.body.contains(&who.1), "the client's secret is nobody's business");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g07_a_hook_can_deny_and_its_faults_are_ours() {
    for (status, body, expected, error) in [
        (204, "", 200, ""),
        (403, "{}", 403, "access_denied"),
        (500, "{}", 500, "server_error"),
        (200, "no json", 500, "server_error"),
        (302, "{}", 500, "server_error"),
    ] {
        let hook = Callee::start(move |_| (status, body.to_owned()));
        let server = Server::start("memory", None, &[("OAUTH2_TOKEN_HOOK", hook.url.as_str())]).await;
        let who = server.peer.machine().await;
        let answer = ask(&server.peer, &who, &[]).await;
        assert_eq!((answer.status, answer.error().as_str()), (expected, error), "hook {status} {body}");
    }
    let server = Server::start("memory", None, &[("OAUTH2_TOKEN_HOOK", "http://127.0.0.1:9/")]).await;
    let who = server.peer.machine().await;
    assert_eq!(ask(&server.peer, &who, &[]).await.status, 500, "nobody listens");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lifespans_and_strategies_for_all_and_for_one() {
    let env = [
        ("TTL_ACCESS_TOKEN", "17m"),
        ("STRATEGIES_ACCESS_TOKEN", "jwt"),
        ("STRATEGIES_SCOPE", "exact"),
        ("STRATEGIES_JWT_SCOPE_CLAIM", "both"),
        ("OAUTH2_CLIENT_CREDENTIALS_DEFAULT_GRANT_ALLOWED_SCOPE", "true"),
        ("OAUTH2_EXCLUDE_NOT_BEFORE_CLAIM", "true"),
    ];
    let server = Server::start("memory", None, &env).await;
    let all = server.peer.machine_with(json!({"scope": "read photos.*"})).await;
    let answer = ask(&server.peer, &all, &[]).await;
    assert_eq!((answer.json()["expires_in"].clone(), answer.get("scope")), (json!(1020), "read photos.*".to_owned()));
    let made = claims(&answer.get("access_token"));
    assert_eq!((&made["scp"], &made["scope"]), (&json!(["read", "photos.*"]), &json!("read photos.*")));
    assert_eq!(made["exp"].as_i64().unwrap() - made["iat"].as_i64().unwrap(), 1020);
    assert!(made.get("nbf").is_none());
    assert_eq!(ask(&server.peer, &all, &[("scope", "photos.read")]).await.error(), "invalid_scope", "exact");

    let lifespan = json!({"client_credentials_grant_access_token_lifespan": "90s", "access_token_strategy": "opaque"});
    let one = server.peer.machine_with(lifespan).await;
    let answer = ask(&server.peer, &one, &[("scope", "read")]).await;
    assert_eq!(answer.json()["expires_in"], json!(90));
    assert!(answer.get("access_token").starts_with("ory_at_"));
    let seen = server.peer.introspect(&answer.get("access_token")).await.json();
    assert_eq!(seen["exp"].as_i64().unwrap() - seen["iat"].as_i64().unwrap(), 90);

    let wild = Server::start("memory", None, &[]).await;
    let who = wild.peer.machine_with(json!({"scope": "photos.*"})).await;
    assert_eq!(ask(&wild.peer, &who, &[("scope", "photos.read")]).await.status, 200, "wildcard");
    assert_eq!(ask(&wild.peer, &who, &[]).await.get("scope"), "", "no default scope");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d11_keys_elsewhere_are_fetched_once_and_not_for_every_odd_kid() {
    let key = Key::es256("elsewhere");
    let set = json!({"keys": [key.public(), {"kty": "odd"}]}).to_string();
    let callee = Callee::start(move |_| (200, set.clone()));
    let server = Server::start("memory", None, &[]).await;
    let over = json!({
        "client_secret": null, "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256", "jwks_uri": format!("{}/keys", callee.url),
    });
    let (id, _) = server.peer.machine_with(over).await;
    let meta = server.peer.get("/.well-known/openid-configuration").await;
    let present = async |key: &Key| {
        let assertion = Assertion::new(&id, &meta.get("token_endpoint")).sign(key);
        server.peer.form("/oauth2/token", &Assertion::form(&assertion), None).await
    };
    for _ in 0..3 {
        let answer = present(&key).await;
        assert_eq!(answer.status, 200, "{}", answer.brief());
    }
    assert_eq!(callee.questions().len(), 1);
    for n in 0..10 {
        assert_eq!(present(&Key::es256(&format!("odd-{n}"))).await.error(), "invalid_client");
    }
    assert_eq!(callee.questions().len(), 1, "a set that was read a moment ago is not asked for again");
    assert!(callee.questions()[0].head.starts_with("get /keys"));
    let counted = Scrape::of(&server.peer).await;
    let counted = counted.sum("signet_webhook_duration_seconds_count", &["hook=\"jwks_uri\"", "outcome=\"ok\""]);
    assert_eq!(counted as u64, 1, "the fetch is counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g02_private_addresses_are_refused_where_the_operator_says_so() {
    let callee = Callee::start(|_| (200, json!({"keys": []}).to_string()));
    let server = Server::start("memory", None, &[("CLIENTS_HTTP_DISALLOW_PRIVATE_IP_RANGES", "true")]).await;
    let spellings = ["2130706433", "0x7f.1", "localhost"].map(|host| callee.url.replace("127.0.0.1", host));
    for url in spellings.into_iter().chain([callee.url.clone(), "http://[::1]:9/".to_owned()]) {
        let body = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": url});
        let answer = server.peer.admin(Method::POST, "/admin/clients", Some(body)).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, "invalid_client_metadata"), "{url}");
    }
    assert!(callee.questions().is_empty(), "it was called all the same");
}
