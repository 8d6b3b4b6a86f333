//! Sees all there is to see, within a few seconds: the stores, the server, its surroundings.

mod host;
mod server;

use super::Asked;
use super::facts::{Certificate, Facts, Key};
use crate::actors::key_manager::{ACCESS_TOKEN_SET, ID_TOKEN_SET, KeyVault};
use crate::config::settings::Tls;
use crate::config::{self, Settings};
use crate::crypto::seal::Secrets;
use crate::domain::key_ring::{KeyMeta, signer};
use crate::domain::world::{Clock, Timestamp};
use crate::runtime::system::SystemClock;
use crate::runtime::{certificate, reach};
use crate::store::introspection_cache as cache;
use crate::store::{KeyRow, Survey, survey};
use rustls_pki_types::{CertificateDer, ServerName};
use std::time::Duration;
use url::Url;
use x509_cert::der::Decode;

/// Expired rows are left for so long at least before anybody calls them forgotten.
const FORGOTTEN: Duration = Duration::from_secs(3 * 3600);

/// Looks at everything.
///
/// # Errors
/// When TLS cannot be set up.
pub async fn gather(asked: &Asked) -> anyhow::Result<Facts> {
    let (settings, faults) = config::despite_faults(&asked.sources);
    let rows = config::status(&asked.sources);
    let now = SystemClock.now();
    let (database, redis, server) =
        tokio::join!(database(&settings, now), redis(&settings), server::ask(asked, &settings));
    let found = database.as_ref().and_then(|d| d.as_ref().ok());
    Ok(Facts {
        keys: found.map(|survey| keys(survey, &settings, now)).unwrap_or_default(),
        session_marks: session_marks(&settings),
        certificates: certificates(&settings),
        host: host::look(&asked.sources, &settings, &rows),
        replicas: asked.replicas,
        server: server?,
        settings,
        faults,
        rows,
        now,
        database,
        redis,
    })
}

async fn database(settings: &Settings, now: Timestamp) -> Option<Result<Survey, String>> {
    if settings.dsn.is_empty() {
        return None;
    }
    let forgotten = now.minus(FORGOTTEN.max(settings.janitor.interval * 10));
    let several = settings.secrets.system.len() > 1;
    Some(survey(&settings.dsn, &SystemClock, forgotten, several).await.map_err(|e| e.to_string()))
}

async fn redis(settings: &Settings) -> Option<Result<cache::RedisSurvey, String>> {
    let url = settings.redis.url.as_ref()?;
    Some(cache::survey(url, &settings.redis.prefix).await)
}

fn session_marks(settings: &Settings) -> Vec<Vec<u8>> {
    let secrets = Secrets::new(&settings.secrets.system);
    secrets.map(|s| s.sealer("row/session").marks().iter().map(|m| m.to_vec()).collect()).unwrap_or_default()
}

/// The stored keys, opened by whichever secret does.
fn keys(survey: &Survey, settings: &Settings, now: Timestamp) -> Vec<Key> {
    let meta = |row: &KeyRow| KeyMeta {
        kid: row.kid.clone(),
        created_at: row.created_at,
        activates_at: row.activates_at,
        retires_at: row.retires_at,
    };
    let signs = |row: &KeyRow| {
        let of_set: Vec<KeyMeta> = survey.keys.iter().filter(|other| other.set == row.set).map(meta).collect();
        [ID_TOKEN_SET, ACCESS_TOKEN_SET].contains(&row.set.as_str())
            && signer(&of_set, now).is_some_and(|found| found.kid == row.kid)
    };
    let sealer = Secrets::new(&settings.secrets.system).map(|secrets| secrets.sealer("jwk"));
    let shown = |set: &String| {
        [ID_TOKEN_SET, ACCESS_TOKEN_SET].contains(&set.as_str()) || settings.webfinger.broadcast_keys.contains(set)
    };
    let of = |row: &KeyRow| {
        let opened = sealer.as_ref().ok().and_then(|sealer| KeyVault::opened(sealer, row));
        Key {
            set: row.set.clone(),
            kid: row.kid.clone(),
            alg: row.alg.clone(),
            generation: opened.as_ref().map(|(_, generation)| *generation),
            published: shown(&row.set)
                && meta(row).is_published(now)
                && opened.is_some_and(|(key, _)| !key.is_symmetric()),
            signs: signs(row),
            since: row.activates_at,
        }
    };
    survey.keys.iter().map(of).collect()
}

fn certificates(settings: &Settings) -> Vec<(&'static str, Result<Certificate, String>)> {
    let host = Url::parse(&settings.urls.issuer).ok().and_then(|url| url.host_str().map(str::to_owned));
    [("serve.public.tls", &settings.serve.public), ("serve.admin.tls", &settings.serve.admin)]
        .into_iter()
        .filter(|(_, listener)| listener.tls.enabled && listener.tls.cert.is_some())
        .filter(|(_, listener)| reach::of(listener) != reach::Reach::Socket)
        .map(|(name, listener)| (name, certificate(&listener.tls, host.as_deref())))
        .collect()
}

fn certificate(tls: &Tls, host: Option<&str>) -> Result<Certificate, String> {
    let read = certificate::read(tls).map_err(|e| format!("{e:#}"))?;
    let shown = read.end_entity_cert().map_err(|e| e.to_string())?;
    let parsed = x509_cert::Certificate::from_der(shown).map_err(|e| e.to_string())?;
    let validity = parsed.tbs_certificate.validity;
    let moment = |at: x509_cert::time::Time| {
        Timestamp::from_secs(i64::try_from(at.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
    };
    Ok(Certificate {
        begins: moment(validity.not_before),
        ends: moment(validity.not_after),
        fits_issuer: host.is_none_or(|host| fits(shown, host)),
    })
}

fn fits(shown: &CertificateDer<'_>, host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let (Ok(parsed), Ok(name)) =
        (rustls::server::ParsedCertificate::try_from(shown), ServerName::try_from(host.to_owned()))
    else {
        return false;
    };
    rustls::client::verify_server_name(&parsed, &name).is_ok()
}
