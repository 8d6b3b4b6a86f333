//! The cookies of a browser: which login it remembers, and which flows it began.
//!
//! A flow's own cookie holds a tag over the flow's id and step: only the browser that began a step has it, ten tabs have
//! one each, and a sealed state need not carry it.

use super::super::{ApiError, App};
use crate::crypto::seal::aad;
use crate::telemetry::labels::SecretKind;
use actix_web::cookie::time::Duration as CookieDuration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::{COOKIE, HeaderValue, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::time::Duration;
use uuid::Uuid;

/// How cookies are set (`serve.cookies`).
#[derive(Clone, Debug)]
pub struct CookieRules {
    /// Name of the session cookie.
    pub session: String,
    /// Path of the session cookie.
    pub session_path: String,
    /// Names of the cookies of a flow's steps, without their suffix.
    pub login_csrf: String,
    /// See `login_csrf`.
    pub consent_csrf: String,
    /// See `login_csrf`; this one has no suffix.
    pub device_csrf: String,
    /// Domain.
    pub domain: Option<String>,
    /// Over TLS alone.
    pub secure: bool,
    /// `SameSite`.
    pub same_site: SameSite,
    /// Set each cookie a second time for browsers that refuse `SameSite=None`.
    pub legacy_workaround: bool,
}

/// A step of a flow that only the browser that began it may finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Signing in.
    Login,
    /// Consent.
    Consent,
    /// Entering a device's code.
    Device,
}

impl Step {
    const fn label(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Consent => "consent",
            Self::Device => "device",
        }
    }

    /// The cookie of this step of a flow. The suffix is a number, as in Hydra, but of the flow and not of the client:
    /// two tabs of one client do not get into each other's way.
    fn cookie(self, rules: &CookieRules, flow: Uuid) -> String {
        let suffix = flow.as_u128() % 10_000_000_000;
        match self {
            Self::Login => format!("{}_{suffix}", rules.login_csrf),
            Self::Consent => format!("{}_{suffix}", rules.consent_csrf),
            Self::Device => rules.device_csrf.clone(),
        }
    }
}

/// Every value that the browser sent under a name: another site of the same domain may have set one too.
pub fn values<'a>(request: &'a HttpRequest, name: &'a str) -> impl Iterator<Item = &'a str> {
    let headers = request.headers().get_all(COOKIE).filter_map(|h| h.to_str().ok());
    headers.flat_map(|h| h.split(';')).filter_map(move |pair| {
        let (n, value) = pair.trim().split_once('=')?;
        (n == name).then_some(value)
    })
}

fn tag(app: &App, step: Step, flow: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(app.csrf.tag(&[step.label().as_bytes(), flow.as_bytes()]))
}

/// Why a browser may not finish a step, in Hydra's words; `None` when it may.
pub fn csrf_fault(app: &App, request: &HttpRequest, step: Step, flow: Uuid) -> Option<&'static str> {
    let (name, mut seen) = (step.cookie(&app.rules.cookies, flow), false);
    let legacy = format!("{name}_legacy");
    for value in values(request, &name).chain(values(request, &legacy)) {
        seen = true;
        let given = URL_SAFE_NO_PAD.decode(value).unwrap_or_default();
        if let Some(generation) = app.csrf.verify(&[step.label().as_bytes(), flow.as_bytes()], &given) {
            app.metrics.opened_with(SecretKind::Cookies, generation);
            return None;
        }
    }
    Some(if seen {
        "The CSRF value from the token does not match the CSRF value from the data store."
    } else {
        "No CSRF value available in the session cookie."
    })
}

/// Lets this browser finish a step.
pub fn begin_step(app: &App, response: &mut HttpResponse, step: Step, flow: Uuid) {
    let name = step.cookie(&app.rules.cookies, flow);
    let value = tag(app, step, flow);
    put(app, response, &Set { name: &name, value: &value, path: "/", max_age: Some(app.rules.flow_ttl) });
}

/// The step is over.
pub fn end_step(app: &App, response: &mut HttpResponse, step: Step, flow: Uuid) {
    clear(app, response, &step.cookie(&app.rules.cookies, flow), "/");
}

/// The remembered login's id that the browser shows; a forged one is none.
pub fn session(app: &App, request: &HttpRequest) -> Option<Uuid> {
    let name = &app.rules.cookies.session;
    let legacy = format!("{name}_legacy");
    let mut shown = values(request, name).chain(values(request, &legacy));
    shown.find_map(|value| {
        let sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
        let opened = app.cookies.open(&aad("cookie", "session", app.rules.issuer.as_bytes()), &sealed).ok()?;
        app.metrics.opened_with(SecretKind::Cookies, opened.generation);
        Uuid::from_slice(&opened.plain).ok()
    })
}

/// Remembers a login; until the browser closes without `max_age`.
///
/// # Errors
/// 503 without randomness.
pub fn remember(app: &App, response: &mut HttpResponse, id: Uuid, max_age: Option<Duration>) -> Result<(), ApiError> {
    let bound = aad("cookie", "session", app.rules.issuer.as_bytes());
    let sealed = app.cookies.seal(&app.entropy.bytes()?, &bound, id.as_bytes());
    let sealed = sealed.map_err(|e| ApiError::Internal(e.to_string()))?;
    let rules = &app.rules.cookies;
    let value = URL_SAFE_NO_PAD.encode(sealed);
    put(app, response, &Set { name: &rules.session, value: &value, path: &rules.session_path, max_age });
    Ok(())
}

/// Forgets the remembered login.
pub fn forget(app: &App, response: &mut HttpResponse) {
    clear(app, response, &app.rules.cookies.session, &app.rules.cookies.session_path);
}

/// A cookie to set.
struct Set<'a> {
    name: &'a str,
    value: &'a str,
    path: &'a str,
    /// Until the browser closes when `None`.
    max_age: Option<Duration>,
}

fn put(app: &App, response: &mut HttpResponse, of: &Set<'_>) {
    let rules = &app.rules.cookies;
    let mut cookie =
        Cookie::build(of.name, of.value).path(of.path).http_only(true).secure(rules.secure).same_site(rules.same_site);
    if let Some(domain) = &rules.domain {
        cookie = cookie.domain(domain);
    }
    if let Some(age) = of.max_age {
        let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        // Expires says the same to browsers that know no Max-Age.
        let ends = app.clock.now().plus(age).to_datetime();
        cookie = cookie.max_age(CookieDuration::seconds(seconds)).expires(ends);
    }
    let cookie = cookie.finish();
    add(response, &cookie);
    if rules.legacy_workaround && rules.same_site == SameSite::None {
        let mut legacy = cookie;
        legacy.set_name(format!("{}_legacy", of.name));
        legacy.set_same_site(Option::<SameSite>::None);
        add(response, &legacy);
    }
}

fn clear(app: &App, response: &mut HttpResponse, name: &str, path: &str) {
    put(app, response, &Set { name, value: "", path, max_age: Some(Duration::ZERO) });
}

fn add(response: &mut HttpResponse, cookie: &Cookie<'_>) {
    if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}
