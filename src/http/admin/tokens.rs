//! Introspection (RFC 7662) and the end of all tokens of a client.

use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::scope::parse_scope;
use crate::domain::token::introspection::{Active, TokenUse, Valid};
use crate::domain::token::session::AccessSession;
use crate::domain::world::Timestamp;
use crate::http::form::Form;
use crate::http::presented::{self, Row};
use crate::http::public::token::known;
use crate::http::session::{self, Table};
use crate::http::{ApiError, App, reply};
use crate::store::SignatureHash;
use crate::telemetry::labels::{Introspected, Source};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;
use std::time::Instant;

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
    let inactive = |why, source| Ok((why, source, reply::oauth(&json!({"active": false}))?));
    let found = match presented::any(app, token)? {
        None => return inactive(Introspected::Malformed, Source::None),
        Some(Row::Access(key)) => access_token(app, &key).await?,
        Some(Row::Refresh(key)) => refresh_token(app, &key).await?,
    };
    let (row, session) = match found {
        Ok(found) => found,
        Err(why) => return inactive(why, Source::Db),
    };
    // Asked after the lookup, never a part of its key: a scope that is missing says nothing about the token.
    let wanted = parse_scope(form.get("scope").unwrap_or_default());
    if !wanted.iter().all(|s| app.rules.scope_strategy.covers(row.scope.iter().map(String::as_str), s)) {
        return inactive(Introspected::Scope, Source::Db);
    }
    let valid = Valid {
        token_use: row.token_use,
        client_id: &row.client_id,
        subject: &row.subject,
        scope: &row.scope,
        audience: &row.audience,
        requested_at: row.requested_at,
        expires_at: row.expires_at,
    };
    let answer = reply::oauth(&Active::token(&valid, &app.rules.issuer, session))?;
    Ok((Introspected::Active, Source::Db, answer))
}

/// What the rows of both kinds tell.
struct Found {
    token_use: TokenUse,
    client_id: String,
    subject: String,
    scope: Vec<String>,
    audience: Vec<String>,
    requested_at: Timestamp,
    expires_at: Option<Timestamp>,
}

/// A valid token with what its row keeps, or why there is none.
type Lookup = Result<(Found, AccessSession), Introspected>;

async fn access_token(app: &App, key: &SignatureHash) -> Result<Lookup, ApiError> {
    let Some(row) = app.store.access_token(key).await? else { return Ok(Err(Introspected::Unknown)) };
    let Some(session) = session::open_access(app, &row)? else { return Ok(Err(Introspected::Unknown)) };
    let found = Found {
        token_use: TokenUse::Access,
        client_id: row.client_id,
        subject: row.subject,
        scope: row.scope,
        audience: row.audience,
        requested_at: row.requested_at,
        expires_at: Some(row.expires_at),
    };
    Ok(Ok((found, session)))
}

/// A used refresh token counts as long as it would still give tokens.
async fn refresh_token(app: &App, key: &SignatureHash) -> Result<Lookup, ApiError> {
    let Some(found) = app.store.refresh_token(key).await? else { return Ok(Err(Introspected::Unknown)) };
    if !known(&found).is_active(app.rules.refresh.grace) {
        return Ok(Err(if found.expired { Introspected::Expired } else { Introspected::Revoked }));
    }
    let row = found.token;
    let Some(session) = session::open_tokens(app, Table::Refresh, key, &row.session)? else {
        return Ok(Err(Introspected::Unknown));
    };
    let session = AccessSession::of(&session, &[]);
    let found = Found {
        token_use: TokenUse::Refresh,
        client_id: row.client_id,
        subject: row.subject,
        scope: row.scope,
        audience: row.audience,
        requested_at: row.requested_at,
        expires_at: row.expires_at,
    };
    Ok(Ok((found, session)))
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
