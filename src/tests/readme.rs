//! The guide in the README is true: its commands are read from there and run, on PostgreSQL, with the built binary.

use std::path::Path;
use std::process::Command;

use signet::config::{Effect, Sources, key, load};
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

#[test]
fn the_settings_it_names_exist_act_and_have_those_defaults() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let table = readme.split("| setting | default |").nth(1).unwrap().split("\n\n").next().unwrap();
    let mut seen = 0;
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').skip(1).map(str::trim).collect();
        let defaults: Vec<&str> = cells[1].split(',').map(|cell| cell.trim().trim_matches('`')).collect();
        for (name, default) in
            cells[0].split(", ").map(|name| name.trim_matches('`')).zip(defaults.iter().chain(std::iter::repeat(&"")))
        {
            let found = key::find(name).unwrap_or_else(|| panic!("{name} is no setting"));
            assert_eq!(found.effect, Effect::Acts, "{name}");
            assert!(*default == found.default || *default == "the issuer", "{name}: {default} {}", found.default);
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen} settings");

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("readme.yaml");
    std::fs::write(&file, readme.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap()).unwrap();
    let env = [("SECRETS_SYSTEM".to_owned(), crate::harness::SECRET.to_owned())].into();
    let settings = load(&Sources { files: vec![file], env, ..Sources::default() }).unwrap();
    assert!(settings.strategies.access_token_jwt && settings.serve.admin.host == "10.0.0.5");
}
