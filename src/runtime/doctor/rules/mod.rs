//! The rules: each looks at what was seen and says what is wrong. Pure.

mod around;
mod database;
mod outside;
mod secrets;
mod server;
mod settings;
mod stores;
#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a failed test may panic")]
mod tests;

use super::Finding;
use super::facts::Facts;

type Rule = fn(&Facts, &mut Vec<Finding>);

const RULES: &[Rule] = &[
    settings::faults,
    settings::warnings,
    settings::dev,
    settings::no_effect,
    settings::files,
    settings::cookies,
    settings::cors,
    settings::admin_reach,
    settings::certificates,
    database::reached,
    database::durable,
    database::shared,
    database::near,
    database::encrypted,
    database::schema,
    database::swept,
    stores::redis,
    secrets::weak,
    secrets::keys_open,
    secrets::old_ones,
    secrets::keys,
    server::answers,
    server::same,
    outside::issuer,
    outside::discovery,
    outside::endpoints,
    outside::jwks,
    around::admin,
    around::pages,
    around::hooks,
];

/// What is wrong, in the order of the table of checks.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    RULES.iter().for_each(|rule| rule(facts, &mut found));
    found.sort_by_key(|finding| finding.check);
    found
}

/// Whether a host's name or address is of this machine.
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost"
        || bare.ends_with(".localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
