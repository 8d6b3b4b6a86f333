//! The public listener: what the internet may reach.

pub mod authorize;
pub mod device;
pub mod device_auth;
pub mod logout;
pub mod revoke;
pub mod token;
pub mod userinfo;
pub mod well_known;

use super::pages::fallbacks;
use super::{cors, health, reply};
use actix_web::web;

/// Every method and pattern that [`routes`] mounts, for metrics that are there from the start.
pub const ROUTES: [(&str, &str); 22] = [
    ("GET", "/oauth2/auth"),
    ("POST", "/oauth2/auth"),
    ("GET", "/oauth2/device/verify"),
    ("GET", "/oauth2/sessions/logout"),
    ("POST", "/oauth2/sessions/logout"),
    ("POST", "/oauth2/token"),
    ("POST", "/oauth2/revoke"),
    ("POST", "/oauth2/device/auth"),
    ("GET", "/userinfo"),
    ("POST", "/userinfo"),
    ("GET", "/.well-known/openid-configuration"),
    ("GET", "/.well-known/oauth-authorization-server"),
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/health/alive"),
    ("GET", "/health/ready"),
    ("GET", "/oauth2/fallbacks/login"),
    ("GET", "/oauth2/fallbacks/consent"),
    ("GET", "/oauth2/fallbacks/logout"),
    ("GET", "/oauth2/fallbacks/logout/callback"),
    ("GET", "/oauth2/fallbacks/device"),
    ("GET", "/oauth2/fallbacks/device/done"),
    ("GET", "/oauth2/fallbacks/error"),
];

/// Mounts every public route.
pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.service(
        web::resource("/oauth2/token")
            .route(web::post().to(token::token))
            .default_service(web::to(cors::preflight_or_not_found)),
    )
    .service(
        web::resource("/oauth2/revoke")
            .route(web::post().to(revoke::revoke))
            .default_service(web::to(cors::preflight_or_not_found)),
    )
    .service(
        web::resource("/oauth2/device/auth")
            .route(web::post().to(device_auth::device_auth))
            .default_service(web::to(cors::preflight_or_not_found)),
    )
    .service(
        web::resource("/userinfo")
            .route(web::get().to(userinfo::userinfo))
            .route(web::post().to(userinfo::userinfo))
            .default_service(web::to(cors::preflight_or_not_found)),
    )
    .route("/oauth2/auth", web::get().to(authorize::authorize))
    .route("/oauth2/auth", web::post().to(authorize::authorize))
    .route("/oauth2/device/verify", web::get().to(device::verify))
    .route("/oauth2/sessions/logout", web::get().to(logout::logout))
    .route("/oauth2/sessions/logout", web::post().to(logout::logout))
    .configure(well_known::routes)
    .configure(fallbacks::routes)
    .route("/health/alive", web::get().to(health::alive))
    .route("/health/ready", web::get().to(health::ready_public))
    .default_service(web::to(reply::not_found_page));
}
