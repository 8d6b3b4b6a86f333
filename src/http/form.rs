//! Bodies: bounded in size and time. Forms are decoded strictly, each parameter once (RFC 6749 §3.2).

use super::{ApiError, admission};
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::form::decode;
use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use actix_web::{FromRequest, HttpRequest, web};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use std::time::Duration;

/// Largest form, in bytes.
pub const LIMIT: usize = 64 * 1024;
/// Largest JSON of an admin request, in bytes.
const JSON_LIMIT: usize = 1 << 20;
/// The media type of a form in parts.
const MULTIPART: &str = "multipart/form-data";
/// Most parameters.
const PARAMETERS: usize = 256;
/// A body must be here in this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Parameters that may come more than once.
const REPEATABLE: [&str; 2] = ["audience", "resource"];

/// A decoded form.
pub struct Form(Vec<(String, String)>);

/// The names alone: values may be secrets.
impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Form {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// `invalid_request` for a body that is no form, empty, malformed or repeats a parameter; 408, 413 and 415.
    pub async fn read(request: &HttpRequest, payload: web::Payload) -> Result<Self, ApiError> {
        let body = read_form(request, payload).await?;
        if body.is_empty() {
            return Err(refused("The POST body can not be empty."));
        }
        check_media_type(request.headers())?;
        Self::parse(&body)
    }

    /// The same of a form that may come as `multipart/form-data` too (RFC 7578): introspection takes both, as Hydra's does.
    ///
    /// # Errors
    /// As [`Form::read`].
    pub async fn read_either(request: &HttpRequest, payload: web::Payload) -> Result<Self, ApiError> {
        let media = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if !media.get(..MULTIPART.len()).is_some_and(|m| m.eq_ignore_ascii_case(MULTIPART)) {
            return Self::read(request, payload).await;
        }
        let boundary = multer::parse_boundary(media).map_err(|e| refused(&format!("The form is malformed: {e}.")))?;
        Self::parse_parts(read_form(request, payload).await?, boundary).await
    }

    async fn parse_parts(body: Vec<u8>, boundary: String) -> Result<Self, ApiError> {
        let malformed = |e: multer::Error| refused(&format!("The form is malformed: {e}."));
        let body = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from(body))]);
        let mut parts = multer::Multipart::new(body, boundary);
        let mut form = Self(Vec::new());
        while let Some(part) = parts.next_field().await.map_err(malformed)? {
            let name = part.name().unwrap_or_default().to_owned();
            let value = part.bytes().await.map_err(malformed)?;
            let value = String::from_utf8(value.to_vec()).ok().filter(|value| !value.contains('\0'));
            let value = value.ok_or_else(|| refused("The form is not UTF-8, or has a NUL in it."))?;
            form.add(name, value)?;
        }
        if form.0.is_empty() {
            return Err(refused("The POST body can not be empty."));
        }
        Ok(form)
    }

    /// The body of a form as it came, for those who judge its parameters themselves; empty when there is none.
    ///
    /// # Errors
    /// `invalid_request` for a body that is no form; 408, 413 and 415.
    pub async fn read_text(request: &HttpRequest, payload: web::Payload) -> Result<String, ApiError> {
        let body = read_form(request, payload).await?;
        if !body.is_empty() {
            check_media_type(request.headers())?;
        }
        String::from_utf8(body).map_err(|_| refused("The form is not UTF-8."))
    }

    fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let text = std::str::from_utf8(body).map_err(|_| refused("The form is not UTF-8."))?;
        let mut form = Self(Vec::new());
        for pair in text.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                return Err(refused("The form has a broken percent-encoding, invalid UTF-8 or a NUL in it."));
            };
            form.add(name, value)?;
        }
        Ok(form)
    }

    fn add(&mut self, name: String, value: String) -> Result<(), ApiError> {
        if self.0.len() >= PARAMETERS {
            return Err(refused("The form has too many parameters."));
        }
        if !REPEATABLE.contains(&name.as_str()) && self.0.iter().any(|(n, _)| *n == name) {
            return Err(refused(&format!("The parameter '{name}' comes more than once.")));
        }
        self.0.push((name, value));
        Ok(())
    }

    /// No parameter at all, for a request whose body is something else.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// The value of a parameter; `None` when it is absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// All values of a repeatable parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

async fn read_form(request: &HttpRequest, payload: web::Payload) -> Result<Vec<u8>, ApiError> {
    check_headers(request.headers())?;
    let body = read_body(payload, LIMIT).await?;
    admission::enter(request).await?;
    Ok(body)
}

fn refused(hint: &str) -> ApiError {
    OAuthError::new(ErrorCode::InvalidRequest, hint).into()
}

/// A compressed body is never inflated: a small one could become a large one.
fn check_headers(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get(CONTENT_ENCODING) {
        Some(v) if !v.as_bytes().eq_ignore_ascii_case(b"identity") => Err(ApiError::UnsupportedMediaType(
            "A Content-Encoding is not accepted; send the body as it is.".to_owned(),
        )),
        _ => Ok(()),
    }
}

fn check_media_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let media = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let mut parts = media.split(';').map(str::trim);
    let form = parts.next().is_some_and(|m| m.eq_ignore_ascii_case("application/x-www-form-urlencoded"));
    let charset = parts.filter_map(|p| p.split_once('=')).find(|(k, _)| k.trim().eq_ignore_ascii_case("charset"));
    let utf8 = charset.is_none_or(|(_, v)| v.trim().trim_matches('"').eq_ignore_ascii_case("utf-8"));
    if form && utf8 {
        return Ok(());
    }
    Err(refused(
        "The POST body can not be empty. Send it with Content-Type application/x-www-form-urlencoded, in UTF-8.",
    ))
}

/// The body of an admin request: at most 1 MiB, as it is, and here in time.
pub struct Json(Vec<u8>);

impl std::ops::Deref for Json {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl FromRequest for Json {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (plain, payload) = (check_headers(request.headers()), web::Payload::from_request(request, payload));
        let request = request.clone();
        Box::pin(async move {
            plain?;
            let payload = payload.await.map_err(|e| ApiError::BadRequest(e.to_string()))?;
            let body = read_body(payload, JSON_LIMIT).await?;
            admission::enter(&request).await?;
            Ok(Self(body))
        })
    }
}

/// Reads at most `limit` bytes within the body's deadline.
///
/// # Errors
/// 400, 408 and 413.
async fn read_body(mut payload: web::Payload, limit: usize) -> Result<Vec<u8>, ApiError> {
    let all = async {
        let mut body = Vec::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|e| ApiError::BadRequest(e.to_string()))?;
            if body.len() + chunk.len() > limit {
                return Err(ApiError::TooLarge(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    };
    tokio::time::timeout(PATIENCE, all).await.map_err(|_| ApiError::Slow)?
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn h04_admin_bodies_are_bounded_in_size_and_time_and_not_inflated() {
        let read = |request: actix_web::test::TestRequest| async {
            let (request, mut payload) = request.to_http_parts();
            Json::from_request(&request, &mut payload).await
        };
        let plain = actix_web::test::TestRequest::post;
        assert_eq!(&*read(plain().set_payload("{}")).await.unwrap(), b"{}");
        assert!(matches!(read(plain().set_payload(vec![b' '; JSON_LIMIT + 1])).await, Err(ApiError::TooLarge(_))));
        let packed = plain().insert_header((CONTENT_ENCODING, "gzip")).set_payload("{}");
        assert!(matches!(read(packed).await, Err(ApiError::UnsupportedMediaType(_))));
    }

    #[actix_web::test]
    async fn forms_in_parts_are_as_strict() {
        let part = |name: &str, value: &str| {
            format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let read = |text: String| Form::parse_parts(text.into_bytes(), "x".to_owned());
        let form = read(part("token", "a+b") + &part("scope", "r w") + "--x--\r\n").await.unwrap();
        assert_eq!((form.get("token"), form.get("scope")), (Some("a+b"), Some("r w")));
        for bad in [part("a", "1") + &part("a", "2") + "--x--\r\n", part("a", "1"), "--x--\r\n".into(), String::new()] {
            assert!(read(bad.clone()).await.is_err(), "{bad}");
        }
    }

    #[test]
    fn forms_are_strict() {
        let form = Form::parse(b"a=1+2&audience=x&audience=y&&c").unwrap();
        assert_eq!((form.get("a"), form.get("c"), form.get("d")), (Some("1 2"), Some(""), None));
        assert_eq!(form.all("audience").collect::<Vec<_>>(), ["x", "y"]);
        assert!(!format!("{form:?}").contains("1 2"));
        for bad in [&b"a=%zz"[..], b"a=%", b"a=%c3%28", b"a=%00", b"a=1&a=2", b"a=\xff"] {
            assert!(Form::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Form::parse("x=1&".repeat(2).as_bytes()).is_err());
        assert!(Form::parse((0..300).map(|i| format!("k{i}=1&")).collect::<String>().as_bytes()).is_err());
    }
}
