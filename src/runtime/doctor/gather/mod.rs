//! Sees all there is to see, within a few seconds: the stores, the server, its surroundings.

mod host;
mod server;

use super::Asked;
use super::facts::{Certificate, Facts, Key};
use crate::actors::key_manager::{ACCESS_TOKEN_SET, ID_TOKEN_SET, KeyRing, KeyVault};
use crate::actors::key_ring;
use crate::config::settings::Tls;
use crate::config::{self, Settings};
use crate::crypto::seal::Secrets;
use crate::domain::world::{Clock, Timestamp};
use crate::runtime::listen::settings_of;
use crate::runtime::system::SystemClock;
use crate::runtime::{certificate, reach};
use crate::store::introspection_cache as cache;
use crate::store::{KeyRow, Survey, survey};
use crate::telemetry::labels::Listener;
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
    let sealer = Secrets::new(&settings.secrets.system).map(|secrets| secrets.sealer("jwk"));
    let open = |row: &KeyRow| sealer.as_ref().ok().and_then(|sealer| KeyVault::opened(sealer, row));
    let readable: Vec<_> = survey.keys.iter().filter_map(|row| Some((row.clone(), open(row)?.0))).collect();
    // What servers sign with: by the database's clock, and of the keys that open and can sign alone.
    let ring = KeyRing::of(&readable, now, -survey.ahead);
    let own = |set: &str| [ID_TOKEN_SET, ACCESS_TOKEN_SET].contains(&set);
    let shown = |set: &String| own(set) || settings.webfinger.broadcast_keys.contains(set);
    let of = |row: &KeyRow| {
        let opened = open(row);
        Key {
            set: row.set.clone(),
            kid: row.kid.clone(),
            alg: row.alg.clone(),
            generation: opened.as_ref().map(|(_, generation)| *generation),
            published: shown(&row.set)
                && key_ring::meta(row).is_published(now)
                && opened.is_some_and(|(key, _)| !key.is_symmetric()),
            signs: own(&row.set) && ring.signer(&row.set, now).is_some_and(|key| key.kid() == row.kid),
            since: row.activates_at,
        }
    };
    survey.keys.iter().map(of).collect()
}

fn certificates(settings: &Settings) -> Vec<(String, Result<Certificate, String>)> {
    let host = Url::parse(&settings.urls.issuer).ok().and_then(|url| url.host_str().map(str::to_owned));
    let all = Listener::ALL.iter().filter_map(|which| Some((*which, settings_of(&settings.serve, *which)?)));
    all.filter(|(_, listener)| listener.tls.enabled && listener.tls.cert.is_some())
        .filter(|(_, listener)| reach::of(listener) != reach::Reach::Socket)
        .map(|(which, listener)| (format!("serve.{}.tls", which.as_str()), certificate(&listener.tls, host.as_deref())))
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
