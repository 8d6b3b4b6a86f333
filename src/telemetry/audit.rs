//! Audit events: who was let in, what was issued and what an operator did, under the names that Hydra gives them. Written
//! by the handlers once what they tell is committed; read by whoever answers for the installation.
//!
//! An event goes to its own stream (`log.audit`), never to the log, and to the span of its request where that is traced,
//! as Hydra's do. Invariant: no token, code or secret; of a token's row its key's first eight hex digits.

use std::borrow::Cow;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterFn, LevelFilter};

use super::traces;

/// Where events on the stream are told apart from lines of the log.
pub(super) const TARGET: &str = "signet::audit";
/// The one that comes with every introspection has a target of its own, so that it costs nothing until asked for.
const INSPECTED: &str = "signet::audit::inspected";
/// Events on the span of a request that is sampled.
const TRACED: &str = "signet::audit::traced";
/// The span whose ids every event repeats.
const REQUEST: &str = "request";

/// Declares the table of events: name on the stream, when it is written, and the fields that it has.
macro_rules! events {
    ($($(#[doc = $when:literal])+ $variant:ident => $name:literal [$($field:literal),+ $(,)?],)+) => {
        /// What can happen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum AuditEvent { $($(#[doc = $when])+ $variant),+ }

        impl AuditEvent {
            /// Every event, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name on the stream.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// When it is written.
            #[must_use]
            pub const fn when(self) -> &'static str {
                match self { $(Self::$variant => concat!($($when),+)),+ }
            }

            /// The fields that it has; those that do not apply are left out.
            #[must_use]
            pub const fn fields(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($field),+]),+ }
            }
        }
    };
}

events! {
    /// A login that the app accepted came back to its browser.
    LoginAccepted => "OAuth2LoginAccepted" ["OAuth2ClientID", "OAuth2Subject", "OAuth2ConsentRequestID"],
    /// A login that the app rejected came back to its browser.
    LoginRejected => "OAuth2LoginRejected" ["OAuth2ClientID", "OAuth2ConsentRequestID", "ErrorReason"],
    /// A consent was granted and written.
    ConsentAccepted => "OAuth2ConsentAccepted" ["OAuth2ClientID", "OAuth2Subject", "OAuth2ConsentRequestID"],
    /// A consent that the app rejected came back to its browser.
    ConsentRejected => "OAuth2ConsentRejected" ["OAuth2ClientID", "OAuth2Subject", "OAuth2ConsentRequestID", "ErrorReason"],
    /// Consents were revoked, and all that was issued on them.
    ConsentRevoked => "OAuth2ConsentRevoked" ["OAuth2ClientID", "OAuth2Subject", "OAuth2ConsentRequestID"],
    /// A user entered a device's code.
    DeviceUserCodeAccepted => "OAuth2DeviceUserCodeAccepted" ["OAuth2ClientID"],
    /// A client was registered.
    ClientCreated => "OAuth2ClientCreated" ["OAuth2ClientID", "OAuth2ClientName"],
    /// A client was changed, its secrets and lifespans included.
    ClientUpdated => "OAuth2ClientUpdated" ["OAuth2ClientID", "OAuth2ClientName"],
    /// A client was deleted, with all its tokens.
    ClientDeleted => "OAuth2ClientDeleted" ["OAuth2ClientID"],
    /// An access token was issued and stored.
    AccessTokenIssued => "OAuth2AccessTokenIssued" [
        "OAuth2ClientID", "OAuth2Subject", "OAuth2GrantType", "OAuth2ConsentRequestID", "OAuth2TokenFormat",
        "OAuth2AccessTokenSignature",
    ],
    /// A refresh token was issued and stored.
    RefreshTokenIssued => "OAuth2RefreshTokenIssued" [
        "OAuth2ClientID", "OAuth2Subject", "OAuth2GrantType", "OAuth2ConsentRequestID", "OAuth2RefreshTokenSignature",
    ],
    /// An ID token was issued.
    IdentityTokenIssued => "OIDCIdentityTokenIssued" [
        "OAuth2ClientID", "OAuth2Subject", "OAuth2GrantType", "OAuth2ConsentRequestID",
    ],
    /// A request to the token endpoint was refused or failed; the client is the one that it says to be.
    TokenExchangeError => "OAuth2TokenExchangeError" ["OAuth2ClientID", "OAuth2GrantType", "ErrorReason"],
    /// An introspection found a live access token; only with `log.audit.introspections`.
    AccessTokenInspected => "OAuth2AccessTokenInspected" ["OAuth2ClientID", "OAuth2Subject", "OAuth2AccessTokenSignature"],
    /// A client revoked a live token of its own, or an operator all those of a client.
    AccessTokenRevoked => "OAuth2AccessTokenRevoked" [
        "OAuth2ClientID", "OAuth2Subject", "OAuth2AccessTokenSignature", "OAuth2RefreshTokenSignature",
    ],
    /// A refresh token came again after its use: its grant is over.
    RefreshReuseDetected => "RefreshReuseDetected" ["OAuth2ClientID", "OAuth2GrantType", "OAuth2ConsentRequestID"],
    /// An authorization code came again after its use: its grant is over.
    CodeReuseDetected => "CodeReuseDetected" ["OAuth2ClientID", "OAuth2GrantType", "OAuth2ConsentRequestID"],
    /// A key that is to sign was made, by schedule or by an operator.
    KeyRotated => "KeyRotated" ["key.set", "key.kid", "key.alg"],
    /// A request to the admin listener was answered; not for health, metrics and introspection.
    AdminApiCall => "AdminApiCall" [
        "http_request.method", "http_request.route", "http_request.path", "http_request.remote", "http_response.status",
    ],
}

/// What an event says; what does not apply stays empty.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each is named after the field of the event")]
pub struct Facts<'a> {
    pub client_id: Option<Cow<'a, str>>,
    pub client_name: Option<&'a str>,
    pub subject: Option<Cow<'a, str>>,
    pub grant_type: Option<&'a str>,
    pub consent_request_id: Option<String>,
    pub token_format: Option<&'static str>,
    pub access_token_signature: Option<String>,
    pub refresh_token_signature: Option<String>,
    pub error_reason: Option<Cow<'a, str>>,
    pub key: Option<KeyFacts<'a>>,
    pub call: Option<CallFacts<'a>>,
}

/// A key.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "each is named after the field of the event")]
pub struct KeyFacts<'a> {
    pub set: &'a str,
    pub kid: &'a str,
    pub alg: &'a str,
}

/// A request to the admin listener.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is named after the field of the event")]
pub struct CallFacts<'a> {
    pub method: Cow<'a, str>,
    pub route: &'static str,
    /// Of a route that is served: other paths may hold anything.
    pub path: Option<Cow<'a, str>>,
    pub remote: String,
    pub status: u16,
}

/// The first eight hex digits of a row's key: enough to find a token's other events, and of no use to anybody else.
#[must_use]
pub fn signature(hash: &[u8]) -> String {
    hex::encode(hash.get(..4).unwrap_or_default())
}

/// Whether anybody reads events here, on the stream or in a trace: what they cost to tell is only spent then.
#[must_use]
pub fn is_wanted() -> bool {
    tracing::enabled!(target: TARGET, Level::INFO) || traces::inside_a_span()
}

macro_rules! write_event {
    ($target:expr, $event:expr, $of:expr) => {
        tracing::info!(
            target: $target,
            OAuth2ClientID = $of.client_id.as_deref(),
            OAuth2ClientName = $of.client_name,
            OAuth2Subject = $of.subject.as_deref(),
            OAuth2GrantType = $of.grant_type,
            OAuth2ConsentRequestID = $of.consent_request_id.as_deref(),
            OAuth2TokenFormat = $of.token_format,
            OAuth2AccessTokenSignature = $of.access_token_signature.as_deref(),
            OAuth2RefreshTokenSignature = $of.refresh_token_signature.as_deref(),
            ErrorReason = $of.error_reason.as_deref(),
            key.set = $of.key.map(|key| key.set),
            key.kid = $of.key.map(|key| key.kid),
            key.alg = $of.key.map(|key| key.alg),
            http_request.method = $of.call.as_ref().map(|call| &*call.method),
            http_request.route = $of.call.as_ref().map(|call| call.route),
            http_request.path = $of.call.as_ref().and_then(|call| call.path.as_deref()),
            http_request.remote = $of.call.as_ref().map(|call| call.remote.as_str()),
            http_response.status = $of.call.as_ref().map(|call| call.status),
            "{}",
            $event.name(),
        )
    };
}

/// Tells an event, once what it says is committed. `of` is asked only if somebody reads it.
pub fn tell<'a>(event: AuditEvent, of: impl FnOnce() -> Facts<'a>) {
    let (streamed, traced) = (tracing::enabled!(target: TARGET, Level::INFO), traces::inside_a_span());
    if !streamed && !traced {
        return;
    }
    let of = of();
    if streamed {
        write_event!(TARGET, event, of);
    }
    if traced {
        write_event!(TRACED, event, of);
    }
}

/// Tells that an access token was introspected, where such events are asked for.
pub fn inspected<'a>(of: impl FnOnce() -> Facts<'a>) {
    if tracing::enabled!(target: INSPECTED, Level::INFO) {
        let of = of();
        write_event!(INSPECTED, AuditEvent::AccessTokenInspected, of);
    }
}

/// Whether a target is of events that are on the stream alone.
pub(super) fn is_streamed(target: &str) -> bool {
    matches!(target, TARGET | INSPECTED)
}

/// What the stream takes: events, and the span of their request.
pub(super) fn filter(introspections: bool) -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    let wanted = move |of: &Metadata<'_>| match of.target() {
        TARGET => true,
        INSPECTED => introspections,
        _ => of.is_span() && of.name() == REQUEST,
    };
    FilterFn::new(wanted).with_max_level_hint(LevelFilter::INFO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_event_has_a_name_of_its_own_and_says_when() {
        let names: HashSet<&str> = AuditEvent::ALL.iter().map(|event| event.name()).collect();
        assert_eq!(names.len(), AuditEvent::ALL.len());
        assert!(
            AuditEvent::ALL.iter().all(|event| event.when().trim().ends_with(['.', '`']) && !event.fields().is_empty())
        );
    }

    #[test]
    fn a_signature_is_eight_digits_of_a_hash() {
        assert_eq!(signature(&[0xab; 32]), "abababab");
        assert_eq!(signature(&[1, 2]), "");
    }
}
