//! `POST /oauth2/token` (RFC 6749 §3.2), read from top to bottom: parse, find the client, decide, ask the hook, mint,
//! commit, answer. Each grant has a file of its own; what they share is here.
//!
//! Nothing is spent before the commit, so a refusal or a failure costs nobody a code or a token.

pub mod mint;

mod authorization_code;
mod client_credentials;
mod device_code;
mod refresh_token;

use crate::actors::client_registry::Clients;
use crate::actors::token_issuer::Commit;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::grant::{self, Issue};
use crate::http::audited::{self, Issued};
use crate::http::client_auth::{Asking, Authenticated, authenticate, credential, tries_basic};
use crate::http::form::Form;
use crate::http::{ApiError, App, hook, reply};
use crate::store::{Verdict, Write};
use crate::telemetry::audit::{self, AuditEvent};
use crate::telemetry::labels::{AuthFailure, AuthMethod, Grant as GrantLabel, Reuse, TokenResult, TokenType};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use mint::Answer;
pub use refresh_token::known;
use uuid::Uuid;

/// A request whose client, code or token is changed while it is decided on is decided on again this often.
const ATTEMPTS: usize = 3;

/// A grant that a client may hold and that another release serves.
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The grants that are served.
#[derive(Clone, Copy)]
enum Grant {
    AuthorizationCode,
    ClientCredentials,
    DeviceCode,
    RefreshToken,
    /// Not served, but known: `unauthorized_client` comes first for those without.
    JwtBearer,
}

/// What the metric says of a request, filled in as it becomes known.
struct Told {
    grant: GrantLabel,
    method: AuthMethod,
}

/// One request, parsed.
struct Call<'a> {
    app: &'a App,
    form: &'a Form,
}

/// The answer; `None` when what was decided on has changed meanwhile, so that it must be decided again.
type Settled = Result<Option<HttpResponse>, ApiError>;

/// The handler.
pub async fn token(
    app: web::Data<App>,
    clients: web::Data<Clients>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let mut told = Told { grant: GrantLabel::Other, method: AuthMethod::Unknown };
    let outcome = respond(&app, &clients, &request, payload, &mut told).await;
    let result = match &outcome {
        Ok(_) => TokenResult::Ok,
        Err(ApiError::OAuth(e)) => TokenResult::from_name(e.code.as_str()),
        Err(ApiError::Unavailable(_)) => TokenResult::TemporarilyUnavailable,
        Err(ApiError::Internal(_)) => TokenResult::ServerError,
        Err(_) => TokenResult::InvalidRequest,
    };
    app.metrics.token_request(told.grant, result, told.method);
    if result != TokenResult::Ok {
        audit::tell(AuditEvent::TokenExchangeError, || {
            let client_id = request.extensions().get::<Asking>().map(|Asking(id)| id.clone());
            audited::refused(client_id.as_deref(), told.grant.as_str(), result.as_str())
        });
    }
    outcome.unwrap_or_else(|e| e.oauth_response(app.rules.expose_internal_errors, tries_basic(&request)))
}

async fn respond(
    app: &App,
    clients: &Clients,
    request: &HttpRequest,
    payload: web::Payload,
    told: &mut Told,
) -> Result<HttpResponse, ApiError> {
    let form = Form::read(request, payload).await?;
    let credential = credential(request, &form);
    let grant = grant_type(&form)?;
    told.grant = GrantLabel::from_name(form.get("grant_type").unwrap_or_default());
    let credential = credential?;
    told.method = AuthMethod::from_name(credential.method());
    let call = Call { app, form: &form };
    for attempt in 0..ATTEMPTS {
        let who = authenticate(app, clients, &credential, attempt > 0).await?;
        match call.settle(grant, &who).await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => {}
            Err(e) if attempt > 0 || !hangs_on_client(&e) || !outdated(clients, &who).await? => return Err(e),
            Err(_) => {}
        }
    }
    Err(ApiError::Unavailable("the client is being changed again and again".to_owned()))
}

/// The one grant type of the request.
fn grant_type(form: &Form) -> Result<Grant, OAuthError> {
    match form.get("grant_type").unwrap_or_default() {
        "" => Err(OAuthError::new(ErrorCode::InvalidRequest, "Request parameter 'grant_type' is missing")),
        grant::authorization_code::GRANT_TYPE => Ok(Grant::AuthorizationCode),
        grant::client_credentials::GRANT_TYPE => Ok(Grant::ClientCredentials),
        grant::device_code::GRANT_TYPE => Ok(Grant::DeviceCode),
        grant::refresh_token::GRANT_TYPE => Ok(Grant::RefreshToken),
        JWT_BEARER => Ok(Grant::JwtBearer),
        _ => Err(OAuthError::plain(ErrorCode::UnsupportedGrantType)),
    }
}

/// Whether a refusal may come from what the client may do, which may have changed a moment ago.
fn hangs_on_client(e: &ApiError) -> bool {
    use ErrorCode::{InvalidGrant, InvalidRequest, InvalidScope, UnauthorizedClient};
    matches!(e, ApiError::OAuth(e) if matches!(e.code, InvalidGrant | InvalidRequest | InvalidScope | UnauthorizedClient))
}

/// Whether a refusal was decided on a client that has changed since.
async fn outdated(clients: &Clients, who: &Authenticated) -> Result<bool, ApiError> {
    Ok(clients.has_changed(&who.client.client.client_id, who.client.version).await?)
}

impl Call<'_> {
    async fn settle(&self, grant: Grant, who: &Authenticated) -> Settled {
        match grant {
            Grant::AuthorizationCode => authorization_code::exchange(self, who).await,
            Grant::ClientCredentials => client_credentials::issue(self, who).await,
            Grant::DeviceCode => device_code::poll(self, who).await,
            Grant::RefreshToken => refresh_token::refresh(self, who).await,
            Grant::JwtBearer => {
                grant::check_grant(&who.client.client, JWT_BEARER)?;
                Err(OAuthError::plain(ErrorCode::UnsupportedGrantType).into())
            }
        }
    }

    /// A form parameter; an empty text when it is absent.
    fn param(&self, name: &str) -> &str {
        self.form.get(name).unwrap_or_default()
    }

    /// What a hook is to be asked about.
    fn about<'b>(&'b self, who: &'b Authenticated, issue: &'b Issue, family_id: Uuid) -> hook::About<'b> {
        hook::About { client: &who.client.client, form: self.form, issue, family_id }
    }

    /// Writes with whoever comes along.
    async fn commit(&self, who: &Authenticated, write: Write) -> Result<Verdict, ApiError> {
        let verdict = self.app.issuer.ask(Commit(write)).await??;
        if verdict == Verdict::JtiKnown {
            self.app.metrics.client_auth_failure(who.method, AuthFailure::ReplayedAssertion);
            return Err(OAuthError::plain(ErrorCode::JtiKnown).into());
        }
        Ok(verdict)
    }

    /// Writes what was made and answers it, unless it must be decided again.
    async fn finish(&self, who: &Authenticated, write: Write, answer: &Answer, kinds: &[TokenType]) -> Settled {
        let issued = Issued::by(&write);
        if self.commit(who, write).await? != Verdict::Done {
            return Ok(None);
        }
        kinds.iter().for_each(|kind| self.app.metrics.token_issued(*kind));
        if let Some(issued) = issued {
            issued.tell(self.param("grant_type"), kinds);
        }
        reply::oauth(answer).map(Some)
    }

    /// Ends a grant because something of it came twice; committed though the answer is a refusal.
    async fn end_family(&self, who: &Authenticated, family_id: Uuid, what: Reuse) -> Result<(), ApiError> {
        let client_id = who.client.client.client_id.as_str();
        tracing::warn!(client_id, what = what.as_str(), "it came again after it was used: its grant is over");
        self.app.metrics.token_reuse(what);
        self.app.issuer.ask(Commit(Write::RevokeFamily(family_id))).await??;
        let event = if what == Reuse::Code { AuditEvent::CodeReuseDetected } else { AuditEvent::RefreshReuseDetected };
        audit::tell(event, || audited::grant(client_id, family_id, self.param("grant_type")));
        Ok(())
    }
}
