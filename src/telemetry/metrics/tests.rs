//! The table as a scraper sees it.
#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

use super::{HttpSample, Metrics};
use crate::telemetry::labels::{Alg, AuthMethod, Grant, KeySet, Listener, Method, TokenResult};

#[test]
fn every_registered_name_is_there_at_boot() {
    let metrics = Metrics::new("1.2.3").unwrap();
    let text = metrics.render();
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
        "signet_redis_faults_total",
        "signet_revocation_news_failed_total",
        "signet_revocation_lag_seconds",
        "signet_requests_in_work",
        "signet_requests_shed_total",
        "signet_client_auth_failures_total",
        "signet_actor_tickets_in_use",
        "signet_actor_shed_total",
        "signet_actor_wait_seconds",
        "signet_actor_batch_size",
        "signet_actor_stopped_total",
        "db_client_operation_duration_seconds",
        "db_client_connection_count",
        "db_client_connection_max",
        "db_client_connection_pending_requests",
        "signet_db_tx_retries_total",
        "signet_jwk_age_seconds",
        "signet_jwk_active",
        "signet_jwk_decrypt_failures_total",
        "signet_secret_generation_total",
        "signet_janitor_last_success_timestamp_seconds",
        "signet_janitor_deleted_rows_total",
        "signet_janitor_duration_seconds",
        "signet_janitor_leader",
        "signet_webhook_duration_seconds",
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
    let line = "signet_token_requests_total{auth_method=\"client_secret_basic\",grant_type=\"client_credentials\",result=\"ok\"} 1";
    assert!(metrics.render().contains(line));
    let active = metrics.active_request(Listener::Admin);
    assert!(metrics.render().contains("http_server_active_requests{listener=\"admin\"} 1"));
    drop(active);
    assert!(metrics.render().contains("http_server_active_requests{listener=\"admin\"} 0"));
}

#[test]
fn a_set_shows_one_signing_algorithm() {
    let metrics = Metrics::new("1").unwrap();
    metrics.jwk_age(KeySet::AccessToken, Alg::Es256, 5.0);
    let ages = metrics.render().lines().filter(|line| line.starts_with("signet_jwk_age_seconds{")).count();
    assert_eq!(ages, KeySet::ALL.len());
}
