//! What Ory Hydra v26.2.0 did on a machine of the same kind, two shared cores with PostgreSQL 15, on another day: good
//! for the order of magnitude.

use crate::run_set::{FROM_POSTGRES, OPAQUE, REVOKE};

pub const VERSION: &str = "v26.2.0";
/// Megabytes before the first request, and under load.
pub const IDLE_MB: f64 = 55.0;
pub const LOADED_MB: f64 = 112.0;
/// Units a second of a scenario, and what to know about them.
pub fn figure(scenario: &str) -> Option<(f64, &'static str)> {
    Some(match scenario {
        OPAQUE => (350.0, ""),
        "client-credentials jwt ES256" => (1100.0, "key derivation turned down to one iteration"),
        "client-credentials jwt RS256" => (137.0, "RS256-4096, its default"),
        FROM_POSTGRES => (2400.0, ""),
        "code-flow RS256" => (66.0, "RS256-4096, its default"),
        "refresh with ID token RS256" => (132.0, "RS256-4096, its default"),
        REVOKE => (330.0, ""),
        "jwks" => (970.0, ""),
        "discovery" => (1150.0, ""),
        _ => return None,
    })
}
