//! Reads and seals keys: the store holds them sealed to their set and kid.

use super::mailbox::AskError;
use crate::crypto::jose::SigningKey;
use crate::crypto::jwk::{Jwk, JwkError};
use crate::crypto::seal::{Sealer, aad};
use crate::domain::world::{Entropy, NoEntropy, Timestamp};
use crate::store::{KeyRow, Store, StoreError};
use crate::telemetry::labels::SecretKind;
use crate::telemetry::metrics::Metrics;
use std::sync::Arc;

/// Why keys could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The mailbox.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The key itself.
    #[error(transparent)]
    Key(#[from] JwkError),
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    /// A fault of ours.
    #[error("{0}")]
    Internal(String),
}

/// Reads and seals keys.
#[derive(Clone)]
pub struct KeyVault {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Seals private keys.
    pub sealer: Sealer,
    /// Salts.
    pub entropy: Arc<dyn Entropy>,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

fn place(set: &str, kid: &str) -> Vec<u8> {
    aad("json_web_key", "sealed", &[set.as_bytes(), &[0], kid.as_bytes()].concat())
}

impl KeyVault {
    /// The keys of a set, newest first. One that does not open is left out, counted and logged.
    ///
    /// # Errors
    /// [`KeyError::Store`].
    pub async fn read(&self, set: &str) -> Result<Vec<Jwk>, KeyError> {
        let rows = self.store.keys(&[set.to_owned()]).await?;
        Ok(rows.iter().filter_map(|row| self.open(row)).collect())
    }

    /// The key of a row.
    pub fn open(&self, row: &KeyRow) -> Option<Jwk> {
        let opened = match self.sealer.open(&place(&row.set, &row.kid), &row.sealed) {
            Ok(opened) => opened,
            Err(error) => {
                self.metrics.jwk_decrypt_failure();
                tracing::error!(set = row.set, kid = row.kid, %error, "a key does not open; was a system secret dropped?");
                return None;
            }
        };
        self.metrics.opened_with(SecretKind::System, opened.generation);
        serde_json::from_slice(&opened.plain).ok()
    }

    /// The key of a row and which secret opens it (0 is the newest), with no word about it if none does.
    pub fn opened(sealer: &Sealer, row: &KeyRow) -> Option<(Jwk, usize)> {
        let opened = sealer.open(&place(&row.set, &row.kid), &row.sealed).ok()?;
        Some((serde_json::from_slice(&opened.plain).ok()?, opened.generation))
    }

    /// Whether a row holds a key that can sign; `None` when it does not open.
    pub fn signs(&self, row: &KeyRow) -> Option<bool> {
        self.open(row).map(|key| !key.is_symmetric() && SigningKey::from_jwk(&key).is_ok())
    }

    /// The same row sealed under the newest secret; `None` when it is already, or does not open. Only so can an older
    /// secret be dropped one day.
    pub fn resealed(&self, row: &KeyRow) -> Option<KeyRow> {
        let opened = self.sealer.open(&place(&row.set, &row.kid), &row.sealed).ok().filter(|o| o.generation > 0)?;
        let salt = self.entropy.bytes().ok()?;
        let sealed = self.sealer.seal(&salt, &place(&row.set, &row.kid), &opened.plain).ok()?;
        Some(KeyRow { sealed, ..row.clone() })
    }

    /// The row of a key.
    ///
    /// # Errors
    /// [`KeyError`] without randomness.
    pub fn seal(
        &self,
        set: &str,
        key: &Jwk,
        created_at: Timestamp,
        activates_at: Timestamp,
    ) -> Result<KeyRow, KeyError> {
        let kid = key.kid().unwrap_or_default().to_owned();
        let plain = zeroize::Zeroizing::new(serde_json::to_vec(key).map_err(|e| KeyError::Internal(e.to_string()))?);
        let sealed = self
            .sealer
            .seal(&self.entropy.bytes()?, &place(set, &kid), &plain)
            .map_err(|e| KeyError::Internal(e.to_string()))?;
        let alg = key.alg().unwrap_or_default().to_owned();
        Ok(KeyRow { set: set.to_owned(), kid, alg, sealed, created_at, activates_at, retires_at: None })
    }
}
