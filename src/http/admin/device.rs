//! `PUT /admin/oauth2/auth/requests/device/accept`: the user code that somebody entered.

use super::login::{body, challenge};
use crate::domain::authorize::parameters::Parameters;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::flow::Purpose;
use crate::domain::flow::device::{Accepted, Challenge, GUESSES, GUESSES_OF_ALL, GUESSES_OF_SESSION};
use crate::http::flow::{open, text};
use crate::http::form::Json;
use crate::http::{ApiError, App, audited, reply};
use crate::store::{Attempt, DeviceRequest, UserCodeGuess};
use crate::telemetry::audit::{self, AuditEvent};
use crate::telemetry::labels::DeviceOutcome;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

/// Mounts the routes.
pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.service(
        web::resource("/admin/oauth2/auth/requests/device/accept")
            .route(web::put().to(accept))
            .default_service(reply::method_not_allowed("PUT")),
    );
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    user_code: Option<String>,
}

/// The handler. Each wrong code counts on the challenge; after [`GUESSES`] of them nothing is looked up any more. After
/// [`GUESSES_OF_ALL`] on all challenges, nothing is looked up for browsers without a login session; one with a session has
/// [`GUESSES_OF_SESSION`] on all of its challenges.
///
/// # Errors
/// 400 for a wrong code, 401 for a challenge that is over, 404 for one that we did not make, 429 after too many.
pub async fn accept(app: web::Data<App>, request: HttpRequest, bytes: Json) -> Result<HttpResponse, ApiError> {
    let text = challenge(&request, Purpose::DeviceChallenge.name())?;
    let asked: Challenge = open(&app, Purpose::DeviceChallenge, &text).await?.ok_or(ApiError::NotFoundNamed)?;
    let ends = asked.ends(app.rules.flow_ttl);
    if ends <= app.clock.now() {
        let hint = "The device request has expired, please try again.";
        return Err(OAuthError::new(ErrorCode::RequestUnauthorized, hint).into());
    }
    let body: Body = body(&bytes)?;
    let code = body
        .user_code
        .filter(|code| !code.is_empty())
        .ok_or_else(|| OAuthError::new(ErrorCode::InvalidRequest, "Field 'user_code' must not be empty."))?;
    let flow_id = app.entropy.uuid()?;
    let attempt = Attempt {
        challenge: asked.session.unwrap_or(asked.id),
        challenge_ends: ends,
        most: if asked.session.is_some() { GUESSES_OF_SESSION } else { GUESSES },
        most_of_all: asked.session.is_none().then_some(GUESSES_OF_ALL),
        user_codes: app.user_codes.hashes(&code),
        flow_id,
    };
    match app.store.guess_user_code(&attempt).await? {
        UserCodeGuess::Accepted(device) => {
            app.metrics.device_code(DeviceOutcome::UserCodeAccepted);
            audit::tell(AuditEvent::DeviceUserCodeAccepted, || audited::client(&device.client_id, None));
            accepted(&app, &asked, flow_id, device).await
        }
        UserCodeGuess::Wrong => {
            app.metrics.device_code(DeviceOutcome::WrongUserCode);
            let hint = "The 'user_code' session could not be found or has expired or is otherwise malformed.";
            Err(OAuthError::new(ErrorCode::InvalidRequest, hint).into())
        }
        UserCodeGuess::TooMany => {
            app.metrics.device_code(DeviceOutcome::TooManyGuesses);
            Err(ApiError::TooMany("wrong codes; open the device's address again".to_owned()))
        }
        UserCodeGuess::TooManyOfAll => {
            app.metrics.device_code(DeviceOutcome::TooManyGuesses);
            let why =
                "wrong codes everywhere; sign in first, with \"remember me\", then open the device's address again";
            Err(ApiError::TooMany(why.to_owned()))
        }
    }
}

async fn accepted(
    app: &App,
    asked: &Challenge,
    flow_id: Uuid,
    device: DeviceRequest,
) -> Result<HttpResponse, ApiError> {
    let accepted = Accepted {
        challenge: asked.id,
        flow_id,
        client_id: device.client_id.clone(),
        scope: device.scope,
        audience: device.audience,
        requested_at: app.clock.now().secs(),
    };
    let ends = app.clock.now().plus(app.rules.flow_ttl);
    let verifier = text(app, Purpose::DeviceVerifier, &accepted, ends).await?;
    let mut query = Parameters::default();
    query.push("client_id", &device.client_id);
    query.push(Purpose::DeviceVerifier.name(), &verifier);
    // The code itself has no more business in an address.
    query.push("user_code", "****");
    let to = format!("{}/oauth2/device/verify?{}", app.rules.public_url, query.to_query());
    Ok(reply::json(200, &json!({"redirect_to": to})))
}
