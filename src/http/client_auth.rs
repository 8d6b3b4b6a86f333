//! The client behind a request, proven.

use super::form::Form;
use super::{ApiError, App};
use crate::actors::client_registry::Clients;
use crate::actors::token_issuer::Commit;
use crate::crypto::jose::Unverified;
use crate::crypto::jwk::Alg;
use crate::domain::client::RegisteredClient;
use crate::domain::client_auth::{Credential, check_assertion, check_method};
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::token::expiry_hour::ExpiryHour;
use crate::store::{JtiUse, Revoke, Revoked, Verdict, Write};
use crate::telemetry::labels::{AuthFailure, AuthMethod};
use actix_web::http::header::AUTHORIZATION;
use actix_web::{HttpMessage, HttpRequest};
use std::sync::Arc;

/// A client that proved who it is, or that needs no proof.
pub struct Authenticated {
    /// The client.
    pub client: Arc<RegisteredClient>,
    /// The method it used.
    pub method: AuthMethod,
    /// The assertion it used up, to be written with what it asked for.
    pub jti: Option<JtiUse>,
}

/// Whether the request tries the Basic scheme: a 401 must then name it.
pub fn tries_basic(request: &HttpRequest) -> bool {
    authorization(request).is_some_and(|v| v.get(..6).is_some_and(|s| s.eq_ignore_ascii_case("basic ")))
}

/// The `Authorization` header, if it is text.
pub(super) fn authorization(request: &HttpRequest) -> Option<&str> {
    request.headers().get(AUTHORIZATION).and_then(|v| v.to_str().ok())
}

/// Who says to be asking, proven or not: left on the request for the rules on origins.
#[derive(Clone)]
pub struct Asking(pub String);

/// The credential of a request.
///
/// # Errors
/// `invalid_request`.
pub fn credential(request: &HttpRequest, form: &Form) -> Result<Credential, OAuthError> {
    if request.headers().get_all(AUTHORIZATION).count() > 1 {
        return Err(OAuthError::new(ErrorCode::InvalidRequest, "The Authorization header comes more than once."));
    }
    let found = Credential::find(authorization(request), |name| form.get(name))?;
    if let Some(id) = found.id() {
        request.extensions_mut().insert(Asking(id.to_owned()));
    }
    Ok(found)
}

/// Proves a credential. `fresh` loads the client anew, after the store said that it was changed. A refusal counts only
/// when the store still has the client as it was judged: a new secret is good from the moment it was given out.
///
/// # Errors
/// `invalid_client`, `invalid_request`; 503 when nobody can say.
pub async fn authenticate(
    app: &App,
    clients: &Clients,
    credential: &Credential,
    fresh: bool,
) -> Result<Authenticated, ApiError> {
    let method = AuthMethod::from_name(credential.method());
    let mut proven = prove(app, clients, credential, fresh).await?;
    if let (false, Err(Failed { judged: Some((id, version)), .. })) = (fresh, &proven)
        && clients.has_changed(id, *version).await?
    {
        proven = prove(app, clients, credential, true).await?;
    }
    match proven {
        Ok((client, jti)) => Ok(Authenticated { client, method, jti }),
        Err(Failed { reason, error, .. }) => {
            app.metrics.client_auth_failure(method, reason);
            Err(error)
        }
    }
}

/// A client assertion serves once, also where nothing is issued. The port uses one up together with the end of a token;
/// there is none of a random key, so nothing else is written.
///
/// # Errors
/// `jti_known`; 503 when nobody can say.
pub async fn use_up(app: &App, who: &Authenticated) -> Result<(), ApiError> {
    if who.jti.is_none() {
        return Ok(());
    }
    let no_token = ExpiryHour::NONE.before(&app.entropy.bytes()?);
    let client_id = who.client.client.client_id.clone();
    let order = Revoke { token: Revoked::Access(no_token), client_id, jti: who.jti.clone() };
    if app.issuer.ask(Commit(Write::Revoke(order))).await?? == Verdict::JtiKnown {
        app.metrics.client_auth_failure(who.method, AuthFailure::ReplayedAssertion);
        return Err(OAuthError::plain(ErrorCode::JtiKnown).into());
    }
    Ok(())
}

async fn prove(app: &App, clients: &Clients, credential: &Credential, fresh: bool) -> Result<Proven, ApiError> {
    Ok(match credential {
        Credential::Basic { id, secret } | Credential::Post { id, secret } => {
            with_secret(app, find(clients, id, fresh).await?, secret, credential.method()).await
        }
        Credential::Public { id } => match find(clients, id, fresh).await? {
            Some(client) => check_method(&client.client, "none")
                .map(|()| (Arc::clone(&client), None))
                .map_err(|e| failed(AuthFailure::WrongMethod, e).of(&client)),
            None => Err(failed(AuthFailure::UnknownClient, OAuthError::plain(ErrorCode::InvalidClient))),
        },
        Credential::Assertion { id, jwt } => with_assertion(app, clients, id.as_deref(), jwt, fresh).await,
    })
}

/// Why, for the metric, and what the client hears.
struct Failed {
    reason: AuthFailure,
    error: ApiError,
    /// The client that was judged, by id and version.
    judged: Option<(String, i64)>,
}

impl Failed {
    fn of(self, client: &RegisteredClient) -> Self {
        Self { judged: Some((client.client.client_id.clone(), client.version)), ..self }
    }
}

fn failed(reason: AuthFailure, error: impl Into<ApiError>) -> Failed {
    Failed { reason, error: error.into(), judged: None }
}

type Proven = Result<(Arc<RegisteredClient>, Option<JtiUse>), Failed>;

/// A `client_id` with characters that no client can have is asked for nowhere.
pub(super) async fn find(clients: &Clients, id: &str, fresh: bool) -> Result<Option<Arc<RegisteredClient>>, ApiError> {
    if id.is_empty() || id.len() > 1024 || id.chars().any(char::is_control) {
        return Ok(None);
    }
    Ok(if fresh { clients.get_fresh(id).await? } else { clients.get(id).await? })
}

async fn with_secret(app: &App, client: Option<Arc<RegisteredClient>>, secret: &str, method: &str) -> Proven {
    let right =
        app.secrets.is_right(client.as_deref(), secret).await.map_err(|e| failed(AuthFailure::Overloaded, e))?;
    match client {
        None => Err(failed(AuthFailure::UnknownClient, OAuthError::plain(ErrorCode::InvalidClient))),
        Some(client) if !right => {
            Err(failed(AuthFailure::WrongSecret, OAuthError::plain(ErrorCode::InvalidClient)).of(&client))
        }
        Some(client) => check_method(&client.client, method)
            .map(|()| (Arc::clone(&client), None))
            .map_err(|e| failed(AuthFailure::WrongMethod, e).of(&client)),
    }
}

async fn with_assertion(app: &App, clients: &Clients, id: Option<&str>, jwt: &str, fresh: bool) -> Proven {
    let bad = |what: &str, e: &dyn std::fmt::Display| {
        failed(AuthFailure::BadAssertion, OAuthError::new(ErrorCode::InvalidClient, what).with_debug(e.to_string()))
    };
    let token = Unverified::parse(jwt).map_err(|e| bad("The client_assertion is not a well-formed JWT.", &e))?;
    if token
        .header
        .typ
        .as_deref()
        .is_some_and(|t| !matches!(t.to_ascii_lowercase().as_str(), "jwt" | "client-authentication+jwt"))
    {
        return Err(bad("The client_assertion is a JWT of another type.", &"typ"));
    }
    let subject = token.unverified_claims().str("sub").unwrap_or_default().to_owned();
    if id.is_some_and(|id| id != subject) {
        return Err(bad(
            "Claim 'sub' from 'client_assertion' must match the 'client_id' of the OAuth 2.0 Client.",
            &"client_id",
        ));
    }
    let found = find(clients, &subject, fresh).await.map_err(|e| failed(AuthFailure::Overloaded, e))?;
    let client =
        found.ok_or_else(|| failed(AuthFailure::UnknownClient, OAuthError::plain(ErrorCode::InvalidClient)))?;
    check_method(&client.client, "private_key_jwt").map_err(|e| failed(AuthFailure::WrongMethod, e).of(&client))?;
    let claims = verified(app, &client, &token).await.map_err(|f| f.of(&client))?;
    let proof = check_assertion(&claims, &subject, &app.rules.assertion_audiences, app.clock.now())
        .map_err(|e| failed(AuthFailure::BadAssertion, e))?;
    let jti = JtiUse { client_id: subject, jti: proof.jti, expires_at: proof.expires_at };
    Ok((client, Some(jti)))
}

/// Checks the signature with the client's keys: its own set, or the one at its `jwks_uri`.
async fn verified(
    app: &App,
    client: &RegisteredClient,
    token: &Unverified,
) -> Result<crate::crypto::jose::Claims, Failed> {
    let bad = |e: &dyn std::fmt::Display| {
        let error = OAuthError::new(
            ErrorCode::InvalidClient,
            "Unable to verify the integrity of the 'client_assertion' value with the client's keys and its 'token_endpoint_auth_signing_alg'.",
        );
        failed(AuthFailure::BadAssertion, error.with_debug(e.to_string()))
    };
    let alg: Alg = client.client.signing_alg().parse().map_err(|_| bad(&"the registered algorithm is unknown"))?;
    match app.jwks.verify(&client.client, token, &[alg]).await {
        Ok(verified) => verified.map_err(|e| bad(&e)),
        Err(e) => Err(failed(AuthFailure::BadAssertion, e)),
    }
}
