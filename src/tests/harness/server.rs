//! The built binary as a child process: `migrate sql`, then `serve all --dev` on free ports.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use super::wire::Peer;

/// The system secret of every server of these tests.
pub const SECRET: &str = "tests-only-system-secret-of-some-length";
const BINARY: &str = env!("CARGO_BIN_EXE_signet");
/// Nobody listens there: with `SIGNET_TEST_DEAD_REDIS` the Redis of every server that is given no other.
const DEAD_REDIS: &str = "redis://127.0.0.1:9/";
const START_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(60);
const SAYS_WITHIN: Duration = Duration::from_secs(20);

static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

/// A port of this machine on which nobody listens, below those the kernel gives to clients.
pub fn free_port() -> u16 {
    let offset = u16::try_from(std::process::id() % 97).unwrap() * 90;
    loop {
        let port = 10_500 + (offset + NEXT_PORT.fetch_add(1, Ordering::Relaxed)) % 9_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The binary with a clean environment and these variables, run to its end.
pub fn run(args: &[&str], env: &[(&str, &str)]) -> Output {
    command(env).args(args).stdin(Stdio::null()).output().unwrap()
}

/// Sends a signal ("TERM", "KILL") to one process.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
    assert!(sent.success(), "no process {pid}");
}

fn command(env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(BINARY);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", "/nonexistent");
    command.env("RUST_BACKTRACE", "1").envs(env.iter().copied());
    command
}

/// One replica. Ended with SIGKILL when dropped.
pub struct Server {
    child: Child,
    /// The wire to it.
    pub peer: Peer,
    log: tempfile::NamedTempFile,
}

impl Server {
    /// Brings the schema of `dsn` up to date with the command an operator would use.
    pub fn migrate(dsn: &str) {
        let done = run(&["migrate", "sql", "-e", "-y"], &[("DSN", dsn), ("SECRETS_SYSTEM", SECRET)]);
        assert!(done.status.success(), "migrate sql: {done:?}");
    }

    /// Starts a replica and waits until it is ready. `issuer` may name another replica's.
    pub async fn start(dsn: &str, issuer: Option<&str>, env: &[(&str, &str)]) -> Self {
        Self::start_at(dsn, None, issuer, env).await
    }

    /// The same on a public port that the caller has chosen.
    pub async fn start_at(dsn: &str, port: Option<u16>, issuer: Option<&str>, env: &[(&str, &str)]) -> Self {
        let mut server = Self::launch_at(dsn, port, issuer, env);
        server.wait_ready().await;
        server
    }

    /// Starts a replica and does not wait.
    pub fn launch(dsn: &str, issuer: Option<&str>, env: &[(&str, &str)]) -> Self {
        Self::launch_at(dsn, None, issuer, env)
    }

    fn launch_at(dsn: &str, port: Option<u16>, issuer: Option<&str>, env: &[(&str, &str)]) -> Self {
        let (public, admin) = (port.unwrap_or_else(free_port), free_port());
        let mut settings = settings(dsn, public, admin, issuer);
        if std::env::var_os("SIGNET_TEST_DEAD_REDIS").is_some() {
            settings.insert("REDIS_URL".to_owned(), DEAD_REDIS.to_owned());
        }
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = command(&[]);
        command.envs(&settings).envs(env.iter().copied()).args(["serve", "all", "--dev"]);
        command.stdin(Stdio::null()).stdout(copy(log.path())).stderr(copy(log.path()));
        Self { child: command.spawn().unwrap(), peer: Peer::new(public, admin), log }
    }

    /// Waits for `/health/ready` on both listeners.
    pub async fn wait_ready(&mut self) {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the server ended with {status}:\n{}", self.said());
            }
            if self.peer.is_ready().await {
                return;
            }
            assert!(began.elapsed() < START_WITHIN, "not ready in {START_WITHIN:?}:\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap_or_default()
    }

    /// Waits until it has written this text once more than before `change`.
    pub async fn says(&self, text: &str, change: impl FnOnce()) {
        let times = || self.said().matches(text).count();
        let (before, began) = (times(), Instant::now());
        change();
        while times() == before {
            assert!(began.elapsed() < SAYS_WITHIN, "it does not say {text:?}:\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits for its end after a signal; the exit code, or none when a signal ended it.
    pub async fn wait_end(&mut self) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(began.elapsed() < STOP_WITHIN, "still running after {STOP_WITHIN:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let said = self.said();
            let tail: Vec<&str> = said.lines().rev().take(15).collect();
            println!("the server's last lines:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
    }
}

fn copy(path: &Path) -> File {
    File::options().append(true).open(path).unwrap()
}

fn settings(dsn: &str, public: u16, admin: u16, issuer: Option<&str>) -> BTreeMap<String, String> {
    let app = "http://127.0.0.1:9";
    let own = format!("http://127.0.0.1:{public}/");
    [
        ("DSN", dsn.to_owned()),
        ("SECRETS_SYSTEM", SECRET.to_owned()),
        ("SERVE_PUBLIC_HOST", "127.0.0.1".to_owned()),
        ("SERVE_PUBLIC_PORT", public.to_string()),
        ("SERVE_ADMIN_HOST", "127.0.0.1".to_owned()),
        ("SERVE_ADMIN_PORT", admin.to_string()),
        ("URLS_SELF_ISSUER", issuer.map_or(own, str::to_owned)),
        ("URLS_LOGIN", format!("{app}/login")),
        ("URLS_CONSENT", format!("{app}/consent")),
        ("URLS_LOGOUT", format!("{app}/logout")),
        ("URLS_ERROR", format!("{app}/error")),
        ("OIDC_SUBJECT_IDENTIFIERS_SUPPORTED_TYPES", "public,pairwise".to_owned()),
        ("OIDC_SUBJECT_IDENTIFIERS_PAIRWISE_SALT", "some-salt-of-some-length".to_owned()),
        ("LOG_LEVEL", "info".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}
