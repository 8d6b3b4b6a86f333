//! The certificate of a listener that ends TLS: read from its settings, and read again while it is in use.

use crate::config::settings::{Pem, Tls};
use anyhow::{Context, bail};
use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

/// What every new connection is shown.
#[derive(Debug)]
pub struct Certificate(ArcSwap<CertifiedKey>);

impl Certificate {
    /// Reads it.
    ///
    /// # Errors
    /// One line: what is missing, cannot be read, or does not belong together.
    pub fn of(tls: &Tls) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self(ArcSwap::from_pointee(read(tls)?))))
    }

    /// Reads it again; whether it is another one than before.
    ///
    /// # Errors
    /// As [`Self::of`]; then the old one stays in use.
    pub fn renew(&self, tls: &Tls) -> anyhow::Result<bool> {
        let found = read(tls)?;
        let changed = found.cert != self.0.load().cert;
        if changed {
            self.0.store(Arc::new(found));
        }
        Ok(changed)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// The chain and the key that the settings name, which must belong together.
///
/// # Errors
/// One line.
pub fn read(tls: &Tls) -> anyhow::Result<CertifiedKey> {
    let (Some(cert), Some(key)) = (&tls.cert, &tls.key) else {
        bail!("TLS is on without a certificate and a key; set serve.tls.cert.path and serve.tls.key.path");
    };
    let chain =
        CertificateDer::pem_slice_iter(&pem(cert)?).collect::<Result<Vec<_>, _>>().context("the TLS certificate")?;
    if chain.is_empty() {
        bail!("the TLS certificate: there is none in it");
    }
    let key = PrivateKeyDer::from_pem_slice(&pem(key)?).context("the TLS key")?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).context("the TLS certificate and its key")
}

fn pem(of: &Pem) -> anyhow::Result<Vec<u8>> {
    match of {
        Pem::Path(path) => std::fs::read(path).with_context(|| format!("cannot read {path}")),
        Pem::Base64(text) => STANDARD.decode(&**text).context("the PEM is not base64"),
    }
}
