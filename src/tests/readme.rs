//! The guide in the README is true: its commands are read from there and run, on PostgreSQL, with the built binary and,
//! for its users, with a browser.

use std::path::Path;
use std::process::{Command, Output};

use signet::config::{Effect, Sources, key, load};
use signet::telemetry::audit::AuditEvent;
use url::Url;

use crate::drivers::{installed, script};
use crate::harness::{free_port, postgres};

const GUIDE: &str = "## Your own OAuth2 server on PostgreSQL";
const USERS: &str = "### Users: the login and consent app";
const STOP: &str = "### Stop it";

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// The text of every `sh` block between two lines of the README, in order.
fn commands(readme: &str, from: &str, to: &str) -> Vec<String> {
    let part = readme.split(&format!("\n{from}\n")).nth(1).unwrap_or_else(|| panic!("no heading {from}"));
    let part = part.split(to).next().unwrap_or(part);
    let blocks = part.split("\n```sh\n").skip(1);
    blocks.map(|block| block.split("\n```").next().unwrap_or_default().to_owned()).collect()
}

/// The guide's ports, replaced by free ones; a number counts only where it begins.
fn on_free_ports(script: String) -> String {
    ["9000", "9001", "9010", "9020"].iter().fold(script, |script, named| {
        let port = free_port();
        [':', '=', ' ']
            .iter()
            .fold(script, |script, before| script.replace(&format!("{before}{named}"), &format!("{before}{port}")))
    })
}

/// Runs these commands of the guide with a database, ports and a folder of their own.
fn run_guide(admin: &str, name: &str, commands: &[String]) -> Output {
    let at = Url::parse(admin).unwrap();
    let address = format!("{}:{}", at.host_str().unwrap(), at.port().unwrap_or(5432));
    let script = format!("set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{}\n", commands.join("\n"));
    let script = on_free_ports(script)
        .replace("sudo -u postgres psql", &format!("psql -q '{admin}'"))
        .replace("signet_guide", name)
        .replace("127.0.0.1:5432", &address);

    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_signet"), dir.path().join("signet")).unwrap();
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap_or_default());
    let (database, role) =
        (format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"), format!("DROP ROLE IF EXISTS {name}"));
    let drop_all = || Command::new("psql").args(["-qX", admin, "-c", &database, "-c", &role]).status().unwrap();
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
    done
}

/// It went through, and all of this is in what it said, white space aside.
fn went_well(done: &Output, expected: &[&str]) {
    let (said, wrote) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{}\n{said}\n{wrote}", done.status);
    let squeezed: String = said.split_whitespace().collect();
    for text in expected {
        assert!(squeezed.contains(text), "{text} is not in:\n{said}\n{wrote}");
    }
}

#[test]
fn the_guides_commands_work_as_written() {
    let Some(admin) = postgres() else { return };
    let readme = readme();
    let mut all = commands(&readme, GUIDE, USERS);
    all.extend(commands(&readme, STOP, "\n## "));
    assert!(all.len() >= 12, "{} blocks found", all.len());
    let expected = [
        r#"{"status":"ok"}"#,
        r#""active":true"#,
        r#""client_id":"some-consumer""#,
        r#""iss":"http://127.0.0.1:"#,
        r#"{"active":false}"#,
        r#""client_id":"another-consumer""#,
    ];
    went_well(&run_guide(&admin, "signet_guide", &all), &expected);
}

/// What stands in for the reader: the packages that are there already, and the browser.
fn with_a_browser(command: &str, drivers: &Path) -> String {
    let modules = drivers.join("node");
    if let Some((install, start)) = command.split_once('\n')
        && let Some(package) = install.strip_prefix("npm install --silent ")
    {
        let wanted = std::fs::read_to_string(modules.join("package.json")).unwrap();
        assert!(wanted.contains(&package.replace('@', r#"": ""#)), "{package} is not the one of\n{wanted}");
        return format!("ln -s '{}/node_modules' .\n{}", modules.display(), start.replace('&', ">app.log 2>&1 &"));
    }
    if !command.contains("signet token user") {
        return command.to_owned();
    }
    format!(
        "{command} >tokens.txt &
TERMINAL=$!
until curl -fs http://127.0.0.1:9010/ >home.html && curl -fs http://127.0.0.1:9020/ >app.html; do kill -0 $TERMINAL; sleep 0.1; done
DRIVERS='{}' HOME_URL=http://127.0.0.1:9010/ PUBLIC_URL=http://127.0.0.1:9000 ADMIN_URL=http://127.0.0.1:9001 \
    CONSENT_URL=http://127.0.0.1:9020 node '{}' guide
wait $TERMINAL
cat tokens.txt
signet token introspect --endpoint http://127.0.0.1:9001 $(grep -A1 '^Access Token:' tokens.txt | tail -1)
signet token introspect --endpoint http://127.0.0.1:9001 $(grep -A1 '^Refresh Token:' tokens.txt | tail -1)",
        drivers.display(),
        script("browser/run.mjs").display()
    )
}

#[test]
fn the_whole_guide_works_with_a_browser() {
    let (Some(admin), Some(drivers)) = (postgres(), installed()) else { return };
    let readme = readme();
    let users = commands(&readme, USERS, STOP);
    let mut all = commands(&readme, GUIDE, USERS);
    all.extend(users.iter().map(|command| with_a_browser(command, &drivers)));
    all.extend(commands(&readme, STOP, "\n## "));
    assert!(users.len() >= 3, "{} blocks found", users.len());
    let expected = [
        "guide:homepage,login,consent,callback",
        "AccessToken:ory_at_",
        "RefreshToken:ory_rt_",
        "IDToken:eyJ",
        r#""client_id":"another-consumer""#,
        r#""sub":"foo@bar.com""#,
        r#""token_use":"access_token""#,
        r#""token_use":"refresh_token""#,
    ];
    went_well(&run_guide(&admin, "signet_guide_browser", &all), &expected);
}

#[test]
fn its_table_of_audit_events_is_the_programs() {
    let readme = readme();
    let table = readme.split("| event | when |\n|---|---|\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let row = |event: &AuditEvent| format!("| `{}` | {} |", event.name(), event.when().trim());
    let expected: Vec<String> = AuditEvent::ALL.iter().map(row).collect();
    assert_eq!(table.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn the_settings_it_names_exist_act_and_have_those_defaults() {
    let readme = readme();
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
