//! An authorization code flow with PKCE, from the first redirect to the tokens: eight requests, in which the driver
//! plays the browser, the login and consent app, and the client.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::Method;
use serde_json::{Value, json};
use url::Url;

use crate::chance;
use crate::http::connection::{Answer, Wire};
use crate::http::jar::Jar;
use crate::http::{Call, encoded};
use crate::target::{CALLBACK, Target, TestClient, by_hands, text};
use crate::work::is_success;

/// How long a login and a consent are remembered, in seconds.
const REMEMBERED: u32 = 3600;
const AUTHORIZATION: &str = "/oauth2/auth";

/// Flows of one client.
#[derive(Clone, Debug)]
pub struct Flow {
    pub target: Target,
    pub client: TestClient,
    pub scope: &'static str,
    /// Whether the app asks for login and consent to be remembered.
    pub remember: bool,
    /// The beginning of every subject's name.
    pub subjects: Arc<str>,
}

/// What a flow ends with.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
}

impl Flow {
    /// `id_token` decides about the scope `openid`.
    pub fn new(target: &Target, client: &TestClient, id_token: bool) -> Self {
        let scope = if id_token { "openid offline" } else { "offline" };
        let subjects = format!("load-{:08x}", chance::fresh() & 0xffff_ffff).into();
        Self { target: target.clone(), client: client.clone(), scope, remember: false, subjects }
    }

    /// Runs flow number `n`, of a subject and a browser of its own. Each request is a step.
    pub async fn run(&self, n: u64, wire: &mut Wire) -> Result<Tokens> {
        let (subject, verifier) = (format!("{}-{n}", self.subjects), chance::text());
        let (state, mut jar) = (chance::text(), Jar::default());
        let path = self.request(&state, &verifier);
        let challenge = self.browse(wire, &mut jar, ("1 authorize", "login_challenge"), &path).await?;
        let back = self.login(wire, &challenge, &subject).await?;
        let challenge = self.browse(wire, &mut jar, ("4 login verified", "consent_challenge"), &back).await?;
        let back = self.consent(wire, &challenge, &subject).await?;
        let code = self.browse(wire, &mut jar, ("7 code", "code"), &back).await?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", &verifier),
        ];
        let answer = self.step(wire, "8 tokens", &self.token_call(&form)).await?;
        Ok(Tokens { access: text(&answer, "access_token")?, refresh: text(&answer, "refresh_token")? })
    }

    /// Many flows before a run.
    pub async fn run_many(&self, count: usize) -> Result<Vec<Tokens>> {
        eprintln!("running {count} code flows");
        let flow = self.clone();
        let flows = by_hands(count, move |n, mut wire| {
            let flow = flow.clone();
            async move { (flow.run(n as u64, &mut wire).await, wire) }
        });
        flows.await.context("cannot prepare code flows")
    }

    /// A request with the newest refresh token of a chain.
    pub fn refresh(&self, token: &str) -> Call {
        self.token_call(&[("grant_type", "refresh_token"), ("refresh_token", token)]).expecting("\"refresh_token\"")
    }

    pub fn token_call(&self, form: &[(&str, &str)]) -> Call {
        Call::form(&self.target.public, "/oauth2/token", encoded(form))
            .basic(&self.client.id, &self.client.secret)
            .expecting("\"access_token\"")
    }

    pub fn request(&self, state: &str, verifier: &str) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let nonce = chance::text();
        let query = encoded(&[
            ("client_id", &self.client.id),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", self.scope),
            ("state", state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        format!("{AUTHORIZATION}?{query}")
    }

    /// The browser goes somewhere and is sent on; the parameter of that name in the address.
    async fn browse(
        &self,
        wire: &mut Wire,
        jar: &mut Jar,
        (step, wanted): (&'static str, &str),
        path: &str,
    ) -> Result<String> {
        let call = Call { cookie: jar.header(), ..Call::get(&self.target.public, path) };
        let mut found = None;
        let right = |answer: &Answer| {
            found = param(answer.header("location"), wanted);
            (300..400).contains(&answer.status) && found.is_some()
        };
        jar.take(&wire.step(step, &call, right).await?.headers);
        found.context("no redirect")
    }

    async fn login(&self, wire: &mut Wire, challenge: &str, subject: &str) -> Result<String> {
        let seen = self.step(wire, "2 login request", &self.app(Method::GET, "login", challenge, None)).await?;
        if seen.get("skip") != Some(&Value::Bool(false)) {
            bail!("a new browser need not log in");
        }
        let body = json!({"subject": subject, "remember": self.remember, "remember_for": REMEMBERED});
        let call = self.app(Method::PUT, "login/accept", challenge, Some(&body));
        return_path(&self.step(wire, "3 login accepted", &call).await?)
    }

    async fn consent(&self, wire: &mut Wire, challenge: &str, subject: &str) -> Result<String> {
        let seen = self.step(wire, "5 consent request", &self.app(Method::GET, "consent", challenge, None)).await?;
        if seen.get("subject").and_then(Value::as_str) != Some(subject) {
            bail!("the consent is another subject's");
        }
        let body = json!({
            "grant_scope": seen.get("requested_scope"),
            "grant_access_token_audience": seen.get("requested_access_token_audience"),
            "remember": self.remember,
            "remember_for": REMEMBERED,
            "session": {"access_token": {"tenant": "load"}, "id_token": {"name": "Load Test"}},
        });
        let call = self.app(Method::PUT, "consent/accept", challenge, Some(&body));
        return_path(&self.step(wire, "6 consent accepted", &call).await?)
    }

    /// A request of the login and consent app.
    pub fn app(&self, method: Method, what: &str, challenge: &str, body: Option<&Value>) -> Call {
        let kind = what.split('/').next().unwrap_or_default();
        let query = encoded(&[(&format!("{kind}_challenge"), challenge)]);
        let path = format!("/admin/oauth2/auth/requests/{what}?{query}");
        let call = Call::get(&self.target.admin, &path);
        body.map_or(Call { method: method.clone(), ..call }, |body| Call::json(method, &self.target.admin, &path, body))
    }

    async fn step(&self, wire: &mut Wire, name: &'static str, call: &Call) -> Result<Value> {
        let answer = wire.step(name, call, is_success).await?;
        serde_json::from_slice(&answer.body).with_context(|| format!("{name}: not JSON"))
    }
}

/// A query parameter of an address.
pub fn param(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// Where the app sends the browser back to, without the host: the server may know itself by another address than the
/// one it is driven at.
fn return_path(answer: &Value) -> Result<String> {
    let to = answer.get("redirect_to").and_then(Value::as_str).context("no redirect_to in the answer")?;
    let at = to.find(AUTHORIZATION).context("redirect_to is not the authorization endpoint")?;
    Ok(to.split_at(at).1.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_goes_to_the_address_that_is_driven() {
        let answer = json!({"redirect_to": "https://id.example.com/hydra/oauth2/auth?login_verifier=a%20b"});
        assert_eq!(return_path(&answer).ok().as_deref(), Some("/oauth2/auth?login_verifier=a%20b"));
        assert!(return_path(&json!({"redirect_to": "https://example.com/"})).is_err());
        assert_eq!(param("https://a.example/?x=1&login_challenge=a%20b", "login_challenge").as_deref(), Some("a b"));
    }
}
