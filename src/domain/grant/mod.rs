//! Grants: from a token request to an order to issue, or a refusal.

pub mod client_credentials;
