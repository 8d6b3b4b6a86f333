//! The authorization code flow as a client walks it: the request (RFC 6749 §4.1.1, PKCE, OpenID Connect), the answer
//! that comes to the redirect URI, and the exchange of its code.
//!
//! `perform authorization-code` alone calls it. Invariant: an answer is used once, and only when its `state` is one
//! that was sent from here.

use std::collections::{BTreeMap, VecDeque};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::Url;

use super::api::{Answer, Api, Body, Refused};
use super::output::{one_line, text};
use super::token_record;

/// Flows that may be under way at once: a browser may fetch the link before it is clicked, and in several tabs.
const UNDER_WAY: usize = 32;

/// What the authorization request asks for, and where.
#[derive(Debug)]
pub struct Request {
    /// The authorization endpoint.
    pub auth_url: Url,
    /// The client.
    pub client_id: String,
    /// Its secret, sent by HTTP Basic; a client without one authenticates by `none`.
    pub client_secret: Option<String>,
    /// Where the answer comes, to the letter.
    pub redirect_uri: String,
    /// A `state` for every request, in the place of a fresh one.
    pub state: Option<String>,
    /// Further parameters, in order: `scope`, `audience`, `prompt`, `max_age`, `response_mode`.
    pub more: Vec<(&'static str, String)>,
}

/// What a request is remembered by until its answer comes.
#[derive(Debug)]
struct Sent {
    state: String,
    nonce: String,
    verifier: String,
}

/// What came to the redirect URI; of a parameter that came twice, the first.
pub type Parameters = BTreeMap<String, String>;

/// Why there is no token.
#[derive(Debug, PartialEq, Eq)]
pub struct Trouble {
    /// An error code, or a few words.
    pub what: String,
    /// Sentences, in the server's own words where it has any.
    pub why: Vec<String>,
}

/// The client's side of the flow.
pub struct CodeFlow {
    request: Request,
    token: Api,
    discovery: Option<Api>,
    sent: VecDeque<Sent>,
}

impl Trouble {
    fn new(what: &str, why: impl Into<String>) -> Self {
        Self { what: what.to_owned(), why: vec![why.into()] }
    }

    /// From what the call of a server ended with.
    fn from_call(error: &anyhow::Error) -> Self {
        match error.downcast_ref::<Refused>() {
            Some(refused) if refused.code().is_empty() => {
                Self { what: "the code was refused".into(), why: refused.why() }
            }
            Some(refused) => Self { what: refused.code(), why: refused.why() },
            None => Self::new("the code could not be exchanged", format!("{error:#}")),
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let why = self.why.join(" ");
        let told = if why.is_empty() { self.what.clone() } else { format!("{}: {why}", self.what) };
        f.write_str(&one_line(&told))
    }
}

/// The parameters of a query or of a form.
pub fn parameters(encoded: &[u8]) -> Parameters {
    let mut all = Parameters::new();
    for (name, value) in url::form_urlencoded::parse(encoded) {
        all.entry(name.into_owned()).or_insert_with(|| value.into_owned());
    }
    all
}

impl CodeFlow {
    /// A flow whose codes are exchanged at `token`; `discovery` tells that server's issuer.
    pub const fn new(request: Request, token: Api, discovery: Option<Api>) -> Self {
        Self { request, token, discovery, sent: VecDeque::new() }
    }

    /// The authorization request as a URL, with a `state`, a `nonce` and a PKCE challenge of its own.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn begin(&mut self) -> anyhow::Result<Url> {
        let state = self.request.state.clone().map_or_else(random, Ok)?;
        let sent = Sent { state, nonce: random()?, verifier: random()? };
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&sent.verifier));
        let mut url = self.request.auth_url.clone();
        url.query_pairs_mut()
            .append_pair("client_id", &self.request.client_id)
            .append_pair("redirect_uri", &self.request.redirect_uri)
            .append_pair("response_type", "code")
            .append_pair("state", &sent.state)
            .append_pair("nonce", &sent.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .extend_pairs(&self.request.more);
        self.sent.retain(|other| other.state != sent.state);
        self.sent.push_back(sent);
        if self.sent.len() > UNDER_WAY {
            self.sent.pop_front();
        }
        Ok(url)
    }

    /// Takes what came to the redirect URI; a token endpoint's answer with its expiry.
    ///
    /// # Errors
    /// [`Trouble`]: a `state` that is not ours, the server's error, a code that is refused.
    pub async fn finish(&mut self, answer: &Parameters) -> Result<Value, Trouble> {
        let sent = self.sent_with(answer)?;
        if let Some(iss) = answer.get("iss") {
            self.check_issuer(iss).await?;
        }
        if let Some(error) = answer.get("error") {
            let why = ["error_description", "error_hint", "error_debug"].iter().filter_map(|name| answer.get(*name));
            return Err(Trouble { what: error.clone(), why: why.cloned().collect() });
        }
        let Some(code) = answer.get("code").filter(|code| !code.is_empty()) else {
            return Err(Trouble::new("no code", "The answer holds neither a code nor an error."));
        };
        let asked = token_record::now();
        let answer = self.exchange(code, &sent.verifier).await.map_err(|error| Trouble::from_call(&error))?;
        let token = token_record::dated(answer.value, asked).map_err(|error| Trouble::from_call(&error))?;
        check_nonce(&token, &sent.nonce)?;
        Ok(token)
    }

    /// Takes the request that this answers out of those under way.
    fn sent_with(&mut self, answer: &Parameters) -> Result<Sent, Trouble> {
        let state = answer.get("state");
        let found = self.sent.iter().position(|sent| Some(&sent.state) == state);
        found.and_then(|at| self.sent.remove(at)).ok_or_else(|| {
            let mut trouble = Trouble::new(
                "states do not match",
                "The answer's state belongs to no request that was sent from here, or it was used before; \
                 the answer was not used.",
            );
            if let Some(error) = answer.get("error") {
                trouble.why.push(format!("It says: {error}."));
                trouble.why.extend(answer.get("error_description").cloned());
            }
            trouble
        })
    }

    async fn exchange(&self, code: &str, verifier: &str) -> anyhow::Result<Answer> {
        let of = &self.request;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", of.redirect_uri.as_str()),
            ("code_verifier", verifier),
        ];
        let basic = of.client_secret.as_deref().map(|secret| (of.client_id.as_str(), secret));
        if basic.is_none() {
            form.push(("client_id", &of.client_id));
        }
        self.token.call(Method::POST, &[], &[], Body::Form(&form, basic)).await
    }

    /// RFC 9207: the answer must come from the server that the code is taken to.
    async fn check_issuer(&self, iss: &str) -> Result<(), Trouble> {
        match self.issuer().await {
            Some(issuer) if issuer == iss => Ok(()),
            Some(issuer) => Err(Trouble::new(
                "another issuer",
                format!("The answer comes from {iss}, but the code would go to {issuer}; it was not used."),
            )),
            None => {
                eprintln!(
                    "Not checked: the answer says that it comes from {}, and no discovery document tells the issuer of the token endpoint.",
                    one_line(iss)
                );
                Ok(())
            }
        }
    }

    async fn issuer(&self) -> Option<String> {
        let found = self.discovery.as_ref()?.call(Method::GET, &[], &[], Body::Empty).await.ok()?;
        Some(text(&found.value, "issuer")).filter(|issuer| !issuer.is_empty())
    }
}

/// OpenID Connect Core §3.1.3.7: an ID token must carry the nonce of its request. Its signature needs no check, as it
/// came from the token endpoint itself.
fn check_nonce(token: &Value, nonce: &str) -> Result<(), Trouble> {
    let id_token = text(token, "id_token");
    if id_token.is_empty() {
        return Ok(());
    }
    let claims =
        claims(&id_token).map_err(|error| Trouble::new("the ID token cannot be read", format!("{error:#}.")))?;
    if text(&claims, "nonce") == nonce {
        return Ok(());
    }
    Err(Trouble::new("nonces do not match", "The ID token was made for another request."))
}

fn claims(jwt: &str) -> anyhow::Result<Value> {
    let payload = jwt.split('.').nth(1).context("it is no JWT")?;
    let json = URL_SAFE_NO_PAD.decode(payload).context("its payload is not base64url")?;
    serde_json::from_slice(&json).context("its payload is not JSON")
}

/// 256 bits as 43 characters, all of which a PKCE verifier may hold (RFC 7636 §4.1).
fn random() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use serde_json::json;

    fn flow(state: Option<&str>) -> CodeFlow {
        let request = Request {
            auth_url: Url::parse("http://127.0.0.1:9/auth?tenant=a").unwrap(),
            client_id: "a b".to_owned(),
            client_secret: None,
            redirect_uri: "http://127.0.0.1:4446/callback".to_owned(),
            state: state.map(str::to_owned),
            more: vec![("scope", "openid offline".to_owned())],
        };
        CodeFlow::new(request, Api::at("http://127.0.0.1:9").unwrap(), None)
    }

    fn query(url: &Url) -> BTreeMap<String, String> {
        url.query_pairs().into_owned().collect()
    }

    #[test]
    fn every_request_is_fresh_and_keeps_the_endpoints_own_query() {
        let mut flow = flow(None);
        let (one, other) = (query(&flow.begin().unwrap()), query(&flow.begin().unwrap()));
        for name in ["state", "nonce", "code_challenge"] {
            assert!(one[name].len() == 43 && one[name] != other[name], "{name}");
        }
        assert_eq!((one["tenant"].as_str(), one["client_id"].as_str()), ("a", "a b"));
        assert_eq!((one["scope"].as_str(), one["code_challenge_method"].as_str()), ("openid offline", "S256"));
        assert_eq!(one["code_challenge"], URL_SAFE_NO_PAD.encode(Sha256::digest(&flow.sent[0].verifier)));
    }

    #[test]
    fn an_answer_is_taken_once_and_only_for_a_state_that_was_sent() {
        let mut flow = flow(None);
        let state = query(&flow.begin().unwrap())["state"].clone();
        let other = flow.sent_with(&parameters(b"state=x&error=access_denied&error_description=No%1b.")).unwrap_err();
        assert!(other.to_string().contains("access_denied. No .") && !other.to_string().contains('\x1b'), "{other}");
        assert!(flow.sent_with(&parameters(b"")).is_err());
        let answer = Parameters::from([("state".to_owned(), state)]);
        assert!(flow.sent_with(&answer).is_ok());
        assert!(flow.sent_with(&answer).is_err());
    }

    #[test]
    fn what_is_under_way_is_bounded_and_a_forced_state_belongs_to_the_last_request() {
        let mut forced = flow(Some("a-state-that-was-forced"));
        let mut fresh = flow(None);
        for _ in 0..=UNDER_WAY {
            forced.begin().unwrap();
            fresh.begin().unwrap();
        }
        assert_eq!((forced.sent.len(), fresh.sent.len()), (1, UNDER_WAY));
        assert_eq!(forced.sent[0].state, "a-state-that-was-forced");
    }

    #[tokio::test]
    async fn an_issuer_that_nothing_is_known_of_is_no_reason_to_stop() {
        assert_eq!(flow(None).check_issuer("https://issuer.example/").await, Ok(()));
    }

    #[test]
    fn an_id_token_of_another_request_is_refused() {
        let token =
            |claims: Value| json!({"id_token": format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims.to_string()))});
        assert_eq!(check_nonce(&json!({}), "n"), Ok(()));
        assert_eq!(check_nonce(&token(json!({"nonce": "n"})), "n"), Ok(()));
        for wrong in [token(json!({"nonce": "m"})), token(json!({})), json!({"id_token": "a.!.b"})] {
            assert!(check_nonce(&wrong, "n").is_err(), "{wrong}");
        }
    }
}
