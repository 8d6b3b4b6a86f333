//! One replica as the balancer sees it: whether it is ready, and the connections to it that are free.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONNECTION, TRANSFER_ENCODING};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::Side;
use crate::http::connection::Wire;
use crate::http::{Call, Origin};

/// How long a check of a replica's health, and a connection to it, may take.
const CHECK_WITHIN: Duration = Duration::from_secs(1);
/// A free connection is not used after this time: the other side may be about to close it.
const FRESH: Duration = Duration::from_secs(20);

type Sender = SendRequest<Full<Bytes>>;

pub struct Backend {
    pub number: usize,
    ready: AtomicBool,
    /// Until then requests come here whatever it says of its health.
    listed: Mutex<Option<Instant>>,
    health: Origin,
    public: Free,
    admin: Free,
}

/// Connections to one listener that nobody uses now.
struct Free {
    port: u16,
    idle: Mutex<Vec<(Instant, Sender)>>,
}

/// What became of a request.
pub enum Sent {
    Answered(Response<Full<Bytes>>),
    /// It was sent, or a part of it, and no answer came.
    Lost,
    /// Nothing of it was sent.
    Not(Box<Request<Full<Bytes>>>),
}

impl Backend {
    pub fn new(number: usize, (public, admin): (u16, u16)) -> Result<Self> {
        let free = |port| Free { port, idle: Mutex::default() };
        let health = Origin::parse(&format!("http://127.0.0.1:{public}"))?;
        Ok(Self {
            number,
            ready: AtomicBool::new(false),
            listed: Mutex::default(),
            health,
            public: free(public),
            admin: free(admin),
        })
    }

    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed) || self.is_listed()
    }

    fn is_listed(&self) -> bool {
        let until = *self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Requests come here for so long, whatever it says of its health.
    pub fn list(&self, span: Duration) {
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + span);
    }

    /// Asks again and again whether it is ready.
    pub async fn watch(self: Arc<Self>, every: Duration) {
        let (mut wire, call) = (Wire::new(CHECK_WITHIN, Arc::default()), Call::get(&self.health, "/health/ready"));
        loop {
            let ready = wire.send(&call).await.is_ok_and(|answer| answer.status == 200);
            self.turn(ready);
            tokio::time::sleep(every).await;
        }
    }

    fn turn(&self, ready: bool) {
        if self.ready.swap(ready, Ordering::Relaxed) && !ready {
            for free in [&self.public, &self.admin] {
                free.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
        }
    }

    pub async fn send(&self, side: Side, request: Request<Full<Bytes>>) -> Sent {
        let free = if side == Side::Public { &self.public } else { &self.admin };
        let mut sender = match free.take() {
            Some(sender) => sender,
            None => match tokio::time::timeout(CHECK_WITHIN, free.connect()).await {
                Ok(Ok(sender)) => sender,
                // Who hears late that it ends must not find its door closed.
                _ if self.is_listed() => return Sent::Lost,
                _ => {
                    self.turn(false);
                    return Sent::Not(Box::new(request));
                }
            },
        };
        if sender.ready().await.is_err() {
            return Sent::Not(Box::new(request));
        }
        let answer = match sender.try_send_request(request).await {
            Ok(answer) => answer,
            Err(mut error) => return error.take_message().map_or(Sent::Lost, |request| Sent::Not(Box::new(request))),
        };
        let (mut head, body) = answer.into_parts();
        let Ok(body) = body.collect().await else { return Sent::Lost };
        // Whether this connection stays is no matter of the one to the client.
        let stays = head.headers.remove(CONNECTION).is_none_or(|value| value != "close");
        head.headers.remove(TRANSFER_ENCODING);
        if stays && self.is_ready() {
            free.keep(sender);
        }
        Sent::Answered(Response::from_parts(head, Full::new(body.to_bytes())))
    }
}

impl Free {
    fn take(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((since, sender)) = idle.pop() {
            if since.elapsed() < FRESH && !sender.is_closed() {
                return Some(sender);
            }
        }
        None
    }

    fn keep(&self, sender: Sender) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), sender));
    }

    async fn connect(&self) -> Result<Sender> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_listed_gets_requests_whatever_its_health_and_a_closed_door_is_an_error_then() -> Result<()> {
        let closed = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let backend = Backend::new(0, (closed, closed))?;
        let send = || backend.send(Side::Public, Request::new(Full::default()));
        assert!(!backend.is_ready() && matches!(send().await, Sent::Not(_)));
        backend.list(Duration::from_secs(60));
        assert!(backend.is_ready() && matches!(send().await, Sent::Lost));
        backend.list(Duration::ZERO);
        assert!(!backend.is_ready() && matches!(send().await, Sent::Not(_)));
        Ok(())
    }
}
