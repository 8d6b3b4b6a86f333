//! What is sent: where it goes and the request itself. Plain `http` only: TLS in front of a server is measured by
//! measuring that proxy.

pub mod connection;
pub mod jar;

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST};
use hyper::{Method, Request};
use serde_json::Value;
use url::Url;
use url::form_urlencoded::Serializer;

/// Where requests go: `host:port` and the path in front of every route.
#[derive(Clone, Debug)]
pub struct Origin {
    pub authority: Arc<str>,
    prefix: Arc<str>,
}

impl Origin {
    /// Parses a base URL such as `http://127.0.0.1:4444`.
    pub fn parse(url: &str) -> Result<Self> {
        let parsed = Url::parse(url).with_context(|| format!("{url:?} is not a URL"))?;
        if parsed.scheme() != "http" {
            bail!("{url}: only http:// can be driven; measure TLS at the proxy that ends it");
        }
        let host = parsed.host_str().context("the URL has no host")?;
        let authority = format!("{host}:{}", parsed.port_or_known_default().unwrap_or(80));
        Ok(Self { authority: authority.into(), prefix: parsed.path().trim_end_matches('/').into() })
    }

    /// The base URL.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.authority, self.prefix)
    }
}

/// One request, cheap to clone and to send many times.
#[derive(Clone, Debug)]
pub struct Call {
    pub origin: Origin,
    pub method: Method,
    /// Path and query.
    pub path: Arc<str>,
    pub content_type: &'static str,
    /// A complete `Authorization` header.
    pub authorization: Option<Arc<str>>,
    /// A complete `Cookie` header.
    pub cookie: Option<Arc<str>>,
    pub body: Bytes,
    /// A success whose body lacks this text counts as an error.
    pub expect: Option<&'static str>,
}

impl Call {
    /// A request without a body.
    pub fn get(origin: &Origin, path: &str) -> Self {
        Self {
            origin: origin.clone(),
            method: Method::GET,
            path: path.into(),
            content_type: "application/x-www-form-urlencoded",
            authorization: None,
            cookie: None,
            body: Bytes::new(),
            expect: None,
        }
    }

    /// A form post.
    pub fn form(origin: &Origin, path: &str, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, body: body.into(), ..Self::get(origin, path) }
    }

    /// A request with JSON in it.
    pub fn json(method: Method, origin: &Origin, path: &str, body: &Value) -> Self {
        let body = body.to_string().into();
        Self { method, body, content_type: "application/json", ..Self::get(origin, path) }
    }

    /// With HTTP Basic credentials, form-encoded first as RFC 6749 §2.3.1 asks.
    pub fn basic(mut self, id: &str, secret: &str) -> Self {
        let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encode(id), encode(secret));
        self.authorization = Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)).into());
        self
    }

    /// With a bearer token.
    pub fn bearer(mut self, token: &str) -> Self {
        self.authorization = Some(format!("Bearer {token}").into());
        self
    }

    /// A success counts only when its body contains `text`.
    pub fn expecting(mut self, text: &'static str) -> Self {
        self.expect = Some(text);
        self
    }

    pub(super) fn request(&self) -> Result<Request<Full<Bytes>>> {
        let uri = format!("{}{}", self.origin.prefix, self.path);
        let mut request = Request::builder().method(self.method.clone()).uri(uri).header(HOST, &*self.origin.authority);
        if !self.body.is_empty() {
            request = request.header(CONTENT_TYPE, self.content_type);
        }
        if let Some(value) = &self.authorization {
            request = request.header(AUTHORIZATION, &**value);
        }
        if let Some(value) = &self.cookie {
            request = request.header(COOKIE, &**value);
        }
        Ok(request.body(Full::new(self.body.clone()))?)
    }
}

/// Pairs as a query or a form.
pub fn encoded(pairs: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}
