//! A database for one test: a scratch one on the PostgreSQL of `SIGNET_TEST_POSTGRES`, or a SQLite file.

use std::process::{Command, Stdio};

use tokio_postgres::NoTls;
use url::Url;

/// One test's database; dropped with the fixture.
pub enum Database {
    /// A database of its own on the test server; `admin` may drop it.
    Postgres { dsn: String, admin: String, name: String },
    /// A file in a folder of its own.
    Sqlite { dir: tempfile::TempDir },
}

/// The DSN of the PostgreSQL to test on, or a line that says why this test does nothing.
pub fn postgres() -> Option<String> {
    let found = std::env::var("SIGNET_TEST_POSTGRES").ok().filter(|dsn| !dsn.is_empty());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "SIGNET_TEST_POSTGRES is not set: CI must run `make test`");
        println!("SKIPPED: SIGNET_TEST_POSTGRES is not set; `make test` starts a PostgreSQL");
    }
    found
}

impl Database {
    /// A fresh, empty database on the test server.
    pub async fn postgres(admin: &str) -> Self {
        let name = super::fresh("signet").replace('-', "_");
        connect(admin).await.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        let mut dsn = Url::parse(admin).unwrap();
        dsn.set_path(&name);
        Self::Postgres { dsn: dsn.into(), admin: admin.to_owned(), name }
    }

    /// A fresh SQLite file that does not exist yet.
    pub fn sqlite() -> Self {
        Self::Sqlite { dir: tempfile::Builder::new().prefix("signet-sqlite").tempdir().unwrap() }
    }

    /// The DSN that a server is started with.
    pub fn dsn(&self) -> String {
        match self {
            Self::Postgres { dsn, .. } => dsn.clone(),
            Self::Sqlite { dir } => format!("sqlite://{}/signet.sqlite?_fk=true", dir.path().display()),
        }
    }

    /// The same database, reached over another port of this machine.
    pub fn dsn_through(&self, port: u16) -> String {
        let mut dsn = Url::parse(&self.dsn()).unwrap();
        dsn.set_port(Some(port)).unwrap();
        dsn.into()
    }

    /// Host and port of the PostgreSQL server.
    pub fn address(&self) -> (String, u16) {
        let dsn = Url::parse(&self.dsn()).unwrap();
        (dsn.host_str().unwrap().to_owned(), dsn.port().unwrap_or(5432))
    }

    /// A connection for looking into a PostgreSQL database.
    pub async fn client(&self) -> tokio_postgres::Client {
        connect(&self.dsn()).await
    }
}

pub(super) async fn connect(dsn: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(dsn, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Self::Postgres { admin, name, .. } = self {
            let _ = Command::new("psql")
                .args(["-qX", admin, "-c", &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }
}
