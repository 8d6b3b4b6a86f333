//! The command line from outside: both names, flags before the command, completions, exit codes, output forms.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::harness::{SECRET, World, free_port, fresh, run};

/// The binary under another name, with a clean environment.
fn run_as(program: &Path, args: &[&str], env: &[(&str, &str)]) -> Output {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Command::new(program).args(args).env_clear().env("PATH", path).envs(env.iter().copied()).output().unwrap()
}

fn hydra(dir: &Path) -> PathBuf {
    let link = dir.join("hydra");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_signet"), &link).unwrap();
    link
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn under_the_name_hydra_it_behaves_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let link = hydra(dir.path());
    for line in [
        "help",
        "--help",
        "version",
        "help clients",
        "clients create --help",
        "serve all --help",
        "migrate sql -e",
        "migrate status sqlite:///no/such/folder/db",
        "config validate",
        "config status --format json",
        "clients",
        "no-such-command",
        "clients list",
        "clients list --endpoint http://127.0.0.1:9 --fail-after 0s",
        "completion bash",
        "completion fish",
    ] {
        let args: Vec<&str> = line.split(' ').collect();
        let (one, other) = (run(&args, &[]), run_as(&link, &args, &[]));
        assert_eq!(one.status.code(), other.status.code(), "{line}");
        let renamed = |bytes: &[u8]| text(bytes).replace("signet", "hydra");
        // What is ours under either name: the name of the service in traces.
        let own = |bytes: &[u8]| text(bytes).replace(r#""value":"signet""#, r#""value":"hydra""#);
        assert_eq!(renamed(&one.stdout), own(&other.stdout), "{line}");
        assert_eq!(renamed(&one.stderr), own(&other.stderr), "{line}");
    }
    let (data, public, admin) = (dir.path().join("data"), free_port().to_string(), free_port().to_string());
    let data = data.to_str().unwrap();
    let args = ["quickstart", "--exit", "--data-dir", data, "--public-port", &public, "--admin-port", &admin];
    let done = run_as(&link, &args, &[]);
    assert!(done.status.success(), "{done:?}");
    let typed = format!("$ {} create oauth2-client", link.display());
    assert!(text(&done.stdout).contains(&typed), "{}", text(&done.stdout));
}

#[test]
fn every_shell_gets_a_completion_script() {
    for (shell, syntax) in
        [("bash", Some("bash")), ("zsh", Some("zsh")), ("fish", Some("fish")), ("powershell", None), ("elvish", None)]
    {
        let done = run(&["completion", shell], &[]);
        let script = text(&done.stdout);
        assert!(done.status.success() && script.contains("oauth2-client") && script.contains("signet"), "{shell}");
        let Some(program) = syntax else { continue };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("script");
        std::fs::write(&file, script).unwrap();
        // A shell that is not on this machine cannot judge.
        if let Ok(judged) = Command::new(program).arg("-n").arg(&file).output() {
            assert!(judged.status.success(), "{shell}: {}", text(&judged.stderr));
        }
    }
    assert_eq!(run(&["completion", "tcsh"], &[]).status.code(), Some(2));
}

#[test]
fn a_migration_takes_its_flags_before_or_after_the_verb() {
    let dir = tempfile::tempdir().unwrap();
    let dsn = |name: &str| format!("sqlite://{}", dir.path().join(name).display());
    let (a, b, c) = (dsn("a"), dsn("b"), dsn("c"));
    let file = dir.path().join("c.yaml");
    std::fs::write(&file, format!("dsn: {c}\n")).unwrap();
    let file = file.to_str().unwrap();
    for (args, env) in [
        (&["migrate", "sql", "-y", "up", &a][..], &[][..]),
        (&["migrate", "sql", "up", &a, "-y"], &[]),
        (&["migrate", "sql", "-y", "-e", "up"], &[("DSN", b.as_str())]),
        (&["migrate", "sql", "-e", "status"], &[("DSN", b.as_str())]),
        (&["--config", file, "migrate", "sql", "-y"], &[]),
        (&["migrate", "sql", "-y", "-c", file, "up"], &[]),
        (&["migrate", "status", "-c", file], &[]),
    ] {
        let done = run(args, env);
        assert!(done.status.success(), "{args:?}: {}", text(&done.stderr));
        assert!(text(&done.stdout).contains("Applied"), "{args:?}: {}", text(&done.stdout));
    }
    let asked = run(&["migrate", "sql", &dsn("d")], &[]);
    assert_eq!(asked.status.code(), Some(1));
    assert!(text(&asked.stderr).contains("--yes") && !dir.path().join("d").exists());
}

#[test]
fn the_configuration_is_judged_by_exit_code_and_shown_without_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let hidden = "q8Lr2vXw5Tn0Kd7Hs4Bz9Mc3Pj6Yf1Ga";
    let secret = dir.path().join("secret");
    std::fs::write(&secret, format!("{hidden}\n")).unwrap();
    let secret = secret.to_str().unwrap();
    let dsn = format!("postgres://u:{hidden}@h/d?max_conns=3");
    let mut env =
        vec![("DSN", dsn.as_str()), ("SECRETS_SYSTEM_FILE", secret), ("URLS_LOGIN", "https://login.example/")];
    let done = run(&["config", "validate"], &env);
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains("urls.self.issuer"), "{}", text(&done.stderr));
    env.push(("URLS_SELF_ISSUER", "https://issuer.example/"));
    env.push(("SERVE_TLS_ENABLED", "true"));
    env.push(("SERVE_TLS_CERT_PATH", "/cert"));
    env.push(("SERVE_TLS_KEY_PATH", "/key"));
    let done = run(&["config", "validate"], &env);
    assert_eq!((done.status.code(), text(&done.stdout).trim()), (Some(0), "The configuration is valid."));
    for format in ["table", "json", "json-pretty", "yaml"] {
        let done = run(&["config", "status", "--format", format], &env);
        assert!(done.status.success() && !text(&done.stdout).contains(hidden), "{format}");
    }
    let rows: serde_json::Value =
        serde_json::from_slice(&run(&["config", "status", "--format", "json"], &env).stdout).unwrap();
    for (key, value, source) in [
        ("secrets.system", "(hidden)", "environment SECRETS_SYSTEM_FILE"),
        ("secrets.pagination", "(hidden)", "from secrets.system"),
        ("dsn", "(hidden)", "environment DSN"),
        ("db.pool.max_conns", "3", "from max_conns in dsn"),
        ("urls.self.public", "https://issuer.example/", "from urls.self.issuer"),
        ("urls.self.admin", "https://127.0.0.1:4445/", "from serve.admin"),
        ("urls.registration", "https://login.example/", "from urls.login"),
        ("serve.admin.host", "127.0.0.1", "default"),
        ("serve.admin.tls.enabled", "true", "from serve.tls.enabled"),
        ("serve.public.tls.cert.path", "/cert", "from serve.tls.cert.path"),
    ] {
        let row = rows["items"].as_array().unwrap().iter().find(|row| row["key"] == key).unwrap();
        assert_eq!((row["value"].as_str(), row["source"].as_str()), (Some(value), Some(source)), "{key}");
    }
    let first = run(&["config", "status", "--format", "jsonpointer=/items/0/key"], &env);
    let quiet = run(&["config", "status", "-q"], &env);
    assert_eq!(text(&first.stdout).trim(), text(&quiet.stdout).lines().next().unwrap());
    assert_eq!(run(&["config", "status", "--format", "xml"], &env).status.code(), Some(2));
    assert_eq!(run(&["config", "validate", "-c", "/no/such/file.yaml"], &env).status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_generations_find_their_server_and_print_what_scripts_read() {
    let world = World::sqlite(&[]).await;
    let (public, admin) = (world.a.public.clone(), world.a.admin.clone());
    tokio::task::spawn_blocking(move || {
        let id = fresh("cli");
        let done = run(
            &["clients", "create", "--id", &id, "--secret", SECRET, "--grant-types", "client_credentials"],
            &[("HYDRA_ADMIN_URL", &admin)],
        );
        let told = format!("OAuth 2.0 Client ID: {id}\nOAuth 2.0 Client Secret: {SECRET}\n");
        assert_eq!(text(&done.stdout), told, "{}", text(&done.stderr));
        let who = [("OAUTH2_CLIENT_ID", id.as_str()), ("OAUTH2_CLIENT_SECRET", SECRET)];
        let token = run(&["token", "client"], &[who[0], who[1], ("HYDRA_URL", &public)]);
        let token = text(&token.stdout).trim().to_owned();
        assert!(token.starts_with("ory_at_") && !token.contains(char::is_whitespace), "{token}");
        let sdk = [("ORY_SDK_URL", admin.as_str())];
        for (args, want) in [
            (&["get", "client", &id, "--format", "jsonpath=client_id"][..], id.as_str()),
            (&["get", "client", &id, "--format", "jsonpath={.grant_types[0]}"], "client_credentials"),
            (&["get", "client", &id, "--format", "jsonpointer=/client_id"], &id),
            (&["list", "clients", "--format", "jsonpath=$.items[0].client_id"], &id),
            (&["list", "clients", "-q"], &id),
            (&["introspect", "token", &token, "--format", "jsonpath=active"], "true"),
            (&["--skip-tls-verify", "--config", "/dev/null", "introspect", "token", &token, "-q"], &token),
            (&["delete", "client", &id, "--format", "json"], &format!("\"{id}\"")),
        ] {
            let done = run(args, &sdk);
            assert_eq!(text(&done.stdout).trim(), want, "{args:?}: {}", text(&done.stderr));
        }
        let gone = run(&["get", "client", &id], &sdk);
        assert_eq!((gone.status.code(), text(&gone.stdout).as_str()), (Some(1), ""));
        assert!(text(&gone.stderr).ends_with("Failed to execute API request, see error above.\n"));
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_takes_what_list_printed_and_goes_on_after_a_refusal() {
    let world = World::sqlite(&[]).await;
    let admin = world.a.admin.clone();
    tokio::task::spawn_blocking(move || {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("page.json");
        let client = |id: &str, uri: &str| serde_json::json!({"client_id": id, "redirect_uris": [uri]});
        let items = [client("a", "https://a.example/"), client("b", "javascript:x"), client("c", "https://c.example/")];
        std::fs::write(&file, serde_json::json!({"items": items, "is_last_page": true}).to_string()).unwrap();
        let done = run(&["import", "client", file.to_str().unwrap(), "-q"], &[("ORY_SDK_URL", &admin)]);
        let (out, err) = (text(&done.stdout), text(&done.stderr));
        assert_eq!((done.status.code(), out.as_str()), (Some(1), "a\nc\n"), "{err}");
        assert!(err.contains("client \"b\"") && err.contains("invalid_redirect_uri"), "{err}");
    })
    .await
    .unwrap();
}
