//! Sees all there is to see, within a few seconds: the stores, the server, its surroundings.

use super::Asked;
use super::facts::{Answer, Certificate, Facts, Host, Key, Server};
use crate::actors::key_manager::{ACCESS_TOKEN_SET, ID_TOKEN_SET, KeyVault};
use crate::config::key::{self, env_name};
use crate::config::settings::{Pem, Tls};
use crate::config::{self, Settings, Sources, StatusRow};
use crate::crypto::seal::Secrets;
use crate::domain::key_ring::{KeyMeta, signer};
use crate::domain::world::{Clock, Timestamp};
use crate::runtime::probe::{self, Heard, Probe, Unheard};
use crate::runtime::system::SystemClock;
use crate::runtime::{certificate, reach};
use crate::store::introspection_cache as cache;
use crate::store::{KeyRow, Survey, survey};
use futures_util::future::join_all;
use reqwest::Method;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use url::Url;
use x509_cert::der::Decode;

/// Expired rows are left for so long at least before anybody calls them forgotten.
const FORGOTTEN: Duration = Duration::from_secs(3 * 3600);
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Looks at everything.
///
/// # Errors
/// When TLS cannot be set up.
pub async fn gather(asked: &Asked) -> anyhow::Result<Facts> {
    let (settings, faults) = config::despite_faults(&asked.sources);
    let rows = config::status(&asked.sources);
    let now = SystemClock.now();
    let (database, redis, server) = tokio::join!(database(&settings, now), redis(&settings), server(asked, &settings));
    let found = database.as_ref().and_then(|d| d.as_ref().ok());
    Ok(Facts {
        keys: found.map(|survey| keys(survey, &settings, now)).unwrap_or_default(),
        session_marks: session_marks(&settings),
        certificates: certificates(&settings),
        host: host(&asked.sources, &settings, &rows),
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

fn host(sources: &Sources, settings: &Settings, rows: &[StatusRow]) -> Host {
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
    for (name, tls) in
        [("serve.public.tls.key", &settings.serve.public.tls), ("serve.admin.tls.key", &settings.serve.admin.tls)]
    {
        if let Some(Pem::Path(path)) = tls.key.as_ref().filter(|_| tls.enabled) {
            all.push((name.to_owned(), path.clone()));
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

async fn server(asked: &Asked, settings: &Settings) -> anyhow::Result<Server> {
    let own = || probe::builder(asked.patience);
    let side = |given: &Option<String>, listener| match given {
        Some(url) => Probe::to(url, own()).map(Some),
        None => Ok(Probe::of(listener, own()).ok()),
    };
    let (public, admin) = (side(&asked.public, &settings.serve.public)?, side(&asked.admin, &settings.serve.admin)?);
    // Through the ingress, with the certificate looked at.
    let outside = Probe::to(&settings.urls.issuer, own())?;
    let listeners = [&public, &admin].into_iter().flatten();
    let mut found = Server {
        named: asked.public.is_some() || asked.admin.is_some(),
        ready: join_all(listeners.map(|p| async { (p.base().to_owned(), p.get("/health/ready").await) })).await,
        ..Server::default()
    };
    if let Some(admin) = &admin {
        about(admin, &mut found).await;
    }
    let discovery = match &public {
        // What a proxy that ends TLS would say.
        Some(public) => {
            Some(probe::ask(public.request(Method::GET, DISCOVERY).header("x-forwarded-proto", "https")).await)
        }
        None => None,
    };
    found.direct = discovery;
    if found.answers() || asked.public.is_some() {
        let issuer = format!("{}{DISCOVERY}", outside.base());
        found.issuer = Some((issuer, outside.get(DISCOVERY).await));
        endpoints(&outside, &mut found).await;
        admin_outside(&outside, settings, &mut found).await;
    }
    around(&outside, settings, &mut found).await;
    Ok(found)
}

/// Version and clock of the server.
async fn about(admin: &Probe, found: &mut Server) {
    let Ok(answer) = admin.get("/version").await else { return };
    found.version = answer.json().get("version").and_then(Value::as_str).map(str::to_owned);
    let theirs = answer.date.as_deref().map(|date| date.replace("GMT", "+0000"));
    let theirs = theirs.and_then(|date| OffsetDateTime::parse(&date, &Rfc2822).ok());
    found.ahead = theirs.map(|at| at.unix_timestamp() - SystemClock.now().secs());
}

/// Asks each endpoint that discovery names what harms nobody.
async fn endpoints(outside: &Probe, found: &mut Server) {
    let usable = |answer: &Answer| answer.as_ref().ok().map(Heard::json).filter(Value::is_object);
    let through = found.issuer.as_ref().and_then(|(_, answer)| usable(answer));
    let Some(document) = through.or_else(|| found.direct.as_ref().and_then(usable)) else { return };
    let named = |name: &str| document.get(name).and_then(Value::as_str).map(str::to_owned);
    if let Some(url) = named("jwks_uri") {
        let answer = probe::ask(outside.at(Method::GET, &url)).await;
        found.jwks = Some((url, answer));
    }
    let of = [
        ("authorization_endpoint", Method::GET),
        ("token_endpoint", Method::POST),
        ("userinfo_endpoint", Method::GET),
        ("device_authorization_endpoint", Method::POST),
        ("revocation_endpoint", Method::POST),
        ("end_session_endpoint", Method::GET),
        ("registration_endpoint", Method::GET),
    ];
    let asked = of.into_iter().filter_map(|(name, method)| named(name).map(|url| (name, method, url)));
    let ask = |(name, method, url): (&'static str, Method, String)| async move {
        let request = outside.at(method.clone(), &url);
        let request = if method == Method::POST { request.form(&json!({})) } else { request };
        (name.to_owned(), url, probe::ask(request).await)
    };
    found.endpoints = join_all(asked.map(ask)).await;
}

/// Whether the admin API is to be had where everybody is.
async fn admin_outside(outside: &Probe, settings: &Settings, found: &mut Server) {
    let Ok(issuer) = Url::parse(&settings.urls.issuer) else { return };
    let mut bases = vec![outside.base().to_owned(), issuer.origin().ascii_serialization()];
    bases.dedup();
    for base in bases {
        let url = format!("{base}/admin/clients?page_size=1");
        let answer = probe::ask(outside.at(Method::GET, &url)).await;
        found.admin_outside.push((url, answer));
    }
}

/// Pages and hooks.
async fn around(outside: &Probe, settings: &Settings, found: &mut Server) {
    let urls = &settings.urls;
    let public = urls.public.trim_end_matches('/');
    let pages = [
        ("urls.login", &urls.login),
        ("urls.consent", &urls.consent),
        ("urls.logout", &urls.logout),
        ("urls.error", &urls.error),
        ("urls.post_logout_redirect", &urls.post_logout_redirect),
        ("urls.device.verification", &urls.device_verification),
        ("urls.device.success", &urls.device_success),
    ];
    let absolute = |url: &String| if url.starts_with('/') { format!("{public}{url}") } else { url.clone() };
    let pages = pages.into_iter().filter_map(|(name, url)| url.as_ref().map(|url| (name, absolute(url))));
    let hooks = [
        ("oauth2.token_hook.url", &settings.oauth2.token_hook),
        ("oauth2.refresh_token_hook.url", &settings.oauth2.refresh_token_hook),
    ];
    let hooks = hooks.into_iter().filter_map(|(name, hook)| hook.as_ref().map(|hook| (name, hook.url.clone())));
    let ask = |(name, url): (&'static str, String)| async move {
        let answer = match Url::parse(&url) {
            Ok(_) => probe::ask(outside.at(Method::GET, &url)).await,
            Err(e) => Err(Unheard { why: e.to_string(), bad_certificate: false }),
        };
        (name, url, answer)
    };
    (found.pages, found.hooks) = tokio::join!(join_all(pages.map(ask)), join_all(hooks.map(ask)));
}
