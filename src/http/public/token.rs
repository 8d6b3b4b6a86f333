//! `POST /oauth2/token` (RFC 6749 §3.2), read from top to bottom: parse, find the client, decide, mint, commit, answer.

use crate::actors::client_registry::Clients;
use crate::actors::token_issuer::Commit;
use crate::crypto::jose::MAX_TOKEN;
use crate::domain::client::RegisteredClient;
use crate::domain::client_auth::Credential;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::grant::client_credentials::{self, Grant};
use crate::domain::scope::{parse_audience, parse_scope};
use crate::domain::token::jwt::{self, AccessClaims};
use crate::domain::token::opaque::TokenKind;
use crate::domain::world::Timestamp;
use crate::http::client_auth::{Authenticated, authenticate, credential, tries_basic};
use crate::http::form::Form;
use crate::http::{ApiError, App, hook, reply, session};
use crate::store::{AccessToken, Issue, JtiUse, Verdict, Write};
use crate::telemetry::labels::{AuthFailure, AuthMethod, Grant as GrantLabel, TokenResult, TokenType};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

/// A client that is changed while its request is decided on is decided on again this often.
const ATTEMPTS: usize = 3;

/// How long a slow signature may wait for its turn: who waits longer is better told to come again.
const SIGN_PATIENCE: Duration = Duration::from_secs(1);

/// Grants that a client may hold and that another release serves; `unauthorized_client` comes first for those without.
const OTHER_GRANTS: [&str; 4] = [
    "authorization_code",
    "refresh_token",
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
];

/// A successful answer (RFC 6749 §5.1).
#[derive(Serialize)]
struct Answer {
    access_token: String,
    expires_in: u64,
    scope: String,
    token_type: &'static str,
}

/// What the metric says of a request, filled in as it becomes known.
struct Told {
    grant: GrantLabel,
    method: AuthMethod,
}

/// The handler.
pub async fn token(
    app: web::Data<App>,
    clients: web::Data<Clients>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let mut told = Told { grant: GrantLabel::Other, method: AuthMethod::Unknown };
    let outcome = respond(&app, &clients, &request, payload, &mut told).await;
    let result = match &outcome {
        Ok(_) => TokenResult::Ok,
        Err(ApiError::OAuth(e)) => TokenResult::from_name(e.code.as_str()),
        Err(ApiError::Unavailable(_)) => TokenResult::TemporarilyUnavailable,
        Err(ApiError::Internal(_)) => TokenResult::ServerError,
        Err(_) => TokenResult::InvalidRequest,
    };
    app.metrics.token_request(told.grant, result, told.method);
    outcome.unwrap_or_else(|e| e.oauth_response(app.rules.expose_internal_errors, tries_basic(&request)))
}

async fn respond(
    app: &App,
    clients: &Clients,
    request: &HttpRequest,
    payload: web::Payload,
    told: &mut Told,
) -> Result<HttpResponse, ApiError> {
    let form = Form::read(request, payload).await?;
    let credential = credential(request, &form);
    let grant_type = grant_type(&form)?;
    told.grant = GrantLabel::from_name(grant_type);
    let credential = credential?;
    told.method = AuthMethod::from_name(credential.method());
    if grant_type != client_credentials::GRANT_TYPE {
        let who = authenticate(app, clients, &credential, false).await?;
        return Err(not_served(&who.client, grant_type).into());
    }
    client_credentials(app, clients, &credential, &form).await
}

/// The one grant type of the request.
fn grant_type(form: &Form) -> Result<&str, OAuthError> {
    match form.get("grant_type").filter(|g| !g.is_empty()) {
        None => Err(OAuthError::new(ErrorCode::InvalidRequest, "Request parameter 'grant_type' is missing")),
        Some(g) if g == client_credentials::GRANT_TYPE || OTHER_GRANTS.contains(&g) => Ok(g),
        Some(_) => Err(OAuthError::plain(ErrorCode::UnsupportedGrantType)),
    }
}

fn not_served(client: &RegisteredClient, grant_type: &str) -> OAuthError {
    if client.client.allows_grant(grant_type) {
        OAuthError::plain(ErrorCode::UnsupportedGrantType)
    } else {
        OAuthError::new(
            ErrorCode::UnauthorizedClient,
            format!("The OAuth 2.0 Client is not allowed to use authorization grant '{grant_type}'."),
        )
    }
}

async fn client_credentials(
    app: &App,
    clients: &Clients,
    credential: &Credential,
    form: &Form,
) -> Result<HttpResponse, ApiError> {
    let asked = client_credentials::Request {
        scope: parse_scope(form.get("scope").unwrap_or_default()),
        audience: parse_audience(form.all("audience")),
    };
    for attempt in 0..ATTEMPTS {
        let who = authenticate(app, clients, credential, attempt > 0).await?;
        let decided = client_credentials::decide(&who.client.client, &asked, app.rules.client_credentials);
        if decided.is_err() && attempt == 0 && outdated(clients, &who.client).await? {
            continue;
        }
        let grant = decided?;
        let ext = hook::ask(app, &who.client.client, &asked, &grant).await?;
        let made = make(app, &who, &grant, &ext).await?;
        match app.issuer.ask(Commit(Write::Issue(made.order))).await?? {
            Verdict::Done => {
                app.metrics.token_issued(made.kind);
                return reply::oauth(&Answer {
                    access_token: made.token,
                    expires_in: grant.lifespan.as_secs(),
                    scope: grant.scope.join(" "),
                    token_type: "bearer",
                });
            }
            // An issue stands on the client alone.
            Verdict::ClientChanged | Verdict::Used => {}
            Verdict::JtiKnown => {
                app.metrics.client_auth_failure(who.method, AuthFailure::ReplayedAssertion);
                return Err(OAuthError::plain(ErrorCode::JtiKnown).into());
            }
        }
    }
    Err(ApiError::Unavailable("the client is being changed again and again".to_owned()))
}

/// Whether a refusal was decided on a client that has changed since.
async fn outdated(clients: &Clients, client: &RegisteredClient) -> Result<bool, ApiError> {
    Ok(clients.has_changed(&client.client.client_id, client.version).await?)
}

/// A token and the order to write it.
struct Made {
    token: String,
    kind: TokenType,
    order: Issue,
}

async fn make(app: &App, who: &Authenticated, grant: &Grant, ext: &Map<String, Value>) -> Result<Made, ApiError> {
    let client = &who.client;
    let now = app.clock.now().whole_second();
    let (token, signature, kind) = if client.client.wants_jwt(app.rules.access_token_jwt) {
        let token = sign(app, &client.client.client_id, grant, ext, now).await?;
        if token.len() > MAX_TOKEN {
            return Err(too_long().into());
        }
        let key = jwt::row_key(&token).ok_or_else(|| ApiError::Internal("a JWT without a signature".to_owned()))?;
        (token, key, TokenType::AccessJwt)
    } else {
        let minted = app.opaque.mint(TokenKind::Access, &app.entropy.bytes()?);
        (minted.token, minted.signature, TokenType::AccessOpaque)
    };
    let row = AccessToken {
        signature,
        family_id: client.family_id,
        client_id: client.client.client_id.clone(),
        subject: client.client.client_id.clone(),
        scope: grant.scope.clone(),
        audience: grant.audience.clone(),
        requested_at: now,
        expires_at: now.plus(grant.lifespan),
        session: session::close(app, &signature, ext)?,
    };
    let jti: Option<JtiUse> = who.jti.clone();
    Ok(Made { token, kind, order: Issue { client_version: client.version, token: row, jti } })
}

/// A token that we would not read could be neither introspected nor revoked.
fn too_long() -> OAuthError {
    let hint = format!("The access token would be longer than {MAX_TOKEN} bytes; ask for fewer scopes or audiences.");
    OAuthError::new(ErrorCode::InvalidRequest, hint)
}

async fn sign(
    app: &App,
    client_id: &str,
    grant: &Grant,
    ext: &Map<String, Value>,
    now: Timestamp,
) -> Result<String, ApiError> {
    let ring = app.keys.borrow().clone();
    let key = ring
        .signer(crate::actors::key_manager::ACCESS_TOKEN_SET, app.clock.now())
        .ok_or_else(|| ApiError::Unavailable("there is no signing key yet".to_owned()))?;
    let jti = app.entropy.uuid()?.to_string();
    let of = AccessClaims {
        issuer: &app.rules.issuer,
        subject: client_id,
        client_id,
        jti: &jti,
        scope: &grant.scope,
        audience: &grant.audience,
        issued_at: now,
        expires_at: now.plus(grant.lifespan),
        ext,
    };
    let claims = jwt::claims(&of, &app.rules.jwt);
    let internal = |e: &dyn std::fmt::Display| ApiError::Internal(e.to_string());
    if !key.is_slow() {
        return key.sign_jwt("JWT", &claims).map_err(|e| internal(&e));
    }
    let waiting = tokio::time::timeout(SIGN_PATIENCE, Arc::clone(&app.sign_permits).acquire_owned()).await;
    let permit = waiting.map_err(|_| ApiError::Unavailable("too many tokens are being signed".to_owned()))?;
    let (key, permit) = (key.clone(), permit.map_err(|e| internal(&e))?);
    let work = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        key.sign_jwt("JWT", &claims)
    });
    work.await.map_err(|e| internal(&e))?.map_err(|e| internal(&e))
}
