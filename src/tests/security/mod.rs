//! What an attacker tries, as tables: each row carries the id of its case and runs on one replica over SQLite and on
//! two replicas over one PostgreSQL, which answer introspections out of one Redis.
//!
//! Families: A authorization requests, B codes, C tokens, revocation and introspection, D client authentication, E signed
//! tokens, F login, consent and logout, G calls to others, H the wire, I secrets and storage, J devices.

mod at_rest;
mod authorize;
mod authorize_request;
mod authorize_wire;
mod browser_flow;
mod client_authentication;
mod codes;
mod configuration;
mod devices;
mod flow_app;
mod jose;
mod logout;
mod outbound;
mod redirect_uri;
mod refresh;
mod sessions;
mod storage;
mod tokens;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Barrier;

use crate::harness::{Answer, Case, Peer, World, play};

/// Settings under which every family is played.
const SETTINGS: [(&str, &str); 1] = [("OAUTH2_HASHERS_PBKDF2_ITERATIONS", "10000")];

async fn on_sqlite(table: &[Case]) {
    play(&World::sqlite(&SETTINGS).await, table).await;
}

async fn on_two_replicas(table: &[Case]) {
    let Some(world) = World::cached(&SETTINGS).await else { return };
    play(&world, table).await;
}

/// The two tests of a family's table.
macro_rules! on_both {
    ($table:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn on_sqlite() {
            super::on_sqlite(&$table).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn on_two_replicas() {
            super::on_two_replicas(&$table).await;
        }
    };
}
use on_both;

/// How many race for one thing, and how often the race is run.
const AT_ONCE: usize = 50;
const ROUNDS: usize = 100;
/// How often a busy replica is asked again.
const BUSY: usize = 100;

/// What so many get who ask at once, half of them at each replica; `ask` hears which of them it is. A replica that is
/// too busy says so, and is asked again, as a client would.
async fn at_once<A, F>(world: &World, ask: A) -> Vec<Answer>
where
    A: Fn(Peer, usize) -> F + Clone + Send + 'static,
    F: Future<Output = Answer> + Send,
{
    let barrier = Arc::new(Barrier::new(AT_ONCE));
    let calls = (0..AT_ONCE).map(|n| {
        let peer = if n % 2 == 0 { world.a.clone() } else { world.b.clone() };
        let (barrier, ask) = (Arc::clone(&barrier), ask.clone());
        tokio::spawn(async move {
            barrier.wait().await;
            let mut answer = ask(peer.clone(), n).await;
            for _ in 0..BUSY {
                if answer.status != 503 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
                answer = ask(peer.clone(), n).await;
            }
            answer
        })
    });
    let mut answers = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        answers.push(call.await.unwrap());
    }
    answers
}

/// Those that won; all others must have been refused with this error.
fn sorted<'a>(answers: &'a [Answer], error: &str) -> Vec<&'a Answer> {
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    for answer in lost {
        assert_eq!((answer.status, answer.error().as_str()), (400, error), "{}", answer.brief());
    }
    won
}

/// Tests of races: each on one replica over SQLite and on two over PostgreSQL, with settings of its own.
macro_rules! races {
    ($($name:ident => $race:path),* $(,)?) => { super::races! { with []; $($name => $race),* } };
    (with $env:expr; $($name:ident => $race:path),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            $race(&World::sqlite(&$env).await, super::ROUNDS).await;
            if let Some(world) = World::postgres(&$env).await {
                $race(&world, super::ROUNDS).await;
            }
        }
    )*};
}
use races;
