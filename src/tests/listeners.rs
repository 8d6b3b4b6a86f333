//! The listeners in their other shapes: TLS on the public one, a unix socket for the administrative one.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::harness::Server;

/// One request over a unix socket; the whole answer, or nothing while nobody listens.
fn over_socket(path: &Path, request: &str) -> Option<String> {
    let mut stream = UnixStream::connect(path).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    Some(answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_and_a_unix_socket() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (cert, key, socket) = (dir.path().join("cert.pem"), dir.path().join("key.pem"), dir.path().join("admin.sock"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let host = format!("unix:{}", socket.display());
    let env = [
        ("SERVE_PUBLIC_TLS_ENABLED", "true"),
        ("SERVE_PUBLIC_TLS_CERT_PATH", cert.to_str().unwrap()),
        ("SERVE_PUBLIC_TLS_KEY_PATH", key.to_str().unwrap()),
        ("SERVE_ADMIN_HOST", &host),
        ("SERVE_ADMIN_SOCKET_MODE", "432"),
    ];
    let server = Server::launch("memory", None, &env);

    let ready = "GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let began = Instant::now();
    let answer = loop {
        match over_socket(&socket, ready) {
            Some(answer) if answer.starts_with("HTTP/1.1 200") => break answer,
            other => assert!(began.elapsed() < Duration::from_secs(30), "{other:?}\n{}", server.said()),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(answer.ends_with(r#"{"status":"ok"}"#), "{answer}");
    let said = server.said();
    for (listener, who) in [("(public)", "this host or pod alone"), ("(admin)", "whom the file's mode 0660 lets in")] {
        assert!(said.contains(&format!("{listener}, open to {who}")), "{said}");
    }
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);

    let root = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let https = reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().unwrap();
    let url = server.peer.public.replace("http://", "https://") + "/health/ready";
    assert_eq!(https.get(&url).send().await.unwrap().status(), 200);
    let plain = reqwest::Client::builder().no_proxy().build().unwrap();
    assert!(plain.get(server.peer.public.clone() + "/health/ready").send().await.is_err(), "no plain HTTP beside TLS");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_may_end_tls_and_nobody_else_speaks_plain_http() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("admin.sock");
    let host = format!("unix:{}", socket.display());
    let env = [
        ("SERVE_TLS_ENABLED", "true"),
        ("SERVE_TLS_ALLOW_TERMINATION_FROM", "127.0.0.1/32"),
        ("SERVE_ADMIN_HOST", host.as_str()),
    ];
    let server = Server::launch("memory", None, &env);
    let began = Instant::now();
    // TLS is asked for, but a unix socket speaks plain HTTP to whom its file lets in.
    let version = "GET /admin/clients HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    while !over_socket(&socket, version).is_some_and(|answer| answer.starts_with("HTTP/1.1 200")) {
        assert!(began.elapsed() < Duration::from_secs(30), "{}", server.said());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(server.said().contains("but only through a proxy in 127.0.0.1/32"), "{}", server.said());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let keys = server.peer.public.clone() + "/.well-known/jwks.json";
    assert_eq!(client.get(&keys).send().await.unwrap().status(), 502);
    let through = client.get(&keys).header("x-forwarded-proto", "https").send().await.unwrap();
    assert_eq!(through.status(), 200);
}
