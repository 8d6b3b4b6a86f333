//! The certificate of a listener, and when it runs out.

use crate::config::settings::{Listener, Pem};
use crate::telemetry::labels;
use crate::telemetry::metrics::Metrics;
use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_cert::der::Decode;

/// What TLS is served with; the metrics know from now on when the first certificate of the chain runs out.
///
/// # Errors
/// For certificates and keys that cannot be read.
pub fn tls(settings: &Listener, which: labels::Listener, metrics: &Metrics) -> anyhow::Result<rustls::ServerConfig> {
    let (Some(cert), Some(key)) = (&settings.tls.cert, &settings.tls.key) else {
        bail!("TLS is on without a certificate and a key; set serve.tls.cert.path and serve.tls.key.path");
    };
    let chain =
        CertificateDer::pem_slice_iter(&pem(cert)?).collect::<Result<Vec<_>, _>>().context("the TLS certificate")?;
    if let Some(first) = chain.first() {
        metrics.certificate_expires(which, expiry(first)?);
    }
    let key = PrivateKeyDer::from_pem_slice(&pem(key)?).context("the TLS key")?;
    Ok(rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?)
}

fn pem(of: &Pem) -> anyhow::Result<Vec<u8>> {
    match of {
        Pem::Path(path) => std::fs::read(path).with_context(|| format!("cannot read {path}")),
        Pem::Base64(text) => STANDARD.decode(&**text).context("the PEM is not base64"),
    }
}

/// Unix seconds.
fn expiry(certificate: &CertificateDer<'_>) -> anyhow::Result<f64> {
    let read = x509_cert::Certificate::from_der(certificate).context("the TLS certificate")?;
    Ok(read.tbs_certificate.validity.not_after.to_unix_duration().as_secs_f64())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_says_when_it_runs_out() {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2031, 2, 3);
        let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        assert_eq!(expiry(made.der()).unwrap(), 1_927_843_200.0);
    }
}
