//! What an attacker tries, as tables: each row carries the id of its case and runs on one replica over SQLite and on
//! two replicas over one PostgreSQL.
//!
//! Families: D client authentication, E signed tokens, H the wire, I secrets and storage, C tokens, revocation and
//! introspection. Rows that need a user's login are not here.

mod at_rest;
mod client_authentication;
mod configuration;
mod jose;
mod storage;
mod tokens;
mod wire;

use crate::harness::{Case, World, play};

/// Settings under which every family is played.
const SETTINGS: [(&str, &str); 1] = [("OAUTH2_HASHERS_PBKDF2_ITERATIONS", "10000")];

async fn on_sqlite(table: &[Case]) {
    play(&World::sqlite(&SETTINGS).await, table).await;
}

async fn on_two_replicas(table: &[Case]) {
    let Some(world) = World::postgres(&SETTINGS).await else { return };
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
