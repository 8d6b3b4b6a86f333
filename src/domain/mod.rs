//! The rules. Pure: no clock, no randomness, no IO; they come in as arguments.

pub mod client;
pub mod client_metadata;
pub mod duration;
pub mod world;
