//! One thing wrong with the configuration, told so that it can be mended. Never holds a secret's value.

use std::fmt;

/// A fault: where it is, what is wrong, and what mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Dotted name of the setting; empty when a whole file cannot be read.
    pub key: String,
    /// Where the value came from: `environment SERVE_PUBLIC_PORT`, `file /etc/x.yaml`, `flag --dev`, `default`.
    pub source: String,
    /// What is wrong.
    pub problem: String,
    /// What mends it.
    pub fix: String,
}

impl Fault {
    pub(super) fn new(key: &str, source: &str, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { key: key.to_owned(), source: source.to_owned(), problem: problem.into(), fix: fix.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, source, problem, fix } = self;
        let line = if key.is_empty() {
            format!("{source}: {problem}; {fix}")
        } else {
            format!("{key} ({source}): {problem}; {fix}")
        };
        // A file or variable name may hold a line break; a fault stays one line.
        out.write_str(&line.replace(['\n', '\r'], " "))
    }
}

impl std::error::Error for Fault {}
