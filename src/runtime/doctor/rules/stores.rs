//! Redis, as it says itself.

use crate::runtime::doctor::facts::{Facts, words};
use crate::runtime::doctor::{Check, Finding, Severity};

pub fn redis(facts: &Facts, out: &mut Vec<Finding>) {
    let found = match &facts.redis {
        None => return,
        Some(Err(why)) => {
            let fix = "check redis.url, and that Redis runs; until then every introspection asks the database";
            out.push(Finding::of(Check::RedisUnreachable, "redis.url", why.clone(), fix));
            return;
        }
        Some(Ok(found)) => found,
    };
    if found.read_only {
        let fix = "name the primary, or its sentinels with redis+sentinel://";
        out.push(Finding::of(Check::RedisReadOnly, "redis.url", "it is a replica", fix));
    }
    for (command, why) in &found.refused {
        let what = format!("{command} is refused: {why}");
        let prefix = &facts.settings.redis.prefix;
        let fix = format!("ACL SETUSER <user> ~{prefix}:* &{prefix}:* +get +set +publish +subscribe");
        out.push(Finding::of(Check::RedisRights, "redis.url", what, fix));
    }
    let timeout = facts.settings.redis.timeout;
    if found.round_trip > timeout / 2 {
        let what = format!("a round trip takes {}, redis.timeout is {}", words(found.round_trip), words(timeout));
        let finding =
            Finding::of(Check::RedisLatency, "redis.timeout", what, "bring Redis nearer, or allow it more time");
        out.push(if found.round_trip > timeout { finding.only(Severity::Error) } else { finding });
    }
    if found.max_memory > 0 && found.policy == "noeviction" {
        let what = "maxmemory is set and maxmemory-policy is noeviction: when it is full nothing is cached any more";
        out.push(Finding::of(
            Check::RedisEviction,
            "maxmemory-policy",
            what,
            "CONFIG SET maxmemory-policy volatile-ttl",
        ));
    }
    let major: u32 = found.version.split('.').next().and_then(|n| n.parse().ok()).unwrap_or(u32::MAX);
    if major < 6 {
        let what = format!("Redis {} is old", found.version);
        out.push(Finding::of(Check::RedisVersion, "redis.url", what, "use Redis 6 or newer, or Valkey"));
    }
}
