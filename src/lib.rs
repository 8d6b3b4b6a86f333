//! Signet: a headless OAuth 2.0 server and OpenID Connect provider, wire-compatible with Ory Hydra.
//!
//! # The map of the house
//! `crypto → domain → telemetry → store (port) → {store::postgres, store::sqlite, actors} → http → cli, runtime`.
//! A room may `use` only rooms to its left. [`config`] is read by [`cli`] and [`runtime`] alone and handed on as plain
//! values. `tests/architecture.rs` holds this rule.
//!
//! # Decisions
//! 1. **Every single use is a compare-and-set in the database.** The row count decides who was first; no memory, no
//!    cache does. It would change only with a store that has no conditional write.
//! 2. **A token is valid when its own row and its family's row say so.** Issue locks the family, revoke changes it
//!    first, so neither can miss the other.
//! 3. **One HMAC before any query.** A forged token costs no statement.
//! 4. **Actors hold work, never truth.** An answer is sent after the commit; a dead actor takes the process out of
//!    rotation, because actix restarts nothing after a panic.
//! 5. **Postgres sockets live on their own runtime,** so that a busy web worker cannot stall another worker's query.
//! 6. **aws-lc-rs signs inside biscuit's container**: biscuit's own signer is slower and its claim types panic on
//!    foreign input, so foreign JWTs never reach them.
//! 7. **An access token says in which hour it ends,** under its signature, and its row's key begins with it. So
//!    PostgreSQL finds the row in that hour's partition and drops the hour as a whole. A token's lookup that knew its
//!    end otherwise would change it.

pub mod actors;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod http;
pub mod runtime;
pub mod store;
pub mod telemetry;
