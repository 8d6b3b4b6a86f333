//! The actors: started in order, drained in reverse, reached through [`mailbox`] only.

pub mod client_registry;
pub mod flow_coordinator;
pub mod janitor;
pub mod key_manager;
pub mod key_ring;
pub mod key_vault;
mod lanes;
pub mod mailbox;
pub mod token_issuer;
mod width;
