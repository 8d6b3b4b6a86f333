//! The halves of public bug reports that need no user's login, of cases that as a whole need one. Each test carries
//! the id of its case in `bugs/`.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Database, Peer, Server, World, basic, claims, fresh, jose_header, machine};
use crate::jose::now;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b13_a_form_with_a_charset_is_a_form_too() {
    let world = World::sqlite(&[]).await;
    let (id, secret) = world.machine().await;
    for kind in [
        "application/x-www-form-urlencoded; charset=UTF-8",
        "application/x-www-form-urlencoded;charset=utf-8",
        "application/x-www-form-urlencoded; charset=\"utf-8\"",
        "Application/X-WWW-Form-Urlencoded",
    ] {
        let to = |request: reqwest::RequestBuilder, body: String| {
            let request = request.header("authorization", basic(&id, &secret)).header("content-type", kind);
            Peer::send(request.body(body))
        };
        let token = to(world.a.to_public(Method::POST, "/oauth2/token"), "grant_type=client_credentials".into()).await;
        assert_eq!(token.status, 200, "{kind}: {}", token.brief());
        let body = format!("token={}", token.get("access_token"));
        let seen = to(world.a.to_admin(Method::POST, "/oauth2/introspect"), body.clone()).await;
        assert_eq!(seen.json()["active"], true, "{kind}: {}", seen.brief());
        let revoked = to(world.a.to_public(Method::POST, "/oauth2/revoke"), body).await;
        assert_eq!(revoked.status, 200, "{kind}: {}", revoked.brief());
        assert!(!world.a.is_active(&token.get("access_token")).await, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b15_the_audience_asked_for_is_in_the_token() {
    let world = World::sqlite(&[]).await;
    let (id, secret) =
        world.machine_with(json!({"audience": ["https://api.example.com", "https://other.example"]})).await;
    let ask = |audience: &[&str]| {
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(audience.iter().map(|one| ("audience", *one)));
        let form: Vec<(String, String)> = form.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let request = world.a.to_public(Method::POST, "/oauth2/token").header("authorization", basic(&id, &secret));
        Peer::send(request.form(&form))
    };
    for (asked, expected) in [
        (&["https://api.example.com"][..], json!(["https://api.example.com"])),
        (
            &["https://api.example.com https://other.example"],
            json!(["https://api.example.com", "https://other.example"]),
        ),
        (
            &["https://api.example.com", "https://other.example"],
            json!(["https://api.example.com", "https://other.example"]),
        ),
    ] {
        let answer = ask(asked).await;
        assert_eq!(answer.status, 200, "{asked:?}: {}", answer.brief());
        let seen = world.a.introspect(&answer.get("access_token")).await;
        assert_eq!(seen.json()["aud"], expected, "{asked:?}: {}", seen.brief());
    }
    let refused = ask(&["https://evil.example"]).await;
    assert_eq!((refused.status, refused.error().as_str()), (400, "invalid_request"), "{}", refused.brief());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b19_a_wrong_hint_is_only_a_hint() {
    let world = World::sqlite(&[]).await;
    let (id, secret) = world.machine().await;
    for hint in ["access_token", "refresh_token", "abc", ""] {
        let token = world.a.token(&id, &secret).await;
        let form = [("token", token.as_str()), ("token_type_hint", hint)];
        let seen = Peer::send(world.a.to_admin(Method::POST, "/admin/oauth2/introspect").form(&form)).await;
        assert_eq!(seen.json()["active"], true, "{hint:?}: {}", seen.brief());
        assert_eq!(world.a.form("/oauth2/revoke", &form, Some((&id, &secret))).await.status, 200);
        assert!(!world.a.is_active(&token).await, "revoked with hint {hint:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b59_b67_a_jwt_names_key_issuer_client_audience_and_scope() {
    let world = World::sqlite(&[]).await;
    let (id, secret) = world.machine_with(json!({"access_token_strategy": "jwt"})).await;
    let form = [("grant_type", "client_credentials"), ("scope", "read"), ("audience", "https://api.example.com")];
    let answer = world.a.form("/oauth2/token", &form, Some((&id, &secret))).await;
    assert_eq!(answer.status, 200, "{}", answer.brief());
    let (header, claims) = (jose_header(&answer.get("access_token")), claims(&answer.get("access_token")));
    let jwks = world.a.get("/.well-known/jwks.json").await.json();
    let known = jwks["keys"].as_array().unwrap();
    assert!(known.iter().any(|key| key["kid"] == header["kid"] && key["alg"] == header["alg"]), "{header} in {jwks}");
    let meta = world.a.get("/.well-known/openid-configuration").await;
    assert_eq!(claims["iss"], meta.json()["issuer"]);
    assert_eq!(world.a.get("/.well-known/oauth-authorization-server").await.json()["issuer"], claims["iss"]);
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!(id), &json!(id)));
    assert_eq!(claims["aud"], json!(["https://api.example.com"]));
    assert_eq!(claims["scp"], json!(["read"]));
    for name in ["iat", "exp", "nbf"] {
        let time = claims[name].as_i64().unwrap_or_else(|| panic!("{name} is a whole number: {claims}"));
        assert!((time - now()).abs() <= 3_700, "{name}");
    }
    assert!(claims["jti"].as_str().is_some_and(|jti| !jti.is_empty()));
    let seen = world.a.introspect(&answer.get("access_token")).await.json();
    assert_eq!((&seen["active"], &seen["client_id"], &seen["iss"]), (&json!(true), &json!(id), &claims["iss"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_public_documents_are_not_sent_to_who_has_them() {
    let world = World::sqlite(&[]).await;
    let paths =
        ["/.well-known/jwks.json", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"];
    for path in paths {
        let ask = |tag: &str| Peer::send(world.a.to_public(Method::GET, path).header("if-none-match", tag));
        let first = world.a.get(path).await;
        let tag = first.header("etag");
        assert!(tag.starts_with('"'), "{path}: {:?}", first.headers);
        let (known, other) = (ask(&tag).await, ask("\"another\"").await);
        assert_eq!((known.status, known.text.as_str(), known.header("etag")), (304, "", tag.clone()), "{path}");
        assert_eq!((other.status, &other.text, other.header("etag")), (200, &first.text, tag), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b66_settings_from_the_environment_have_their_type() {
    let database = Database::sqlite();
    Server::migrate(&database.dsn());
    for (claims, origins) in [("email", "https://ops.example"), ("[\"email\",\"name\"]", "[\"https://ops.example\"]")] {
        let env = [
            ("WEBFINGER_OIDC_DISCOVERY_SUPPORTED_CLAIMS", claims),
            ("SERVE_PUBLIC_CORS_ENABLED", "true"),
            ("SERVE_PUBLIC_CORS_ALLOWED_ORIGINS", origins),
            ("OAUTH2_HASHERS_PBKDF2_ITERATIONS", "2000"),
            ("TTL_ACCESS_TOKEN", "17m"),
        ];
        let server = Server::start(&database.dsn(), None, &env).await;
        let meta = server.peer.get("/.well-known/openid-configuration").await.json();
        assert!(meta["claims_supported"].as_array().is_some_and(|all| all.contains(&json!("email"))), "{meta}");
        let request =
            server.peer.to_public(Method::GET, "/.well-known/jwks.json").header("origin", "https://ops.example");
        assert_eq!(Peer::send(request).await.header("access-control-allow-origin"), "https://ops.example");
        let (id, secret) = (fresh("typed"), fresh("secret"));
        server.peer.create(machine(&id, &secret)).await;
        let answer = server.peer.client_credentials(&id, &secret).await;
        let lifetime = answer.json()["expires_in"].as_i64().unwrap_or_default();
        assert!((1_018..=1_020).contains(&lifetime), "{}", answer.brief());
    }
}
