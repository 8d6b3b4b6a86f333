//! Authorization flows on their way through browser and app: sealed states as texts, cookies, and the steps between.

pub mod consent;
pub mod cookies;
pub mod hint;
mod implicit;
pub mod issue;
pub mod login;
pub mod request;

use super::{ApiError, App};
use crate::domain::authorize::Refused;
use crate::domain::authorize::answer::Answer;
use crate::domain::error::OAuthError;
use crate::domain::flow::{self, Purpose};
use crate::domain::form;
use crate::domain::world::Timestamp;
use actix_web::HttpResponse;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use url::Url;

/// A sealed state longer than this is kept in the database, and its text is a short handle: URLs of several kilobytes
/// are refused by proxies on the way.
const LONGEST: usize = 1536;
/// A handle's random bytes, and its length as text. A sealed state is always longer.
const HANDLE: usize = 48;
const HANDLE_TEXT: usize = 64;

/// Why a step of a flow did not go on.
pub enum Stop {
    /// The client hears it.
    Client(Answer),
    /// The error page says it: nobody knows whose address the client's is, or the browser is not the one that began.
    Page(OAuthError),
    /// Nobody could say, or it is our fault.
    Fault(ApiError),
}

impl<T: Into<ApiError>> From<T> for Stop {
    fn from(e: T) -> Self {
        Self::Fault(e.into())
    }
}

impl Stop {
    /// A refusal of the checks.
    pub fn refused(app: &App, refused: Refused) -> Self {
        match refused.to {
            Some(to) => Self::Client(to.refusal(&app.rules.issuer, &refused.error, app.rules.expose_internal_errors)),
            None => Self::Page(refused.error),
        }
    }
}

/// A state as the text of a challenge or verifier; `ends` is when it is of no use any more.
///
/// # Errors
/// 503 without randomness or, for a long one, without the database.
pub async fn text(app: &App, purpose: Purpose, state: &impl Serialize, ends: Timestamp) -> Result<String, ApiError> {
    let sealed = flow::seal(&app.flows_sealer, &app.entropy.bytes()?, purpose, &app.rules.issuer, state)
        .ok_or_else(|| ApiError::Internal("a flow could not be sealed".to_owned()))?;
    let text = URL_SAFE_NO_PAD.encode(&sealed);
    if text.len() <= LONGEST {
        return Ok(text);
    }
    let handle: [u8; HANDLE] = app.entropy.bytes()?;
    app.store.put_flow_body(&handle_key(purpose, &handle), &sealed, ends).await?;
    Ok(URL_SAFE_NO_PAD.encode(handle))
}

/// The state behind a text; `None` when we did not make it for this purpose.
///
/// # Errors
/// 503 when a handle cannot be looked up.
pub async fn open<T: DeserializeOwned>(app: &App, purpose: Purpose, text: &str) -> Result<Option<T>, ApiError> {
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')) else { return Ok(None) };
    if text.len() != HANDLE_TEXT {
        return Ok(flow::open(&app.flows_sealer, purpose, &app.rules.issuer, &bytes));
    }
    let sealed = app.store.flow_body(&handle_key(purpose, &bytes)).await?;
    Ok(sealed.and_then(|sealed| flow::open(&app.flows_sealer, purpose, &app.rules.issuer, &sealed)))
}

/// The database holds no handle that opens anything.
fn handle_key(purpose: Purpose, handle: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(purpose.name()).chain_update([0]).chain_update(handle).finalize().into()
}

/// An address with more parameters in its query.
pub fn with_query(address: &str, more: &[(&str, &str)]) -> String {
    // A path of our own, as the configuration may name one, is no URL.
    let whole = Url::parse(address).map_or_else(|_| address.to_owned(), String::from);
    let (page, fragment) = match whole.find('#') {
        Some(at) => whole.split_at(at),
        None => (whole.as_str(), ""),
    };
    let (page, mut query) = match page.split_once('?') {
        Some((page, query)) => (page, query.to_owned()),
        None => (page, String::new()),
    };
    for (name, value) in more {
        form::push_pair(&mut query, name, value);
    }
    format!("{page}?{query}{fragment}")
}

/// 302 to a page of the operator's.
pub fn to_page(address: &str) -> HttpResponse {
    HttpResponse::Found()
        .insert_header(("Location", address))
        .insert_header(("Content-Type", "text/html; charset=utf-8"))
        .insert_header(("Referrer-Policy", "no-referrer"))
        .finish()
}

/// 302 to the error page (`urls.error`).
pub fn to_error_page(app: &App, error: &OAuthError) -> HttpResponse {
    let description = error.description(app.rules.expose_internal_errors);
    let more = [("error", error.code.as_str()), ("error_description", description.as_str())];
    to_page(&with_query(&app.rules.pages.error, &more))
}
