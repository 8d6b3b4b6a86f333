//! Introspection (RFC 7662) and the end of all tokens of a client.

use crate::actors::key_manager::ACCESS_TOKEN_SET;
use crate::crypto::jose::Unverified;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::scope::parse_scope;
use crate::domain::token::introspection::{Active, Valid};
use crate::domain::token::jwt;
use crate::domain::token::opaque::TokenKind;
use crate::http::form::Form;
use crate::http::{ApiError, App, reply, session};
use crate::store::{AccessToken, SignatureHash};
use crate::telemetry::labels::{Introspected, SecretKind, Source};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// Keys are read every five seconds; older than this they say nothing of a key that is not among them.
const KEYS_ARE_OLD: Duration = Duration::from_secs(15);

/// Mounts the routes.
pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.service(
        web::resource("/admin/oauth2/introspect")
            .route(web::post().to(introspect))
            .default_service(reply::method_not_allowed("POST")),
    )
    .service(
        web::resource("/admin/oauth2/tokens")
            .route(web::delete().to(delete_tokens))
            .default_service(reply::method_not_allowed("DELETE")),
    );
}

/// `POST /admin/oauth2/introspect`: 200 for whatever is no valid token, an error only when nobody can say.
pub async fn introspect(app: web::Data<App>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let began = Instant::now();
    let (result, source, answer) = match answer(&app, &request, payload).await {
        Ok((result, source, response)) => (result, source, response),
        Err(e) => (Introspected::Error, Source::Db, e.oauth_response(app.rules.expose_internal_errors, false)),
    };
    app.metrics.introspection(result, source, began.elapsed().as_secs_f64());
    answer
}

async fn answer(
    app: &App,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(Introspected, Source, HttpResponse), ApiError> {
    let form = Form::read(request, payload).await?;
    let token = form
        .get("token")
        .ok_or_else(|| OAuthError::new(ErrorCode::InvalidRequest, "The form parameter 'token' is missing."))?;
    let inactive = || reply::oauth(&json!({"active": false}));
    let Some(key) = row_key(app, token)? else { return Ok((Introspected::Malformed, Source::None, inactive()?)) };
    let Some(row) = app.store.access_token(&key).await? else {
        return Ok((Introspected::Unknown, Source::Db, inactive()?));
    };
    // Asked after the lookup, never a part of its key: a scope that is missing says nothing about the token.
    let wanted = parse_scope(form.get("scope").unwrap_or_default());
    if !wanted.iter().all(|s| app.rules.scope_strategy.covers(row.scope.iter().map(String::as_str), s)) {
        return Ok((Introspected::Scope, Source::Db, inactive()?));
    }
    match session::open(app, &row)? {
        Some(ext) => Ok((Introspected::Active, Source::Db, active(app, &row, ext)?)),
        None => Ok((Introspected::Unknown, Source::Db, inactive()?)),
    }
}

fn active(app: &App, row: &AccessToken, ext: Map<String, Value>) -> Result<HttpResponse, ApiError> {
    let valid = Valid {
        client_id: &row.client_id,
        subject: &row.subject,
        scope: &row.scope,
        audience: &row.audience,
        requested_at: row.requested_at,
        expires_at: row.expires_at,
    };
    reply::oauth(&Active::access_token(&valid, &app.rules.issuer, ext))
}

/// The row of a token that we made, opaque or signed; anything else costs no query.
///
/// # Errors
/// 503 for a signed token while this process has not read any key, or not for some time: it may be ours.
pub fn row_key(app: &App, token: &str) -> Result<Option<SignatureHash>, ApiError> {
    if let Some((key, generation)) = app.opaque.check(TokenKind::Access, token) {
        if generation > 0 {
            app.metrics.old_secret_used(SecretKind::System);
        }
        return Ok(Some(key));
    }
    let Ok(unverified) = Unverified::parse(token) else { return Ok(None) };
    let ring = app.keys.borrow().clone();
    if ring.is_empty() {
        return Err(ApiError::Unavailable("there are no keys yet to verify the token with".to_owned()));
    }
    let key = unverified.header.kid.as_deref().and_then(|kid| ring.verifying(ACCESS_TOKEN_SET, kid));
    if key.is_none() && app.clock.now().since(ring.read_at) > KEYS_ARE_OLD {
        return Err(ApiError::Unavailable(
            "the keys are out of date; the token may be signed with a newer one".to_owned(),
        ));
    }
    Ok(key.filter(|key| unverified.verify_with(key).is_ok()).and_then(|_| jwt::row_key(token)))
}

/// `DELETE /admin/oauth2/tokens?client_id=`.
///
/// # Errors
/// 400 without `client_id`; 503.
pub async fn delete_tokens(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let query = url::form_urlencoded::parse(request.query_string().as_bytes());
    let client_id = query.into_owned().find(|(n, v)| n == "client_id" && !v.is_empty()).map(|(_, v)| v);
    let client_id = client_id.ok_or_else(|| {
        OAuthError::new(
            ErrorCode::InvalidRequest,
            "Query parameter 'client_id' is not defined but it should have been.",
        )
    })?;
    app.store.delete_tokens_of_client(&client_id, app.entropy.uuid()?).await?;
    Ok(HttpResponse::NoContent().finish())
}
