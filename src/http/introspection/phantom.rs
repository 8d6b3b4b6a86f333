//! Phantom tokens: an opaque access token said once more as a JWT (RFC 9068), for upstreams that verify by our keys.

use crate::actors::key_manager::ACCESS_TOKEN_SET;
use crate::domain::scope::parse_scope;
use crate::domain::token::introspection::Told;
use crate::domain::token::jwt::{self, AccessClaims};
use crate::domain::world::Timestamp;
use crate::http::{ApiError, App, sign};
use crate::store::AccessKey;

/// Whether a token that is ours is a JWT; an opaque one has one dot.
pub fn is_jwt(token: &str) -> bool {
    token.bytes().filter(|b| *b == b'.').count() == 2
}

/// The JWT for an active access token, with its lifetime and always the same `jti`; a token that is a JWT is that itself.
/// It is in no database: it cannot be introspected or revoked, so it is worth as much as the answer it came with.
///
/// # Errors
/// 503 without keys, or when too many are being signed.
pub async fn phantom(app: &App, token: &str, key: &AccessKey, told: &Told) -> Result<String, ApiError> {
    if is_jwt(token) {
        return Ok(token.to_owned());
    }
    let claims = AccessClaims {
        issuer: &app.rules.issuer,
        subject: &told.sub,
        client_id: &told.client_id,
        jti: &jwt::phantom_jti(key).to_string(),
        scope: &parse_scope(&told.scope),
        audience: &told.aud,
        issued_at: Timestamp::from_secs(told.iat),
        expires_at: Timestamp::from_secs(told.exp.unwrap_or(told.iat)),
        ext: &told.ext,
    };
    sign::typed(app, sign::signer(app, ACCESS_TOKEN_SET)?, "at+jwt", &claims.under(&app.rules.jwt)).await
}
