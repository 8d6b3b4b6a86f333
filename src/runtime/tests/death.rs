//! An actor that panics ends the process: not ready from that moment on, a drain, and an end that is no success.

use crate::config::{self, Mode, Sources};
use crate::domain::world::{Clock, Timestamp};
use crate::runtime::system::SystemClock;
use crate::runtime::{Guests, Running, Which, serving};
use crate::telemetry::metrics::Metrics;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// A clock that breaks, for the actors alone: theirs is the thread that starts the server.
#[derive(Default)]
struct Broken(AtomicBool);

impl Clock for Broken {
    fn now(&self) -> Timestamp {
        let for_an_actor = std::thread::current().name() == Some("signet");
        assert!(!(for_an_actor && self.0.load(Ordering::Relaxed)), "on purpose");
        SystemClock.now()
    }
}

/// As `launch` does, without a log: a process has one, and other tests look at it.
fn start(clock: &Arc<Broken>) -> Running {
    let flags = [
        ("dsn", "memory"),
        ("secrets.system", "a-system-secret-of-enough-length"),
        ("keys.algorithm", "ES256"),
        ("serve.public.host", "127.0.0.1"),
        ("serve.public.port", "0"),
        ("serve.admin.host", "127.0.0.1"),
        ("serve.admin.port", "0"),
        ("serve.shutdown.drain_delay", "2s"),
    ];
    let flags = flags.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
    let settings = config::load(&Sources { flags, mode: Mode::Dev, ..Sources::default() }).unwrap();
    let guests = Guests { clock: Arc::<Broken>::clone(clock), ..Guests::default() };
    let ((told, up), stop) = (std::sync::mpsc::channel(), CancellationToken::new());
    let (token, metrics) = (stop.clone(), Metrics::new("test").unwrap());
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let serve =
        move || actix_web::rt::System::new().block_on(serving(settings, Which::All, guests, (token, told), metrics));
    let thread = std::thread::Builder::new().name("signet".to_owned()).spawn(serve).unwrap();
    let (public_url, admin_url) = up.recv().unwrap();
    Running { public_url, admin_url, stop, thread }
}

async fn get(url: String) -> (u16, bool, String) {
    let answer = reqwest::get(url).await.unwrap();
    let closes = answer.headers().get("connection").is_some_and(|value| value == "close");
    (answer.status().as_u16(), closes, answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_that_panics_ends_the_process_in_order() {
    let clock = Arc::new(Broken::default());
    let running = start(&clock);
    let (public, admin) = (running.public_url.clone(), running.admin_url.clone());
    assert_eq!(get(format!("{admin}/health/ready")).await.0, 200);

    clock.0.store(true, Ordering::Relaxed);
    let key = json!({"alg": "ES256", "kid": "a-key", "use": "sig"});
    let asked = reqwest::Client::new().post(format!("{admin}/admin/keys/a-set")).json(&key).send().await.unwrap();
    assert_eq!(asked.status(), 503, "who has asked the actor is told to come again");
    let began = Instant::now();

    let (status, _, why) = get(format!("{admin}/health/ready")).await;
    assert_eq!(status, 503);
    assert!(why.contains("a part of the process has died"), "{why}");
    let (status, closes, _) = get(format!("{public}/.well-known/jwks.json")).await;
    assert_eq!((status, closes), (200, true), "it serves on while balancers take notice, and sends callers elsewhere");

    let end = tokio::task::spawn_blocking(|| running.wait()).await.unwrap();
    assert!(end.unwrap_err().to_string().contains("a part of the server died"));
    assert!(began.elapsed() > Duration::from_secs(1), "there was no drain: {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(15), "it took {:?}", began.elapsed());
    assert!(reqwest::get(format!("{public}/health/alive")).await.is_err(), "nobody listens any more");
}
