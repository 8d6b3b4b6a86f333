//! Every test that needs more than one room.

mod config;
mod config_rules;
#[expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test may panic")]
mod contract;
