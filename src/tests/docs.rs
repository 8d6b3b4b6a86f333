//! What the pages for operators say is true: their links lead somewhere, and each block that is marked `sh test` runs as
//! written, in the order of its page, beside a server on PostgreSQL that the page finds by the variables it names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use signet::config::{Effect, key};

use crate::harness::{Database, SECRET, Server, postgres};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown file that is part of the project, but for what tools have put below `target`.
fn pages() -> Vec<PathBuf> {
    let listed = Command::new("find")
        .args([
            ".",
            "(",
            "-name",
            "target",
            "-o",
            "-name",
            ".*",
            "-not",
            "-name",
            ".",
            "-o",
            "-name",
            "node_modules",
            ")",
        ])
        .args(["-prune", "-o", "-name", "*.md", "-print"])
        .current_dir(root())
        .output()
        .unwrap();
    String::from_utf8(listed.stdout).unwrap().lines().map(|path| root().join(path.trim_start_matches("./"))).collect()
}

fn read(page: &Path) -> String {
    std::fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()))
}

/// The blocks to run, in order.
fn marked(text: &str) -> Vec<&str> {
    text.split("\n```sh test\n").skip(1).map(|block| block.split("\n```").next().unwrap_or_default()).collect()
}

/// The anchors that a page's headings have.
fn anchors(text: &str) -> BTreeSet<String> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    headings
        .map(|heading| heading.to_lowercase().chars().filter(|c| plain(*c)).collect::<String>().replace(' ', "-"))
        .collect()
}

/// What a page's links name, without those to other sites.
fn links(text: &str) -> Vec<&str> {
    let target = |rest: &&str| rest.find(')').is_some();
    let inner = text.split("](").skip(1).filter(target).map(|rest| rest.split(')').next().unwrap_or_default());
    inner.filter(|link| !link.contains("://") && !link.starts_with("mailto:")).collect()
}

#[test]
fn links_lead_somewhere() {
    let (mut dead, mut seen) = (Vec::new(), 0);
    for page in pages() {
        let text = read(&page);
        for link in links(&text) {
            seen += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            if !target.exists() || (!anchor.is_empty() && !anchors(&read(&target)).contains(anchor)) {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(dead.is_empty(), "links that lead nowhere:\n{}", dead.join("\n"));
    assert!(seen > 20, "{seen} links");
}

#[actix_web::test]
async fn marked_commands_work_as_written() {
    let Some(admin) = postgres() else { return };
    let mut ran = 0;
    for page in pages() {
        let text = read(&page);
        let blocks = marked(&text);
        if blocks.is_empty() {
            continue;
        }
        let (database, empty) = (Database::postgres(&admin).await, Database::postgres(&admin).await);
        Server::migrate(&database.dsn());
        let server = Server::start(&database.dsn(), None, &[]).await;
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_signet"), dir.path().join("signet")).unwrap();
        let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap_or_default());
        let done = Command::new("bash")
            .args(["-c", &format!("set -euo pipefail\n{}\n", blocks.join("\n"))])
            .env_clear()
            .envs([("PATH", path.as_str()), ("SECRETS_SYSTEM", SECRET), ("PUBLIC", &server.peer.public)])
            .envs([("DSN", database.dsn()), ("EMPTY_DSN", empty.dsn())])
            .envs([("HOME", dir.path().display().to_string()), ("ADMIN", server.peer.admin.clone())])
            .envs([("HYDRA_ADMIN_URL", server.peer.admin.clone()), ("HYDRA_URL", server.peer.public.clone())])
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{}: {}\n{}\n{}",
            page.display(),
            done.status,
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr)
        );
        ran += blocks.len();
    }
    assert!(ran >= 3, "{ran} blocks ran");
}

/// What the page about moving calls the parts of the wire, by the names that recorded exchanges begin with.
fn part_of_the_wire(exchange: &str) -> &'static str {
    match exchange.split(['/', ' ']).next().unwrap() {
        "*" => "everywhere",
        "meta" => "discovery, keys and pages",
        "auth" => "`/oauth2/auth`",
        "code" | "reject-consent" | "other-browser2" => "login and consent",
        "form-post" => "`form_post`",
        "token" => "`/oauth2/token`",
        "revoke" => "`/oauth2/revoke`",
        "introspect" => "`/admin/oauth2/introspect`",
        "userinfo" => "`/userinfo`",
        "device" => "devices",
        "logout" => "logout",
        "clients" => "`/admin/clients`",
        other => panic!("{other}: how does deploy/docs/from-hydra.md call that?"),
    }
}

#[test]
fn what_differs_from_hydra_is_told_as_it_is_allowed() {
    let allowed = read(&root().join("src/tests/compat/allowed.json"));
    let allowed: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&allowed).unwrap();
    let row = |(exchange, why): (&String, &serde_json::Value)| {
        format!("| {} | {} |", part_of_the_wire(exchange), why.as_str().unwrap())
    };
    let expected: BTreeSet<String> = allowed.iter().map(row).collect();
    let page = read(&root().join("deploy/docs/from-hydra.md"));
    let table =
        page.split("| where | what differs, and why |\n|---|---|\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let told: BTreeSet<String> = table.lines().map(str::to_owned).collect();
    let (missing, over): (Vec<_>, Vec<_>) =
        (expected.difference(&told).collect(), told.difference(&expected).collect());
    assert!(missing.is_empty() && over.is_empty(), "not told: {missing:#?}\nnot so: {over:#?}");
    assert_eq!(table.lines().count(), told.len(), "a row stands there twice");
}

#[test]
fn the_settings_of_hydra_that_do_not_act_are_named() {
    let page = read(&root().join("deploy/docs/from-hydra.md"));
    for (mark, effect) in [("- **Not yet:** ", Effect::NotYet), ("- **No effect here:** ", Effect::NoEffect)] {
        let listed = page.split(mark).nth(1).unwrap().split(".\n").next().unwrap();
        let told: BTreeSet<&str> = listed.split(',').map(|name| name.trim().trim_matches('`')).collect();
        let expected: BTreeSet<&str> = key::all().filter(|key| key.effect == effect).map(|key| key.name).collect();
        assert_eq!(told, expected, "{mark}");
    }
}
