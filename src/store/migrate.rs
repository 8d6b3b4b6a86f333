//! The migrations this binary carries, and what is pending of them. For the two databases' runners.
//!
//! Invariant: forward only, in the order of their numbers; a script that was applied never changes.

use super::{Migration, OpenError};
use sha2::{Digest, Sha256};

/// Asked with all migrations whether to apply the pending ones.
pub type Ask<'a> = dyn FnMut(&[Migration]) -> bool + Send + 'a;

/// One migration in both dialects.
pub(super) struct Script {
    pub(super) version: i64,
    pub(super) name: &'static str,
    pub(super) postgres: &'static str,
    pub(super) sqlite: &'static str,
}

/// All of them, oldest first.
pub(super) const SCRIPTS: &[Script] = &[
    Script {
        version: 1,
        name: "init",
        postgres: include_str!("../../migrations/postgres/0001_init.sql"),
        sqlite: include_str!("../../migrations/sqlite/0001_init.sql"),
    },
    Script {
        version: 2,
        name: "flows",
        postgres: include_str!("../../migrations/postgres/0002_flows.sql"),
        sqlite: include_str!("../../migrations/sqlite/0002_flows.sql"),
    },
    Script {
        version: 3,
        name: "remembered_consents",
        postgres: include_str!("../../migrations/postgres/0003_remembered_consents.sql"),
        sqlite: include_str!("../../migrations/sqlite/0003_remembered_consents.sql"),
    },
    Script {
        version: 4,
        name: "access_tokens_by_hour",
        postgres: include_str!("../../migrations/postgres/0004_access_tokens_by_hour.sql"),
        sqlite: include_str!("../../migrations/sqlite/0004_access_tokens_by_hour.sql"),
    },
];

/// What the database remembers of a migration it has.
pub(super) struct Applied {
    pub(super) version: i64,
    pub(super) checksum: String,
}

/// SHA-256 of a script, in hex.
pub(super) fn checksum(script: &str) -> String {
    hex::encode(Sha256::digest(script.as_bytes()))
}

/// Every known migration, and whether it is among the applied; then the applied ones that are newer than this binary. They
/// do not matter: migrations only add, so that old and new replicas run side by side.
pub(super) fn status(applied: &[Applied]) -> Vec<Migration> {
    let has = |version| applied.iter().any(|a| a.version == version);
    let known = |version| SCRIPTS.iter().any(|s| s.version == version);
    let ours = SCRIPTS.iter().map(|s| (s.version, s.name, has(s.version)));
    let newer = applied.iter().filter(|a| !known(a.version)).map(|a| (a.version, "newer_than_this_program", true));
    ours.chain(newer)
        .map(|(version, name, applied)| Migration { version, name: name.to_owned(), applied, known: known(version) })
        .collect()
}

/// The scripts still to be applied.
///
/// # Errors
/// [`OpenError`] when an applied one was another text than this binary's.
pub(super) fn pending(
    applied: &[Applied],
    text: fn(&Script) -> &'static str,
) -> Result<Vec<&'static Script>, OpenError> {
    let mut pending = Vec::new();
    for script in SCRIPTS {
        match applied.iter().find(|a| a.version == script.version) {
            None => pending.push(script),
            Some(found) if found.checksum == checksum(text(script)) => {}
            Some(_) => {
                return Err(OpenError::new(
                    format!("migration {} ({}) was applied from a different script", script.version, script.name),
                    "use the binary that made this schema, or start with an empty database",
                ));
            }
        }
    }
    Ok(pending)
}
