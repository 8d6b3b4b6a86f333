//! What an operator's tools get from the built binary: a scrape, exported spans, log lines.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;
use signet::http::{admin, public};

use crate::harness::{Answer, Collector, Database, Peer, Scrape, Server, Span, basic, postgres};

/// What alerts ask for; the counterparts of Hydra's first. `metrics list` has all.
const FROM_THE_START: &str = "
    http_requests_total http_requests_duration_seconds http_response_time_seconds http_response_size_bytes
    http_requests_size_bytes http_requests_statuses_total
    http_server_request_duration_seconds http_server_active_requests
    signet_token_requests_total signet_tokens_issued_total signet_token_reuse_total
    signet_introspections_total signet_introspection_duration_seconds signet_introspection_cache_bypassed
    signet_actor_tickets_in_use signet_actor_tickets_max signet_actor_shed_total signet_actor_stopped_total
    db_client_connection_count db_client_connection_max db_client_connection_pending_requests
    db_client_operation_duration_seconds signet_db_tx_retries_total
    signet_jwk_age_seconds signet_jwk_rotation_seconds signet_jwk_active signet_jwk_decrypt_failures_total
    signet_secrets signet_secret_generation_total
    signet_janitor_last_success_timestamp_seconds signet_janitor_interval_seconds signet_janitor_backlog
    signet_janitor_deleted_rows_total signet_janitor_duration_seconds signet_janitor_leader
    signet_client_auth_failures_total signet_webhook_duration_seconds signet_sqlite_file_bytes
    signet_schema_version signet_schema_required signet_build_info signet_ready signet_draining signet_panics_total
    signet_audit_events_lost_total
    process_cpu_seconds_total process_open_fds process_max_fds process_resident_memory_bytes
    process_start_time_seconds";

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A W3C header of a sampled trace.
fn traceparent() -> String {
    format!("00-{TRACE}-b7ad6b7169203331-01")
}

async fn sqlite(env: &[(&str, &str)]) -> (Database, Server) {
    let database = Database::sqlite();
    Server::migrate(&database.dsn());
    let server = Server::start(&database.dsn(), None, env).await;
    (database, server)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_scrape_has_every_name() {
    let database = Database::sqlite();
    Server::migrate(&database.dsn());
    // Nobody asks for readiness: the gauges must know all the same.
    let server = Server::launch(&database.dsn(), None, &[]);
    let began = Instant::now();
    let scrape = loop {
        let answer = server.peer.admin(Method::GET, "/metrics/prometheus", None).await;
        let scrape = Scrape(answer.text);
        if answer.status == 200 && scrape.sum("signet_ready", &[]) > 3.5 {
            break scrape;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "never ready:\n{}\n{}", scrape.0, server.said());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    for name in FROM_THE_START.split_whitespace() {
        let help = scrape.0.lines().find_map(|line| line.strip_prefix(&format!("# HELP {name} ")));
        assert!(help.is_some_and(|text| text.len() > 5), "{name} has no help");
        let histogram = format!("{name}_count");
        assert!(
            scrape.samples(name).chain(scrape.samples(&histogram)).next().is_some(),
            "{name} has no series before the first request"
        );
    }
    let schema = scrape.sum("signet_schema_version", &[]);
    assert!(schema > 0.0);
    assert!((schema - scrape.sum("signet_schema_required", &[])).abs() < 0.5, "{schema}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_move_with_the_requests() {
    let (_database, server) = sqlite(&[]).await;
    let peer = &server.peer;
    let (id, secret) = peer.machine().await;
    let before = Scrape::of(peer).await;
    let token = peer.token(&id, &secret).await;
    assert!(peer.is_active(&token).await);
    assert!(!peer.is_active("ory_at_forged.forged").await);
    assert_eq!(peer.client_credentials(&id, "wrong").await.status, 401);
    let after = Scrape::of(peer).await;
    for (name, labels) in [
        (
            "signet_token_requests_total",
            &["grant_type=\"client_credentials\"", "result=\"ok\"", "auth_method=\"client_secret_basic\""][..],
        ),
        ("signet_token_requests_total", &["result=\"invalid_client\""]),
        ("signet_tokens_issued_total", &["grant_type=\"client_credentials\"", "token_type=\"access_opaque\""]),
        ("signet_introspections_total", &["result=\"active\"", "source=\"db\""]),
        ("signet_introspections_total", &["source=\"none\""]),
        ("signet_introspection_duration_seconds_count", &["result=\"active\"", "source=\"db\""]),
        ("signet_client_auth_failures_total", &["method=\"client_secret_basic\"", "reason=\"wrong_secret\""]),
        ("signet_actor_wait_seconds_count", &["actor=\"token_issuer\""]),
        ("signet_actor_queue_seconds_count", &["actor=\"token_issuer\""]),
        ("signet_actor_handle_seconds_count", &["actor=\"token_issuer\""]),
        ("signet_actor_batch_size_count", &["actor=\"token_issuer\""]),
        ("db_client_operation_duration_seconds_count", &["db_operation_name=\"write_tokens\""]),
        ("db_client_operation_duration_seconds_count", &["db_operation_name=\"access_token\""]),
        ("http_requests_total", &["code=\"200\"", "method=\"POST\"", "endpoint=\"/oauth2/token\""]),
        ("http_server_request_duration_seconds_count", &["http_route=\"/oauth2/token\"", "_status_code=\"200\""]),
    ] {
        let by = after.sum(name, labels) - before.count(name, labels);
        assert!((by - 1.0).abs() < 0.01, "{name} {labels:?} moved by {by}");
    }
    for hidden in [&token, &secret, &id] {
        assert!(!after.0.contains(hidden), "{hidden} is in the metrics");
    }
    assert!(after.sum("signet_actor_tickets_in_use", &["actor=\"token_issuer\""]) < 0.5);
    for set in ["hydra.openid.id-token", "hydra.jwt.access-token"] {
        assert!(after.sum("signet_jwk_active", &[set]) > 0.5, "{set}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pool_is_counted() {
    let Some(admin) = postgres() else { return };
    let database = Database::postgres(&admin).await;
    Server::migrate(&database.dsn());
    let server = Server::start(&database.dsn(), None, &[("DB_POOL_MAX_CONNS", "5")]).await;
    let (id, secret) = server.peer.machine().await;
    server.peer.token(&id, &secret).await;
    let scrape = Scrape::of(&server.peer).await;
    assert!((scrape.sum("db_client_connection_max", &[]) - 5.0).abs() < 0.5);
    let open = scrape.sum("db_client_connection_count", &[]);
    assert!((1.0..=5.0).contains(&open), "{open} connections");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_registered_route_is_served() {
    const COUNT: &str = "http_server_request_duration_seconds_count";
    let (_database, server) = sqlite(&[]).await;
    let peer = &server.peer;
    let of = |listener: &str, routes: &[(&str, &str)]| {
        routes.iter().map(|(method, pattern)| [*method, *pattern, listener].map(str::to_owned)).collect::<Vec<_>>()
    };
    for [method, pattern, listener] in [of("public", &public::ROUTES), of("admin", &admin::ROUTES)].concat() {
        let labels =
            [format!("_method=\"{method}\""), format!("_route=\"{pattern}\""), format!("listener=\"{listener}\"")];
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let before = Scrape::of(peer).await.count(COUNT, &labels);
        let path: Vec<&str> =
            pattern.split('/').map(|part| if part.starts_with('{') { "some" } else { part }).collect();
        let (method, path) = (method.parse::<Method>().unwrap(), path.join("/"));
        let request = if listener == "admin" { peer.to_admin(method, &path) } else { peer.to_public(method, &path) };
        let answer = Peer::send(request).await;
        let lost = answer.status == 0
            || answer.status == 405
            || answer.text.contains("page not found")
            || answer.text.contains("no page here");
        assert!(!lost, "{labels:?}: {}", answer.brief());
        assert!(Scrape::of(peer).await.sum(COUNT, &labels) > before + 0.5, "{labels:?} was counted elsewhere");
    }
}

/// A token request in a trace, with a request id.
async fn traced_token(peer: &Peer, id: &str, secret: &str, request_id: &str) -> Answer {
    let request = peer.to_public(Method::POST, "/oauth2/token?access_token=in-the-query");
    let request = request.form(&[("grant_type", "client_credentials")]).header("authorization", basic(id, secret));
    let answer = Peer::send(request.header("traceparent", traceparent()).header("x-request-id", request_id)).await;
    assert_eq!(answer.status, 200, "{}", answer.brief());
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_request_is_one_trace() {
    let collector = Collector::start();
    let mut env = collector.env().to_vec();
    env.push(("LOG_FORMAT", "json"));
    let (_database, server) = sqlite(&env).await;
    let (id, secret) = server.peer.machine().await;
    assert_eq!(server.peer.get("/odd-path").await.status, 404);
    let token = traced_token(&server.peer, &id, &secret, "traced-1").await.get("access_token");

    let of_it = |spans: &[Span]| -> BTreeSet<String> {
        spans.iter().filter(|span| span.trace == TRACE).map(|span| span.name.clone()).collect()
    };
    let names = [
        "POST /oauth2/token",
        "actor.client_registry.ask",
        "store.client",
        "client.secret",
        "actor.token_issuer.ask",
        "actor.token_issuer.commit",
        "actor.token_issuer.batch",
        "store.write_tokens",
    ];
    let spans = collector.wait("trace", |spans| of_it(spans).contains("POST /oauth2/token")).await;
    assert_eq!(of_it(&spans), names.iter().map(|name| (*name).to_owned()).collect());
    assert!(spans.iter().any(|span| span.name == "GET unmatched"));
    let store: Vec<&Span> = spans.iter().filter(|span| span.name.starts_with("store.")).collect();
    assert!(store.iter().all(|span| span.get("db.system.name") == "sqlite"), "{store:?}");
    collector.has_none_of(&[
        &token,
        &secret,
        "in-the-query",
        "/odd-path",
        "store.ping",
        "store.sweep",
        "/health/ready",
    ]);
    assert_eq!(token_line(&server).await["trace_id"], TRACE);
}

/// The one line of the one token request.
async fn token_line(server: &Server) -> Value {
    let began = Instant::now();
    loop {
        let said = server.said();
        let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let found: Vec<Value> = lines.filter(|line| line["http_request"]["path"] == "/oauth2/token").collect();
        if let [line] = &found[..] {
            return line.clone();
        }
        assert!(found.is_empty(), "{found:?}");
        assert!(began.elapsed() < Duration::from_secs(10), "no line:\n{said}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_one_line_without_secrets() {
    // Without a collector, and with all that the server has to say.
    let (_database, server) = sqlite(&[("LOG_FORMAT", "json"), ("LOG_LEVEL", "trace")]).await;
    let peer = &server.peer;
    let (id, secret) = peer.machine().await;
    let answer = traced_token(peer, &id, &secret, "line-1").await;
    assert_eq!(answer.header("x-request-id"), "line-1");
    let token = answer.get("access_token");
    assert!(peer.is_active(&token).await);
    assert_eq!(peer.revoke(&token, &id, &secret).await.status, 200);

    let line = token_line(&server).await;
    for (at, expected) in [
        ("/level", "info"),
        ("/request_id", "line-1"),
        ("/trace_id", TRACE),
        ("/listener", "public"),
        ("/http_request/method", "POST"),
        ("/http_request/route", "/oauth2/token"),
    ] {
        assert_eq!(line.pointer(at).and_then(Value::as_str), Some(expected), "{at} of {line}");
    }
    assert_eq!(line["http_response"]["status"], 200, "{line}");
    let said = server.said();
    let signature = token.rsplit('.').next().unwrap();
    for hidden in [&token, signature, &secret, &basic(&id, &secret), "in-the-query", crate::harness::SECRET] {
        let line = said.lines().find(|line| line.contains(hidden));
        assert!(line.is_none(), "{hidden} was written: {line:?}");
    }
}
