//! The soak's own Redis, and what it does to PostgreSQL from within.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_postgres::Client;

use super::fleet::{free_port, signal};
use crate::postgres;

/// A Redis that may be killed.
pub struct Redis {
    pub port: u16,
    program: PathBuf,
    dir: PathBuf,
    child: Mutex<Option<Child>>,
}

impl Redis {
    pub async fn start(program: &Path, dir: &Path) -> Result<Self> {
        let (port, child) = (free_port()?, Mutex::new(None));
        let this = Self { port, program: program.to_owned(), dir: dir.to_owned(), child };
        this.run().await?;
        Ok(this)
    }

    /// Starts it where it was, empty.
    pub async fn run(&self) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &self.port.to_string()]);
        command.arg("--dir").arg(&self.dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().with_context(|| format!("cannot run {}", self.program.display()))?;
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("Redis did not start")
    }

    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Empties it.
    pub async fn flush(&self) -> Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.write_all(b"FLUSHALL\r\n").await?;
        stream.readable().await?;
        Ok(())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The database, past all proxies.
pub struct Database {
    pub dsn: String,
}

// The soak's own connections are told from those of the replicas by the statement that finds them.
const ONE: &str = "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() \
    and backend_type = 'client backend' order by random() limit 1";
const COUNT: &str = "select count(*) from pg_stat_activity where datname = current_database() \
    and pid <> pg_backend_pid() and backend_type = 'client backend'";
const TERMINATE: &str = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
    where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'";
const LIVE_CHAINS: &str = "select count(*) from (select r.family_id from refresh_token r \
    join token_family f on f.id = r.family_id where r.used_at is null and f.revoked_at is null and not f.shared \
    group by r.family_id having count(*) > 1) twice";

impl Database {
    pub async fn client(&self) -> Result<Client> {
        postgres::connect(&self.dsn).await
    }

    async fn number(&self, sql: &str) -> Result<i64> {
        Ok(self.client().await?.query_one(sql, &[]).await?.try_get(0)?)
    }

    /// Connections of the replicas.
    pub async fn connections(&self) -> Result<i64> {
        self.number(COUNT).await
    }

    /// Ends all connections of the replicas.
    pub async fn terminate_all(&self) -> Result<i64> {
        self.number(TERMINATE).await
    }

    /// Ends one of them.
    pub async fn terminate_one(&self) -> Result<()> {
        let client = self.client().await?;
        if let Some(row) = client.query_opt(ONE, &[]).await? {
            client.execute("select pg_terminate_backend($1)", &[&row.try_get::<_, i32>(0)?]).await?;
        }
        Ok(())
    }

    /// A backend dies without a word, upon which PostgreSQL ends all others and recovers from its log, as after an
    /// immediate restart.
    pub async fn crash(&self) -> Result<()> {
        let row = self.client().await?.query_opt(ONE, &[]).await?.context("nobody is connected")?;
        signal(u32::try_from(row.try_get::<_, i32>(0)?)?, "KILL")
    }

    /// Grants on which more than one refresh token could be used: there must be none.
    pub async fn double_chains(&self) -> Result<i64> {
        self.number(LIVE_CHAINS).await
    }

    /// Rows of a table.
    pub async fn rows(&self, table: &str) -> Result<i64> {
        self.number(&format!("select count(*) from {table}")).await
    }
}
