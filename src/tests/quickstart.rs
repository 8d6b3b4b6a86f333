//! `signet quickstart`: from nothing to a revoked token, and every way in which it can be held wrong.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use crate::harness::{free_port, run};

fn quickstart(dir: &Path, public: u16, more: &[&str], env: &[(&str, &str)]) -> Output {
    let (dir, public, admin) = (dir.to_str().unwrap(), public.to_string(), free_port().to_string());
    let mut args = vec!["quickstart", "--data-dir", dir, "--public-port", &public, "--admin-port", &admin, "--exit"];
    args.extend_from_slice(more);
    run(&args, env)
}

fn said(done: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr))
}

/// It ended with a failure, and one short text says why.
fn refused(what: &str, done: &Output, names: &str) {
    let said = said(done);
    assert!(!done.status.success(), "{what}: it went through:\n{said}");
    assert!(said.to_lowercase().contains(names), "{what}: {names:?} is not named in:\n{said}");
    assert!(!said.contains("panicked") && !said.contains("RUST_BACKTRACE"), "{what}:\n{said}");
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(
        errors.lines().filter(|line| !line.trim().is_empty()).count() <= 3,
        "{what}: one clear line, not\n{errors}"
    );
}

#[test]
fn it_shows_the_life_of_a_token_and_a_second_start_uses_the_same_folder() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    for round in ["first", "second"] {
        let done = quickstart(&data, free_port(), &[], &[]);
        let said = said(&done);
        assert!(done.status.success(), "{round} start: {}\n{said}", done.status);
        let squeezed: String = said.to_lowercase().split_whitespace().collect();
        for expected in
            ["ory_at_", r#""active":true"#, r#""active":false"#, "/oauth2/token", "/oauth2/revoke", "development"]
        {
            assert!(squeezed.contains(expected), "{round} start: {expected} is not in:\n{said}");
        }
    }
    let mut private = 0;
    for entry in std::fs::read_dir(&data).unwrap().map(Result::unwrap) {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        if entry.file_name().to_string_lossy().contains("secret") {
            assert_eq!(mode, 0o600, "{:?}", entry.path());
            private += 1;
        }
    }
    assert!(private > 0, "the secrets are kept in a file of their own in {}", data.display());
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    refused("port in use", &quickstart(&dir.path().join("data"), port, &[], &[]), &port.to_string());
}

#[test]
fn a_folder_that_cannot_be_written_is_one_clear_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a-file");
    std::fs::write(&file, "not a folder").unwrap();
    refused("a file in the place of the folder", &quickstart(&file, free_port(), &[], &[]), "a-file");
    refused("below /proc", &quickstart(Path::new("/proc/signet"), free_port(), &[], &[]), "/proc/signet");
}

#[test]
fn nothing_but_loopback_is_served() {
    let dir = tempfile::tempdir().unwrap();
    for (key, value, names) in [
        ("URLS_SELF_ISSUER", "https://issuer.example/", "issuer"),
        ("URLS_SELF_ISSUER", "http://10.0.0.1:4444/", "issuer"),
        ("SERVE_PUBLIC_HOST", "0.0.0.0", "serve.public.host"),
        ("SERVE_ADMIN_HOST", "0.0.0.0", "serve.admin.host"),
    ] {
        let done = quickstart(&dir.path().join("data"), free_port(), &[], &[(key, value)]);
        refused(&format!("{key}={value}"), &done, names);
    }
}

#[test]
fn a_folder_of_a_newer_version_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    assert!(quickstart(&data, free_port(), &[], &[]).status.success());
    std::fs::write(data.join("format"), "9999").unwrap();
    refused("a newer folder", &quickstart(&data, free_port(), &[], &[]), "newer");
}
