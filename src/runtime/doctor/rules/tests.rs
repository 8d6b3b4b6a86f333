//! Each rule on facts made up for it: what no test can bring about in the world is judged here.

use super::super::facts::{Answer, Certificate, Facts, Host, Key, Server};
use super::judge;
use crate::actors::key_manager::ID_TOKEN_SET;
use crate::config::{Mode, Sources, despite_faults, status};
use crate::domain::world::Timestamp;
use crate::http::public::well_known::document;
use crate::runtime::probe::{Heard, Unheard};
use crate::runtime::rules::rules;
use crate::store::introspection_cache::RedisSurvey;
use crate::store::{Migration, Sealed, ServerSays, Survey};
use serde_json::{Value, json};
use std::time::Duration;

const ISSUER: &str = "https://id.example/";
const DAY: Duration = Duration::from_secs(86_400);

fn now() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

fn heard(status: u16, body: &Value) -> Answer {
    Ok(Heard { status, location: None, date: None, text: body.to_string(), took: Duration::ZERO })
}

fn silent() -> Answer {
    Err(Unheard { why: "refused".to_owned(), bad_certificate: false })
}

fn sources(env: &[(&str, &str)]) -> Sources {
    let base = [
        ("DSN", "postgres://u:p@db.example/d?sslmode=verify-full"),
        ("SECRETS_SYSTEM", "Zk3vQ8xT1mW6bR9yL2pD5sH7jN4cF0aE,u8Bv2kQ0xWm5Zr7Tn4Ld9Hc3Pj6Ys1Ga"),
        ("URLS_SELF_ISSUER", ISSUER),
        ("URLS_LOGIN", "https://app.example/login"),
        ("URLS_CONSENT", "https://app.example/consent"),
        ("REDIS_URL", "rediss://redis.example"),
    ];
    let env = base.iter().chain(env).map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    Sources { env: env.collect(), mode: Mode::Production, ..Sources::default() }
}

fn key(kid: &str) -> Key {
    Key {
        set: ID_TOKEN_SET.to_owned(),
        kid: kid.to_owned(),
        alg: "RS256".to_owned(),
        generation: Some(0),
        published: true,
        signs: true,
        since: now().minus(DAY),
    }
}

fn migration(version: i64, known: bool) -> Migration {
    Migration { version, name: "init".to_owned(), applied: true, known }
}

fn survey() -> Survey {
    Survey {
        version: "PostgreSQL 17.2".to_owned(),
        version_number: 170_002,
        round_trip: Duration::from_millis(1),
        server: Some(ServerSays {
            max_connections: 100,
            reserved: 3,
            encrypted: true,
            fsync: true,
            full_page_writes: true,
            synchronous_commit: "on".to_owned(),
            owns_tables: true,
            ..ServerSays::default()
        }),
        migrations: vec![migration(1, true)],
        seals: Some(vec![Sealed {
            table: "refresh_token".to_owned(),
            mark: vec![2],
            rows: 3,
            until: Some(now().plus(DAY)),
        }]),
        ..Survey::default()
    }
}

/// A set-up with nothing wrong, with these variables beside.
fn facts(env: &[(&str, &str)]) -> Facts {
    let sources = sources(env);
    let (settings, faults) = despite_faults(&sources);
    let rules = rules(&settings);
    let discovery = Value::from(document(&rules.issuer, &rules.public_url, &rules.discovery, "RS256"));
    let url = |path: &str| format!("https://id.example{path}");
    Facts {
        rows: status(&sources),
        faults,
        replicas: 2,
        now: now(),
        host: Host { files: Some(65_536), ..Host::default() },
        database: Some(Ok(survey())),
        keys: vec![key("a")],
        session_marks: vec![vec![1]],
        redis: Some(Ok(RedisSurvey {
            version: "7.2.0".to_owned(),
            round_trip: Duration::from_millis(1),
            ..RedisSurvey::default()
        })),
        certificates: vec![(
            "serve.public.tls".to_owned(),
            Ok(Certificate { begins: now().minus(DAY), ends: now().plus(DAY * 60), fits_issuer: true }),
        )],
        server: Server {
            ready: vec![("http://127.0.0.1:4444".to_owned(), heard(200, &json!({"status": "ok"})))],
            version: Some(format!("v{}", env!("CARGO_PKG_VERSION"))),
            ahead: Some(1),
            direct: Some(heard(200, &discovery)),
            issuer: Some((url("/.well-known/openid-configuration"), heard(200, &discovery))),
            jwks: Some((url("/.well-known/jwks.json"), heard(200, &json!({"keys": [{"kid": "a"}]})))),
            endpoints: vec![
                ("token_endpoint".to_owned(), url("/oauth2/token"), heard(400, &json!({"error": "invalid_request"}))),
                (
                    "userinfo_endpoint".to_owned(),
                    url("/userinfo"),
                    heard(401, &json!({"error": "request_unauthorized"})),
                ),
                ("authorization_endpoint".to_owned(), url("/oauth2/auth"), heard(302, &Value::Null)),
            ],
            admin_outside: vec![(url("/admin/clients"), heard(404, &Value::Null))],
            pages: vec![("urls.login", "https://app.example/login".to_owned(), heard(200, &Value::Null))],
            ..Server::default()
        },
        settings,
    }
}

fn ids(facts: &Facts) -> Vec<&'static str> {
    judge(facts).iter().map(|finding| finding.check.id()).collect()
}

#[test]
fn a_sound_set_up_has_no_finding() {
    assert_eq!(judge(&facts(&[])), []);
}

fn found(facts: &mut Facts) -> &mut Survey {
    facts.database.as_mut().unwrap().as_mut().unwrap()
}

fn says(facts: &mut Facts) -> &mut ServerSays {
    found(facts).server.as_mut().unwrap()
}

fn redis(facts: &mut Facts) -> &mut RedisSurvey {
    facts.redis.as_mut().unwrap().as_mut().unwrap()
}

fn through(facts: &mut Facts, answer: Answer) {
    facts.server.issuer = facts.server.issuer.take().map(|(url, _)| (url, answer));
}

fn served(facts: &Facts, issuer: &str) -> Answer {
    let Some((_, Ok(answer))) = &facts.server.issuer else { panic!("no discovery") };
    let mut document = answer.json();
    document.as_object_mut().unwrap().insert("issuer".to_owned(), json!(issuer));
    heard(200, &document)
}

type Change = fn(&mut Facts);

#[test]
fn what_is_seen_is_named() {
    let table: &[(&str, Change)] = &[
        ("database.unreachable", |f| f.database = Some(Err("PostgreSQL does not answer: check host".to_owned()))),
        ("database.version", |f| found(f).version_number = 130_020),
        ("database.read-only", |f| says(f).standby = true),
        ("database.owner", |f| says(f).owns_tables = false),
        ("database.fsync", |f| says(f).full_page_writes = false),
        ("database.synchronous-commit", |f| says(f).synchronous_commit = "off".to_owned()),
        ("database.tls", |f| says(f).encrypted = false),
        ("database.tls-unverified", |f| f.settings.dsn = "postgres://u:p@db.example/d?sslmode=require".to_owned()),
        ("database.connections", |f| f.replicas = 12),
        ("database.latency", |f| found(f).round_trip = Duration::from_millis(40)),
        ("database.clock", |f| found(f).ahead = -3_000_000),
        ("schema.pending", |f| found(f).migrations.iter_mut().for_each(|m| m.applied = false)),
        ("schema.altered", |f| found(f).altered = Some("another script".to_owned())),
        ("schema.newer", |f| found(f).migrations.push(migration(99, false))),
        ("janitor.behind", |f| found(f).overdue = vec![("device".to_owned(), now().minus(DAY))]),
        ("redis.unreachable", |f| f.redis = Some(Err("refused".to_owned()))),
        ("redis.read-only", |f| redis(f).read_only = true),
        ("redis.rights", |f| redis(f).refused = vec![("GET", "NOPERM".to_owned())]),
        ("redis.latency", |f| redis(f).round_trip = Duration::from_millis(30)),
        ("redis.version", |f| redis(f).version = "5.0.14".to_owned()),
        ("redis.eviction", |f| {
            redis(f).max_memory = 1;
            redis(f).policy = "noeviction".to_owned();
        }),
        ("secrets.weak", |f| f.settings.secrets.system.push("abababababababababababababababab".to_owned())),
        ("secrets.undecryptable", |f| {
            f.keys.push(Key { generation: None, signs: false, published: false, ..key("b") })
        }),
        ("secrets.old-in-use", |f| f.session_marks.push(vec![2])),
        ("secrets.old-unused", |f| f.session_marks.push(vec![3])),
        ("keys.none", |f| {
            f.keys.clear();
            f.server.jwks = None;
        }),
        ("keys.age", |f| f.keys.iter_mut().for_each(|key| key.since = now().minus(DAY * 91))),
        ("keys.algorithm", |f| f.keys.iter_mut().for_each(|key| key.alg = "ES256".to_owned())),
        ("server.not-ready", |f| f.server.ready.push(("http://h".to_owned(), heard(503, &Value::Null)))),
        ("server.unreachable", |f| f.server.ready.push(("http://h".to_owned(), silent()))),
        ("server.version", |f| f.server.version = Some("v0.0.1".to_owned())),
        ("server.clock", |f| f.server.ahead = Some(-90)),
        ("server.down", |f| f.server = Server::default()),
        ("issuer.unreachable", |f| through(f, silent())),
        ("issuer.certificate", |f| {
            through(f, Err(Unheard { why: "certificate expired".to_owned(), bad_certificate: true }));
        }),
        ("issuer.not-served", |f| through(f, heard(404, &Value::Null))),
        ("issuer.redirected", |f| {
            let found = Heard {
                status: 301,
                location: Some("https://other.example/".to_owned()),
                date: None,
                text: String::new(),
                took: Duration::ZERO,
            };
            through(f, Ok(found));
        }),
        ("proxy.untrusted", |f| through(f, heard(502, &json!({"error_description": "TLS is required: use https"})))),
        ("admin.public", |f| {
            f.server.admin_outside = vec![("https://id.example/admin/clients".to_owned(), heard(200, &json!([])))]
        }),
        ("admin.every-interface", |f| f.settings.serve.admin.host = "::".to_owned()),
        ("discovery.endpoint", |f| {
            f.server.endpoints.push(("token_endpoint".to_owned(), "u".to_owned(), heard(200, &Value::Null)))
        }),
        ("jwks.missing-key", |f| f.keys.push(Key { signs: false, ..key("b") })),
        ("jwks.unknown-key", |f| {
            f.server.jwks = Some(("u".to_owned(), heard(200, &json!({"keys": [{"kid": "a"}, {"kid": "z"}]}))));
        }),
        ("tls.unreadable", |f| f.certificates = vec![("serve.admin.tls".to_owned(), Err("no PEM".to_owned()))]),
        ("files.permissions", |f| f.host.secret_files = vec![("DSN_FILE".to_owned(), "/s".to_owned(), 0o100_644)]),
        ("host.files", |f| f.host.files = Some(1024)),
        ("pages.unreachable", |f| {
            f.server.pages = vec![("urls.login", "https://app.example/login".to_owned(), silent())]
        }),
        ("pages.plain-http", |f| {
            f.server.pages = vec![("urls.login", "http://app.example/login".to_owned(), heard(200, &Value::Null))]
        }),
        ("pages.on-server", |f| {
            f.server.pages = vec![("urls.login", "https://id.example/userinfo".to_owned(), heard(401, &Value::Null))]
        }),
        ("pages.missing", |f| f.settings.urls.login = None),
        ("hooks.unreachable", |f| {
            f.server.hooks = vec![("oauth2.token_hook.url", "https://h.example/".to_owned(), silent())]
        }),
    ];
    let mut wrong = Vec::new();
    for (id, change) in table {
        let mut facts = facts(&[]);
        change(&mut facts);
        if ids(&facts) != [*id] {
            wrong.push(format!("{id}: {:?}", ids(&facts)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_set_is_named() {
    let table: &[(&str, &[(&str, &str)])] = &[
        ("config.fault", &[("SERVE_PUBLIC_PORT", "no-port")]),
        ("config.warning", &[("SECRETS_COOKIE", "only-24-characters-here!")]),
        ("config.no-effect", &[("LOG_REDACTION_TEXT", "x")]),
        ("config.dev", &[("DEV", "true")]),
        ("cookies.domain", &[("SERVE_COOKIES_DOMAIN", "other.example")]),
        ("cookies.path", &[("SERVE_COOKIES_PATHS_SESSION", "/session")]),
        ("cookies.same-site", &[("SERVE_COOKIES_SAME_SITE_MODE", "Strict")]),
        ("cors.any-origin", &[("SERVE_PUBLIC_CORS_ENABLED", "true")]),
        (
            "cors.any-origin",
            &[("SERVE_ADMIN_CORS", r#"{"enabled": true, "allowed_origins": ["*"], "allow_credentials": false}"#)],
        ),
    ];
    for (id, env) in table {
        assert_eq!(ids(&facts(env)), [*id], "{env:?}");
    }
    let mut memory = facts(&[("DSN", "memory")]);
    memory.database = Some(Ok(Survey { seals: Some(Vec::new()), ..Survey::default() }));
    assert_eq!(ids(&memory), ["database.memory"]);
}

#[test]
fn an_issuer_that_is_another_is_told_by_how_it_differs() {
    for (served_as, id) in [
        ("https://id.example", "issuer.trailing-slash"),
        ("http://id.example/", "issuer.scheme"),
        ("https://other.example/", "issuer.mismatch"),
        ("https://id.example/auth", "issuer.mismatch"),
    ] {
        let mut facts = facts(&[]);
        let answer = served(&facts, served_as);
        facts.server.direct = Some(answer.clone());
        through(&mut facts, answer);
        assert_eq!(ids(&facts), [id, "discovery.stale"], "{served_as}");
    }
    let mut rewritten = facts(&[]);
    let mut document = rewritten.server.direct.clone().unwrap().unwrap().json();
    document.as_object_mut().unwrap().insert("token_endpoint".to_owned(), json!("http://id.example/oauth2/token"));
    through(&mut rewritten, heard(200, &document));
    assert_eq!(ids(&rewritten), ["discovery.rewritten", "discovery.plain-http"]);
}

#[test]
fn certificates_are_judged_by_their_time_and_name() {
    let with = |begins: Timestamp, ends: Timestamp, fits_issuer| {
        let mut facts = facts(&[]);
        facts.certificates = vec![("serve.public.tls".to_owned(), Ok(Certificate { begins, ends, fits_issuer }))];
        judge(&facts).iter().map(|f| (f.check.id(), f.severity.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(with(now().minus(DAY), now(), true), [("tls.expiry", "error")]);
    assert_eq!(with(now().plus(DAY), now().plus(DAY * 90), true), [("tls.expiry", "error")]);
    assert_eq!(with(now().minus(DAY), now().plus(DAY * 3), true), [("tls.expiry", "warning")]);
    assert_eq!(with(now().minus(DAY), now().plus(DAY * 90), false), [("tls.name", "error")]);
}

#[test]
fn old_secrets_are_kept_while_keys_or_rows_need_them() {
    let mut facts = facts(&[]);
    facts.session_marks = vec![vec![1], vec![2]];
    facts.keys.iter_mut().for_each(|key| key.generation = Some(1));
    assert_eq!(ids(&facts), ["secrets.old-keys", "secrets.old-in-use"]);
    found(&mut facts).seals = None;
    assert_eq!(ids(&facts), ["secrets.old-keys", "secrets.old-in-use"], "who cannot count keeps it");
}
