//! What the login & consent app reads of a flow.

use crate::domain::authorize::AuthorizeRequest;
use crate::domain::client::RegisteredClient;
use crate::domain::flow::Flow;
use crate::domain::flow::login::LoginDecision;
use crate::http::flow::issue::ConsentDetail;
use crate::http::flow::request::rebuilt;
use crate::http::{ApiError, App};
use crate::store::Consent;
use serde_json::{Map, Value, json};

/// `oidc_context`: what OpenID Connect adds to a request; members that are not there are left out.
pub fn oidc_context(request: &AuthorizeRequest) -> Value {
    let mut out = Map::new();
    let mut put = |name: &str, there: bool, value: Value| {
        if there {
            out.insert(name.to_owned(), value);
        }
    };
    put("acr_values", !request.acr_values.is_empty(), json!(request.acr_values));
    put("ui_locales", !request.ui_locales.is_empty(), json!(request.ui_locales));
    put("display", !request.display.is_empty(), json!(request.display));
    put("login_hint", !request.login_hint.is_empty(), json!(request.login_hint));
    put("claims", !request.claims.is_empty(), json!(request.claims));
    let hint = hint_claims(&request.id_token_hint);
    put("id_token_hint_claims", hint.is_some(), json!(hint));
    Value::Object(out)
}

/// The hint was verified when the flow began.
fn hint_claims(token: &str) -> Option<Map<String, Value>> {
    let token = crate::crypto::jose::Unverified::parse(token).ok()?;
    Some(token.unverified_claims().0.clone())
}

/// The members that login and consent requests share.
fn common(app: &App, client: &RegisteredClient, flow: &Flow, challenge: &str) -> Result<Map<String, Value>, ApiError> {
    let request = rebuilt(flow);
    let mut out = Map::new();
    for (name, value) in [
        ("challenge", json!(challenge)),
        ("requested_scope", json!(request.scope)),
        ("requested_access_token_audience", json!(request.audience)),
        ("oidc_context", if flow.device.is_some() { Value::Null } else { oidc_context(&request) }),
        ("client", Value::Object(super::client_json::shown_registered(client)?)),
        ("request_url", json!(request_url(app, flow))),
    ] {
        out.insert(name.to_owned(), value);
    }
    Ok(out)
}

/// The address that the browser began at.
pub fn request_url(app: &App, flow: &Flow) -> String {
    format!("{}?{}", return_address(app, flow), flow.query)
}

/// The address that the browser comes back to.
pub fn return_address(app: &App, flow: &Flow) -> String {
    match &flow.device {
        Some(_) => format!("{}/oauth2/device/verify", app.rules.public_url),
        None => app.rules.authorize_url.clone(),
    }
}

/// A login request.
///
/// # Errors
/// None that is known: every member has a JSON form.
pub fn login(app: &App, client: &RegisteredClient, flow: &Flow, challenge: &str) -> Result<Value, ApiError> {
    let mut out = common(app, client, flow, challenge)?;
    out.insert("skip".to_owned(), json!(flow.remembered.is_some()));
    let subject = flow.remembered.as_ref().map(|r| r.subject.as_str()).unwrap_or_default();
    out.insert("subject".to_owned(), json!(subject));
    out.insert("session_id".to_owned(), json!(flow.session_id));
    Ok(Value::Object(out))
}

/// A consent request.
///
/// # Errors
/// As [`login`].
pub fn consent(
    app: &App,
    client: &RegisteredClient,
    flow: &Flow,
    login: &LoginDecision,
    challenge: &str,
) -> Result<Value, ApiError> {
    let mut out = common(app, client, flow, challenge)?;
    for (name, value) in [
        ("consent_request_id", json!(flow.consent_id().simple().to_string())),
        ("skip", json!(flow.skip_consent)),
        ("subject", json!(login.subject)),
        ("login_challenge", json!(flow.id.simple().to_string())),
        ("login_session_id", json!(flow.session_id)),
        ("acr", json!(login.acr)),
        ("amr", json!(login.amr)),
        ("context", login.context.clone()),
    ] {
        out.insert(name.to_owned(), value);
    }
    Ok(Value::Object(out))
}

/// The address that a listed consent's flow began at.
pub fn return_address_of(app: &App, detail: &ConsentDetail) -> String {
    match detail.device {
        true => format!("{}/oauth2/device/verify?{}", app.rules.public_url, detail.query),
        false => format!("{}?{}", app.rules.authorize_url, detail.query),
    }
}

/// The consent request of a listed consent; its challenge is over and left empty.
///
/// # Errors
/// As [`login`].
pub fn consent_of_list(
    request_url: &str,
    client: &RegisteredClient,
    consent: &Consent,
    detail: &ConsentDetail,
) -> Result<Value, ApiError> {
    Ok(json!({
        "acr": detail.login.acr,
        "amr": detail.login.amr,
        "challenge": "",
        "client": super::client_json::shown_registered(client)?,
        "consent_request_id": consent.id.simple().to_string(),
        "context": detail.login.context,
        "login_challenge": detail.flow_id.simple().to_string(),
        "login_session_id": consent.session_id,
        "oidc_context": detail.oidc_context,
        "request_url": request_url,
        "requested_access_token_audience": detail.audience,
        "requested_scope": detail.scope,
        "skip": consent.skipped,
        "subject": consent.subject,
    }))
}
