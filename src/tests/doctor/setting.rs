//! A server with everything as it should be, on PostgreSQL and Redis, with TLS; then one thing after the other is not.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Cases, Question};
use crate::harness::{Callee, Cluster, Database, Fault, Proxy, Redis, SECRET, Server, free_port, postgres, run};

const OTHER: &str = "Zk3vQ8xT1mW6bR9yL2pD5sH7jN4cF0aE";

/// A certificate for a host and its key, as files; it begins and ends so many days from now.
#[expect(clippy::disallowed_methods, reason = "a certificate ends by the clock of those who look at it")]
fn certificate(dir: &Path, name: &str, host: &str, days: (i64, i64)) -> (String, String) {
    let mut params = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
    let now = time::OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now + time::Duration::days(days.0), now + time::Duration::days(days.1));
    let key = rcgen::KeyPair::generate().unwrap();
    let pair = [
        (dir.join(format!("{name}.crt")), params.self_signed(&key).unwrap().pem()),
        (dir.join(format!("{name}.key")), key.serialize_pem()),
    ];
    let write = |(path, text): &(std::path::PathBuf, String)| {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, Permissions::from_mode(0o640)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    (write(&pair[0]), write(&pair[1]))
}

struct Sound {
    cluster: Cluster,
    redis: Redis,
    dir: tempfile::TempDir,
    issuer: String,
    question: Question,
    _server: Server,
}

impl Sound {
    async fn start() -> Option<Self> {
        let cluster = Cluster::start(&["fsync=on", "full_page_writes=on"]).await?;
        let redis = Redis::start()?;
        let dsn = cluster.admin();
        Server::migrate(&dsn);
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = certificate(dir.path(), "sound", "localhost", (-1, 90));
        let (public, admin) = (free_port(), free_port());
        let issuer = format!("https://localhost:{public}/");
        let page = format!("{issuer}oauth2/fallbacks/login");
        let env: Vec<(String, String)> = [
            ("DSN", dsn.as_str()),
            ("REDIS_URL", &redis.url()),
            ("REDIS_TIMEOUT", "40ms"),
            ("SECRETS_SYSTEM", SECRET),
            ("KEYS_ALGORITHM", "ES256"),
            ("URLS_SELF_ISSUER", &issuer),
            ("URLS_LOGIN", &page),
            ("URLS_CONSENT", &page),
            ("SERVE_PUBLIC_HOST", "127.0.0.1"),
            ("SERVE_PUBLIC_PORT", &public.to_string()),
            ("SERVE_ADMIN_PORT", &admin.to_string()),
            ("SERVE_PUBLIC_TLS_ENABLED", "true"),
            ("SERVE_PUBLIC_TLS_CERT_PATH", &cert),
            ("SERVE_PUBLIC_TLS_KEY_PATH", &key),
            ("SSL_CERT_FILE", &cert),
            ("JANITOR_INTERVAL", "1h"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        let mut of_server: Vec<(&str, &str)> = env.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        // Nothing rotates while keys are made old below; and what the harness sets of its own is as it was.
        of_server.extend([("KEYS_ROTATION_INTERVAL", "0s"), ("OIDC_SUBJECT_IDENTIFIERS_SUPPORTED_TYPES", "public")]);
        let server = Server::launch(&dsn, Some(&issuer), &of_server);
        let began = Instant::now();
        let probe: Vec<(&str, &str)> = env.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        while !run(&["healthcheck"], &probe).status.success()
            || !run(&["healthcheck", "--public"], &probe).status.success()
        {
            assert!(began.elapsed() < Duration::from_secs(60), "not ready:\n{}", server.said());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // A cache that has not heard its own voice for a while is no fault, but its janitor has run by then.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let question = Question { env: env.into_iter().collect(), args: vec!["--strict".to_owned()] };
        Some(Self { cluster, redis, dir, issuer, question, _server: server })
    }

    fn dsn(&self, more: &str) -> String {
        format!("{}&{more}", self.cluster.admin())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_named_and_what_is_not_is_left_alone() {
    let Some(sound) = Sound::start().await else { return };
    let mut cases = Cases::default();
    cases.case("nothing", &sound.question, &[]);
    settings(&sound, &mut cases);
    files(&sound, &mut cases);
    secrets(&sound, &mut cases);
    database(&sound, &mut cases).await;
    redis(&sound, &mut cases);
    surroundings(&sound, &mut cases);
    cases.case("nothing, after all of it", &sound.question, &[]);
    cases.end(50);
}

fn settings(sound: &Sound, cases: &mut Cases) {
    let (issuer, app) = (&sound.issuer, Callee::start(|_| (200, "{}".to_owned())));
    let slashless = issuer.trim_end_matches('/');
    for (env, names) in [
        (("TTL_ID_TOKEN", "soon"), &["config.fault"][..]),
        (("SECRETS_COOKIE", "only-24-characters-here!"), &["config.warning"]),
        (("LOG_REDACTION_TEXT", "x"), &["config.no-effect"]),
        (("SERVE_COOKIES_DOMAIN", "other.example"), &["cookies.domain"]),
        (("SERVE_COOKIES_PATHS_SESSION", "/session"), &["cookies.path"]),
        (("SERVE_COOKIES_SAME_SITE_MODE", "Strict"), &["cookies.same-site"]),
        (("SERVE_PUBLIC_CORS_ENABLED", "true"), &["cors.any-origin"]),
        (("SERVE_ADMIN_CORS", r#"{"enabled": true, "allowed_origins": ["*"]}"#), &["cors.any-origin"]),
        (("SERVE_ADMIN_HOST", "0.0.0.0"), &["admin.every-interface"]),
        (("WEBFINGER_OIDC_DISCOVERY_SUPPORTED_SCOPE", "mail"), &["discovery.stale"]),
        (("URLS_SELF_ISSUER", slashless), &["issuer.trailing-slash", "discovery.stale"]),
        (("URLS_LOGIN", "https://localhost:9/login"), &["pages.unreachable"]),
        (("URLS_LOGIN", ""), &["pages.missing"]),
        (("URLS_LOGOUT", &app.url), &["pages.plain-http"]),
        (("URLS_ERROR", &format!("{issuer}oauth2/auth")), &["pages.on-server"]),
        (("OAUTH2_TOKEN_HOOK", "http://127.0.0.1:9/hook"), &["hooks.unreachable"]),
        (("KEYS_ALGORITHM", "RS256"), &["keys.algorithm"]),
        (("DSN", "memory"), &["database.memory"]),
    ] {
        cases.case(&format!("{env:?}"), &lenient(&sound.question).with(&[env], &[]), names);
    }
}

/// Without --strict: the exit code then tells errors alone, with which it is compared.
fn lenient(question: &Question) -> Question {
    Question { args: Vec::new(), ..question.clone() }
}

fn files(sound: &Sound, cases: &mut Cases) {
    let (dir, free) = (sound.dir.path(), lenient(&sound.question));
    let with_pair = |(cert, key): (String, String)| {
        free.with(&[("SERVE_PUBLIC_TLS_CERT_PATH", &cert), ("SERVE_PUBLIC_TLS_KEY_PATH", &key)], &[])
    };
    cases.case("over", &with_pair(certificate(dir, "over", "localhost", (-9, -1))), &["tls.expiry"]);
    cases.case("soon over", &with_pair(certificate(dir, "soon", "localhost", (-9, 3))), &["tls.expiry"]);
    cases.case("another name", &with_pair(certificate(dir, "other", "other.example", (-9, 90))), &["tls.name"]);
    let (cert, _) = certificate(dir, "one", "localhost", (-1, 90));
    let (_, key) = certificate(dir, "two", "localhost", (-1, 90));
    cases.case("another's key", &with_pair((cert, key)), &["tls.unreadable"]);
    let secret = dir.join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let of_file = [("SECRETS_SYSTEM", ""), ("SECRETS_SYSTEM_FILE", secret.to_str().unwrap())];
    std::fs::set_permissions(&secret, Permissions::from_mode(0o640)).unwrap();
    cases.case("a secret in a file", &sound.question.with(&of_file, &[]), &[]);
    std::fs::set_permissions(&secret, Permissions::from_mode(0o644)).unwrap();
    cases.case("a secret for all", &free.with(&of_file, &[]), &["files.permissions"]);
    let both = [("SECRETS_SYSTEM_FILE", secret.to_str().unwrap())];
    cases.case("both", &free.with(&both, &[]), &["config.fault", "files.permissions"]);
}

fn secrets(sound: &Sound, cases: &mut Cases) {
    let free = lenient(&sound.question);
    let weak = "abababababababababababababababab";
    for (list, names) in [
        (OTHER.to_owned(), &["secrets.undecryptable"][..]),
        (format!("{OTHER},{SECRET}"), &["secrets.old-keys"]),
        (format!("{SECRET},{OTHER}"), &["secrets.old-unused"]),
        (format!("{SECRET},{weak}"), &["secrets.old-unused", "secrets.weak"]),
    ] {
        cases.case(&list, &free.with(&[("SECRETS_SYSTEM", &list)], &[]), names);
    }
}

async fn database(sound: &Sound, cases: &mut Cases) {
    let free = lenient(&sound.question);
    let (client, with) = (sound.cluster.client().await, |dsn: &str| free.with(&[("DSN", dsn)], &[]));
    cases.case("away", &with("postgres://signet@127.0.0.1:9/x"), &["database.unreachable"]);
    cases.case("only reads", &with(&sound.dsn("default_transaction_read_only=on")), &["database.read-only"]);
    cases.case("asynchronous", &with(&sound.dsn("synchronous_commit=off")), &["database.synchronous-commit"]);
    cases.case("too many replicas", &free.with(&[], &["--replicas", "30"]), &["database.connections"]);
    let proxy = Proxy::to("127.0.0.1", sound.cluster.port).unwrap();
    proxy.play(Fault::Delay(Duration::from_millis(15)));
    let far = sound.cluster.admin().replace(&format!(":{}/", sound.cluster.port), &format!(":{}/", proxy.port));
    cases.case("far away", &with(&far), &["database.latency"]);

    client
        .batch_execute("CREATE ROLE guest LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest")
        .await
        .unwrap();
    client.batch_execute("CREATE DATABASE empty").await.unwrap();
    let guest = sound.cluster.admin().replace("signet@", "guest@");
    cases.case("another's tables", &with(&guest), &["database.owner"]);
    let empty = sound.cluster.admin().replace("/postgres?", "/empty?");
    cases.case("no schema", &with(&empty), &["schema.pending"]);

    for (breaks, mends, name) in [
        (
            "INSERT INTO schema_migration VALUES (99, 'later', 'x', now())",
            "DELETE FROM schema_migration WHERE version = 99",
            "schema.newer",
        ),
        (
            "UPDATE schema_migration SET checksum = 'x' || checksum WHERE version = 1",
            "UPDATE schema_migration SET checksum = substr(checksum, 2) WHERE version = 1",
            "schema.altered",
        ),
        (
            "INSERT INTO device_guess VALUES (gen_random_uuid(), gen_random_uuid(), 1, now()); \
             INSERT INTO assertion_jti SELECT id, 'c', 'x', now() - interval '2 days' FROM network",
            "DELETE FROM assertion_jti; DELETE FROM device_guess",
            "janitor.behind",
        ),
        (
            "UPDATE json_web_key SET activates_at = activates_at - interval '200 days'",
            "UPDATE json_web_key SET activates_at = activates_at + interval '200 days'",
            "keys.age",
        ),
    ] {
        client.batch_execute(breaks).await.unwrap();
        cases.case(name, &free, &[name]);
        client.batch_execute(mends).await.unwrap();
    }
    let other = Database::postgres(&postgres().unwrap()).await;
    Server::migrate(&other.dsn());
    // The PostgreSQL of these tests is hasty, and no server has made keys in that database.
    let names = ["database.fsync", "database.synchronous-commit", "keys.none", "jwks.unknown-key"];
    cases.case("another database", &with(&other.dsn()), &names);
}

fn redis(sound: &Sound, cases: &mut Cases) {
    let (redis, free) = (&sound.redis, lenient(&sound.question));
    let with = |url: &str| free.with(&[("REDIS_URL", url)], &[]);
    cases.case("away", &with("redis://127.0.0.1:9/"), &["redis.unreachable"]);
    let _: String = redis.ask(&[
        "ACL",
        "SETUSER",
        "few",
        "on",
        ">pw",
        "~signet:*",
        "&signet:*",
        "+get",
        "+publish",
        "+subscribe",
        "+ping",
    ]);
    cases.case("no right to write", &with(&format!("redis://few:pw@127.0.0.1:{}/", redis.port)), &["redis.rights"]);
    let proxy = Proxy::to("127.0.0.1", redis.port).unwrap();
    proxy.play(Fault::Delay(Duration::from_millis(15)));
    cases.case("slow", &with(&format!("redis://127.0.0.1:{}/", proxy.port)), &["redis.latency"]);
    let _: String = redis.ask(&["CONFIG", "SET", "maxmemory", "100mb"]);
    cases.case("full one day", &free, &["redis.eviction"]);
    let _: String = redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    let replica = Redis::with(&["--replicaof", &format!("127.0.0.1 {}", redis.port)]).unwrap();
    cases.case("a replica", &with(&replica.url()), &["redis.read-only"]);
}

fn surroundings(sound: &Sound, cases: &mut Cases) {
    let free = lenient(&sound.question);
    let (one, other) = (free_port().to_string(), free_port().to_string());
    let nobody = [("SERVE_PUBLIC_PORT", one.as_str()), ("SERVE_ADMIN_PORT", &other)];
    cases.case("no server", &free.with(&nobody, &[]), &["server.down"]);
    cases.case("not there", &free.with(&[], &["--admin", "http://127.0.0.1:9"]), &["server.unreachable"]);
    let url = format!("https://localhost:{}", sound.question.env["SERVE_PUBLIC_PORT"]);
    let afar = sound.question.with(&[("SERVE_ADMIN_PORT", &other)], &["--public", &url]);
    cases.case("from where the admin listener is out of reach", &afar, &[]);
    let stranger = free.with(&[("SSL_CERT_FILE", "/dev/null")], &[]);
    let names = ["issuer.certificate", "discovery.endpoint", "pages.unreachable"];
    cases.case("an authority that nobody trusts", &stranger, &names);
    let gone = [("URLS_SELF_ISSUER", "https://localhost:9/")];
    cases.case("nothing at the issuer", &free.with(&gone, &[]), &["issuer.unreachable", "discovery.stale"]);
    let mut unwise = free.with(&[("SERVE_COOKIES_SAME_SITE_MODE", "Strict")], &[]).env;
    unwise.retain(|_, value| !value.is_empty());
    let unwise: Vec<(&str, &str)> = unwise.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for (args, code, complaint) in
        [(&["doctor"][..], 0, ""), (&["doctor", "--strict"], 1, "Error: doctor: 1 warning\n")]
    {
        let done = run(args, &unwise);
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert_eq!((done.status.code(), String::from_utf8_lossy(&done.stderr).as_ref()), (Some(code), complaint));
        assert!(
            said.contains("\ncookies\n  ! cookies.same-site at serve.cookies.same_site_mode: ") && said.contains("→"),
            "{said}"
        );
        assert!(said.ends_with("\n0 errors, 1 warning, 0 to know.\n") && !said.contains(SECRET), "{said}");
    }
    let limited = std::process::Command::new("sh")
        .args(["-c", &format!("ulimit -n 256; exec '{}' doctor -q", env!("CARGO_BIN_EXE_signet"))])
        .env_clear()
        .envs(&free.env)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&limited.stdout).trim(), "host.files");
}
