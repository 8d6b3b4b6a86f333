//! Which browser it is, and proof that a form or an answer belongs to it.
//!
//! A browser has a random id in a cookie. Forms carry a tag over it (CSRF), and so does `state`; nonce and PKCE verifier
//! are tags too. So nothing is kept here until there are tokens, and ten tabs do not disturb each other.

use super::Demo;
use super::api::Trouble;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const COOKIE: &str = "signet_demo";
/// Whose tokens are kept; another cookie, made anew at each sign-in, so that who planted the first reads no tokens.
const SESSION: &str = "signet_demo_session";
/// Bytes of an id.
const ID: usize = 16;

/// A browser.
pub struct Browser {
    id: String,
    is_new: bool,
}

/// What an authorization request is made of, and its answer checked with.
pub struct Request {
    /// `state`.
    pub state: String,
    /// `nonce`.
    pub nonce: String,
    /// `code_verifier` (RFC 7636 §4.1).
    pub verifier: String,
}

impl Browser {
    /// The browser behind a request; a new one when it brings no id.
    pub fn of(demo: &Demo, request: &HttpRequest) -> Result<Self, Trouble> {
        match cookie(request, COOKIE) {
            Some(id) => Ok(Self { id, is_new: false }),
            None => Ok(Self { id: random(demo)?, is_new: true }),
        }
    }

    /// The tag of a form, to be sent back with it.
    pub fn tag(&self, demo: &Demo, form: &str) -> String {
        URL_SAFE_NO_PAD.encode(demo.macs.tag(&[b"form", self.id.as_bytes(), form.as_bytes()]))
    }

    /// Whether this browser was given this tag for this form.
    pub fn owns(&self, demo: &Demo, form: &str, tag: Option<&str>) -> bool {
        let tag = tag.and_then(|tag| URL_SAFE_NO_PAD.decode(tag).ok()).unwrap_or_default();
        !self.is_new && demo.macs.verify(&[b"form", self.id.as_bytes(), form.as_bytes()], &tag).is_some()
    }

    /// A new authorization request.
    pub fn request(&self, demo: &Demo) -> Result<Request, Trouble> {
        let seed = random(demo)?;
        Ok(self.request_of(demo, &seed))
    }

    /// The request that an answer with this `state` belongs to; `None` when this browser made no such request.
    pub fn answered(&self, demo: &Demo, state: &str) -> Option<Request> {
        let (seed, tag) = state.split_once('.')?;
        self.owns(demo, &format!("state {seed}"), Some(tag)).then(|| self.request_of(demo, seed))
    }

    fn request_of(&self, demo: &Demo, seed: &str) -> Request {
        let tag = |what: &str| self.tag(demo, &format!("{what} {seed}"));
        Request { state: format!("{seed}.{}", tag("state")), nonce: tag("nonce"), verifier: tag("verifier") }
    }

    /// The answer, which gives a new browser its id.
    pub fn keep(&self, mut answer: HttpResponse) -> HttpResponse {
        if self.is_new {
            let _ = answer.add_cookie(&named(COOKIE, &self.id));
        }
        answer
    }
}

/// The id of the session that this browser has, if any.
pub fn session(request: &HttpRequest) -> Option<String> {
    cookie(request, SESSION)
}

/// A new session: its id, and the cookie that holds it.
pub fn new_session(demo: &Demo) -> Result<(String, Cookie<'static>), Trouble> {
    let id = random(demo)?;
    let cookie = named(SESSION, &id);
    Ok((id, cookie))
}

fn random(demo: &Demo) -> Result<String, Trouble> {
    Ok(URL_SAFE_NO_PAD.encode(demo.app.entropy.bytes::<ID>()?))
}

/// A cookie's value, when it has the form of an id.
fn cookie(request: &HttpRequest, name: &str) -> Option<String> {
    let value = request.cookie(name)?.value().to_owned();
    URL_SAFE_NO_PAD.decode(&value).is_ok_and(|id| id.len() == ID).then_some(value)
}

/// For this browser's session, out of reach of scripts and of other sites' forms. Plain HTTP: it is for loopback.
fn named(name: &str, value: &str) -> Cookie<'static> {
    Cookie::build(name.to_owned(), value.to_owned()).path("/demo").http_only(true).same_site(SameSite::Lax).finish()
}
