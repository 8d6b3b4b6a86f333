//! The table as a scraper sees it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed test may panic")]

use super::{HttpSample, Metrics};
use crate::telemetry::labels::{
    Alg, AuthMethod, Eviction, Grant, Introspected, KeySet, Listener, Method, Source, TokenResult, TokenType,
};

/// The samples of an exposition: name, labels with their values.
fn samples(text: &str) -> Vec<(&str, Vec<(&str, &str)>)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let series = line.rsplit_once(' ').unwrap().0;
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let pairs = labels.trim_end_matches('}').split("\",").filter(|pair| !pair.is_empty());
            (
                name,
                pairs.map(|pair| pair.split_once("=\"").unwrap()).map(|(l, v)| (l, v.trim_end_matches('"'))).collect(),
            )
        })
        .collect()
}

#[test]
fn what_alerts_ask_for_is_there_at_boot() {
    let text = Metrics::new("1.2.3").unwrap().render();
    for name in [
        "http_requests_total",
        "http_requests_duration_seconds",
        "http_response_time_seconds",
        "http_response_size_bytes",
        "http_requests_size_bytes",
        "http_requests_statuses_total",
        "http_server_request_duration_seconds",
        "http_server_active_requests",
        "signet_token_requests_total",
        "signet_tokens_issued_total",
        "signet_token_reuse_total",
        "signet_introspections_total",
        "signet_introspection_duration_seconds",
        "signet_introspection_cache_total",
        "signet_introspection_cache_bypassed",
        "signet_introspection_cache_entries",
        "signet_introspection_cache_evictions_total",
        "signet_redis_faults_total",
        "signet_revocation_news_failed_total",
        "signet_revocation_lag_seconds",
        "signet_requests_in_work",
        "signet_requests_in_work_max",
        "signet_requests_shed_total",
        "signet_client_auth_failures_total",
        "signet_actor_tickets_in_use",
        "signet_actor_tickets_max",
        "signet_actor_shed_total",
        "signet_actor_stopped_total",
        "db_client_operation_duration_seconds",
        "db_client_connection_count",
        "db_client_connection_max",
        "db_client_connection_pending_requests",
        "db_client_connection_wait_time_seconds",
        "signet_db_tx_retries_total",
        "signet_jwk_age_seconds",
        "signet_jwk_rotation_seconds",
        "signet_jwk_active",
        "signet_jwk_decrypt_failures_total",
        "signet_secrets",
        "signet_secret_generation_total",
        "signet_janitor_last_success_timestamp_seconds",
        "signet_janitor_interval_seconds",
        "signet_janitor_backlog",
        "signet_janitor_deleted_rows_total",
        "signet_janitor_duration_seconds",
        "signet_janitor_leader",
        "signet_webhook_duration_seconds",
        "signet_logout_outbox",
        "signet_runtime_busy_seconds_total",
        "signet_schema_version",
        "signet_schema_required",
        "signet_build_info",
        "signet_ready",
        "signet_draining",
        "signet_panics_total",
        "signet_audit_events_lost_total",
        "process_resident_memory_bytes",
    ] {
        assert!(text.contains(&format!("# TYPE {name} ")), "{name} is missing at boot");
    }
}

#[test]
fn what_is_exposed_is_described() {
    let metrics = Metrics::new("1").unwrap();
    metrics.token_request(Grant::Implicit, TokenResult::Other, AuthMethod::Unknown);
    metrics.introspection(Introspected::Error, Source::None, 0.1);
    let text = metrics.render();
    for (name, labels) in samples(&text) {
        let of = metrics.described().iter().find(|d| {
            name == d.name || ["_bucket", "_sum", "_count"].iter().any(|end| name == format!("{}{end}", d.name))
        });
        let of = of.unwrap_or_else(|| panic!("{name} is not described"));
        assert!(text.contains(&format!("# TYPE {} {}\n", of.name, of.kind.as_str())), "{name}");
        for (label, value) in labels.iter().filter(|(label, _)| *label != "le") {
            let known = of.labels.iter().find(|l| l.name == *label).unwrap_or_else(|| panic!("{label} of {name}"));
            assert!(known.values.is_empty() || known.values.contains(value), "{label}={value} of {name}");
        }
    }
    let names: Vec<&str> = metrics.described().iter().map(|d| d.name.as_str()).collect();
    assert!(names.is_sorted() && names.len() > 60, "{names:?}");
}

#[test]
fn an_invented_method_makes_no_series() {
    let metrics = Metrics::new("1").unwrap();
    let sample = |method| HttpSample {
        listener: Listener::Public,
        method: Method::from_name(method),
        route: "/oauth2/token",
        status: 200,
        seconds: 0.002,
        request_bytes: 40,
        response_bytes: 300,
    };
    metrics.observe_http(&sample("AAAA"));
    let once = metrics.render().lines().count();
    metrics.observe_http(&sample("BBBB"));
    assert_eq!(metrics.render().lines().count(), once);
    assert!(!metrics.render().contains("AAAA"));
}

#[test]
fn counters_count_what_they_are_told() {
    let metrics = Metrics::new("1").unwrap();
    metrics.token_request(Grant::ClientCredentials, TokenResult::Ok, AuthMethod::Basic);
    metrics.token_request(Grant::Other, TokenResult::Other, AuthMethod::Unknown);
    metrics.token_issued(Grant::Other, TokenType::Id);
    metrics.cache_eviction(Eviction::Ended);
    let active = metrics.active_request(Listener::Admin);
    for line in [
        "signet_token_requests_total{auth_method=\"client_secret_basic\",grant_type=\"client_credentials\",result=\"ok\"} 1",
        "signet_token_requests_total{auth_method=\"unknown\",grant_type=\"other\",result=\"other\"} 1",
        "signet_tokens_issued_total{grant_type=\"other\",token_type=\"id\"} 1",
        "signet_introspection_cache_evictions_total{reason=\"ended\"} 1",
        "http_server_active_requests{listener=\"admin\"} 1",
    ] {
        assert!(metrics.render().contains(line), "{line}");
    }
    drop(active);
    assert!(metrics.render().contains("http_server_active_requests{listener=\"admin\"} 0"));
}

#[test]
fn a_route_with_an_objective_has_its_failures_from_the_start() {
    let metrics = Metrics::new("1").unwrap();
    metrics.register_route(Listener::Public, "POST", "/oauth2/token");
    metrics.register_route(Listener::Public, "GET", "/userinfo");
    let text = metrics.render();
    for code in ["200", "500", "503"] {
        let labels = "http_request_method=\"POST\"";
        let count = format!(
            "http_server_request_duration_seconds_count{{{labels},http_response_status_code=\"{code}\",\
             http_route=\"/oauth2/token\",listener=\"public\"}} 0"
        );
        assert!(text.contains(&count), "{count}");
    }
    assert!(!text.contains("/userinfo"));
}

#[test]
fn a_set_shows_one_signing_algorithm() {
    let metrics = Metrics::new("1").unwrap();
    metrics.jwk_age(KeySet::AccessToken, Alg::Es256, 5.0);
    let ages = metrics.render().lines().filter(|line| line.starts_with("signet_jwk_age_seconds{")).count();
    assert_eq!(ages, KeySet::ALL.len());
}

#[tokio::test]
async fn a_runtime_is_told_of_when_somebody_looks() {
    use crate::telemetry::labels::Runtime;
    let metrics = Metrics::new("1").unwrap();
    metrics.watch_runtime(Runtime::Http, tokio::runtime::Handle::current());
    metrics.watch_runtime(Runtime::Http, tokio::runtime::Handle::current());
    let text = metrics.render();
    assert!(text.contains("signet_runtime_workers{runtime=\"http\"} 2"), "{text}");
    assert!(text.contains("signet_runtime_workers{runtime=\"store_io\"} 0"));
}
