//! The keep-alive HTTP/1.1 connections of one worker, one to each origin it talks to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::HeaderMap;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::{Call, Origin};

/// How long requests beside a run may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Unexpected answers of a run that are printed.
const COMPLAINTS: u32 = 3;

/// What came back.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// A header as text; nothing when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The beginning of the body, for a message.
    pub fn brief(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(300).collect()
    }
}

/// A named part of a unit of work and what it took.
pub struct Step {
    pub name: &'static str,
    pub took: Duration,
    pub ok: bool,
}

/// Connections that open themselves when needed and again after a failure.
pub struct Wire {
    open: Vec<(Arc<str>, SendRequest<Full<Bytes>>)>,
    timeout: Duration,
    /// The steps since somebody last took them.
    pub steps: Vec<Step>,
    complaints: Arc<AtomicU32>,
}

impl Default for Wire {
    fn default() -> Self {
        Self::new(PATIENCE, Arc::default())
    }
}

impl Wire {
    /// `complaints` counts the unexpected answers of all workers of a run: only the first are printed.
    pub fn new(timeout: Duration, complaints: Arc<AtomicU32>) -> Self {
        Self { open: Vec::new(), timeout, steps: Vec::new(), complaints }
    }

    /// Another worker's connections, with the same limits.
    pub fn another(&self) -> Self {
        Self::new(self.timeout, Arc::clone(&self.complaints))
    }

    /// Sends one request and reads the whole answer.
    pub async fn send(&mut self, call: &Call) -> Result<Answer> {
        let outcome = tokio::time::timeout(self.timeout, self.exchange(call)).await;
        match outcome {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.close(&call.origin);
                Err(error)
            }
            Err(_) => {
                self.close(&call.origin);
                bail!("timeout")
            }
        }
    }

    /// The same as a step of a unit of work, right when `right` says so of the answer.
    pub async fn step(
        &mut self,
        name: &'static str,
        call: &Call,
        right: impl FnOnce(&Answer) -> bool,
    ) -> Result<Answer> {
        let started = Instant::now();
        let answer = self.send(call).await;
        let ok = answer.as_ref().is_ok_and(right);
        self.steps.push(Step { name, took: started.elapsed(), ok });
        match answer {
            Err(error) => bail!("{name}: {error}"),
            Ok(answer) if !ok => {
                self.complain(call, &answer);
                bail!("{name}: {}", answer.status)
            }
            Ok(answer) => Ok(answer),
        }
    }

    /// Sends a request beside a run: anything but JSON of a success is an error.
    pub async fn ask(&mut self, call: &Call) -> Result<Value> {
        let answer = self.send(call).await?;
        if !(200..300).contains(&answer.status) {
            bail!("{} answered {}: {}", call.path, answer.status, answer.brief());
        }
        serde_json::from_slice(&answer.body).context("the answer is not JSON")
    }

    /// Prints an unexpected answer, unless enough were.
    pub fn complain(&self, call: &Call, answer: &Answer) {
        if self.complaints.fetch_add(1, Ordering::Relaxed) < COMPLAINTS {
            let path = call.path.split('?').next().unwrap_or_default();
            let (location, body) = (answer.header("location"), answer.brief());
            eprintln!("unexpected: {} {path} answered {} {location}{body}", call.method, answer.status);
        }
    }

    fn close(&mut self, origin: &Origin) {
        self.open.retain(|(to, _)| *to != origin.authority);
    }

    async fn exchange(&mut self, call: &Call) -> Result<Answer> {
        let sender = self.sender(&call.origin).await?;
        sender.ready().await.context("closed")?;
        let response = sender.send_request(call.request()?).await.context("send")?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.context("read")?.to_bytes();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    async fn sender(&mut self, origin: &Origin) -> Result<&mut SendRequest<Full<Bytes>>> {
        self.open.retain(|(_, sender)| !sender.is_closed());
        if !self.open.iter().any(|(to, _)| *to == origin.authority) {
            self.open.push((origin.authority.clone(), connect(origin).await?));
        }
        let found = self.open.iter_mut().find(|(to, _)| *to == origin.authority);
        Ok(&mut found.context("no connection")?.1)
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
