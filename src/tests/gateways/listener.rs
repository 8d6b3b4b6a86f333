//! The gateway listener on the wire.

use reqwest::Method;
use serde_json::{Value, json};
use signet::crypto::jose::Unverified;
use signet::crypto::jwk::{Alg, parse_set};

use super::{Gate, resource_server};
use crate::harness::{Answer, CALLBACK, Peer, Scrape, basic, fresh, raw};
use crate::jose::{Assertion, Key, now};
use std::time::Duration;

const PHANTOM: &str = "application/jwt";
const SIGNED: &str = "application/token-introspection+jwt";

impl Gate {
    /// The claims of a JWT that Signet's published keys verify, and its `typ`.
    async fn verified(&self, jwt: &str) -> (Value, String) {
        let keys = Peer::send(self.to(Method::GET, "/.well-known/jwks.json")).await;
        let token = Unverified::parse(jwt).unwrap_or_else(|e| panic!("{e}: {jwt}"));
        let claims = token.verify(&parse_set(&keys.json()), &[Alg::ES256]).unwrap();
        (json!(claims), token.header.typ.unwrap())
    }

    /// Introspection with credentials of whatever kind.
    async fn asks(&self, form: &[(&str, &str)], authorization: Option<&str>) -> Answer {
        let request = self.to(Method::POST, "/oauth2/introspect").form(form);
        Peer::send(match authorization {
            Some(value) => request.header("authorization", value),
            None => request,
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_serves_its_own_routes_and_no_others() {
    let gate = Gate::start(&[]).await;
    for (method, path, status) in [
        (Method::GET, "/health/alive", 200),
        (Method::GET, "/health/ready", 200),
        (Method::GET, "/.well-known/jwks.json", 200),
        (Method::GET, "/oauth2/introspect", 405),
        (Method::GET, "/oauth2/introspect/batch", 405),
        (Method::GET, "/admin/clients", 404),
        (Method::GET, "/clients", 404),
        (Method::POST, "/admin/oauth2/introspect", 404),
        (Method::POST, "/oauth2/token", 404),
        (Method::GET, "/oauth2/auth", 404),
        (Method::GET, "/", 404),
        (Method::GET, "/authz", 403),
        (Method::GET, "/authz/nobody-wrote-it", 403),
    ] {
        let answer = Peer::send(gate.to(method.clone(), path)).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.brief());
    }
    let metrics = Scrape::of(&gate.world.a).await.0;
    assert!(metrics.contains(r#"listener="gateway""#) && metrics.contains(r#"http_route="/authz/{policy}""#));
    assert!(!metrics.contains("nobody-wrote-it"), "no path of a caller becomes a label");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authz_says_who_calls_or_why_not() {
    let gate = Gate::start(&[]).await;
    let token = gate.token("read write").await;
    let answer = gate.authz("read", &token).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, ""));
    let told = gate.world.a.introspect(&token).await.json();
    for (header, value) in [
        ("x-auth-subject", told["sub"].as_str().unwrap()),
        ("x-auth-client-id", told["client_id"].as_str().unwrap()),
        ("x-auth-scope", "read write"),
        ("x-auth-audience", "https://api.example.com"),
        ("x-auth-expires", &told["exp"].to_string()),
        ("x-auth-token", ""),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.header(header), value, "{header}");
        assert!(answer.headers.contains_key(header), "{header} is always there");
    }
    let small = gate.token("write").await;
    for (policy, token, status, challenge) in [
        ("any", small.as_str(), 200, ""),
        ("api", &small, 200, ""),
        ("read", &small, 403, r#"Bearer realm="signet", error="insufficient_scope", scope="read""#),
        ("read", "ory_at_no.such", 401, r#"Bearer realm="signet", error="invalid_token""#),
        ("read", "%%%", 401, r#"Bearer realm="signet", error="invalid_token""#),
        ("none", &token, 403, ""),
    ] {
        let answer = gate.authz(policy, token).await;
        assert_eq!(
            (answer.status, answer.header("www-authenticate").as_str()),
            (status, challenge),
            "{policy} {token}"
        );
        assert_eq!((answer.text.as_str(), answer.header("cache-control").as_str()), ("", "no-store"), "{policy}");
        assert!(status == 200 || !answer.headers.keys().any(|name| name.as_str().starts_with("x-auth-")), "{policy}");
    }
    let none = Peer::send(gate.to(Method::GET, "/authz/read")).await;
    assert_eq!((none.status, none.header("www-authenticate").as_str()), (401, r#"Bearer realm="signet""#));
    let other = gate.to(Method::GET, "/authz/read").header("authorization", basic("a", "b"));
    assert_eq!(Peer::send(other).await.header("www-authenticate"), r#"Bearer realm="signet""#);
    let twice = gate.to(Method::GET, "/authz/read").bearer_auth(&token).header("Authorization", "Bearer x");
    assert_eq!(Peer::send(twice).await.status, 401);
    let refresh = gate.world.tokens(&gate.world.web().await).await.get("refresh_token");
    assert_eq!(gate.authz("web", &refresh).await.status, 401, "a refresh token opens nothing");
    gate.world
        .a
        .admin(Method::DELETE, &format!("/admin/oauth2/tokens?client_id={}", told["client_id"].as_str().unwrap()), None)
        .await;
    assert_eq!(gate.authz("read", &token).await.status, 401, "revoked");
}

/// Whatever a gateway makes of the request it asks about.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authz_takes_any_method_path_body_and_spelling() {
    let gate = Gate::start(&[]).await;
    let token = gate.token("read").await;
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "PROPFIND"] {
        for tail in ["", "/", "/a/b?c=d", "//x;y/%2e%2e/..", "/%ff/%00", &format!("/{}", "x".repeat(20_000))] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = Peer::send(gate.to(method.clone(), &format!("/authz/read{tail}")).bearer_auth(&token)).await;
            assert_eq!(answer.status, 200, "{method} {} {}", &tail[..tail.len().min(30)], answer.brief());
        }
    }
    for headers in ["", "X-Auth-Subject: admin\r\nX-Forwarded-Method: OPTIONS\r\nX-Original-Method: OPTIONS\r\n"] {
        let head = format!(
            "POST /authz/web HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: 5\r\n\r\nhello"
        );
        let answer = raw(&gate.url, head.as_bytes(), Duration::from_secs(5));
        assert!(answer.starts_with("HTTP/1.1 401") && !answer.contains("admin"), "{answer}");
    }
    let send = async |request: reqwest::RequestBuilder| Peer::send(request).await.status;
    assert_eq!(send(gate.to(Method::OPTIONS, "/authz/web/x")).await, 200, "the policy lets preflights pass");
    assert_eq!(send(gate.to(Method::OPTIONS, "/authz/read/x")).await, 401, "and the other does not");
    let cookie = |value: String| gate.to(Method::GET, "/authz/web").header("cookie", value);
    assert_eq!(send(cookie(format!("a=b; at={token}"))).await, 200);
    assert_eq!(send(cookie(format!("at={token}; at={token}"))).await, 401);
    assert_eq!(send(gate.to(Method::GET, "/authz/read").header("cookie", format!("at={token}"))).await, 401);
}

/// The subject is the login app's to choose, extra claims the consent app's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phantom_token_says_what_introspection_says() {
    let gate = Gate::start(&[]).await;
    let web = gate.world.web_with(json!({"audience": ["https://api.example.com"]})).await;
    let consent = json!({"grant_access_token_audience": ["https://api.example.com"],
        "session": {"access_token": {"tenant": "größe 1", "roles": ["a"]}}});
    let code = gate.world.code_with(&web, &[("audience", "https://api.example.com")], consent).await;
    let tokens = gate.world.a.exchange(&web, &code, &[]).await;
    let token = tokens.get("access_token");
    let told = gate.world.a.introspect(&token).await.json();

    let answer = gate.introspect(&token, PHANTOM).await;
    assert_eq!((answer.status, answer.header("content-type").as_str()), (200, PHANTOM), "{}", answer.brief());
    let (claims, typ) = gate.verified(&answer.text).await;
    assert_eq!(typ, "at+jwt");
    for name in ["sub", "client_id", "aud", "iat", "exp", "nbf", "iss", "ext"] {
        assert_eq!(claims[name], told[name], "{name}: {claims}");
    }
    assert_eq!(json!(claims["scp"]), json!(["openid", "offline"]));
    let again = gate.introspect(&token, "application/jwt, application/json;q=0.5").await.text;
    assert_eq!(gate.verified(&again).await.0["jti"], claims["jti"], "one jti for each token");
    let by_operator = gate.world.a.to_admin(Method::POST, "/admin/oauth2/introspect").form(&[("token", &token)]);
    let by_operator = Peer::send(by_operator.header("accept", PHANTOM)).await;
    assert_eq!(gate.verified(&by_operator.text).await.0, claims);
    assert!(!gate.world.a.is_active(&answer.text).await, "a phantom is no token of its own");
    assert_eq!(gate.world.a.userinfo(&answer.text).await.status, 401);

    let authz = gate.authz("api", &token).await;
    assert_eq!(gate.verified(&authz.header("x-auth-token")).await.0, claims);
    assert_eq!(authz.header("x-auth-tenant"), "gr%C3%B6%C3%9Fe%201");

    for other in [tokens.get("refresh_token"), "nonsense".to_owned()] {
        let answer = gate.introspect(&other, PHANTOM).await;
        assert_eq!(
            (answer.status, answer.text.as_str(), answer.header("cache-control").as_str()),
            (204, "", "no-store")
        );
    }
    let jwt = gate.token_with("read", json!({"access_token_strategy": "jwt"})).await;
    assert_eq!(gate.introspect(&jwt, PHANTOM).await.text, jwt, "the phantom of a JWT is the JWT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_answer_is_for_who_asks() {
    let gate = Gate::start(&[]).await;
    let token = gate.token("read").await;
    let answer = gate.introspect(&token, SIGNED).await;
    assert_eq!((answer.status, answer.header("content-type").as_str()), (200, SIGNED), "{}", answer.brief());
    let (claims, typ) = gate.verified(&answer.text).await;
    assert_eq!(typ, "token-introspection+jwt");
    assert_eq!(claims["token_introspection"], gate.world.a.introspect(&token).await.json());
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!(gate.world.issuer()), &json!(gate.rs.0)));
    assert!((now() - claims["iat"].as_i64().unwrap()).abs() < 10);
    let names: std::collections::BTreeSet<_> = claims.as_object().unwrap().keys().map(String::as_str).collect();
    let four = ["aud", "iat", "iss", "token_introspection"].into();
    assert_eq!(names, four, "nothing else stands at the top");

    let (inactive, _) = gate.verified(&gate.introspect("nonsense", SIGNED).await.text).await;
    assert_eq!(inactive["token_introspection"], json!({"active": false}));
    let (id, secret) = gate.world.machine_with(json!({"audience": ["https://other.example"]})).await;
    let request = gate.to(Method::POST, "/oauth2/introspect").form(&[("token", &token)]).header("accept", SIGNED);
    let elsewhere = Peer::send(request.header("authorization", basic(&id, &secret))).await.text;
    assert_eq!(gate.verified(&elsewhere).await.0["token_introspection"], json!({"active": false}), "for another API");
    let nobody = gate.world.a.to_admin(Method::POST, "/admin/oauth2/introspect").form(&[("token", &token)]);
    let nobody = Peer::send(nobody.header("accept", SIGNED)).await;
    assert_eq!(nobody.json()["active"], true, "without a caller there is nobody to sign for: {}", nobody.brief());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_server_proves_who_it_is() {
    let gate = Gate::start(&[("SERVE_GATEWAY_BASE_URL", "http://gateway.internal:4446/")]).await;
    let (token, (id, secret)) = (gate.token("read").await, gate.rs.clone());
    let form = |more: &[(&'static str, &str)]| {
        let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
        [("token", token.clone())].into_iter().chain(more).collect::<Vec<_>>()
    };
    let asks = async |form: Vec<(&str, String)>, authorization: Option<&str>| {
        gate.asks(&form.iter().map(|(n, v)| (*n, v.as_str())).collect::<Vec<_>>(), authorization).await
    };
    let (post, post_secret) =
        gate.world.machine_with(json!({"token_endpoint_auth_method": "client_secret_post"})).await;
    let key = Key::es256("k");
    let signer = json!({"client_secret": null, "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256", "jwks": {"keys": [key.public()]}});
    let signer = gate.world.machine_with(signer).await.0;
    let bearer = gate.token_with("introspect", json!({"scope": "introspect"})).await;
    let (own, credentials) = (format!("Bearer {bearer}"), basic(&id, &secret));
    let both = [("client_id", id.as_str()), ("client_secret", secret.as_str())];
    let posted = [("client_id", post.as_str()), ("client_secret", post_secret.as_str())];
    for (what, form, authorization) in [
        ("basic", form(&[]), Some(credentials.as_str())),
        ("basic, and the same in the form", form(&both), Some(&credentials)),
        ("post", form(&posted), None),
        ("post, and the same in the header", form(&posted), Some(&basic(&post, &post_secret))),
        ("a token of its own", form(&[]), Some(&own)),
    ] {
        let answer = asks(form, authorization).await;
        assert_eq!((answer.status, &answer.json()["active"]), (200, &json!(true)), "{what}: {}", answer.brief());
    }
    for audience in [gate.world.issuer(), "http://gateway.internal:4446/oauth2/introspect".to_owned()] {
        let assertion = Assertion::new(&signer, &audience).sign(&key);
        let form: Vec<(&str, String)> =
            Assertion::form(&assertion)[1..].iter().map(|(n, v)| (*n, (*v).to_owned())).chain(form(&[])).collect();
        let answer = asks(form.clone(), None).await;
        assert_eq!(answer.json()["active"], true, "{audience}: {}", answer.brief());
        assert_eq!(asks(form, None).await.error(), "jti_known", "once");
    }

    let public = gate.world.web_with(json!({"client_secret": null, "token_endpoint_auth_method": "none"})).await.id;
    let pairwise = gate.world.web_with(json!({"subject_type": "pairwise"})).await;
    let (of_user, plain) = (user_token(&gate).await, gate.token("read").await);
    let wrong = [("client_id", id.as_str()), ("client_secret", "wrong")];
    for (what, form, authorization, status, error) in [
        ("nothing", form(&[]), None, 401, "invalid_client"),
        ("an id alone", form(&[("client_id", &id)]), None, 401, "invalid_client"),
        ("a public client", form(&[("client_id", &public)]), None, 401, "invalid_client"),
        ("a wrong secret", form(&[]), Some(basic(&id, "wrong")), 401, "invalid_client"),
        ("nobody", form(&[]), Some(basic("nobody", "x")), 401, "invalid_client"),
        ("two secrets", form(&wrong), Some(credentials.clone()), 400, "invalid_request"),
        ("two clients", form(&posted), Some(credentials.clone()), 400, "invalid_request"),
        (
            "a client with pairwise subjects",
            form(&[]),
            Some(basic(&pairwise.id, &pairwise.secret)),
            403,
            "request_forbidden",
        ),
        ("a token without the scope", form(&[]), Some(format!("Bearer {plain}")), 403, "insufficient_scope"),
        ("a user's token", form(&[]), Some(format!("Bearer {of_user}")), 403, "insufficient_scope"),
        ("no token at all", form(&[]), Some("Bearer nonsense".to_owned()), 401, "invalid_client"),
    ] {
        let answer = asks(form, authorization.as_deref()).await;
        assert_eq!((answer.status, answer.error().as_str()), (status, error), "{what}: {}", answer.brief());
        let challenges: Vec<_> =
            answer.headers.get_all("www-authenticate").iter().map(|v| v.to_str().unwrap()).collect();
        let expected = match status {
            401 => challenges.len() == 2 && challenges.iter().any(|c| c.starts_with("Basic realm=")),
            403 if error == "insufficient_scope" => {
                challenges == [r#"Bearer realm="signet", error="insufficient_scope", scope="introspect""#]
            }
            _ => challenges.is_empty(),
        };
        assert!(expected, "{what}: {challenges:?}");
        assert!(answer.json()["active"].is_null(), "{what}: {}", answer.brief());
    }
    assert_eq!(gate.asks(&[("scope", "read")], Some(&credentials)).await.error(), "invalid_request", "no token");
}

/// A user's access token with the scope `introspect`.
async fn user_token(gate: &Gate) -> String {
    let web = gate.world.web_with(json!({"scope": "introspect"})).await;
    let code = gate.world.code_with(&web, &[("scope", "introspect")], json!({})).await;
    gate.world.a.exchange(&web, &code, &[("redirect_uri", CALLBACK)]).await.get("access_token")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_named_resource_servers_may_ask() {
    let named = fresh("rs");
    let gate = Gate::start(&[("GATEWAY_RESOURCE_SERVERS", &named)]).await;
    let token = gate.token("read").await;
    assert_eq!(gate.introspect(&token, "*/*").await.error(), "request_forbidden");
    gate.world.machine_with(json!({"client_id": named, "client_secret": "a-secret-of-some-length"})).await;
    let answer = gate.asks(&[("token", &token)], Some(&basic(&named, "a-secret-of-some-length"))).await;
    assert_eq!(answer.json()["active"], true, "{}", answer.brief());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_answered_in_order() {
    let gate = Gate::start(&[]).await;
    let jwt = json!({"access_token_strategy": "jwt"});
    let (read, write, jwt) = (gate.token("read").await, gate.token("write").await, gate.token_with("read", jwt).await);
    let refresh = gate.world.tokens(&gate.world.web().await).await.get("refresh_token");
    let tokens = json!([write, "nonsense", read, jwt, refresh, read]);
    let operator = |body: Value| gate.world.a.to_admin(Method::POST, "/admin/oauth2/introspect/batch").json(&body);
    let credentials = basic(&gate.rs.0, &gate.rs.1);
    let server = |body: Value| {
        gate.to(Method::POST, "/oauth2/introspect/batch").json(&body).header("authorization", &credentials)
    };
    for request in [operator(json!({"tokens": tokens})), server(json!({"tokens": tokens}))] {
        let answer = Peer::send(request).await;
        assert_eq!((answer.status, answer.header("cache-control").as_str()), (200, "no-store"), "{}", answer.brief());
        let answers = answer.json();
        assert_eq!(answers.as_array().unwrap().len(), 6);
        for (at, token) in tokens.as_array().unwrap().iter().enumerate() {
            let alone = gate.world.a.introspect(token.as_str().unwrap()).await.json();
            assert_eq!(answers[at], alone, "{at}");
        }
    }
    let scoped = Peer::send(operator(json!({"tokens": tokens, "scope": "read"}))).await.json();
    let active: Vec<_> = scoped.as_array().unwrap().iter().map(|one| one["active"] == true).collect();
    assert_eq!(active, [false, false, true, true, false, true]);
    assert_eq!(Peer::send(operator(json!({"tokens": []}))).await.text, "[]");
    for bad in [json!({"tokens": vec!["x"; 101]}), json!({"token": "x"}), json!(["x"]), json!({"tokens": [1]})] {
        assert_eq!(Peer::send(operator(bad.clone())).await.status, 400, "{bad}");
        assert_eq!(Peer::send(server(bad)).await.status, 400);
    }
    let nobody = gate.to(Method::POST, "/oauth2/introspect/batch").json(&json!({"tokens": tokens}));
    assert_eq!(Peer::send(nobody).await.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_may_be_kept_as_long_as_the_operator_and_the_token_allow() {
    let gate = Gate::start(&[("INTROSPECTION_HTTP_MAX_AGE", "20s")]).await;
    let short = json!({"client_credentials_grant_access_token_lifespan": "5s"});
    let (long, short) = (gate.token("read").await, gate.token_with("read", short).await);
    let seconds = |answer: &Answer| -> u64 {
        let header = answer.header("cache-control");
        header.strip_prefix("max-age=").unwrap_or_else(|| panic!("{header:?}")).parse().unwrap()
    };
    let operators = gate.world.a.introspect(&long).await;
    for (answer, vary) in [
        (gate.introspect(&long, "*/*").await, "Authorization, Accept"),
        (gate.introspect(&long, PHANTOM).await, "Authorization, Accept"),
        (gate.introspect(&long, SIGNED).await, "Authorization, Accept"),
        (operators, "Authorization, Accept"),
        (gate.authz("read", &long).await, "Authorization"),
        (gate.authz("web", &long).await, "Authorization, Cookie"),
    ] {
        assert_eq!((seconds(&answer), answer.header("vary").as_str()), (20, vary), "{}", answer.brief());
        assert!(!answer.headers.contains_key("pragma"));
    }
    for answer in [gate.introspect(&short, "*/*").await, gate.authz("read", &short).await] {
        assert!(seconds(&answer) <= 5, "{:?}", answer.headers);
    }
    for answer in [
        gate.introspect("nonsense", "*/*").await,
        gate.introspect("nonsense", PHANTOM).await,
        gate.introspect("nonsense", SIGNED).await,
        gate.authz("read", "nonsense").await,
        gate.authz("any", &long).await,
        gate.asks(&[("token", &long)], None).await,
    ] {
        assert_eq!(answer.header("cache-control"), "no-store", "{}", answer.brief());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forms_may_come_in_parts_or_in_chunks() {
    let gate = Gate::start(&[]).await;
    let token = gate.token("read").await;
    let parts = format!("--b\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\n{token}\r\n--b--\r\n");
    for url in [format!("{}/oauth2/introspect", gate.url), format!("{}/admin/oauth2/introspect", gate.world.a.admin)] {
        let request = gate.world.a.to(Method::POST, &url).header("authorization", basic(&gate.rs.0, &gate.rs.1));
        let request = request.header("content-type", "multipart/form-data; boundary=b").body(parts.clone());
        let answer = Peer::send(request).await;
        assert_eq!(answer.json()["active"], true, "{url}: {}", answer.brief());
    }
    let (id, secret) = resource_server(&gate.world.a).await;
    let answer =
        raw(&gate.url, super::contracts::chunked(&token, &basic(&id, &secret)).as_bytes(), Duration::from_secs(5));
    assert!(answer.contains(r#""active":true"#), "{answer}");
}
