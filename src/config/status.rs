//! What `signet config status` shows: every key with its value, where that came from, and whether it acts.

use super::build;
use super::gather::{Gathered, Sources};
use super::key::{self, Effect, Key};
use super::settings::Settings;

const HIDDEN: &str = "(hidden)";

/// One line of the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRow {
    /// Dotted name.
    pub key: &'static str,
    /// Effective value as text; `(hidden)` for a secret, empty when there is none.
    pub value: String,
    /// Where the value came from; `not set` when there is none.
    pub source: String,
    /// What the key does in this release.
    pub effect: Effect,
    /// What the key means.
    pub doc: &'static str,
}

/// Every key in table order. Values that were refused are shown as if not given; `validate` names those.
#[must_use]
pub fn status(sources: &Sources) -> Vec<StatusRow> {
    let mut gathered = Gathered::from(sources);
    // What is not given may follow from what is. Faults are for `validate` to tell.
    let settings = build::settings(&mut gathered, sources.mode);
    key::all()
        .map(|key| {
            let (value, source) = derived(key.name, &gathered, &settings).unwrap_or_else(|| given(key, &gathered));
            StatusRow { key: key.name, value, source, effect: key.effect, doc: key.doc }
        })
        .collect()
}

fn given(key: &Key, gathered: &Gathered) -> (String, String) {
    let value = match gathered.get(key.name) {
        None => String::new(),
        Some(_) if key.kind.may_hold_secret() => HIDDEN.to_owned(),
        Some(value) => without_password(&value.shown()),
    };
    (value, gathered.source(key.name))
}

/// The value of a key that was not given, where it follows from others; and of the one key that another overrules.
fn derived(name: &str, gathered: &Gathered, settings: &Settings) -> Option<(String, String)> {
    let urls = &settings.urls;
    let told = |value: &str, from: &str| Some((without_password(value), format!("from {from}")));
    match name {
        "db.pool.max_conns" if settings.dsn.contains("max_conns=") => {
            told(&settings.db.max_conns.to_string(), "max_conns in dsn")
        }
        _ if gathered.is_set(name) => None,
        "urls.self.issuer" => told(&urls.issuer, "serve.public"),
        "urls.self.public" => told(&urls.public, "urls.self.issuer"),
        "urls.self.admin" => told(&urls.admin, "serve.admin"),
        "urls.registration" => told(urls.registration.as_deref()?, "urls.login"),
        "secrets.system" if settings.dev && !settings.secrets.system.is_empty() => told(HIDDEN, "dev, made up"),
        "secrets.cookie" | "secrets.pagination" if gathered.is_set("secrets.system") => told(HIDDEN, "secrets.system"),
        _ => shared_tls(name, gathered),
    }
}

/// `serve.tls` for a listener that has no such part of its own, whether as a path or as text.
fn shared_tls(name: &str, gathered: &Gathered) -> Option<(String, String)> {
    let listeners = ["serve.public.tls.", "serve.admin.tls.", "serve.gateway.tls."];
    let leaf = listeners.iter().find_map(|listener| name.strip_prefix(listener))?;
    let own = name.strip_suffix(leaf)?;
    let shared = format!("serve.tls.{leaf}");
    let part = leaf.split('.').next().filter(|part| matches!(*part, "cert" | "key"));
    let has_own =
        part.is_some_and(|part| ["path", "base64"].iter().any(|form| gathered.is_set(&format!("{own}{part}.{form}"))));
    let (value, _) = given(key::find(&shared).filter(|_| !has_own && gathered.is_set(&shared))?, gathered);
    Some((value, format!("from {shared}")))
}

/// A URL with its user and password hidden; any other text as it is.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest.get(..end).and_then(|authority| authority.rfind('@')).and_then(|at| rest.get(at..)) {
        Some(host) => format!("{scheme}://(hidden){host}"),
        None => text.to_owned(),
    }
}
