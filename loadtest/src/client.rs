//! A keep-alive HTTP/1.1 connection to one origin, and the request it sends. Plain `http` only: TLS in front of a
//! server is measured by measuring that proxy.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;

/// Where requests go: `host:port` and the path in front of every route.
#[derive(Clone, Debug)]
pub struct Origin {
    authority: Arc<str>,
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
}

/// One request, cheap to clone and to send many times.
#[derive(Clone, Debug)]
pub struct Call {
    pub origin: Origin,
    pub method: Method,
    pub path: Arc<str>,
    pub content_type: &'static str,
    /// A complete `Authorization` header.
    pub authorization: Option<Arc<str>>,
    pub body: Bytes,
    /// A success whose body lacks this text counts as an error.
    pub expect: Option<&'static str>,
}

impl Call {
    /// A form post.
    pub fn form(origin: &Origin, path: &str, body: impl Into<Bytes>) -> Self {
        Self {
            origin: origin.clone(),
            method: Method::POST,
            path: path.into(),
            content_type: "application/x-www-form-urlencoded",
            authorization: None,
            body: body.into(),
            expect: None,
        }
    }

    /// With HTTP Basic credentials, form-encoded first as RFC 6749 §2.3.1 asks.
    pub fn basic(mut self, id: &str, secret: &str) -> Self {
        let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encode(id), encode(secret));
        self.authorization = Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)).into());
        self
    }

    /// A success counts only when its body contains `text`.
    pub fn expecting(mut self, text: &'static str) -> Self {
        self.expect = Some(text);
        self
    }

    fn request(&self) -> Result<Request<Full<Bytes>>> {
        let uri = format!("{}{}", self.origin.prefix, self.path);
        let mut request = Request::builder().method(self.method.clone()).uri(uri).header(HOST, &*self.origin.authority);
        if !self.body.is_empty() {
            request = request.header(CONTENT_TYPE, self.content_type);
        }
        if let Some(value) = &self.authorization {
            request = request.header(AUTHORIZATION, &**value);
        }
        Ok(request.body(Full::new(self.body.clone()))?)
    }
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
}

/// A connection that opens itself when needed and again after a failure.
#[derive(Default)]
pub struct Connection {
    open: Option<(Arc<str>, SendRequest<Full<Bytes>>)>,
}

impl Connection {
    /// Sends one request and reads the whole answer.
    pub async fn send(&mut self, call: &Call, timeout: Duration) -> Result<Answer> {
        let outcome = tokio::time::timeout(timeout, self.exchange(call)).await;
        match outcome {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.open = None;
                Err(error)
            }
            Err(_) => {
                self.open = None;
                bail!("timeout")
            }
        }
    }

    async fn exchange(&mut self, call: &Call) -> Result<Answer> {
        let reusable = matches!(&self.open, Some((to, sender)) if *to == call.origin.authority && !sender.is_closed());
        if !reusable {
            self.open = Some((call.origin.authority.clone(), connect(&call.origin).await?));
        }
        let Some((_, sender)) = &mut self.open else { bail!("no connection") };
        sender.ready().await.context("closed")?;
        let response = sender.send_request(call.request()?).await.context("send")?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.context("read")?.to_bytes();
        Ok(Answer { status, body })
    }
}

async fn connect(origin: &Origin) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(&*origin.authority).await.context("connect")?;
    stream.set_nodelay(true).context("connect")?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.context("connect")?;
    // Its error reaches the caller through the sender.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}
