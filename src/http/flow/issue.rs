//! What a consent brings about: the consent's row, a code, perhaps tokens at once, and the answer to the client. One
//! commit.

use super::super::admin::flow_json::oidc_context;
use super::super::audited::Issued;
use super::super::session::{Table, close_tokens};
use super::super::{ApiError, App, pages};
use super::login::refuse;
use super::request::Asked;
use super::{Stop, to_page, with_query};
use crate::actors::client_registry::Clients;
use crate::actors::flow_coordinator::Commit;
use crate::crypto::seal::{SealError, Sealer, aad};
use crate::domain::authorize::answer::Answer;
use crate::domain::client::RegisteredClient;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::flow::Flow;
use crate::domain::flow::consent::{self, ConsentDecision};
use crate::domain::flow::login::LoginDecision;
use crate::domain::subject::subject_for;
use crate::domain::token::opaque::TokenKind;
use crate::domain::token::session::TokenSession;
use crate::domain::world::Entropy;
use crate::store::{AuthorizationCode, Consent, FlowVerdict, FlowWrite, Grant};
use crate::telemetry::labels::{self, DeviceOutcome, TokenType};
use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, LOCATION, PRAGMA};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use uuid::Uuid;

/// A client that is changed while its grant is written is looked at again this often.
const ATTEMPTS: usize = 3;

/// What the list of consents shows beside the row's columns; sealed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConsentDetail {
    /// The flow.
    #[serde(rename = "i")]
    pub flow_id: Uuid,
    /// The request as it was sent.
    #[serde(rename = "q")]
    pub query: String,
    /// A device's flow.
    #[serde(rename = "d", default)]
    pub device: bool,
    /// Requested scopes.
    #[serde(rename = "s")]
    pub scope: Vec<String>,
    /// Requested audience.
    #[serde(rename = "a")]
    pub audience: Vec<String>,
    /// `oidc_context`.
    #[serde(rename = "o")]
    pub oidc_context: Value,
    /// The login.
    #[serde(rename = "l")]
    pub login: LoginDecision,
    /// The consent.
    #[serde(rename = "g")]
    pub granted: ConsentDecision,
}

/// What was decided on the way here.
#[derive(Clone, Copy)]
pub(super) struct Granting<'a> {
    /// The flow.
    pub flow: &'a Flow,
    /// The login.
    pub login: &'a LoginDecision,
    /// The consent.
    pub granted: &'a ConsentDecision,
}

/// Writes the grant and answers.
///
/// # Errors
/// `access_denied` when it was granted before; 503.
pub(super) async fn answer(
    app: &App,
    clients: &Clients,
    mut asked: Asked,
    of: Granting<'_>,
) -> Result<HttpResponse, Stop> {
    let session = session(app, &asked, of)?;
    for _ in 0..ATTEMPTS {
        let Made { order, fields, kinds } = order(app, &asked, of, &session).await?;
        let issued = if kinds.is_empty() { None } else { Issued::at_once(&order) };
        // Before it is remembered, so that no login looks past it.
        if order.consent.remember && !asked.client.has_remembered_consent {
            app.store.note_remembered_consent(&asked.request.client_id).await?;
        }
        match app.flows.ask(Commit(FlowWrite::Grant(Box::new(order)))).await?? {
            FlowVerdict::Done => {
                kinds.iter().for_each(|kind| app.metrics.token_issued(labels::Grant::Implicit, *kind));
                if let Some(issued) = issued {
                    issued.tell("implicit", &kinds);
                }
                return Ok(done(app, &asked, fields));
            }
            FlowVerdict::Used => {
                let hint = "The consent verifier has already been used.";
                return Err(refuse(app, &asked, OAuthError::new(ErrorCode::AccessDenied, hint)));
            }
            FlowVerdict::SessionEnded => {
                let hint = "The login session has ended since: sign in again.";
                return Err(refuse(app, &asked, OAuthError::new(ErrorCode::LoginRequired, hint)));
            }
            FlowVerdict::ConsentRevoked => {
                let hint = "The consent that spared the question was revoked since: the user must be asked again.";
                return Err(refuse(app, &asked, OAuthError::new(ErrorCode::ConsentRequired, hint)));
            }
            FlowVerdict::ClientChanged => asked.client = again(clients, &asked).await?,
        }
    }
    Err(Stop::Fault(ApiError::Unavailable("the client is being changed again and again".to_owned())))
}

async fn again(clients: &Clients, asked: &Asked) -> Result<Arc<RegisteredClient>, Stop> {
    clients.get_fresh(&asked.request.client_id).await?.ok_or_else(|| {
        Stop::Page(OAuthError::new(ErrorCode::InvalidClient, "The requested OAuth 2.0 Client does not exist."))
    })
}

fn session(app: &App, asked: &Asked, of: Granting<'_>) -> Result<TokenSession, Stop> {
    let Granting { flow, login, granted } = of;
    let forced = Some(login.forced_subject.as_str()).filter(|f| !f.is_empty());
    let client_subject = subject_for(&asked.client.client, &login.subject, forced, &app.rules.subjects)
        .map_err(|e| refuse(app, asked, e))?;
    Ok(TokenSession {
        subject: login.subject.clone(),
        client_subject,
        session_id: flow.session_id,
        requested_scope: asked.request.scope.clone(),
        scope: granted.scope.clone(),
        audience: granted.audience.clone(),
        nonce: asked.request.nonce.clone(),
        auth_time: login.auth_time,
        requested_at: flow.requested_at,
        // Asked for and not said: Hydra's "0", as ISO/IEC 29115 has it.
        acr: match login.acr.as_str() {
            "" if !asked.request.acr_values.is_empty() => "0".to_owned(),
            acr => acr.to_owned(),
        },
        amr: login.amr.clone(),
        access_claims: granted.access_claims.clone(),
        id_claims: granted.id_claims.clone(),
    })
}

/// The order to write, and what the client gets of it.
pub(super) struct Made {
    /// To write.
    pub order: Grant,
    /// Parameters of the answer.
    pub fields: Vec<(&'static str, String)>,
    /// Tokens that are issued at once.
    pub kinds: Vec<TokenType>,
}

async fn order(app: &App, asked: &Asked, of: Granting<'_>, session: &TokenSession) -> Result<Made, Stop> {
    let consent = consent_row(app, asked, of)?;
    let (client_version, stands_on) = (asked.client.version, of.flow.earlier_consent);
    let order = Grant { client_version, consent, stands_on, code: None, access_token: None, device: None };
    let mut made = Made { order, fields: Vec::new(), kinds: Vec::new() };
    let family = of.flow.consent_id();
    if of.flow.device.is_some() {
        let sealed = close_tokens(app, Table::Device, &device_row(family), session)?;
        made.order.device = Some((of.flow.id, sealed));
        return Ok(made);
    }
    if asked.request.response_type.code {
        let (code, row) = code(app, asked, family, session)?;
        made.fields.push(("code", code));
        made.order.code = Some(row);
    }
    super::implicit::add(app, asked, session, &mut made).await?;
    let asked_for = asked.request.response_type;
    if asked_for.token || !asked_for.id_token {
        made.fields.push(("scope", session.scope.join(" ")));
    }
    Ok(made)
}

/// A device's session is sealed to its family: the device code is not known where it is granted.
pub fn device_row(family_id: Uuid) -> [u8; 32] {
    crate::domain::token::opaque::signature_hash("device", family_id.as_bytes())
}

fn consent_row(app: &App, asked: &Asked, of: Granting<'_>) -> Result<Consent, ApiError> {
    let Granting { flow, login, granted } = of;
    let now = app.clock.now();
    let id = flow.consent_id();
    let detail = ConsentDetail {
        flow_id: flow.id,
        query: asked.sent.as_sent(),
        device: flow.device.is_some(),
        scope: asked.request.scope.clone(),
        audience: asked.request.audience.clone(),
        oidc_context: if flow.device.is_some() { Value::Null } else { oidc_context(&asked.request) },
        login: login.clone(),
        granted: granted.clone(),
    };
    Ok(Consent {
        id,
        client_id: asked.request.client_id.clone(),
        subject: login.subject.clone(),
        session_id: flow.session_id,
        scope: granted.scope.clone(),
        audience: granted.audience.clone(),
        skipped: flow.skip_consent,
        remember: granted.remember && !flow.skip_consent,
        remember_until: consent::remembered_until(granted, now),
        requested_at: flow.began(),
        handled_at: now,
        detail: seal_detail(&app.sessions, &*app.entropy, id, &detail)?,
    })
}

/// Seals what lies behind the consent of that id.
///
/// # Errors
/// 503 without random bytes.
pub fn seal_detail(
    sessions: &Sealer,
    entropy: &dyn Entropy,
    id: Uuid,
    detail: &ConsentDetail,
) -> Result<Vec<u8>, ApiError> {
    let plain = serde_json::to_vec(detail).map_err(|e| ApiError::Internal(e.to_string()))?;
    let sealed = sessions.seal(&entropy.bytes()?, &aad("consent", "detail", id.as_bytes()), &plain);
    sealed.map_err(|e| ApiError::Internal(e.to_string()))
}

/// What lies behind a consent's row; `None` when the secret that sealed it was dropped.
///
/// # Errors
/// 500 when it was tampered with.
pub fn open_detail(app: &App, consent: &Consent) -> Result<Option<ConsentDetail>, ApiError> {
    let broken = |why: String| ApiError::Internal(format!("the detail of a consent: {why}"));
    match app.sessions.open(&aad("consent", "detail", consent.id.as_bytes()), &consent.detail) {
        Ok(opened) => serde_json::from_slice(&opened.plain).map(Some).map_err(|e| broken(e.to_string())),
        Err(SealError::UnknownKey) => Ok(None),
        Err(e) => Err(broken(e.to_string())),
    }
}

fn code(
    app: &App,
    asked: &Asked,
    family_id: Uuid,
    session: &TokenSession,
) -> Result<(String, AuthorizationCode), ApiError> {
    let minted = app.opaque.mint(TokenKind::Code, &app.entropy.bytes()?);
    let row = AuthorizationCode {
        signature: minted.signature,
        family_id,
        client_id: asked.request.client_id.clone(),
        redirect_uri: asked.request.sent_redirect_uri.clone(),
        code_challenge: asked.request.code_challenge.clone(),
        expires_at: app.clock.now().plus(app.rules.code_ttl),
        session: close_tokens(app, Table::Code, &minted.signature, session)?,
    };
    Ok((minted.token, row))
}

fn done(app: &App, asked: &Asked, fields: Vec<(&'static str, String)>) -> HttpResponse {
    match &asked.request.target {
        Some(to) => render(&to.answer(&app.rules.issuer, fields)),
        None => {
            app.metrics.device_code(DeviceOutcome::Granted);
            to_page(&with_query(&app.rules.pages.device_success, &[("client_id", &asked.request.client_id)]))
        }
    }
}

/// An answer to the client, never to be cached (RFC 6749 §4.1.2; 303, so that a POST is not repeated there).
pub fn render(answer: &Answer) -> HttpResponse {
    match answer {
        Answer::Redirect(to) => HttpResponse::SeeOther()
            .insert_header((LOCATION, to.as_str()))
            .insert_header((CACHE_CONTROL, "no-store"))
            .insert_header((PRAGMA, "no-cache"))
            .insert_header(("Referrer-Policy", "no-referrer"))
            .finish(),
        Answer::Form { action, fields } => {
            let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
            pages::form_post::form_post(action, &fields)
        }
    }
}
