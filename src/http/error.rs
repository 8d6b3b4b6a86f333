//! The only place that knows the HTTP status of a failure, and the only one that logs it.

use super::pages;
use crate::actors::client_registry::LookupError;
use crate::actors::mailbox::AskError;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::world::NoEntropy;
use crate::store::StoreError;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde_json::json;

/// Everything that can go wrong with a request.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// A refusal by the rules.
    #[error(transparent)]
    OAuth(#[from] OAuthError),
    /// No row (404).
    #[error("not found")]
    NotFound,
    /// A set or challenge that nobody made (404, with Hydra's other words).
    #[error("not found")]
    NotFoundNamed,
    /// A resource with that value exists (409).
    #[error("conflict")]
    Conflict,
    /// The request makes no sense (400); the text names the field and the fix.
    #[error("bad request: {0}")]
    BadRequest(String),
    /// The body is of a kind that is not read here (415).
    #[error("unsupported media type: {0}")]
    UnsupportedMediaType(String),
    /// The body is longer than this many bytes (413).
    #[error("body longer than {0} bytes")]
    TooLarge(usize),
    /// The body did not come in time (408).
    #[error("the body did not come in time")]
    Slow,
    /// Too many at once from one side (429).
    #[error("too many: {0}")]
    TooMany(String),
    /// Too many requests of this class at once: ask again in so many seconds (503).
    #[error("too many requests")]
    Busy(usize),
    /// Ask again later (503).
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// A fault of ours (500); the text is for the log.
    #[error("internal: {0}")]
    Internal(String),
}

impl From<StoreError> for ApiError {
    fn from(e: StoreError) -> Self {
        match e {
            StoreError::Conflict => Self::Conflict,
            StoreError::Unavailable(why) | StoreError::Held(why) => Self::Unavailable(why),
            StoreError::Corrupt(why) => Self::Internal(why),
        }
    }
}

impl From<AskError> for ApiError {
    fn from(e: AskError) -> Self {
        Self::Unavailable(e.to_string())
    }
}

impl From<NoEntropy> for ApiError {
    fn from(e: NoEntropy) -> Self {
        Self::Unavailable(e.to_string())
    }
}

impl From<LookupError> for ApiError {
    fn from(e: LookupError) -> Self {
        match e {
            LookupError::Store(e) => e.into(),
            LookupError::Ask(e) => e.into(),
        }
    }
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::OAuth(e) => StatusCode::from_u16(e.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            Self::NotFound | Self::NotFoundNamed => StatusCode::NOT_FOUND,
            Self::Conflict => StatusCode::CONFLICT,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy(_) | Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// `error` and `error_description` on the wire.
    fn words(&self, expose: bool) -> (String, String) {
        let malformed = "The request was malformed or contained invalid parameters";
        let (error, description) = match self {
            Self::OAuth(e) => return (e.code.as_str().to_owned(), e.description(expose)),
            Self::NotFound => ("Unable to locate the resource", String::new()),
            Self::NotFoundNamed => ("Not Found", "Unable to locate the requested resource".to_owned()),
            Self::Conflict => {
                ("Unable to insert or update resource because a resource with that value exists already", String::new())
            }
            Self::BadRequest(why) | Self::UnsupportedMediaType(why) => (malformed, why.clone()),
            Self::TooLarge(limit) => {
                (malformed, format!("The request body is longer than the {limit} bytes that are read here."))
            }
            Self::Slow => (malformed, "The request body did not come in time.".to_owned()),
            Self::TooMany(why) => return in_words(ErrorCode::TemporarilyUnavailable, why, true),
            Self::Busy(_) => {
                return in_words(ErrorCode::TemporarilyUnavailable, "too many requests; come again later", true);
            }
            Self::Unavailable(why) => return in_words(ErrorCode::TemporarilyUnavailable, why, expose),
            Self::Internal(why) => return in_words(ErrorCode::ServerError, why, expose),
        };
        (error.to_owned(), description)
    }

    /// The answer of an OAuth endpoint (RFC 6749 §5.2). `basic` says that the client used the Basic scheme, which a
    /// 401 must then name.
    pub fn oauth_response(&self, expose: bool, basic: bool) -> HttpResponse {
        let mut response = self.begin();
        response.insert_header((CONTENT_TYPE, "application/json;charset=UTF-8"));
        response.insert_header((CACHE_CONTROL, "no-store")).insert_header((PRAGMA, "no-cache"));
        if basic && self.status() == StatusCode::UNAUTHORIZED {
            response.insert_header((WWW_AUTHENTICATE, "Basic realm=\"signet\", charset=\"UTF-8\""));
        }
        let (error, description) = match self {
            Self::BadRequest(why) | Self::UnsupportedMediaType(why) => in_words(ErrorCode::InvalidRequest, why, true),
            Self::TooLarge(_) | Self::Slow => in_words(ErrorCode::InvalidRequest, &self.to_string(), true),
            other => other.words(expose),
        };
        response.body(json!({"error": error, "error_description": description}).to_string())
    }

    /// The answer to a person: a page that says whether to try again.
    pub fn page(&self) -> HttpResponse {
        let mut response = self.begin().finish();
        let page = pages::error::trouble(self.status().as_u16()).response();
        let (head, body) = page.into_parts();
        for (name, value) in head.headers() {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        response.set_body(body)
    }

    /// Logs what is ours to mend, and starts the answer.
    fn begin(&self) -> HttpResponseBuilder {
        let status = self.status();
        // A storm is counted; it fills no log.
        if status.is_server_error() && !matches!(self, Self::Busy(_)) {
            tracing::warn!(error = %self, status = status.as_u16(), "the request failed");
        }
        let mut response = HttpResponse::build(status);
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.insert_header((RETRY_AFTER, if let Self::Busy(seconds) = self { *seconds } else { 1 }));
        }
        response
    }
}

fn in_words(code: ErrorCode, why: &str, expose: bool) -> (String, String) {
    let e = OAuthError::plain(code).with_debug(why);
    (code.as_str().to_owned(), e.description(expose))
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    fn error_response(&self) -> HttpResponse {
        let (error, description) = self.words(false);
        self.begin()
            .insert_header((CONTENT_TYPE, "application/json"))
            .body(json!({"error": error, "error_description": description}).to_string())
    }
}
