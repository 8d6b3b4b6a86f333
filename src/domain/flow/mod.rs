//! An authorization flow between its first request and its answer: a state that travels, sealed, through the browser
//! and the login & consent app. Nothing is stored before something must be.
//!
//! `challenge` is what the app gets, `verifier` what the browser brings back with the app's decision in it. A verifier
//! holds a digest of the request instead of the request, which comes again beside it.

pub mod consent;
pub mod device;
pub mod login;
pub mod logout;

use crate::crypto::seal::{Sealer, aad};
use crate::domain::authorize::parameters::Parameters;
use crate::domain::world::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use consent::ConsentDecision;
use login::{LoginDecision, Remembered};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::time::Duration;
use uuid::Uuid;

/// No flow takes longer, whatever the settings say.
pub const LONGEST: Duration = Duration::from_secs(3600);

/// What a sealed state is for. One purpose never opens for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after its parameter on the wire")]
pub enum Purpose {
    LoginChallenge,
    LoginVerifier,
    DeviceChallenge,
    DeviceVerifier,
    ConsentChallenge,
    ConsentVerifier,
    LogoutChallenge,
    LogoutVerifier,
}

impl Purpose {
    /// The parameter's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LoginChallenge => "login_challenge",
            Self::LoginVerifier => "login_verifier",
            Self::DeviceChallenge => "device_challenge",
            Self::DeviceVerifier => "device_verifier",
            Self::ConsentChallenge => "consent_challenge",
            Self::ConsentVerifier => "consent_verifier",
            Self::LogoutChallenge => "logout_challenge",
            Self::LogoutVerifier => "logout_verifier",
        }
    }
}

/// The state of a flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// The flow. The ids of its session's and its consent's rows follow from the beginning, so that each is written once.
    #[serde(rename = "i")]
    pub id: Uuid,
    /// `client_id`.
    #[serde(rename = "c")]
    pub client_id: String,
    /// The request's parameters as they were sent; empty in a verifier.
    #[serde(rename = "q", default, skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// A digest of the request's parameters.
    #[serde(rename = "h")]
    pub digest: String,
    /// The parameters that count, where a request object changed them.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<String>,
    /// When it began, in seconds since the epoch.
    #[serde(rename = "t")]
    pub requested_at: i64,
    /// The login session: the remembered one, or a new one's id.
    #[serde(rename = "s")]
    pub session_id: Uuid,
    /// The login that the browser remembers and that may be used.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub remembered: Option<Remembered>,
    /// The browser's session that ends when somebody signs in anew.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Uuid>,
    /// What a device asks for; `None` where a browser's own client asks.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceScope>,
    /// How the login ended.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Decision<LoginDecision>>,
    /// An earlier consent covers this one.
    #[serde(rename = "p", default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_consent: bool,
    /// Which.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub earlier_consent: Option<Uuid>,
    /// How the consent ended.
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<Decision<ConsentDecision>>,
}

/// What a device asked for (RFC 8628 §3.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceScope {
    /// Scopes.
    #[serde(rename = "s", default, skip_serializing_if = "Vec::is_empty")]
    pub scope: Vec<String>,
    /// Audience.
    #[serde(rename = "a", default, skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
}

/// The app's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Decision<T> {
    /// Yes, with what follows from it.
    #[serde(rename = "y")]
    Accepted(T),
    /// No, in the app's words.
    #[serde(rename = "n")]
    Rejected(Rejection),
}

/// Why the app refused; every member is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rejection {
    /// `error` of the client's answer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// `error_description`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error_description: String,
    /// Appended to the description.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error_hint: String,
}

impl Rejection {
    /// `error_description` in the characters that RFC 6749 §4.1.2.1 allows.
    pub fn description(&self) -> String {
        let both = [self.error_description.as_str(), self.error_hint.as_str()];
        let text = both.into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(" ");
        crate::domain::error::wire_text(&text)
    }

    /// `error` in the characters that RFC 6749 §4.1.2.1 allows; `default` when the app gave none.
    pub fn name(&self, default: &str) -> String {
        crate::domain::error::wire_text(if self.error.is_empty() { default } else { &self.error })
    }
}

impl Flow {
    /// `consent_request_id`, and the family of all that is issued: fixed by the flow, so that it is granted once.
    pub fn consent_id(&self) -> Uuid {
        consent_id(self.id)
    }

    /// When it began.
    pub const fn began(&self) -> Timestamp {
        Timestamp::from_secs(self.requested_at)
    }

    /// Whether it took longer than a login and consent may take.
    pub fn is_over(&self, now: Timestamp, ttl: Duration) -> bool {
        self.began().plus(ttl) <= now
    }

    /// The same with the request left out, for a verifier.
    #[must_use]
    pub fn without_query(mut self) -> Self {
        self.query = String::new();
        self
    }

    /// The same with the request put back; `None` when it is another one.
    pub fn with_request(mut self, request: &Parameters) -> Option<Self> {
        if digest(request) != self.digest {
            return None;
        }
        self.query = request.as_sent();
        Some(self)
    }
}

/// See [`Flow::consent_id`].
pub fn consent_id(flow: Uuid) -> Uuid {
    let hash: [u8; 32] = Sha256::new().chain_update("consent").chain_update(flow.as_bytes()).finalize().into();
    let mut id = [0; 16];
    id.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    uuid::Builder::from_custom_bytes(id).into_uuid()
}

/// A digest of a request's parameters, in whatever order they came.
pub fn digest(request: &Parameters) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(request.to_query()))
}

/// Seals a state. `issuer` keeps two servers with one secret apart; `salt` must be fresh random bytes. `None` when it
/// cannot be sealed, which no state is long enough for.
pub fn seal(
    sealer: &Sealer,
    salt: &[u8; 32],
    purpose: Purpose,
    issuer: &str,
    state: &impl Serialize,
) -> Option<Vec<u8>> {
    let plain = serde_json::to_vec(state).ok()?;
    sealer.seal(salt, &aad("flow", purpose.name(), issuer.as_bytes()), &plain).ok()
}

/// Opens a state that was sealed for this purpose; `None` for anything else.
pub fn open<T: DeserializeOwned>(sealer: &Sealer, purpose: Purpose, issuer: &str, sealed: &[u8]) -> Option<T> {
    let opened = sealer.open(&aad("flow", purpose.name(), issuer.as_bytes()), sealed).ok()?;
    serde_json::from_slice(&opened.plain).ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a failed test may panic")]
mod tests;
