//! The checks of an authorization request, one function each, in the order of [`CHECKS`].
//!
//! Before them stand the client and its redirect URI: until both are certain nothing may be sent there.

use super::answer::{Mode, Target};
use super::parameters::Parameters;
use super::{Prompt, ResponseType, Rules};
use crate::domain::client::Client;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::pkce::is_challenge;
use crate::domain::redirect_uri;
use crate::domain::scope::{audience_allowed, is_scope_token, parse_audience, parse_scope};
use serde_json::{Map, Value};

/// `state` and `nonce` with fewer characters are too easy to guess.
const ENTROPY: usize = 8;
/// Most scopes or audiences of one request.
const MOST: usize = 200;

type Check = fn(&Asked<'_>) -> Result<(), OAuthError>;

/// What must hold, in this order, each with the text that asks for it. A failure is told to the client.
pub const CHECKS: [(&str, Check); 17] = [
    ("RFC 6749 §3.1: no parameter comes twice", once),
    ("Multiple Response Types §2.1: response_mode is known", mode_known),
    ("RFC 6749 §3.3: the client may ask for these scopes", scope),
    ("the client may ask for these audiences", audience),
    ("OpenID Connect Core §7.2.1: no registration in the request", registration),
    ("RFC 6749 §3.1.1: response_type is registered for the client", response_type),
    ("RFC 6749 §4.2: the client may use the implicit grant", implicit_grant),
    ("OpenID Connect Core §3.2.2.1: an ID token needs scope openid", id_token_scope),
    ("Multiple Response Types §2.1: no token travels in a query", mode_allowed),
    ("RFC 6819 §4.4.1.8: state cannot be guessed", state),
    ("OpenID Connect Core §3.1.2.1: nonce cannot be guessed, and is there where it must be", nonce),
    ("RFC 7636 §4.4.1: PKCE where it is required, and by S256", pkce),
    ("OpenID Connect Core §3.1.2.1: prompt", prompt),
    ("OpenID Connect Core §3.1.2.1: max_age", max_age),
    ("OpenID Connect Core §5.5: claims", claims),
    ("OpenID Connect Core §3.1.2.1: display", display),
    ("RFC 9700 §2.6: no answer in the clear over a network", safe_redirect),
];

/// A request that is being checked.
pub struct Asked<'a> {
    /// Its parameters, those of a request object among them.
    pub p: &'a Parameters,
    /// Who asks.
    pub client: &'a Client,
    /// What this server allows.
    pub rules: &'a Rules,
}

impl Asked<'_> {
    /// `response_type`, if it is one.
    pub fn response_type(&self) -> Option<ResponseType> {
        ResponseType::parse(self.p.text("response_type"))
    }

    /// Where answers go, errors too.
    pub fn target(&self, redirect_uri: String) -> Target {
        let front_channel = self.response_type().is_some_and(ResponseType::is_front_channel);
        let mode = match self.p.get("response_mode").and_then(Mode::parse) {
            Some(Mode::Query) if front_channel => Mode::Fragment,
            Some(mode) => mode,
            None if front_channel => Mode::Fragment,
            None => Mode::Query,
        };
        Target { redirect_uri, mode, state: self.p.text("state").to_owned() }
    }
}

fn bad(hint: impl Into<String>) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidRequest, hint)
}

/// The redirect URI (RFC 6749 §3.1.2.3, OpenID Connect Core §3.1.2.1): one that is registered, or the only one.
///
/// # Errors
/// `invalid_request`, for the error page.
pub fn redirect_uri(asked: &Asked<'_>) -> Result<String, OAuthError> {
    if asked.p.count("redirect_uri") > 1 || asked.p.count("client_id") > 1 {
        return Err(bad("The parameters 'client_id' and 'redirect_uri' must not come more than once."));
    }
    let registered = &asked.client.redirect_uris;
    let openid = parse_scope(asked.p.text("scope")).iter().any(|s| s == "openid");
    match (asked.p.get("redirect_uri"), registered.as_slice()) {
        (Some(uri), _) if redirect_uri::is_registered(registered, uri) => Ok(uri.to_owned()),
        (None, [only]) if !openid => Ok(only.clone()),
        (None, _) if openid => Err(bad("The 'redirect_uri' parameter is required when using OpenID Connect 1.0.")),
        (None, _) => Err(bad(
            "The 'redirect_uri' parameter is required when the OAuth 2.0 Client has not exactly one registered.",
        )),
        (Some(_), _) => Err(bad(
            "The 'redirect_uri' parameter does not match any of the OAuth 2.0 Client's pre-registered redirect urls.",
        )),
    }
}

fn once(asked: &Asked<'_>) -> Result<(), OAuthError> {
    match asked.p.repeated() {
        Some(name) => Err(bad(format!("The parameter '{name}' comes more than once."))),
        None => Ok(()),
    }
}

fn mode_known(asked: &Asked<'_>) -> Result<(), OAuthError> {
    match asked.p.get("response_mode") {
        Some(mode) if Mode::parse(mode).is_none() => {
            let hint = format!("Request with unsupported response_mode '{mode}'.");
            Err(OAuthError::new(ErrorCode::UnsupportedResponseMode, hint))
        }
        _ => Ok(()),
    }
}

fn scope(asked: &Asked<'_>) -> Result<(), OAuthError> {
    let wanted = parse_scope(asked.p.text("scope"));
    if wanted.len() > MOST {
        return Err(OAuthError::new(ErrorCode::InvalidScope, format!("More than {MOST} scopes in one request.")));
    }
    let own = asked.client.scopes();
    let covered = |s: &&String| is_scope_token(s) && asked.rules.scope_strategy.covers(own.iter().copied(), s);
    match wanted.iter().find(|s| !covered(s)) {
        Some(other) => {
            let hint = format!("The OAuth 2.0 Client is not allowed to request scope '{other}'.");
            Err(OAuthError::new(ErrorCode::InvalidScope, hint))
        }
        None => Ok(()),
    }
}

fn audience(asked: &Asked<'_>) -> Result<(), OAuthError> {
    let wanted = parse_audience(asked.p.all("audience"));
    if wanted.len() > MOST {
        return Err(bad(format!("More than {MOST} audiences in one request.")));
    }
    match wanted.iter().find(|a| !audience_allowed(&asked.client.audience, a)) {
        Some(other) => {
            Err(bad(format!("Requested audience '{other}' has not been whitelisted by the OAuth 2.0 Client.")))
        }
        None => Ok(()),
    }
}

fn registration(asked: &Asked<'_>) -> Result<(), OAuthError> {
    match asked.p.get("registration") {
        Some(_) => Err(OAuthError::plain(ErrorCode::RegistrationNotSupported)),
        None => Ok(()),
    }
}

fn response_type(asked: &Asked<'_>) -> Result<(), OAuthError> {
    let refuse = |hint: String| Err(OAuthError::new(ErrorCode::UnsupportedResponseType, hint));
    let Some(text) = asked.p.get("response_type") else {
        return refuse("`The request is missing the 'response_type' parameter.".to_owned());
    };
    let wanted = asked.response_type();
    let registered = match asked.client.response_types.as_slice() {
        [] => wanted == ResponseType::parse("code"),
        some => some.iter().any(|one| ResponseType::parse(one) == wanted),
    };
    if wanted.is_some() && registered {
        return Ok(());
    }
    refuse(format!("The client is not allowed to request response_type '{text}'."))
}

fn implicit_grant(asked: &Asked<'_>) -> Result<(), OAuthError> {
    let needs = asked.response_type().is_some_and(ResponseType::is_front_channel);
    if !needs || asked.client.allows_grant("implicit") {
        return Ok(());
    }
    let hint = "The OAuth 2.0 Client is not allowed to use the authorization grant 'implicit'.";
    Err(OAuthError::new(ErrorCode::UnauthorizedClient, hint))
}

fn id_token_scope(asked: &Asked<'_>) -> Result<(), OAuthError> {
    let needs = asked.response_type().is_some_and(|t| t.id_token);
    if !needs || parse_scope(asked.p.text("scope")).iter().any(|s| s == "openid") {
        return Ok(());
    }
    Err(bad("The response type 'id_token' needs the scope 'openid'."))
}

fn mode_allowed(asked: &Asked<'_>) -> Result<(), OAuthError> {
    let front_channel = asked.response_type().is_some_and(ResponseType::is_front_channel);
    if front_channel && asked.p.get("response_mode") == Some("query") {
        let hint = "Insecure response_mode 'query' for a response_type with a token in it.";
        return Err(OAuthError::new(ErrorCode::UnsupportedResponseMode, hint));
    }
    Ok(())
}

fn state(asked: &Asked<'_>) -> Result<(), OAuthError> {
    if asked.p.text("state").len() >= ENTROPY {
        return Ok(());
    }
    let hint = format!(
        "Request parameter 'state' must be at least be {ENTROPY} characters long to ensure sufficient entropy."
    );
    Err(OAuthError::new(ErrorCode::InvalidState, hint))
}

fn nonce(asked: &Asked<'_>) -> Result<(), OAuthError> {
    match asked.p.get("nonce") {
        Some(nonce) if nonce.len() < ENTROPY => {
            let hint =
                format!("Parameter 'nonce' is set but does not satisfy the minimum entropy of {ENTROPY} characters.");
            Err(OAuthError::new(ErrorCode::InsufficientEntropy, hint))
        }
        None if asked.response_type().is_some_and(|t| t.id_token) => Err(bad(
            "Parameter 'nonce' must be set when requesting an ID Token using the OpenID Connect Implicit or Hybrid Flow.",
        )),
        _ => Ok(()),
    }
}

fn pkce(asked: &Asked<'_>) -> Result<(), OAuthError> {
    if !asked.response_type().is_some_and(|t| t.code) {
        return Ok(());
    }
    let Some(challenge) = asked.p.get("code_challenge") else {
        return match asked.p.get("code_challenge_method") {
            Some(_) => Err(bad("The parameter 'code_challenge_method' needs a 'code_challenge'.")),
            None if asked.rules.pkce_for_all => Err(bad(
                "Clients must include a code_challenge when performing the authorize code flow, but it is missing.",
            )),
            None if asked.rules.pkce_for_public && asked.client.is_public() => Err(bad(
                "This client must include a code_challenge when performing the authorize code flow, but it is missing.",
            )),
            None => Ok(()),
        };
    };
    match asked.p.get("code_challenge_method") {
        Some("S256") => {}
        None | Some("plain") => {
            return Err(bad("Clients must use code_challenge_method=S256, plain is not allowed."));
        }
        Some(_) => return Err(bad("The code_challenge_method is not supported, use S256 instead.")),
    }
    if is_challenge(challenge) {
        return Ok(());
    }
    Err(bad("The 'code_challenge' must have 43 characters of base64url, as S256 makes them."))
}

fn prompt(asked: &Asked<'_>) -> Result<(), OAuthError> {
    match Prompt::parse(asked.p.text("prompt")) {
        Err(other) => Err(bad(format!("Used unknown value '[{other}]' for prompt parameter"))),
        Ok(prompt) if prompt.is_contradictory() => {
            Err(bad("Parameter 'prompt' was set to 'none', but contains other values as well which is not allowed."))
        }
        Ok(_) => Ok(()),
    }
}

fn max_age(asked: &Asked<'_>) -> Result<(), OAuthError> {
    match asked.p.get("max_age").map(str::parse::<u32>) {
        Some(Err(_)) => Err(bad("Parameter 'max_age' must be a whole number of seconds, 0 or more.")),
        _ => Ok(()),
    }
}

fn claims(asked: &Asked<'_>) -> Result<(), OAuthError> {
    let Some(text) = asked.p.get("claims") else { return Ok(()) };
    let read: Option<Map<String, Value>> = serde_json::from_str(text).ok();
    let members = |c: &Map<String, Value>| c.iter().all(|(_, v)| v.is_object() || v.is_null());
    if read.is_some_and(|c| members(&c)) {
        return Ok(());
    }
    Err(bad("Parameter 'claims' must be a JSON object whose members 'id_token' and 'userinfo' are objects."))
}

fn display(asked: &Asked<'_>) -> Result<(), OAuthError> {
    match asked.p.get("display") {
        None | Some("page" | "popup" | "touch" | "wap") => Ok(()),
        Some(_) => Err(bad("Parameter 'display' must be one of page, popup, touch and wap.")),
    }
}

fn safe_redirect(asked: &Asked<'_>) -> Result<(), OAuthError> {
    let only = asked.client.redirect_uris.first().map(String::as_str);
    let uri = asked.p.get("redirect_uri").or(only).unwrap_or_default();
    if asked.rules.plain_http || redirect_uri::is_safe(uri) {
        return Ok(());
    }
    Err(bad(
        "Redirect URL is using an insecure protocol, http is only allowed for hosts with suffix 'localhost', for example: http://myapp.localhost/.",
    ))
}
