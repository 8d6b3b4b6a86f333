//! `GET /oauth2/device/verify` (RFC 8628 §3.3): where a user's browser takes a device's user code, and where it comes
//! back after the code, the login and the consent.

use super::authorize::stopped;
use crate::actors::client_registry::Clients;
use crate::domain::authorize::AuthorizeRequest;
use crate::domain::authorize::parameters::Parameters;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::flow::device::{Accepted, Challenge};
use crate::domain::flow::{DeviceScope, Flow, Purpose};
use crate::http::App;
use crate::http::flow::cookies::{self, Step};
use crate::http::flow::request::{self, Asked, rebuilt};
use crate::http::flow::{Stop, consent, login, open, text, to_page, with_query};
use actix_web::{HttpRequest, HttpResponse, web};

/// The handler.
pub async fn verify(app: web::Data<App>, clients: web::Data<Clients>, browser: HttpRequest) -> HttpResponse {
    go_on(&app, &clients, &browser).await.unwrap_or_else(|stop| stopped(&app, stop))
}

async fn go_on(app: &App, clients: &Clients, browser: &HttpRequest) -> Result<HttpResponse, Stop> {
    let all = Parameters::parse(browser.query_string())
        .map_err(|e| Stop::Page(OAuthError::new(ErrorCode::InvalidRequest, e.to_string())))?;
    if let Some(verifier) = all.get("consent_verifier") {
        let flow = open(app, Purpose::ConsentVerifier, verifier).await?;
        let (asked, flow) = returned(clients, &all, flow).await?;
        return consent::back(app, clients, browser, asked, flow).await;
    }
    if let Some(verifier) = all.get("login_verifier") {
        let flow = open(app, Purpose::LoginVerifier, verifier).await?;
        let (asked, flow) = returned(clients, &all, flow).await?;
        return login::back(app, browser, &asked, flow).await;
    }
    match all.get("device_verifier") {
        Some(verifier) => begin(app, clients, browser, &all, verifier).await,
        None => ask(app, browser, all.get("user_code")).await,
    }
}

fn denied(hint: &str) -> Stop {
    Stop::Page(OAuthError::new(ErrorCode::AccessDenied, hint))
}

/// To the page where the user enters the code, or confirms the one in the link.
async fn ask(app: &App, browser: &HttpRequest, user_code: Option<&str>) -> Result<HttpResponse, Stop> {
    let session = match cookies::session(app, browser) {
        Some(id) => app.store.login_session(id).await?.map(|session| session.id),
        None => None,
    };
    let challenge = Challenge { id: app.entropy.uuid()?, requested_at: app.clock.now().secs(), session };
    let sealed = text(app, Purpose::DeviceChallenge, &challenge, challenge.ends(app.rules.flow_ttl)).await?;
    let mut more = vec![("device_challenge", sealed.as_str())];
    more.extend(user_code.map(|code| ("user_code", code)));
    let mut response = to_page(&with_query(&app.rules.pages.device_verification, &more));
    cookies::begin_step(app, &mut response, Step::Device, challenge.id);
    Ok(response)
}

/// The code was right: the login begins, in the browser that was asked for the code.
async fn begin(
    app: &App,
    clients: &Clients,
    browser: &HttpRequest,
    all: &Parameters,
    verifier: &str,
) -> Result<HttpResponse, Stop> {
    let invalid = || denied("The device verifier has already been used, has not been granted, or is invalid.");
    let accepted: Accepted = open(app, Purpose::DeviceVerifier, verifier).await?.ok_or_else(invalid)?;
    if accepted.is_over(app.clock.now(), app.rules.flow_ttl) {
        return Err(invalid());
    }
    if let Some(fault) = cookies::csrf_fault(app, browser, Step::Device, accepted.challenge) {
        return Err(Stop::Page(OAuthError::new(ErrorCode::RequestForbidden, fault)));
    }
    let client = request::client(clients, all).await?;
    if client.client.client_id != accepted.client_id {
        return Err(invalid());
    }
    let scope = DeviceScope { scope: accepted.scope, audience: accepted.audience };
    let asked = Asked {
        client,
        sent: all.without(&["device_verifier"]),
        effective: None,
        request: AuthorizeRequest {
            client_id: accepted.client_id,
            scope: scope.scope.clone(),
            audience: scope.audience.clone(),
            ..AuthorizeRequest::default()
        },
    };
    let mut response = login::start(app, browser, &asked, Some((accepted.flow_id, scope))).await?;
    cookies::end_step(app, &mut response, Step::Device, accepted.challenge);
    Ok(response)
}

/// A device's flow that came back with its own request.
async fn returned(clients: &Clients, all: &Parameters, flow: Option<Flow>) -> Result<(Asked, Flow), Stop> {
    let sent = all.without(&["login_verifier", "consent_verifier"]);
    let flow = flow.filter(|f| f.device.is_some()).and_then(|f| f.with_request(&sent));
    let flow =
        flow.ok_or_else(|| denied("The verifier has already been used, has not been granted, or is invalid."))?;
    let client = request::client(clients, all).await?;
    Ok((Asked { client, sent, effective: None, request: rebuilt(&flow) }, flow))
}
