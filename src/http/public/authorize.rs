//! `GET` and `POST /oauth2/auth` (RFC 6749 §4.1, OpenID Connect Core §3): where every flow begins, and where the
//! browser comes back after login and after consent.

use crate::actors::client_registry::Clients;
use crate::domain::authorize::parameters::Parameters;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::flow::{Flow, Purpose};
use crate::http::flow::request::{self, Asked};
use crate::http::flow::{Stop, consent, issue, login, open, to_error_page};
use crate::http::{ApiError, App};
use actix_web::{HttpRequest, HttpResponse, web};

/// The handler.
pub async fn authorize(
    app: web::Data<App>,
    clients: web::Data<Clients>,
    browser: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let outcome = go_on(&app, &clients, &browser, payload).await;
    outcome.unwrap_or_else(|stop| stopped(&app, stop))
}

/// The answer when a flow does not go on.
pub fn stopped(app: &App, stop: Stop) -> HttpResponse {
    match stop {
        Stop::Client(answer) => issue::render(&answer),
        Stop::Page(error) => to_error_page(app, &error),
        Stop::Fault(ApiError::OAuth(error)) => to_error_page(app, &error),
        Stop::Fault(fault) => fault.page(),
    }
}

async fn go_on(
    app: &App,
    clients: &Clients,
    browser: &HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Stop> {
    let all = request::parameters(browser, payload).await?;
    if let Some(verifier) = all.get("consent_verifier") {
        let flow: Option<Flow> = open(app, Purpose::ConsentVerifier, verifier).await?;
        let (asked, flow) = returned(app, clients, &all, flow).await?;
        return match flow {
            Some(flow) => consent::back(app, clients, browser, asked, flow).await,
            None => Err(invalid(app, &asked, "consent")),
        };
    }
    if let Some(verifier) = all.get("login_verifier") {
        let flow: Option<Flow> = open(app, Purpose::LoginVerifier, verifier).await?;
        let (asked, flow) = returned(app, clients, &all, flow).await?;
        return match flow {
            Some(flow) => login::back(app, browser, &asked, flow).await,
            None => Err(invalid(app, &asked, "login")),
        };
    }
    let asked = request::check(app, clients, &all, None).await?;
    login::start(app, browser, &asked, None).await
}

/// Checks the request again that came back with a flow, and that it is the flow's own. `None` for no flow.
async fn returned(
    app: &App,
    clients: &Clients,
    all: &Parameters,
    flow: Option<Flow>,
) -> Result<(Asked, Option<Flow>), Stop> {
    let known = flow.as_ref().and_then(|f| f.effective.as_deref());
    let asked = request::check(app, clients, all, known).await?;
    let Some(flow) = flow else { return Ok((asked, None)) };
    let same = flow.device.is_none();
    match flow.with_request(&asked.sent).filter(|_| same) {
        Some(flow) => Ok((asked, Some(flow))),
        None => {
            let hint = "The request is not the one that this verifier was made for.";
            Err(Stop::Page(OAuthError::new(ErrorCode::InvalidRequest, hint)))
        }
    }
}

fn invalid(app: &App, asked: &Asked, what: &str) -> Stop {
    let hint = format!("The {what} verifier has already been used, has not been granted, or is invalid.");
    login::refuse(app, asked, OAuthError::new(ErrorCode::AccessDenied, hint))
}
