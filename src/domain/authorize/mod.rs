//! The authorization request (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1): what it asks for, once every check in
//! [`checks`] has passed.

pub mod answer;
pub mod checks;
pub mod parameters;
pub mod request_object;

use super::client::Client;
use super::error::OAuthError;
use super::scope::{ScopeStrategy, parse_audience, parse_scope};
use answer::Target;
use parameters::Parameters;
use serde_json::{Map, Value};

/// What this server allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How a client's scopes cover a requested one.
    pub scope_strategy: ScopeStrategy,
    /// Every client must use PKCE.
    pub pkce_for_all: bool,
    /// Clients without a secret must use PKCE.
    pub pkce_for_public: bool,
    /// Answers may go to other machines over plain `http`: development.
    pub plain_http: bool,
}

/// `response_type`: which of the three it has (OAuth 2.0 Multiple Response Types §3, §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseType {
    /// `code`.
    pub code: bool,
    /// `token`.
    pub token: bool,
    /// `id_token`.
    pub id_token: bool,
}

impl ResponseType {
    /// The set of a space-separated list; `None` when it is empty or has anything else in it.
    pub fn parse(text: &str) -> Option<Self> {
        let mut out = Self::default();
        for part in text.split(' ').filter(|part| !part.is_empty()) {
            match part {
                "code" => out.code = true,
                "token" => out.token = true,
                "id_token" => out.id_token = true,
                _ => return None,
            }
        }
        (out != Self::default()).then_some(out)
    }

    /// Whether the answer has anything that must not be sent in a query.
    pub const fn is_front_channel(self) -> bool {
        self.token || self.id_token
    }
}

/// `prompt` (OpenID Connect Core §3.1.2.1; `create` of Initiating User Registration §4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// No page may be shown.
    pub none: bool,
    /// Sign in again.
    pub login: bool,
    /// Ask for consent again.
    pub consent: bool,
    /// Let the user choose an account: as `login`.
    pub select_account: bool,
    /// Show the page for new users first.
    pub create: bool,
}

impl Prompt {
    /// The set of a space-separated list, or the first value that is none.
    ///
    /// # Errors
    /// The unknown value.
    pub fn parse(text: &str) -> Result<Self, &str> {
        let mut out = Self::default();
        for part in text.split(' ').filter(|part| !part.is_empty()) {
            match part {
                "none" => out.none = true,
                "login" => out.login = true,
                "consent" => out.consent = true,
                "select_account" => out.select_account = true,
                "create" | "registration" => out.create = true,
                other => return Err(other),
            }
        }
        Ok(out)
    }

    /// Whether a remembered login must not be used.
    pub const fn wants_login(self) -> bool {
        self.login || self.select_account || self.create
    }

    /// Whether `none` stands beside another value.
    pub const fn is_contradictory(self) -> bool {
        self.none && (self.login || self.consent || self.select_account || self.create)
    }
}

/// A request that passed every check.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuthorizeRequest {
    /// `client_id`.
    pub client_id: String,
    /// Where the answer goes, and how; `None` in a device's flow (RFC 8628), where the device hears it.
    pub target: Option<Target>,
    /// `redirect_uri` as it was sent; `None` when it was not.
    pub sent_redirect_uri: Option<String>,
    /// `response_type`.
    pub response_type: ResponseType,
    /// Requested scopes.
    pub scope: Vec<String>,
    /// Requested audience.
    pub audience: Vec<String>,
    /// `nonce`; empty for none.
    pub nonce: String,
    /// `code_challenge`, by S256.
    pub code_challenge: Option<String>,
    /// `prompt`.
    pub prompt: Prompt,
    /// `max_age`, in seconds.
    pub max_age: Option<i64>,
    /// `id_token_hint`; empty for none.
    pub id_token_hint: String,
    /// `login_hint`; empty for none.
    pub login_hint: String,
    /// `acr_values` and the values that the `claims` parameter asks of `acr`.
    pub acr_values: Vec<String>,
    /// `ui_locales`.
    pub ui_locales: Vec<String>,
    /// `display`; empty for none.
    pub display: String,
    /// `claims`; empty for none.
    pub claims: Map<String, Value>,
}

impl AuthorizeRequest {
    /// Reads a request that passed the checks before; where its answer goes is left out.
    pub fn unchecked(p: &Parameters) -> Self {
        Self::read(p, None, ResponseType::parse(p.text("response_type")).unwrap_or_default())
    }

    /// Reads what has passed the checks.
    fn read(p: &Parameters, target: Option<Target>, response_type: ResponseType) -> Self {
        let list = |name| p.text(name).split(' ').filter(|v| !v.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        let claims: Map<String, Value> = serde_json::from_str(p.text("claims")).unwrap_or_default();
        let mut acr_values = list("acr_values");
        acr_values.extend(claimed_values(&claims, "acr").filter(|v| !acr_values.contains(v)).collect::<Vec<_>>());
        Self {
            client_id: p.text("client_id").to_owned(),
            target,
            sent_redirect_uri: p.get("redirect_uri").map(str::to_owned),
            response_type,
            scope: parse_scope(p.text("scope")),
            audience: parse_audience(p.all("audience")),
            nonce: p.text("nonce").to_owned(),
            code_challenge: p.get("code_challenge").map(str::to_owned),
            prompt: Prompt::parse(p.text("prompt")).unwrap_or_default(),
            max_age: p.get("max_age").and_then(|v| v.parse().ok()),
            id_token_hint: p.text("id_token_hint").to_owned(),
            login_hint: p.text("login_hint").to_owned(),
            acr_values,
            ui_locales: list("ui_locales"),
            display: p.text("display").to_owned(),
            claims,
        }
    }

    /// Whether a scope was asked for.
    pub fn wants_scope(&self, scope: &str) -> bool {
        self.scope.iter().any(|s| s == scope)
    }

    /// The subjects that the `claims` parameter asks for by value; empty for any.
    pub fn claimed_subjects(&self) -> Vec<String> {
        claimed_values(&self.claims, "sub").collect()
    }

    /// The `acr` values of which the answer must have one (OpenID Connect Core §5.5.1.1); empty for any.
    pub fn essential_acr(&self) -> Vec<String> {
        let acr = self.claims.get("id_token").and_then(|c| c.get("acr"));
        let essential = acr.and_then(|c| c.get("essential")) == Some(&Value::Bool(true));
        if essential { claimed_values(&self.claims, "acr").collect() } else { Vec::new() }
    }
}

/// `value` and `values` of a claim of the ID token.
fn claimed_values<'a>(claims: &'a Map<String, Value>, name: &str) -> impl Iterator<Item = String> + use<'a> {
    let claim = claims.get("id_token").and_then(|c| c.get(name));
    let one = claim.and_then(|c| c.get("value")).into_iter();
    let many = claim.and_then(|c| c.get("values")).and_then(Value::as_array).into_iter().flatten();
    one.chain(many).filter_map(Value::as_str).map(str::to_owned)
}

/// A request that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub error: OAuthError,
    /// Where to say so; `None` while it is not certain that the address is the client's: the error page.
    pub to: Option<Box<Target>>,
}

/// Checks a request of a known client.
///
/// # Errors
/// The first check that fails, and where to say so.
pub fn check(p: &Parameters, client: &Client, rules: &Rules) -> Result<AuthorizeRequest, Refused> {
    let asked = checks::Asked { p, client, rules };
    let redirect_uri = checks::redirect_uri(&asked).map_err(|error| Refused { error, to: None })?;
    let target = asked.target(redirect_uri);
    for (_, holds) in checks::CHECKS {
        if let Err(error) = holds(&asked) {
            return Err(Refused { error, to: Some(Box::new(target)) });
        }
    }
    Ok(AuthorizeRequest::read(p, Some(target), asked.response_type().unwrap_or_default()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a failed test may panic")]
mod tests;
