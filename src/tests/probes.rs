//! `healthcheck` and `smoke`: what they say of a server, and that nothing is left behind.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use crate::harness::{Database, Redis, Server, Spoiler, World, free_port, run, says, signal};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn port(url: &str) -> String {
    url.rsplit(':').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn healthcheck_says_ready_or_why_not() {
    let dir = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}", dir.path().join("admin.sock").display());
    let database = Database::sqlite();
    let mut server = Server::launch(&database.dsn(), None, &[("SERVE_ADMIN_HOST", &socket)]);
    let public = port(&server.peer.public);
    let env =
        [("SERVE_ADMIN_HOST", socket.as_str()), ("SERVE_PUBLIC_HOST", "127.0.0.1"), ("SERVE_PUBLIC_PORT", &public)];
    let began = Instant::now();
    while !run(&["healthcheck", "--alive"], &env).status.success() {
        assert!(began.elapsed() < Duration::from_secs(30), "{}", server.said());
    }
    // The schema is not there yet: the process is alive, and not ready.
    let (inner, outer) = (run(&["healthcheck"], &env), run(&["healthcheck", "--public"], &env));
    assert_eq!((inner.status.code(), outer.status.code()), (Some(1), Some(1)));
    let said = text(&inner.stderr);
    assert!(said.contains("migrations are pending") && said.lines().count() == 1, "{said}");
    assert!(!text(&outer.stderr).contains("pending"), "strangers do not hear why: {}", text(&outer.stderr));
    assert!(run(&["healthcheck", "--public", "--alive"], &env).status.success());
    signal(server.pid(), "INT");
    signal(server.pid(), "INT");
    server.wait_end().await;
    Server::migrate(&database.dsn());
    let at = [("SERVE_ADMIN_HOST", socket.as_str()), ("SERVE_PUBLIC_PORT", &public)];
    let server = Server::launch(&database.dsn(), None, &at);
    let began = Instant::now();
    while !run(&["healthcheck"], &env).status.success() {
        assert!(began.elapsed() < Duration::from_secs(30), "{}", server.said());
    }
    let url = run(&["healthcheck", "--url", &format!("http://127.0.0.1:{public}")], &[]);
    assert!(url.status.success() && text(&url.stdout).starts_with("ready: http://127.0.0.1:"), "{url:?}");

    let bare = [env[0], env[1], env[2], ("SSL_CERT_FILE", "/dev/null"), ("SSL_CERT_DIR", "/dev/null")];
    assert!(run(&["healthcheck"], &bare).status.success(), "in an image without authorities");
    let none = run(&["healthcheck"], &[("SERVE_ADMIN_PORT", &free_port().to_string())]);
    assert!(none.status.code() == Some(1) && text(&none.stderr).contains("refused"), "{none:?}");
    let slow = Spoiler::start(Box::new(|_| {
        std::thread::sleep(Duration::from_secs(5));
        String::new()
    }));
    let began = Instant::now();
    let late = run(&["healthcheck", "--url", &slow.url, "--timeout", "300ms"], &[]);
    assert!(late.status.code() == Some(1) && text(&late.stderr).contains("no answer in time"), "{late:?}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

/// The clients that a server has.
async fn clients(world: &World) -> usize {
    world.a.admin(Method::GET, "/admin/clients", None).await.json().as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smoke_tries_a_server_out_and_leaves_nothing() {
    let redis = Redis::start();
    let url = redis.as_ref().map(Redis::url).unwrap_or_default();
    for strategy in ["opaque", "jwt"] {
        let env = [("REDIS_URL", url.as_str()), ("STRATEGIES_ACCESS_TOKEN", strategy)];
        let world = World::sqlite(&env).await;
        let (public, admin, issuer) = (world.a.public.clone(), world.a.admin.clone(), world.issuer());
        let env = [("HYDRA_URL", public.as_str()), ("HYDRA_ADMIN_URL", &admin)];
        let done = run(&["smoke", "--issuer", &issuer, "--format", "json"], &env);
        let told: Value = serde_json::from_slice(&done.stdout).unwrap();
        assert!(done.status.success() && told["ok"] == true, "{told}");
        assert_eq!(told["steps"].as_array().unwrap().len(), 14, "{told}");
        let lines = run(&["smoke", "--public", &public, "--admin", &admin], &[]);
        assert!(lines.status.success(), "{lines:?}");
        assert_eq!(text(&lines.stdout).lines().filter(|line| line.starts_with('✓')).count(), 14);
        assert_eq!(clients(&world).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smoke_names_the_step_that_failed_and_cleans_up_after_it() {
    let world = World::sqlite(&[]).await;
    let (public, admin) = (world.a.public.clone(), world.a.admin.clone());
    for (path, answer, step, why) in [
        ("/oauth2/revoke", says(404, "", "gone"), "revoked", "404 gone"),
        ("/oauth2/revoke", says(200, "", ""), "inactive", "still says active"),
        (
            "/.well-known/jwks.json",
            says(200, "", r#"{"keys":[{"kty":"EC","kid":"x"}]}"#),
            "jwt-verified",
            "no key fits",
        ),
        ("/oauth2/token", says(200, "", "{}"), "token", "no access token"),
    ] {
        let to = public.clone();
        let proxy =
            Spoiler::start(Box::new(move |p| if p.line.ends_with(path) { answer.clone() } else { p.on_to(&to, "") }));
        let args = ["smoke", "--public", &proxy.url, "--admin", &admin, "--staleness", "300ms"];
        let done = run(&args, &[]);
        assert_eq!(done.status.code(), Some(1), "{step}");
        assert!(text(&done.stderr).contains(&format!("smoke: {step} failed")), "{done:?}");
        let line = text(&done.stdout).lines().find(|line| line.starts_with('✗')).unwrap().to_owned();
        assert!(line.contains(why), "{line}");
        assert_eq!(clients(&world).await, 0, "{step}");
    }
    let wrong = run(&["smoke", "--public", &public, "--admin", &admin, "--issuer", "https://other.example/"], &[]);
    assert!(wrong.status.code() == Some(1) && text(&wrong.stdout).contains("expected was"), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smoke_cleans_up_when_it_is_told_to_end() {
    let world = World::sqlite(&[]).await;
    let (to, admin) = (world.a.public.clone(), world.a.admin.clone());
    let stuck = Spoiler::start(Box::new(move |p| {
        if p.line.ends_with("/oauth2/token") {
            std::thread::sleep(Duration::from_secs(20));
        }
        p.on_to(&to, "")
    }));
    let mut child = Command::new(env!("CARGO_BIN_EXE_signet"))
        .args(["smoke", "--public", &stuck.url, "--admin", &admin, "--timeout", "30s"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while clients(&world).await == 0 {
        assert!(began.elapsed() < Duration::from_secs(20), "it made no client");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    signal(child.id(), "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(clients(&world).await, 0);
}
