//! The resource server behind an introspection: a confidential client, by the ways of the token endpoint, or by an access
//! token of its own with the scope `introspect`.

use super::authz::bearer;
use crate::actors::client_registry::Clients;
use crate::domain::client::RegisteredClient;
use crate::domain::client_auth::Credential;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::http::client_auth::{self, authenticate, authorization, use_up};
use crate::http::form::Form;
use crate::http::introspection::lookup;
use crate::http::{ApiError, App, presented};
use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use std::sync::Arc;

/// What a resource server's own access token must have been granted.
const SCOPE: &str = "introspect";

/// Who asks, proven, and allowed to.
///
/// # Errors
/// `invalid_client` (401) for who proves nothing; `request_forbidden` (403) for who may not; 503 when nobody can say.
pub async fn of(
    app: &App,
    clients: &Clients,
    request: &HttpRequest,
    form: &Form,
) -> Result<Arc<RegisteredClient>, ApiError> {
    let caller = match bearer(request) {
        Ok(Some(token)) => by_token(app, clients, token).await?,
        Ok(None) | Err(_) => by_credential(app, clients, request, form).await?,
    };
    let client = &caller.client;
    let named = &app.rules.gateway.resource_servers;
    if !named.is_empty() && !named.contains(&client.client_id) {
        return Err(forbidden("This client is not among gateway.resource_servers.").into());
    }
    // It would learn what every other client calls the user.
    if client.is_pairwise() {
        return Err(forbidden("A client that knows users by pairwise subjects may not introspect.").into());
    }
    Ok(caller)
}

async fn by_credential(
    app: &App,
    clients: &Clients,
    request: &HttpRequest,
    form: &Form,
) -> Result<Arc<RegisteredClient>, ApiError> {
    let proven = ["client_secret", "client_assertion", "client_assertion_type"];
    if !request.headers().contains_key(AUTHORIZATION) && proven.iter().all(|name| form.get(name).is_none()) {
        let hint = "A resource server must authenticate: by client_secret_basic, client_secret_post or private_key_jwt, or \
            with an access token of its own that has the scope 'introspect'.";
        return Err(OAuthError::new(ErrorCode::InvalidClient, hint).into());
    }
    let credential = credential(clients, request, form).await?;
    if matches!(credential, Credential::Public { .. }) {
        return Err(OAuthError::plain(ErrorCode::InvalidClient).into());
    }
    let who = authenticate(app, clients, &credential, false).await?;
    use_up(app, &who).await?;
    Ok(who.client)
}

/// Some gateways send the same secret both ways; it then counts as sent in the way that the client is registered for.
async fn credential(clients: &Clients, request: &HttpRequest, form: &Form) -> Result<Credential, ApiError> {
    let once = request.headers().get_all(AUTHORIZATION).count() == 1;
    let twice = Credential::twice(authorization(request), |name| form.get(name)).filter(|_| once);
    let Some((id, secret)) = twice else { return Ok(client_auth::credential(request, form)?) };
    let client = client_auth::find(clients, &id, false).await?;
    let in_form = client.is_some_and(|client| client.client.auth_method() == "client_secret_post");
    Ok(if in_form { Credential::Post { id, secret } } else { Credential::Basic { id, secret } })
}

/// A client's token for itself: one that a user granted says nothing about who asks.
async fn by_token(app: &App, clients: &Clients, token: &str) -> Result<Arc<RegisteredClient>, ApiError> {
    let unknown = || OAuthError::new(ErrorCode::InvalidClient, "The bearer token is not an active access token.");
    let key = presented::access(app, token)?.ok_or_else(unknown)?;
    let said = lookup::access_token(app, &key).await?.1.map_err(|_| unknown())?;
    let told = said.told()?;
    if told.sub != told.client_id || !said.scope().iter().any(|scope| scope == SCOPE) {
        let hint = "The bearer token was not issued to a client for itself with the scope 'introspect'.";
        return Err(OAuthError::new(ErrorCode::InsufficientScope, hint).into());
    }
    let client = client_auth::find(clients, &told.client_id, false).await?.ok_or_else(unknown)?;
    if client.client.is_public() { Err(unknown().into()) } else { Ok(client) }
}

fn forbidden(hint: &str) -> OAuthError {
    OAuthError::new(ErrorCode::RequestForbidden, hint)
}
