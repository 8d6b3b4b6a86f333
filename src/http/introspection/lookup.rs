//! A token's row, and what is said of it: from the cache, if there is one, else from the store.

use crate::domain::token::expiry_hour::hash_in;
use crate::domain::token::introspection::{Active, TokenUse, Told, Valid};
use crate::domain::token::session::AccessSession;
use crate::domain::world::Timestamp;
use crate::http::presented::Row;
use crate::http::public::token::known;
use crate::http::session::{self, Table};
use crate::http::{ApiError, App};
use crate::store::introspection_cache::{Answer, IntrospectionCache};
use crate::store::{AccessKey, AccessToken, SignatureHash};
use crate::telemetry::audit::{Facts, signature};
use crate::telemetry::labels::{CacheAnswer, Introspected, Source};
use bytes::Bytes;
use std::sync::Arc;

/// What is said of a live token.
pub enum Said {
    /// Kept in the cache.
    Kept(Arc<Answer>),
    /// Written just now.
    Fresh {
        /// `client_id`.
        client_id: String,
        /// `sub`.
        subject: String,
        /// Its scopes.
        scope: Vec<String>,
        /// When it ends; `None` never.
        expires_at: Option<Timestamp>,
        /// The answer's JSON.
        body: Bytes,
    },
}

impl Said {
    /// The token's scopes.
    pub fn scope(&self) -> &[String] {
        match self {
            Self::Kept(answer) => &answer.scope,
            Self::Fresh { scope, .. } => scope,
        }
    }

    /// The answer's JSON.
    pub fn body(&self) -> Bytes {
        match self {
            Self::Kept(answer) => answer.body.clone(),
            Self::Fresh { body, .. } => body.clone(),
        }
    }

    /// What the audit log is told of the access token of that key.
    pub fn facts(&self, key: &AccessKey) -> Facts<'_> {
        let (client_id, subject) = match self {
            Self::Kept(answer) => (&answer.client_id, &answer.subject),
            Self::Fresh { client_id, subject, .. } => (client_id, subject),
        };
        Facts {
            client_id: Some(client_id.into()),
            subject: Some(subject.into()),
            access_token_signature: Some(signature(hash_in(key))),
            ..Facts::default()
        }
    }

    /// When the token ends; `None` never.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Self::Kept(answer) => Some(answer.expires_at),
            Self::Fresh { expires_at, .. } => *expires_at,
        }
    }

    /// The answer, read back.
    ///
    /// # Errors
    /// [`ApiError::Internal`] when it is none of ours.
    pub fn told(&self) -> Result<Told, ApiError> {
        serde_json::from_slice(&self.body()).map_err(|e| ApiError::Internal(format!("an introspection answer: {e}")))
    }
}

/// What is said of a live token, or why there is none.
pub type Lookup = Result<Said, Introspected>;

/// What is said of the token that has this row, and who knew; no row is that of a token which is not ours.
///
/// # Errors
/// 503 when nobody can say.
pub async fn of(app: &App, row: Option<&Row>) -> Result<(Source, Lookup), ApiError> {
    match row {
        None => Ok((Source::None, Err(Introspected::Malformed))),
        Some(Row::Access(key)) => access_token(app, key).await,
        Some(Row::Refresh(key)) => Ok((Source::Db, refresh_token(app, key).await?)),
    }
}

/// The same of an access token.
///
/// # Errors
/// 503 when nobody can say.
pub async fn access_token(app: &App, key: &AccessKey) -> Result<(Source, Lookup), ApiError> {
    let doubt = match cached(app, key).await {
        Ok(known) => return Ok(known),
        Err(doubt) => doubt,
    };
    let read_at = app.clock.now();
    let row = app.store.access_token(key).await?;
    Ok((Source::Db, of_row(app, key, read_at, row, doubt)?))
}

/// The cache could not be looked at, so it may hold an answer that the database gives no more.
#[derive(Clone, Copy)]
pub(super) struct Doubt(bool);

/// What the cache knows of it.
pub(super) async fn cached(app: &App, key: &AccessKey) -> Result<(Source, Lookup), Doubt> {
    let Some(cache) = &app.introspections else { return Err(Doubt(false)) };
    match cache.get(key).await {
        Ok((answer, here)) => Ok((if here { Source::Local } else { Source::Redis }, Ok(Said::Kept(answer)))),
        Err(why) => Err(Doubt(why == CacheAnswer::Fault)),
    }
}

/// What its row says, which was read at that moment; it is kept. A token that is over is remembered where there is doubt.
pub(super) fn of_row(
    app: &App,
    key: &AccessKey,
    read_at: Timestamp,
    row: Option<AccessToken>,
    doubt: Doubt,
) -> Result<Lookup, ApiError> {
    let found = read(app, key, read_at, row)?;
    if let (true, Err(_), Some(cache)) = (doubt.0, &found, &app.introspections) {
        cache.is_over(key);
    }
    Ok(found)
}

fn read(app: &App, key: &AccessKey, read_at: Timestamp, row: Option<AccessToken>) -> Result<Lookup, ApiError> {
    let Some(row) = row else { return Ok(Err(Introspected::Unknown)) };
    let Some(session) = session::open_access(app, &row)? else { return Ok(Err(Introspected::Unknown)) };
    let valid = Valid {
        token_use: TokenUse::Access,
        client_id: &row.client_id,
        subject: &row.subject,
        scope: &row.scope,
        audience: &row.audience,
        requested_at: row.requested_at,
        expires_at: Some(row.expires_at),
    };
    let body = written(app, &valid, session)?;
    Ok(Ok(match &app.introspections {
        Some(cache) => Said::Kept(kept(cache, key, read_at, row, body)),
        None => Said::Fresh {
            client_id: row.client_id,
            subject: row.subject,
            scope: row.scope,
            expires_at: Some(row.expires_at),
            body,
        },
    }))
}

fn kept(cache: &IntrospectionCache, key: &AccessKey, read_at: Timestamp, row: AccessToken, body: Bytes) -> Arc<Answer> {
    let answer = Arc::new(Answer {
        read_at,
        expires_at: row.expires_at,
        family_id: row.family_id,
        client_id: row.client_id,
        subject: row.subject,
        scope: row.scope,
        body,
    });
    cache.fill(key, Arc::clone(&answer));
    answer
}

/// A used refresh token counts as long as it would still give tokens.
async fn refresh_token(app: &App, key: &SignatureHash) -> Result<Lookup, ApiError> {
    let Some(found) = app.store.refresh_token(key).await? else { return Ok(Err(Introspected::Unknown)) };
    if !known(&found).is_active(app.rules.refresh.grace) {
        return Ok(Err(if found.expired { Introspected::Expired } else { Introspected::Revoked }));
    }
    let row = found.token;
    let Some(session) = session::open_tokens(app, Table::Refresh, key, &row.session)? else {
        return Ok(Err(Introspected::Unknown));
    };
    let valid = Valid {
        token_use: TokenUse::Refresh,
        client_id: &row.client_id,
        subject: &row.subject,
        scope: &row.scope,
        audience: &row.audience,
        requested_at: row.requested_at,
        expires_at: row.expires_at,
    };
    let body = written(app, &valid, AccessSession::of(&session, &[]))?;
    let (client_id, subject) = (row.client_id, row.subject);
    Ok(Ok(Said::Fresh { client_id, subject, scope: row.scope, expires_at: row.expires_at, body }))
}

fn written(app: &App, valid: &Valid<'_>, session: AccessSession) -> Result<Bytes, ApiError> {
    let body = serde_json::to_vec(&Active::token(valid, &app.rules.issuer, session));
    body.map(Bytes::from).map_err(|e| ApiError::Internal(e.to_string()))
}
