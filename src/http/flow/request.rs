//! An authorization request with all that it stands on: the client, its request object, the checks.

use super::super::client_auth::find;
use super::super::form::Form;
use super::super::{ApiError, App};
use super::Stop;
use crate::actors::client_registry::Clients;
use crate::crypto::jose::{Claims, Unverified};
use crate::crypto::jwk::{Alg, parse_set};
use crate::domain::authorize::parameters::Parameters;
use crate::domain::authorize::{self, AuthorizeRequest, Refused, checks, request_object};
use crate::domain::client::{Client, RegisteredClient};
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::flow::Flow;
use crate::domain::scope::parse_scope;
use actix_web::{HttpRequest, web};
use std::sync::Arc;

/// What a browser brings back; no parameters of the request.
const VERIFIERS: [&str; 3] = ["login_verifier", "consent_verifier", "device_verifier"];
/// Largest request object that is fetched, in bytes.
const OBJECT: usize = 256 * 1024;

/// An authorization request that may go on.
pub struct Asked {
    /// Who asks.
    pub client: Arc<RegisteredClient>,
    /// What was sent, without verifiers.
    pub sent: Parameters,
    /// What counts, where a request object changed it.
    pub effective: Option<Parameters>,
    /// What is asked for.
    pub request: AuthorizeRequest,
}

/// The parameters of a request to the authorization endpoint: query, and body of a POST.
///
/// # Errors
/// `invalid_request` for the error page; 408, 413, 415.
pub async fn parameters(request: &HttpRequest, payload: web::Payload) -> Result<Parameters, Stop> {
    let unreadable =
        |e: authorize::parameters::Unreadable| Stop::Page(OAuthError::new(ErrorCode::InvalidRequest, e.to_string()));
    let mut all = Parameters::parse(request.query_string()).map_err(unreadable)?;
    if request.method() == actix_web::http::Method::POST {
        let body = Form::read_text(request, payload).await?;
        all.extend(Parameters::parse(&body).map_err(unreadable)?);
    }
    Ok(all)
}

/// The client of a request.
///
/// # Errors
/// `invalid_client` for the error page; 503.
pub async fn client(clients: &Clients, all: &Parameters) -> Result<Arc<RegisteredClient>, Stop> {
    let found = find(clients, all.text("client_id"), false).await?;
    found.ok_or_else(|| {
        Stop::Page(OAuthError::new(ErrorCode::InvalidClient, "The requested OAuth 2.0 Client does not exist."))
    })
}

/// Checks a request. `known` are the parameters that counted when the flow began with a request object: it is not
/// fetched again on the way back.
///
/// # Errors
/// The first check that fails.
pub async fn check(app: &App, clients: &Clients, all: &Parameters, known: Option<&str>) -> Result<Asked, Stop> {
    let client = client(clients, all).await?;
    let sent = all.without(&VERIFIERS);
    let effective = match known {
        Some(query) => Parameters::parse(query).ok(),
        None => with_object(app, &client.client, &sent).await?,
    };
    let checked = authorize::check(effective.as_ref().unwrap_or(&sent), &client.client, &app.rules.authorize);
    let request = checked.map_err(|refused| Stop::refused(app, refused))?;
    Ok(Asked { client, sent, effective, request })
}

/// The parameters with those of the request object, if there is one that counts: OpenID Connect's, so `openid` must be
/// asked for beside it.
async fn with_object(app: &App, client: &Client, sent: &Parameters) -> Result<Option<Parameters>, Stop> {
    let (value, reference) = (sent.get("request"), sent.get("request_uri"));
    if (value, reference) == (None, None) || !parse_scope(sent.text("scope")).iter().any(|s| s == "openid") {
        return Ok(None);
    }
    match object(app, client, value, reference).await {
        Ok(claims) => {
            let merged = request_object::merge(sent, &claims, &app.rules.issuer, app.clock.now());
            merged.map(Some).map_err(|error| refused(app, client, sent, error))
        }
        Err(Object::Refused(error)) => Err(refused(app, client, sent, error)),
        Err(Object::Fault(fault)) => Err(Stop::Fault(fault)),
    }
}

/// Told to the client where its address is certain without the object.
fn refused(app: &App, client: &Client, sent: &Parameters, error: OAuthError) -> Stop {
    let asked = checks::Asked { p: sent, client, rules: &app.rules.authorize };
    let to = checks::redirect_uri(&asked).ok().map(|uri| Box::new(asked.target(uri)));
    Stop::refused(app, Refused { error, to })
}

/// The request of a flow that was checked when it began.
pub fn rebuilt(flow: &Flow) -> AuthorizeRequest {
    if let Some(device) = &flow.device {
        let (scope, audience) = (device.scope.clone(), device.audience.clone());
        return AuthorizeRequest { client_id: flow.client_id.clone(), scope, audience, ..AuthorizeRequest::default() };
    }
    let query = flow.effective.as_deref().unwrap_or(&flow.query);
    AuthorizeRequest::unchecked(&Parameters::parse(query).unwrap_or_default())
}

enum Object {
    Refused(OAuthError),
    Fault(ApiError),
}

impl From<OAuthError> for Object {
    fn from(e: OAuthError) -> Self {
        Self::Refused(e)
    }
}

async fn object(app: &App, client: &Client, value: Option<&str>, reference: Option<&str>) -> Result<Claims, Object> {
    let text = match (value, reference) {
        (Some(_), Some(_)) => {
            let hint =
                "OpenID Connect parameters 'request' and 'request_uri' were both given, but you can use at most one.";
            return Err(OAuthError::new(ErrorCode::InvalidRequest, hint).into());
        }
        (Some(text), None) => text.to_owned(),
        (None, reference) => fetched(app, client, reference.unwrap_or_default()).await?,
    };
    verified(app, client, text.trim()).await
}

/// Only an address that the client registered is ever fetched.
async fn fetched(app: &App, client: &Client, address: &str) -> Result<String, OAuthError> {
    let bad = |hint: &str| OAuthError::new(ErrorCode::InvalidRequestUri, hint);
    if !client.request_uris.iter().any(|uri| uri == address) {
        return Err(bad("Request URI is not whitelisted by the OAuth 2.0 Client."));
    }
    let fault =
        |why: String| bad("Unable to fetch OpenID Connect request parameters from the request_uri.").with_debug(why);
    let body = app.outbound.fetch(address, OBJECT).await.map_err(fault)?;
    String::from_utf8(body).map_err(|e| fault(e.to_string()))
}

async fn verified(app: &App, client: &Client, text: &str) -> Result<Claims, Object> {
    let bad = |hint: &str, why: &dyn std::fmt::Display| {
        Object::Refused(OAuthError::new(ErrorCode::InvalidRequestObject, hint).with_debug(why.to_string()))
    };
    let registered = client.request_object_signing_alg.as_str();
    if let Some(claims) = Unverified::parse_unsigned(text) {
        return if registered == "none" {
            Ok(claims)
        } else {
            Err(OAuthError::new(
                ErrorCode::RequestNotSupported,
                "A request object with alg 'none' needs a client that registered request_object_signing_alg 'none'.",
            )
            .into())
        };
    }
    if client.jwks_uri.is_empty() && parse_set(&client.jwks).is_empty() {
        let hint = "OpenID Connect 'request' or 'request_uri' context was given, but the OAuth 2.0 Client does not have any JSON Web Keys registered.";
        return Err(OAuthError::new(ErrorCode::InvalidRequest, hint).into());
    }
    let token = Unverified::parse(text).map_err(|e| bad("The request object is not a well-formed JWT.", &e))?;
    let allowed: Vec<Alg> = match registered {
        "" => Alg::ALL.to_vec(),
        alg => alg.parse().into_iter().collect(),
    };
    match app.jwks.verify(client, &token, &allowed).await {
        Ok(verified) => {
            verified.map_err(|e| bad("Unable to verify the request object's signature with the client's keys.", &e))
        }
        Err(ApiError::OAuth(e)) => Err(bad("The client's keys at its jwks_uri could not be read.", &e)),
        Err(fault) => Err(Object::Fault(fault)),
    }
}
