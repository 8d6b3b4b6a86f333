//! `GET` and `POST /userinfo` (OpenID Connect Core §5.3).
//!
//! The token comes in the header or in a form. One in the query is treated as absent: queries end in logs and in
//! referrers (RFC 9700 §4.3.2).

use crate::actors::client_registry::Clients;
use crate::actors::key_manager::ID_TOKEN_SET;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::token::id_token::UserInfo;
use crate::http::client_auth::Asking;
use crate::http::form::Form;
use crate::http::{ApiError, App, presented, reply, session, sign};
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError, web};

/// The handler.
pub async fn userinfo(
    app: web::Data<App>,
    clients: web::Data<Clients>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    match respond(&app, &clients, &request, payload).await {
        Ok(answer) => answer,
        Err(e) => refusal(&e),
    }
}

/// An error as JSON, and once more in the header that a client of a resource looks at (RFC 6750 §3).
fn refusal(e: &ApiError) -> HttpResponse {
    let ApiError::OAuth(of) = e else { return e.error_response() };
    let mut answer = e.error_response();
    let (error, description) = (of.code.as_str(), of.description(false));
    let mut challenge = format!("Bearer error=\"{error}\",error_description=\"{description}\"");
    if of.code == ErrorCode::InsufficientScope {
        challenge.push_str(",scope=\"openid\"");
    }
    if let Ok(value) = HeaderValue::from_str(&challenge) {
        answer.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    answer
}

async fn respond(
    app: &App,
    clients: &Clients,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let token = token(request, payload).await?.ok_or_else(unauthorized)?;
    let key = presented::access(app, &token)?.ok_or_else(unauthorized)?;
    let row = app.store.access_token(&key).await?.ok_or_else(unauthorized)?;
    request.extensions_mut().insert(Asking(row.client_id.clone()));
    let user = session::open_access(app, &row)?.ok_or_else(unauthorized)?.user.ok_or_else(|| {
        OAuthError::new(ErrorCode::InsufficientScope, "The access token was not granted scope 'openid'.")
    })?;
    let client = clients.get(&row.client_id).await?.ok_or_else(unauthorized)?;
    let claims = UserInfo {
        of: &user,
        issuer: &app.rules.issuer,
        client_id: &row.client_id,
        issued_at: row.requested_at,
        jti: None,
    };
    match client.client.userinfo_signed_response_alg.as_str() {
        "" | "none" => Ok(reply::json(200, &claims)),
        _ => signed(app, claims).await,
    }
}

/// The claims as a JWT of its own (OpenID Connect Core §5.3.2).
async fn signed(app: &App, claims: UserInfo<'_>) -> Result<HttpResponse, ApiError> {
    let claims = UserInfo { issued_at: app.clock.now(), jti: Some(app.entropy.uuid()?), ..claims };
    let token = sign::jwt(app, sign::signer(app, ID_TOKEN_SET)?, &claims).await?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/jwt")).body(token))
}

/// Whatever is no live access token gets the same answer.
fn unauthorized() -> OAuthError {
    OAuthError::new(ErrorCode::RequestUnauthorized, "Check that you provided valid credentials in the right format.")
}

/// The one token of the request (RFC 6750 §2.1, §2.2).
async fn token(request: &HttpRequest, payload: web::Payload) -> Result<Option<String>, ApiError> {
    let header = bearer(request)?;
    // A body that is no form holds no token.
    let form = if request.method() == Method::POST { Form::read(request, payload).await.ok() } else { None };
    let body = form.as_ref().and_then(|f| f.get("access_token")).filter(|t| !t.is_empty());
    match (header, body) {
        (Some(_), Some(_)) => {
            let hint = "The access token comes both in the Authorization header and in the form.";
            Err(OAuthError::new(ErrorCode::InvalidRequest, hint).into())
        }
        (header, body) => Ok(header.or(body).map(str::to_owned)),
    }
}

/// The token of the header; another scheme is none.
fn bearer(request: &HttpRequest) -> Result<Option<&str>, OAuthError> {
    let mut all = request.headers().get_all(AUTHORIZATION);
    let first = all.next();
    if all.next().is_some() {
        return Err(OAuthError::new(ErrorCode::InvalidRequest, "The Authorization header comes more than once."));
    }
    let scheme = |text: &&str| text.get(..7).is_some_and(|s| s.eq_ignore_ascii_case("bearer "));
    Ok(first.and_then(|v| v.to_str().ok()).filter(scheme).and_then(|text| text.get(7..)).map(str::trim))
}
