//! `ANY /authz/{policy}`: may a request with this token pass? Gateways ask with a copy of the request (nginx
//! `auth_request`, Envoy `ext_authz`, Traefik and Caddy `forward_auth`); its path, method and body do not matter here, and
//! what it says of itself (`X-Auth-*`, `X-Forwarded-*`) is not believed.
//!
//! Invariant: the answer is 200, 401, 403 or 503; gateways make faults of their own of anything else.

use super::{INVALID_TOKEN, NO_TOKEN};
use crate::domain::gateway::{Policy, Verdict};
use crate::http::flow::cookies;
use crate::http::introspection::{lookup, phantom};
use crate::http::{ApiError, App, admission, presented, reply};
use crate::telemetry::audit;
use crate::telemetry::labels::{Introspected, Source};
use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use std::time::Instant;

/// More than one token, or one that is none; nobody needs to know which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Why a request may not pass.
enum Refused {
    /// No token.
    NoToken,
    /// None that is good here.
    InvalidToken,
    /// It lacks a scope.
    InsufficientScope,
    /// Never.
    Forbidden,
    /// Nobody can say.
    Unavailable(ApiError),
}

impl From<ApiError> for Refused {
    fn from(e: ApiError) -> Self {
        Self::Unavailable(e)
    }
}

impl From<Malformed> for Refused {
    fn from(_: Malformed) -> Self {
        Self::InvalidToken
    }
}

/// The handler.
pub async fn authz(app: web::Data<App>, request: HttpRequest) -> HttpResponse {
    let name = request.match_info().get("policy").unwrap_or_default();
    let Some(policy) = app.rules.gateway.policies.get(name) else {
        tracing::warn!(policy = ?name, "a gateway asks by a policy that is not in gateway.policies");
        return answer(StatusCode::FORBIDDEN, None);
    };
    if policy.allow_preflight && request.method() == Method::OPTIONS {
        return answer(StatusCode::OK, None);
    }
    let began = Instant::now();
    let mut source = Source::None;
    let (result, answer) = match pass(&app, policy, &request, &mut source).await {
        Ok(response) => (Introspected::Active, response),
        Err(refused) => (counted(&refused), refusal(policy, &refused)),
    };
    app.metrics.introspection(result, source, began.elapsed().as_secs_f64());
    answer
}

async fn pass(app: &App, policy: &Policy, request: &HttpRequest, source: &mut Source) -> Result<HttpResponse, Refused> {
    let token = token(policy, request)?.ok_or(Refused::NoToken)?;
    // Some gateways send a body along, which nobody waits for here.
    admission::enter(request).await?;
    let key = presented::access(app, token)?.ok_or(Refused::InvalidToken)?;
    let (from, found) = lookup::access_token(app, &key).await?;
    *source = from;
    let said = found.map_err(|_| Refused::InvalidToken)?;
    let told = said.told()?;
    match policy.judge(&told, app.rules.scope_strategy) {
        Verdict::Allow => {}
        Verdict::OtherAudience => return Err(Refused::InvalidToken),
        Verdict::InsufficientScope => return Err(Refused::InsufficientScope),
    }
    audit::inspected(|| said.facts(&key));
    let jwt = if policy.phantom { Some(phantom(app, token, &key, &told).await?) } else { None };
    let Some(headers) = policy.told(&told, jwt.as_deref()) else {
        tracing::warn!(client_id = told.client_id, "the subject or the client_id is too long for a header");
        return Err(Refused::Forbidden);
    };
    let mut response = answer(StatusCode::OK, None);
    for (name, value) in headers {
        let pair = (HeaderName::try_from(name), HeaderValue::try_from(value));
        let (Ok(name), Ok(value)) = pair else {
            return Err(ApiError::Internal(format!("{name} is no header")).into());
        };
        response.headers_mut().insert(name, value);
    }
    let vary = if policy.cookie.is_some() { "Authorization, Cookie" } else { "Authorization" };
    reply::may_be_kept(app, response.headers_mut(), said.expires_at(), vary);
    Ok(response)
}

/// The one token of a request: of the header, or, without any, of the policy's cookie.
fn token<'a>(policy: &'a Policy, request: &'a HttpRequest) -> Result<Option<&'a str>, Malformed> {
    match &policy.cookie {
        Some(name) if !request.headers().contains_key(AUTHORIZATION) => cookie(request, name),
        _ => bearer(request),
    }
}

/// The token of the `Authorization` header (RFC 6750 §2.1); none for another scheme.
///
/// # Errors
/// [`Malformed`] for more than one header, or for what is no `b64token`.
pub fn bearer(request: &HttpRequest) -> Result<Option<&str>, Malformed> {
    let mut all = request.headers().get_all(AUTHORIZATION);
    let Some(value) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(Malformed);
    }
    let text = value.to_str().map_err(|_| Malformed)?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    Some(token.trim_matches(' ')).filter(|token| is_b64token(token)).map(Some).ok_or(Malformed)
}

fn cookie<'a>(request: &'a HttpRequest, name: &'a str) -> Result<Option<&'a str>, Malformed> {
    let mut found = cookies::values(request, name);
    match (found.next(), found.next()) {
        (None, _) => Ok(None),
        (Some(token), None) if is_b64token(token) => Ok(Some(token)),
        _ => Err(Malformed),
    }
}

fn is_b64token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b))
}

const fn counted(refused: &Refused) -> Introspected {
    match refused {
        Refused::NoToken => Introspected::Malformed,
        Refused::InvalidToken => Introspected::Unknown,
        Refused::InsufficientScope | Refused::Forbidden => Introspected::Scope,
        Refused::Unavailable(_) => Introspected::Error,
    }
}

/// RFC 6750 §3.1: who brought no token is told no error.
fn refusal(policy: &Policy, refused: &Refused) -> HttpResponse {
    match refused {
        Refused::NoToken => answer(StatusCode::UNAUTHORIZED, Some(NO_TOKEN)),
        Refused::InvalidToken => answer(StatusCode::UNAUTHORIZED, Some(INVALID_TOKEN)),
        Refused::InsufficientScope => {
            let scope = policy.scope();
            let challenge = format!("Bearer realm=\"signet\", error=\"insufficient_scope\", scope=\"{scope}\"");
            answer(StatusCode::FORBIDDEN, Some(&challenge))
        }
        Refused::Forbidden => answer(StatusCode::FORBIDDEN, None),
        Refused::Unavailable(e) => {
            if !matches!(e, ApiError::Busy(_)) {
                tracing::warn!(error = %e, "nobody can say whether a request may pass");
            }
            let mut answer = answer(StatusCode::SERVICE_UNAVAILABLE, None);
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            answer
        }
    }
}

fn answer(status: StatusCode, challenge: Option<&str>) -> HttpResponse {
    let mut answer = HttpResponse::build(status).finish();
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(challenge) = challenge.and_then(|text| HeaderValue::from_str(text).ok()) {
        answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn of(headers: &[(&str, &str)]) -> HttpRequest {
        let add = |request: TestRequest, (name, value): &(&str, &str)| {
            request.append_header(((*name).to_owned(), (*value).to_owned()))
        };
        headers.iter().fold(TestRequest::default(), add).to_http_request()
    }

    #[test]
    fn one_bearer_token_in_any_case() {
        for (headers, found) in [
            (&[][..], Ok(None)),
            (&[("Authorization", "Bearer abc.d-_~+/=")], Ok(Some("abc.d-_~+/="))),
            (&[("authorization", "bEARER  abc ")], Ok(Some("abc"))),
            (&[("Authorization", "Basic YTpi")], Ok(None)),
            (&[("Authorization", "Bearer")], Err(Malformed)),
            (&[("Authorization", "Bearer a b")], Err(Malformed)),
            (&[("Authorization", "Bearer a%20")], Err(Malformed)),
            (&[("Authorization", "Bearer a,Bearer b")], Err(Malformed)),
            (&[("Authorization", "Bearer a"), ("Authorization", "Bearer a")], Err(Malformed)),
            (&[("Cookie", "at=abc")], Ok(None)),
        ] {
            assert_eq!(bearer(&of(headers)), found, "{headers:?}");
        }
    }

    #[test]
    fn a_cookie_counts_where_there_is_no_header() {
        let policy = Policy { cookie: Some("at".to_owned()), ..Policy::default() };
        for (headers, found) in [
            (&[("Cookie", "x=1; at=abc.d; at2=z")][..], Ok(Some("abc.d"))),
            (&[("Cookie", "x=1"), ("Cookie", "at=abc")], Ok(Some("abc"))),
            (&[("Cookie", "at=a; at=b")], Err(Malformed)),
            (&[("Cookie", "at=")], Err(Malformed)),
            (&[("Cookie", "AT=a")], Ok(None)),
            (&[("Cookie", "at=a"), ("Authorization", "Bearer b")], Ok(Some("b"))),
            (&[("Cookie", "at=a"), ("Authorization", "Basic b")], Ok(None)),
        ] {
            assert_eq!(token(&policy, &of(headers)), found, "{headers:?}");
        }
    }
}
