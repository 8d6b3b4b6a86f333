//! Family I, before a server runs: settings that must be refused, each with its key named.

use crate::harness::{Database, SECRET, Server, free_port, run};

/// `serve all` without `--dev` on a migrated SQLite file; it must end, and say why.
fn refused(what: &str, env: &[(&str, &str)], names: &str) {
    let database = Database::sqlite();
    let dsn = database.dsn();
    Server::migrate(&dsn);
    let (public, admin) = (free_port().to_string(), free_port().to_string());
    let mut all = vec![
        ("DSN", dsn.as_str()),
        ("SERVE_PUBLIC_HOST", "127.0.0.1"),
        ("SERVE_ADMIN_HOST", "127.0.0.1"),
        ("SERVE_PUBLIC_PORT", public.as_str()),
        ("SERVE_ADMIN_PORT", admin.as_str()),
        ("URLS_SELF_ISSUER", "https://issuer.example/"),
    ];
    all.extend_from_slice(env);
    let done = run(&["serve", "all"], &all);
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(!done.status.success(), "{what}: it started");
    assert!(said.to_lowercase().contains(names), "{what}: {names} is not named in:\n{said}");
    for (key, value) in env {
        assert!(!key.starts_with("SECRETS") || value.len() < 5 || !said.contains(value), "{what}: the secret is shown");
    }
}

#[test]
fn i01_system_secrets_that_are_none_are_refused() {
    for (what, secret) in [
        ("empty", ""),
        ("short", "too-short"),
        ("Hydra's example", "youReallyNeedToChangeThis"),
        ("the guide's example", "this_needs_to_be_the_same_always_and_also_very_$3cuR3-._"),
        ("all equal", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    ] {
        refused(what, &[("SECRETS_SYSTEM", secret)], "secrets.system");
    }
    refused("missing", &[], "secrets.system");
}

#[test]
fn an_issuer_without_tls_is_refused_outside_dev() {
    refused(
        "http issuer",
        &[("SECRETS_SYSTEM", SECRET), ("URLS_SELF_ISSUER", "http://issuer.example/")],
        "urls.self.issuer",
    );
}

#[test]
fn all_faults_are_told_at_once() {
    let env = [
        ("SECRETS_SYSTEM", "tiny-one"),
        ("SERVE_PUBLIC_PORT", "no-port"),
        ("TTL_ACCESS_TOKEN", "soon"),
        ("STRATEGIES_ACCESS_TOKEN", "paseto"),
        ("OIDC_SUBJECT_IDENTIFIERS_SUPPORTED_TYPES", "odd"),
    ];
    for name in [
        "secrets.system",
        "serve.public.port",
        "ttl.access_token",
        "strategies.access_token",
        "oidc.subject_identifiers",
    ] {
        refused("five faults", &env, name);
    }
}

#[test]
fn a_database_that_is_not_migrated_is_not_ready_and_a_wrong_dsn_is_one_line() {
    let done = run(
        &["migrate", "sql", "-e", "-y"],
        &[("DSN", "postgres://nobody:x@127.0.0.1:9/none?sslmode=disable"), ("SECRETS_SYSTEM", SECRET)],
    );
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(!done.status.success() && !said.contains("panicked") && !said.contains(":x@"), "{said}");
    let done = run(&["migrate", "sql", "-e", "-y"], &[("DSN", "mongodb://x"), ("SECRETS_SYSTEM", SECRET)]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(!done.status.success() && said.to_lowercase().contains("dsn"), "{said}");
}
