//! A new system secret while everything goes on, as the guide has it: first every replica learns it as its second, and only
//! when all have it the first one seals with it. Old ones stay, for what was sealed under them lives on.

use std::sync::Arc;

use anyhow::{Result, bail};
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::fleet::{Replica, SECRET};
use super::history::{Op, Outcome, Record};
use super::traffic::keepsakes::Keepsakes;
use super::{BREATH, Stage};

/// The list that the replicas have or are about to have, and what was made under the lists before.
#[derive(Default)]
pub struct Rotation(Mutex<(Lists, Keepsakes)>);

impl Rotation {
    /// No replica starts with other secrets meanwhile: an operator restarts one at a time.
    pub async fn alone(&self) -> impl Drop + '_ {
        self.0.lock().await
    }
}

struct Lists {
    newest_first: Vec<String>,
    /// The second is known to all and was never first.
    learnt: bool,
}

impl Default for Lists {
    fn default() -> Self {
        Self { newest_first: vec![SECRET.to_owned()], learnt: false }
    }
}

impl Lists {
    /// One step of a rotation; what it does.
    fn step(&mut self) -> &'static str {
        self.learnt = !self.learnt;
        if self.learnt {
            self.newest_first.insert(1, format!("{SECRET}-{}", self.newest_first.len()));
            return "a new one as the second";
        }
        self.newest_first.swap(0, 1);
        "the second becomes the first"
    }
}

impl Stage {
    /// Both steps.
    pub async fn rotate_secret(self: &Arc<Self>) -> Result<()> {
        self.change_secrets().await?;
        self.change_secrets().await
    }

    /// One step: the replicas start again in turn with the next list. Before, between and after, each makes one of
    /// everything that it seals and is shown what all have made so far.
    pub async fn change_secrets(self: &Arc<Self>) -> Result<()> {
        let (lists, keepsakes) = &mut *self.secrets.0.lock().await;
        let what = lists.step();
        if keepsakes.is_empty() {
            keepsakes.look(self).await;
        }
        for replica in &self.fleet() {
            sleep(BREATH).await;
            self.renew(replica, &lists.newest_first, what).await?;
            keepsakes.look(self).await;
        }
        Ok(())
    }

    /// Every replica makes one of everything and is shown what all have made so far.
    pub async fn look(self: &Arc<Self>) {
        self.secrets.0.lock().await.1.look(self).await;
    }

    /// What a replica that is added begins with.
    pub async fn secrets_now(&self) -> Vec<String> {
        self.secrets.0.lock().await.0.newest_first.clone()
    }

    async fn renew(&self, replica: &Replica, secrets: &[String], what: &'static str) -> Result<()> {
        let _turn = replica.turn.lock().await;
        let from = self.history.now();
        replica.give_secrets(secrets.to_vec());
        if let Err(error) = self.restart(replica).await {
            bail!("replica {}, with {what}: {error:#}", replica.number);
        }
        let (op, outcome, key, to) = (Op::Secret, Outcome::Ok, replica.newest_secret(), self.history.now());
        let (replica, family) = (Some(replica.number), key);
        self.history.add(Record { op, key, family, replica, from, to, outcome, status: 0, what, gives: None });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_to_all_before_it_is_the_first_anywhere() {
        let mut lists = Lists::default();
        let mut known = lists.newest_first.clone();
        for _ in 0..6 {
            lists.step();
            assert!(lists.newest_first.first().is_some_and(|newest| known.contains(newest)), "{known:?}");
            assert!(known.iter().all(|old| lists.newest_first.contains(old)), "{known:?}");
            known = lists.newest_first.clone();
        }
        assert_eq!(known.len(), 4);
    }
}
