//! A real browser, the reference login and consent app and real relying parties, all unmodified, against PostgreSQL.
//!
//! The scenarios are in `drivers/browser`, in the languages of those who use Signet; this side starts what they need.
//! `make test` installs Chromium, Apache and the packages, and sets `SIGNET_TEST_DRIVERS`.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::drivers::{installed, script};
use crate::harness::{Database, Server, free_port, postgres};

/// The npm package `hydra-login-consent-logout` as a child process; its user is `foo@bar.com`.
struct ConsentApp {
    child: Child,
    log: tempfile::NamedTempFile,
}

impl ConsentApp {
    async fn start(drivers: &Path, port: u16, admin: &str) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let child = Command::new("node")
            .arg(drivers.join("node/node_modules/hydra-login-consent-logout/lib/app.js"))
            .env("PORT", port.to_string())
            .env("HYDRA_ADMIN_URL", admin)
            .stdin(Stdio::null())
            .stdout(log.reopen().unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut app = Self { child, log };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = app.child.try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < Duration::from_secs(60), "{ended:?}: {}", app.said());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        app
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap_or_default()
    }
}

impl Drop for ConsentApp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("the login and consent app's log:\n{}", self.said());
        }
    }
}

/// Signet on PostgreSQL with the app beside it. Dropped in this order.
struct Stage {
    _app: ConsentApp,
    server: Server,
    _database: Database,
    drivers: PathBuf,
    consent: String,
    tokens: &'static str,
}

impl Stage {
    /// `host` is the app's: "localhost" makes it another site than Signet's 127.0.0.1. `tokens` is the access tokens'
    /// strategy. None where there is no PostgreSQL, or where nothing is installed.
    async fn set(host: &str, tokens: &'static str) -> Option<Self> {
        let (drivers, dsn) = (installed()?, postgres()?);
        let database = Database::postgres(&dsn).await;
        Server::migrate(&database.dsn());
        let port = free_port();
        let consent = format!("http://{host}:{port}");
        let settings = settings(&consent, tokens);
        let env: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let server = Server::start(&database.dsn(), None, &env).await;
        let app = ConsentApp::start(&drivers, port, &server.peer.admin).await;
        Some(Self { _app: app, server, _database: database, drivers, consent, tokens })
    }

    /// Plays these groups of scenarios; fails with all they said.
    fn play(&self, groups: &[&str]) {
        let done = node(&self.drivers, groups)
            .env("PUBLIC_URL", &self.server.peer.public)
            .env("ADMIN_URL", &self.server.peer.admin)
            .env("CONSENT_URL", &self.consent)
            .env("ACCESS_TOKENS", self.tokens)
            .env("APACHE_PORT", free_port().to_string())
            .output()
            .unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "{said}\nwhat Signet complained of:\n{}", self.complaints());
        println!("{said}");
    }

    /// The server's warnings and errors, and its requests that ended in one.
    fn complaints(&self) -> String {
        let said = self.server.said();
        let bad =
            |line: &&str| [" WARN ", " ERROR ", "status_code=5", "status=5"].iter().any(|word| line.contains(word));
        said.lines().filter(bad).collect::<Vec<_>>().join("\n")
    }
}

/// Those of Hydra's own browser tests, with the pages of the app where it has them.
fn settings(consent: &str, tokens: &str) -> Vec<(&'static str, String)> {
    let page = |path: &str| format!("{consent}{path}");
    let own = |value: &str| value.to_owned();
    vec![
        ("URLS_LOGIN", page("/login")),
        ("URLS_CONSENT", page("/consent")),
        ("URLS_LOGOUT", page("/logout")),
        ("URLS_DEVICE_VERIFICATION", page("/device/verify")),
        ("URLS_DEVICE_SUCCESS", page("/device/success")),
        ("URLS_ERROR", own("")), // Signet's own page
        ("STRATEGIES_ACCESS_TOKEN", own(tokens)),
        ("OIDC_SUBJECT_IDENTIFIERS_SUPPORTED_TYPES", own(if tokens == "jwt" { "public" } else { "public,pairwise" })),
        ("SERVE_PUBLIC_CORS_ENABLED", own("true")),
        ("SERVE_PUBLIC_CORS_ALLOWED_METHODS", own("POST,GET,PUT,DELETE")),
        ("OAUTH2_EXPOSE_INTERNAL_ERRORS", own("true")),
        ("DB_STATEMENT_TIMEOUT", own("20s")), // a busy machine is no outage
        ("OAUTH2_DEVICE_AUTHORIZATION_TOKEN_POLLING_INTERVAL", own("1s")),
    ]
}

/// `node run.mjs GROUP...`, not yet started.
pub fn node(drivers: &Path, groups: &[&str]) -> Command {
    let mut command = Command::new("node");
    command.arg(script("browser/run.mjs")).args(groups).env("DRIVERS", drivers).stdin(Stdio::null());
    command
}

const ALL: [&str; 8] = ["code", "errors", "session", "tokens", "logout", "device", "tabs", "consent"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_browser_with_opaque_access_tokens() {
    let Some(stage) = Stage::set("127.0.0.1", "opaque").await else { return };
    stage.play(&ALL);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_browser_with_jwt_access_tokens_and_the_apps_on_another_site() {
    let Some(stage) = Stage::set("localhost", "jwt").await else { return };
    stage.play(&ALL);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openid_client_and_oauth4webapi_for_node_work_unmodified() {
    let Some(stage) = Stage::set("127.0.0.1", "opaque").await else { return };
    stage.play(&["openid_client", "oauth4webapi"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apache_with_mod_auth_openidc_works_unmodified() {
    let Some(stage) = Stage::set("127.0.0.1", "jwt").await else { return };
    stage.play(&["apache"]);
}
