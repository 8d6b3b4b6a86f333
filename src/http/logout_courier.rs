//! Back-channel logout tokens on their way to the clients (OpenID Connect Back-Channel Logout 1.0 §2.4, §2.5), and the ends
//! of sessions to the identity provider.

use super::outbound::{Outbound, fault};
use crate::actors::flow_coordinator::Courier;
use crate::actors::key_manager::{ID_TOKEN_SET, KeyRing};
use crate::domain::world::{Clock, Entropy};
use crate::store::{Delivered, LogoutDelivery};
use crate::telemetry::labels::{Hook, HookOutcome};
use crate::telemetry::metrics::Metrics;
use async_trait::async_trait;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long a logout token is good: RFC 8417's advice, and the specification's "preferably within two minutes".
const LIFE: Duration = Duration::from_secs(120);
/// Waits between tries; after the last one a delivery is dead.
const WAITS: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(15), Duration::from_secs(120), Duration::from_secs(900)];

/// Signs and sends logout tokens.
pub struct LogoutCourier {
    /// `iss`.
    pub issuer: String,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// The keys in use.
    pub keys: watch::Receiver<Arc<KeyRing>>,
    /// Calls to others.
    pub outbound: Arc<Outbound>,
    /// What the identity provider wants to see with each call.
    pub provider_headers: HeaderMap,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

#[async_trait]
impl Courier for LogoutCourier {
    async fn deliver(&self, delivery: &LogoutDelivery) -> Delivered {
        let began = Instant::now();
        let (hook, outcome) = if delivery.client_id.is_empty() {
            (Hook::IdentityProvider, self.end_session(delivery).await)
        } else {
            (Hook::BackchannelLogout, self.try_once(delivery).await)
        };
        let label = if outcome.is_ok() { HookOutcome::Ok } else { HookOutcome::Error };
        self.metrics.webhook(hook, label, began.elapsed().as_secs_f64());
        let Err(why) = outcome else { return Delivered::Done };
        let (attempt, who) = (delivery.attempts as usize, hook.as_str());
        tracing::warn!(who, client_id = delivery.client_id, attempt, why, "somebody did not take the end of a session");
        WAITS.get(attempt).map_or(Delivered::Dead, |wait| Delivered::Retry(*wait))
    }
}

impl LogoutCourier {
    /// 200 and 204 are the client's yes, as Hydra has it.
    async fn try_once(&self, delivery: &LogoutDelivery) -> Result<(), String> {
        let token = self.token(delivery).await?;
        let form = url::form_urlencoded::Serializer::new(String::new()).append_pair("logout_token", &token).finish();
        let status = self.outbound.post_form(&delivery.uri, form).await?;
        if status == 200 || status == 204 { Ok(()) } else { Err(format!("status {status}")) }
    }

    /// A session that the provider does not know has ended.
    async fn end_session(&self, delivery: &LogoutDelivery) -> Result<(), String> {
        let request = self.outbound.operator().delete(&delivery.uri).headers(self.provider_headers.clone());
        let status = request.send().await.map_err(fault)?.status();
        if status.is_success() || status == StatusCode::NOT_FOUND { Ok(()) } else { Err(format!("status {status}")) }
    }

    async fn token(&self, delivery: &LogoutDelivery) -> Result<String, String> {
        let now = self.clock.now();
        let jti = self.entropy.uuid().map_err(|e| e.to_string())?;
        let key = self.keys.borrow().signer(ID_TOKEN_SET, now).cloned().ok_or("there is no signing key yet")?;
        let claims = json!({
            "iss": self.issuer,
            "aud": [delivery.client_id],
            "iat": now.secs(),
            "exp": now.plus(LIFE).secs(),
            "jti": jti,
            "sub": delivery.subject,
            "sid": delivery.session_id,
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        });
        // RSA is slow, and this thread serves others.
        let signed = tokio::task::spawn_blocking(move || key.sign_jwt("logout+jwt", &claims));
        signed.await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
    }
}

impl Outbound {
    /// Posts a form to an address that a client registered; the status.
    ///
    /// # Errors
    /// A text for the log.
    async fn post_form(&self, address: &str, form: String) -> Result<u16, String> {
        let request = self.client_for(address)?.post(address).body(form);
        let request = request.header("Content-Type", "application/x-www-form-urlencoded");
        Ok(request.send().await.map_err(fault)?.status().as_u16())
    }
}
