//! Looks at this machine: limits, and who may read what.

use crate::config::key;
use crate::config::settings::Pem;
use crate::config::{Settings, Sources, StatusRow};
use crate::runtime::doctor::facts::Host;
use crate::runtime::listen::settings_of;
use crate::store::sqlite_file;
use crate::telemetry::labels;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

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
    let of_variables = sources.value_files().into_iter().map(|(name, path)| (name.to_owned(), path.to_owned()));
    let mut all: Vec<(String, PathBuf)> = of_variables.collect();
    for key in key::all().filter(|key| key.kind.is_secret()) {
        let source = rows.iter().find(|row| row.key == key.name).map(|row| row.source.as_str());
        all.extend(source.and_then(|s| s.strip_prefix("file ")).map(|path| (key.name.to_owned(), PathBuf::from(path))));
    }
    for which in labels::Listener::ALL {
        let tls = settings_of(&settings.serve, *which).map(|listener| &listener.tls).filter(|tls| tls.enabled);
        if let Some(Pem::Path(path)) = tls.and_then(|tls| tls.key.as_ref()) {
            all.push((format!("serve.{}.tls.key", which.as_str()), path.into()));
        }
    }
    all.extend(sqlite_file(&settings.dsn).map(|path| ("dsn".to_owned(), path)));
    all.sort_by(|a, b| a.1.cmp(&b.1));
    all.dedup_by(|a, b| a.1 == b.1);
    let mode = |path: &PathBuf| std::fs::metadata(path).ok().map(|found| found.permissions().mode());
    all.into_iter().filter_map(|(name, path)| Some((name, path.display().to_string(), mode(&path)?))).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use crate::config::{Mode, despite_faults, status};

    #[test]
    fn every_file_with_a_secret_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, "Zk3vQ8xT1mW6bR9yL2pD5sH7jN4cF0aE").unwrap();
            path.display().to_string()
        };
        let (item, database) = (file("item"), file("a b.sqlite"));
        let env = [
            ("SECRETS_SYSTEM_0_FILE".to_owned(), item.clone()),
            ("DSN".to_owned(), format!("sqlite://{}?_fk=true", database.replace(' ', "%20"))),
        ];
        let sources = Sources { env: env.into(), mode: Mode::Dev, ..Sources::default() };
        let seen = look(&sources, &despite_faults(&sources).0, &status(&sources)).secret_files;
        let seen: Vec<_> = seen.iter().map(|(name, path, _)| (name.as_str(), path.as_str())).collect();
        assert_eq!(seen, [("dsn", database.as_str()), ("SECRETS_SYSTEM_0_FILE", item.as_str())]);
    }
}
