//! A server behind a proxy that is set up wrongly.

use serde_json::{Value, json};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use super::{Cases, Question};
use crate::harness::{Database, SECRET, Server, Spoiler, says, with_body};

const DISCOVERY: &str = "GET /.well-known/openid-configuration";

/// A server on SQLite whose issuer is the proxy's URL.
async fn behind(proxy: &Spoiler, database: &Database, more: &[(&str, &str)]) -> (Server, Question) {
    let dsn = database.dsn();
    Server::migrate(&dsn);
    let issuer = format!("{}/", proxy.url);
    let mut env = vec![("OIDC_SUBJECT_IDENTIFIERS_SUPPORTED_TYPES", "public"), ("KEYS_ALGORITHM", "ES256")];
    env.extend_from_slice(more);
    let server = Server::start(&dsn, Some(&issuer), &env).await;
    if let Database::Sqlite { dir } = database {
        std::fs::set_permissions(dir.path().join("signet.sqlite"), Permissions::from_mode(0o600)).unwrap();
    }
    let page = format!("{issuer}oauth2/fallbacks/login");
    let port = |url: &str| url.rsplit(':').next().unwrap().to_owned();
    let mut all = vec![
        ("DSN", dsn.clone()),
        ("SECRETS_SYSTEM", SECRET.to_owned()),
        ("KEYS_ALGORITHM", "ES256".to_owned()),
        ("URLS_SELF_ISSUER", issuer),
        ("URLS_LOGIN", page.clone()),
        ("URLS_CONSENT", page),
        ("SERVE_PUBLIC_HOST", "127.0.0.1".to_owned()),
        ("SERVE_PUBLIC_PORT", port(&server.peer.public)),
        ("SERVE_ADMIN_PORT", port(&server.peer.admin)),
    ];
    all.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let env = all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    (server, Question { env, args: vec!["--dev".to_owned()] })
}

/// The document with one member replaced.
fn member(answer: &str, name: &str, value: Value) -> String {
    with_body(answer, |body| {
        let mut document: Value = serde_json::from_str(body).unwrap();
        document[name] = value;
        document.to_string()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_spoils_what_passes_is_named() {
    let (database, proxy) = (Database::sqlite(), Spoiler::start(Box::new(|_| says(503, "", ""))));
    let (server, question) = behind(&proxy, &database, &[]).await;
    let (public, admin) = (server.peer.public.clone(), server.peer.admin.clone());
    let mut cases = Cases::default();

    let to = public.clone();
    proxy.set(Box::new(move |p| p.on_to(&to, "")));
    cases.case("nothing", &question, &[]);
    cases.case("Secure without https", &question.with(&[("SERVE_COOKIES_SECURE", "true")], &[]), &["cookies.secure"]);
    let none = question.with(&[("SERVE_COOKIES_SAME_SITE_MODE", "None")], &[]);
    cases.case("SameSite=None without Secure", &none, &["cookies.same-site"]);

    let to = public.clone();
    proxy.set(Box::new(move |p| {
        if p.line == DISCOVERY { says(301, "Location: https://127.0.0.1/\r\n", "") } else { p.on_to(&to, "") }
    }));
    cases.case("to https", &question, &["issuer.scheme"]);

    let to = public.clone();
    proxy.set(Box::new(move |p| {
        if p.line == DISCOVERY { says(302, "Location: http://other.example/\r\n", "") } else { p.on_to(&to, "") }
    }));
    cases.case("elsewhere", &question, &["issuer.redirected"]);

    proxy.set(Box::new(|_| says(404, "", "<html>no such site</html>")));
    cases.case("another site", &question, &["issuer.not-served", "discovery.endpoint", "pages.unreachable"]);

    let to = public.clone();
    proxy.set(Box::new(move |p| {
        let answer = p.on_to(&to, "");
        if p.line == DISCOVERY { member(&answer, "issuer", json!("http://other.example/")) } else { answer }
    }));
    cases.case("another issuer", &question, &["issuer.mismatch"]);

    let to = public.clone();
    proxy.set(Box::new(move |p| {
        let answer = p.on_to(&to, "");
        if p.line == DISCOVERY { member(&answer, "scopes_supported", json!(["openid"])) } else { answer }
    }));
    cases.case("an old document", &question, &["discovery.rewritten"]);

    let to = public.clone();
    proxy.set(Box::new(move |p| {
        let answer = p.on_to(&to, "");
        if p.line.contains("jwks.json") {
            member(&answer, "keys", json!([{"kid": "last-year", "kty": "EC"}]))
        } else {
            answer
        }
    }));
    cases.case("old keys", &question, &["jwks.missing-key", "jwks.unknown-key"]);

    let to = public.clone();
    proxy.set(Box::new(move |p| if p.line.starts_with("POST") { says(405, "", "") } else { p.on_to(&to, "") }));
    cases.case("GET alone", &question, &["discovery.endpoint"]);

    let to = public.clone();
    let inner = admin.clone();
    proxy.set(Box::new(move |p| p.on_to(if p.line.contains(" /admin") { &inner } else { &to }, "")));
    cases.case("the admin API for all", &question, &["admin.public"]);

    proxy.set(Box::new(move |p| p.on_to(&public, "")));
    let inner = admin.clone();
    let odd = Spoiler::start(Box::new(move |p| {
        let answer = p.on_to(&inner, "");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let lines: Vec<&str> = head.lines().filter(|l| !l.to_lowercase().starts_with("date:")).collect();
        format!("{}\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n{body}", lines.join("\r\n"))
    }));
    cases.case("an old clock", &question.with(&[], &["--admin", &odd.url]), &["server.clock"]);
    let inner = admin.clone();
    odd.set(Box::new(move |p| {
        if p.line == "GET /version" { says(200, "", r#"{"version":"v0.0.1"}"#) } else { p.on_to(&inner, "") }
    }));
    cases.case("an old server", &question.with(&[], &["--admin", &odd.url]), &["server.version"]);
    odd.set(Box::new(move |p| {
        if p.line.contains("ready") { says(503, "", r#"{"errors":{"database":"away"}}"#) } else { p.on_to(&admin, "") }
    }));
    cases.case("not ready", &question.with(&[], &["--admin", &odd.url]), &["server.not-ready"]);
    cases.end(12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_ends_tls_and_does_not_say_so_is_named() {
    let (database, proxy) = (Database::sqlite(), Spoiler::start(Box::new(|_| says(503, "", ""))));
    let tls = [("SERVE_PUBLIC_TLS_ENABLED", "true"), ("SERVE_PUBLIC_TLS_ALLOW_TERMINATION_FROM", "127.0.0.1/32")];
    let (server, question) = behind(&proxy, &database, &tls).await;
    let (one, other) = (server.peer.public.clone(), server.peer.public.clone());
    let mut cases = Cases::default();
    proxy.set(Box::new(move |p| p.on_to(&one, "X-Forwarded-Proto: https\r\n")));
    cases.case("it says so", &question, &[]);
    proxy.set(Box::new(move |p| p.on_to(&other, "X-Forwarded-Proto: http\r\n")));
    cases.case("it does not", &question, &["proxy.untrusted", "discovery.endpoint", "pages.unreachable"]);
    cases.end(2);
}
