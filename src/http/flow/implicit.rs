//! Tokens straight from the authorization endpoint (RFC 6749 §4.2, OpenID Connect Core §3.2, §3.3): only for clients that
//! registered for it.

use super::super::App;
use super::super::public::token::mint::{self, AccessOf, IdTokenOf};
use super::request::Asked;
use super::{Stop, issue::Made};
use crate::domain::grant::Via;
use crate::domain::token::session::{AccessSession, TokenSession};
use crate::telemetry::labels::TokenType;

/// Adds to the answer, and to what is written, the tokens that the response type has.
///
/// # Errors
/// `invalid_request` for a token that would be too long; 503 without randomness or keys.
pub(super) async fn add(app: &App, asked: &Asked, session: &TokenSession, made: &mut Made) -> Result<(), Stop> {
    let Made { order, fields, kinds } = made;
    let wanted = asked.request.response_type;
    let lifespans = app.rules.lifespans.of(&asked.client.client, Via::Implicit);
    if wanted.token {
        let of = AccessOf {
            client: &asked.client,
            family_id: order.consent.id,
            subject: &session.subject,
            scope: &session.scope,
            audience: &session.audience,
            lifespan: lifespans.access,
            session: &AccessSession::of(session, &session.scope),
        };
        let access = mint::access(app, &of).await?;
        order.access_token = Some(access.row);
        kinds.push(access.kind);
        fields.push(("access_token", access.token));
        fields.push(("expires_in", lifespans.access.as_secs().to_string()));
        fields.push(("token_type", "bearer".to_owned()));
    }
    if wanted.id_token && session.has_scope("openid") {
        let of = |name: &str| fields.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str());
        let token = IdTokenOf {
            client_id: &asked.request.client_id,
            session,
            lifespan: lifespans.id,
            access_token: of("access_token"),
            code: of("code"),
        };
        let token = mint::id_token(app, &token).await?;
        fields.push(("id_token", token));
        kinds.push(TokenType::Id);
    }
    Ok(())
}
