//! Questions over HTTP about a server that runs: short patience, no redirect followed, any answer is an answer. For the
//! commands that look at a server from beside it or from afar.

use crate::config::settings::Listener;
use anyhow::Context;
use reqwest::{Client, ClientBuilder, Method, RequestBuilder};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Longest body that is read of an answer, in bytes.
const MOST: usize = 2 * 1024 * 1024;

/// A way to one server.
#[derive(Clone)]
pub struct Probe {
    http: Client,
    base: String,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Its status.
    pub status: u16,
    /// `Location`, where there is one.
    pub location: Option<String>,
    /// `Date`, where there is one.
    pub date: Option<String>,
    /// Its body.
    pub text: String,
    /// From the question to the end of the answer.
    pub took: Duration,
}

/// Nothing was answered.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{why}")]
pub struct Unheard {
    /// In a few words.
    pub why: String,
    /// TLS was spoken, and the certificate was not good.
    pub bad_certificate: bool,
}

impl Heard {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Status and the beginning of the body, in one line.
    pub fn brief(&self) -> String {
        let body: String = self.text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(160).collect();
        format!("{} {}", self.status, body.trim()).trim_end().to_owned()
    }
}

/// The usual ways of all questions.
pub fn builder(patience: Duration) -> ClientBuilder {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(patience)
        // A connection for each question: behind a balancer all replicas are asked.
        .pool_max_idle_per_host(0)
        .user_agent(concat!("signet/", env!("CARGO_PKG_VERSION")))
}

/// Where there are no authorities, as in an image without any, no certificate is good; all else works.
fn built(how: impl Fn() -> ClientBuilder) -> anyhow::Result<Client> {
    Ok(how().build().or_else(|_| how().tls_certs_only([]).build())?)
}

impl Probe {
    /// A server at a base URL, through the proxy that the environment names.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn to(base: &str, how: impl Fn() -> ClientBuilder) -> anyhow::Result<Self> {
        Ok(Self { http: built(how)?, base: base.trim_end_matches('/').to_owned() })
    }

    /// A listener of this machine, as its settings bind it. Its certificate is for another name than the one it is
    /// reached by here, so none is refused.
    ///
    /// # Errors
    /// When the settings leave the port to chance.
    pub fn of(listener: &Listener, how: impl Fn() -> ClientBuilder) -> anyhow::Result<Self> {
        let how = || how().no_proxy().tls_danger_accept_invalid_certs(true);
        match listener.host.strip_prefix("unix:") {
            Some(path) => Ok(Self { http: how().unix_socket(path).build()?, base: "http://localhost".to_owned() }),
            None => {
                let base = address(listener).context("the port is 0, so nobody knows where it is; give --url")?;
                Self::to(&base, how)
            }
        }
    }

    /// Where it asks.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A question to be shaped further.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// A question to any address.
    pub fn at(&self, method: Method, url: &str) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// `GET` of a path.
    ///
    /// # Errors
    /// [`Unheard`].
    pub async fn get(&self, path: &str) -> Result<Heard, Unheard> {
        ask(self.request(Method::GET, path)).await
    }
}

/// Where a listener that is no unix socket is reached from its own machine; `None` for a port left to chance.
pub fn address(listener: &Listener) -> Option<String> {
    let scheme = if listener.tls.enabled && listener.tls.cert.is_some() { "https" } else { "http" };
    let host = match listener.host.as_str() {
        "" | "0.0.0.0" | "::" | "[::]" => "127.0.0.1".to_owned(),
        host if host.contains(':') && !host.starts_with('[') => format!("[{host}]"),
        host => host.to_owned(),
    };
    (listener.port != 0).then(|| format!("{scheme}://{host}:{}", listener.port))
}

/// Asks, and reads the answer to its end.
///
/// # Errors
/// [`Unheard`].
pub async fn ask(request: RequestBuilder) -> Result<Heard, Unheard> {
    let began = Instant::now();
    let mut answer = request.send().await.map_err(|e| unheard(&e))?;
    let header = |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let (status, location, date) = (answer.status().as_u16(), header("location"), header("date"));
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|e| unheard(&e))? {
        body.extend_from_slice(&chunk);
        if body.len() > MOST {
            return Err(Unheard { why: "the answer is too long".to_owned(), bad_certificate: false });
        }
    }
    let text = String::from_utf8_lossy(&body).into_owned();
    Ok(Heard { status, location, date, text, took: began.elapsed() })
}

fn unheard(error: &reqwest::Error) -> Unheard {
    if error.is_timeout() {
        return Unheard { why: "no answer in time".to_owned(), bad_certificate: false };
    }
    let why = root_cause(error);
    let bad_certificate = why.contains("certificate") || why.contains("UnknownIssuer");
    Unheard { why, bad_certificate }
}

/// What lies at the bottom of an error of the client, in its words.
pub fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
