//! The guide in the README is true: its commands are read from there and run, on PostgreSQL, with the built binary.

use std::path::Path;
use std::process::Command;

use url::Url;

use crate::harness::{free_port, postgres};

const GUIDE: &str = "## Your own OAuth2 server on PostgreSQL";

/// The text of every `sh` block of the guide, in order.
fn commands(readme: &str) -> Vec<String> {
    let guide = readme.split(GUIDE).nth(1).expect("the guide's heading");
    let guide = guide.split("\n## ").next().unwrap_or(guide);
    let blocks = guide.split("\n```sh\n").skip(1);
    blocks.map(|block| block.split("\n```").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_guides_commands_work_as_written() {
    let Some(admin) = postgres() else { return };
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let commands = commands(&readme);
    assert!(commands.len() >= 12, "{} blocks found", commands.len());

    let at = Url::parse(&admin).unwrap();
    let address = format!("{}:{}", at.host_str().unwrap(), at.port().unwrap_or(5432));
    let (public, login) = (free_port(), free_port());
    let admin_port = free_port();
    let script = format!("set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{}\n", commands.join("\n"))
        .replace("sudo -u postgres psql", &format!("psql -q '{admin}'"))
        .replace("127.0.0.1:5432", &address)
        .replace("9000", &public.to_string())
        .replace("9001", &admin_port.to_string())
        .replace("9020", &login.to_string());

    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_signet"), dir.path().join("signet")).unwrap();
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap_or_default());
    let clean = ["-c", "DROP DATABASE IF EXISTS signet_guide WITH (FORCE)", "-c", "DROP ROLE IF EXISTS signet_guide"];
    let drop_all = || Command::new("psql").args(["-qX", &admin]).args(clean).status().unwrap();
    drop_all();
    let done = Command::new("bash")
        .args(["-c", &script])
        .env_clear()
        .env("PATH", path)
        .env("HOME", dir.path())
        .current_dir(dir.path())
        .output()
        .unwrap();
    drop_all();

    let (said, wrote) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{}\n{said}\n{wrote}", done.status);
    let squeezed: String = said.split_whitespace().collect();
    for expected in [
        r#"{"status":"ok"}"#,
        r#""active":true"#,
        r#""client_id":"some-consumer""#,
        &format!(r#""iss":"http://127.0.0.1:{public}/""#),
        r#"{"active":false}"#,
        r#""client_id":"another-consumer""#,
    ] {
        assert!(squeezed.contains(expected), "{expected} is not in:\n{said}\n{wrote}");
    }
}
