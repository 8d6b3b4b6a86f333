//! What the clients of a soak saw, each request with the time at which it was begun and answered. Credentials stand in it
//! as hashes.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use aws_lc_rs::digest::{SHA256, digest};
use serde::{Serialize, Serializer};

/// The beginning of a credential's hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u64);

impl Key {
    pub fn of(text: &str) -> Self {
        let hash = digest(&SHA256, text.as_bytes());
        Self(hash.as_ref().iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Microseconds since the soak began.
pub type Micros = u64;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// `client_credentials`; the key is the client.
    Token,
    /// The same with a signed assertion, which is the key.
    Assertion,
    /// A code's exchange.
    Code,
    /// The same with a wrong PKCE verifier.
    CodeWrong,
    Refresh,
    /// A device code's exchange.
    Device,
    Introspect,
    /// Introspection or refresh of what nobody ever issued.
    Garbage,
    Revoke,
    /// An operator takes back a consent; the family is its.
    EndConsent,
    /// An operator deletes a client; the family is its.
    EndClient,
    /// A consent verifier, by the browser that it belongs to.
    Verifier,
    /// The same by another browser.
    VerifierElsewhere,
    /// A key set gets a new key.
    Rotate,
    /// A replica starts with another list of system secrets; the key is the newest of them.
    Secret,
    /// What was issued or sealed before is presented to one replica, past the balancer; the family is the newest secret of
    /// the replica that made it.
    Open,
    /// A user ends a login session, which is the key.
    Logout,
    /// An operator does.
    EndLogin,
    /// A client is told that a login session, which is the key, has ended; a failure when it does not take that.
    Told,
    /// Any other request of a flow.
    Step,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Ok,
    Fail,
    /// It may have had its effect or not: no answer, or one of a server that broke.
    Unknown,
}

/// A token in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Given {
    pub key: Key,
    /// Seconds that it lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lives: Option<u32>,
}

/// A signed token in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Signed {
    /// The hash of its `kid`.
    pub kid: Key,
    pub verified: bool,
}

/// A login session as a client's ID token or logout token names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Session {
    pub sid: Key,
    pub client: Key,
    pub subject: Key,
}

/// The tokens in an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Gives {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<Given>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Given>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signed: Vec<Signed>,
    /// Of the ID token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
}

/// One request.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    pub op: Op,
    /// What was presented.
    pub key: Key,
    /// The grant to which it belongs.
    pub family: Key,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replica: Option<u8>,
    #[serde(rename = "t_invoke")]
    pub from: Micros,
    #[serde(rename = "t_return")]
    pub to: Micros,
    pub outcome: Outcome,
    /// The status of the answer, 0 without one.
    pub status: u16,
    pub what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gives: Option<Box<Gives>>,
}

impl Record {
    pub fn is(&self, op: Op, outcome: Outcome) -> bool {
        self.op == op && self.outcome == outcome
    }

    /// Whether it asked for the end of a login session.
    pub fn is_logout(&self) -> bool {
        matches!(self.op, Op::Logout | Op::EndLogin)
    }

    /// Whether the server broke or was not there. What the balancer could send to nobody had no effect, and is still no
    /// answer.
    pub fn is_error(&self) -> bool {
        self.outcome == Outcome::Unknown || self.what == UNSENT
    }

    pub fn access(&self) -> Option<Given> {
        self.gives.as_ref().and_then(|gives| gives.access)
    }

    pub fn refresh(&self) -> Option<Given> {
        self.gives.as_ref().and_then(|gives| gives.refresh)
    }

    pub fn session(&self) -> Option<Session> {
        self.gives.as_ref().and_then(|gives| gives.session)
    }
}

/// Answers of introspection.
pub const ACTIVE: &str = "active";
pub const INACTIVE: &str = "inactive";
/// Active, with another token's claims.
pub const SOMEBODY_ELSES: &str = "another's";
/// No replica could be reached: the request had no effect.
pub const UNSENT: &str = "unsent";
pub const INVALID_GRANT: &str = "invalid_grant";
pub const FORBIDDEN: &str = "request_forbidden";
/// A logout token that says what it must.
pub const RIGHT: &str = "right";

/// Everything that was seen.
pub struct History {
    start: Instant,
    records: Mutex<Vec<Record>>,
}

impl History {
    pub fn new() -> Self {
        Self { start: Instant::now(), records: Mutex::default() }
    }

    pub fn now(&self) -> Micros {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    pub fn add(&self, record: Record) {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }

    /// What was seen so far, in the order of the answers.
    pub fn take(&self) -> Vec<Record> {
        std::mem::take(&mut self.records.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many requests there were, and how many of them had no proper answer.
    pub fn counts(&self, seen: usize) -> (usize, usize) {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        (records.len(), records.iter().skip(seen).filter(|record| record.is_error()).count())
    }
}

/// Writes it as JSON lines.
pub fn write(records: &[Record], path: &Path) -> Result<()> {
    let file = std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut out = BufWriter::new(file);
    for record in records {
        serde_json::to_writer(&mut out, record)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// How often each operation ended how.
pub fn counted(records: &[Record]) -> BTreeMap<(Op, Outcome, &'static str), u64> {
    let mut counts = BTreeMap::new();
    for record in records {
        *counts.entry((record.op, record.outcome, record.what)).or_default() += 1;
    }
    counts
}
