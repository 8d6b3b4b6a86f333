//! What Ory Hydra v26.2.0 did on a machine of the same kind, two shared cores with PostgreSQL 15, on another day: good
//! for the order of magnitude.

use super::{CODE_FLOW, INTROSPECT, JWT, OPAQUE, REVOKE};

pub const VERSION: &str = "v26.2.0";
/// Megabytes before the first request, and under load.
pub const IDLE_MB: f64 = 55.0;
pub const LOADED_MB: f64 = 112.0;
/// Milliseconds from its start until it was ready.
pub const READY_MS: f64 = 116.0;

/// Units a second of a scenario, and what to know about them.
pub fn figure(scenario: &str, alg: &str) -> Option<(f64, &'static str)> {
    Some(match scenario {
        OPAQUE => (350.0, ""),
        JWT if alg == "ES256" => (1100.0, "ES256, key derivation turned down to one iteration"),
        JWT => (137.0, "RS256-4096, its default"),
        INTROSPECT => (2400.0, ""),
        CODE_FLOW => (66.0, ""),
        "refresh with ID token" => (132.0, ""),
        REVOKE => (330.0, ""),
        "jwks" => (970.0, ""),
        "discovery" => (1150.0, ""),
        _ => return None,
    })
}
