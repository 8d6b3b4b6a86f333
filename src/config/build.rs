//! Turns gathered values into [`Settings`]. Rules that span several keys are in [`super::rules`].

use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};

use super::gather::{Gathered, Mode};
use super::rules;
use super::settings::{
    Cookies, Cors, Db, IdentityProvider, Limits, Listener, Pem, Redis, Secret, Serve, Settings, Socket, Tls, Urls,
};
use super::value::Value;
use super::{build_gateway, build_protocol, build_tracing, settings_parts::HiddenMap};

/// Builds the settings. Faults are added to `from`; the settings are of use only when there are none.
pub(super) fn settings(from: &mut Gathered, mode: Mode) -> Settings {
    let mut warnings = Vec::new();
    let dev = mode == Mode::Dev || from.bool("dev");
    let mode = if dev && mode == Mode::Production { Mode::Dev } else { mode };
    let serve = serve(from, mode);
    let urls = urls(from, &serve);
    let dsn = rules::dsn(from, mode);
    let secrets = rules::secrets(from, mode, &mut warnings);
    rules::exposure(from, mode, &serve, &urls.issuer);
    Settings {
        dev,
        db: Db {
            max_conns: rules::dsn_max_conns(from, &dsn).unwrap_or_else(|| from.int("db.pool.max_conns")),
            statement_timeout: from.duration("db.statement_timeout"),
        },
        dsn,
        secrets,
        serve,
        cookies: cookies(from),
        urls,
        ttl: build_protocol::ttl(from),
        strategies: build_protocol::strategies(from),
        oauth2: build_protocol::oauth2(from),
        oidc: build_protocol::oidc(from),
        webfinger: build_protocol::webfinger(from),
        clients: build_protocol::clients(from),
        log: build_protocol::log(from),
        hydra_metrics: from.bool("metrics.hydra_names"),
        tracing: build_tracing::tracing(from, &mut warnings),
        keys: build_protocol::keys(from),
        janitor: build_protocol::janitor(from),
        redis: redis(from),
        gateway: build_gateway::gateway(from),
        limits: limits(from),
        warnings,
    }
}

fn limits(from: &mut Gathered) -> Limits {
    let (queue_time, deadline) = (from.duration("limits.queue_time"), from.duration("limits.deadline"));
    if deadline.is_zero() {
        from.fault("limits.deadline", "is zero", "write a duration such as 10s");
    }
    Limits {
        authorize: from.int("limits.authorize"),
        token: from.int("limits.token"),
        introspect: from.int("limits.introspect"),
        admin: from.int("limits.admin"),
        queue_time,
        deadline,
    }
}

fn redis(from: &mut Gathered) -> Redis {
    let url = from.opt_text("redis.url");
    let schemes = ["", "+sentinel", "+cluster"].map(|kind| [format!("redis{kind}://"), format!("rediss{kind}://")]);
    if url.as_ref().is_some_and(|url| !schemes.iter().flatten().any(|scheme| url.trim().starts_with(scheme))) {
        from.fault("redis.url", "is of no form that is known", "write redis://[user:password@]host[:port][/db]");
    }
    let staleness = from.duration("introspection.staleness");
    if staleness > Duration::from_secs(60) {
        from.fault("introspection.staleness", "is longer than a minute", "write at most 60s");
    }
    let timeout = from.duration("redis.timeout");
    if timeout.is_zero() {
        from.fault("redis.timeout", "is zero", "write a duration such as 20ms");
    }
    let prefix = from.text_of("redis.prefix");
    Redis { url, timeout, prefix, staleness, local_entries: from.int("introspection.local_entries") }
}

fn serve(from: &mut Gathered, mode: Mode) -> Serve {
    let mut public = Listener { cors: cors(from, "serve.public.cors"), ..listener(from, "serve.public") };
    if mode == Mode::Quickstart && !from.is_set("serve.public.host") {
        public.host = "127.0.0.1".to_owned();
    }
    Serve {
        public,
        // Whoever reaches the admin listener rules the server, so the world reaches it only when told to.
        admin: Listener { cors: cors(from, "serve.admin.cors"), ..listener(from, "serve.admin") },
        gateway: from.bool("serve.gateway.enabled").then(|| listener(from, "serve.gateway")),
        metrics: from.bool("serve.metrics.enabled").then(|| metrics_listener(from)),
        drain_delay: from.duration("serve.shutdown.drain_delay"),
        shutdown_timeout: from.duration("serve.shutdown.timeout"),
    }
}

/// Without CORS: only browsers ask for it, and none calls the gateway listener.
fn listener(from: &mut Gathered, at: &str) -> Listener {
    Listener {
        host: from.text_of(&format!("{at}.host")),
        port: from.int(&format!("{at}.port")),
        socket: Socket {
            owner: from.opt_text(&format!("{at}.socket.owner")),
            group: from.opt_text(&format!("{at}.socket.group")),
            mode: from.int(&format!("{at}.socket.mode")),
        },
        tls: tls(from, at),
        cors: Cors::default(),
        log_health: !from.bool(&format!("{at}.request_log.disable_for_health")),
    }
}

/// Plain HTTP, for machines next to it alone: its log would only be a list of their visits.
fn metrics_listener(from: &Gathered) -> Listener {
    Listener {
        host: from.text_of("serve.metrics.host"),
        port: from.int("serve.metrics.port"),
        socket: Socket { owner: None, group: None, mode: 0o755 },
        tls: Tls { enabled: false, cert: None, key: None, allow_termination_from: Vec::new() },
        cors: Cors::default(),
        log_health: false,
    }
}

/// A listener's own TLS keys, each falling back to that of `serve.tls`.
fn tls(from: &mut Gathered, at: &str) -> Tls {
    let name = |from: &Gathered, leaf: &str| {
        let own = format!("{at}.tls.{leaf}");
        if from.is_set(&own) { own } else { format!("serve.tls.{leaf}") }
    };
    let enabled = from.bool(&name(from, "enabled"));
    let (cert, key) = (pem(from, at, "cert"), pem(from, at, "key"));
    let networks = name(from, "allow_termination_from");
    let allow_termination_from = rules::networks(from, &networks);
    // Where proxies end TLS, none is needed here.
    let proxied = !allow_termination_from.is_empty() && cert.is_none() && key.is_none();
    for (part, found) in [("cert", cert.is_some()), ("key", key.is_some())] {
        if enabled && !found && !proxied {
            let key = format!("{at}.tls.{part}.path");
            from.fault(&key, "TLS is enabled without it", format!("set {key} or {at}.tls.{part}.base64"));
        }
    }
    Tls { enabled, cert, key, allow_termination_from }
}

fn pem(from: &Gathered, at: &str, part: &str) -> Option<Pem> {
    [format!("{at}.tls"), "serve.tls".to_owned()].iter().find_map(|branch| {
        let text = from.opt_text(&format!("{branch}.{part}.base64")).map(|text| Pem::Base64(Secret(text)));
        text.or_else(|| from.opt_text(&format!("{branch}.{part}.path")).map(Pem::Path))
    })
}

fn cors(from: &Gathered, at: &str) -> Cors {
    let list = |leaf: &str| from.list(&format!("{at}.{leaf}"));
    Cors {
        enabled: from.bool(&format!("{at}.enabled")),
        allowed_origins: list("allowed_origins"),
        allowed_methods: list("allowed_methods"),
        allowed_headers: list("allowed_headers"),
        exposed_headers: list("exposed_headers"),
        allow_credentials: from.bool(&format!("{at}.allow_credentials")),
        max_age: from.int(&format!("{at}.max_age")),
    }
}

fn cookies(from: &Gathered) -> Cookies {
    Cookies {
        same_site_mode: from.text_of("serve.cookies.same_site_mode"),
        same_site_legacy_workaround: from.bool("serve.cookies.same_site_legacy_workaround"),
        domain: from.opt_text("serve.cookies.domain"),
        secure: from.bool("serve.cookies.secure"),
        login_csrf: from.text_of("serve.cookies.names.login_csrf"),
        consent_csrf: from.text_of("serve.cookies.names.consent_csrf"),
        device_csrf: from.text_of("serve.cookies.names.device_csrf"),
        session: from.text_of("serve.cookies.names.session"),
        session_path: from.text_of("serve.cookies.paths.session"),
    }
}

/// The base URL of a listener when none is configured.
fn derived_url(listener: &Listener) -> String {
    let scheme = if listener.tls.enabled { "https" } else { "http" };
    let host = match listener.host.as_str() {
        "" | "0.0.0.0" | "::" | "[::]" => "127.0.0.1".to_owned(),
        host if host.starts_with("unix:") => "127.0.0.1".to_owned(),
        host if host.contains(':') && !host.starts_with('[') => format!("[{host}]"),
        host => host.to_owned(),
    };
    format!("{scheme}://{host}:{}/", listener.port)
}

/// Headers for the identity provider, each one that HTTP can carry.
fn provider_headers(from: &mut Gathered) -> serde_json::Map<String, serde_json::Value> {
    let key = "urls.identity_provider.headers";
    let Some(Value::Object(headers)) = from.get(key).cloned() else { return serde_json::Map::new() };
    for (name, value) in &headers {
        let carried = |text| HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_str(text).is_ok();
        if !value.as_str().is_some_and(carried) {
            let problem = format!("has no value for '{name}' that a header can carry");
            from.fault(key, problem, "write names with texts, such as {\"Authorization\": \"Bearer some-token\"}");
        }
    }
    headers
}

fn urls(from: &mut Gathered, serve: &Serve) -> Urls {
    let issuer = from.opt_text("urls.self.issuer").unwrap_or_else(|| derived_url(&serve.public));
    let login = from.opt_text("urls.login");
    let headers = provider_headers(from);
    Urls {
        public: from.opt_text("urls.self.public").unwrap_or_else(|| issuer.clone()),
        issuer,
        admin: from.opt_text("urls.self.admin").unwrap_or_else(|| derived_url(&serve.admin)),
        registration: from.opt_text("urls.registration").or_else(|| login.clone()),
        login,
        consent: from.opt_text("urls.consent"),
        logout: from.opt_text("urls.logout"),
        error: from.opt_text("urls.error"),
        post_logout_redirect: from.opt_text("urls.post_logout_redirect"),
        device_verification: from.opt_text("urls.device.verification"),
        device_success: from.opt_text("urls.device.success"),
        identity_provider: IdentityProvider {
            url: from.opt_text("urls.identity_provider.url"),
            public_url: from.opt_text("urls.identity_provider.publicUrl"),
            headers: HiddenMap(headers),
        },
    }
}
