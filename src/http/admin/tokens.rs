//! Introspection (RFC 7662), and the end of all tokens of a client. Nobody is asked for credentials, and those that come are
//! not looked at.

use crate::domain::error::{ErrorCode, OAuthError};
use crate::http::form::{Form, Json};
use crate::http::introspection::{self, batch};
use crate::http::{ApiError, App, audited, reply};
use crate::telemetry::audit::{self, AuditEvent};
use actix_web::{HttpRequest, HttpResponse, web};

/// Mounts the routes.
pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.service(
        web::resource("/admin/oauth2/introspect")
            .route(web::post().to(introspect))
            .default_service(reply::method_not_allowed("POST")),
    )
    .service(
        web::resource("/admin/oauth2/introspect/batch")
            .route(web::post().to(introspect_batch))
            .default_service(reply::method_not_allowed("POST")),
    )
    .service(
        web::resource("/admin/oauth2/tokens")
            .route(web::delete().to(delete_tokens))
            .default_service(reply::method_not_allowed("DELETE")),
    );
}

/// `POST /admin/oauth2/introspect`.
pub async fn introspect(app: web::Data<App>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let form = Form::read_either(&request, payload).await;
    introspection::respond(&app, &request, form, None).await
}

/// `POST /admin/oauth2/introspect/batch`.
///
/// # Errors
/// 400 for a body that makes no sense; 503.
pub async fn introspect_batch(app: web::Data<App>, body: Json) -> Result<HttpResponse, ApiError> {
    batch::respond(&app, &body).await
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
