//! `doctor`: what is wrong with a set-up, each fault by a name and with its remedy.
//!
//! Gathering sees and judges nothing (`gather`), the rules judge what was seen and see nothing (`rules`). So a rule is
//! tested without a world, and a world that cannot be reached yields a fact like any other. Nothing is changed anywhere.

mod checks;
mod facts;
mod gather;
mod rules;

pub use checks::{CHECKS, Check, Severity};

use crate::config::Sources;
use std::time::Duration;

/// What is to be looked at.
pub struct Asked {
    /// The settings.
    pub sources: Sources,
    /// The public listener's URL, where it is not as the settings bind it.
    pub public: Option<String>,
    /// The admin listener's URL, likewise.
    pub admin: Option<String>,
    /// How many servers share the database.
    pub replicas: usize,
    /// How long each answer may take.
    pub patience: Duration,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub check: Check,
    /// How much it matters here.
    pub severity: Severity,
    /// What was seen.
    pub what: String,
    /// The setting or the URL it was seen at.
    pub place: String,
    /// What mends it.
    pub fix: String,
}

impl Finding {
    fn of(check: Check, place: impl Into<String>, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, severity: check.severity(), what: what.into(), place: place.into(), fix: fix.into() }
    }

    fn only(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }
}

/// What was found.
pub struct Report {
    /// The faults, in the order of [`CHECKS`].
    pub findings: Vec<Finding>,
    /// What was looked at, in words.
    pub looked_at: Vec<String>,
}

/// Looks, and judges.
///
/// # Errors
/// When this program itself cannot work.
pub async fn examine(asked: &Asked) -> anyhow::Result<Report> {
    let facts = gather::gather(asked).await?;
    let findings = rules::judge(&facts);
    Ok(Report { findings, looked_at: looked_at(&facts) })
}

fn looked_at(facts: &facts::Facts) -> Vec<String> {
    let mut seen = vec!["the settings".to_owned()];
    if let Some(Ok(survey)) = &facts.database {
        seen.push(survey.version.clone());
    }
    if let Some(Ok(redis)) = &facts.redis {
        seen.push(format!("Redis {}", redis.version).trim().to_owned());
    }
    seen.extend(facts.server.ready.iter().filter(|(_, answer)| answer.is_ok()).map(|(url, _)| url.clone()));
    seen.extend(facts.server.issuer.iter().filter(|(_, answer)| answer.is_ok()).map(|(url, _)| url.clone()));
    seen
}
