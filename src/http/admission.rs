//! Letting requests in. Each class of requests has a room of its own, so that a storm on one leaves the others their
//! answers: so many are worked on, some wait a moment, and all others are told at once to come again.
//!
//! Who sends a body takes a seat when the body is here: a slow sender holds none. Health, metrics and metadata need none.

use super::front::Front;
use super::{ApiError, App};
use crate::telemetry::labels::{Class, Listener};
use crate::telemetry::metrics::Metrics;
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use actix_web::{HttpMessage, HttpRequest, web};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// For each seat so many may wait.
const WAITING: usize = 4;
/// A queue that has stood for as long as anybody waits smooths no burst, it only makes everybody late: until it is empty
/// again, so much fewer may wait.
const STANDING: usize = 64;
/// Who is refused is told to come again in so many seconds at most, each another number.
const LATEST: usize = 3;

/// How many requests of each class are worked on at once.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "each is named after its class")]
pub struct Seats {
    pub authorize: usize,
    pub token: usize,
    pub introspect: usize,
    pub admin: usize,
}

/// The rooms.
pub struct Admission {
    authorize: Room,
    token: Room,
    introspect: Room,
    admin: Room,
}

/// The right to be worked on, until it is dropped.
struct Seat {
    _permit: OwnedSemaphorePermit,
    class: Class,
    metrics: Arc<Metrics>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.metrics.seat_left(self.class);
    }
}

struct Room {
    class: Class,
    seats: Arc<Semaphore>,
    most_waiting: usize,
    waiting: AtomicUsize,
    refused: AtomicUsize,
    /// When nobody waited last, in microseconds since `began`.
    calm_at: AtomicU64,
    began: Instant,
    patience: Duration,
    metrics: Arc<Metrics>,
}

impl Room {
    fn new(class: Class, seats: usize, patience: Duration, metrics: &Arc<Metrics>) -> Self {
        Self {
            class,
            seats: Arc::new(Semaphore::new(seats)),
            most_waiting: seats.saturating_mul(WAITING),
            waiting: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            calm_at: AtomicU64::new(0),
            began: Instant::now(),
            patience,
            metrics: Arc::clone(metrics),
        }
    }

    async fn enter(&self) -> Result<Seat, ApiError> {
        let permit = match Arc::clone(&self.seats).try_acquire_owned() {
            Ok(permit) => {
                // The semaphore gives nobody a seat past those who wait.
                self.calm_at.store(self.micros(), Ordering::Relaxed);
                permit
            }
            Err(_) => self.wait().await.ok_or_else(|| self.refuse())?,
        };
        self.metrics.seat_taken(self.class);
        Ok(Seat { _permit: permit, class: self.class, metrics: Arc::clone(&self.metrics) })
    }

    async fn wait(&self) -> Option<OwnedSemaphorePermit> {
        let _waiting = Waiting::among(&self.waiting, self.may_wait())?;
        tokio::time::timeout(self.patience, Arc::clone(&self.seats).acquire_owned()).await.ok()?.ok()
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn may_wait(&self) -> usize {
        let stood = self.micros().saturating_sub(self.calm_at.load(Ordering::Relaxed));
        if u128::from(stood) < self.patience.as_micros() {
            self.most_waiting
        } else {
            self.most_waiting.div_ceil(STANDING)
        }
    }

    fn refuse(&self) -> ApiError {
        self.metrics.request_shed(self.class);
        ApiError::Busy(self.refused.fetch_add(1, Ordering::Relaxed) % LATEST + 1)
    }
}

/// A place in the queue, given back however the wait ends.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn among(waiting: &'a AtomicUsize, most: usize) -> Option<Self> {
        let place = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Admission {
    /// Empty rooms. Who finds no seat waits for `patience` at most.
    pub fn new(seats: Seats, patience: Duration, metrics: &Arc<Metrics>) -> Self {
        let room = |class, seats| {
            metrics.seats(class, seats);
            Room::new(class, seats, patience, metrics)
        };
        Self {
            authorize: room(Class::Authorize, seats.authorize),
            token: room(Class::Token, seats.token),
            introspect: room(Class::Introspect, seats.introspect),
            admin: room(Class::Admin, seats.admin),
        }
    }

    /// The room of a request; none for what is answered from memory.
    fn room(&self, listener: Listener, path: &str) -> Option<&Room> {
        match (listener, path) {
            (Listener::Public, "/oauth2/token" | "/oauth2/revoke" | "/oauth2/device/auth" | "/userinfo") => {
                Some(&self.token)
            }
            (Listener::Public, "/oauth2/auth" | "/oauth2/device/verify" | "/oauth2/sessions/logout") => {
                Some(&self.authorize)
            }
            (Listener::Public | Listener::Metrics, _) => None,
            (Listener::Admin, "/admin/oauth2/introspect" | "/admin/oauth2/introspect/batch") => Some(&self.introspect),
            (Listener::Gateway, path) => {
                let known = ["/authz", "/oauth2/introspect"].iter().any(|p| path.starts_with(p));
                known.then_some(&self.introspect)
            }
            (Listener::Admin, path) => {
                let known = ["/admin/clients", "/admin/keys", "/admin/oauth2/"].iter().any(|p| path.starts_with(p));
                known.then_some(&self.admin)
            }
        }
    }
}

/// Takes a seat for a request, which keeps it until its answer is sent. One is enough.
///
/// # Errors
/// [`ApiError::Busy`].
pub async fn enter(request: &HttpRequest) -> Result<(), ApiError> {
    let (Some(app), Some(front)) = (request.app_data::<web::Data<App>>(), request.app_data::<Front>()) else {
        return Ok(());
    };
    if request.extensions().contains::<Seat>() {
        return Ok(());
    }
    if let Some(room) = app.admission.room(front.listener, request.path()) {
        let seat = room.enter().await?;
        request.extensions_mut().insert(seat);
    }
    Ok(())
}

/// Whether a handler will wait for a body, and take the seat then.
pub fn sends_a_body(method: &Method, headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
    matches!(*method, Method::POST | Method::PUT | Method::PATCH) && (length || headers.contains_key(TRANSFER_ENCODING))
}

/// Whether a person reads the answer, and not a program.
pub fn is_for_a_person(path: &str) -> bool {
    !matches!(path, "/userinfo" | "/oauth2/token" | "/oauth2/revoke" | "/oauth2/device/auth")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    fn room(patience: Duration) -> Room {
        Room::new(Class::Token, 1, patience, &Metrics::new("test").unwrap())
    }

    #[actix_web::test]
    async fn a_full_room_refuses_after_a_while_and_a_full_queue_at_once() {
        let room = room(Duration::from_millis(30));
        let seat = room.enter().await.unwrap();
        let all = futures_util::future::join_all((0..WAITING + 3).map(|_| room.enter())).await;
        let again: Vec<usize> = all
            .into_iter()
            .map(|answer| match answer {
                Err(ApiError::Busy(seconds)) => seconds,
                _ => 0,
            })
            .collect();
        assert!(again.iter().all(|seconds| (1..=LATEST).contains(seconds)), "{again:?}");
        drop(seat);
        assert!(room.enter().await.is_ok());
        assert_eq!(room.waiting.load(Ordering::Relaxed), 0, "no place is lost");
    }

    #[actix_web::test]
    async fn a_queue_that_has_stood_lets_few_wait_until_it_is_empty() {
        let room = Room::new(Class::Token, 64, Duration::from_millis(20), &Metrics::new("test").unwrap());
        let seats: Vec<Seat> = futures_util::future::join_all((0..64).map(|_| room.enter()))
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(room.may_wait(), 64 * WAITING);
        assert!(room.enter().await.is_err(), "nobody left meanwhile");
        assert_eq!(room.may_wait(), 64 * WAITING / STANDING);
        drop(seats);
        assert!(room.enter().await.is_ok());
        assert_eq!(room.may_wait(), 64 * WAITING);
    }

    #[actix_web::test]
    async fn who_waits_gets_the_next_seat() {
        let room = room(Duration::from_secs(5));
        let seat = room.enter().await.unwrap();
        let (next, ()) = futures_util::future::join(room.enter(), async { drop(seat) }).await;
        assert!(next.is_ok());
    }

    #[test]
    fn each_class_has_its_room_and_probes_need_none() {
        let seats = Seats { authorize: 1, token: 1, introspect: 1, admin: 1 };
        let all = Admission::new(seats, Duration::ZERO, &Metrics::new("test").unwrap());
        let class = |listener, path| all.room(listener, path).map(|room| room.class);
        for (path, expected) in [
            ("/oauth2/token", Some(Class::Token)),
            ("/oauth2/auth", Some(Class::Authorize)),
            ("/health/ready", None),
            ("/.well-known/jwks.json", None),
        ] {
            assert_eq!(class(Listener::Public, path), expected, "{path}");
        }
        for (path, expected) in [
            ("/admin/oauth2/introspect", Some(Class::Introspect)),
            ("/admin/oauth2/introspect/batch", Some(Class::Introspect)),
            ("/admin/clients/health", Some(Class::Admin)),
            ("/admin/oauth2/auth/requests/login", Some(Class::Admin)),
            ("/admin/metrics/prometheus", None),
            ("/admin/health/alive", None),
        ] {
            assert_eq!(class(Listener::Admin, path), expected, "{path}");
        }
        for (path, expected) in [
            ("/authz/read", Some(Class::Introspect)),
            ("/oauth2/introspect", Some(Class::Introspect)),
            ("/oauth2/introspect/batch", Some(Class::Introspect)),
            ("/health/ready", None),
            ("/.well-known/jwks.json", None),
        ] {
            assert_eq!(class(Listener::Gateway, path), expected, "{path}");
        }
    }
}
