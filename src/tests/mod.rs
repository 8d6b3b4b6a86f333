//! Every test that needs more than one room.

mod config;
mod config_rules;
