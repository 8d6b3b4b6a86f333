//! The error table: code, status and general description of everything OAuth and OpenID Connect can refuse.
//!
//! The descriptions are Hydra's, word for word: clients match on them. A hint says what was wrong this time.

/// An error code of RFC 6749 §5.2, RFC 7591 §3.2.2, OpenID Connect and Hydra.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after its code on the wire")]
pub enum ErrorCode {
    InvalidRequest,
    InvalidClient,
    InvalidGrant,
    InvalidScope,
    UnauthorizedClient,
    UnsupportedGrantType,
    AccessDenied,
    ServerError,
    TemporarilyUnavailable,
    InvalidClientMetadata,
    InvalidRedirectUri,
    JtiKnown,
    RequestUnauthorized,
    UnsupportedResponseType,
    UnsupportedResponseMode,
    InvalidState,
    InsufficientEntropy,
    RequestForbidden,
    LoginRequired,
    ConsentRequired,
    RequestNotSupported,
    RequestUriNotSupported,
    RegistrationNotSupported,
    InvalidRequestUri,
    InvalidRequestObject,
    AuthorizationPending,
    SlowDown,
    ExpiredToken,
    InsufficientScope,
    ScopeNotGranted,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [Self; 30] = [
        Self::InvalidRequest,
        Self::InvalidClient,
        Self::InvalidGrant,
        Self::InvalidScope,
        Self::UnauthorizedClient,
        Self::UnsupportedGrantType,
        Self::AccessDenied,
        Self::ServerError,
        Self::TemporarilyUnavailable,
        Self::InvalidClientMetadata,
        Self::InvalidRedirectUri,
        Self::JtiKnown,
        Self::RequestUnauthorized,
        Self::UnsupportedResponseType,
        Self::UnsupportedResponseMode,
        Self::InvalidState,
        Self::InsufficientEntropy,
        Self::RequestForbidden,
        Self::LoginRequired,
        Self::ConsentRequired,
        Self::RequestNotSupported,
        Self::RequestUriNotSupported,
        Self::RegistrationNotSupported,
        Self::InvalidRequestUri,
        Self::InvalidRequestObject,
        Self::AuthorizationPending,
        Self::SlowDown,
        Self::ExpiredToken,
        Self::InsufficientScope,
        Self::ScopeNotGranted,
    ];

    /// The code on the wire, the HTTP status, and the general description.
    const fn row(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::InvalidRequest => (
                "invalid_request",
                400,
                "The request is missing a required parameter, includes an invalid parameter value, includes a parameter more than once, or is otherwise malformed.",
            ),
            Self::InvalidClient => (
                "invalid_client",
                401,
                "Client authentication failed (e.g., unknown client, no client authentication included, or unsupported authentication method).",
            ),
            Self::InvalidGrant => (
                "invalid_grant",
                400,
                "The provided authorization grant (e.g., authorization code, resource owner credentials) or refresh token is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was issued to another client.",
            ),
            Self::InvalidScope => ("invalid_scope", 400, "The requested scope is invalid, unknown, or malformed."),
            Self::UnauthorizedClient => {
                ("unauthorized_client", 400, "The client is not authorized to request a token using this method.")
            }
            Self::UnsupportedGrantType => (
                "unsupported_grant_type",
                400,
                "The authorization grant type is not supported by the authorization server.",
            ),
            Self::AccessDenied => {
                ("access_denied", 403, "The resource owner or authorization server denied the request.")
            }
            Self::ServerError => (
                "server_error",
                500,
                "The authorization server encountered an unexpected condition that prevented it from fulfilling the request.",
            ),
            Self::TemporarilyUnavailable => (
                "temporarily_unavailable",
                503,
                "The authorization server is currently unable to handle the request due to a temporary overloading or maintenance of the server.",
            ),
            Self::InvalidClientMetadata => (
                "invalid_client_metadata",
                400,
                "The value of one of the Client Metadata fields is invalid and the server has rejected this request. Note that an Authorization Server MAY choose to substitute a valid value for any requested parameter of a Client's Metadata.",
            ),
            Self::InvalidRedirectUri => {
                ("invalid_redirect_uri", 400, "The value of one or more redirect_uris is invalid.")
            }
            Self::JtiKnown => ("jti_known", 400, "The jti was already used."),
            Self::RequestUnauthorized => ("request_unauthorized", 401, "The request could not be authorized."),
            Self::UnsupportedResponseType => (
                "unsupported_response_type",
                400,
                "The authorization server does not support obtaining a token using this method.",
            ),
            Self::UnsupportedResponseMode => (
                "unsupported_response_mode",
                400,
                "The authorization server does not support obtaining a response using this response mode.",
            ),
            Self::InvalidState => (
                "invalid_state",
                400,
                "The state is missing or does not have enough characters and is therefore considered too weak.",
            ),
            Self::InsufficientEntropy => (
                "insufficient_entropy",
                400,
                "The request used a security parameter (e.g., anti-replay, anti-csrf) with insufficient entropy.",
            ),
            Self::RequestForbidden => ("request_forbidden", 403, "The request is not allowed."),
            Self::LoginRequired => {
                ("login_required", 400, "The Authorization Server requires End-User authentication.")
            }
            Self::ConsentRequired => ("consent_required", 400, "The Authorization Server requires End-User consent."),
            Self::RequestNotSupported => {
                ("request_not_supported", 400, "The OP does not support use of the request parameter.")
            }
            Self::RequestUriNotSupported => {
                ("request_uri_not_supported", 400, "The OP does not support use of the request_uri parameter.")
            }
            Self::RegistrationNotSupported => {
                ("registration_not_supported", 400, "The OP does not support use of the registration parameter.")
            }
            Self::InvalidRequestUri => (
                "invalid_request_uri",
                400,
                "The request_uri in the Authorization Request returns an error or contains invalid data.",
            ),
            Self::InvalidRequestObject => {
                ("invalid_request_object", 400, "The request parameter contains an invalid Request Object.")
            }
            Self::AuthorizationPending => (
                "authorization_pending",
                400,
                "The authorization request is still pending as the end user hasn't yet completed the user-interaction steps.",
            ),
            Self::SlowDown => {
                ("slow_down", 400, "The authorization request was rate-limited to prevent system overload.")
            }
            Self::ExpiredToken => (
                "expired_token",
                400,
                "The device_code has expired, and the device authorization session has concluded.",
            ),
            Self::InsufficientScope => {
                ("insufficient_scope", 403, "The request requires higher privileges than provided by the access token.")
            }
            Self::ScopeNotGranted => ("scope_not_granted", 403, "The token was not granted the requested scope."),
        }
    }

    /// The code on the wire.
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        self.row().1
    }

    /// The general description.
    pub const fn description(self) -> &'static str {
        self.row().2
    }
}

/// One refusal: a code, what was wrong this time, and what only the operator should read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {hint} {debug}", code.as_str())]
pub struct OAuthError {
    /// The code.
    pub code: ErrorCode,
    /// For the client's developer; may be empty.
    pub hint: String,
    /// For the operator; shown to clients only with `oauth2.expose_internal_errors`.
    pub debug: String,
}

impl OAuthError {
    /// A refusal with a hint.
    pub fn new(code: ErrorCode, hint: impl Into<String>) -> Self {
        Self { code, hint: hint.into(), debug: String::new() }
    }

    /// A refusal that says no more than its code.
    pub fn plain(code: ErrorCode) -> Self {
        Self::new(code, "")
    }

    /// The same with a text for the operator.
    #[must_use]
    pub fn with_debug(mut self, debug: impl Into<String>) -> Self {
        self.debug = debug.into();
        self
    }

    /// `error_description` (RFC 6749 §5.2): printable ASCII without `"` and `\`.
    pub fn description(&self, expose_debug: bool) -> String {
        let mut text = self.code.description().to_owned();
        for part in [Some(&self.hint), expose_debug.then_some(&self.debug)].into_iter().flatten() {
            if !part.is_empty() {
                text.push(' ');
                text.push_str(part);
            }
        }
        wire_text(&text)
    }
}

/// A text in the characters that RFC 6749 §4.1.2.1 and §5.2 allow in `error` and `error_description`.
pub fn wire_text(text: &str) -> String {
    text.chars().map(wire_char).collect()
}

/// RFC 6749 §5.2 allows %x20-21 / %x23-5B / %x5D-7E.
const fn wire_char(c: char) -> char {
    match c {
        '"' => '\'',
        ' '..='[' | ']'..='~' => c,
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_has_only_the_characters_of_the_rfc() {
        let e = OAuthError::new(ErrorCode::InvalidScope, "no \"x\\\u{1b}\u{e4}").with_debug("inner");
        assert!(e.description(false).ends_with("no 'x???"));
        assert!(e.description(true).ends_with("no 'x??? inner"));
    }

    #[test]
    fn codes_are_distinct() {
        let mut names: Vec<_> = ErrorCode::ALL.iter().map(|c| c.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ErrorCode::ALL.len());
    }
}
