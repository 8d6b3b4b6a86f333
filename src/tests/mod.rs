//! The tests that look at Signet from outside: the built binary, its listeners, its source.
//!
//! Those that need PostgreSQL read `SIGNET_TEST_POSTGRES`, which `make test` sets; without it they say that they were
//! skipped.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test may panic"
)]

mod architecture;
mod audit;
mod browser;
mod cli;
mod cli_apply;
mod cli_code;
mod cli_device;
mod cli_janitor;
mod compat;
mod config;
mod config_rules;
mod contract;
mod demo;
mod docs;
mod doctor;
mod drivers;
mod gateways;
mod harness;
mod import_hydra;
mod jose;
mod life;
mod listeners;
mod metrics;
mod migrations;
mod pages;
mod probes;
mod quickstart;
mod readme;
mod reports;
mod security;
mod telemetry;
mod token_rules;
mod traces;
mod user_tokens;
