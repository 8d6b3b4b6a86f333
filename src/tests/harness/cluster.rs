//! A PostgreSQL of a test's own, which it may stop, starve and fail over.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::database::connect;
use super::server::{free_port, signal};

/// A cluster without a database; it ends with this value.
pub struct Cluster {
    /// Where it listens.
    pub port: u16,
    args: Vec<String>,
    child: Option<Child>,
    dir: tempfile::TempDir,
}

/// How a cluster is stopped.
#[derive(Clone, Copy, Debug)]
pub enum Stop {
    /// Transactions are rolled back, connections told.
    Fast,
    /// As by a crash.
    Immediate,
}

impl Cluster {
    /// Makes one, or says that there is no PostgreSQL to test on.
    pub async fn start(settings: &[&str]) -> Option<Self> {
        super::postgres()?;
        let mut this = Self::empty(settings);
        this.run_to_end(
            "initdb",
            &["-U", "signet", "-A", "trust", "-N", "-E", "UTF8", "--no-locale", "--no-instructions"],
        );
        this.run().await;
        Some(this)
    }

    /// A standby that streams from this one.
    pub async fn standby(&self) -> Self {
        let mut this = Self::empty(&[]);
        let port = self.port.to_string();
        let args = ["-h", "127.0.0.1", "-p", &port, "-U", "signet", "-R", "-c", "fast", "-X", "stream", "--no-sync"];
        this.run_to_end("pg_basebackup", &args);
        this.run().await;
        this
    }

    fn empty(settings: &[&str]) -> Self {
        let (port, dir) = (free_port(), tempfile::Builder::new().prefix("signet-cluster").tempdir().unwrap());
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        if let Some((user, group)) = other_user() {
            chown(dir.path(), Some(user), Some(group)).unwrap();
        }
        let own = ["fsync=off", "shared_buffers=16MB", "listen_addresses=127.0.0.1", "unix_socket_directories="];
        let settings = own.iter().chain(settings).flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]);
        let args = ["-p".to_owned(), port.to_string()].into_iter().chain(settings).collect();
        Self { port, args, child: None, dir }
    }

    /// Starts it, and waits until it lets somebody in.
    pub async fn run(&mut self) {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        self.child = Some(self.program("postgres", &args).spawn().unwrap());
        let (began, dsn) = (Instant::now(), self.admin());
        while tokio_postgres::connect(&dsn, tokio_postgres::NoTls).await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "the cluster did not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn stop(&mut self, how: Stop) {
        if let Some(mut child) = self.child.take() {
            signal(child.id(), if matches!(how, Stop::Fast) { "INT" } else { "QUIT" });
            let _ = child.wait();
        }
    }

    /// A superuser's DSN.
    pub fn admin(&self) -> String {
        format!("postgres://signet@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    /// A connection for looking into it.
    pub async fn client(&self) -> tokio_postgres::Client {
        connect(&self.admin()).await
    }

    /// Changes a setting of the whole cluster, for the sessions that there are too.
    pub async fn set(&self, setting: &str) {
        let client = self.client().await;
        client.batch_execute(&format!("ALTER SYSTEM SET {setting}")).await.unwrap();
        client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    }

    /// A folder in there that belongs to whom it runs as.
    pub fn folder_in(&self, dir: &std::path::Path) -> PathBuf {
        let own = dir.join("tables");
        std::fs::create_dir(&own).unwrap();
        if let Some((user, group)) = other_user() {
            chown(&own, Some(user), Some(group)).unwrap();
        }
        own
    }

    fn program(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(folder().join(name));
        command.arg("-D").arg(self.dir.path().join("data")).args(args).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some((user, group)) = other_user() {
            command.uid(user).gid(group);
        }
        command
    }

    fn run_to_end(&self, name: &str, args: &[&str]) {
        let done = self.program(name, args).stderr(Stdio::piped()).output().unwrap();
        assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop(Stop::Immediate);
    }
}

/// Where the programs are: on `PATH`, or where Debian keeps them.
fn folder() -> PathBuf {
    let whole = |dir: &PathBuf| ["initdb", "postgres", "pg_basebackup"].iter().all(|name| dir.join(name).exists());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).find(whole);
    let debian = || {
        let versions = std::fs::read_dir("/usr/lib/postgresql").unwrap();
        let mut dirs: Vec<PathBuf> = versions.map(|entry| entry.unwrap().path().join("bin")).collect();
        dirs.retain(whole);
        dirs.sort();
        dirs.pop().expect("no initdb")
    };
    found.unwrap_or_else(debian)
}

/// PostgreSQL refuses to run as root: whom it runs as then.
fn other_user() -> Option<(u32, u32)> {
    let id = |args: &[&str]| {
        let done = Command::new("id").args(args).output().unwrap();
        String::from_utf8(done.stdout).unwrap().trim().parse::<u32>().ok()
    };
    let user = |name: &str| Some((id(&["-u", name])?, id(&["-g", name])?));
    if id(&["-u"]) == Some(0) { user("postgres").or_else(|| user("nobody")) } else { None }
}
