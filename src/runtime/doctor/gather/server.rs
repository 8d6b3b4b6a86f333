//! Asks the server that runs, at its listeners and by the issuer's URL, and who stands around it.

use crate::config::Settings;
use crate::domain::world::Clock;
use crate::runtime::doctor::Asked;
use crate::runtime::doctor::facts::{Answer, Server};
use crate::runtime::probe::{self, Heard, Probe, Unheard};
use crate::runtime::system::SystemClock;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use url::Url;

const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Asks all that harms nobody.
///
/// # Errors
/// When TLS cannot be set up.
pub async fn ask(asked: &Asked, settings: &Settings) -> anyhow::Result<Server> {
    let own = || probe::builder(asked.patience);
    let side = |given: &Option<String>, listener| match given {
        Some(url) => Probe::to(url, own).map(Some),
        None => Ok(Probe::of(listener, own).ok()),
    };
    let (public, admin) = (side(&asked.public, &settings.serve.public)?, side(&asked.admin, &settings.serve.admin)?);
    // Through the ingress, with the certificate looked at.
    let outside = Probe::to(&settings.urls.issuer, own)?;
    let named = asked.public.is_some() || asked.admin.is_some();
    let listeners = [(&public, asked.public.is_some()), (&admin, asked.admin.is_some())];
    let ready = listeners
        .into_iter()
        .filter_map(|(probe, named)| Some((probe.as_ref()?, named)))
        .map(|(probe, named)| async move { (probe.base().to_owned(), probe.get("/health/ready").await, named) });
    // Who names one listener may well be where the other cannot be reached.
    let counts = |answer: &Answer, of_named: bool| of_named || !named || answer.is_ok();
    let ready = join_all(ready).await.into_iter().filter(|(_, answer, of_named)| counts(answer, *of_named));
    let mut found = Server { named, ready: ready.map(|(url, answer, _)| (url, answer)).collect(), ..Server::default() };
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
    let usable =
        |answer: &Answer| answer.as_ref().ok().map(Heard::json).filter(|document| document.get("issuer").is_some());
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
