//! Answers that several handlers share.

use super::{ApiError, App, pages};
use crate::domain::world::Timestamp;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, PRAGMA, VARY};
use actix_web::{HttpResponse, Route, web};
use bytes::Bytes;
use serde::Serialize;

/// JSON on the admin API and on metadata routes, with the media type as Hydra writes it.
pub fn json(status: u16, body: &impl Serialize) -> HttpResponse {
    match serde_json::to_vec(body) {
        Ok(bytes) => HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
            .insert_header((CONTENT_TYPE, "application/json; charset=utf-8"))
            .body(bytes),
        Err(e) => HttpResponse::from_error(ApiError::Internal(e.to_string())),
    }
}

/// JSON of an OAuth endpoint, never to be cached (RFC 6749 §5.1).
///
/// # Errors
/// [`ApiError::Internal`] when `body` has no JSON form.
pub fn oauth(body: &impl Serialize) -> Result<HttpResponse, ApiError> {
    let bytes = serde_json::to_vec(body).map_err(|e| ApiError::Internal(e.to_string()))?;
    Ok(oauth_bytes(bytes.into()))
}

/// The same of JSON that is written already.
pub fn oauth_bytes(body: Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json;charset=UTF-8")))
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .insert_header((PRAGMA, HeaderValue::from_static("no-cache")))
        .body(body)
}

/// Lets a gateway keep an answer for an active token, for as long as the operator allows and the token lives; as it is
/// otherwise. Not `private`: the caches that this is for are shared, keyed by the token, and refuse that word. All others
/// are kept away by `Authorization` (RFC 9111 §3.5) and `Vary`.
pub fn may_be_kept(app: &App, headers: &mut HeaderMap, expires_at: Option<Timestamp>, vary: &'static str) {
    let most = app.rules.introspection_max_age.as_secs();
    let left = expires_at.map_or(most, |end| end.since(app.clock.now()).as_secs());
    let seconds = most.min(left);
    if seconds == 0 {
        return;
    }
    if let Ok(value) = HeaderValue::from_str(&format!("max-age={seconds}")) {
        headers.insert(CACHE_CONTROL, value);
        headers.insert(VARY, HeaderValue::from_static(vary));
        headers.remove(PRAGMA);
    }
}

/// The page for a route that is not there, on the public listener.
pub async fn not_found_page() -> HttpResponse {
    pages::not_found()
}

/// The answer for a route that is not there, on the admin listener.
pub async fn not_found_text() -> HttpResponse {
    HttpResponse::NotFound().insert_header((CONTENT_TYPE, "text/plain; charset=utf-8")).body("404 page not found\n")
}

/// The answer for a method that an admin route does not have; `allow` lists those that it has.
pub fn method_not_allowed(allow: &'static str) -> Route {
    web::to(move || async move {
        HttpResponse::MethodNotAllowed()
            .insert_header(("Allow", allow))
            .insert_header((CONTENT_TYPE, "text/plain; charset=utf-8"))
            .body("Method Not Allowed\n")
    })
}
