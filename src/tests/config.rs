//! Configuration: the table is whole, each source is read, each rule bites, and no secret is shown.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::{ProptestConfig, any, proptest};
use serde_json::Value;
use signet::config::settings::{HasherSetting, HookIn};
use signet::config::{Fault, Mode, Settings, Sources, key, load, status, validate};

const SECRET: &str = "a-system-secret-of-enough-length-x";

fn sources(env: &[(&str, &str)]) -> Sources {
    let base = [
        ("DSN", "memory"),
        ("SECRETS_SYSTEM", SECRET),
        ("URLS_SELF_ISSUER", "https://id.example"),
    ];
    let all = base.iter().chain(env);
    Sources {
        env: all
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect(),
        ..Sources::default()
    }
}

fn loaded(env: &[(&str, &str)]) -> Settings {
    load(&sources(env)).unwrap()
}

fn refused(sources: &Sources) -> Vec<Fault> {
    load(sources).unwrap_err()
}

fn with_file(name: &str, text: &str) -> (tempfile::TempDir, Sources) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    let mut sources = sources(&[]);
    sources.files.push(path);
    (dir, sources)
}

#[test]
fn every_key_of_the_schema_is_in_the_table() {
    fn resolve<'a>(root: &'a Value, node: &'a Value) -> &'a Value {
        match node["$ref"].as_str().and_then(|at| at.strip_prefix('#')) {
            Some(pointer) => root.pointer(pointer).unwrap(),
            None => node,
        }
    }
    fn walk(root: &Value, node: &Value, at: &str, leaves: &mut BTreeSet<String>) {
        let node = resolve(root, node);
        let mut branch = false;
        for list in ["allOf", "oneOf", "anyOf"] {
            for part in node[list]
                .as_array()
                .into_iter()
                .flatten()
                .map(|part| resolve(root, part))
            {
                if part["properties"].is_object() {
                    branch = true;
                    walk(root, part, at, leaves);
                }
            }
        }
        for (name, inner) in node["properties"].as_object().into_iter().flatten() {
            branch = true;
            walk(
                root,
                inner,
                &if at.is_empty() {
                    name.clone()
                } else {
                    format!("{at}.{name}")
                },
                leaves,
            );
        }
        let refs = node.to_string().contains("ory://");
        if !branch && !refs {
            leaves.insert(at.to_owned());
        }
    }
    let schema: Value =
        serde_json::from_str(include_str!("data/hydra-config.schema.json")).unwrap();
    let mut leaves = BTreeSet::new();
    walk(&schema, &schema, "", &mut leaves);
    assert!(leaves.len() > 80, "the walk found {} keys", leaves.len());
    // What the schema takes from elsewhere.
    for listener in ["serve.public", "serve.admin"] {
        for leaf in [
            "host",
            "port",
            "base_url",
            "socket.owner",
            "socket.group",
            "socket.mode",
            "request_log.disable_for_health",
            "access_log.disable_for_health",
            "cors.enabled",
            "cors.allowed_origins",
            "cors.allowed_methods",
            "cors.allowed_headers",
            "cors.exposed_headers",
            "cors.allow_credentials",
            "cors.options_passthrough",
            "cors.max_age",
            "cors.debug",
            "tls.enabled",
            "tls.cert.path",
            "tls.cert.base64",
            "tls.key.path",
            "tls.key.base64",
            "tls.allow_termination_from",
        ] {
            leaves.insert(format!("{listener}.{leaf}"));
        }
    }
    let missing: Vec<_> = leaves
        .iter()
        .filter(|name| key::find(name).is_none())
        .collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}

#[test]
fn the_table_is_sound() {
    let mut variables = BTreeSet::new();
    for key in key::all() {
        assert!(
            variables.insert(key.env()),
            "{} shares its variable",
            key.name
        );
        assert!(
            !key.doc.is_empty() && !key.doc.contains('\n'),
            "{}",
            key.name
        );
    }
    assert!(load(&sources(&[])).is_ok());
}

#[test]
fn later_sources_win() {
    let (_dir, mut sources) = with_file(
        "a.yaml",
        "ttl: {access_token: 5m, id_token: 6m, auth_code: 7m}\n",
    );
    sources.env.insert("TTL_ID_TOKEN".into(), "8m".into());
    sources.env.insert("TTL_AUTH_CODE".into(), "9m".into());
    sources.flags.push(("ttl.auth_code".into(), "10m".into()));
    let settings = load(&sources).unwrap();
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    assert_eq!(settings.ttl.access_token, minutes(5));
    assert_eq!(settings.ttl.id_token, minutes(8));
    assert_eq!(settings.ttl.auth_code, minutes(10));
    let row = |name| {
        status(&sources)
            .into_iter()
            .find(|row| row.key == name)
            .unwrap()
    };
    assert_eq!(row("ttl.auth_code").source, "flag --ttl.auth_code");
    assert_eq!(row("ttl.id_token").source, "environment TTL_ID_TOKEN");
    assert_eq!(row("ttl.access_token").value, "5m0s");
    assert!(row("ttl.access_token").source.starts_with("file "));
    assert_eq!(row("ttl.refresh_token").source, "default");
}

#[test]
fn each_file_form_says_the_same() {
    for (name, text) in [
        (
            "a.yaml",
            "serve:\n  public:\n    port: 7\n    cors: {allowed_origins: [https://a.example]}\n    access_log: {disable_for_health: true}\nttl: {refresh_token: -1}\nurls: {identity_provider: {publicUrl: https://k.example}}\n",
        ),
        (
            "a.yml",
            "serve: {public: {port: 7, cors: {allowed_origins: ['https://a.example']}, request_log: {disable_for_health: true}}}\nttl: {refresh_token: '-1'}\nurls: {identity_provider: {publicUrl: https://k.example}}\n",
        ),
        (
            "a.json",
            r#"{"$schema":"x","serve":{"public":{"port":7,"cors":{"allowed_origins":["https://a.example"]},"request_log":{"disable_for_health":true}}},"ttl":{"refresh_token":-1},"urls":{"identity_provider":{"publicUrl":"https://k.example"}}}"#,
        ),
        (
            "a.toml",
            "ttl.refresh_token = -1\nurls.identity_provider.publicUrl = \"https://k.example\"\n[serve.public]\nport = 7\ncors.allowed_origins = [\"https://a.example\"]\nrequest_log.disable_for_health = true\n",
        ),
    ] {
        let (_dir, sources) = with_file(name, text);
        let settings = load(&sources).unwrap_or_else(|faults| panic!("{name}: {faults:?}"));
        assert_eq!(settings.serve.public.port, 7, "{name}");
        assert_eq!(
            settings.serve.public.cors.allowed_origins,
            ["https://a.example"],
            "{name}"
        );
        assert!(!settings.serve.public.log_health, "{name}");
        assert_eq!(settings.ttl.refresh_token, None, "{name}");
        assert_eq!(
            settings.urls.identity_provider.public_url.as_deref(),
            Some("https://k.example"),
            "{name}"
        );
    }
}

#[test]
fn secrets_are_read_in_every_spelling() {
    let two = ["first-secret-0123456789", "second-secret-0123456789"];
    for (spelling, want) in [
        (
            vec![("SECRETS_SYSTEM", "foo bar 123 456 lorem ipsum")],
            vec!["foo bar 123 456 lorem ipsum"],
        ),
        (
            vec![(
                "SECRETS_SYSTEM",
                "first-secret-0123456789,second-secret-0123456789",
            )],
            two.to_vec(),
        ),
        (
            vec![(
                "SECRETS_SYSTEM",
                r#"["first-secret-0123456789","second-secret-0123456789"]"#,
            )],
            two.to_vec(),
        ),
        (
            vec![
                ("SECRETS_SYSTEM", ""),
                ("SECRETS_SYSTEM_0", two[0]),
                ("SECRETS_SYSTEM_1", two[1]),
            ],
            two.to_vec(),
        ),
    ] {
        let settings = loaded(&spelling);
        assert_eq!(settings.secrets.system, want, "{spelling:?}");
        assert_eq!(settings.secrets.cookie, want);
        assert_eq!(settings.secrets.pagination, want);
        assert!(!settings.warnings.is_empty());
    }
}

#[test]
fn secrets_are_read_from_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    std::fs::write(&path, "a secret from a file, 0123456789\n").unwrap();
    let path = path.to_str().unwrap();
    let settings = loaded(&[("SECRETS_SYSTEM", ""), ("SECRETS_SYSTEM_0_FILE", path)]);
    assert_eq!(
        settings.secrets.system,
        ["a secret from a file, 0123456789"]
    );
    let hook = loaded(&[
        (
            "OAUTH2_TOKEN_HOOK",
            r#"{"url":"https://h.example/","auth":{"type":"api_key","config":{"in":"cookie","name":"n"}}}"#,
        ),
        ("OAUTH2_TOKEN_HOOK_AUTH_CONFIG_VALUE_FILE", path),
    ]);
    let auth = hook.oauth2.token_hook.unwrap().auth.unwrap();
    assert_eq!(
        (auth.in_, auth.name.as_str(), &*auth.value),
        (HookIn::Cookie, "n", "a secret from a file, 0123456789")
    );
    let faults = refused(&sources(&[
        ("SECRETS_SYSTEM_FILE", path),
        ("DSN_FILE", "/nowhere/at/all"),
        ("DSN", ""),
    ]));
    let text = faults
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n");
    assert!(
        text.contains("SECRETS_SYSTEM and SECRETS_SYSTEM_FILE are both set"),
        "{text}"
    );
    assert!(text.contains("/nowhere/at/all cannot be read"), "{text}");
}

#[test]
fn environment_values_have_their_type() {
    let settings = loaded(&[
        ("WEBFINGER_OIDC_DISCOVERY_SUPPORTED_CLAIMS", "email"),
        (
            "WEBFINGER_OIDC_DISCOVERY_SUPPORTED_SCOPE",
            r#"["profile","email"]"#,
        ),
        (
            "SERVE_ADMIN_TLS_ALLOW_TERMINATION_FROM",
            "127.0.0.1/32, 172.17.0.0/16",
        ),
        ("SERVE_PUBLIC_CORS", r#"{"enabled":true,"max_age":9}"#),
        ("SERVE_PUBLIC_CORS_MAX_AGE", "10"),
        ("OAUTH2_HASHERS_PBKDF2_ITERATIONS", "2000"),
        ("TTL_ACCESS_TOKEN", "17m"),
        ("OIDC_DYNAMIC_CLIENT_REGISTRATION_ENABLED", "true"),
        ("OAUTH2_TOKEN_HOOK", "https://h.example/hook"),
        ("URLS_LOGIN", ""),
    ]);
    assert_eq!(settings.webfinger.supported_claims, ["email"]);
    assert_eq!(settings.webfinger.supported_scope, ["profile", "email"]);
    assert_eq!(settings.serve.admin.tls.allow_termination_from.len(), 2);
    assert!(settings.serve.public.cors.enabled);
    assert_eq!(settings.serve.public.cors.max_age, 10);
    assert_eq!(settings.oauth2.hasher, HasherSetting::Pbkdf2(2000));
    assert_eq!(settings.ttl.access_token, Duration::from_secs(1020));
    assert!(settings.oidc.dcr_enabled);
    assert_eq!(
        settings.oauth2.token_hook.unwrap().url,
        "https://h.example/hook"
    );
    assert_eq!(settings.urls.login, None);
}

#[test]
fn defaults_are_safe() {
    let settings = loaded(&[]);
    assert_eq!(
        (
            settings.serve.public.host.as_str(),
            settings.serve.public.port
        ),
        ("0.0.0.0", 4444)
    );
    assert_eq!(
        (
            settings.serve.admin.host.as_str(),
            settings.serve.admin.port
        ),
        ("127.0.0.1", 4445)
    );
    assert_eq!(settings.urls.public, "https://id.example");
    assert_eq!(settings.serve.drain_delay, Duration::from_secs(5));
    assert!(
        !settings.dev
            && settings.oauth2.encrypt_sessions_at_rest
            && !settings.oauth2.expose_internal_errors
    );
    assert_eq!(settings.keys.rotation_interval, Duration::from_hours(2160));
    let pool = |dsn| loaded(&[("DSN", dsn)]).db.max_conns;
    assert_eq!(pool("postgres://h/d"), 8);
    assert_eq!(pool("postgres://h/d?sslmode=disable&max_conns=3"), 3);
}

#[test]
fn each_rule_names_key_source_and_fix() {
    for (env, want) in [
        (("DSN", ""), "dsn (not set): is missing"),
        (
            ("DSN", "mysql://u:p@h/d"),
            "dsn (environment DSN): mysql is not a database this server can use",
        ),
        (
            ("DSN", "cockroach://u:p@h/d"),
            "cockroach is not a database",
        ),
        (("DSN", "postgres://h/d?max_conns=no"), "has a max_conns"),
        (("DSN", "/var/db"), "is not a known form"),
        (
            ("SECRETS_SYSTEM", ""),
            "secrets.system (not set): is missing; set SECRETS_SYSTEM to one made by `openssl rand -hex 32`",
        ),
        (("SECRETS_SYSTEM", "short"), "secret 1 is shorter than 16"),
        (
            ("SECRETS_SYSTEM", "youReallyNeedToChangeThis"),
            "is an example's",
        ),
        (
            (
                "SECRETS_SYSTEM",
                "this_needs_to_be_the_same_always_and_more",
            ),
            "is an example's",
        ),
        (
            ("SECRETS_SYSTEM", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            "is an example's",
        ),
        (("SECRETS_COOKIE", "short"), "secrets.cookie"),
        (
            ("SECRETS_SYSTEM_0", "another-secret-0123456789"),
            "SECRETS_SYSTEM and SECRETS_SYSTEM_0 are both set",
        ),
        (
            ("SECRETS_COOKIE_1", "another-secret-0123456789"),
            "SECRETS_COOKIE_0 is missing before it",
        ),
        (
            ("URLS_SELF_ISSUER", "http://id.example"),
            "http://id.example is not https",
        ),
        (
            ("URLS_SELF_ISSUER", ""),
            "http://127.0.0.1:4444/ is not https",
        ),
        (
            ("URLS_SELF_ISSUER", "https://id.example?x"),
            "query or a fragment",
        ),
        (("URLS_SELF_ISSUER", "id.example"), "is not an absolute URL"),
        (
            ("OIDC_SUBJECT_IDENTIFIERS_SUPPORTED_TYPES", "pairwise"),
            "pairwise.salt (not set)",
        ),
        (
            ("OIDC_SUBJECT_IDENTIFIERS_SUPPORTED_TYPES", "other"),
            "holds no known type",
        ),
        (
            ("SERVE_PUBLIC_PORT", "99999"),
            "serve.public.port (environment SERVE_PUBLIC_PORT): \"99999\" is not a whole number in range; write a number from 0 to 65535",
        ),
        (("TTL_ACCESS_TOKEN", "3600"), "\"3600\" is not a duration"),
        (("TTL_ACCESS_TOKEN", "0s"), "is zero"),
        (
            ("TTL_AUTHENTICATION_SESSION", "4321h"),
            "longer than 180 days",
        ),
        (
            ("LOG_FORMAT", "xml"),
            "write one of json, json_pretty, text",
        ),
        (("DEV", "yes"), "write true or false"),
        (
            ("SERVE_ADMIN_TLS_ENABLED", "true"),
            "serve.admin.tls.cert.path",
        ),
        (
            ("SERVE_TLS_ALLOW_TERMINATION_FROM", "everyone"),
            "is not a network",
        ),
        (
            ("OAUTH2_TOKEN_HOOK", "ftp://h/"),
            "is not an http or https URL",
        ),
        (
            ("OAUTH2_TOKEN_HOOK_AUTH_CONFIG_NAME", "x"),
            "oauth2.token_hook.url",
        ),
        (
            ("OAUTH2_GRANT_REFRESH_TOKEN_ROTATION_GRACE_PERIOD", "6m"),
            "is longer than 5m",
        ),
        (
            ("KEYS_ROTATION_PUBLISH_LEAD", "2160h"),
            "is not shorter than",
        ),
        (
            ("TRACING_PROVIDER", "otel"),
            "tracing.providers.otlp.server_url",
        ),
        (
            ("TRACING_PROVIDERS_OTLP_SAMPLING_SAMPLING_RATIO", "1.5"),
            "is not a number from 0 to 1",
        ),
        (("SERVE_PUBLIC", "{no"), "is not a JSON object"),
    ] {
        let faults = refused(&sources(&[env]));
        let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert!(
            lines.iter().any(|line| line.contains(want)),
            "{env:?}: {lines:?}"
        );
        assert!(
            lines
                .iter()
                .all(|line| !line.contains('\n') && line.contains("; ")),
            "{lines:?}"
        );
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
        assert!(
            lines.iter().any(|line| line.contains(want)),
            "{want}: {lines:#?}"
        );
    }
    assert!(
        lines.iter().all(|line| !line.contains("plain-text")),
        "{lines:#?}"
    );
}

#[test]
fn unreadable_files_are_faults_without_their_text() {
    for (name, text) in [
        ("a.toml", "dsn = hidden-text"),
        ("a.yaml", "a: [hidden-text"),
        ("a.json", "{hidden-text"),
        ("a.ini", ""),
    ] {
        let (_dir, sources) = with_file(name, text);
        let faults = refused(&sources);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(
            !faults[0].to_string().contains("hidden-text"),
            "{}",
            faults[0]
        );
    }
    let (_dir, sources) = with_file("a.yaml", "\n");
    assert!(load(&sources).is_ok());
}

#[test]
fn development_and_quickstart_ask_for_less() {
    let mut dev = sources(&[
        ("SECRETS_SYSTEM", ""),
        ("URLS_SELF_ISSUER", "http://id.example"),
    ]);
    dev.mode = Mode::Dev;
    let settings = load(&dev).unwrap();
    assert_eq!(settings.secrets.system[0].len(), 64);
    assert_ne!(settings.secrets.system, load(&dev).unwrap().secrets.system);
    assert!(settings.dev && !settings.warnings.is_empty());
    dev.env.insert(
        "SECRETS_SYSTEM".into(),
        "this-is-a-system-secret-of-32-bytes-x".into(),
    );
    assert!(load(&dev).is_ok());
    dev.env.insert("SECRETS_SYSTEM".into(), "short".into());
    assert!(load(&dev).is_err());
    assert!(
        load(&sources(&[
            ("DEV", "true"),
            ("URLS_SELF_ISSUER", "http://id.example")
        ]))
        .unwrap()
        .dev
    );

    let quick = |env: &[(&str, &str)]| {
        let env = env
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        load(&Sources {
            env,
            mode: Mode::Quickstart,
            ..Sources::default()
        })
    };
    let settings = quick(&[]).unwrap();
    assert_eq!(
        (settings.dsn.as_str(), settings.urls.issuer.as_str()),
        ("memory", "http://127.0.0.1:4444/")
    );
    assert_eq!(settings.serve.public.host, "127.0.0.1");
    assert!(quick(&[("SERVE_PUBLIC_HOST", "0.0.0.0")]).is_err());
    assert!(quick(&[("SERVE_ADMIN_HOST", "10.0.0.1")]).is_err());
    assert!(quick(&[("URLS_SELF_ISSUER", "https://id.example")]).is_err());
    assert!(
        quick(&[
            ("URLS_SELF_ISSUER", "http://localhost:4444"),
            ("SERVE_PUBLIC_HOST", "[::1]")
        ])
        .is_ok()
    );
}

#[test]
fn no_secret_is_shown() {
    let hidden = "very-hidden-text-0123456789abcdefghij";
    let dsn = format!("postgres://u:{hidden}@h/d");
    let tls = format!("{hidden}=");
    let sources = sources(&[
        ("DSN", &dsn),
        ("SECRETS_SYSTEM", hidden),
        ("SECRETS_COOKIE", hidden),
        ("REDIS_URL", &dsn),
        ("URLS_SELF_ADMIN", &dsn),
        ("HSM_PIN", hidden),
        ("OIDC_SUBJECT_IDENTIFIERS_PAIRWISE_SALT", hidden),
        (
            "URLS_IDENTITY_PROVIDER_HEADERS",
            &format!(r#"{{"Authorization":"{hidden}"}}"#),
        ),
        ("SERVE_TLS_KEY_BASE64", &tls),
        ("OAUTH2_TOKEN_HOOK_URL", "https://h.example/"),
        ("OAUTH2_TOKEN_HOOK_AUTH_CONFIG_IN", "header"),
        ("OAUTH2_TOKEN_HOOK_AUTH_CONFIG_NAME", "X-Key"),
        ("OAUTH2_TOKEN_HOOK_AUTH_CONFIG_VALUE", hidden),
    ]);
    let settings = load(&sources).unwrap();
    assert_eq!(settings.urls.admin, dsn);
    let settings = Settings {
        urls: loaded(&[]).urls,
        ..settings
    };
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
