//! Real gateways in front of an API, against Signet on PostgreSQL: who may passes, nobody else does, a revoked or expired
//! token passes no longer than its gateway keeps an answer, and nobody passes when Signet is away.
//!
//! `make test` installs the gateways and sets `SIGNET_TEST_DRIVERS`.

use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::programs::{Places, Program};
use super::{POLICIES, resource_server, token};
use crate::drivers::installed;
use crate::harness::{Callee, Database, Peer, SECRET, Scrape, Server, free_port, postgres, raw};

/// For how long `Cache-Control` lets the gateways that obey it keep an answer.
const MAX_AGE: Duration = Duration::from_secs(2);
/// A busy machine, and clocks in whole seconds.
const SLACK: Duration = Duration::from_millis(1600);

/// A gateway, and what is expected of it.
struct Gateway {
    name: &'static str,
    port: u16,
    /// How a request with a token that lacks a scope is refused.
    scope: u16,
    /// What the upstream hears of the subject; with the subject in the place of `{}`.
    tells: &'static str,
    /// How long an answer is kept.
    keeps: Duration,
    /// How everybody is refused while Signet is away.
    away: u16,
}

impl Gateway {
    const fn new(name: &'static str, port: u16) -> Self {
        Self { name, port, scope: 403, tells: "x-auth-subject: {}\r\n", keeps: Duration::ZERO, away: 503 }
    }

    /// A request to the API behind it.
    fn request(&self, peer: &Peer, method: Method) -> reqwest::RequestBuilder {
        let evil = ["X-Auth-Subject", "x-auth-client-id", "X-AUTH-TOKEN", "OIDC_CLAIM_sub"];
        // What tells the upstream of the subject is what a caller would like to send most.
        let told = self.tells.split(':').next().filter(|name| *name != "authorization");
        let url = format!("http://127.0.0.1:{}/orders/7?x=%2F", self.port);
        evil.iter().chain(&told).fold(peer.to(method, &url), |request, name| request.header(*name, "evil"))
    }

    async fn status(&self, peer: &Peer, token: &str) -> u16 {
        Peer::send(self.request(peer, Method::GET).bearer_auth(token)).await.status
    }

    /// Whether it passes at first, and no longer than it may after it has ended at that moment.
    async fn ends(&self, peer: &Peer, what: &str, token: &str, ended: Instant) {
        let last = loop {
            match self.status(peer, token).await {
                200 => assert!(ended.elapsed() < self.keeps + SLACK, "{}: {what}, it passes still", self.name),
                status => break status,
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        assert_eq!(last, 401, "{}: {what}", self.name);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(self.status(peer, token).await, 401, "{}: {what}, once more", self.name);
    }
}

/// Everything that is there.
struct Stage {
    servers: Vec<Server>,
    peer: Peer,
    api: Callee,
    gateways: Vec<Gateway>,
    programs: Vec<Program>,
    _database: Database,
    _dir: tempfile::TempDir,
}

impl Stage {
    async fn set() -> Option<Self> {
        let (drivers, dsn) = (installed()?, postgres()?);
        let database = Database::postgres(&dsn).await;
        Server::migrate(&database.dsn());
        let (signet, signet_tls) = (free_port(), free_port());
        let port = signet.to_string();
        let age = format!("{}s", MAX_AGE.as_secs());
        let env = [
            ("SERVE_GATEWAY_ENABLED", "true"),
            ("SERVE_GATEWAY_PORT", port.as_str()),
            ("GATEWAY_POLICIES", POLICIES),
            ("INTROSPECTION_HTTP_MAX_AGE", &age),
            ("KEYS_ALGORITHM", "ES256"),
        ];
        let server = Server::start(&database.dsn(), None, &env).await;
        let peer = server.peer.clone();
        let rs = resource_server(&peer).await;
        let api = Callee::start(|question| (200, json!({"head": question.head, "body": question.body}).to_string()));
        let dir = tempfile::tempdir().unwrap();
        let (tls, certificate) = with_tls(&database.dsn(), &peer, signet_tls, dir.path()).await;
        let api_port = api.url.rsplit(':').next().unwrap().parse().unwrap();
        let places = Places { drivers, api: api_port, signet, signet_tls, certificate, rs };
        let (gateways, mut programs) = all(&places).await;
        programs.push(tls);
        Some(Self { servers: vec![server], peer, api, gateways, programs, _database: database, _dir: dir })
    }

    /// A fresh client's id, secret and token.
    async fn client(&self, scope: &str, over: serde_json::Value) -> (String, String, String) {
        let (id, secret) = self.peer.machine_with(over).await;
        let token = token(&self.peer, &id, &secret, scope).await;
        (id, secret, token)
    }
}

/// The gateway listener alone and with TLS, for the one that asks over https only.
async fn with_tls(dsn: &str, peer: &Peer, port: u16, dir: &std::path::Path) -> (Program, std::path::PathBuf) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_signet"));
    command.args(["serve", "gateway", "--dev"]).env("DSN", dsn).env("SECRETS_SYSTEM", SECRET);
    command.env("URLS_SELF_ISSUER", format!("{}/", peer.public)).env("SERVE_GATEWAY_PORT", port.to_string());
    command.env("SERVE_GATEWAY_TLS_ENABLED", "true").env("SERVE_GATEWAY_TLS_CERT_PATH", &cert);
    command.env("SERVE_GATEWAY_TLS_KEY_PATH", &key);
    let folder = tempfile::tempdir().unwrap();
    (Program::start(command, folder, &[port]).await, cert)
}

async fn all(places: &Places) -> (Vec<Gateway>, Vec<Program>) {
    let ((nginx, n), (njs, j), (haproxy, [ha, hi]), (envoy, e), (caddy, c), (oauth2, o), (openidc, i)) = tokio::join!(
        places.nginx(),
        places.nginx_njs(),
        places.haproxy(),
        places.envoy(),
        places.caddy(),
        places.mod_oauth2(),
        places.mod_auth_openidc(),
    );
    let gateways = vec![
        Gateway { keeps: MAX_AGE, ..Gateway::new("nginx auth_request", n) },
        // The answer is 204 for whatever has no JWT, a token that lacks a scope included.
        Gateway { keeps: MAX_AGE, scope: 401, tells: "authorization: bearer eyj", ..Gateway::new("nginx njs", j) },
        Gateway::new("HAProxy by authz", ha),
        Gateway { scope: 401, ..Gateway::new("HAProxy by introspection", hi) },
        Gateway::new("Envoy", e),
        Gateway { away: 502, ..Gateway::new("Caddy", c) },
        Gateway {
            keeps: Duration::from_secs(2),
            tells: "x-auth-sub: {}\r\n",
            away: 401,
            ..Gateway::new("mod_oauth2", o)
        },
        Gateway {
            keeps: Duration::from_secs(2),
            tells: "oidc_claim_sub: {}\r\n",
            away: 401,
            ..Gateway::new("mod_auth_openidc", i)
        },
    ];
    (gateways, vec![nginx, njs, haproxy, envoy, caddy, oauth2, openidc])
}

/// Who may passes, as who they are, and nobody else.
async fn lets_in(stage: &Stage, gateway: &Gateway) {
    let (peer, name) = (&stage.peer, gateway.name);
    let (id, _, token) = stage.client("read", json!({})).await;
    let answer = Peer::send(gateway.request(peer, Method::POST).bearer_auth(&token).body("hello")).await;
    assert_eq!(answer.status, 200, "{name}: {}", answer.brief());
    let (head, body) = (answer.get("head"), answer.get("body"));
    let told = gateway.tells.replace("{}", &id);
    assert!(head.contains(&told), "{name}: the API was not told {told:?}: {head}");
    assert!(head.starts_with("post /orders/7?x=%2f ") && body == "hello", "{name}: {head} {body}");
    assert!(!head.contains("evil"), "{name}: what the caller says of itself came through: {head}");
    let lower = gateway.request(peer, Method::GET).header("authorization", format!("bearer {token}"));
    assert_eq!(Peer::send(lower).await.status, 200, "{name}: the scheme in small letters");

    for (what, authorization) in [
        ("no token", None),
        ("garbage", Some("Bearer ory_at_garbage.garbage".to_owned())),
        ("a token with an end that is not its own", Some(format!("Bearer {}x", token))),
        ("another scheme", Some(format!("Basic {token}"))),
        ("an empty token", Some("Bearer ".to_owned())),
    ] {
        let request = gateway.request(peer, Method::GET);
        let request = authorization.into_iter().fold(request, |request, value| request.header("authorization", value));
        let answer = Peer::send(request).await;
        assert_eq!(answer.status, 401, "{name}: {what}: {}", answer.brief());
        assert!(
            answer.header("www-authenticate").to_lowercase().contains("bearer"),
            "{name}: {what}: {:?}",
            answer.headers
        );
    }
    let port = gateway.port;
    let twice = format!(
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nAuthorization: Bearer x\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    let twice = raw(&format!("http://127.0.0.1:{}", gateway.port), twice.as_bytes(), Duration::from_secs(5));
    assert!(twice.starts_with("HTTP/1.1 4"), "{name}: two headers: {}", twice.lines().next().unwrap_or_default());
    let (_, _, write) = stage.client("write", json!({})).await;
    assert_eq!(gateway.status(peer, &write).await, gateway.scope, "{name}: a token without the scope");

    let many: String = (0..250).map(|n| format!(" scope-{n:03}-of-some-length")).collect();
    let scope = format!("read{many}");
    let (_, _, long) = stage.client(&scope, json!({"scope": scope, "access_token_strategy": "jwt"})).await;
    assert!((8_000..12_000).contains(&long.len()), "{}", long.len());
    assert_eq!(gateway.status(peer, &long).await, 200, "{name}: a token of {} bytes", long.len());
}

/// A revoked token and one that expires pass no longer than an answer is kept.
async fn shuts_out(stage: &Stage, gateway: &Gateway) {
    let short = json!({"client_credentials_grant_access_token_lifespan": "3s"});
    let ((id, secret, revoked), (_, _, expiring)) =
        (stage.client("read", json!({})).await, stage.client("read", short).await);
    let issued = Instant::now();
    for token in [&revoked, &expiring] {
        assert_eq!(gateway.status(&stage.peer, token).await, 200, "{}", gateway.name);
    }
    assert_eq!(stage.peer.revoke(&revoked, &id, &secret).await.status, 200);
    let now = Instant::now();
    tokio::join!(
        gateway.ends(&stage.peer, "revoked", &revoked, now),
        gateway.ends(&stage.peer, "expired", &expiring, issued + Duration::from_secs(3)),
    );
}

/// Plays it with every gateway at once; fails with all that went wrong.
async fn with_each<'a, F: Future<Output = ()>>(stage: &'a Stage, play: impl Fn(&'a Stage, &'a Gateway) -> F) {
    use futures_util::FutureExt as _;
    let played = stage.gateways.iter().map(|gateway| {
        std::panic::AssertUnwindSafe(play(stage, gateway)).catch_unwind().map(move |outcome| (gateway, outcome))
    });
    let failed: Vec<_> = join_all(played).await.into_iter().filter(|(_, outcome)| outcome.is_err()).collect();
    if !failed.is_empty() {
        stage.programs.iter().for_each(|program| println!("{}\n", program.said()));
        let names: Vec<_> = failed.iter().map(|(gateway, _)| gateway.name).collect();
        panic!("these failed, see above: {names:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_gateways_let_in_who_may_and_nobody_else() {
    let Some(mut stage) = Stage::set().await else { return };
    with_each(&stage, lets_in).await;
    with_each(&stage, shuts_out).await;

    // Asked twice, answered once: the answer was kept, by the token and by nothing else.
    let asked =
        async |stage: &Stage| Scrape::of(&stage.peer).await.count("http_requests_total", &["/authz/{policy}"]) as u64;
    let (_, _, token) = stage.client("read", json!({})).await;
    let before = asked(&stage).await;
    for _ in 0..3 {
        assert_eq!(stage.gateways[0].status(&stage.peer, &token).await, 200);
    }
    assert_eq!(asked(&stage).await - before, 1, "nginx keeps what Cache-Control lets it");

    let (_, _, known) = stage.client("read", json!({})).await;
    let (_, _, unknown) = stage.client("read", json!({})).await;
    for gateway in &stage.gateways {
        assert_eq!(gateway.status(&stage.peer, &known).await, 200, "{}", gateway.name);
    }
    stage.servers.clear();
    drop(stage.programs.pop());
    let calls = stage.api.questions().len();
    for gateway in &stage.gateways {
        let status = gateway.status(&stage.peer, &unknown).await;
        assert_eq!(status, gateway.away, "{}, while Signet is away", gateway.name);
    }
    assert_eq!(stage.api.questions().len(), calls, "the API was not asked");
    tokio::time::sleep(MAX_AGE + SLACK).await;
    for gateway in &stage.gateways {
        let status = gateway.status(&stage.peer, &known).await;
        assert_eq!(status, gateway.away, "{}, while Signet is away, for a token that it knew", gateway.name);
    }
    drop(stage);
}
