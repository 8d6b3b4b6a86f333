//! What an operator sees of a running server: metrics from the first scrape, one line a request, traces by OTLP.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Server, fresh, machine};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// The value of a series, by the beginning of its line.
fn value(scrape: &str, series: &str) -> f64 {
    let line = scrape.lines().find(|line| line.starts_with(series));
    line.unwrap_or_else(|| panic!("no {series} in:\n{scrape}")).rsplit(' ').next().unwrap().parse().unwrap()
}

async fn scrape(server: &Server) -> String {
    let answer = server.peer.admin(reqwest::Method::GET, "/metrics/prometheus", None).await;
    assert_eq!(answer.status, 200);
    answer.text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_there_from_the_start_and_move() {
    let server = Server::start("memory", None, &[]).await;
    let first = scrape(&server).await;
    for series in [
        r#"http_requests_total{app="signet""#,
        "http_requests_duration_seconds_count",
        "http_response_time_seconds_count",
        r#"http_server_active_requests{listener="public"}"#,
        r#"signet_token_requests_total{auth_method="client_secret_basic",grant_type="client_credentials",result="ok"} 0"#,
        r#"signet_tokens_issued_total{token_type="access_opaque"} 0"#,
        r#"signet_introspections_total{result="active",source="db"} 0"#,
        r#"signet_client_auth_failures_total{method="client_secret_basic",reason="wrong_secret"} 0"#,
        r#"signet_actor_tickets_in_use{actor="token_issuer"} 0"#,
        r#"signet_actor_shed_total{actor="client_registry"} 0"#,
        r#"db_client_operation_duration_seconds_count{db_operation_name="write_tokens"} 0"#,
        r#"signet_db_tx_retries_total{reason="serialization"} 0"#,
        r#"signet_jwk_active{set="hydra.jwt.access-token"} 1"#,
        "signet_jwk_decrypt_failures_total 0",
        r#"signet_janitor_deleted_rows_total{table="access_token"} 0"#,
        "signet_schema_version 1",
        r#"signet_ready{check="database"} 1"#,
        "signet_draining 0",
        "signet_panics_total 0",
        "signet_build_info",
        "process_resident_memory_bytes",
    ] {
        assert!(first.contains(series), "{series} is missing in:\n{first}");
    }

    let (id, secret) = (fresh("metrics"), fresh("secret"));
    server.peer.create(machine(&id, &secret)).await;
    let token = server.peer.token(&id, &secret).await;
    assert!(server.peer.is_active(&token).await);
    assert_eq!(server.peer.client_credentials(&id, "wrong").await.status, 401);
    let after = scrape(&server).await;
    for series in [
        r#"signet_token_requests_total{auth_method="client_secret_basic",grant_type="client_credentials",result="ok"}"#,
        r#"signet_tokens_issued_total{token_type="access_opaque"}"#,
        r#"signet_introspections_total{result="active",source="db"}"#,
        r#"signet_client_auth_failures_total{method="client_secret_basic",reason="wrong_secret"}"#,
        r#"db_client_operation_duration_seconds_count{db_operation_name="write_tokens"}"#,
        r#"signet_actor_batch_size_count{actor="token_issuer"}"#,
    ] {
        assert!((value(&after, series) - 1.0).abs() < f64::EPSILON, "{series}: {}", value(&after, series));
    }
    for (name, unmatched) in [("http_route=\"unmatched\"", true), (&*token, false), (&*secret, false)] {
        assert!(!after.contains(name), "{name} in the metrics ({unmatched})");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_line_a_request_with_its_ids_and_nothing_secret() {
    let server = Server::start("memory", None, &[("LOG_FORMAT", "json"), ("LOG_LEVEL", "info")]).await;
    let (id, secret) = (fresh("line"), fresh("secret"));
    server.peer.create(machine(&id, &secret)).await;
    let token = server.peer.token(&id, &secret).await;
    let request = server
        .peer
        .to_admin(reqwest::Method::GET, &format!("/admin/clients/{id}?hidden=x"))
        .header("x-request-id", "my-request.1")
        .header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01"));
    let answer = crate::harness::Peer::send(request).await;
    assert_eq!(answer.header("x-request-id"), "my-request.1");

    tokio::time::sleep(Duration::from_millis(300)).await;
    let said = server.said();
    let lines: Vec<Value> = said
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &Value| line.to_string().contains("my-request.1"))
        .collect();
    assert_eq!(lines.len(), 1, "{said}");
    assert!(lines[0].to_string().contains(TRACE), "{}", lines[0]);
    for hidden in [&*secret, &*token, "hidden=x"] {
        assert!(!said.contains(hidden), "{hidden} is in the log");
    }
}

/// A collector that answers 200; the bytes of every export.
fn collector() -> (String, std::sync::mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (seen, exports) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let export = request(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            if seen.send(export).is_err() {
                return;
            }
        }
    });
    (address, exports)
}

/// One request with its whole body.
fn request(stream: &mut TcpStream) -> Vec<u8> {
    let (mut all, mut part) = (Vec::new(), [0; 65536]);
    loop {
        let n = stream.read(&mut part).unwrap();
        all.extend_from_slice(&part[..n]);
        let Some(head) = all.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&all[..head]).to_lowercase();
        let length: usize = text.split("content-length: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
        if n == 0 || all.len() >= head + 4 + length {
            return all;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_goes_through_front_end_actor_and_store() {
    let (address, exports) = collector();
    let env = [
        ("TRACING_PROVIDER", "otel"),
        ("TRACING_PROVIDERS_OTLP_SERVER_URL", address.as_str()),
        ("TRACING_PROVIDERS_OTLP_INSECURE", "true"),
        ("TRACING_PROVIDERS_OTLP_SAMPLING_SAMPLING_RATIO", "1"),
    ];
    let server = Server::start("memory", None, &env).await;
    let (id, secret) = (fresh("trace"), fresh("secret"));
    server.peer.create(machine(&id, &secret)).await;
    let request = server
        .peer
        .to_public(reqwest::Method::POST, "/oauth2/token")
        .basic_auth(&id, Some(&secret))
        .header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01"))
        .form(&[("grant_type", "client_credentials")]);
    assert_eq!(crate::harness::Peer::send(request).await.status, 200);

    let trace: Vec<u8> =
        (0..TRACE.len()).step_by(2).map(|i| u8::from_str_radix(&TRACE[i..i + 2], 16).unwrap()).collect();
    let holds = |export: &[u8], needle: &[u8]| export.windows(needle.len()).any(|window| window == needle);
    let wanted = ["POST /oauth2/token", "actor.ask", "actor.token_issuer.commit", "write_tokens"];
    let mut all = Vec::new();
    while !(holds(&all, &trace) && wanted.iter().all(|span| holds(&all, span.as_bytes()))) {
        let export = exports.recv_timeout(Duration::from_secs(30));
        let export = export.unwrap_or_else(|_| panic!("the trace is not whole: {}", String::from_utf8_lossy(&all)));
        assert!(export.starts_with(b"POST /v1/traces"));
        all.extend(export);
    }
    assert!(!holds(&all, secret.as_bytes()));
}
