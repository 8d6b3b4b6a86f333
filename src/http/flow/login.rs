//! Signing in: to the login page, and back from it.

use super::super::{ApiError, App, audited};
use super::cookies::{self, Step};
use super::request::Asked;
use super::{Stop, consent, hint, text, to_page, with_query};
use crate::actors::flow_coordinator::Commit;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::flow::login::{self, LoginDecision, Remembered};
use crate::domain::flow::{Decision, DeviceScope, Flow, Purpose, digest};
use crate::domain::subject::subject_for;
use crate::store::{FlowVerdict, FlowWrite, ForcedSubject, Login, LoginSession};
use crate::telemetry::audit::{self, AuditEvent, Facts};
use crate::telemetry::labels::{DeviceOutcome, FlowOutcome};
use actix_web::{HttpRequest, HttpResponse};
use uuid::Uuid;

/// Begins a flow: to the login page, whether somebody is signed in or not (the app says yes by itself then).
///
/// # Errors
/// `login_required` where no page may be shown.
pub async fn start(
    app: &App,
    browser: &HttpRequest,
    asked: &Asked,
    device: Option<(Uuid, DeviceScope)>,
) -> Result<HttpResponse, Stop> {
    let now = app.clock.now();
    let shown = cookies::session(app, browser);
    let session = match shown {
        Some(id) => app.store.login_session(id).await?,
        None => None,
    };
    let expected = Expected::read(app, asked)?;
    let known =
        session.as_ref().map(|s| Remembered { subject: s.subject.clone(), auth_time: s.authenticated_at.secs() });
    let fits = match &known {
        Some(known) => expected.fits(app, asked, &known.subject).await?,
        None => true,
    };
    let remembered = login::usable(&asked.request, known, |_| fits, now).map_err(|e| refuse(app, asked, e))?;
    let (id, device) = device.map_or((app.entropy.uuid()?, None), |(id, scope)| (id, Some(scope)));
    let flow = Flow {
        id,
        client_id: asked.request.client_id.clone(),
        query: asked.sent.as_sent(),
        digest: digest(&asked.sent),
        effective: asked.effective.as_ref().map(|p| p.as_sent()),
        requested_at: now.secs(),
        session_id: match (&remembered, &session) {
            (Some(_), Some(session)) => session.id,
            _ => app.entropy.uuid()?,
        },
        ends: session.filter(|_| remembered.is_none()).map(|s| s.id),
        remembered,
        device,
        login: None,
        skip_consent: false,
        earlier_consent: None,
        consent: None,
    };
    let challenge = text(app, Purpose::LoginChallenge, &flow, flow.began().plus(app.rules.flow_ttl)).await?;
    let pages = &app.rules.pages;
    let page = if asked.request.prompt.create { &pages.registration } else { &pages.login };
    let mut response = to_page(&with_query(page, &[("login_challenge", &challenge)]));
    cookies::begin_step(app, &mut response, Step::Login, flow.id);
    Ok(response)
}

/// A refusal told to the client, or, for a device's flow, on the error page.
pub fn refuse(app: &App, asked: &Asked, error: OAuthError) -> Stop {
    match &asked.request.target {
        Some(to) => Stop::Client(to.refusal(&app.rules.issuer, &error, app.rules.expose_internal_errors)),
        None => Stop::Page(error),
    }
}

/// Who the client expects to be signed in.
struct Expected {
    /// By `id_token_hint`, as the client knows them.
    hinted: Option<String>,
    /// By the `claims` parameter.
    claimed: Vec<String>,
}

impl Expected {
    fn read(app: &App, asked: &Asked) -> Result<Self, Stop> {
        let token = asked.request.id_token_hint.as_str();
        let hinted = match token {
            "" => None,
            token => {
                let claims = hint::read(app, token).map_err(|e| refuse(app, asked, e))?;
                Some(claims.str("sub").unwrap_or_default().to_owned())
            }
        };
        Ok(Self { hinted, claimed: asked.request.claimed_subjects() })
    }

    /// Whether a subject is the expected one, under any name that the client may know it by.
    async fn fits(&self, app: &App, asked: &Asked, subject: &str) -> Result<bool, Stop> {
        if self.hinted.is_none() && self.claimed.is_empty() {
            return Ok(true);
        }
        let client = &asked.client.client;
        let forced = app.store.forced_subject(&client.client_id, subject).await?;
        let mut names = vec![subject.to_owned()];
        names.extend(subject_for(client, subject, None, &app.rules.subjects).ok());
        names.extend(forced);
        let hinted = self.hinted.as_ref().is_none_or(|hint| names.contains(hint));
        let claimed = self.claimed.is_empty() || self.claimed.iter().any(|sub| names.contains(sub));
        Ok(hinted && claimed)
    }
}

fn denied() -> OAuthError {
    OAuthError::new(
        ErrorCode::AccessDenied,
        "The login verifier has already been used, has not been granted, or is invalid.",
    )
}

/// `error` of a login that the app rejected without one.
const LOGIN_DENIED: &str = "login request denied";

/// Ends a login: the browser brings back what the app decided, and goes on to the consent page.
///
/// # Errors
/// `access_denied` for a verifier that is used, over, or nobody's; `request_forbidden` for another browser's; what the
/// app refused; `login_required`.
pub async fn back(app: &App, browser: &HttpRequest, asked: &Asked, flow: Flow) -> Result<HttpResponse, Stop> {
    let now = app.clock.now();
    let over = flow.is_over(now, app.rules.flow_ttl) || app.finished.is_login_over(flow.id, flow.consent_id(), now);
    let decision = match &flow.login {
        Some(_) if over => return Err(refuse(app, asked, denied())),
        Some(Decision::Accepted(decision)) => decision.clone(),
        Some(Decision::Rejected(no)) => {
            app.metrics.login_request(FlowOutcome::Rejected);
            let stop = rejected(app, asked, &flow, no, LOGIN_DENIED).await?;
            audit::tell(AuditEvent::LoginRejected, || Facts {
                error_reason: Some(no.name(LOGIN_DENIED).into()),
                ..audited::flow(&flow)
            });
            return Err(stop);
        }
        None => return Err(refuse(app, asked, denied())),
    };
    if let Some(fault) = cookies::csrf_fault(app, browser, Step::Login, flow.id) {
        return Err(refuse(app, asked, OAuthError::new(ErrorCode::RequestForbidden, fault)));
    }
    let fits = Expected::read(app, asked)?.fits(app, asked, &decision.subject).await?;
    login::holds(&asked.request, &flow, &decision, |_| fits).map_err(|e| refuse(app, asked, e))?;
    write(app, asked, &flow, &decision).await?;
    app.metrics.login_request(FlowOutcome::Accepted);
    audit::tell(AuditEvent::LoginAccepted, || Facts {
        subject: Some(decision.subject.as_str().into()),
        ..audited::flow(&flow)
    });
    let mut response = consent::start(app, asked, flow.clone(), &decision).await?;
    cookies::end_step(app, &mut response, Step::Login, flow.id);
    keep_session(app, &mut response, &flow, &decision)?;
    app.finished.login(flow.id);
    Ok(response)
}

/// What the app refused, in its words; a device hears it at its next poll.
pub(super) async fn rejected(
    app: &App,
    asked: &Asked,
    flow: &Flow,
    no: &crate::domain::flow::Rejection,
    default: &str,
) -> Result<Stop, ApiError> {
    if flow.device.is_some() {
        app.flows.ask(Commit(FlowWrite::DenyDevice(flow.id))).await??;
        app.metrics.device_code(DeviceOutcome::Denied);
    }
    Ok(match &asked.request.target {
        Some(to) => Stop::Client(to.refusal_in_words(&app.rules.issuer, no.name(default), no.description())),
        None => Stop::Page(OAuthError::new(ErrorCode::AccessDenied, no.description())),
    })
}

/// Writes what must be: nothing for a login that is neither remembered nor ends an earlier one.
async fn write(app: &App, asked: &Asked, flow: &Flow, login: &LoginDecision) -> Result<(), Stop> {
    let new = flow.remembered.is_none();
    let (_, lives) = login::lifetime(login, app.rules.session_ttl);
    let ends = app.clock.now().plus(lives);
    let order = Login {
        remember: (new && login.remember).then(|| LoginSession {
            id: flow.session_id,
            subject: login.subject.clone(),
            authenticated_at: crate::domain::world::Timestamp::from_secs(login.auth_time),
            expires_at: ends,
            identity_provider_session_id: login.identity_provider_session_id.clone(),
        }),
        extend: (!new && login.extend).then_some((flow.session_id, ends)),
        ends: flow.ends.filter(|_| new),
        forced: (!login.forced_subject.is_empty()).then(|| ForcedSubject {
            client_id: asked.request.client_id.clone(),
            subject: login.subject.clone(),
            forced: login.forced_subject.clone(),
        }),
    };
    if order == Login::default() {
        return Ok(());
    }
    match app.flows.ask(Commit(FlowWrite::Login(order))).await?? {
        FlowVerdict::Done => Ok(()),
        _ => Err(refuse(app, asked, denied())),
    }
}

/// The browser's session cookie after a login.
fn keep_session(app: &App, response: &mut HttpResponse, flow: &Flow, login: &LoginDecision) -> Result<(), ApiError> {
    let new = flow.remembered.is_none();
    if login.remember && (new || login.extend) {
        let (age, _) = login::lifetime(login, app.rules.session_ttl);
        return cookies::remember(app, response, flow.session_id, age);
    }
    if new && flow.ends.is_some() {
        cookies::forget(app, response);
    }
    Ok(())
}
