//! Client libraries of other ecosystems, unmodified: they register a client, get, introspect and revoke a token.
//!
//! `make test` installs them and sets `SIGNET_TEST_DRIVERS`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{World, fresh};

fn installed() -> Option<PathBuf> {
    let found = std::env::var_os("SIGNET_TEST_DRIVERS").map(PathBuf::from);
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "SIGNET_TEST_DRIVERS is not set: CI must run `make test`");
        println!("SKIPPED: SIGNET_TEST_DRIVERS is not set; `make test` installs the client libraries");
    }
    found
}

fn drive(program: &Path, script: &str, env: (&str, &Path), world: &World) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/drivers").join(script);
    let done = Command::new(program)
        .arg(script)
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
    drive(&drivers.join("python/bin/python"), "authlib_client.py", ("PYTHONDONTWRITEBYTECODE", Path::new("1")), &world);
}
