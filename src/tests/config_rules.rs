//! Configuration: each rule bites, faults are told at once, and no secret is shown.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]

use std::time::Duration;

use proptest::prelude::{ProptestConfig, any, proptest};
use signet::config::{Mode, Settings, Sources, key, load, status, validate};

use crate::config::{loaded, refused, sources, with_file};

#[test]
fn defaults_are_safe() {
    let settings = loaded(&[]);
    assert_eq!((settings.serve.public.host.as_str(), settings.serve.public.port), ("0.0.0.0", 4444));
    assert_eq!((settings.serve.admin.host.as_str(), settings.serve.admin.port), ("127.0.0.1", 4445));
    assert_eq!(settings.urls.public, "https://id.example");
    assert_eq!(settings.serve.drain_delay, Duration::from_secs(5));
    assert!(!settings.dev && settings.oauth2.encrypt_sessions_at_rest && !settings.oauth2.expose_internal_errors);
    assert_eq!(settings.keys.rotation_interval, Duration::from_hours(2160));
    let pool = |dsn| loaded(&[("DSN", dsn)]).db.max_conns;
    assert_eq!(pool("postgres://h/d"), 8);
    assert_eq!(pool("postgres://h/d?sslmode=disable&max_conns=3"), 3);
}

#[test]
fn each_rule_names_key_source_and_fix() {
    for (env, want) in [
        (("DSN", ""), "dsn (not set): is missing"),
        (("DSN", "mysql://u:p@h/d"), "dsn (environment DSN): mysql is not a database this server can use"),
        (("DSN", "cockroach://u:p@h/d"), "cockroach is not a database"),
        (("DSN", "postgres://h/d?max_conns=no"), "has a max_conns"),
        (("DSN", "/var/db"), "is not a known form"),
        (
            ("SECRETS_SYSTEM", ""),
            "secrets.system (not set): is missing; set SECRETS_SYSTEM to one made by `openssl rand -hex 32`",
        ),
        (("SECRETS_SYSTEM", "short"), "secret 1 is shorter than 16"),
        (("SECRETS_SYSTEM", "youReallyNeedToChangeThis"), "is an example's"),
        (("SECRETS_SYSTEM", "this_needs_to_be_the_same_always_and_more"), "is an example's"),
        (("SECRETS_SYSTEM", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), "is an example's"),
        (("SECRETS_COOKIE", "short"), "secrets.cookie"),
        (("SECRETS_SYSTEM_0", "another-secret-0123456789"), "SECRETS_SYSTEM and SECRETS_SYSTEM_0 are both set"),
        (("SECRETS_COOKIE_1", "another-secret-0123456789"), "SECRETS_COOKIE_0 is missing before it"),
        (("URLS_SELF_ISSUER", "http://id.example"), "http://id.example is not https"),
        (("URLS_SELF_ISSUER", ""), "http://127.0.0.1:4444/ is not https"),
        (("URLS_SELF_ISSUER", "https://id.example?x"), "query or a fragment"),
        (("URLS_SELF_ISSUER", "id.example"), "is not an absolute URL"),
        (("OIDC_SUBJECT_IDENTIFIERS_SUPPORTED_TYPES", "pairwise"), "pairwise.salt (not set)"),
        (("OIDC_SUBJECT_IDENTIFIERS_SUPPORTED_TYPES", "other"), "holds no known type"),
        (
            ("SERVE_PUBLIC_PORT", "99999"),
            "serve.public.port (environment SERVE_PUBLIC_PORT): \"99999\" is not a whole number in range; write a number from 0 to 65535",
        ),
        (("TTL_ACCESS_TOKEN", "3600"), "\"3600\" is not a duration"),
        (("TTL_ACCESS_TOKEN", "0s"), "is zero"),
        (("TTL_AUTHENTICATION_SESSION", "4321h"), "longer than 180 days"),
        (("TTL_LOGIN_CONSENT_REQUEST", "61m"), "longer than one hour"),
        (("LOG_FORMAT", "xml"), "write one of json, json_pretty, text"),
        (("DEV", "yes"), "write true or false"),
        (("SERVE_ADMIN_TLS_ENABLED", "true"), "serve.admin.tls.cert.path"),
        (("SERVE_TLS_ALLOW_TERMINATION_FROM", "everyone"), "is not a network"),
        (("OAUTH2_TOKEN_HOOK", "ftp://h/"), "is not an http or https URL"),
        (("OAUTH2_TOKEN_HOOK_AUTH_CONFIG_NAME", "x"), "oauth2.token_hook.url"),
        (("OAUTH2_GRANT_REFRESH_TOKEN_ROTATION_GRACE_PERIOD", "6m"), "is longer than 5m"),
        (("KEYS_ROTATION_PUBLISH_LEAD", "2160h"), "is not shorter than"),
        (("TRACING_PROVIDER", "otel"), "tracing.providers.otlp.server_url"),
        (("LOG_AUDIT_INTROSPECTIONS", "true"), "is true though audit events go nowhere; set log.audit.path"),
        (
            ("LOG_AUDIT_PATH", "/var/log/"),
            "log.audit.path (environment LOG_AUDIT_PATH): is a folder; name a file in it",
        ),
        (("TRACING_PROVIDERS_OTLP_SAMPLING_SAMPLING_RATIO", "1.5"), "is not a number from 0 to 1"),
        (("SERVE_PUBLIC", "{no"), "is not a JSON object"),
    ] {
        let faults = refused(&sources(&[env]));
        let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert!(lines.iter().any(|line| line.contains(want)), "{env:?}: {lines:?}");
        assert!(lines.iter().all(|line| !line.contains('\n') && line.contains("; ")), "{lines:?}");
    }
}

#[test]
fn all_faults_are_told_at_once_and_unknown_keys_are_guessed() {
    let (_dir, mut sources) = with_file(
        "a.yaml",
        "serve: {public: {prot: 1}, cookies: 3}\nissuer: https://x.example\nttl: {access_token: 60}\nsecrets: {system: plain-text-secret-0123456789}\nzzzzzzzzzzzz: 1\n",
    );
    sources.env.insert("LOG_LEVEL".into(), "loud".into());
    sources.flags.push(("dve".into(), "true".into()));
    let lines: Vec<_> = validate(&sources).iter().map(ToString::to_string).collect();
    for want in [
        "did you mean serve.public.port?",
        "did you mean urls.self.issuer?",
        "serve.cookies (file ",
        "zzzzzzzzzzzz (file ",
        "60 is not a duration",
        "secrets.system (file ",
        "log.level (environment LOG_LEVEL)",
        "dve (flag --dve): is not a known key; did you mean dev?",
    ] {
        assert!(lines.iter().any(|line| line.contains(want)), "{want}: {lines:#?}");
    }
    assert!(lines.iter().all(|line| !line.contains("plain-text")), "{lines:#?}");
}

#[test]
fn unreadable_files_are_faults_without_their_text() {
    for (name, text) in
        [("a.toml", "dsn = hidden-text"), ("a.yaml", "a: [hidden-text"), ("a.json", "{hidden-text"), ("a.ini", "")]
    {
        let (_dir, sources) = with_file(name, text);
        let faults = refused(&sources);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(!faults[0].to_string().contains("hidden-text"), "{}", faults[0]);
    }
    let (_dir, sources) = with_file("a.yaml", "\n");
    assert!(load(&sources).is_ok());
}

#[test]
fn development_and_quickstart_ask_for_less() {
    let mut dev = sources(&[("SECRETS_SYSTEM", ""), ("URLS_SELF_ISSUER", "http://id.example")]);
    dev.mode = Mode::Dev;
    let settings = load(&dev).unwrap();
    assert_eq!(settings.secrets.system[0].len(), 64);
    assert_ne!(settings.secrets.system, load(&dev).unwrap().secrets.system);
    assert!(settings.dev && !settings.warnings.is_empty());
    dev.env.insert("SECRETS_SYSTEM".into(), "this-is-a-system-secret-of-32-bytes-x".into());
    assert!(load(&dev).is_ok());
    dev.env.insert("SECRETS_SYSTEM".into(), "short".into());
    assert!(load(&dev).is_err());
    assert!(load(&sources(&[("DEV", "true"), ("URLS_SELF_ISSUER", "http://id.example")])).unwrap().dev);

    let quick = |env: &[(&str, &str)]| {
        let env = env.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        load(&Sources { env, mode: Mode::Quickstart, ..Sources::default() })
    };
    let settings = quick(&[]).unwrap();
    assert_eq!((settings.dsn.as_str(), settings.urls.issuer.as_str()), ("memory", "http://127.0.0.1:4444/"));
    assert_eq!(settings.serve.public.host, "127.0.0.1");
    assert!(quick(&[("SERVE_PUBLIC_HOST", "0.0.0.0")]).is_err());
    assert!(quick(&[("SERVE_ADMIN_HOST", "10.0.0.1")]).is_err());
    assert!(quick(&[("URLS_SELF_ISSUER", "https://id.example")]).is_err());
    assert!(quick(&[("URLS_SELF_ISSUER", "http://localhost:4444"), ("SERVE_PUBLIC_HOST", "[::1]")]).is_ok());
}

#[test]
fn no_secret_is_shown() {
    let hidden = "very-hidden-text-0123456789abcdefghij";
    let dsn = format!("postgres://u:{hidden}@h/d");
    let (redis, tls) = (format!("redis://u:{hidden}@h/1"), format!("{hidden}="));
    let sources = sources(&[
        ("DSN", &dsn),
        ("SECRETS_SYSTEM", hidden),
        ("SECRETS_COOKIE", hidden),
        ("REDIS_URL", &redis),
        ("URLS_SELF_ADMIN", &dsn),
        ("HSM_PIN", hidden),
        ("OIDC_SUBJECT_IDENTIFIERS_PAIRWISE_SALT", hidden),
        ("URLS_IDENTITY_PROVIDER_HEADERS", &format!(r#"{{"Authorization":"{hidden}"}}"#)),
        ("SERVE_TLS_KEY_BASE64", &tls),
        ("OAUTH2_TOKEN_HOOK_URL", "https://h.example/"),
        ("OAUTH2_TOKEN_HOOK_AUTH_CONFIG_IN", "header"),
        ("OAUTH2_TOKEN_HOOK_AUTH_CONFIG_NAME", "X-Key"),
        ("OAUTH2_TOKEN_HOOK_AUTH_CONFIG_VALUE", hidden),
    ]);
    let settings = load(&sources).unwrap();
    assert_eq!(settings.urls.admin, dsn);
    let settings = Settings { urls: loaded(&[]).urls, ..settings };
    assert!(!format!("{settings:?}{settings:#?}").contains(hidden));
    assert!(!format!("{:?}", status(&sources)).contains(hidden));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_text_panics_and_no_secret_leaks(index in any::<proptest::sample::Index>(), text in ".{0,40}") {
        let keys: Vec<_> = key::all().collect();
        let key = keys[index.index(keys.len())];
        let text = format!("q7{text}zx");
        let name = key.env();
        let faults = validate(&sources(&[(&name, &text)]));
        if key.kind.is_secret() {
            assert!(faults.iter().all(|fault| !fault.to_string().contains(&text)), "{faults:?}");
        }
    }
}

#[test]
fn traces_go_where_any_of_the_known_settings_says() {
    let otlp = |env: &[(&str, &str)]| loaded(env).tracing;
    let server = ("TRACING_PROVIDERS_OTLP_SERVER_URL", "collector:4318");
    let insecure = ("TRACING_PROVIDERS_OTLP_INSECURE", "true");
    let platform = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://node:4318");
    for (env, endpoint) in [
        (&[][..], None),
        (&[server, insecure], None),
        (&[("TRACING_PROVIDER", "otel"), server], Some("https://collector:4318")),
        (&[("TRACING_PROVIDER", "otel"), server, insecure], Some("http://collector:4318")),
        (&[("TRACING_PROVIDER", "jaeger"), server, insecure], Some("http://collector:4318")),
        (&[("TRACING_PROVIDER", "jaeger")], None),
        (
            &[("TRACING_PROVIDER", "jaeger"), ("TRACING_PROVIDERS_JAEGER_LOCAL_AGENT_ADDRESS", "agent:6831")],
            Some("http://agent:4318"),
        ),
        (
            &[
                ("TRACING_PROVIDER", "zipkin"),
                ("TRACING_PROVIDERS_ZIPKIN_SERVER_URL", "http://zipkin:9411/api/v2/spans"),
            ],
            Some("http://zipkin:4318"),
        ),
        (&[platform], Some("http://node:4318")),
        (&[platform, ("OTEL_SDK_DISABLED", "true")], None),
        (&[platform, ("OTEL_TRACES_EXPORTER", "none")], None),
        (&[platform, server, insecure], Some("http://collector:4318")),
        (
            &[platform, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces/v1/traces")],
            Some("http://traces/v1/traces"),
        ),
    ] {
        assert_eq!(otlp(env).otlp_endpoint.as_deref(), endpoint, "{env:?}");
    }
    assert_eq!(otlp(&[("OTEL_SERVICE_NAME", "logins")]).service_name, "logins");
    assert_eq!(otlp(&[("OTEL_SERVICE_NAME", "logins"), ("TRACING_SERVICE_NAME", "mine")]).service_name, "mine");
    for (env, ratio) in [
        (&[][..], 1.0),
        (&[("OTEL_TRACES_SAMPLER", "always_off")], 0.0),
        (&[("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.25")], 0.25),
        (&[("TRACING_PROVIDER", "jaeger"), ("TRACING_PROVIDERS_JAEGER_SAMPLING_TRACE_ID_RATIO", "0.5")], 0.5),
    ] {
        assert!((otlp(env).sampling_ratio - ratio).abs() < f64::EPSILON, "{env:?}");
    }
}

#[test]
fn what_an_older_tracer_is_mapped_to_is_told() {
    for (env, said) in [
        (
            &[("TRACING_PROVIDER", "jaeger"), ("TRACING_PROVIDERS_JAEGER_LOCAL_AGENT_ADDRESS", "agent:6831")][..],
            "traces go by OTLP to http://agent:4318",
        ),
        (&[("TRACING_PROVIDER", "zipkin")], "without tracing.providers.zipkin.server_url nobody knows"),
        (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://node:4317")], "OTLP over gRPC"),
    ] {
        let warnings = loaded(env).warnings;
        assert!(warnings.iter().any(|line| line.contains(said)), "{env:?}: {warnings:?}");
    }
}
