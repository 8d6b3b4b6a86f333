//! The k6 scripts: that they are JavaScript, work, and ask the same as the driver. k6 is not needed: `shim/` stands in
//! for its modules, under node.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::fake::Fake;
use super::requests::{compare, listed};

/// Scripts that share a name with a scenario of the driver.
const SCRIPTS: [&str; 11] = [
    "client-credentials",
    "code-flow",
    "discovery",
    "introspect",
    "introspect-invalid",
    "jwks",
    "mixed",
    "refresh",
    "revoke",
    "userinfo",
    "wrong-secrets",
];

/// Scenarios without a script.
const DRIVER_ALONE: [&str; 6] =
    ["million", "private-key-jwt", "revoke --kind refresh", "staleness", "storm", "token-refused"];

/// The script's name in the list.
fn scenario(script: &str) -> &str {
    if script == "introspect-invalid" { "introspect --invalid" } else { script }
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Whether there is a node; where one is promised it must be there.
fn has_node() -> bool {
    let found = Command::new("node").arg("--version").output().is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "node is not installed: CI needs it");
    if !found {
        println!("SKIPPED: node is not installed");
    }
    found
}

fn said(done: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr))
}

fn run(script: &str, (base, admin): (&str, &str)) -> Output {
    Command::new("node")
        .args([here("src/tests/shim/run.mjs"), here(&format!("k6/{script}.js"))])
        .arg("100")
        .env("BASE", base)
        .env("ADMIN", admin)
        .output()
        .unwrap()
}

#[test]
fn the_scripts_are_those_of_the_list_and_can_be_read() {
    let found: Vec<_> = std::fs::read_dir(here("k6")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut names: Vec<_> = found.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
    names.retain(|name| *name != "lib");
    names.sort_unstable();
    assert_eq!(names, SCRIPTS);
    let mut all: Vec<_> = SCRIPTS.iter().map(|script| scenario(script)).chain(DRIVER_ALONE).collect();
    all.sort_unstable();
    assert_eq!(all, listed().keys().map(String::as_str).collect::<Vec<_>>(), "every scenario has a script or none");
    for path in found.iter().filter(|_| has_node()) {
        // From standard input, because node takes a file of this name for a script and not for a module.
        let file = std::fs::File::open(path).unwrap();
        let checked = Command::new("node").args(["--check", "--input-type=module", "-"]).stdin(file).output().unwrap();
        assert!(checked.status.success(), "{}: {}", path.display(), said(&checked));
    }
}

#[test]
fn the_readme_names_the_scenarios_without_a_script() {
    let readme = std::fs::read_to_string(here("README.md")).unwrap();
    let (_, rest) = readme.split_once("The driver alone has ").unwrap();
    let sentence = rest.split('.').next().unwrap();
    let mut named: Vec<_> = sentence.split('`').skip(1).step_by(2).collect();
    named.sort_unstable();
    assert_eq!(named, DRIVER_ALONE);
}

#[test]
fn every_script_works_and_asks_what_is_listed() {
    let mut faults = Vec::new();
    for script in SCRIPTS.iter().filter(|_| has_node()) {
        let fake = Fake::start();
        let done = run(script, (&fake.public, &fake.admin));
        assert!(done.status.success(), "{script}: {}", said(&done));
        faults.extend(compare(&format!("k6/{script}.js"), scenario(script), &fake.asked()));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_script_fails_where_the_server_does() {
    for script in SCRIPTS.iter().filter(|_| has_node()) {
        // The admin side knows none of the public paths, so what is asked first is refused.
        let fake = Fake::start();
        let done = run(script, (&fake.admin, &fake.public));
        assert!(!done.status.success(), "{script}: {}", said(&done));
    }
}
