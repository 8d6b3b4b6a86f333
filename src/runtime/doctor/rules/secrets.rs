//! Secrets and the keys sealed under them.

use crate::actors::key_manager::ID_TOKEN_SET;
use crate::runtime::doctor::facts::{Facts, Key, words};
use crate::runtime::doctor::{Check, Finding};
use std::collections::BTreeSet;
use std::time::Duration;

/// Hexadecimal has 16 different characters; a random text of this length has at least so many of them.
const FEW: usize = 8;
/// A key that nothing rotates should be replaced by then.
const OLD: Duration = Duration::from_secs(400 * 24 * 3600);
/// Beyond the interval: the manager looks every few seconds.
const LATE: Duration = Duration::from_secs(3600);
/// Rotation keeps two or three of each set.
const MANY: usize = 12;

pub fn weak(facts: &Facts, out: &mut Vec<Finding>) {
    let secrets = &facts.settings.secrets;
    let mut lists = vec![("secrets.system", &secrets.system)];
    if secrets.cookie != secrets.system {
        lists.push(("secrets.cookie", &secrets.cookie));
    }
    if secrets.pagination != secrets.system {
        lists.push(("secrets.pagination", &secrets.pagination));
    }
    for (name, list) in lists {
        for (index, secret) in list.iter().enumerate() {
            let different = secret.chars().collect::<BTreeSet<_>>().len();
            if different < FEW {
                let what =
                    format!("secret {} has {different} different characters: it is guessed, not random", index + 1);
                out.push(Finding::of(
                    Check::SecretsWeak,
                    name,
                    what,
                    "put one of `openssl rand -hex 32` in its place, as the README says under Secrets",
                ));
            }
        }
    }
}

pub fn keys_open(facts: &Facts, out: &mut Vec<Finding>) {
    // What is made up for this look opens nothing that was there before.
    if facts.settings.secrets.made_up {
        return;
    }
    for key in facts.keys.iter().filter(|key| key.generation.is_none()) {
        let what = format!("key {} of set {} opens with none of the secrets", key.kid, key.set);
        let fix = "put the secret that sealed it back at the end of secrets.system";
        out.push(Finding::of(Check::SecretsUndecryptable, "secrets.system", what, fix));
    }
}

/// Whether an older secret is still needed. Tokens without a session of their own leave no mark; they end with their
/// lifespan.
pub fn old_ones(facts: &Facts, out: &mut Vec<Finding>) {
    let Some(Ok(survey)) = &facts.database else { return };
    let later = words(facts.settings.ttl.access_token);
    for (index, mark) in facts.session_marks.iter().enumerate().skip(1) {
        let nth = index + 1;
        let keys: Vec<&Key> = facts.keys.iter().filter(|key| key.generation == Some(index)).collect();
        let place = format!("secrets.system, secret {nth}");
        if !keys.is_empty() {
            let what = format!(
                "{} keys are sealed under secret {nth}, such as {} of set {}",
                keys.len(),
                keys.iter().map(|k| k.kid.as_str()).next().unwrap_or_default(),
                keys.iter().map(|k| k.set.as_str()).next().unwrap_or_default()
            );
            let fix = "a running server seals them again when the first secret changes, and every hour; do not drop it before";
            out.push(Finding::of(Check::SecretsOldKeys, place.clone(), what, fix));
        }
        let Some(seals) = &survey.seals else {
            let what = "the rows under it could not be counted in time";
            out.push(Finding::of(Check::SecretsOldInUse, place, what, "ask again when there is less to do"));
            continue;
        };
        let rows: Vec<_> = seals.iter().filter(|sealed| sealed.mark == *mark).collect();
        let count: i64 = rows.iter().map(|sealed| sealed.rows).sum();
        if count > 0 {
            let until = rows.iter().map(|sealed| sealed.until).max_by_key(|at| at.map_or(i64::MAX, |at| at.micros()));
            let until =
                until.flatten().map_or("one never ends".to_owned(), |at| format!("the last ends {}", at.rfc3339()));
            let tables: Vec<_> = rows.iter().map(|sealed| format!("{} of {}", sealed.rows, sealed.table)).collect();
            let what = format!("{} are sealed under it; {until}", tables.join(", "));
            out.push(Finding::of(Check::SecretsOldInUse, place, what, "keep it until then"));
        } else if keys.is_empty() {
            let fix =
                format!("drop it once {later} (ttl.access_token, or a client's own) have passed since it stood first");
            out.push(Finding::of(Check::SecretsOldUnused, place, "nothing stored is sealed under it", fix));
        }
    }
}

pub fn keys(facts: &Facts, out: &mut Vec<Finding>) {
    let Some(Ok(survey)) = &facts.database else { return };
    let ready = !survey.migrations.is_empty() && survey.migrations.iter().all(|m| m.applied);
    let none = !facts.keys.iter().any(|key| key.set == ID_TOKEN_SET);
    if ready && none && facts.server.answers() {
        let fix = "see what the server's log says of keys, and that it uses this very database";
        out.push(Finding::of(Check::KeysNone, "dsn", "the database has no signing keys", fix));
    }
    let interval = facts.settings.keys.rotation_interval;
    for key in facts.keys.iter().filter(|key| key.signs) {
        let age = facts.now.since(key.since);
        let (limit, fix) = if interval.is_zero() {
            (OLD, "make a new one with `signet create jwk`, or set keys.rotation.interval")
        } else {
            (interval + LATE, "see that a server runs, and what its log says of keys")
        };
        if age > limit {
            let what = format!("{} of set {} has signed for {}", key.kid, key.set, words(age));
            out.push(Finding::of(Check::KeysAge, "keys.rotation.interval", what, fix));
        }
        if key.alg != facts.settings.keys.algorithm {
            let what = format!(
                "the signing key of set {} is {}, new ones are {}",
                key.set, key.alg, facts.settings.keys.algorithm
            );
            out.push(Finding::of(
                Check::KeysAlgorithm,
                "keys.algorithm",
                what,
                "it changes with the next rotation; `signet create jwk` makes one now",
            ));
        }
    }
    let published = facts.keys.iter().filter(|key| key.published).count();
    if published > MANY {
        let what = format!("{published} public keys");
        out.push(Finding::of(
            Check::KeysCount,
            "keys.rotation.interval",
            what,
            "rotate less often, or delete keys that nobody needs with `signet delete jwk`",
        ));
    }
}
