//! `GET` and `POST /oauth2/sessions/logout` (OpenID Connect RP-Initiated Logout 1.0 §2): to the logout page, and back
//! from it to the session's end.

use super::authorize::stopped;
use crate::actors::client_registry::Clients;
use crate::domain::authorize::parameters::Parameters;
use crate::domain::client::RegisteredClient;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::flow::Purpose;
use crate::domain::flow::logout::{self, LogoutFlow};
use crate::http::flow::{Stop, cookies, hint, open, request, text, to_page, with_query};
use crate::http::session_end::{self, Ended};
use crate::http::{App, pages};
use actix_web::{HttpRequest, HttpResponse, web};
use std::sync::Arc;

/// The handler.
pub async fn logout(
    app: web::Data<App>,
    clients: web::Data<Clients>,
    browser: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    go_on(&app, &clients, &browser, payload).await.unwrap_or_else(|stop| stopped(&app, stop))
}

async fn go_on(
    app: &App,
    clients: &Clients,
    browser: &HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Stop> {
    let all = request::parameters(browser, payload).await?;
    if all.repeated().is_some() {
        return Err(refused("A parameter comes more than once."));
    }
    if let Some(verifier) = all.get("logout_verifier") {
        let flow: Option<LogoutFlow> = open(app, Purpose::LogoutVerifier, verifier).await?;
        let flow = flow.filter(|f| f.ends(app.rules.flow_ttl) > app.clock.now());
        let invalid = "The logout verifier has already been used, has not been granted, or is invalid.";
        let flow = flow.ok_or_else(|| Stop::Page(OAuthError::new(ErrorCode::AccessDenied, invalid)))?;
        return finish(app, clients, browser, flow).await;
    }
    match all.get("id_token_hint") {
        Some(token) => by_client(app, clients, browser, &all, token).await,
        None => by_user(app, browser, &all).await,
    }
}

fn refused(hint: &str) -> Stop {
    Stop::Page(OAuthError::new(ErrorCode::InvalidRequest, hint))
}

/// The browser's own session, without a client.
async fn by_user(app: &App, browser: &HttpRequest, all: &Parameters) -> Result<HttpResponse, Stop> {
    if all.get("post_logout_redirect_uri").is_some() {
        return Err(refused(
            "Logout failed because query parameter post_logout_redirect_uri is set but id_token_hint is missing.",
        ));
    }
    let session = match cookies::session(app, browser) {
        Some(id) => app.store.login_session(id).await?,
        None => None,
    };
    let Some(session) = session else { return Ok(end_page(app, "")) };
    let flow = LogoutFlow {
        id: app.entropy.uuid()?,
        subject: session.subject,
        session_id: session.id,
        request_url: request_url(all),
        rp_initiated: false,
        client_id: String::new(),
        requested_at: app.clock.now().secs(),
        redirect_to: String::new(),
    };
    ask(app, &flow).await
}

/// The session that a client's ID token names.
async fn by_client(
    app: &App,
    clients: &Clients,
    browser: &HttpRequest,
    all: &Parameters,
    token: &str,
) -> Result<HttpResponse, Stop> {
    let now = app.clock.now();
    let claims = hint::read(app, token).map_err(Stop::Page)?;
    let hint = logout::hint(&claims, &app.rules.issuer, now).map_err(Stop::Page)?;
    let client = audience(clients, &hint.audience).await?;
    let redirect_to = logout::redirect_to(&client.client, all.get("post_logout_redirect_uri"), all.get("state"))
        .map_err(Stop::Page)?
        .unwrap_or_default();
    let subject = match session_end::subject_of(app, &client, &hint).await? {
        Some(subject) => subject,
        // Nobody's session any more: there is nothing to ask.
        None => return Ok(forgotten(app, browser, &hint.session_id, &redirect_to)),
    };
    let flow = LogoutFlow {
        id: app.entropy.uuid()?,
        subject,
        session_id: hint.session_id,
        request_url: request_url(all),
        rp_initiated: true,
        client_id: client.client.client_id.clone(),
        requested_at: now.secs(),
        redirect_to,
    };
    ask(app, &flow).await
}

/// The first client of an ID token's audience that there is.
async fn audience(clients: &Clients, audience: &[String]) -> Result<Arc<RegisteredClient>, Stop> {
    for id in audience {
        if let Some(client) = clients.get(id).await? {
            return Ok(client);
        }
    }
    Err(refused("Logout failed because none of the listed audiences is a registered OAuth 2.0 Client."))
}

/// The request as Hydra shows it: path and query.
fn request_url(all: &Parameters) -> String {
    let query = all.as_sent();
    if query.is_empty() { "/oauth2/sessions/logout".to_owned() } else { format!("/oauth2/sessions/logout?{query}") }
}

/// To the logout page.
async fn ask(app: &App, flow: &LogoutFlow) -> Result<HttpResponse, Stop> {
    let challenge = text(app, Purpose::LogoutChallenge, flow, flow.ends(app.rules.flow_ttl)).await?;
    Ok(to_page(&with_query(&app.rules.pages.logout, &[("logout_challenge", &challenge)])))
}

fn forgotten(app: &App, browser: &HttpRequest, session: &uuid::Uuid, redirect_to: &str) -> HttpResponse {
    let mut response = end_page(app, redirect_to);
    if cookies::session(app, browser).as_ref() == Some(session) {
        cookies::forget(app, &mut response);
    }
    response
}

fn end_page(app: &App, redirect_to: &str) -> HttpResponse {
    to_page(if redirect_to.is_empty() { &app.rules.pages.post_logout } else { redirect_to })
}

/// The user agreed: the session ends, every client hears of it, and the browser goes where the logout leads.
async fn finish(app: &App, clients: &Clients, browser: &HttpRequest, flow: LogoutFlow) -> Result<HttpResponse, Stop> {
    let shown = cookies::session(app, browser);
    // Without an ID token the cookie is all that says whose browser this is.
    if !flow.rp_initiated && shown != Some(flow.session_id) {
        return Ok(end_page(app, &flow.redirect_to));
    }
    let ended = session_end::end(app, clients, flow.session_id, &flow.subject).await?;
    let next = if flow.redirect_to.is_empty() { app.rules.pages.post_logout.clone() } else { flow.redirect_to };
    let mut response = match ended {
        Ended::Now { frontchannel } if !frontchannel.is_empty() => {
            pages::signing_out::frontchannel_logout(&frontchannel, &next)
        }
        Ended::Now { .. } | Ended::Before => to_page(&next),
    };
    if shown == Some(flow.session_id) {
        cookies::forget(app, &mut response);
    }
    Ok(response)
}
