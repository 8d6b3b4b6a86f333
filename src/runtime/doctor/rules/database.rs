//! The database, as it says itself.

use super::is_loopback;
use crate::runtime::doctor::facts::{Facts, words};
use crate::runtime::doctor::{Check, Finding, Severity};
use crate::store::{Migration, ServerSays, Survey};
use std::time::Duration;
use url::Url;

/// Of a release before this one PostgreSQL's makers mend nothing any more.
const OLDEST: i32 = 140_000;
/// A round trip over this is a long way: every commit and every introspection pays it.
const FAR: Duration = Duration::from_millis(20);
/// Clocks may differ by so much before it is told, and before it is a fault.
const DIFFERS: u64 = 1_000_000;
const DIFFERS_MUCH: u64 = 10_000_000;
/// One connection of every server listens for changes.
const LISTENS: usize = 1;

fn survey(facts: &Facts) -> Option<&Survey> {
    facts.database.as_ref()?.as_ref().ok()
}

fn server(facts: &Facts) -> Option<&ServerSays> {
    survey(facts)?.server.as_ref()
}

pub fn reached(facts: &Facts, out: &mut Vec<Finding>) {
    if let Some(Err(why)) = &facts.database {
        let (what, fix) = why.rsplit_once(": ").unwrap_or((why, "check the DSN"));
        out.push(Finding::of(Check::DatabaseUnreachable, "dsn", what, fix));
    }
    if facts.settings.dsn.trim() == "memory" && !facts.settings.dev {
        let what = "memory: clients, keys and tokens are gone after a restart";
        out.push(Finding::of(Check::DatabaseMemory, "dsn", what, "use postgres://, or sqlite:// for one process"));
    }
    let Some(says) = server(facts) else { return };
    if says.standby || says.read_only {
        let what = if says.standby { "it is a standby" } else { "its transactions only read" };
        let fix = "name the primary; with several hosts add target_session_attrs=read-write; look at default_transaction_read_only";
        out.push(Finding::of(Check::DatabaseReadOnly, "dsn", what, fix));
    }
    if !says.owns_tables {
        let fix = "connect as the role that ran `migrate sql`, or give the tables to this one (OWNER TO)";
        out.push(Finding::of(Check::DatabaseOwner, "dsn", "the tables belong to another role", fix));
    }
    if let Some(found) = survey(facts).filter(|found| found.version_number < OLDEST) {
        let what = format!("{} is no longer maintained", found.version);
        out.push(Finding::of(Check::DatabaseVersion, "dsn", what, "upgrade to PostgreSQL 14 or newer"));
    }
}

pub fn durable(facts: &Facts, out: &mut Vec<Finding>) {
    let Some(says) = server(facts) else { return };
    for (name, on) in [("fsync", says.fsync), ("full_page_writes", says.full_page_writes)] {
        if !on {
            let what = format!("{name} is off: a crash of that machine leaves a broken database");
            out.push(Finding::of(Check::DatabaseFsync, name, what, format!("set {name} = on")));
        }
    }
    if says.synchronous_commit == "off" {
        let what = "off: a crash loses the last commits, so a revoked token may live again";
        out.push(Finding::of(Check::DatabaseCommit, "synchronous_commit", what, "set synchronous_commit = on"));
    }
}

pub fn shared(facts: &Facts, out: &mut Vec<Finding>) {
    let Some(says) = server(facts) else { return };
    let each = facts.settings.db.max_conns + LISTENS;
    let all = each * facts.replicas;
    let there = usize::try_from(says.max_connections - says.reserved).unwrap_or_default();
    let others = usize::try_from(says.others).unwrap_or_default();
    if all + others > there {
        let what = format!(
            "{} replicas with {each} connections each want {all}; there are {there}, of which {others} are others'",
            facts.replicas
        );
        let fix = "lower db.pool.max_conns, raise max_connections, or put a pooler in between (pool_mode = session)";
        out.push(Finding::of(Check::DatabaseConnections, "db.pool.max_conns", what, fix));
    }
}

pub fn near(facts: &Facts, out: &mut Vec<Finding>) {
    let Some(found) = survey(facts).filter(|found| found.server.is_some()) else { return };
    if found.round_trip > FAR {
        let what = format!("a round trip takes {}", words(found.round_trip));
        out.push(Finding::of(Check::DatabaseLatency, "dsn", what, "run Signet in the region of its primary"));
    }
    let apart = found.ahead.unsigned_abs();
    // Half of the way is as well as anybody can know it.
    if apart > DIFFERS + u64::try_from(found.round_trip.as_micros()).unwrap_or_default() {
        let side = if found.ahead > 0 { "ahead of" } else { "behind" };
        let what = format!("the database's clock is {} {side} this machine's", words(Duration::from_micros(apart)));
        let finding =
            Finding::of(Check::DatabaseClock, "clock", what, "synchronise both by NTP: tokens end by these clocks");
        out.push(if apart > DIFFERS_MUCH { finding } else { finding.only(Severity::Warning) });
    }
}

pub fn encrypted(facts: &Facts, out: &mut Vec<Finding>) {
    let Some(says) = server(facts) else { return };
    let Ok(dsn) = Url::parse(facts.settings.dsn.trim()) else { return };
    let query =
        |name: &str| dsn.query_pairs().filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).last();
    let host = query("host").or_else(|| dsn.host_str().map(str::to_owned)).unwrap_or_default().replace("%2F", "/");
    if host.is_empty() || host.starts_with('/') || host.split(',').all(is_loopback) {
        return;
    }
    let mode = query("sslmode").unwrap_or_else(|| "prefer".to_owned());
    if !says.encrypted {
        let what = format!("passwords and everything else go to {host} in clear (sslmode={mode})");
        out.push(Finding::of(Check::DatabaseTls, "dsn", what, "sslmode=verify-full, with ssl = on at the server"));
    } else if !mode.starts_with("verify-") && query("sslrootcert").is_none() {
        let what = format!("sslmode={mode}: whoever stands between can be the database");
        out.push(Finding::of(
            Check::DatabaseTlsUnverified,
            "dsn",
            what,
            "sslmode=verify-full and sslrootcert=<the authority's certificate>",
        ));
    }
}

pub fn schema(facts: &Facts, out: &mut Vec<Finding>) {
    let Some(found) = survey(facts) else { return };
    let pending = Migration::pending(&found.migrations);
    if let Some(why) = &found.altered {
        out.push(Finding::of(Check::SchemaAltered, "dsn", why.clone(), "use the release that made this schema"));
    } else if pending > 0 {
        let what = format!("{pending} of {} migrations are pending", found.migrations.len());
        out.push(Finding::of(Check::SchemaPending, "dsn", what, "make a backup, then run `signet migrate sql -e`"));
    }
    if let Some(newest) = Migration::newer(&found.migrations) {
        let what = format!("it has migration {newest}, which this release does not know");
        out.push(Finding::of(
            Check::SchemaNewer,
            "dsn",
            what,
            "fine while an upgrade is under way; then upgrade this program",
        ));
    }
}

pub fn swept(facts: &Facts, out: &mut Vec<Finding>) {
    let Some(found) = survey(facts).filter(|found| !found.overdue.is_empty()) else { return };
    let tables: Vec<&str> = found.overdue.iter().map(|(table, _)| table.as_str()).collect();
    let since = found.overdue.iter().map(|(_, since)| *since).min().unwrap_or_default();
    let what = format!("rows that were over {} ago are still in {}", words(facts.now.since(since)), tables.join(", "));
    let fix =
        "see that a server runs and what its log says of sweeping, or run `signet janitor --tokens --requests -e`";
    out.push(Finding::of(Check::JanitorBehind, "janitor.interval", what, fix));
}
