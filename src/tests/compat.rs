//! Asks what real Hydra was asked, and compares the answers with those recorded from it.
//!
//! `compat/allowed.json` holds every difference that is meant, with its reason.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Database, Server, World, postgres};

/// Every group of questions but those on dynamic registration and on trusted issuers.
const GROUPS: &str = "health meta clients token introspect revoke tokens keys auth code device logout challenge sessions \
                      remembered userinfo reject-consent other-browser2 reject-login reject-login-empty other-browser \
                      flow pkce implicit-id-token implicit-token hybrid form-post";
/// Public bug reports, but those on dynamic registration.
const BUGS: &str = "B01,B03,B07,B08,B11,B13,B15,B17,B18,B19,B20,B24,B25,B26,B28,B30,B31,B33,B36,B38,\
                    B40,B42,B44,B47,B49,B50,B56,B57,B59,B61,B64,B67,B68,B70,B72,B73,B74,B77";

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests").join(name)
}

fn python(args: &[&str], dir: &Path) -> (bool, String) {
    let done =
        Command::new("python3").args(args).current_dir(dir).env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    (done.status.success(), said)
}

fn compare(server: &Server, kind: &str) {
    let mine = tempfile::NamedTempFile::new().unwrap();
    let mine = mine.path().to_str().unwrap();
    let (peer, dir) = (&server.peer, folder("compat"));
    let record =
        ["compat.py", "record", "--public", &peer.public, "--admin", &peer.admin, "-o", mine, "--groups", GROUPS];
    let (recorded, said) = python(&record, &dir);
    assert!(recorded, "{said}");
    let (equal, said) =
        python(&["compat.py", "diff", "v26.2.0.jsonl", mine, "--allow", "allowed.json", "--groups", GROUPS], &dir);
    assert!(equal, "on {kind}:\n{said}");
    println!("{kind}: {}", said.trim());
}

const AS_RECORDED: [(&str, &str); 12] = [
    ("URLS_LOGIN", "http://127.0.0.1:9020/login"),
    ("URLS_CONSENT", "http://127.0.0.1:9020/consent"),
    ("URLS_LOGOUT", "http://127.0.0.1:9020/logout"),
    ("URLS_ERROR", "http://127.0.0.1:9020/error"),
    ("URLS_POST_LOGOUT_REDIRECT", "http://127.0.0.1:9020/post-logout"),
    ("URLS_DEVICE_VERIFICATION", "http://127.0.0.1:9020/device"),
    ("URLS_DEVICE_SUCCESS", "http://127.0.0.1:9020/device/done"),
    ("OIDC_SUBJECT_IDENTIFIERS_PAIRWISE_SALT", "some-salt-of-some-length"),
    // Hydra's default; ours asks clients without a secret for PKCE.
    ("OAUTH2_PKCE_ENFORCED_FOR_PUBLIC_CLIENTS", "false"),
    ("OIDC_DYNAMIC_CLIENT_REGISTRATION_ENABLED", "true"),
    ("OIDC_DYNAMIC_CLIENT_REGISTRATION_DEFAULT_SCOPE", "openid,offline,offline_access"),
    ("LOG_LEVEL", "error"),
];

async fn as_recorded(database: &Database) -> Server {
    Server::migrate(&database.dsn());
    let port = crate::harness::free_port();
    let issuer = format!("http://127.0.0.1:{port}");
    let mut env = vec![("URLS_SELF_PUBLIC", issuer.as_str())];
    env.extend(AS_RECORDED);
    Server::start_at(&database.dsn(), Some(port), Some(&issuer), &env).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_those_recorded_from_hydra_sqlite() {
    compare(&as_recorded(&Database::sqlite()).await, "SQLite");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_those_recorded_from_hydra_postgres() {
    let Some(admin) = postgres() else { return };
    let database = Database::postgres(&admin).await;
    compare(&as_recorded(&database).await, "PostgreSQL");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn public_bug_reports_are_answered_right() {
    let Some(admin) = postgres() else { return };
    let Some(world) = World::postgres(&AS_RECORDED).await else { return };
    let binary = env!("CARGO_BIN_EXE_signet");
    let (ok, said) = python(
        &[
            "-m",
            "bugs",
            "--public",
            &world.a.public,
            "--admin",
            &world.a.admin,
            "--bin",
            binary,
            "--dsn",
            &admin,
            "--only",
            BUGS,
        ],
        &folder("bugs"),
    );
    println!("{said}");
    assert!(ok, "{said}");
}
