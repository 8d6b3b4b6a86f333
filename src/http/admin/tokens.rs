//! Introspection (RFC 7662) and the end of all tokens of a client.

use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::scope::parse_scope;
use crate::domain::token::expiry_hour::hash_in;
use crate::domain::token::introspection::{Active, TokenUse, Valid};
use crate::domain::token::session::AccessSession;
use crate::http::form::Form;
use crate::http::presented::{self, Row};
use crate::http::public::token::known;
use crate::http::session::{self, Table};
use crate::http::{ApiError, App, audited, reply};
use crate::store::introspection_cache::{Answer, IntrospectionCache};
use crate::store::{AccessKey, SignatureHash};
use crate::telemetry::audit::{self, AuditEvent, Facts, signature};
use crate::telemetry::labels::{CacheAnswer, Introspected, Source};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use std::sync::Arc;
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
    let row = presented::any(app, token)?;
    let (source, found) = match &row {
        None => (Source::None, Err(Introspected::Malformed)),
        Some(Row::Access(key)) => access_token(app, key).await?,
        Some(Row::Refresh(key)) => (Source::Db, refresh_token(app, key).await?),
    };
    // Asked after the lookup, never a part of its key: a scope that is missing says nothing about the token.
    let wanted = parse_scope(form.get("scope").unwrap_or_default());
    let covers = |scope: &[String], s: &str| app.rules.scope_strategy.covers(scope.iter().map(String::as_str), s);
    let (result, body) = match found {
        Ok(said) if wanted.iter().all(|s| covers(said.scope(), s)) => {
            if let Some(Row::Access(key)) = &row {
                audit::inspected(|| said.facts(key));
            }
            (Introspected::Active, said.body())
        }
        Ok(_) => (Introspected::Scope, INACTIVE),
        Err(why) => (why, INACTIVE),
    };
    Ok((result, source, reply::oauth_bytes(body)))
}

const INACTIVE: Bytes = Bytes::from_static(b"{\"active\":false}");

/// What is said of a live token, and its scope.
enum Said {
    Kept(Arc<Answer>),
    Fresh { client_id: String, subject: String, scope: Vec<String>, body: Bytes },
}

impl Said {
    fn scope(&self) -> &[String] {
        match self {
            Self::Kept(answer) => &answer.scope,
            Self::Fresh { scope, .. } => scope,
        }
    }

    fn body(&self) -> Bytes {
        match self {
            Self::Kept(answer) => answer.body.clone(),
            Self::Fresh { body, .. } => body.clone(),
        }
    }

    fn facts(&self, key: &AccessKey) -> Facts<'_> {
        let (client_id, subject) = match self {
            Self::Kept(answer) => (&answer.client_id, &answer.subject),
            Self::Fresh { client_id, subject, .. } => (client_id, subject),
        };
        Facts {
            client_id: Some(client_id.into()),
            subject: Some(subject.into()),
            access_token_signature: Some(signature(hash_in(key))),
            ..Facts::default()
        }
    }
}

/// What is said of a live token, or why there is none.
type Lookup = Result<Said, Introspected>;

fn written(app: &App, valid: &Valid<'_>, session: AccessSession) -> Result<Bytes, ApiError> {
    let body = serde_json::to_vec(&Active::token(valid, &app.rules.issuer, session));
    body.map(Bytes::from).map_err(|e| ApiError::Internal(e.to_string()))
}

async fn access_token(app: &App, key: &AccessKey) -> Result<(Source, Lookup), ApiError> {
    let Some(cache) = &app.introspections else { return Ok((Source::Db, read(app, key, None).await?)) };
    let doubt = match cache.get(key).await {
        Ok((answer, true)) => return Ok((Source::Local, Ok(Said::Kept(answer)))),
        Ok((answer, false)) => return Ok((Source::Redis, Ok(Said::Kept(answer)))),
        Err(why) => why == CacheAnswer::Fault,
    };
    let found = read(app, key, Some(cache)).await?;
    if doubt && found.is_err() {
        cache.is_over(key);
    }
    Ok((Source::Db, found))
}

async fn read(app: &App, key: &AccessKey, cache: Option<&Arc<IntrospectionCache>>) -> Result<Lookup, ApiError> {
    let read_at = app.clock.now();
    let Some(row) = app.store.access_token(key).await? else { return Ok(Err(Introspected::Unknown)) };
    let Some(session) = session::open_access(app, &row)? else { return Ok(Err(Introspected::Unknown)) };
    let valid = Valid {
        token_use: TokenUse::Access,
        client_id: &row.client_id,
        subject: &row.subject,
        scope: &row.scope,
        audience: &row.audience,
        requested_at: row.requested_at,
        expires_at: Some(row.expires_at),
    };
    let body = written(app, &valid, session)?;
    let Some(cache) = cache else {
        return Ok(Ok(Said::Fresh { client_id: row.client_id, subject: row.subject, scope: row.scope, body }));
    };
    let answer = Arc::new(Answer {
        read_at,
        expires_at: row.expires_at,
        family_id: row.family_id,
        client_id: row.client_id,
        subject: row.subject,
        scope: row.scope,
        body,
    });
    cache.fill(key, Arc::clone(&answer));
    Ok(Ok(Said::Kept(answer)))
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
    let valid = Valid {
        token_use: TokenUse::Refresh,
        client_id: &row.client_id,
        subject: &row.subject,
        scope: &row.scope,
        audience: &row.audience,
        requested_at: row.requested_at,
        expires_at: row.expires_at,
    };
    let body = written(app, &valid, AccessSession::of(&session, &[]))?;
    Ok(Ok(Said::Fresh { client_id: row.client_id, subject: row.subject, scope: row.scope, body }))
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
    audit::tell(AuditEvent::AccessTokenRevoked, || audited::client(&client_id, None));
    Ok(HttpResponse::NoContent().finish())
}
