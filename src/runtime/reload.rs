//! Secrets and certificates taken over while the server runs. Their files are looked at every two seconds, by content: so
//! it does not matter how they are changed, and Kubernetes changes a mounted secret by moving a symbolic link. SIGHUP
//! does it at once.
//!
//! Invariant: a list is taken over as a whole or not at all, and one that would end what is in use is refused.

use super::certificate::Certificate;
use super::listen::settings_of;
use crate::actors::key_manager::{KeyError, KeyVault, Reseal};
use crate::config::Settings;
use crate::config::settings::{Pem, SecretLists};
use crate::crypto::seal::{Sealer, Secrets, SecretsError};
use crate::http::App;
use crate::store::{KeyRow, StoreError};
use crate::telemetry::labels;
use crate::telemetry::metrics::Metrics;
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// How the settings are read again.
pub struct Reload {
    /// The files that they come from.
    pub files: Vec<PathBuf>,
    /// Reads and checks them; the faults as one text.
    pub load: Box<dyn Fn() -> Result<Settings, String> + Send + Sync>,
}

/// The lists that everything sealed and signed is derived from.
#[derive(Clone)]
pub struct Held {
    /// `secrets.system`.
    pub system: Secrets,
    /// `secrets.cookie`.
    pub cookie: Secrets,
    /// `secrets.pagination`.
    pub pagination: Secrets,
}

impl Held {
    /// As the settings have them.
    ///
    /// # Errors
    /// For an empty list.
    pub fn of(lists: &SecretLists) -> Result<Self, SecretsError> {
        Ok(Self {
            system: Secrets::new(&lists.system)?,
            cookie: Secrets::new(&lists.cookie)?,
            pagination: Secrets::new(&lists.pagination)?,
        })
    }
}

/// What may change in a running server.
pub struct Live {
    /// Its secrets.
    pub held: Held,
    /// Its certificates.
    pub certificates: Vec<(labels::Listener, Arc<Certificate>)>,
    /// Who holds what was derived from the secrets.
    pub app: Arc<App>,
    /// The settings as they were taken over last.
    pub settings: Settings,
}

/// Why a new list of secrets was not taken over.
enum Refusal {
    /// It never will be.
    Bad(String),
    /// The database is to be asked again.
    Later(StoreError),
}

/// Looks until the process ends.
pub async fn watch(mut live: Live, reload: Reload) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        tracing::error!("SIGHUP cannot be listened for; secrets and certificates stay as they are");
        return;
    };
    let reload = Arc::new(reload);
    let mut seen = None;
    loop {
        let told = tokio::select! {
            () = tokio::time::sleep(LOOK) => false,
            _ = hangup.recv() => true,
        };
        let files: Vec<PathBuf> = reload.files.iter().cloned().chain(pem_files(&live.settings)).collect();
        let found = tokio::task::spawn_blocking(move || fingerprint(&files)).await.ok();
        if told {
            tracing::info!("SIGHUP: reading secrets and certificates again");
        } else if found == seen {
            continue;
        }
        let again = Arc::clone(&reload);
        let loaded = tokio::task::spawn_blocking(move || (again.load)()).await;
        let settled = match loaded {
            Ok(Ok(settings)) => live.take_over(settings).await,
            Ok(Err(faults)) => {
                tracing::error!("the changed settings are refused, the old secrets stay in use: {faults}");
                true
            }
            Err(_) => true,
        };
        seen = found.filter(|_| settled);
    }
}

/// The files of certificates and their keys.
fn pem_files(settings: &Settings) -> Vec<PathBuf> {
    let all = labels::Listener::ALL.iter().filter_map(|which| settings_of(&settings.serve, *which));
    let pems = all.flat_map(|listener| [&listener.tls.cert, &listener.tls.key]).flatten();
    pems.filter_map(|pem| match pem {
        Pem::Path(path) => Some(PathBuf::from(path)),
        Pem::Base64(_) => None,
    })
    .collect()
}

fn fingerprint(files: &[PathBuf]) -> [u8; 32] {
    let mut sum = Sha256::new();
    for path in files {
        let found = std::fs::read(path).map(Sha256::digest).map_err(|e| e.kind());
        sum.update(format!("{found:?}"));
    }
    sum.finalize().into()
}

impl Live {
    /// Takes over what may change; whether that is settled.
    async fn take_over(&mut self, new: Settings) -> bool {
        for (name, old, new) in [
            ("dsn", &self.settings.dsn, &new.dsn),
            (
                "redis.url",
                &self.settings.redis.url.clone().unwrap_or_default(),
                &new.redis.url.clone().unwrap_or_default(),
            ),
        ] {
            if old != new {
                tracing::warn!("{name} has changed; the new one is used after a restart");
            }
        }
        self.certificates(&new);
        let (secrets, settled) = match self.secrets(&new.secrets).await {
            Ok(()) => (new.secrets.clone(), true),
            Err(Refusal::Bad(why)) => {
                tracing::error!("the new list of secrets is refused, the old one stays in use: {why}");
                (self.settings.secrets.clone(), true)
            }
            Err(Refusal::Later(error)) => {
                tracing::warn!(%error, "the new list of secrets waits for the database");
                (self.settings.secrets.clone(), false)
            }
        };
        self.settings = Settings { secrets, ..new };
        settled
    }

    fn certificates(&self, new: &Settings) {
        for (listener, certificate) in &self.certificates {
            let Some(found) = settings_of(&new.serve, *listener) else { continue };
            match certificate.renew(&found.tls) {
                Ok(true) => {
                    tracing::info!("took over a new certificate ({})", listener.as_str());
                    if let Some(ends) = certificate.ends() {
                        self.app.metrics.certificate_expires(*listener, ends);
                    }
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::error!("the new certificate is refused, the old one stays in use: {error:#}");
                }
            }
        }
    }

    async fn secrets(&self, new: &SecretLists) -> Result<(), Refusal> {
        let old = &self.settings.secrets;
        // One that is made up at every look is no news.
        if new.made_up || old.made_up {
            return Ok(());
        }
        let lists = [
            ("secrets.system", &old.system, &new.system, &self.held.system),
            ("secrets.cookie", &old.cookie, &new.cookie, &self.held.cookie),
            ("secrets.pagination", &old.pagination, &new.pagination, &self.held.pagination),
        ];
        let changed: Vec<_> = lists.into_iter().filter(|(_, old, new, _)| old != new).collect();
        for (name, old, new, _) in &changed {
            keeps_the_first(name, old, new)?;
        }
        if old.system != new.system {
            self.keys_open(&new.system).await?;
        }
        for (name, old, new, held) in changed {
            held.replace(new).map_err(|e| Refusal::Bad(format!("{name}: {e}")))?;
            tell(name, old, new);
        }
        count(new, &self.app.metrics);
        if old.system.first() != new.system.first()
            && let Ok(Err(error)) | Err(error) = self.app.key_manager.ask(Reseal).await.map_err(KeyError::from)
        {
            tracing::warn!(%error, "the keys are not sealed under the new secret yet; that is tried again within the hour");
        }
        Ok(())
    }

    /// Every stored key must open under the new list, or it would be lost.
    async fn keys_open(&self, new: &[String]) -> Result<(), Refusal> {
        let candidate = Secrets::new(new).map_err(|e| Refusal::Bad(e.to_string()))?;
        let now = &self.app.key_vault;
        let then = candidate.sealer("jwk");
        let opens = |sealer: &Sealer, row: &KeyRow| KeyVault::opened(sealer, row).is_some();
        let sets = now.store.key_sets().await.map_err(Refusal::Later)?;
        let rows = now.store.keys(&sets).await.map_err(Refusal::Later)?;
        match rows.iter().find(|row| opens(&now.sealer, row) && !opens(&then, row)) {
            Some(row) => Err(Refusal::Bad(format!(
                "key {} of set {} is sealed under a secret that is no longer in secrets.system; \
                 let the new secret stand first for a while, then drop the old one",
                row.kid, row.set
            ))),
            None => Ok(()),
        }
    }
}

/// Tells the metrics how many secrets there are.
pub fn count(lists: &SecretLists, metrics: &Metrics) {
    for (kind, list) in [
        (labels::SecretKind::System, &lists.system),
        (labels::SecretKind::Cookies, &lists.cookie),
        (labels::SecretKind::Pagination, &lists.pagination),
    ] {
        metrics.secrets(kind, list.len());
    }
}

/// What signs now must go on being checked: without it every token and session would end at once.
fn keeps_the_first(name: &str, old: &[String], new: &[String]) -> Result<(), Refusal> {
    match old.first() {
        Some(first) if !new.contains(first) => Err(Refusal::Bad(format!(
            "{name} lacks the secret that signs now; add the new one beside it, and drop it later. \
             To end all that it signed, restart"
        ))),
        _ => Ok(()),
    }
}

fn tell(name: &str, old: &[String], new: &[String]) {
    tracing::info!("took over a new list of {name}: {} secrets, {} before", new.len(), old.len());
    if new.first().is_some_and(|first| !old.contains(first)) {
        tracing::warn!(
            "the first of {name} was not in the list before: replicas that lack it refuse what is signed here; \
             next time add it as the second everywhere, then move it up"
        );
    }
}
