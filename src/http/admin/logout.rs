//! `/admin/oauth2/auth/requests/logout`: what the logout page asks and answers.

use super::client_json::shown_registered;
use crate::actors::client_registry::Clients;
use crate::domain::authorize::parameters::Parameters;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::flow::Purpose;
use crate::domain::flow::logout::LogoutFlow;
use crate::domain::world::Timestamp;
use crate::http::flow::{open, text};
use crate::http::{ApiError, App, reply};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

/// Mounts the routes.
pub fn routes(cfg: &mut web::ServiceConfig) {
    let base = "/admin/oauth2/auth/requests/logout";
    let put = || reply::method_not_allowed("PUT");
    cfg.service(web::resource(base).route(web::get().to(get)).default_service(reply::method_not_allowed("GET")))
        .service(web::resource(format!("{base}/accept")).route(web::put().to(accept)).default_service(put()))
        .service(web::resource(format!("{base}/reject")).route(web::put().to(reject)).default_service(put()));
}

/// Opens the challenge of a request.
///
/// # Errors
/// 404 without one or for one that we did not make, 401 for one that is over.
async fn opened(app: &App, request: &HttpRequest) -> Result<(LogoutFlow, String), ApiError> {
    let query = Parameters::parse(request.query_string()).unwrap_or_default();
    let name = Purpose::LogoutChallenge.name();
    let challenge = query.get(name).or_else(|| query.get("challenge")).ok_or(ApiError::NotFound)?;
    let flow: LogoutFlow = open(app, Purpose::LogoutChallenge, challenge).await?.ok_or(ApiError::NotFound)?;
    if flow.ends(app.rules.flow_ttl) <= app.clock.now() {
        let hint = "The logout request has expired, please try again.";
        return Err(OAuthError::new(ErrorCode::RequestUnauthorized, hint).into());
    }
    Ok((flow, challenge.to_owned()))
}

/// `GET …/logout`; 410 once the session has ended.
///
/// # Errors
/// 401, 404.
pub async fn get(
    app: web::Data<App>,
    clients: web::Data<Clients>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (flow, challenge) = opened(&app, &request).await?;
    if app.finished.is_logout_over(flow.session_id) {
        return Ok(reply::json(410, &json!({"redirect_to": flow.request_url})));
    }
    let client = match flow.client_id.as_str() {
        "" => None,
        id => clients.get(id).await?,
    };
    let client = client.map(|c| shown_registered(&c).map(Value::Object)).transpose()?;
    Ok(reply::json(
        200,
        &json!({
            "challenge": challenge,
            "subject": flow.subject,
            "sid": flow.session_id,
            "request_url": flow.request_url,
            "rp_initiated": flow.rp_initiated,
            "requested_at": Timestamp::from_secs(flow.requested_at).rfc3339(),
            "expires_at": flow.ends(app.rules.flow_ttl).rfc3339(),
            "client": client,
        }),
    ))
}

/// `PUT …/logout/accept`.
///
/// # Errors
/// 401, 404.
pub async fn accept(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let (flow, _) = opened(&app, &request).await?;
    let verifier = text(&app, Purpose::LogoutVerifier, &flow, flow.ends(app.rules.flow_ttl)).await?;
    let to = format!("{}/oauth2/sessions/logout?{}={verifier}", app.rules.public_url, Purpose::LogoutVerifier.name());
    Ok(reply::json(200, &json!({"redirect_to": to})))
}

/// `PUT …/logout/reject`: the user stays signed in.
///
/// # Errors
/// 401, 404.
pub async fn reject(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    opened(&app, &request).await?;
    Ok(HttpResponse::NoContent().finish())
}
