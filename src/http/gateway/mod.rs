//! The gateway listener: for API gateways and resource servers, and for nobody else. What it serves it serves without the
//! admin API beside it, so that a network policy can let gateways in. Whoever introspects proves who it is; `/authz` asks
//! for the token alone.

pub mod authz;
pub mod resource_server;

use super::form::{Form, Json};
use super::introspection::{self, batch};
use super::public::well_known;
use super::{ApiError, App, health, reply};
use crate::actors::client_registry::Clients;
use crate::domain::error::ErrorCode;
use crate::domain::gateway::Policy;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, web};
use std::collections::BTreeMap;

/// What the operator decided for gateways.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// What `/authz/{policy}` asks of a token.
    pub policies: BTreeMap<String, Policy>,
    /// The clients that may introspect; empty for every confidential one.
    pub resource_servers: Vec<String>,
}

/// Every method and pattern that [`routes`] mounts, for metrics that are there from the start.
pub const ROUTES: [(&str, &str); 7] = [
    ("POST", "/oauth2/introspect"),
    ("POST", "/oauth2/introspect/batch"),
    ("GET", "/authz/{policy}"),
    ("GET", "/authz"),
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/health/alive"),
    ("GET", "/health/ready"),
];

/// Challenges (RFC 6750 §3).
const NO_TOKEN: &str = "Bearer realm=\"signet\"";
const INVALID_TOKEN: &str = "Bearer realm=\"signet\", error=\"invalid_token\"";
const INSUFFICIENT_SCOPE: &str = "Bearer realm=\"signet\", error=\"insufficient_scope\", scope=\"introspect\"";

/// Mounts every route. The middleware has cut `/authz/{policy}` off from what gateways append to it.
pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.service(web::resource(["/authz/{policy}", "/authz"]).to(authz::authz))
        .service(
            web::resource("/oauth2/introspect")
                .route(web::post().to(introspect))
                .default_service(reply::method_not_allowed("POST")),
        )
        .service(
            web::resource("/oauth2/introspect/batch")
                .route(web::post().to(introspect_batch))
                .default_service(reply::method_not_allowed("POST")),
        )
        .service(
            web::resource("/.well-known/jwks.json")
                .route(web::get().to(well_known::jwks))
                .default_service(reply::method_not_allowed("GET")),
        )
        .route("/health/alive", web::get().to(health::alive))
        .route("/health/ready", web::get().to(health::ready_public))
        .default_service(web::to(reply::not_found_text));
}

/// `POST /oauth2/introspect` of a resource server (RFC 7662 §2.1).
pub async fn introspect(
    app: web::Data<App>,
    clients: web::Data<Clients>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let asked = async {
        let form = Form::read_either(&request, payload).await?;
        let caller = resource_server::of(&app, &clients, &request, &form).await?;
        Ok((form, caller))
    };
    match asked.await {
        Ok((form, caller)) => introspection::respond(&app, &request, Ok(form), Some(&caller)).await,
        Err(e) => refusal(&app, &request, &e),
    }
}

/// `POST /oauth2/introspect/batch` of a resource server.
pub async fn introspect_batch(
    app: web::Data<App>,
    clients: web::Data<Clients>,
    request: HttpRequest,
    body: Json,
) -> HttpResponse {
    let answer = async {
        resource_server::of(&app, &clients, &request, &Form::none()).await?;
        batch::respond(&app, &body).await
    };
    answer.await.unwrap_or_else(|e| refusal(&app, &request, &e))
}

/// A 401 names both schemes that would do (RFC 6749 §5.2, RFC 6750 §3).
fn refusal(app: &App, request: &HttpRequest, e: &ApiError) -> HttpResponse {
    let mut answer = e.oauth_response(app.rules.expose_internal_errors, true);
    let challenge = match e {
        ApiError::OAuth(of) if of.code == ErrorCode::InsufficientScope => INSUFFICIENT_SCOPE,
        _ if answer.status() != StatusCode::UNAUTHORIZED => return answer,
        _ if matches!(authz::bearer(request), Ok(Some(_))) => INVALID_TOKEN,
        _ => NO_TOKEN,
    };
    answer.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    answer
}
