//! The two listeners over HTTP, and what is shown when they refuse.

use super::{Demo, views};
use crate::domain::world::NoEntropy;
use crate::http::ApiError;
use crate::http::outbound::fault;
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

/// Why a page of the demo cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The request was answered before; this is where it went on.
    #[error("answered before")]
    Answered(String),
    /// The server refused.
    #[error("{status}: {error}: {description}")]
    Refused {
        /// Its status.
        status: u16,
        /// `error`.
        error: String,
        /// `error_description`.
        description: String,
    },
    /// The server did not answer, or not in its own words.
    #[error("{0}")]
    Away(String),
    /// What the browser sent is not what it was given here.
    #[error("{0}")]
    Stale(&'static str),
}

impl From<NoEntropy> for Trouble {
    fn from(e: NoEntropy) -> Self {
        Self::Away(e.to_string())
    }
}

impl From<ApiError> for Trouble {
    fn from(e: ApiError) -> Self {
        let status = e.status_code().as_u16();
        Self::Refused { status, error: "invalid_request".to_owned(), description: e.to_string() }
    }
}

impl ResponseError for Trouble {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Answered(_) => StatusCode::FOUND,
            Self::Refused { .. } | Self::Stale(_) => StatusCode::BAD_REQUEST,
            Self::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        views::trouble(self)
    }
}

impl Demo {
    /// `GET /admin/oauth2/auth/requests/<what>`: the request behind a challenge.
    pub async fn request(&self, what: &str, challenge: &str) -> Result<Value, Trouble> {
        send(self.flow(Method::GET, what, "", challenge)).await
    }

    /// `PUT /admin/oauth2/auth/requests/<what>/<verdict>`: where the browser goes on; `None` when it goes nowhere.
    pub async fn decide(
        &self,
        what: &str,
        verdict: &str,
        challenge: &str,
        body: &Value,
    ) -> Result<Option<String>, Trouble> {
        let answer = send(self.flow(Method::PUT, what, verdict, challenge).json(body)).await?;
        Ok(text(&answer, "redirect_to").map(str::to_owned))
    }

    fn flow(&self, method: Method, what: &str, verdict: &str, challenge: &str) -> RequestBuilder {
        let verdict = if verdict.is_empty() { String::new() } else { format!("/{verdict}") };
        let name = format!("{what}_challenge");
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair(&name, challenge).finish();
        self.ask(method, &self.admin, &format!("/admin/oauth2/auth/requests/{what}{verdict}?{query}"))
    }

    /// A form to an endpoint of the public listener.
    pub async fn form(&self, path: &str, form: &[(&str, &str)]) -> Result<Value, Trouble> {
        send(self.ask(Method::POST, &self.public, path).form(form)).await
    }

    /// `GET` on the public listener, with an access token where there is one.
    pub async fn get(&self, path: &str, bearer: Option<&str>) -> Result<Value, Trouble> {
        let request = self.ask(Method::GET, &self.public, path);
        send(if let Some(token) = bearer { request.bearer_auth(token) } else { request }).await
    }

    /// `POST /admin/oauth2/introspect` (RFC 7662).
    pub async fn introspect(&self, token: &str) -> Result<Value, Trouble> {
        send(self.ask(Method::POST, &self.admin, "/admin/oauth2/introspect").form(&[("token", token)])).await
    }

    fn ask(&self, method: Method, base: &str, path: &str) -> RequestBuilder {
        self.app.outbound.operator().request(method, format!("{base}{path}")).header("accept", "application/json")
    }
}

/// A member that is text and not empty.
pub fn text<'a>(of: &'a Value, name: &str) -> Option<&'a str> {
    of.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The answer's JSON; `Null` for an empty one.
async fn send(request: RequestBuilder) -> Result<Value, Trouble> {
    let away = |e| Trouble::Away(fault(e));
    let answer = request.send().await.map_err(away)?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(away)?;
    let read = serde_json::from_slice(&body);
    if status.is_success() {
        return if body.is_empty() { Ok(Value::Null) } else { read.map_err(|e| Trouble::Away(e.to_string())) };
    }
    let value: Value = read.unwrap_or_default();
    let words = |name| text(&value, name).unwrap_or_default().to_owned();
    match (status.as_u16(), text(&value, "redirect_to")) {
        (410, Some(to)) => Err(Trouble::Answered(to.to_owned())),
        (503, _) => Err(Trouble::Away(words("error_description"))),
        (status, _) => Err(Trouble::Refused { status, error: words("error"), description: words("error_description") }),
    }
}
