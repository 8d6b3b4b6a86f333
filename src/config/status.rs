//! What `signet config status` shows: every key with its value, where that came from, and whether it acts.

use super::gather::{Gathered, Sources};
use super::key::{self, Effect};

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
    let gathered = Gathered::from(sources);
    key::all()
        .map(|key| StatusRow {
            key: key.name,
            value: match gathered.get(key.name) {
                None => String::new(),
                Some(_) if key.kind.is_secret() || key.kind == key::Kind::Object => "(hidden)".to_owned(),
                Some(value) => without_password(&value.shown()),
            },
            source: gathered.source(key.name),
            effect: key.effect,
            doc: key.doc,
        })
        .collect()
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
