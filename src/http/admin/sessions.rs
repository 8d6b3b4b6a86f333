//! `/admin/oauth2/auth/sessions`: consents and logins that an operator lists and ends.

use super::flow_json::{consent_of_list, return_address_of};
use super::paging::Paging;
use crate::actors::client_registry::Clients;
use crate::domain::authorize::parameters::Parameters;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::world::Timestamp;
use crate::http::flow::issue::open_detail;
use crate::http::session_end;
use crate::http::{ApiError, App, audited, reply};
use crate::store::{Consent, ConsentFilter, ConsentPage};
use crate::telemetry::audit::{self, AuditEvent};
use actix_web::http::header::LINK;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use uuid::Uuid;

const CONSENTS: &str = "/admin/oauth2/auth/sessions/consent";

/// Mounts the routes.
pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.service(
        web::resource(CONSENTS)
            .route(web::get().to(list_consents))
            .route(web::delete().to(revoke_consents))
            .default_service(reply::method_not_allowed("GET, DELETE")),
    )
    .service(
        web::resource("/admin/oauth2/auth/sessions/login")
            .route(web::delete().to(end_logins))
            .default_service(reply::method_not_allowed("DELETE")),
    );
}

fn bad(hint: &str) -> ApiError {
    OAuthError::new(ErrorCode::InvalidRequest, hint).into()
}

fn query(request: &HttpRequest) -> Result<Parameters, ApiError> {
    Parameters::parse(request.query_string()).map_err(|e| bad(&e.to_string()))
}

/// `DELETE …/consent`: one by `consent_request_id`, a subject's to one `client`, or `all=true` of a subject's. What was
/// issued on them ends with them.
///
/// # Errors
/// 400 for another combination; 503.
pub async fn revoke_consents(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let q = query(&request)?;
    let filter = match (q.get("consent_request_id"), q.get("subject"), q.get("client"), q.get("all")) {
        (Some(id), None, None, None) => match Uuid::parse_str(id) {
            Ok(id) => ConsentFilter::Id(id),
            // Nobody's: nothing to revoke.
            Err(_) => return Ok(HttpResponse::NoContent().finish()),
        },
        (None, Some(subject), Some(client_id), None | Some("false")) => {
            ConsentFilter::Client { subject: subject.to_owned(), client_id: client_id.to_owned() }
        }
        (None, Some(subject), None, Some("true")) => ConsentFilter::Subject(subject.to_owned()),
        _ => return Err(bad("Invalid combination of query parameters.")),
    };
    if app.store.revoke_consents(&filter).await? > 0 {
        audit::tell(AuditEvent::ConsentRevoked, || audited::consents(&filter));
    }
    Ok(HttpResponse::NoContent().finish())
}

/// `DELETE …/login`: every login of a `subject`, silently; or the one of a `sid`, with a logout for its clients.
///
/// # Errors
/// 400 for neither; 503.
pub async fn end_logins(
    app: web::Data<App>,
    clients: web::Data<Clients>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let q = query(&request)?;
    match (q.get("subject"), q.get("sid")) {
        (Some(subject), None) => {
            app.store.end_sessions_of_subject(subject).await?;
        }
        (None, Some(sid)) => {
            if let Ok(sid) = Uuid::parse_str(sid) {
                end_one(&app, &clients, sid).await?;
            }
        }
        _ => return Err(bad("Either 'subject' or 'sid' query parameters need to be defined.")),
    }
    Ok(HttpResponse::NoContent().finish())
}

async fn end_one(app: &App, clients: &Clients, sid: Uuid) -> Result<(), ApiError> {
    let subject = match app.store.login_session(sid).await? {
        Some(session) => Some(session.subject),
        None => app.store.subject_of_session(sid).await?,
    };
    if let Some(subject) = subject {
        session_end::end(app, clients, sid, &subject).await?;
    }
    Ok(())
}

/// `GET …/consent?subject=`, newest first.
///
/// # Errors
/// 400 without a subject or with a page token of another list; 503.
pub async fn list_consents(
    app: web::Data<App>,
    clients: web::Data<Clients>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let paging = Paging::read(CONSENTS, "consents", ["subject", "login_session_id"], request.query_string())?;
    let missing = || bad("Query parameter 'subject' is not defined but should have been.");
    let subject = paging.filter("subject").ok_or_else(missing)?.to_owned();
    let before = paging.after(&app)?.as_deref().and_then(place);
    let session_id = match paging.filter("login_session_id").map(Uuid::parse_str).transpose() {
        Ok(id) => id,
        // Nobody's: nothing was granted in it.
        Err(_) => return Ok(reply::json(200, &json!([]))),
    };
    let page = ConsentPage { subject, session_id, before, limit: paging.size + 1 };
    let mut found = app.store.consents(&page).await?;
    let more = found.len() > paging.size;
    found.truncate(paging.size);
    let mut shown = Vec::with_capacity(found.len());
    for consent in &found {
        shown.extend(show(&app, &clients, consent).await?);
    }
    let mut response = reply::json(200, &shown);
    if let Some(last) = found.last() {
        let next = more.then(|| format!("{}/{}", last.handled_at.micros(), last.id));
        response.headers_mut().insert(LINK, paging.links(&app, next.as_deref())?);
    }
    Ok(response)
}

/// Where a page goes on: the last consent before it.
fn place(text: &str) -> Option<(Timestamp, Uuid)> {
    let (micros, id) = text.split_once('/')?;
    Some((Timestamp::from_micros(micros.parse().ok()?), Uuid::parse_str(id).ok()?))
}

/// A consent as it is listed; `None` when the secret that sealed it was dropped, or its client is gone.
async fn show(app: &App, clients: &Clients, consent: &Consent) -> Result<Option<Value>, ApiError> {
    let (Some(detail), Some(client)) = (open_detail(app, consent)?, clients.get(&consent.client_id).await?) else {
        return Ok(None);
    };
    let granted = &detail.granted;
    Ok(Some(json!({
        "consent_request_id": consent.id.simple().to_string(),
        "consent_request": consent_of_list(&return_address_of(app, &detail), &client, consent, &detail)?,
        "grant_scope": consent.scope,
        "grant_access_token_audience": consent.audience,
        "session": {"access_token": granted.access_claims, "id_token": granted.id_claims},
        "remember": granted.remember,
        "remember_for": granted.remember_for,
        "handled_at": consent.handled_at.whole_second().rfc3339(),
        "context": if granted.context.is_null() { &detail.login.context } else { &granted.context },
    })))
}
