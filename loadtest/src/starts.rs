//! How long a server takes from its start until it is ready, and what it holds when it has nothing to do. Its keys are in
//! place: the database is one that a server has run on.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::http::Call;
use crate::http::connection::Wire;
use crate::target::Target;
use crate::watch;

/// Between two questions whether it is ready.
const PAUSE: Duration = Duration::from_millis(1);
/// A server that is not ready by then does not start.
const PATIENCE: Duration = Duration::from_secs(60);
/// After this it has done what it does at its start.
const IDLE: Duration = Duration::from_secs(2);

/// One figure a start.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Starts {
    pub ready_ms: Vec<f64>,
    pub idle_mb: Vec<f64>,
}

/// Starts and stops the server so many times.
pub async fn run(target: &Target, program: &[String], count: usize) -> Result<Starts> {
    let mut found = Starts::default();
    for number in 1..=count {
        let began = Instant::now();
        let mut server = Server::start(program)?;
        server.ready(target).await?;
        let ready = began.elapsed().as_secs_f64() * 1000.0;
        tokio::time::sleep(IDLE).await;
        let idle = watch::resident_mb(server.0.id()).context("the server is gone")?;
        println!("start {number}: ready after {ready:.0} ms, {idle:.1} MB");
        found.ready_ms.push(ready);
        found.idle_mb.push(idle);
        server.stop()?;
    }
    Ok(found)
}

/// The process, killed when dropped.
struct Server(Child);

impl Server {
    fn start(program: &[String]) -> Result<Self> {
        let (name, arguments) = program.split_first().context("which program? Give it after --")?;
        let child = Command::new(name).args(arguments).spawn();
        Ok(Self(child.with_context(|| format!("cannot start {name}"))?))
    }

    async fn ready(&mut self, target: &Target) -> Result<()> {
        let (call, began) = (Call::get(&target.public, "/health/ready"), Instant::now());
        while began.elapsed() < PATIENCE {
            if Wire::default().send(&call).await.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            if let Some(status) = self.0.try_wait()? {
                bail!("the server ended with {status}");
            }
            tokio::time::sleep(PAUSE).await;
        }
        bail!("the server was not ready after {} s", PATIENCE.as_secs())
    }

    /// Asks it to end as an operator would.
    fn stop(mut self) -> Result<()> {
        let asked = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status()?;
        if !asked.success() {
            bail!("cannot stop the server");
        }
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended is not there to be killed.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
