//! What was seen, as plain values: the rules judge these and nothing else.

use crate::config::{Fault, Settings, StatusRow};
use crate::domain::world::Timestamp;
use crate::runtime::probe::{Heard, Unheard};
use crate::store::Survey;
use crate::store::introspection_cache::RedisSurvey;
use std::time::Duration;

/// An answer over HTTP, or why there was none.
pub type Answer = Result<Heard, Unheard>;

/// All that was seen.
pub struct Facts {
    /// The settings, as far as they could be read.
    pub settings: Settings,
    /// What is wrong with them.
    pub faults: Vec<Fault>,
    /// Where each came from.
    pub rows: Vec<StatusRow>,
    /// Servers that share the database.
    pub replicas: usize,
    /// When this was seen.
    pub now: Timestamp,
    /// This machine.
    pub host: Host,
    /// The database; `None` without a usable DSN.
    pub database: Option<Result<Survey, String>>,
    /// The stored keys.
    pub keys: Vec<Key>,
    /// The marks of `secrets.system` on sessions, newest first.
    pub session_marks: Vec<Vec<u8>>,
    /// Redis; `None` without one.
    pub redis: Option<Result<RedisSurvey, String>>,
    /// Certificates of listeners, each by its setting.
    pub certificates: Vec<(String, Result<Certificate, String>)>,
    /// The server; `None` when nothing was asked of it.
    pub server: Server,
}

/// This machine.
#[derive(Default)]
pub struct Host {
    /// Open files that a process may have; `None` when that is not known or has no limit.
    pub files: Option<u64>,
    /// It is a pod of Kubernetes.
    pub kubernetes: bool,
    /// Files that hold a secret, by setting, and their mode.
    pub secret_files: Vec<(String, String, u32)>,
}

/// A stored key.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its set.
    pub set: String,
    /// Its id.
    pub kid: String,
    /// Its algorithm.
    pub alg: String,
    /// The place in the list of the secret that opens it; `None` when none does.
    pub generation: Option<usize>,
    /// It is to be among the public keys now.
    pub published: bool,
    /// It is the one that signs now.
    pub signs: bool,
    /// When it began to sign.
    pub since: Timestamp,
}

/// A certificate.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// When it begins.
    pub begins: Timestamp,
    /// When it ends.
    pub ends: Timestamp,
    /// It is for the issuer's host.
    pub fits_issuer: bool,
}

/// What a running server answered.
#[derive(Default)]
pub struct Server {
    /// Whether its listeners were named by the one who asks, so that silence is a fault.
    pub named: bool,
    /// `/health/ready` of each listener, by its URL.
    pub ready: Vec<(String, Answer)>,
    /// `/version` of the admin listener.
    pub version: Option<String>,
    /// The server's clock ahead of ours, in seconds, by `Date`.
    pub ahead: Option<i64>,
    /// Discovery from the public listener.
    pub direct: Option<Answer>,
    /// Discovery by the issuer's URL, and that URL.
    pub issuer: Option<(String, Answer)>,
    /// The public keys, and where they were.
    pub jwks: Option<(String, Answer)>,
    /// The endpoints that discovery names: the member, the URL, the answer.
    pub endpoints: Vec<(String, String, Answer)>,
    /// The admin API, asked for at the issuer's host.
    pub admin_outside: Vec<(String, Answer)>,
    /// The operator's pages: the setting, the URL, the answer.
    pub pages: Vec<(&'static str, String, Answer)>,
    /// Hooks, likewise.
    pub hooks: Vec<(&'static str, String, Answer)>,
}

impl Server {
    /// Whether anything at all answered.
    pub fn answers(&self) -> bool {
        self.ready.iter().any(|(_, answer)| answer.is_ok())
    }
}

/// A duration in words that fit a sentence.
pub fn words(span: Duration) -> String {
    match span.as_secs() {
        0 => format!("{} ms", span.as_millis()),
        s @ 1..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s @ 7200..172_800 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86_400),
    }
}
