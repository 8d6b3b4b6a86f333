//! `POST /oauth2/device/auth` (RFC 8628 §3.1): a device without a browser asks for a code that its user enters
//! elsewhere.

use crate::actors::client_registry::Clients;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::grant::device_code::check_request;
use crate::domain::scope::{parse_audience, parse_scope};
use crate::domain::token::opaque::{Minted, TokenKind};
use crate::http::client_auth::{Authenticated, authenticate, credential, tries_basic, use_up};
use crate::http::form::Form;
use crate::http::{ApiError, App, reply};
use crate::store::{DeviceRequest, StoreError};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use std::time::Duration;

/// A user code that another device has is made anew this often: more means that the codes are too short.
const TRIES: usize = 3;

/// How devices are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRules {
    /// How long both codes live.
    pub lifespan: Duration,
    /// Seconds between polls.
    pub interval: u32,
}

/// The answer (RFC 8628 §3.2).
#[derive(Serialize)]
struct Answer {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: String,
    expires_in: u64,
    interval: u32,
}

/// The handler.
pub async fn device_auth(
    app: web::Data<App>,
    clients: web::Data<Clients>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let outcome = respond(&app, &clients, &request, payload).await;
    outcome.unwrap_or_else(|e| e.oauth_response(app.rules.expose_internal_errors, tries_basic(&request)))
}

async fn respond(
    app: &App,
    clients: &Clients,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let form = Form::read(request, payload).await?;
    let credential = credential(request, &form)?;
    let minted = app.opaque.mint(TokenKind::Device, &app.entropy.bytes()?);
    let mut who = authenticate(app, clients, &credential, false).await?;
    if clients.has_changed(&who.client.client.client_id, who.client.version).await? {
        who = authenticate(app, clients, &credential, true).await?;
    }
    let device = asked(app, &who, &form, &minted)?;
    use_up(app, &who).await?;
    let user_code = create(app, device, who.client.version).await?;
    let verification_uri = format!("{}/oauth2/device/verify", app.rules.public_url);
    let typed: String = url::form_urlencoded::byte_serialize(user_code.as_bytes()).collect();
    reply::oauth(&Answer {
        device_code: minted.token,
        user_code,
        verification_uri_complete: format!("{verification_uri}?user_code={typed}"),
        verification_uri,
        expires_in: app.rules.device.lifespan.as_secs(),
        interval: app.rules.device.interval,
    })
}

/// The row, but for its user code.
fn asked(app: &App, who: &Authenticated, form: &Form, minted: &Minted) -> Result<DeviceRequest, OAuthError> {
    let client = &who.client.client;
    if form.get("client_id").is_some_and(|id| id != client.client_id) {
        return Err(OAuthError::new(ErrorCode::InvalidRequest, "Provided client_id mismatch."));
    }
    let scope = parse_scope(form.get("scope").unwrap_or_default());
    let audience = parse_audience(form.all("audience"));
    check_request(client, &scope, &audience, app.rules.scope_strategy)?;
    let now = app.clock.now().whole_second();
    Ok(DeviceRequest {
        signature: minted.signature,
        user_code: [0; 32],
        client_id: client.client_id.clone(),
        scope,
        audience,
        requested_at: now,
        expires_at: now.plus(app.rules.device.lifespan),
        interval: app.rules.device.interval,
        flow_id: None,
    })
}

/// Writes the row with a user code that no other device has; the code.
async fn create(app: &App, mut device: DeviceRequest, client_version: i64) -> Result<String, ApiError> {
    for _ in 0..TRIES {
        let user_code = app.user_codes.generate(&*app.entropy)?;
        device.user_code = app.user_codes.hash(&user_code);
        match app.store.create_device(&device, client_version).await {
            Ok(()) => return Ok(user_code),
            Err(StoreError::Conflict) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Err(ApiError::Unavailable("every user code that was drawn belongs to another device".to_owned()))
}
