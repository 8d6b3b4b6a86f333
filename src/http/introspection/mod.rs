//! Introspection (RFC 7662): what is said of a token, looked up once and told in the form its caller reads.

pub mod batch;
pub mod lookup;
mod phantom;

pub use phantom::{is_jwt, phantom};

use crate::actors::key_manager::ACCESS_TOKEN_SET;
use crate::domain::client::RegisteredClient;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::scope::{audience_allowed, parse_scope};
use crate::domain::token::introspection::{self, Told};
use crate::http::form::Form;
use crate::http::presented::{self, Row};
use crate::http::{ApiError, App, reply, sign};
use crate::telemetry::audit;
use crate::telemetry::labels::{Introspected, Source};
use actix_web::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use lookup::{Lookup, Said};
use serde_json::{Value, json};
use std::time::Instant;

const INACTIVE: Bytes = Bytes::from_static(b"{\"active\":false}");
/// The media type of RFC 9701 §5.
const SIGNED: &str = "application/token-introspection+jwt";

/// Answers for the token of a form, and counts it: 200 for whatever is no valid token, an error only when nobody can say.
/// `caller` is the resource server that has proven who it is; operators need not.
pub async fn respond(
    app: &App,
    request: &HttpRequest,
    form: Result<Form, ApiError>,
    caller: Option<&RegisteredClient>,
) -> HttpResponse {
    let began = Instant::now();
    let answer = async { answer(app, request, &form?, caller).await };
    let (result, source, answer) = answer.await.unwrap_or_else(|e| {
        (Introspected::Error, Source::Db, e.oauth_response(app.rules.expose_internal_errors, false))
    });
    app.metrics.introspection(result, source, began.elapsed().as_secs_f64());
    answer
}

async fn answer(
    app: &App,
    request: &HttpRequest,
    form: &Form,
    caller: Option<&RegisteredClient>,
) -> Result<(Introspected, Source, HttpResponse), ApiError> {
    let token = form
        .get("token")
        .ok_or_else(|| OAuthError::new(ErrorCode::InvalidRequest, "The form parameter 'token' is missing."))?;
    let row = presented::any(app, token)?;
    let (source, found) = lookup::of(app, row.as_ref()).await?;
    let (result, said) = judged(app, found, form.get("scope").unwrap_or_default());
    if let (Some(said), Some(Row::Access(key))) = (&said, &row) {
        audit::inspected(|| said.facts(key));
    }
    let accepts = request.headers().get_all(ACCEPT).filter_map(|v| v.to_str().ok());
    let response = match (introspection::Form::accepted(accepts), caller) {
        (introspection::Form::Phantom, _) => as_phantom(app, token, row, said).await?,
        (introspection::Form::Signed, Some(caller)) => signed(app, said, caller).await?,
        // Nobody has said who asks, so there is no audience to sign for.
        (introspection::Form::Json | introspection::Form::Signed, _) => json(app, said),
    };
    Ok((result, source, response))
}

/// A scope that is missing says nothing about the token: it is asked after the lookup and never a part of its key.
fn judged(app: &App, found: Lookup, wanted: &str) -> (Introspected, Option<Said>) {
    let covers = |scope: &[String], s: &str| app.rules.scope_strategy.covers(scope.iter().map(String::as_str), s);
    match found {
        Ok(said) if parse_scope(wanted).iter().all(|s| covers(said.scope(), s)) => (Introspected::Active, Some(said)),
        Ok(_) => (Introspected::Scope, None),
        Err(why) => (why, None),
    }
}

fn json(app: &App, said: Option<Said>) -> HttpResponse {
    let Some(said) = said else { return reply::oauth_bytes(INACTIVE) };
    let mut response = reply::oauth_bytes(said.body());
    reply::may_be_kept(app, response.headers_mut(), said.expires_at(), "Authorization, Accept");
    response
}

/// The bare JWT, or 204. A refresh token has none: it is for nobody but its client.
async fn as_phantom(app: &App, token: &str, row: Option<Row>, said: Option<Said>) -> Result<HttpResponse, ApiError> {
    let (Some(said), Some(Row::Access(key))) = (said, row) else {
        return Ok(HttpResponse::NoContent().insert_header((CACHE_CONTROL, "no-store")).finish());
    };
    let jwt = phantom(app, token, &key, &said.told()?).await?;
    Ok(as_jwt(app, HttpResponse::Ok(), "application/jwt", jwt, Some(&said)))
}

/// RFC 9701 §5: who asks is the audience, and a token that is for others is not active.
async fn signed(app: &App, said: Option<Said>, caller: &RegisteredClient) -> Result<HttpResponse, ApiError> {
    let client = &caller.client;
    let said = match said {
        Some(said) if is_meant_for(&said.told()?, &client.client_id, &client.audience) => Some(said),
        _ => None,
    };
    let body = said.as_ref().map_or(INACTIVE, Said::body);
    let body: Value = serde_json::from_slice(&body).map_err(|e| ApiError::Internal(e.to_string()))?;
    let (iss, iat) = (&app.rules.issuer, app.clock.now().secs());
    let claims = json!({"iss": iss, "aud": client.client_id, "iat": iat, "token_introspection": body});
    let jwt = sign::typed(app, sign::signer(app, ACCESS_TOKEN_SET)?, "token-introspection+jwt", &claims).await?;
    Ok(as_jwt(app, HttpResponse::Ok(), SIGNED, jwt, said.as_ref()))
}

/// A token without an audience is for all; any other names the resource server, or what that is registered for.
fn is_meant_for(told: &Told, client_id: &str, audience: &[String]) -> bool {
    told.aud.is_empty() || told.aud.iter().any(|one| one == client_id || audience_allowed(audience, one))
}

fn as_jwt(
    app: &App,
    mut response: HttpResponseBuilder,
    media: &'static str,
    jwt: String,
    said: Option<&Said>,
) -> HttpResponse {
    response.insert_header((CONTENT_TYPE, media)).insert_header((CACHE_CONTROL, "no-store"));
    let mut response = response.body(jwt);
    if let Some(said) = said {
        reply::may_be_kept(app, response.headers_mut(), said.expires_at(), "Authorization, Accept");
    }
    response
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_meant_for_those_in_its_audience_or_for_all() {
        let told = |aud: &[&str]| -> Told {
            let all = json!({"sub": "s", "client_id": "c", "aud": aud, "iat": 1, "iss": "i"});
            serde_json::from_value(all).unwrap()
        };
        let api = ["https://api.example".to_owned()];
        for (aud, audience, meant) in [
            (&[][..], &[][..], true),
            (&["rs"], &[], true),
            (&["other"], &[], false),
            (&["https://api.example/v1"], &api[..], true),
            (&["https://api.example.evil"], &api, false),
            (&["other", "https://api.example"], &api, true),
        ] {
            assert_eq!(is_meant_for(&told(aud), "rs", audience), meant, "{aud:?} {audience:?}");
        }
    }
}
