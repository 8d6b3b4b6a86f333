//! Configuration: the table is whole, and each source is read.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed test may panic")]

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use signet::config::settings::{HasherSetting, HookIn};
use signet::config::{Fault, Settings, Sources, key, load, status};

const SECRET: &str = "a-system-secret-of-enough-length-x";

pub(crate) fn sources(env: &[(&str, &str)]) -> Sources {
    let base = [("DSN", "memory"), ("SECRETS_SYSTEM", SECRET), ("URLS_SELF_ISSUER", "https://id.example")];
    let all = base.iter().chain(env);
    Sources { env: all.map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(), ..Sources::default() }
}

pub(crate) fn loaded(env: &[(&str, &str)]) -> Settings {
    load(&sources(env)).unwrap()
}

pub(crate) fn refused(sources: &Sources) -> Vec<Fault> {
    load(sources).unwrap_err()
}

pub(crate) fn with_file(name: &str, text: &str) -> (tempfile::TempDir, Sources) {
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
            for part in node[list].as_array().into_iter().flatten().map(|part| resolve(root, part)) {
                if part["properties"].is_object() {
                    branch = true;
                    walk(root, part, at, leaves);
                }
            }
        }
        for (name, inner) in node["properties"].as_object().into_iter().flatten() {
            branch = true;
            walk(root, inner, &if at.is_empty() { name.clone() } else { format!("{at}.{name}") }, leaves);
        }
        let refs = node.to_string().contains("ory://");
        if !branch && !refs {
            leaves.insert(at.to_owned());
        }
    }
    let schema: Value = serde_json::from_str(include_str!("data/hydra-config.schema.json")).unwrap();
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
    let missing: Vec<_> = leaves.iter().filter(|name| key::find(name).is_none()).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}

#[test]
fn the_table_is_sound() {
    let mut variables = BTreeSet::new();
    for key in key::all() {
        assert!(variables.insert(key.env()), "{} shares its variable", key.name);
        assert!(!key.doc.is_empty() && !key.doc.contains('\n'), "{}", key.name);
    }
    assert!(load(&sources(&[])).is_ok());
}

#[test]
fn later_sources_win() {
    let (_dir, mut sources) = with_file("a.yaml", "ttl: {access_token: 5m, id_token: 6m, auth_code: 7m}\n");
    sources.env.insert("TTL_ID_TOKEN".into(), "8m".into());
    sources.env.insert("TTL_AUTH_CODE".into(), "9m".into());
    sources.flags.push(("ttl.auth_code".into(), "10m".into()));
    let settings = load(&sources).unwrap();
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    assert_eq!(settings.ttl.access_token, minutes(5));
    assert_eq!(settings.ttl.id_token, minutes(8));
    assert_eq!(settings.ttl.auth_code, minutes(10));
    let row = |name| status(&sources).into_iter().find(|row| row.key == name).unwrap();
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
        assert_eq!(settings.serve.public.cors.allowed_origins, ["https://a.example"], "{name}");
        assert!(!settings.serve.public.log_health, "{name}");
        assert_eq!(settings.ttl.refresh_token, None, "{name}");
        assert_eq!(settings.urls.identity_provider.public_url.as_deref(), Some("https://k.example"), "{name}");
    }
}

#[test]
fn secrets_are_read_in_every_spelling() {
    let two = ["first-secret-0123456789", "second-secret-0123456789"];
    for (spelling, want) in [
        (vec![("SECRETS_SYSTEM", "foo bar 123 456 lorem ipsum")], vec!["foo bar 123 456 lorem ipsum"]),
        (vec![("SECRETS_SYSTEM", "first-secret-0123456789,second-secret-0123456789")], two.to_vec()),
        (vec![("SECRETS_SYSTEM", r#"["first-secret-0123456789","second-secret-0123456789"]"#)], two.to_vec()),
        (vec![("SECRETS_SYSTEM", ""), ("SECRETS_SYSTEM_0", two[0]), ("SECRETS_SYSTEM_1", two[1])], two.to_vec()),
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
    assert_eq!(settings.secrets.system, ["a secret from a file, 0123456789"]);
    let hook = loaded(&[
        (
            "OAUTH2_TOKEN_HOOK",
            r#"{"url":"https://h.example/","auth":{"type":"api_key","config":{"in":"cookie","name":"n"}}}"#,
        ),
        ("OAUTH2_TOKEN_HOOK_AUTH_CONFIG_VALUE_FILE", path),
    ]);
    let auth = hook.oauth2.token_hook.unwrap().auth.unwrap();
    assert_eq!((auth.in_, auth.name.as_str(), &*auth.value), (HookIn::Cookie, "n", "a secret from a file, 0123456789"));
    let faults = refused(&sources(&[("SECRETS_SYSTEM_FILE", path), ("DSN_FILE", "/nowhere/at/all"), ("DSN", "")]));
    let text = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(text.contains("SECRETS_SYSTEM and SECRETS_SYSTEM_FILE are both set"), "{text}");
    assert!(text.contains("/nowhere/at/all cannot be read"), "{text}");
}

#[test]
fn a_list_in_a_file_stands_one_on_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let two = ["first-secret-0123456789", "second-secret-0123456789"];
    let path = dir.path().join("list");
    for text in [
        format!("{}\n{}\n", two[0], two[1]),
        format!("{}\r\n\n{}", two[0], two[1]),
        format!("{},{}\n", two[0], two[1]),
        format!("[\"{}\",\"{}\"]\n", two[0], two[1]),
    ] {
        std::fs::write(&path, &text).unwrap();
        let path = path.to_str().unwrap();
        let settings = loaded(&[("SECRETS_SYSTEM", ""), ("SECRETS_SYSTEM_FILE", path), ("SECRETS_COOKIE_FILE", path)]);
        assert_eq!(settings.secrets.system, two, "{text:?}");
        assert_eq!(settings.secrets.cookie, two, "{text:?}");
    }
}

#[test]
fn the_files_that_settings_are_read_from_are_known() {
    let (_dir, mut sources) = with_file("a.yaml", "");
    for (name, path) in [
        ("SECRETS_SYSTEM_FILE", "/s"),
        ("SECRETS_COOKIE_1_FILE", "/c"),
        ("DSN_FILE", "/d"),
        ("REDIS_URL_FILE", "/r"),
        ("SERVE_PUBLIC_HOST_FILE", "/no secret"),
        ("LOG_FILE", "/no setting"),
    ] {
        sources.env.insert(name.to_owned(), path.to_owned());
    }
    let mut files: Vec<_> = sources.all_files().iter().map(|path| path.display().to_string()).collect();
    files.remove(0);
    files.sort();
    assert_eq!(files, ["/c", "/d", "/r", "/s"]);
}

#[test]
fn environment_values_have_their_type() {
    let settings = loaded(&[
        ("WEBFINGER_OIDC_DISCOVERY_SUPPORTED_CLAIMS", "email"),
        ("WEBFINGER_OIDC_DISCOVERY_SUPPORTED_SCOPE", r#"["profile","email"]"#),
        ("SERVE_ADMIN_TLS_ALLOW_TERMINATION_FROM", "127.0.0.1/32, 172.17.0.0/16"),
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
    assert_eq!(settings.oauth2.token_hook.unwrap().url, "https://h.example/hook");
    assert_eq!(settings.urls.login, None);
}
