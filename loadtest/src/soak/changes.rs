//! What an operator does to the fleet while everything goes on: more replicas and fewer, another release and back.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Result, bail};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::fleet::{Replica, migrate};
use super::play::Window;
use super::{BREATH, Stage};

/// What the name of such a change begins with.
pub const SCALED: &str = "from ";

impl Stage {
    /// Does it, and tells when it was done. It excuses no error.
    async fn change(&self, name: String, done: impl Future<Output = Result<()>>) -> Result<()> {
        let from = self.history.now();
        println!("{:>8.1} s  {name}", from as f64 / 1e6);
        done.await?;
        self.log.happened(Window { from, to: self.history.now(), name, excuses: None });
        Ok(())
    }

    /// So many replicas instead of those there are, all at once as an autoscaler does it.
    pub async fn scale(self: &Arc<Self>, to: u8) -> Result<()> {
        let (fleet, to) = (self.fleet(), usize::from(to));
        let (secrets, name) = (self.secrets_now().await, format!("{SCALED}{} to {to} replicas", fleet.len()));
        let mut all = JoinSet::new();
        let missing = to.saturating_sub(fleet.len());
        for replica in self.replicas.iter().filter(|one| !one.wanted.load(Ordering::Relaxed)).take(missing) {
            replica.give_secrets(secrets.clone());
            let replica = Arc::clone(replica);
            all.spawn(async move { replica.start().await });
        }
        for replica in fleet.into_iter().skip(to) {
            let stage = Arc::clone(self);
            all.spawn(async move {
                replica.wanted.store(false, Ordering::Relaxed);
                stage.end(&replica).await
            });
        }
        let done = async {
            while let Some(one) = all.join_next().await {
                one??;
            }
            Ok(())
        };
        self.change(name, done).await?;
        if self.fleet().len() != to {
            bail!("there are {} replicas instead of {to}", self.fleet().len());
        }
        self.look().await;
        sleep(BREATH).await;
        Ok(())
    }

    /// The schema of the new release under the old, then the new one replica by replica, back, and forward again. Each
    /// mixed fleet gets new signing keys, and after each step everything that was made is shown to all.
    pub async fn upgrade(self: &Arc<Self>, old: &Path, new: &Path) -> Result<()> {
        self.look().await;
        let (binary, dsn) = (new.to_owned(), self.database.dsn.clone());
        let migrating = async { tokio::task::spawn_blocking(move || migrate(&binary, &dsn)).await? };
        self.change("migration by the new release".to_owned(), migrating).await?;
        self.look().await;
        for (what, binary) in [("to the new", new), ("back to the old", old), ("to the new again", new)] {
            for (at, replica) in self.fleet().iter().enumerate() {
                sleep(BREATH).await;
                self.change(format!("replica {} {what}", replica.number), self.replace(replica, binary)).await?;
                if at == 0 {
                    self.rotate().await?;
                }
                self.look().await;
            }
        }
        Ok(())
    }

    async fn replace(&self, replica: &Replica, binary: &Path) -> Result<()> {
        let _turn = replica.turn.lock().await;
        replica.give_binary(binary);
        self.restart(replica).await
    }
}
