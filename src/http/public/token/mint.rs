//! Makes tokens and the rows to write for them. Nothing is written here: a token that is not committed is worth nothing.

use crate::actors::key_manager::{ACCESS_TOKEN_SET, ID_TOKEN_SET};
use crate::crypto::jose::MAX_TOKEN;
use crate::domain::client::RegisteredClient;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::grant::Issue;
use crate::domain::token::expiry_hour::ExpiryHour;
use crate::domain::token::id_token::IdTokenClaims;
use crate::domain::token::jwt::{self, AccessClaims};
use crate::domain::token::opaque::TokenKind;
use crate::domain::token::session::{AccessSession, TokenSession};
use crate::http::session::{self, Table};
use crate::http::{ApiError, App, sign};
use crate::store::{AccessToken, RefreshToken};
use crate::telemetry::labels::TokenType;
use serde::Serialize;
use std::time::Duration;
use uuid::Uuid;

/// A successful answer of the token endpoint (RFC 6749 §5.1).
#[derive(Clone, Serialize)]
pub struct Answer {
    /// The access token.
    pub access_token: String,
    /// Seconds that it lives.
    pub expires_in: u64,
    /// The ID token, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    /// The refresh token, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Scopes of the access token.
    pub scope: String,
    /// `bearer`.
    pub token_type: &'static str,
}

/// What an access token is to be.
#[derive(Clone, Copy)]
pub struct AccessOf<'a> {
    /// To whom.
    pub client: &'a RegisteredClient,
    /// The family whose end is its end.
    pub family_id: Uuid,
    /// Who it speaks for: the user, or the client itself.
    pub subject: &'a str,
    /// Its scopes.
    pub scope: &'a [String],
    /// Its audience.
    pub audience: &'a [String],
    /// How long it lives.
    pub lifespan: Duration,
    /// What its row keeps.
    pub session: &'a AccessSession,
}

/// An access token and its row.
pub struct Access {
    /// The token.
    pub token: String,
    /// Its form.
    pub kind: TokenType,
    /// The row to write.
    pub row: AccessToken,
}

/// Makes an access token, opaque or signed as the client has it.
///
/// # Errors
/// `invalid_request` for one that would be too long; 503 without randomness or keys.
pub async fn access(app: &App, of: &AccessOf<'_>) -> Result<Access, ApiError> {
    let client = &of.client.client;
    let now = app.clock.now().whole_second();
    let expires_at = now.plus(of.lifespan);
    let hour = ExpiryHour::of(now, expires_at);
    let (token, signature, kind) = if client.wants_jwt(app.rules.access_token_jwt) {
        let jti = jwt::jti(hour, app.entropy.uuid()?).to_string();
        // The client can read a signed token, so it tells no more than the client may know.
        let shown = of.session.client_subject.as_deref().filter(|_| client.is_pairwise());
        let claims = AccessClaims {
            issuer: &app.rules.issuer,
            subject: shown.unwrap_or(of.subject),
            client_id: &client.client_id,
            jti: &jti,
            scope: of.scope,
            audience: of.audience,
            issued_at: now,
            expires_at,
            ext: &of.session.access_claims,
        };
        let token = sign::jwt(app, sign::signer(app, ACCESS_TOKEN_SET)?, &claims.under(&app.rules.jwt)).await?;
        if token.len() > MAX_TOKEN {
            return Err(too_long().into());
        }
        let key =
            jwt::row_key(&token, &jti).ok_or_else(|| ApiError::Internal("a JWT without a signature".to_owned()))?;
        (token, key, TokenType::AccessJwt)
    } else {
        let minted = app.opaque.mint_access(hour, &app.entropy.bytes()?);
        (minted.token, minted.key, TokenType::AccessOpaque)
    };
    let row = AccessToken {
        signature,
        family_id: of.family_id,
        client_id: client.client_id.clone(),
        subject: of.subject.to_owned(),
        scope: of.scope.to_vec(),
        audience: of.audience.to_vec(),
        requested_at: now,
        expires_at,
        session: session::close_access(app, &signature, of.session)?,
    };
    Ok(Access { token, kind, row })
}

/// A token that we would not read could be neither introspected nor revoked.
fn too_long() -> OAuthError {
    let hint = format!("The access token would be longer than {MAX_TOKEN} bytes; ask for fewer scopes or audiences.");
    OAuthError::new(ErrorCode::InvalidRequest, hint)
}

/// What an ID token is to be.
#[derive(Clone, Copy)]
pub struct IdTokenOf<'a> {
    /// To whom: `aud`.
    pub client_id: &'a str,
    /// What was decided at login and consent.
    pub session: &'a TokenSession,
    /// How long it lives.
    pub lifespan: Duration,
    /// The access token that comes with it.
    pub access_token: Option<&'a str>,
    /// The code that comes with it at the authorization endpoint.
    pub code: Option<&'a str>,
}

/// Makes an ID token.
///
/// # Errors
/// 503 without randomness or keys.
pub async fn id_token(app: &App, of: &IdTokenOf<'_>) -> Result<String, ApiError> {
    let key = sign::signer(app, ID_TOKEN_SET)?;
    let now = app.clock.now();
    let claims = IdTokenClaims {
        issuer: &app.rules.issuer,
        client_id: of.client_id,
        jti: &app.entropy.uuid()?.to_string(),
        session: of.session,
        issued_at: now,
        expires_at: now.plus(of.lifespan),
        alg: key.alg(),
        access_token: of.access_token,
        code: of.code,
    };
    sign::jwt(app, key, &claims).await
}

/// Everything for one request of a user's client, not yet written.
pub struct Made {
    /// The answer.
    pub answer: Answer,
    /// The access token's row.
    pub access: AccessToken,
    /// The refresh token's row, if there is to be one.
    pub refresh: Option<RefreshToken>,
    /// What is made, for the metric.
    pub kinds: Vec<TokenType>,
}

/// Makes all that is to be issued on a user's consent.
///
/// # Errors
/// As [`access()`] and [`id_token()`].
pub async fn for_user(
    app: &App,
    client: &RegisteredClient,
    family_id: Uuid,
    session: &TokenSession,
    issue: &Issue,
) -> Result<Made, ApiError> {
    let of = AccessOf {
        client,
        family_id,
        subject: &session.subject,
        scope: &issue.scope,
        audience: &session.audience,
        lifespan: issue.lifespans.access,
        session: &AccessSession::of(session, &issue.scope),
    };
    let access = access(app, &of).await?;
    let mut answer = Answer {
        access_token: access.token,
        expires_in: of.lifespan.as_secs(),
        id_token: None,
        refresh_token: None,
        scope: issue.scope.join(" "),
        token_type: "bearer",
    };
    let mut kinds = vec![access.kind];
    if issue.id_token {
        let of = IdTokenOf {
            client_id: &client.client.client_id,
            session,
            lifespan: issue.lifespans.id,
            access_token: Some(&answer.access_token),
            code: None,
        };
        answer.id_token = Some(id_token(app, &of).await?);
        kinds.push(TokenType::Id);
    }
    let mut refresh = None;
    if issue.refresh {
        let (token, row) = refresh_token(app, &access.row, session, issue.lifespans.refresh)?;
        (answer.refresh_token, refresh) = (Some(token), Some(row));
        kinds.push(TokenType::Refresh);
    }
    Ok(Made { answer, access: access.row, refresh, kinds })
}

/// Makes the refresh token that comes with an access token. It keeps all that was granted, however narrow the access
/// token is.
fn refresh_token(
    app: &App,
    access: &AccessToken,
    session: &TokenSession,
    lifespan: Option<Duration>,
) -> Result<(String, RefreshToken), ApiError> {
    let minted = app.opaque.mint(TokenKind::Refresh, &app.entropy.bytes()?);
    let row = RefreshToken {
        signature: minted.signature,
        family_id: access.family_id,
        client_id: access.client_id.clone(),
        subject: access.subject.clone(),
        scope: session.scope.clone(),
        audience: session.audience.clone(),
        requested_at: access.requested_at,
        expires_at: lifespan.map(|span| access.requested_at.plus(span)),
        access_token: access.signature,
        session: session::close_tokens(app, Table::Refresh, &minted.signature, session)?,
    };
    Ok((minted.token, row))
}
