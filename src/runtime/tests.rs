//! A whole server in the process, on an in-memory database, with routes of the test's own.

use super::boot;
use crate::actors::client_registry::Clients;
use crate::config::{self, Mode, Sources};
use crate::http::cors::Cors;
use crate::http::front::{self, Front};
use crate::http::public;
use crate::telemetry::labels::Listener;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, HttpResponse, middleware, web};
use std::rc::Rc;
use std::sync::Arc;

async fn up() -> boot::Up {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let flags =
        [("dsn", "memory"), ("secrets.system", "a-system-secret-of-enough-length"), ("keys.algorithm", "ES256")];
    let flags = flags.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
    let sources = Sources { flags, mode: Mode::Dev, ..Sources::default() };
    boot::up(&config::load(&sources).unwrap()).await.unwrap()
}

async fn explode() -> HttpResponse {
    panic!("on purpose")
}

#[actix_web::test]
async fn h13_a_panic_answers_500_and_harms_nobody_else() {
    let up = up().await;
    let (dead, metrics) = (up.app.rotation.dead.clone(), Arc::clone(&up.app.metrics));
    let clients = Clients::start(Arc::clone(&up.app.store), dead.clone(), Arc::clone(&metrics));
    let front =
        Front { listener: Listener::Public, log_health: true, cors: Rc::new(Cors::default()), terminated_by: None };
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
