//! PostgreSQL DSNs with all the parameters that Hydra's users write into them.

use crate::domain::duration::parse_go;
use crate::store::OpenError;
use deadpool_postgres::{Hook, HookError};
use percent_encoding::percent_decode_str;
use std::path::PathBuf;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use url::Url;

/// How long connecting may take, unless the DSN says `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A peer from which nothing comes for so long is gone; a quiet connection is probed well before.
const SILENCE: Duration = Duration::from_secs(10);
const PROBED_AFTER: Duration = Duration::from_secs(4);
const PROBED_EVERY: Duration = Duration::from_secs(2);
/// How long a statement may wait for another one's lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// A DSN, understood.
pub(super) struct Dsn {
    pub(super) config: Config,
    pub(super) tls: TlsWish,
    pub(super) limits: Limits,
    pub(super) connect_timeout: Duration,
    options: Vec<String>,
}

/// What the DSN asks of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TlsWish {
    pub(super) verify: Verify,
    pub(super) roots: Option<PathBuf>,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

/// How far the server's certificate is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Verify {
    /// Not at all: the traffic is encrypted, and that is all.
    #[default]
    Nothing,
    /// Signed by a trusted authority, for whatever name.
    Authority,
    /// Signed by a trusted authority for this host.
    Full,
}

/// What the DSN asks of the pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) max_conns: Option<usize>,
    lifetime: Option<Duration>,
    idle: Option<Duration>,
}

impl Limits {
    /// Refuses to hand out a connection that is too old or was idle for too long.
    pub(super) fn hook(&self) -> Hook {
        let (lifetime, idle) = (self.lifetime, self.idle);
        Hook::sync_fn(move |_, metrics| {
            let old = lifetime.is_some_and(|limit| metrics.age() > limit);
            let stale = idle.is_some_and(|limit| metrics.last_used() > limit);
            if old || stale { Err(HookError::message("the connection's time is over")) } else { Ok(()) }
        })
    }
}

fn wrong(what: impl Into<String>) -> OpenError {
    OpenError::new(
        what,
        "write postgres://user:password@host:5432/database?sslmode=…, with odd characters percent-encoded",
    )
}

fn decoded(text: &str) -> Result<String, OpenError> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| wrong("the DSN is not UTF-8"))?;
    if text.contains('\0') { Err(wrong("the DSN holds a NUL character")) } else { Ok(text.into_owned()) }
}

impl Dsn {
    /// Reads a DSN.
    pub(super) fn parse(text: &str) -> Result<Self, OpenError> {
        let url = Url::parse(text.trim()).map_err(|e| wrong(format!("the PostgreSQL DSN cannot be read ({e})")))?;
        let mut dsn = Self {
            config: Config::new(),
            tls: TlsWish::default(),
            limits: Limits::default(),
            connect_timeout: CONNECT_TIMEOUT,
            options: Vec::new(),
        };
        dsn.address(&url)?;
        dsn.config.ssl_mode(SslMode::Prefer).application_name("signet");
        for pair in url.query().unwrap_or_default().split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            dsn.parameter(&decoded(name)?, &decoded(value)?)?;
        }
        if dsn.tls.verify == Verify::Nothing && dsn.tls.roots.is_some() {
            // As libpq does: who names an authority wants it checked.
            dsn.tls.verify = Verify::Authority;
        }
        if dsn.config.get_hosts().is_empty() {
            dsn.config.host("localhost");
        }
        dsn.config.connect_timeout(dsn.connect_timeout);
        dsn.config.keepalives(true).keepalives_idle(PROBED_AFTER).keepalives_interval(PROBED_EVERY);
        dsn.config.tcp_user_timeout(SILENCE);
        dsn.set_options();
        Ok(dsn)
    }

    fn address(&mut self, url: &Url) -> Result<(), OpenError> {
        for host in url.host_str().unwrap_or_default().split(',').filter(|h| !h.is_empty()) {
            self.config.host(decoded(host.trim_start_matches('[').trim_end_matches(']'))?);
        }
        if let Some(port) = url.port() {
            self.config.port(port);
        }
        if !url.username().is_empty() {
            self.config.user(decoded(url.username())?);
        }
        if let Some(password) = url.password() {
            self.config.password(decoded(password)?);
        }
        let name = decoded(url.path().trim_start_matches('/'))?;
        if !name.is_empty() {
            self.config.dbname(name);
        }
        Ok(())
    }

    fn parameter(&mut self, name: &str, value: &str) -> Result<(), OpenError> {
        let bad = || wrong(format!("the DSN's {name} is not understood"));
        match name {
            "sslmode" => self.ssl_mode(value).ok_or_else(bad)?,
            "sslrootcert" => self.tls.roots = path(value),
            "sslcert" => self.tls.cert = path(value),
            "sslkey" => self.tls.key = path(value),
            "max_conns" => self.limits.max_conns = Some(value.parse().map_err(|_| bad())?).filter(|n| *n > 0),
            "max_conn_lifetime" => self.limits.lifetime = limit(value).ok_or_else(bad)?,
            "max_conn_idle_time" => self.limits.idle = limit(value).ok_or_else(bad)?,
            "connect_timeout" => {
                let secs: u64 = value.parse().map_err(|_| bad())?;
                self.connect_timeout = if secs == 0 { CONNECT_TIMEOUT } else { Duration::from_secs(secs) };
            }
            "host" => drop(self.config.host(value)),
            "port" => drop(self.config.port(value.parse().map_err(|_| bad())?)),
            "user" => drop(self.config.user(value)),
            "password" => drop(self.config.password(value)),
            "dbname" => drop(self.config.dbname(value)),
            "application_name" => drop(self.config.application_name(value)),
            "target_session_attrs" => drop(self.config.target_session_attrs(session_attrs(value).ok_or_else(bad)?)),
            "options" => self.options.push(value.to_owned()),
            // Of Go's pool and drivers; ours keeps every connection it has and prepares by itself.
            "max_idle_conns"
            | "default_query_exec_mode"
            | "statement_cache_capacity"
            | "binary_parameters"
            | "sslsni"
            | "client_encoding"
            | "fallback_application_name"
            | "description_cache_capacity"
            | "pool_max_conns"
            | "gssencmode"
            | "channel_binding" => {}
            _ => self.setting(name, value).ok_or_else(bad)?,
        }
        Ok(())
    }

    fn ssl_mode(&mut self, value: &str) -> Option<()> {
        let (mode, verify) = match value {
            "disable" => (SslMode::Disable, Verify::Nothing),
            "allow" | "prefer" => (SslMode::Prefer, Verify::Nothing),
            "require" => (SslMode::Require, Verify::Nothing),
            "verify-ca" => (SslMode::Require, Verify::Authority),
            "verify-full" => (SslMode::Require, Verify::Full),
            _ => return None,
        };
        self.config.ssl_mode(mode);
        self.tls.verify = verify;
        Some(())
    }

    /// Any other parameter is a setting of the session, such as `search_path`.
    fn setting(&mut self, name: &str, value: &str) -> Option<()> {
        let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        plain.then(|| self.options.push(option(name, value)))
    }

    /// Sets the limits that hold for every statement of a serving process; the DSN's own settings win. Statements are
    /// planned once: our plans do not depend on the values, and planning costs more than running them does. Each has its
    /// index, which a planner that knows too little of a table, or knows it as all one client's, would leave aside.
    pub(super) fn bound_statements(&mut self, statement: Duration) {
        let millis = |limit: Duration| limit.as_millis().max(1).to_string();
        let ours = [
            option("statement_timeout", &millis(statement)),
            option("lock_timeout", &millis(LOCK_TIMEOUT.min(statement))),
            option("idle_in_transaction_session_timeout", &millis(statement.saturating_mul(2))),
            option("plan_cache_mode", "force_generic_plan"),
            option("enable_seqscan", "off"),
            option("max_parallel_workers_per_gather", "0"),
            option("jit", "off"),
        ];
        self.options.splice(0..0, ours);
        self.set_options();
    }

    fn set_options(&mut self) {
        self.config.options(self.options.join(" "));
    }
}

fn session_attrs(value: &str) -> Option<TargetSessionAttrs> {
    match value {
        "any" | "prefer-standby" => Some(TargetSessionAttrs::Any),
        "read-write" | "primary" => Some(TargetSessionAttrs::ReadWrite),
        "read-only" | "standby" => Some(TargetSessionAttrs::ReadOnly),
        _ => None,
    }
}

fn path(value: &str) -> Option<PathBuf> {
    (!value.is_empty()).then(|| PathBuf::from(value))
}

/// A Go duration; zero means no limit.
fn limit(value: &str) -> Option<Option<Duration>> {
    parse_go(value).map(|d| Some(d).filter(|d| !d.is_zero()))
}

/// `-c name=value` with spaces and backslashes escaped, as the server splits at spaces.
fn option(name: &str, value: &str) -> String {
    let mut text = format!("-c {name}=");
    for c in value.chars() {
        if c.is_whitespace() || c == '\\' {
            text.push('\\');
        }
        text.push(c);
    }
    text
}
