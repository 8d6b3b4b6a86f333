//! Entering a device's user code (RFC 8628 §3.3): what travels before the login begins.

use crate::domain::world::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// Wrong user codes that one challenge forgives (RFC 8628 §5.1).
pub const GUESSES: u32 = 5;

/// Wrong user codes that one login session forgives, on all of its challenges under way.
pub const GUESSES_OF_SESSION: u32 = 20;

/// Wrong user codes that all challenges under way forgive together before only browsers with a login session may enter
/// one: with a thousand devices waiting, a code of eight out of twenty letters is then guessed with a chance of 1 in
/// 100 000.
pub const GUESSES_OF_ALL: u32 = 250;

/// A browser that may enter a user code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The challenge.
    #[serde(rename = "i")]
    pub id: Uuid,
    /// When it was given out, in seconds since the epoch.
    #[serde(rename = "t")]
    pub requested_at: i64,
    /// The browser's login session, if it has one.
    #[serde(rename = "s", default)]
    pub session: Option<Uuid>,
}

impl Challenge {
    /// When it is over.
    pub fn ends(&self, ttl: Duration) -> Timestamp {
        Timestamp::from_secs(self.requested_at).plus(ttl)
    }
}

/// A user code that was right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The challenge it was entered on.
    #[serde(rename = "h")]
    pub challenge: Uuid,
    /// The flow that the device now belongs to.
    #[serde(rename = "i")]
    pub flow_id: Uuid,
    /// The device's client.
    #[serde(rename = "c")]
    pub client_id: String,
    /// What the device asked for.
    #[serde(rename = "s")]
    pub scope: Vec<String>,
    /// For whom.
    #[serde(rename = "a")]
    pub audience: Vec<String>,
    /// When the code was entered, in seconds since the epoch.
    #[serde(rename = "t")]
    pub requested_at: i64,
}

impl Accepted {
    /// Whether the browser took too long.
    pub fn is_over(&self, now: Timestamp, ttl: Duration) -> bool {
        Timestamp::from_secs(self.requested_at).plus(ttl) <= now
    }
}
