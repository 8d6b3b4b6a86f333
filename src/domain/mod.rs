//! The rules. Pure: no clock, no randomness, no IO; they come in as arguments.

pub mod authorize;
pub mod client;
pub mod client_auth;
pub mod client_metadata;
pub mod client_patch;
pub mod duration;
pub mod error;
pub mod flow;
pub mod form;
pub mod gateway;
pub mod grant;
pub mod hydra;
pub mod key_ring;
pub mod page_token;
pub mod pkce;
pub mod redirect_uri;
pub mod scope;
pub mod subject;
pub mod token;
pub mod user_code;
pub mod world;
