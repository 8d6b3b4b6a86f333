//! The replicas: processes of a given binary with ports, proxies and a log of their own.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use url::Url;

use super::history::Key;
use crate::fault_proxy::Proxy;
use crate::http::connection::Wire;
use crate::http::{Call, Origin};

/// The system secret that every replica begins with.
pub const SECRET: &str = "soak-only-system-secret-of-some-length";
const START_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// A port of this machine on which nobody listens, below those that the kernel gives to clients.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = u16::try_from(std::process::id() % 89).unwrap_or_default() * 100;
    for _ in 0..9_000 {
        let port = 10_500 + (offset + NEXT.fetch_add(1, Ordering::Relaxed)) % 9_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port is free")
}

/// Sends a signal ("TERM", "KILL") to one process.
pub fn signal(pid: u32, name: &str) -> Result<()> {
    let sent =
        Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().context("cannot run kill")?;
    if sent.success() { Ok(()) } else { bail!("process {pid} took no SIG{name}") }
}

/// What all replicas have in common.
pub struct Plan {
    pub binary: PathBuf,
    pub dsn: String,
    pub redis_port: u16,
    /// The balancer's public port, which is the issuer's.
    pub issuer_port: u16,
    /// For the logs.
    pub dir: PathBuf,
    pub settings: Vec<(String, String)>,
}

/// One replica.
pub struct Replica {
    pub number: u8,
    pub public: u16,
    pub admin: u16,
    pub postgres: Proxy,
    pub redis: Proxy,
    /// Held by whoever ends and starts it.
    pub turn: tokio::sync::Mutex<()>,
    /// How often it was started.
    pub lives: AtomicU32,
    /// Whether it belongs to the fleet now, even while a fault keeps it from running.
    pub wanted: AtomicBool,
    binary: Mutex<PathBuf>,
    env: Vec<(String, String)>,
    /// `secrets.system` of its next start, newest first.
    secrets: Mutex<Vec<String>>,
    log: PathBuf,
    child: Mutex<Option<Child>>,
}

/// Brings the schema up to date with the command that an operator would use.
pub fn migrate(binary: &Path, dsn: &str) -> Result<()> {
    let mut command = Command::new(binary);
    command.env_clear().args(["migrate", "sql", "-e", "-y"]).env("DSN", dsn).env("SECRETS_SYSTEM", SECRET);
    let done = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {}", binary.display()))?;
    if !done.status.success() {
        bail!("migrate sql: {}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(())
}

impl Replica {
    pub fn new(number: u8, plan: &Plan) -> Result<Self> {
        let mut dsn = Url::parse(&plan.dsn).context("the DSN is no URL")?;
        let host = dsn.host_str().context("the DSN names no host")?.to_owned();
        let postgres = Proxy::to(&host, dsn.port().unwrap_or(5432))?;
        let redis = Proxy::to("127.0.0.1", plan.redis_port)?;
        let moved = dsn.set_host(Some("127.0.0.1")).is_ok() && dsn.set_port(Some(postgres.port)).is_ok();
        if !moved {
            bail!("the DSN cannot be led through a proxy");
        }
        let (public, admin) = (free_port()?, free_port()?);
        let mut env = settings(dsn.as_str(), redis.port, (public, admin), plan.issuer_port);
        env.extend(plan.settings.iter().cloned());
        let log = plan.dir.join(format!("replica-{number}.log"));
        let (lives, binary, child) = (AtomicU32::new(0), Mutex::new(plan.binary.clone()), Mutex::new(None));
        let (turn, secrets) = (tokio::sync::Mutex::default(), Mutex::new(vec![SECRET.to_owned()]));
        let wanted = AtomicBool::new(false);
        Ok(Self { number, public, admin, postgres, redis, turn, lives, wanted, binary, env, secrets, log, child })
    }

    /// Where its own listeners are, past the balancer.
    pub fn origin(&self) -> Result<Origin> {
        Origin::parse(&format!("http://127.0.0.1:{}", self.public))
    }

    /// The same for the admin API.
    pub fn admin_origin(&self) -> Result<Origin> {
        Origin::parse(&format!("http://127.0.0.1:{}", self.admin))
    }

    fn secrets(&self) -> MutexGuard<'_, Vec<String>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The list for its next start.
    pub fn give_secrets(&self, newest_first: Vec<String>) {
        *self.secrets() = newest_first;
    }

    /// The program of its next start.
    pub fn give_binary(&self, binary: &Path) {
        *self.binary.lock().unwrap_or_else(PoisonError::into_inner) = binary.to_owned();
    }

    /// What it seals under.
    pub fn newest_secret(&self) -> Key {
        self.secrets().first().map_or(Key::default(), |secret| Key::of(secret))
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn pid(&self) -> Option<u32> {
        self.child().as_ref().map(Child::id)
    }

    pub fn signal(&self, name: &str) -> Result<()> {
        signal(self.pid().context("it does not run")?, name)
    }

    /// Starts it and waits until it is ready.
    pub async fn start(&self) -> Result<()> {
        let log = || File::options().create(true).append(true).open(&self.log);
        let binary = self.binary.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut command = Command::new(&binary);
        command.env_clear().envs(self.env.iter().map(|(key, value)| (key, value)));
        command.env("SECRETS_SYSTEM", self.secrets().join(","));
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("RUST_BACKTRACE", "1");
        command.args(["serve", "all", "--dev"]).stdin(Stdio::null()).stdout(log()?).stderr(log()?);
        *self.child() = Some(command.spawn().with_context(|| format!("cannot run {}", binary.display()))?);
        self.lives.fetch_add(1, Ordering::Relaxed);
        self.wanted.store(true, Ordering::Relaxed);
        self.wait_ready().await
    }

    pub async fn wait_ready(&self) -> Result<()> {
        let call = Call::get(&self.origin()?, "/health/ready");
        let mut wire = Wire::new(Duration::from_secs(2), std::sync::Arc::default());
        let until = Instant::now() + START_WITHIN;
        while !wire.send(&call).await.is_ok_and(|answer| answer.status == 200) {
            if let Some(status) = self.ended()? {
                bail!("replica {} ended with {status}; its log is {}", self.number, self.log.display());
            }
            if Instant::now() > until {
                bail!("replica {} is not ready; its log is {}", self.number, self.log.display());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    fn ended(&self) -> Result<Option<std::process::ExitStatus>> {
        Ok(match self.child().as_mut() {
            Some(child) => child.try_wait()?,
            None => None,
        })
    }

    /// Waits for its end after a signal; whether that was a clean one.
    pub async fn wait_end(&self) -> Result<bool> {
        let until = Instant::now() + STOP_WITHIN;
        loop {
            if let Some(status) = self.ended()? {
                *self.child() = None;
                return Ok(status.success());
            }
            if Instant::now() > until {
                bail!("replica {} does not end", self.number);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Lines of its log that tell of a panic.
    pub fn panics(&self) -> Vec<String> {
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        said.lines().filter(|line| line.contains("panicked at")).map(str::to_owned).collect()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(mut child) = self.child().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn settings(dsn: &str, redis: u16, (public, admin): (u16, u16), issuer: u16) -> Vec<(String, String)> {
    let app = "http://127.0.0.1:9";
    [
        ("DSN", dsn.to_owned()),
        ("REDIS_URL", format!("redis://127.0.0.1:{redis}/")),
        ("SERVE_PUBLIC_HOST", "127.0.0.1".to_owned()),
        ("SERVE_PUBLIC_PORT", public.to_string()),
        ("SERVE_ADMIN_HOST", "127.0.0.1".to_owned()),
        ("SERVE_ADMIN_PORT", admin.to_string()),
        ("SERVE_SHUTDOWN_DRAIN_DELAY", "1s".to_owned()),
        ("URLS_SELF_ISSUER", format!("http://127.0.0.1:{issuer}/")),
        ("URLS_LOGIN", format!("{app}/login")),
        ("URLS_CONSENT", format!("{app}/consent")),
        ("URLS_LOGOUT", format!("{app}/logout")),
        ("URLS_ERROR", format!("{app}/error")),
        ("URLS_DEVICE_SUCCESS", format!("{app}/done")),
        ("URLS_DEVICE_VERIFICATION", format!("{app}/device")),
        ("KEYS_ALGORITHM", "ES256".to_owned()),
        ("JANITOR_INTERVAL", "10s".to_owned()),
        ("LOG_LEVEL", "warn".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}
