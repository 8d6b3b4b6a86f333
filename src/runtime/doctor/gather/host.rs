//! Looks at this machine: limits, and who may read what.

use crate::config::key::{self, env_name};
use crate::config::settings::Pem;
use crate::config::{Settings, Sources, StatusRow};
use crate::runtime::doctor::facts::Host;
use crate::runtime::listen::settings_of;
use crate::telemetry::labels;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What is seen without asking anybody.
pub fn look(sources: &Sources, settings: &Settings, rows: &[StatusRow]) -> Host {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
    Host {
        files: files.and_then(|soft| soft.parse().ok()),
        kubernetes: sources.env.contains_key("KUBERNETES_SERVICE_HOST"),
        secret_files: secret_files(sources, settings, rows),
    }
}

/// Files with a secret in them, each by the setting that names it.
fn secret_files(sources: &Sources, settings: &Settings, rows: &[StatusRow]) -> Vec<(String, String, u32)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for key in key::all().filter(|key| key.kind.may_hold_secret()) {
        let name = format!("{}_FILE", env_name(key.name));
        all.extend(sources.env.get(&name).filter(|path| !path.is_empty()).map(|path| (name, path.clone())));
        let of_key = rows.iter().find(|row| row.key == key.name && key.kind.is_secret());
        if let Some(path) = of_key.and_then(|row| row.source.strip_prefix("file ")) {
            all.push((key.name.to_owned(), path.to_owned()));
        }
    }
    for which in labels::Listener::ALL {
        let tls = settings_of(&settings.serve, *which).map(|listener| &listener.tls).filter(|tls| tls.enabled);
        if let Some(Pem::Path(path)) = tls.and_then(|tls| tls.key.as_ref()) {
            all.push((format!("serve.{}.tls.key", which.as_str()), path.clone()));
        }
    }
    if let Some(("sqlite" | "sqlite3", rest)) = settings.dsn.split_once("://") {
        let path = rest.split('?').next().unwrap_or_default();
        all.push(("dsn".to_owned(), path.strip_prefix("file:").unwrap_or(path).to_owned()));
    }
    all.sort_by(|a, b| a.1.cmp(&b.1));
    all.dedup_by(|a, b| a.1 == b.1);
    let mode = |path: &str| std::fs::metadata(Path::new(path)).ok().map(|found| found.permissions().mode());
    all.into_iter().filter_map(|(name, path)| mode(&path).map(|mode| (name, path, mode))).collect()
}
