//! Granting: to the consent page, and back from it with the answer.

use super::super::{App, audited};
use super::cookies::{self, Step};
use super::issue::Granting;
use super::login::{refuse, rejected};
use super::request::Asked;
use super::{Stop, issue, text, to_page, with_query};
use crate::actors::client_registry::Clients;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::flow::login::LoginDecision;
use crate::domain::flow::{Decision, Flow, Purpose, consent};
use crate::store::Consent;
use crate::telemetry::audit::{self, AuditEvent, Facts};
use crate::telemetry::labels::FlowOutcome;
use actix_web::{HttpRequest, HttpResponse};

/// To the consent page, whether an earlier consent will do or not (the app says yes by itself then).
///
/// # Errors
/// `consent_required` where no page may be shown.
pub(super) async fn start(
    app: &App,
    asked: &Asked,
    mut flow: Flow,
    login: &LoginDecision,
) -> Result<HttpResponse, Stop> {
    let client = &asked.client.client;
    let earlier = match may_be_remembered(asked) {
        true => app.store.previous_consent(&client.client_id, &login.subject).await?,
        false => None,
    };
    let covers = |earlier: &Consent| {
        consent::may_skip(&asked.request, client, &earlier.scope, app.rules.authorize.scope_strategy)
    };
    flow.earlier_consent = earlier.filter(covers).map(|earlier| earlier.id);
    flow.skip_consent = flow.earlier_consent.is_some();
    if asked.request.prompt.none && !flow.skip_consent {
        return Err(refuse(app, asked, consent::required()));
    }
    flow.query = asked.sent.as_sent();
    let challenge = text(app, Purpose::ConsentChallenge, &flow, flow.began().plus(app.rules.flow_ttl)).await?;
    let mut response = to_page(&with_query(&app.rules.pages.consent, &[("consent_challenge", &challenge)]));
    cookies::begin_step(app, &mut response, Step::Consent, flow.id);
    Ok(response)
}

/// Whether an earlier consent has to be looked for. With no page to fall back on it always is: the client's row may be
/// a moment old.
fn may_be_remembered(asked: &Asked) -> bool {
    !asked.request.prompt.consent && (asked.client.has_remembered_consent || asked.request.prompt.none)
}

fn denied(hint: &str) -> OAuthError {
    OAuthError::new(ErrorCode::AccessDenied, hint)
}

/// `error` of a consent that the app rejected without one.
const CONSENT_DENIED: &str = "consent request denied";
const NOT_GRANTED: &str = "The consent verifier has already been used, has not been granted, or is invalid.";

/// Ends a consent: what was granted is written with what is issued on it, and the client has its answer.
///
/// # Errors
/// `access_denied` for a verifier that is used, over, or nobody's; `request_forbidden` for another browser's; what the
/// app refused.
pub async fn back(
    app: &App,
    clients: &Clients,
    browser: &HttpRequest,
    asked: Asked,
    flow: Flow,
) -> Result<HttpResponse, Stop> {
    let now = app.clock.now();
    if flow.is_over(now, app.rules.flow_ttl) || app.finished.is_consent_over(flow.consent_id(), now) {
        return Err(refuse(app, &asked, denied(NOT_GRANTED)));
    }
    let (login, granted) = match (&flow.login, &flow.consent) {
        (Some(Decision::Accepted(login)), Some(Decision::Accepted(granted))) => (login.clone(), granted.clone()),
        (_, Some(Decision::Rejected(no))) => {
            app.metrics.consent_request(FlowOutcome::Rejected);
            let stop = rejected(app, &asked, &flow, no, CONSENT_DENIED).await?;
            audit::tell(AuditEvent::ConsentRejected, || Facts {
                subject: flow.accepted_login().map(|login| login.subject.as_str().into()),
                error_reason: Some(no.name(CONSENT_DENIED).into()),
                ..audited::flow(&flow)
            });
            return Err(stop);
        }
        _ => return Err(refuse(app, &asked, denied(NOT_GRANTED))),
    };
    if let Some(fault) = cookies::csrf_fault(app, browser, Step::Consent, flow.id) {
        return Err(refuse(app, &asked, OAuthError::new(ErrorCode::RequestForbidden, fault)));
    }
    let mut response =
        issue::answer(app, clients, asked, Granting { flow: &flow, login: &login, granted: &granted }).await?;
    app.metrics.consent_request(FlowOutcome::Accepted);
    audit::tell(AuditEvent::ConsentAccepted, || Facts {
        subject: Some(login.subject.as_str().into()),
        ..audited::flow(&flow)
    });
    app.finished.consent(flow.consent_id());
    cookies::end_step(app, &mut response, Step::Consent, flow.id);
    Ok(response)
}
