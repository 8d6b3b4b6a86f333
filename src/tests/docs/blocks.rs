//! Each block that is marked `sh test` runs as written, in the order of its page, beside a server that the page finds by the
//! variables it names. A page that starts a server itself has none beside it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{pages, read, root};
use crate::harness::{Callee, Database, SECRET, free_port, postgres};

/// A block that is run.
struct Block {
    /// Beside a server on PostgreSQL; else on SQLite.
    postgres: bool,
    text: String,
}

/// The blocks to run, in order: those marked `sh test` and `sh test postgres`. In lists they are indented.
fn marked(text: &str) -> Vec<Block> {
    let (mut blocks, mut open) = (Vec::new(), None::<(usize, Block)>);
    for line in text.lines() {
        let bare = line.trim_start();
        match open.take() {
            None => {
                if let Some(on) = bare.strip_prefix("```sh test") {
                    assert!(matches!(on, "" | " postgres"), "{line}");
                    let block = Block { postgres: !on.is_empty(), text: String::new() };
                    open = Some((line.len() - bare.len(), block));
                }
            }
            Some((_, block)) if bare == "```" => blocks.push(block),
            Some((indent, mut block)) => {
                block.text += line.get(indent..).unwrap_or(bare);
                block.text.push('\n');
                open = Some((indent, block));
            }
        }
    }
    assert!(open.is_none(), "a block has no end");
    blocks
}

/// Starts a server as an operator would, in the script's own shell.
const SERVES: &str = "
signet migrate sql -e --yes >/dev/null
signet serve all -c signet.yaml >>serve.log 2>&1 &
until signet healthcheck >/dev/null 2>&1; do kill -0 $!; sleep 0.05; done
signet create oauth2-client --id \"$CLIENT_ID\" --grant-type client_credentials -q >/dev/null
";

/// One that is moved away from.
const HYDRA_SERVES: &str = "
(
  export DSN=\"sqlite://$PWD/hydra.sqlite\" SERVE_PUBLIC_PORT=\"${HYDRA_PUBLIC##*:}\" SERVE_ADMIN_PORT=\"${HYDRA##*:}\"
  export SERVE_GATEWAY_ENABLED=false URLS_SELF_ISSUER=\"$HYDRA_PUBLIC/\"
  signet migrate sql -e --yes >/dev/null
  exec signet serve all >>serve.log 2>&1
) &
until signet healthcheck --url \"$HYDRA\" >/dev/null 2>&1; do kill -0 $!; sleep 0.05; done
signet create oauth2-client -e \"$HYDRA\" --id \"$CLIENT_ID\" --grant-type client_credentials -q >/dev/null
";

/// The blocks of one page that share a server, and all that they find on the machine.
struct Run {
    page: PathBuf,
    script: String,
    env: Vec<(&'static str, String)>,
    dir: tempfile::TempDir,
    _databases: Vec<Database>,
}

impl Run {
    async fn new(page: &Path, blocks: &[&Block], app: &Callee, admin: Option<&str>) -> Self {
        let (dir, mut databases) = (tempfile::tempdir().unwrap(), Vec::new());
        let at = dir.path();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_signet"), at.join("signet")).unwrap();
        let secret = at.join("system");
        std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
        std::fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        std::fs::write(at.join("signet.yaml"), gateway_settings()).unwrap();
        std::fs::copy(root().join("deploy/compose/hydra.yml"), at.join("hydra.yml")).unwrap();
        if let Some(admin) = admin {
            databases.extend([Database::postgres(admin).await, Database::postgres(admin).await]);
        }
        let sqlite = format!("sqlite://{}/signet.sqlite", at.display());
        let dsn = |n: usize| databases.get(n).map_or(sqlite.clone(), Database::dsn);
        let url = || format!("http://127.0.0.1:{}", free_port());
        let port = |url: &str| url.rsplit(':').next().unwrap().to_owned();
        let (public, admin, gateway, hydra, hydra_public) = (url(), url(), url(), url(), url());
        let path = format!("{}:{}", at.display(), std::env::var("PATH").unwrap_or_default());
        let env = vec![
            ("PATH", path),
            ("HOME", at.display().to_string()),
            ("DSN", dsn(0)),
            ("EMPTY_DSN", dsn(1)),
            ("DEV", "true".to_owned()),
            ("SECRETS_SYSTEM_FILE", secret.display().to_string()),
            ("URLS_SELF_ISSUER", format!("{public}/")),
            ("URLS_LOGIN", format!("{}/login", app.url)),
            ("URLS_CONSENT", format!("{}/consent", app.url)),
            ("SERVE_PUBLIC_HOST", "127.0.0.1".to_owned()),
            ("SERVE_PUBLIC_PORT", port(&public)),
            ("SERVE_ADMIN_PORT", port(&admin)),
            ("SERVE_GATEWAY_HOST", "127.0.0.1".to_owned()),
            ("SERVE_GATEWAY_PORT", port(&gateway)),
            ("SERVE_SHUTDOWN_DRAIN_DELAY", "0s".to_owned()),
            ("CLIENT_ID", "some-consumer".to_owned()),
            ("HYDRA_URL", public.clone()),
            ("HYDRA_ADMIN_URL", admin.clone()),
            ("PUBLIC", public),
            ("SIGNET", admin.clone()),
            ("ADMIN", admin),
            ("GATEWAY", gateway),
            ("HYDRA", hydra),
            ("HYDRA_PUBLIC", hydra_public),
        ];
        let own: String = blocks.iter().map(|block| block.text.as_str()).collect();
        let hydra = if own.contains("\"$HYDRA\"") { HYDRA_SERVES } else { "" };
        let serves = if own.contains("signet serve") { "" } else { SERVES };
        let ends = "trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT";
        let script = format!("set -euo pipefail\n{ends}\n{hydra}{serves}\n{own}");
        Self { page: page.to_owned(), script, env, dir, _databases: databases }
    }

    /// What went wrong, with all that was said.
    fn go(&self) -> Option<String> {
        let env = self.env.iter().map(|(name, value)| (name, value));
        let mut command = Command::new("timeout");
        command.args(["120", "bash", "-c", &self.script]).env_clear().envs(env).current_dir(self.dir.path());
        let done = command.output().unwrap();
        let log = std::fs::read_to_string(self.dir.path().join("serve.log")).unwrap_or_default();
        (!done.status.success()).then(|| {
            let (said, wrote) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
            format!("{}: {}\n{said}\n{wrote}\n{log}", self.page.display(), done.status)
        })
    }
}

/// The configuration of the README's part on API gateways.
fn gateway_settings() -> String {
    let readme = read(&root().join("README.md"));
    let lines = readme.lines().skip_while(|line| !line.starts_with("  serve: {gateway: {enabled: true"));
    let lines: Vec<&str> = lines.map_while(|line| line.strip_prefix("  ")).take_while(|line| *line != "```").collect();
    assert!(lines.len() > 5, "{lines:?}");
    lines.join("\n") + "\n"
}

#[actix_web::test]
async fn marked_commands_work_as_written() {
    let (admin, app) = (postgres(), Callee::start(|_| (200, "{}".to_owned())));
    let (mut marks, mut runs) = (0, Vec::new());
    for page in pages() {
        let blocks = marked(&read(&page));
        marks += blocks.len();
        for on in std::iter::once(None).chain(admin.as_deref().map(Some)) {
            let of: Vec<&Block> = blocks.iter().filter(|block| block.postgres == on.is_some()).collect();
            if !of.is_empty() {
                runs.push(Run::new(&page, &of, &app, on).await);
            }
        }
    }
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = runs.iter().map(|run| scope.spawn(|| run.go())).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(marks >= 20, "{marks} blocks are marked");
}
