//! What the pages for operators say is true: their links lead somewhere, and what they tell to type works.

mod blocks;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use signet::config::{Effect, key};

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
