//! A whole server in the process, on an in-memory database, with routes of the test's own.

mod death;
#[expect(clippy::indexing_slicing, reason = "a failed test may panic")]
mod demo;
#[expect(clippy::indexing_slicing, reason = "a failed test may panic")]
mod fake;

use super::boot;
use super::system::SystemClock;
use crate::actors::client_registry::Clients;
use crate::actors::key_manager::{ACCESS_TOKEN_SET, KeyRing};
use crate::config::{self, Mode, Sources};
use crate::crypto::seal::Secrets;
use crate::domain::token::session::AccessSession;
use crate::http::cors::Cors;
use crate::http::front::{self, Front};
use crate::http::{ApiError, presented, public, session};
use crate::store::AccessToken;
use crate::telemetry::labels::Listener;
use crate::telemetry::metrics::Metrics;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, HttpResponse, middleware, web};
use serde_json::{Value, json};
use std::rc::Rc;
use std::sync::Arc;

async fn up() -> boot::Up {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let flags =
        [("dsn", "memory"), ("secrets.system", "a-system-secret-of-enough-length"), ("keys.algorithm", "ES256")];
    let flags = flags.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
    let sources = Sources { flags, mode: Mode::Dev, ..Sources::default() };
    let clock = Arc::new(SystemClock);
    boot::up(&config::load(&sources).unwrap(), Metrics::new("test").unwrap(), clock).await.unwrap()
}

async fn explode() -> HttpResponse {
    panic!("on purpose")
}

#[actix_web::test]
async fn h13_a_panic_answers_500_and_harms_nobody_else() {
    let up = up().await;
    let (dead, metrics) = (up.app.rotation.dead.clone(), Arc::clone(&up.app.metrics));
    let clients = Clients::start(Arc::clone(&up.app.store), dead.clone(), Arc::clone(&metrics));
    let front = Front {
        listener: Listener::Public,
        log_health: true,
        cors: Rc::new(Cors::default()),
        terminated_by: None,
        routes: Rc::default(),
        ids: Rc::default(),
    };
    let app = App::new()
        .wrap(middleware::from_fn(front::pass))
        .app_data(web::Data::from(Arc::clone(&up.app)))
        .app_data(web::Data::new(clients))
        .app_data(front)
        .route("/explode", web::get().to(explode))
        .configure(public::routes);
    let app = init_service(app).await;

    let error = actix_web::dev::Service::call(&app, TestRequest::get().uri("/explode").to_request()).await.unwrap_err();
    let answer = error.error_response();
    assert_eq!(answer.status(), 500);
    assert!(answer.headers().contains_key("x-request-id"));
    assert!(metrics.render().contains("signet_panics_total 1"));

    let ready = call_service(&app, TestRequest::get().uri("/health/ready").to_request()).await;
    assert_eq!((ready.status().as_u16(), &read_body(ready).await[..]), (200, &br#"{"status":"ok"}"#[..]));
    dead.cancel();
    let ready = call_service(&app, TestRequest::get().uri("/health/ready").to_request()).await;
    assert_eq!(ready.status(), 503, "a dead actor takes the process out of rotation");
    up.down().await;
}

fn ring_of_nothing() -> tokio::sync::watch::Receiver<Arc<KeyRing>> {
    tokio::sync::watch::channel(Arc::new(KeyRing::default())).1
}

#[actix_web::test]
async fn c10_a_signed_token_is_not_called_inactive_before_the_keys_are_read() {
    let mut up = up().await;
    let key = up.app.keys.borrow().signer(ACCESS_TOKEN_SET, up.app.clock.now()).unwrap().clone();
    let token = key.sign_jwt("JWT", &json!({"sub": "a"})).unwrap();
    assert!(matches!(presented::access(&up.app, &token), Ok(Some(_))));
    let forged = format!("{}AA", &token[..token.len() - 2]);
    assert!(matches!(presented::access(&up.app, &forged), Ok(None)));
    Arc::get_mut(&mut up.app).unwrap().keys = ring_of_nothing();
    assert!(matches!(presented::access(&up.app, &token), Err(ApiError::Unavailable(_))));
    assert!(matches!(presented::access(&up.app, "no.token.at-all"), Ok(None)));
    up.down().await;
}

#[actix_web::test]
async fn i05_claims_under_a_dropped_secret_end_the_token_and_moved_ones_are_a_fault() {
    let mut up = up().await;
    let access_claims = json!({"tenant": "t"}).as_object().cloned().unwrap();
    let claims = AccessSession { access_claims, ..AccessSession::default() };
    let mut row = AccessToken {
        signature: [7; 34],
        family_id: uuid::Uuid::nil(),
        client_id: "a".to_owned(),
        subject: "a".to_owned(),
        scope: Vec::new(),
        audience: Vec::new(),
        requested_at: up.app.clock.now(),
        expires_at: up.app.clock.now(),
        session: session::close_access(&up.app, &[7; 34], &claims).unwrap(),
    };
    assert_eq!(session::open_access(&up.app, &row).unwrap(), Some(claims));
    row.signature = [8; 34];
    assert!(matches!(session::open_access(&up.app, &row), Err(ApiError::Internal(_))));
    row.signature = [7; 34];
    let others = Secrets::new(&["another-system-secret-of-enough-length".to_owned()]).unwrap();
    Arc::get_mut(&mut up.app).unwrap().sessions = others.sealer("row/session");
    assert_eq!(session::open_access(&up.app, &row).unwrap(), None);
    up.down().await;
}
