//! `/admin/oauth2/auth/requests/login` and `…/consent`: what the login & consent app asks and answers. No statement is
//! run: the state travels in the challenge.

use super::flow_json;
use crate::actors::client_registry::Clients;
use crate::domain::authorize::parameters::Parameters;
use crate::domain::client::RegisteredClient;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::flow::consent::{self, ConsentAcceptance, ConsentDecision};
use crate::domain::flow::login::{self, Accepted, LoginAcceptance, LoginDecision};
use crate::domain::flow::{Decision, Flow, Purpose, Rejection};
use crate::http::flow::request::rebuilt;
use crate::http::flow::{open, text};
use crate::http::form::Json;
use crate::http::{ApiError, App, reply};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::sync::Arc;

/// Mounts the routes.
pub fn routes(cfg: &mut web::ServiceConfig) {
    let get = || reply::method_not_allowed("GET");
    let put = || reply::method_not_allowed("PUT");
    let base = "/admin/oauth2/auth/requests";
    cfg.service(web::resource(format!("{base}/login")).route(web::get().to(get_login)).default_service(get()))
        .service(
            web::resource(format!("{base}/login/accept")).route(web::put().to(accept_login)).default_service(put()),
        )
        .service(
            web::resource(format!("{base}/login/reject")).route(web::put().to(reject_login)).default_service(put()),
        )
        .service(web::resource(format!("{base}/consent")).route(web::get().to(get_consent)).default_service(get()))
        .service(
            web::resource(format!("{base}/consent/accept")).route(web::put().to(accept_consent)).default_service(put()),
        )
        .service(
            web::resource(format!("{base}/consent/reject")).route(web::put().to(reject_consent)).default_service(put()),
        );
}

/// The challenge of a request, by its own name or by Hydra's short one.
///
/// # Errors
/// `invalid_request` when it is missing.
pub fn challenge(request: &HttpRequest, name: &str) -> Result<String, ApiError> {
    let query = Parameters::parse(request.query_string()).unwrap_or_default();
    let found = query.get(name).or_else(|| query.get("challenge"));
    found.map(str::to_owned).ok_or_else(|| {
        let hint = "Query parameter 'challenge' is not defined but should have been.";
        OAuthError::new(ErrorCode::InvalidRequest, hint).into()
    })
}

/// The body of an answer; nothing stands for an empty object.
///
/// # Errors
/// `invalid_request` when it cannot be read.
pub fn body<T: DeserializeOwned + Default>(bytes: &[u8]) -> Result<T, ApiError> {
    let undecodable = |why: String| {
        let hint = format!("Unable to decode body because: {why}");
        ApiError::from(OAuthError::new(ErrorCode::InvalidRequest, hint))
    };
    serde_json::from_slice(bytes)
        .map_err(|e| undecodable(if e.is_eof() { "unexpected EOF".to_owned() } else { e.to_string() }))
}

/// A flow and its client.
struct Open {
    flow: Flow,
    challenge: String,
    client: Arc<RegisteredClient>,
}

/// Opens a challenge.
///
/// # Errors
/// 400 without one, 404 for one that we did not make, 401 for one that is over.
async fn opened(app: &App, clients: &Clients, request: &HttpRequest, purpose: Purpose) -> Result<Open, ApiError> {
    let challenge = challenge(request, purpose.name())?;
    let flow: Flow = open(app, purpose, &challenge).await?.ok_or(ApiError::NotFoundNamed)?;
    if flow.is_over(app.clock.now(), app.rules.flow_ttl) {
        let what = if purpose == Purpose::LoginChallenge { "login" } else { "consent" };
        let hint = format!("The {what} request has expired, please try again.");
        return Err(OAuthError::new(ErrorCode::RequestUnauthorized, hint).into());
    }
    let client = clients.get(&flow.client_id).await?.ok_or(ApiError::NotFoundNamed)?;
    Ok(Open { flow, challenge, client })
}

/// 410 with the way to a new flow: this one is over.
fn gone(app: &App, flow: &Flow) -> HttpResponse {
    reply::json(410, &json!({"redirect_to": flow_json::request_url(app, flow)}))
}

/// `GET …/login`.
///
/// # Errors
/// 400, 401, 404; 410 is an answer.
pub async fn get_login(
    app: web::Data<App>,
    clients: web::Data<Clients>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let open = opened(&app, &clients, &request, Purpose::LoginChallenge).await?;
    if app.finished.is_login_over(open.flow.id, open.flow.consent_id(), app.clock.now()) {
        return Ok(gone(&app, &open.flow));
    }
    Ok(reply::json(200, &flow_json::login(&app, &open.client, &open.flow, &open.challenge)?))
}

/// `PUT …/login/accept`. May be repeated: the browser's back button does so.
///
/// # Errors
/// 400, 401, 404.
pub async fn accept_login(
    app: web::Data<App>,
    clients: web::Data<Clients>,
    request: HttpRequest,
    bytes: Json,
) -> Result<HttpResponse, ApiError> {
    let open = opened(&app, &clients, &request, Purpose::LoginChallenge).await?;
    let body: LoginAcceptance = body(&bytes)?;
    match login::accept(&open.flow, body, app.clock.now())? {
        Accepted::Login(decision) => login_decided(&app, open.flow, Decision::Accepted(*decision)).await,
        Accepted::AskAgain => {
            let mut again = sent(&open.flow);
            again.set("prompt", "login");
            let to = format!("{}?{}", flow_json::return_address(&app, &open.flow), again.to_query());
            Ok(reply::json(200, &json!({"redirect_to": to})))
        }
    }
}

/// `PUT …/login/reject`.
///
/// # Errors
/// 400, 401, 404.
pub async fn reject_login(
    app: web::Data<App>,
    clients: web::Data<Clients>,
    request: HttpRequest,
    bytes: Json,
) -> Result<HttpResponse, ApiError> {
    let open = opened(&app, &clients, &request, Purpose::LoginChallenge).await?;
    let no: Rejection = body(&bytes)?;
    login_decided(&app, open.flow, Decision::Rejected(no)).await
}

async fn login_decided(app: &App, flow: Flow, decision: Decision<LoginDecision>) -> Result<HttpResponse, ApiError> {
    on_the_way(app, Purpose::LoginVerifier, Flow { login: Some(decision), ..flow }).await
}

/// `GET …/consent`.
///
/// # Errors
/// 400, 401, 404; 410 is an answer.
pub async fn get_consent(
    app: web::Data<App>,
    clients: web::Data<Clients>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let open = opened(&app, &clients, &request, Purpose::ConsentChallenge).await?;
    let login = open.flow.accepted_login().ok_or(ApiError::NotFoundNamed)?;
    if app.finished.is_consent_over(open.flow.consent_id(), app.clock.now()) {
        return Ok(gone(&app, &open.flow));
    }
    Ok(reply::json(200, &flow_json::consent(&app, &open.client, &open.flow, login, &open.challenge)?))
}

/// `PUT …/consent/accept`. May be repeated.
///
/// # Errors
/// 400, 401, 404.
pub async fn accept_consent(
    app: web::Data<App>,
    clients: web::Data<Clients>,
    request: HttpRequest,
    bytes: Json,
) -> Result<HttpResponse, ApiError> {
    let open = opened(&app, &clients, &request, Purpose::ConsentChallenge).await?;
    let body: ConsentAcceptance = body(&bytes)?;
    let asked = rebuilt(&open.flow);
    let decision = consent::accept(&asked.scope, &asked.audience, body)?;
    consent_decided(&app, open.flow, Decision::Accepted(decision)).await
}

/// `PUT …/consent/reject`.
///
/// # Errors
/// 400, 401, 404.
pub async fn reject_consent(
    app: web::Data<App>,
    clients: web::Data<Clients>,
    request: HttpRequest,
    bytes: Json,
) -> Result<HttpResponse, ApiError> {
    let open = opened(&app, &clients, &request, Purpose::ConsentChallenge).await?;
    let no: Rejection = body(&bytes)?;
    consent_decided(&app, open.flow, Decision::Rejected(no)).await
}

async fn consent_decided(app: &App, flow: Flow, decision: Decision<ConsentDecision>) -> Result<HttpResponse, ApiError> {
    on_the_way(app, Purpose::ConsentVerifier, Flow { consent: Some(decision), ..flow }).await
}

fn sent(flow: &Flow) -> Parameters {
    Parameters::parse(&flow.query).unwrap_or_default()
}

/// Where the browser takes the decision.
async fn on_the_way(app: &App, purpose: Purpose, decided: Flow) -> Result<HttpResponse, ApiError> {
    let mut request = sent(&decided);
    let (address, ends) = (flow_json::return_address(app, &decided), decided.began().plus(app.rules.flow_ttl));
    let verifier = text(app, purpose, &decided.without_query(), ends).await?;
    request.push(purpose.name(), &verifier);
    Ok(reply::json(200, &json!({"redirect_to": format!("{address}?{}", request.to_query())})))
}
