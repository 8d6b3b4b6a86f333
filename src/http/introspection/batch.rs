//! Many tokens in one request: `{"tokens": […], "scope": "…"}`, and their answers in the same order.

use super::lookup::{self, Lookup};
use super::{INACTIVE, judged};
use crate::http::presented::{self, Row};
use crate::http::{ApiError, App, reply};
use crate::store::AccessKey;
use crate::telemetry::audit;
use crate::telemetry::labels::{Introspected, Source};
use actix_web::HttpResponse;
use bytes::Bytes;
use futures_util::future::try_join_all;
use serde::Deserialize;
use std::time::Instant;

/// Most tokens of one request.
const MOST: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    tokens: Vec<String>,
    #[serde(default)]
    scope: String,
}

/// Answers for all tokens of a JSON body. Nobody is told that a token is inactive because another one could not be
/// looked up: then there is no answer at all.
///
/// # Errors
/// 400 for another body, or too many tokens; 503 when nobody can say.
pub async fn respond(app: &App, body: &[u8]) -> Result<HttpResponse, ApiError> {
    let began = Instant::now();
    let asked: Question = serde_json::from_slice(body)
        .map_err(|e| ApiError::BadRequest(format!("write {{\"tokens\": [\"…\"], \"scope\": \"…\"}}: {e}")))?;
    if asked.tokens.len() > MOST {
        return Err(ApiError::BadRequest(format!("'tokens' has more than {MOST} members; send several requests")));
    }
    let rows = asked.tokens.iter().map(|token| presented::any(app, token)).collect::<Result<Vec<_>, _>>()?;
    let failed = |_: &ApiError| {
        app.metrics.introspection(Introspected::Error, Source::Db, began.elapsed().as_secs_f64());
    };
    let found = all(app, &rows).await.inspect_err(failed)?;
    let mut bodies = Vec::with_capacity(found.len());
    for (row, (source, found)) in rows.iter().zip(found) {
        let (result, said) = judged(app, found, &asked.scope);
        if let (Some(said), Some(Row::Access(key))) = (&said, row) {
            audit::inspected(|| said.facts(key));
        }
        app.metrics.introspection(result, source, began.elapsed().as_secs_f64());
        bodies.push(said.map_or(INACTIVE, |said| said.body()));
    }
    Ok(reply::oauth_bytes(list(&bodies)))
}

fn list(bodies: &[Bytes]) -> Bytes {
    let mut out = vec![b'['];
    for (at, body) in bodies.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(body);
    }
    out.push(b']');
    out.into()
}

/// Access tokens that the cache does not know are read in one statement; refresh tokens share those of their reader.
async fn all(app: &App, rows: &[Option<Row>]) -> Result<Vec<(Source, Lookup)>, ApiError> {
    let known = try_join_all(rows.iter().map(|row| async move {
        Ok::<_, ApiError>(match row {
            Some(Row::Access(key)) => lookup::cached(app, key).await.map_err(|doubt| (*key, doubt)),
            other => Ok(lookup::of(app, other.as_ref()).await?),
        })
    }))
    .await?;
    let missing: Vec<AccessKey> = known.iter().filter_map(|known| known.as_ref().err()).map(|(key, _)| *key).collect();
    let read_at = app.clock.now();
    let mut found = app.store.access_tokens(&missing).await?.into_iter();
    let settle = |known| match known {
        Ok(known) => Ok(known),
        Err((key, doubt)) => Ok((Source::Db, lookup::of_row(app, &key, read_at, found.next().flatten(), doubt)?)),
    };
    known.into_iter().map(settle).collect()
}
