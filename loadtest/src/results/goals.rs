//! The goals: what each path must do at least or at most, what of the findings says how far it is, and whether it is
//! reached. A goal is reached when the median over the rounds reaches it.

use super::Findings;
use crate::run_set::{
    BARE_HTTP, DOCUMENTS, FROM_MEMORY, FROM_POSTGRES, FROM_REDIS, OPAQUE, REFRESH, REFUSED, REVOKE, SINGLE,
};
use crate::scenarios::COLD;
use crate::spread::Spread;

/// A bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
}

/// What a figure is, and so how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Ratio,
    PerSecond,
    Megabytes,
    Milliseconds,
}

/// One line of the table.
pub struct Goal {
    pub path: String,
    pub limit: Limit,
    pub unit: Unit,
    pub found: Option<Spread>,
}

impl Goal {
    /// Whether the median is within the limit; nothing when it was not measured.
    pub fn reached(&self) -> Option<bool> {
        let median = self.found?.median;
        Some(match self.limit {
            Limit::AtLeast(limit) => median >= limit,
            Limit::AtMost(limit) => median <= limit,
            Limit::Below(limit) => median < limit,
        })
    }
}

/// A commit that takes longer than this excuses what waits for it, in milliseconds.
const QUICK_COMMIT: f64 = 1.5;

/// All of them.
pub fn all(found: &Findings) -> Vec<Goal> {
    [capacity(found), size(found), process(found), overload(found)].into_iter().flatten().collect()
}

fn goal(path: impl Into<String>, limit: Limit, unit: Unit, found: Option<Spread>) -> Goal {
    Goal { path: path.into(), limit, unit, found }
}

fn capacity(found: &Findings) -> Vec<Goal> {
    let set = found.set.as_ref();
    let ratio = |path: &str, least, scenario: &str, limit: &str| {
        goal(path, Limit::AtLeast(least), Unit::Ratio, set.and_then(|set| set.ratio(scenario, limit)))
    };
    let rate = |path: &str, least, scenario: &str| {
        let spread = set.and_then(|set| Spread::of(set.rates(scenario)));
        goal(path, Limit::AtLeast(least), Unit::PerSecond, spread)
    };
    let [(jwks, bare_jwks), (discovery, bare_discovery)] = DOCUMENTS;
    vec![
        ratio("token endpoint without store / bare handler", 0.55, REFUSED, BARE_HTTP),
        ratio("introspection from the local tier / bare handler", 0.55, FROM_MEMORY, BARE_HTTP),
        ratio("introspection from Redis / bare handler", 0.45, FROM_REDIS, BARE_HTTP),
        ratio("introspection from PostgreSQL / bare handler", 0.35, FROM_POSTGRES, BARE_HTTP),
        rate(&durable(found), 15_000.0, OPAQUE),
        ratio("client_credentials, durable, opaque / single inserts on one connection", 10.0, OPAQUE, SINGLE),
        rate("client_credentials JWT ES256", 10_000.0, "client-credentials jwt ES256"),
        ratio(
            "client_credentials JWT RS256-2048 / signatures of all cores",
            0.8,
            "client-credentials jwt RS256",
            "sign RS256",
        ),
        rate("whole code flow, ES256", 2_000.0, "code-flow ES256"),
        rate("refresh without ID token", 7_000.0, REFRESH),
        rate("revoke", 6_000.0, REVOKE),
        goal(
            "revocation to \"inactive\" at another replica with a local cache, p99",
            Limit::AtMost(50.0),
            Unit::Milliseconds,
            set.and_then(crate::run_set::Found::inactive_p99),
        ),
        ratio("JWKS / bare GET handler of as many bytes", 0.9, jwks, bare_jwks),
        ratio("discovery / bare GET handler of as many bytes", 0.9, discovery, bare_discovery),
    ]
}

/// The goal for durable tokens is one for disks that commit quickly.
fn durable(found: &Findings) -> String {
    let commit = found.machine.as_ref().and_then(|machine| machine.fsync_ms());
    let here = match commit {
        None => "not measured here".to_owned(),
        Some(ms) if ms <= QUICK_COMMIT => format!("{ms:.2} ms here"),
        Some(ms) => format!("{ms:.2} ms here, so the goal does not bind"),
    };
    format!("client_credentials, durable, opaque, at fsync of at most {QUICK_COMMIT} ms ({here})")
}

fn size(found: &Findings) -> Vec<Goal> {
    let growth = found.growth.as_ref();
    let rows =
        |at: usize| growth.and_then(|growth| growth.sizes.get(at)).map_or("?".to_owned(), |size| count(size.rows));
    let last = growth.map_or(0, |growth| growth.sizes.len().saturating_sub(1));
    let (first, last) = (rows(0), rows(last));
    let paths = [
        ("client_credentials", OPAQUE),
        ("introspection of tokens in use", "introspect opaque"),
        ("introspection of tokens nobody used", COLD),
        ("refresh", REFRESH),
    ];
    let mut goals = Vec::new();
    for (name, scenario) in paths {
        let raw = growth.and_then(|growth| growth.left(scenario));
        let bare = growth.and_then(|growth| growth.left_of_bare(scenario));
        let path = format!("{name}, throughput with {last} rows / with {first}");
        goals.push(goal(path.clone(), Limit::AtLeast(0.8), Unit::Ratio, raw));
        goals.push(goal(format!("{path}, each over the bare handler"), Limit::AtLeast(0.8), Unit::Ratio, bare));
    }
    let p99 = growth.and_then(crate::growth::Growth::janitor_p99);
    goals.push(goal("p99 with the janitor at work / without", Limit::AtMost(1.1), Unit::Ratio, p99));
    goals
}

/// A number of rows for a reader.
pub fn count(rows: u64) -> String {
    match rows {
        0..1_000 => rows.to_string(),
        1_000..1_000_000 => format!("{}k", rows / 1_000),
        _ => format!("{}M", rows / 1_000_000),
    }
}

fn process(found: &Findings) -> Vec<Goal> {
    let starts = |figures: fn(&crate::starts::Starts) -> &Vec<f64>| {
        found.starts.as_ref().and_then(|starts| Spread::of(figures(starts).iter().copied()))
    };
    let memory = found.memory.as_ref();
    let tokens = memory.map_or_else(|| "1M".to_owned(), |memory| count(memory.tokens));
    let peak = memory.map(|memory| Spread::single(memory.peak_mb));
    vec![
        goal("memory, idle", Limit::AtMost(40.0), Unit::Megabytes, starts(|starts| &starts.idle_mb)),
        goal(format!("memory, peak over {tokens} tokens under load"), Limit::AtMost(110.0), Unit::Megabytes, peak),
        goal(
            "start to ready, keys in place",
            Limit::AtMost(100.0),
            Unit::Milliseconds,
            starts(|starts| &starts.ready_ms),
        ),
    ]
}

fn overload(found: &Findings) -> Vec<Goal> {
    let storm = found.overload.as_ref();
    let of = |pick: fn(&crate::overload::Round) -> Option<f64>| storm.and_then(|storm| storm.spread(pick));
    let factor = of(|round| Some(round.offered()));
    let times = factor.map_or_else(|| "10".to_owned(), |factor| format!("{:.1}", factor.median));
    let goodput = storm.and_then(crate::overload::Overload::goodput);
    vec![
        goal(format!("goodput at {times} times the peak / peak"), Limit::AtLeast(0.9), Unit::Ratio, goodput),
        goal("excess refused with 503, median", Limit::Below(5.0), Unit::Milliseconds, of(|round| round.refused_p50())),
        goal(
            "p99 of those that get a token in the storm / unloaded",
            Limit::AtMost(3.0),
            Unit::Ratio,
            of(|round| round.slower()),
        ),
        goal(
            "health probes answered meanwhile",
            Limit::AtLeast(1.0),
            Unit::Ratio,
            of(|round| Some(round.probed.answered())),
        ),
    ]
}
