//! A balancer before the replicas: requests go round among those that say they are ready. What was not sent yet may go to
//! another replica; what was sent is never sent again.

mod backend;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use backend::{Backend, Sent};

/// Names the replica that answered, or that a lost request went to.
pub const REPLICA: HeaderName = HeaderName::from_static("x-replica");
/// Says that the balancer itself answered: `unsent` or `lost`.
pub const BALANCER: HeaderName = HeaderName::from_static("x-balancer");
/// Each replica is asked so often whether it is ready.
const CHECK: Duration = Duration::from_millis(100);
/// A request that finds nobody ready waits so long at most for somebody.
const PATIENCE: Duration = Duration::from_secs(1);

/// A replica's listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Public,
    Admin,
}

/// What serves.
pub struct Balancer {
    backends: Vec<Arc<Backend>>,
    next: AtomicUsize,
}

/// Two listeners that are bound before the replicas exist, since the issuer is one of them.
pub struct Doors {
    public: TcpListener,
    admin: TcpListener,
}

impl Doors {
    pub async fn open() -> Result<Self> {
        let bind = || TcpListener::bind("127.0.0.1:0");
        Ok(Self { public: bind().await?, admin: bind().await? })
    }

    /// The ports of both.
    pub fn ports(&self) -> Result<(u16, u16)> {
        Ok((self.public.local_addr()?.port(), self.admin.local_addr()?.port()))
    }

    /// Serves, as long as the process lives, the replicas with these ports.
    pub fn serve(self, replicas: &[(u16, u16)]) -> Result<Arc<Balancer>> {
        let backends = replicas.iter().enumerate().map(|(number, ports)| Ok(Arc::new(Backend::new(number, *ports)?)));
        let state = Arc::new(Balancer { backends: backends.collect::<Result<_>>()?, next: AtomicUsize::new(0) });
        for backend in &state.backends {
            tokio::spawn(Arc::clone(backend).watch(CHECK));
        }
        for (listener, side) in [(self.public, Side::Public), (self.admin, Side::Admin)] {
            let state = Arc::clone(&state);
            tokio::spawn(async move {
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => drop(tokio::spawn(connection(stream, side, Arc::clone(&state)))),
                        // Too many open files: there will be some again.
                        Err(_) => tokio::time::sleep(CHECK).await,
                    }
                }
            });
        }
        Ok(state)
    }
}

async fn connection(stream: TcpStream, side: Side, state: Arc<Balancer>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let state = Arc::clone(&state);
        async move { state.pass(side, request).await }
    });
    // A client that goes away is no error of the balancer's.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

impl Balancer {
    /// A replica is about to end, and that is heard here so much later: until then requests go to it as before.
    pub fn hears_late(&self, replica: u8, span: Duration) {
        if let Some(backend) = self.backends.get(usize::from(replica)) {
            backend.list(span);
        }
    }

    async fn pass(&self, side: Side, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let (mut head, body) = request.into_parts();
        head.headers.remove(CONNECTION);
        let mut request = Request::from_parts(head, Full::new(body.collect().await?.to_bytes()));
        let until = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < until {
            let Some(backend) = self.next() else {
                tokio::time::sleep(CHECK / 10).await;
                continue;
            };
            match backend.send(side, request).await {
                Sent::Answered(answer) => return Ok(of(backend, answer)),
                Sent::Lost => return Ok(of(backend, own(StatusCode::BAD_GATEWAY, "lost"))),
                Sent::Not(again) => request = *again,
            }
        }
        Ok(own(StatusCode::SERVICE_UNAVAILABLE, "unsent"))
    }

    fn next(&self) -> Option<&Arc<Backend>> {
        let at = self.next.fetch_add(1, Ordering::Relaxed);
        let turn = self.backends.iter().cycle().skip(at % self.backends.len().max(1)).take(self.backends.len());
        turn.into_iter().find(|backend| backend.is_ready())
    }
}

/// With the replica that answered, or was to.
fn of(backend: &Backend, mut answer: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    answer.headers_mut().insert(REPLICA, HeaderValue::from(backend.number));
    answer
}

/// An answer of the balancer itself.
fn own(status: StatusCode, why: &'static str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer.headers_mut().insert(BALANCER, HeaderValue::from_static(why));
    answer
}
