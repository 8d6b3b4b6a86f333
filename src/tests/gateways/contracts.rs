//! Requests as gateways send them, byte for byte but for the token: recorded on the wire where the gateway could be run,
//! else taken from its source or documentation. Each must get the answer that its gateway acts on.

use std::time::Duration;

use super::Gate;
use crate::harness::{basic, raw};
use crate::jose::{Assertion, Key};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(5);

/// HAProxy's httpclient: lower case, chunked, no length.
pub fn chunked(token: &str, authorization: &str) -> String {
    let body = format!("token={token}");
    format!(
        "POST /oauth2/introspect HTTP/1.1\r\nhost: 127.0.0.1:4446\r\nuser-agent: HAProxy\r\naccept: */*\r\n\
         content-type: application/x-www-form-urlencoded\r\nauthorization: {authorization}\r\nconnection: close\r\n\
         transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    )
}

/// A POST of a form with these header lines.
fn post(headers: &str, body: &str) -> String {
    format!(
        "POST /oauth2/introspect HTTP/1.1\r\nHost: signet:4446\r\n{headers}Content-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The status, the head in lower case, and the body of an answer.
fn asked(gate: &Gate, request: &str) -> (u16, String, String) {
    let answer = raw(&gate.url, request.as_bytes(), PATIENCE);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, head.to_lowercase(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn introspection_as_gateways_ask_for_it() {
    let gate = Gate::start(&[]).await;
    let token = gate.token("read").await;
    let (id, secret) = gate.rs.clone();
    let credentials = basic(&id, &secret);
    let oathkeeper = gate.token_with("introspect", json!({"scope": "introspect"})).await;
    let authorization = format!("Authorization: {credentials}\r\n");
    for (who, request) in [
        ("HAProxy", chunked(&token, &credentials)),
        (
            "nginx njs",
            format!(
                "POST /oauth2/introspect HTTP/1.0\r\nHost: as\r\nAccept: application/json\r\n{authorization}\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\ntoken={token}",
                token.len() + 6
            ),
        ),
        (
            "lua-resty-openidc and APISIX openid-connect, the secret both ways",
            post(
                &format!("User-Agent: lua-resty-http/0.17\r\n{authorization}"),
                &format!("client_id={id}&client_secret={secret}&token={token}"),
            ),
        ),
        (
            "Kong oauth2-introspection",
            post(
                &format!(
                    "{authorization}X-Request-Path: /orders\r\nX-Request-Http-Method: GET\r\nAccept: application/json\r\n"
                ),
                &format!("token={token}&token_type_hint=access_token"),
            ),
        ),
        (
            "Kong openid-connect",
            post(
                &format!("{authorization}Accept: application/json\r\nUser-Agent: kong\r\n"),
                &format!("token={token}&token_type_hint=access_token"),
            ),
        ),
        (
            "Oathkeeper, by a token of its own",
            post(
                &format!(
                    "User-Agent: Go-http-client/1.1\r\nAuthorization: Bearer {oathkeeper}\r\nAccept-Encoding: gzip\r\n"
                ),
                &format!("scope=read&token={token}"),
            ),
        ),
        (
            "mod_auth_openidc",
            post(&format!("User-Agent: mod_auth_openidc\r\nAccept: */*\r\n{authorization}"), &format!("token={token}")),
        ),
        (
            "mod_oauth2",
            post(
                &format!("User-Agent: mod_oauth2\r\nAccept: */*\r\n{authorization}"),
                &format!("token={token}&token_type_hint=access_token"),
            ),
        ),
    ] {
        let (status, head, body) = asked(&gate, &request);
        assert_eq!(status, 200, "{who}: {head} {body}");
        let answer: serde_json::Value = serde_json::from_str(&body).unwrap_or_else(|e| panic!("{who}: {e}: {body}"));
        assert_eq!(answer["active"], true, "{who}");
        // What they read: integers, a list, and Hydra's own words.
        assert!(answer["exp"].is_i64() && answer["iat"].is_i64() && answer["aud"].is_array(), "{who}: {answer}");
        assert_eq!((&answer["token_use"], &answer["scope"]), (&json!("access_token"), &json!("read")), "{who}");
        assert!(answer["client_id"].is_string() && answer["sub"].is_string() && answer["iss"].is_string(), "{who}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn phantom_tokens_as_the_curity_module_and_kong_ask_for_them() {
    let gate = Gate::start(&[]).await;
    let token = gate.token("read").await;
    let authorization = format!("Authorization: {}\r\n", basic(&gate.rs.0, &gate.rs.1));
    let curity = |token: &str| post(&format!("{authorization}Accept: application/jwt\r\n"), &format!("token={token}"));
    let (status, head, jwt) = asked(&gate, &curity(&token));
    assert!(
        status == 200 && head.contains("content-type: application/jwt") && jwt.split('.').count() == 3,
        "{head} {jwt}"
    );
    let (status, head, body) = asked(&gate, &curity("nonsense"));
    assert!(status == 204 && body.is_empty(), "{head} {body}");
    let wrong = post("Authorization: Basic eDp5\r\nAccept: application/jwt\r\n", &format!("token={token}"));
    assert_eq!(asked(&gate, &wrong).0, 401, "the module answers 502, not 401");
    let kong = post(
        &format!("{authorization}Accept: application/token-introspection+jwt\r\n"),
        &format!("token={token}&token_type_hint=access_token"),
    );
    let (status, head, _) = asked(&gate, &kong);
    assert!(status == 200 && head.contains("content-type: application/token-introspection+jwt"), "{head}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lua_resty_openidc_signs_for_the_endpoint() {
    let gate = Gate::start(&[("SERVE_GATEWAY_BASE_URL", "http://signet:4446")]).await;
    let token = gate.token("read").await;
    let key = Key::rs256("k");
    let client = json!({"client_secret": null, "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [key.public()]}});
    let id = gate.world.machine_with(client).await.0;
    let assertion = Assertion::new(&id, "http://signet:4446/oauth2/introspect").sign(&key);
    let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
    let body = format!("client_id={id}&client_assertion_type={kind}&client_assertion={assertion}&token={token}");
    let (status, head, body) = asked(&gate, &post("", &body));
    assert!(status == 200 && body.contains(r#""active":true"#), "{head} {body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authz_as_gateways_ask_for_it() {
    let gate = Gate::start(&[]).await;
    let token = gate.token("read").await;
    let ask = |line: &str, headers: &str, token: &str| {
        format!(
            "{line} HTTP/1.1\r\nHost: signet:4446\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n{headers}\r\n"
        )
    };
    let forwarded = "X-Forwarded-For: 10.1.2.3\r\nX-Forwarded-Method: POST\r\nX-Forwarded-Proto: https\r\n\
        X-Forwarded-Host: api.example.com\r\nX-Forwarded-Uri: /orders?x=1\r\n";
    for (who, line, headers) in [
        (
            "nginx",
            "GET /authz/read",
            "Content-Type: application/json\r\nX-Original-URI: /orders\r\nX-Original-Method: POST\r\n",
        ),
        (
            "Envoy",
            "POST /authz/read/orders/7?x=%2F..",
            "content-length: 0\r\nx-envoy-internal: true\r\nx-envoy-expected-rq-timeout-ms: 1000\r\n",
        ),
        ("Envoy, no body", "DELETE /authz/read/orders//7;v=1", "content-length: 0\r\n"),
        ("Traefik", "GET /authz/read", forwarded),
        (
            "Caddy",
            "GET /authz/read",
            "X-Forwarded-Method: POST\r\nX-Forwarded-Uri: /x\r\nContent-Type: text/plain\r\nAccept-Encoding: gzip\r\n",
        ),
        ("APISIX forward-auth", "GET /authz/read", forwarded),
        ("APISIX forward-auth by POST", "POST /authz/read", "X-Forwarded-Method: POST\r\nContent-Length: 2\r\n"),
        ("Oathkeeper remote", "POST /authz/read", "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n"),
    ] {
        let body = match who {
            "APISIX forward-auth by POST" => "{}",
            "Oathkeeper remote" => "2\r\n{}\r\n0\r\n\r\n",
            _ => "",
        };
        let (status, head, said) = asked(&gate, &(ask(line, headers, &token) + body));
        assert!(status == 200 && said.is_empty() && head.contains("x-auth-subject: machine-"), "{who}: {head} {said}");
        let (status, head, said) = asked(&gate, &(ask(line, headers, "nonsense") + body));
        let challenged = head.contains("www-authenticate: bearer realm=\"signet\", error=\"invalid_token\"");
        assert!(status == 401 && said.is_empty() && challenged, "{who}: {head} {said}");
    }
    let old = format!("GET /authz/read HTTP/1.0\r\nAuthorization: bearer {token}\r\n\r\n");
    assert_eq!(asked(&gate, &old).0, 200, "nginx without proxy_http_version");
}

/// KrakenD and Istio's RequestAuthentication ask for the keys alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keys_as_krakend_asks_for_them() {
    let gate = Gate::start(&[]).await;
    let request = "GET /.well-known/jwks.json HTTP/1.1\r\nHost: signet:4446\r\nUser-Agent: KrakenD Version 2.9\r\n\
        Accept: application/json\r\nConnection: close\r\n\r\n";
    let (status, head, body) = asked(&gate, request);
    let keys: serde_json::Value = serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {head} {body}"));
    assert_eq!(status, 200);
    assert!(head.contains("etag: "), "{head}");
    let keys = keys["keys"].as_array().unwrap();
    assert!(
        keys.len() >= 2 && keys.iter().all(|key| key["kid"].is_string() && key["alg"] == "ES256" && key["d"].is_null())
    );
}
