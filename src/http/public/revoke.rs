//! `POST /oauth2/revoke` (RFC 7009).

use crate::actors::client_registry::Clients;
use crate::actors::token_issuer::Commit;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::http::client_auth::{authenticate, credential, tries_basic};
use crate::http::form::Form;
use crate::http::presented::{self, Row};
use crate::http::{ApiError, App, audited};
use crate::store::{Revoke, Revoked, Verdict, Write};
use crate::telemetry::audit::{self, AuditEvent};
use actix_web::http::header::{CACHE_CONTROL, PRAGMA};
use actix_web::{HttpRequest, HttpResponse, web};

/// 200 for a token that is gone, whether it ever was or belongs to somebody else; 503 when it could not be ended.
pub async fn revoke(
    app: web::Data<App>,
    clients: web::Data<Clients>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    match done(&app, &clients, &request, payload).await {
        Ok(()) => {
            HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).insert_header((PRAGMA, "no-cache")).finish()
        }
        Err(e) => e.oauth_response(app.rules.expose_internal_errors, tries_basic(&request)),
    }
}

/// What Hydra says of every malformed revocation.
fn general(e: ApiError) -> ApiError {
    match e {
        ApiError::OAuth(e) if e.code == ErrorCode::InvalidRequest => {
            OAuthError::new(e.code, "Make sure that the various parameters are correct, be aware of case sensitivity and trim your parameters. Make sure that the client you are using has exactly whitelisted the redirect_uri you specified.").with_debug(e.hint).into()
        }
        other => other,
    }
}

async fn done(app: &App, clients: &Clients, request: &HttpRequest, payload: web::Payload) -> Result<(), ApiError> {
    let form = Form::read(request, payload).await.map_err(general)?;
    let credential = credential(request, &form).map_err(|e| general(e.into()))?;
    let who = authenticate(app, clients, &credential, false).await?;
    let token = form.get("token").ok_or_else(|| {
        general(OAuthError::new(ErrorCode::InvalidRequest, "The form parameter 'token' is missing.").into())
    })?;
    let token = match presented::any(app, token)? {
        Some(Row::Access(key)) => Revoked::Access(key),
        Some(Row::Refresh(key)) => Revoked::Refresh(key),
        None => return Ok(()),
    };
    let told = audited::to_be_revoked(app, &token, &who.client.client.client_id).await?;
    let order = Revoke { token, client_id: who.client.client.client_id.clone(), jti: who.jti };
    match app.issuer.ask(Commit(Write::Revoke(order))).await?? {
        // What is used or over already needs no end.
        Verdict::Done | Verdict::Revoked(_) | Verdict::Used => {
            if let Some(facts) = told {
                audit::tell(AuditEvent::AccessTokenRevoked, || facts);
            }
            Ok(())
        }
        Verdict::JtiKnown => Err(OAuthError::plain(ErrorCode::JtiKnown).into()),
        Verdict::ClientChanged => Err(OAuthError::plain(ErrorCode::InvalidClient).into()),
    }
}
