//! The tokens that the clients of a soak hold.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::flow::Flow;
use crate::soak::history::Key;

/// So many of those that ended last are asked for again and again.
const WATCHED: usize = 400;
/// The newest tokens are asked for more often than others.
const NEWEST: usize = 200;
/// Chains that are refreshed; older ones stay as they are.
const CHAINS: usize = 300;

/// A token with what introspection must say of it.
#[derive(Debug, Default)]
pub struct Token {
    pub text: Box<str>,
    pub key: Key,
    pub family: Key,
    pub client: Arc<str>,
    pub subject: Arc<str>,
}

/// A user's grant: its newest tokens.
#[derive(Clone)]
pub struct Chain {
    pub flow: Arc<Flow>,
    pub access: Arc<Token>,
    pub refresh: Arc<Token>,
}

/// All of them.
#[derive(Default)]
pub struct Pool {
    all: Mutex<Vec<Arc<Token>>>,
    ended: Mutex<VecDeque<Arc<Token>>>,
    chains: Mutex<VecDeque<Chain>>,
    /// Nobody knows whether their refresh token was used; each is tried again at its time.
    doubtful: Mutex<Vec<(Instant, Chain)>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    pub fn keep(&self, token: Token) -> Arc<Token> {
        let token = Arc::new(token);
        locked(&self.all).push(Arc::clone(&token));
        token
    }

    /// It has ended, or may have.
    pub fn ended(&self, token: &Arc<Token>) {
        let mut ended = locked(&self.ended);
        ended.push_back(Arc::clone(token));
        if ended.len() > WATCHED {
            ended.pop_front();
        }
    }

    pub fn chain_ended(&self, chain: &Chain) {
        self.ended(&chain.access);
        self.ended(&chain.refresh);
    }

    /// One to introspect: 3 of 10 have ended, 3 are new.
    pub fn any(&self, random: u64) -> Option<Arc<Token>> {
        let pick = |length: usize| usize::try_from(random / 10).unwrap_or_default() % length.max(1);
        if random % 10 < 3 {
            let ended = locked(&self.ended);
            return ended.get(pick(ended.len())).cloned();
        }
        let all = locked(&self.all);
        let newest = if random % 10 < 6 { all.len().saturating_sub(NEWEST) } else { 0 };
        all.get(newest + pick(all.len() - newest)).cloned()
    }

    pub fn everything(&self) -> Vec<Arc<Token>> {
        locked(&self.all).clone()
    }

    pub fn put(&self, chain: Chain) {
        let mut chains = locked(&self.chains);
        chains.push_back(chain);
        if chains.len() > CHAINS {
            chains.pop_front();
        }
    }

    pub fn take(&self) -> Option<Chain> {
        locked(&self.chains).pop_front()
    }

    pub fn doubt(&self, chain: Chain, wait: Duration) {
        locked(&self.doubtful).push((Instant::now() + wait, chain));
    }

    /// One whose time has come.
    pub fn doubtful(&self) -> Option<Chain> {
        let mut doubtful = locked(&self.doubtful);
        let due = doubtful.iter().position(|(at, _)| *at <= Instant::now())?;
        Some(doubtful.swap_remove(due).1)
    }
}
