//! Client libraries of other ecosystems, unmodified: they register a client, get, introspect and revoke a token,
//! and take a user through login and consent.
//!
//! `make test` installs them and sets `SIGNET_TEST_DRIVERS`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{World, fresh};

/// Where `scripts/drivers.sh` has installed them, or a line that says why this test does nothing.
pub fn installed() -> Option<PathBuf> {
    let found = std::env::var_os("SIGNET_TEST_DRIVERS").map(PathBuf::from);
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "SIGNET_TEST_DRIVERS is not set: CI must run `make test`");
        println!("SKIPPED: SIGNET_TEST_DRIVERS is not set; `make test` installs the client libraries");
    }
    found
}

/// A script of this crate's `drivers`.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/drivers").join(name)
}

fn drive(program: &Path, name: &str, env: (&str, &Path), world: &World) {
    let done = Command::new(program)
        .arg(script(name))
        .args([&world.a.public, &world.a.admin, &fresh("driver")])
        .env(env.0, env.1)
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{said}");
    println!("{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ory_client_for_node_works_unmodified() {
    let Some(drivers) = installed() else { return };
    let world = World::sqlite(&[]).await;
    drive(Path::new("node"), "hydra_client.cjs", ("NODE_PATH", &drivers.join("node/node_modules")), &world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authlib_for_python_works_unmodified() {
    let Some(drivers) = installed() else { return };
    let world = World::sqlite(&[]).await;
    let (python, quiet) = (drivers.join("python/bin/python"), ("PYTHONDONTWRITEBYTECODE", Path::new("1")));
    drive(&python, "authlib_client.py", quiet, &world);
    drive(&python, "authlib_code.py", quiet, &world);
}
