//! The actors: started in order, drained in reverse, reached through [`mailbox`] only.

pub mod client_registry;
pub mod janitor;
pub mod key_manager;
pub mod key_ring;
pub mod key_vault;
pub mod mailbox;
pub mod token_issuer;
