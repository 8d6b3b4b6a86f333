//! Family H: bytes, sizes, paths, methods.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::harness::{Answer, Case, Peer, World, basic, cases, fresh, machine, raw};

const FAMILY: [Case; 13] = cases! {
    "H01" "two lengths, length and chunks, odd chunk headers" => smuggling,
    "H02" "the Host header decides nothing" => host,
    "H03" "long heads, addresses and bodies" => large,
    "H04" "slow heads and slow bodies are cut off" => slow,
    "H05" "a compressed request" => compressed,
    "H06" "forms that are not UTF-8, and NUL" => not_utf8,
    "H07" "methods that are not there, or are hidden in a header" => methods,
    "H08" "paths that are written otherwise; admin paths on the public listener" => paths,
    "H09" "content types that are no form" => content_types,
    "H10" "no origin is allowed that was not configured" => cors,
    "H11" "many parameters, deep JSON, huge numbers" => many,
    "H14" "control characters in headers and names" => control_characters,
    "H15" "page tokens of another making, and huge pages" => pages,
};
super::on_both!(FAMILY);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h16_injection_strings_in_every_parameter_sqlite() {
    injection(&World::sqlite(&super::SETTINGS).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h16_injection_strings_in_every_parameter_two_replicas() {
    let Some(world) = World::postgres(&super::SETTINGS).await else { return };
    injection(&world).await;
}

const FORM: &str = "application/x-www-form-urlencoded";
const SHORT: Duration = Duration::from_secs(3);

/// The status of a raw answer; 0 when the connection was closed without one.
fn status_of(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// Writes raw bytes from a thread of their own.
async fn send_raw(base: &str, bytes: Vec<u8>, patience: Duration) -> String {
    let base = base.to_owned();
    tokio::task::spawn_blocking(move || raw(&base, &bytes, patience)).await.unwrap()
}

fn a_client_error(what: &str, answer: &Answer) {
    assert!((400..500).contains(&answer.status), "{what}: {}", answer.brief());
}

async fn smuggling(world: &World) {
    let body = "grant_type=client_credentials";
    let head =
        |headers: &str| format!("POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\n{headers}\r\n\r\n");
    for (what, text) in [
        ("two lengths", head("Content-Length: 29\r\nContent-Length: 5") + body),
        ("length and chunks", head("Content-Length: 5\r\nTransfer-Encoding: chunked") + "0\r\n\r\n"),
        ("signed length", head("Content-Length: +29") + body),
        ("list of lengths", head("Content-Length: 29, 29") + body),
        ("odd coding", head("Transfer-Encoding: xchunked") + "0\r\n\r\n"),
        ("space before the colon", head("Content-Length : 29") + body),
        ("NUL in a header", head("X-A: a\0b\r\nContent-Length: 29") + body),
    ] {
        let answer = send_raw(&world.a.public, text.into_bytes(), SHORT).await;
        assert!([0, 400, 501].contains(&status_of(&answer)), "{what}: {}", answer.lines().next().unwrap_or_default());
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{what}: two answers");
    }
}

async fn host(world: &World) {
    for (name, value) in
        [("host", "evil.example"), ("x-forwarded-host", "evil.example"), ("forwarded", "host=evil.example;proto=https")]
    {
        let path = "/.well-known/openid-configuration";
        let answer = Peer::send(world.a.to_public(Method::GET, path).header(name, value)).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.text.contains("evil"), "{name}: {}", answer.brief());
        assert_eq!(answer.get("issuer"), world.issuer());
    }
}

async fn large(world: &World) {
    let (id, secret) = world.machine().await;
    let long = format!("/oauth2/token?x={}", "a".repeat(100_000));
    let answer = Peer::send(world.a.to_public(Method::GET, &long)).await;
    assert!([0, 400, 404, 405, 414, 431].contains(&answer.status), "URI: {}", answer.brief());
    let headers = (0..300).map(|n| format!("X-{n}: {}\r\n", "a".repeat(1_000))).collect::<String>();
    let head = format!("GET /health/alive HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    let answer = send_raw(&world.a.public, head.into_bytes(), SHORT).await;
    assert!([0, 400, 413, 431].contains(&status_of(&answer)), "head: {}", answer.lines().next().unwrap_or_default());
    let scope = "a".repeat(2_000_000);
    let answer = world
        .a
        .form("/oauth2/token", &[("grant_type", "client_credentials"), ("scope", &scope)], Some((&id, &secret)))
        .await;
    assert!([0, 400, 413].contains(&answer.status), "form: {}", answer.brief());
    let mut client = machine(&fresh("large"), "a-secret");
    client["metadata"] = json!({"a": "b".repeat(20_000_000)});
    let answer = world.a.admin(Method::POST, "/admin/clients", Some(client)).await;
    assert!([0, 400, 413].contains(&answer.status), "JSON: {}", answer.brief());
    assert!(world.a.is_ready().await);
}

async fn slow(world: &World) {
    for (what, text) in [
        ("head", "POST /oauth2/token HTTP/1.1\r\nHost:".to_owned()),
        (
            "body",
            format!(
                "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: 1000\r\n\r\ngrant"
            ),
        ),
    ] {
        let began = Instant::now();
        let answer = send_raw(&world.a.public, text.into_bytes(), Duration::from_secs(25)).await;
        assert!(began.elapsed() < Duration::from_secs(20), "a slow {what} is held open");
        assert!([0, 400, 408].contains(&status_of(&answer)), "{what}: {}", answer.lines().next().unwrap_or_default());
    }
}

async fn compressed(world: &World) {
    let (id, secret) = world.machine().await;
    let gzip =
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03K/J\xcc+\x89/\xa9,H\xb5M\xceI\xcdL\xce/J.\xcaM,.)O,J\xcdL\xcc)\x06\0".to_vec();
    let request = world.a.to_public(Method::POST, "/oauth2/token").header("authorization", basic(&id, &secret));
    let answer = Peer::send(request.header("content-type", FORM).header("content-encoding", "gzip").body(gzip)).await;
    assert!([400, 415].contains(&answer.status), "{}", answer.brief());
}

async fn not_utf8(world: &World) {
    let (id, secret) = world.machine().await;
    for body in [
        &b"grant_type=client_credentials&scope=\xff\xfe"[..],
        b"grant_type=client_credentials&scope=%ff%fe",
        b"grant_type=client_credentials&scope=%00",
        b"grant_type=client_credentials&scope=\0",
    ] {
        let request = world.a.to_public(Method::POST, "/oauth2/token").header("authorization", basic(&id, &secret));
        a_client_error(
            &format!("{body:?}"),
            &Peer::send(request.header("content-type", FORM).body(body.to_vec())).await,
        );
    }
    for token in ["a\0b", "ory_at_\0.\0"] {
        let answer = world.a.introspect(token).await;
        assert!([200, 400].contains(&answer.status) && answer.json()["active"] != true, "{}", answer.brief());
    }
    let answer = world.a.admin(Method::POST, "/admin/clients", Some(json!({"client_name": "a\0b"}))).await;
    assert!([201, 400].contains(&answer.status), "{}", answer.brief());
    a_client_error("an id with NUL", &world.a.admin(Method::GET, "/admin/clients/a%00b", None).await);
    a_client_error("an id that is not UTF-8", &world.a.admin(Method::GET, "/admin/clients/%ff", None).await);
}

async fn methods(world: &World) {
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::TRACE, Method::PATCH] {
        let answer = Peer::send(world.a.to_public(method.clone(), "/oauth2/token")).await;
        assert!([404, 405].contains(&answer.status), "{method}: {}", answer.brief());
    }
    let request = world.a.to_public(Method::GET, "/oauth2/token").header("x-http-method-override", "POST");
    assert!([404, 405].contains(&Peer::send(request).await.status), "a method in a header");
    let (id, _) = world.machine().await;
    let request = world.a.to_admin(Method::POST, &format!("/admin/clients/{id}?_method=DELETE"));
    assert!([404, 405].contains(&Peer::send(request.header("x-http-method-override", "DELETE")).await.status));
    assert_eq!(
        world.a.admin(Method::GET, &format!("/admin/clients/{id}"), None).await.status,
        200,
        "it is still there"
    );
    let head = Peer::send(world.a.to_public(Method::HEAD, "/health/alive")).await;
    assert!([200, 405].contains(&head.status) && head.text.is_empty(), "{}", head.brief());
}

async fn paths(world: &World) {
    for path in [
        "/admin/clients",
        "/%61dmin/clients",
        "/clients",
        "/admin/keys/x",
        "//admin/clients",
        "/./admin/clients",
        "/oauth2/../admin/clients",
        "/admin/oauth2/introspect",
        "/oauth2/introspect",
        "/admin;x/clients",
        "/ADMIN/clients",
        "/health/alive/../../admin/clients",
        "/metrics/prometheus",
        "/admin/metrics/prometheus",
        "/version",
    ] {
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = send_raw(&world.a.public, head.into_bytes(), SHORT).await;
        assert!(
            [400, 404, 405].contains(&status_of(&answer)),
            "{path} on the public listener: {}",
            answer.lines().next().unwrap_or_default()
        );
    }
    for path in [
        "//oauth2/token",
        "/oauth2//token",
        "/oauth2/./token",
        "/oauth2/token;x",
        "/oauth2/x/../token",
        "/OAUTH2/token",
    ] {
        let body = "grant_type=client_credentials";
        let text = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {FORM}\r\nContent-Length: 29\r\n\r\n{body}"
        );
        let answer = send_raw(&world.a.public, text.into_bytes(), SHORT).await;
        assert!(
            [307, 308, 400, 404].contains(&status_of(&answer)),
            "{path}: {}",
            answer.lines().next().unwrap_or_default()
        );
    }
}

async fn content_types(world: &World) {
    let (id, secret) = world.machine().await;
    let json = r#"{"grant_type":"client_credentials"}"#;
    let form = "grant_type=client_credentials";
    for (kind, body) in [
        ("application/json", json),
        ("text/plain", form),
        ("application/x-www-form-urlencoded; charset=utf-16", form),
        ("", form),
        (
            "multipart/form-data; boundary=x",
            "--x\r\nContent-Disposition: form-data; name=\"grant_type\"\r\n\r\nclient_credentials\r\n--x--\r\n",
        ),
    ] {
        let request = world.a.to_public(Method::POST, "/oauth2/token").header("authorization", basic(&id, &secret));
        let answer = Peer::send(request.header("content-type", kind).body(body)).await;
        assert!([400, 415].contains(&answer.status), "{kind}: {}", answer.brief());
    }
}

async fn cors(world: &World) {
    for origin in ["https://evil.example", "null", "http://127.0.0.1"] {
        for peer in
            [world.a.to_public(Method::GET, "/.well-known/jwks.json"), world.a.to_admin(Method::GET, "/admin/clients")]
        {
            let answer = Peer::send(peer.header("origin", origin)).await;
            assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
        }
    }
}

async fn many(world: &World) {
    let (id, secret) = world.machine().await;
    let began = Instant::now();
    let body =
        "grant_type=client_credentials".to_owned() + &(0..100_000).map(|n| format!("&k{n}=v")).collect::<String>();
    let request = world.a.to_public(Method::POST, "/oauth2/token").header("authorization", basic(&id, &secret));
    let answer = Peer::send(request.header("content-type", FORM).body(body)).await;
    assert!([0, 400, 413].contains(&answer.status), "{}", answer.brief());
    let post = |body: String| {
        world.a.to_admin(Method::POST, "/admin/clients").header("content-type", "application/json").body(body)
    };
    let deep = format!(r#"{{"metadata":{}1{}}}"#, "[".repeat(1_000), "]".repeat(1_000));
    a_client_error("deep", &Peer::send(post(deep)).await);
    for number in ["1e999", "99999999999999999999999999", "-0", "0.1"] {
        let answer = Peer::send(post(format!(r#"{{"client_secret_expires_at":{number}}}"#))).await;
        assert!([201, 400].contains(&answer.status), "{number}: {}", answer.brief());
    }
    assert!(began.elapsed() < Duration::from_secs(10), "cost {:?}", began.elapsed());
}

async fn control_characters(world: &World) {
    let id = fresh("name");
    let mut client = machine(&id, "a-secret-here");
    client["client_name"] = json!("a\r\nb\u{1b}[31mc");
    let answer = world.a.admin(Method::POST, "/admin/clients", Some(client)).await;
    assert!([201, 400].contains(&answer.status), "{}", answer.brief());
    let request = world
        .a
        .to_public(Method::GET, "/health/alive")
        .header("x-request-id", "a b\"c")
        .header("user-agent", "\u{9b}31m");
    assert_eq!(Peer::send(request).await.status, 200);
}

async fn pages(world: &World) {
    for token in ["zzz", "' OR 1=1", "eyJwYWdlIjoxfQ", "%00", &"a".repeat(5_000)] {
        let answer = world.a.list_clients("page_token", token).await;
        a_client_error(token, &answer);
    }
    for size in ["1000000000", "-1", "0", "abc", "99999999999999999999999"] {
        let answer = world.a.list_clients("page_size", size).await;
        assert!([200, 400].contains(&answer.status), "{size}: {}", answer.brief());
        assert!(answer.json().as_array().is_none_or(|clients| clients.len() <= 1_000), "{size}");
    }
}

async fn injection(world: &World) {
    let (id, secret) = world.machine().await;
    for text in [
        "'",
        "' OR '1'='1",
        "\"; DROP TABLE client; --",
        "$1",
        "%27%20OR%201=1",
        "\\",
        "{\"$ne\":null}",
        "é'\u{202e}",
        "${7*7}",
    ] {
        let forms: [(&str, Vec<(&str, &str)>); 4] = [
            ("/oauth2/token", vec![("grant_type", text)]),
            ("/oauth2/token", vec![("grant_type", "client_credentials"), ("scope", text)]),
            ("/oauth2/token", vec![("grant_type", "client_credentials"), ("audience", text)]),
            ("/oauth2/revoke", vec![("token", text), ("token_type_hint", text)]),
        ];
        for (path, form) in forms {
            let answer = world.a.form(path, &form, Some((&id, &secret))).await;
            assert!((200..500).contains(&answer.status), "{path} {text:?}: {}", answer.brief());
        }
        let answer = world.a.client_credentials(text, text).await;
        assert!([400, 401].contains(&answer.status), "as client {text:?}: {}", answer.brief());
        assert_eq!(world.a.introspect(text).await.json()["active"], false, "{text:?}");
        for path in ["/admin/clients/", "/admin/keys/", "/admin/keys/x/"] {
            let segment = url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
            let answer = world.a.admin(Method::GET, &format!("{path}{segment}"), None).await;
            a_client_error(&format!("{path} {text:?}"), &answer);
        }
        for key in ["client_name", "owner", "page_token"] {
            let answer = world.a.list_clients(key, text).await;
            assert!([200, 400].contains(&answer.status), "{key}={text:?}: {}", answer.brief());
        }
    }
    assert_eq!(world.b.client_credentials(&id, &secret).await.status, 200, "all is as it was");
}
