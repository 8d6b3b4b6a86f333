//! A refresh token is exchanged for its successor (RFC 6749 §6): one read, one commit.
//!
//! Where there is a grace, the answer is kept in the used token's row, sealed under that token's own random part: whoever
//! brings the token again within it gets the same answer, and the database alone tells nobody anything.

use super::mint::{self, Answer, Made};
use super::{Call, Settled};
use crate::crypto::seal::{Sealer, aad};
use crate::domain::grant::Issue;
use crate::domain::grant::check_grant;
use crate::domain::grant::refresh_token::{Decision, GRANT_TYPE, Token, decide, reused, unknown};
use crate::domain::scope::parse_scope;
use crate::domain::token::opaque::{Presented, TokenKind};
use crate::domain::token::session::TokenSession;
use crate::http::client_auth::Authenticated;
use crate::http::session::{self, Table};
use crate::http::{ApiError, App, hook, presented, reply};
use crate::store::{FoundRefresh, Replay, Rotate, Verdict, Write};
use crate::telemetry::labels::Reuse;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// No bound on replays, in a number that every database can hold.
const UNBOUNDED: u32 = i32::MAX.unsigned_abs();

pub(super) async fn refresh(call: &Call<'_>, who: &Authenticated) -> Settled {
    let (app, client) = (call.app, &who.client);
    check_grant(&client.client, GRANT_TYPE)?;
    let token = presented::opaque(app, TokenKind::Refresh, call.param("refresh_token")).ok_or_else(unknown)?;
    let found = app.store.refresh_token(&token.signature).await?.ok_or_else(unknown)?;
    let opened = session::open_tokens(app, Table::Refresh, &token.signature, &found.token.session)?;
    let session = opened.ok_or_else(unknown)?;
    let scope = parse_scope(call.param("scope"));
    match decide(&client.client, &known(&found), &session, &scope, &app.rules.refresh)? {
        Decision::Rotate(issue) => rotate(call, who, &token, &found, (session, issue)).await,
        Decision::Replay => replay(call, who, &token, &found).await,
        Decision::Reused => {
            call.end_family(who, found.token.family_id, Reuse::RefreshToken).await?;
            Err(reused().into())
        }
    }
}

/// What the rules look at of a row.
pub fn known(found: &FoundRefresh) -> Token<'_> {
    Token {
        client_id: &found.token.client_id,
        used_at: found.used_at,
        kept: !found.successor.is_empty(),
        replayed: found.replayed,
        expired: found.expired,
        revoked: found.revoked,
        now: found.now,
    }
}

async fn rotate(
    call: &Call<'_>,
    who: &Authenticated,
    token: &Presented,
    found: &FoundRefresh,
    (mut session, issue): (TokenSession, Issue),
) -> Settled {
    let (app, client, family_id) = (call.app, &who.client, found.token.family_id);
    let about = call.about(who, &issue, family_id);
    hook::for_refresh(app, &about, &mut session).await?;
    hook::for_user(app, &about, &mut session).await?;
    let Made { answer, access, refresh, kinds } = mint::for_user(app, client, family_id, &session, &issue).await?;
    let refresh = refresh.ok_or_else(|| ApiError::Internal("a refresh without a refresh token".to_owned()))?;
    let strict = app.rules.refresh.grace.period.is_zero();
    let kept = Kept { at: access.requested_at.secs(), expires_in: answer.expires_in, answer: &answer };
    let order = Rotate {
        client_version: client.version,
        presented: token.signature,
        successor: if strict { Vec::new() } else { kept.close(app, token, found)? },
        access,
        refresh,
        strict,
        jti: who.jti.clone(),
    };
    // Used or ended by another request meanwhile: it is read and decided on again.
    call.finish(who, Write::Rotate(Box::new(order)), &answer, &kinds).await
}

/// The same answer again, with the time that is left of it.
async fn replay(call: &Call<'_>, who: &Authenticated, token: &Presented, found: &FoundRefresh) -> Settled {
    let most = call.app.rules.refresh.grace.most;
    if most > 0 || who.jti.is_some() {
        let most = if most == 0 { UNBOUNDED } else { most };
        let order = Replay { presented: token.signature, most, jti: who.jti.clone() };
        if call.commit(who, Write::Replay(order)).await? != Verdict::Done {
            return Ok(None);
        }
    }
    let kept = Kept::<Value>::open(token, found)?;
    let passed = u64::try_from(call.app.clock.now().secs().saturating_sub(kept.at)).unwrap_or_default();
    let Value::Object(mut answer) = kept.answer else { return Err(unreadable("it is no object")) };
    answer.insert("expires_in".to_owned(), json!(kept.expires_in.saturating_sub(passed)));
    call.app.metrics.token_reuse(Reuse::Graceful);
    reply::oauth(&answer).map(Some)
}

/// The answer to the first use of a refresh token.
#[derive(Serialize, Deserialize)]
struct Kept<A> {
    /// When it was given, in seconds since the epoch.
    at: i64,
    /// Seconds that its access token lived then.
    expires_in: u64,
    answer: A,
}

impl Kept<&Answer> {
    fn close(&self, app: &App, token: &Presented, found: &FoundRefresh) -> Result<Vec<u8>, ApiError> {
        let plain = serde_json::to_vec(self).map_err(unreadable)?;
        sealer(token).seal(&app.entropy.bytes()?, &bound_to(found), &plain).map_err(unreadable)
    }
}

impl Kept<Value> {
    fn open(token: &Presented, found: &FoundRefresh) -> Result<Self, ApiError> {
        let opened = sealer(token).open(&bound_to(found), &found.successor).map_err(unreadable)?;
        serde_json::from_slice(&opened.plain).map_err(unreadable)
    }
}

fn sealer(token: &Presented) -> Sealer {
    Sealer::from_key_material(token.key.as_slice(), "replay")
}

fn bound_to(found: &FoundRefresh) -> Vec<u8> {
    let row = [found.token.signature.as_slice(), found.token.family_id.as_bytes()].concat();
    aad("refresh_token", "successor", &row)
}

fn unreadable(why: impl std::fmt::Display) -> ApiError {
    ApiError::Internal(format!("the kept answer of a refresh token: {why}"))
}
