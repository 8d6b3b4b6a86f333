//! Tokens: their kinds, their two formats, and what introspection says of them.

pub mod expiry_hour;
pub mod id_token;
pub mod introspection;
pub mod jwt;
pub mod opaque;
pub mod session;
